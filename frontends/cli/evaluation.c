#include "evaluation.h"
#include "common/json_writer.h"
#include "json_read.h"
#include "specexit_signals.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT "specexit evaluation 1"
enum { MOST_STEPS = 64 };

static void free_record(cli_record *record)
{
    free(record->prompt);
    cli_reply_free(&record->reply);
}

void cli_evaluation_free(cli_evaluation *evaluation)
{
    for (uint32_t i = 0; i < evaluation->count; i++)
        free_record(&evaluation->records[i]);
    free(evaluation->records);
    *evaluation = (cli_evaluation){0};
}

static cli_record *append(cli_evaluation *evaluation)
{
    if (evaluation->count == evaluation->capacity) {
        evaluation->capacity = evaluation->capacity ? evaluation->capacity * 2 : 64;
        evaluation->records = fe_reallocate(evaluation->records, evaluation->capacity, sizeof *evaluation->records);
    }
    evaluation->records[evaluation->count] = (cli_record){0};
    return &evaluation->records[evaluation->count++];
}

// ---- Writing --------------------------------------------------------------------------------------------------------

static void write_steps(json_writer *json, const cli_reply *reply)
{
    uint32_t count = 0, seen = 0;
    for (uint32_t i = 0; i < reply->point_count; i++)
        count += reply->points[i].boundary && reply->points[i].has_signals;
    json_put_integer(json, "thinking_start", reply->thinking_start);
    json_key(json, "steps");
    json_open(json, '[');
    const uint32_t kept = count < MOST_STEPS ? count : MOST_STEPS;
    for (uint32_t i = 0, next = 0; i < reply->point_count && next < kept; i++) {
        const cli_point *point = &reply->points[i];
        if (!point->boundary || !point->has_signals) continue;
        if (seen++ < (kept > 1 ? (uint64_t)next * (count - 1) / (kept - 1) : 0)) continue;
        next++;
        json_open(json, '[');
        json_integer(json, (uint64_t)point->token_index - reply->thinking_start + 1);
        json_number(json, (double)point->smoothed.confidence);
        json_number(json, (double)point->smoothed.progress);
        json_number(json, (double)point->smoothed.remain);
        json_close(json, ']');
    }
    json_close(json, ']');
}

static void write_record(json_writer *json, const cli_evaluation *evaluation, const cli_record *record)
{
    json_open(json, '{');
    json_put_string(json, "mode", evaluation->modes[record->mode]);
    json_put_integer(json, "problem", record->problem);
    json_put_string(json, "prompt", record->prompt);
    json_key(json, "right");
    if (record->known) {
        json_boolean(json, record->right);
    } else {
        json_null(json);
    }
    json_put_string(json, "answer", fe_text_string(&record->reply.answer));
    cli_reply_json(json, &record->reply);
    if (evaluation->natural[record->mode]) write_steps(json, &record->reply);
    json_close(json, '}');
}

static void write_trust(json_writer *json, const cli_evaluation *evaluation)
{
    const cli_trust trust = cli_evaluation_trust(evaluation);
    json_key(json, "confidence");
    json_open(json, '{');
    json_put_integer(json, "places", trust.places);
    json_put_number(json, "auc_within", trust.auc_within);
    json_put_number(json, "auc_across", trust.auc_across);
    json_put_number(json, "correlation", trust.correlation);
    json_close(json, '}');
}

void cli_evaluation_write(fe_text *out, const cli_evaluation *evaluation)
{
    json_writer json = {.out = out};
    cli_score *scores = fe_allocate(CLI_MAXIMUM_MODES, sizeof *scores);
    cli_evaluation_scores(evaluation, scores);
    json_open(&json, '{');
    json_put_string(&json, "format", FORMAT);
    json_put_string(&json, "model", evaluation->model);
    json_put_string(&json, "model_hash", evaluation->model_hash);
    json_put_string(&json, "draft", evaluation->draft);
    json_put_string(&json, "device", evaluation->device);
    json_put_string(&json, "setting", evaluation->setting);
    json_put_integer(&json, "prompts", evaluation->prompts);
    json_put_string(&json, "prompts_hash", evaluation->prompts_hash);
    json_key(&json, "modes");
    json_open(&json, '[');
    for (uint32_t i = 0; i < evaluation->mode_count; i++) {
        json_open(&json, '{');
        cli_score_members(&json, evaluation->modes[i], &scores[i]);
        json_put_boolean(&json, "natural", evaluation->natural[i]);
        json_close(&json, '}');
    }
    json_close(&json, ']');
    write_trust(&json, evaluation);
    json_key(&json, "records");
    json_open(&json, '[');
    for (uint32_t i = 0; i < evaluation->count; i++) {
        fe_text_add(out, i ? "" : "\n");
        write_record(&json, evaluation, &evaluation->records[i]);
        fe_text_add(out, i + 1 < evaluation->count ? "" : "\n");
    }
    json_close(&json, ']');
    json_close(&json, '}');
    fe_text_add(out, "\n");
    free(scores);
}

// ---- Reading --------------------------------------------------------------------------------------------------------

typedef struct reading {
    const char *problem; // the field that is missing or wrong; NULL: none so far
} reading;

static double number_of(reading *in, const cli_json_value *object, const char *key, double most)
{
    const cli_json_value *value = cli_json_member(object, key);
    if (value && value->type == CLI_JSON_NUMBER && value->number >= 0 && value->number <= most) return value->number;
    if (!in->problem) in->problem = key;
    return 0;
}

static uint32_t count_of(reading *in, const cli_json_value *object, const char *key)
{
    return (uint32_t)number_of(in, object, key, UINT32_MAX);
}

static const char *string_of(reading *in, const cli_json_value *object, const char *key)
{
    const char *text = cli_json_member_string(object, key);
    if (!text && !in->problem) in->problem = key;
    return text ? text : "";
}

static float signal_of(const cli_json_value *value)
{
    return value && value->type == CLI_JSON_NUMBER ? (float)value->number : NAN;
}

static void read_stats(reading *in, const cli_json_value *root, cli_reply *reply)
{
    const double most = 9e15; // what a double counts exactly
    const cli_json_value *stats = cli_json_member(root, "stats"), *usage = cli_json_member(root, "usage");
    const cli_json_value *prompt = cli_json_member(usage, "prompt_tokens_details");
    const cli_json_value *completion = cli_json_member(usage, "completion_tokens_details");
    sx_stats *out = &reply->stats;
    out->prompt_tokens = count_of(in, usage, "prompt_tokens");
    out->reused_tokens = count_of(in, prompt, "cached_tokens");
    out->accepted = count_of(in, completion, "accepted_prediction_tokens");
    out->drafted = out->accepted + count_of(in, completion, "rejected_prediction_tokens");
    out->thinking_tokens = count_of(in, stats, "thinking_tokens");
    out->answer_tokens = count_of(in, stats, "answer_tokens");
    out->forced_tokens = count_of(in, stats, "forced_tokens");
    out->tokens = count_of(in, stats, "tokens");
    out->cycles = count_of(in, stats, "cycles");
    out->acceptance_length = number_of(in, stats, "acceptance_length", most);
    out->submits = (uint64_t)number_of(in, stats, "submits", most);
    out->readbacks = (uint64_t)number_of(in, stats, "readbacks", most);
    out->readback_bytes = (uint64_t)number_of(in, stats, "readback_bytes", most);
    out->prefill_seconds = number_of(in, stats, "prefill_seconds", most);
    out->decode_seconds = number_of(in, stats, "decode_seconds", most);
    out->first_token_seconds = number_of(in, stats, "first_token_seconds", most);
    reply->seconds = number_of(in, stats, "seconds", most);
}

static void read_exit(reading *in, const cli_json_value *root, cli_reply *reply)
{
    const cli_json_value *exit = cli_json_member(root, "exit");
    const char *done = string_of(in, root, "done_reason");
    int reason = SX_DONE_END_OF_TURN;
    while (reason <= SX_DONE_STOPPED && strcmp(sx_done_reason_name((sx_done_reason)reason), done) != 0)
        reason++;
    reply->done_reason = (sx_done_reason)reason;
    if (reason > SX_DONE_STOPPED && !in->problem) in->problem = "done_reason";
    if (!exit || exit->type != CLI_JSON_OBJECT) return;
    const char *name = string_of(in, exit, "reason");
    reason = SX_REASON_NONE;
    while (reason <= SX_REASON_ANSWER_NOW && strcmp(sx_exit_reason_name((sx_exit_reason)reason), name) != 0)
        reason++;
    if (reason > SX_REASON_ANSWER_NOW) {
        if (!in->problem) in->problem = "exit";
        return;
    }
    reply->left = true;
    reply->exit.exit_reason = (sx_exit_reason)reason;
    reply->exit.token_index = count_of(in, exit, "token_index");
    snprintf(reply->exit_sentence, sizeof reply->exit_sentence, "%s", string_of(in, exit, "sentence"));
    const cli_json_value *signals = cli_json_member(exit, "signals");
    reply->exit.has_signals = signals != NULL;
    reply->exit.smoothed = (sx_signals){.confidence = signal_of(cli_json_member(signals, "confidence")),
                                        .progress = signal_of(cli_json_member(signals, "progress")),
                                        .remain = signal_of(cli_json_member(signals, "remain"))};
}

static void read_steps(reading *in, const cli_json_value *root, cli_reply *reply)
{
    const cli_json_value *steps = cli_json_member(root, "steps");
    uint32_t count = 0;
    if (steps) reply->thinking_start = count_of(in, root, "thinking_start");
    for (const cli_json_value *step = steps ? steps->first : NULL; step; step = step->next)
        count++;
    if (count > MOST_STEPS || (steps && steps->type != CLI_JSON_ARRAY)) {
        in->problem = in->problem ? in->problem : "steps";
        return;
    }
    reply->points = fe_allocate(MOST_STEPS, sizeof *reply->points);
    reply->point_capacity = MOST_STEPS;
    for (const cli_json_value *step = steps ? steps->first : NULL; step; step = step->next) {
        const cli_json_value *value[4] = {step->type == CLI_JSON_ARRAY ? step->first : NULL};
        for (int i = 1; i < 4; i++)
            value[i] = value[i - 1] ? value[i - 1]->next : NULL;
        const double index = value[3] && value[0]->type == CLI_JSON_NUMBER ? value[0]->number : 0;
        if (!(index >= 1 && index <= UINT32_MAX)) {
            in->problem = in->problem ? in->problem : "steps";
            return;
        }
        reply->points[reply->point_count++] =
            (cli_point){.token_index = reply->thinking_start + (uint32_t)index - 1,
                        .boundary = true,
                        .has_signals = true,
                        .smoothed = {signal_of(value[1]), signal_of(value[2]), signal_of(value[3])}};
    }
}

static void read_record(reading *in, const cli_json_value *root, const cli_evaluation *evaluation, cli_record *record)
{
    const char *mode = string_of(in, root, "mode"), *answer = string_of(in, root, "answer");
    const cli_json_value *right = cli_json_member(root, "right");
    while (record->mode < evaluation->mode_count && strcmp(evaluation->modes[record->mode], mode) != 0)
        record->mode++;
    if (record->mode == evaluation->mode_count && !in->problem) in->problem = "mode";
    record->problem = count_of(in, root, "problem");
    if (record->problem >= evaluation->prompts && !in->problem) in->problem = "problem";
    record->prompt = fe_copy_string(string_of(in, root, "prompt"));
    record->right = right && right->type == CLI_JSON_TRUE;
    record->known = record->right || (right && right->type == CLI_JSON_FALSE);
    fe_text_add(&record->reply.answer, answer);
    read_stats(in, root, &record->reply);
    read_exit(in, root, &record->reply);
    const cli_json_value *unlike = cli_json_member(root, "unlike_profile");
    record->reply.watched = unlike != NULL;
    record->reply.unlike = unlike && unlike->type == CLI_JSON_TRUE;
    read_steps(in, root, &record->reply);
}

void cli_evaluation_add(cli_evaluation *evaluation, uint32_t mode, uint32_t problem, const char *prompt, bool known,
                        bool right, const cli_reply *reply)
{
    // By way of its text, so that a run sums the very figures that a merge of its shards reads.
    const cli_record given = {
        .mode = mode, .problem = problem, .prompt = (char *)prompt, .known = known, .right = right, .reply = *reply};
    char message[128];
    reading in = {0};
    fe_text text = {0};
    json_writer json = {.out = &text};
    write_record(&json, evaluation, &given);
    cli_json_value *root = cli_json_parse(text.data, text.length, message, sizeof message);
    read_record(&in, root, evaluation, append(evaluation));
    cli_json_free(root);
    fe_text_free(&text);
}

static void read_modes(reading *in, const cli_json_value *root, cli_evaluation *evaluation)
{
    const cli_json_value *modes = cli_json_member(root, "modes");
    for (const cli_json_value *mode = modes ? modes->first : NULL; mode; mode = mode->next) {
        const cli_json_value *natural = cli_json_member(mode, "natural");
        if (evaluation->mode_count == CLI_MAXIMUM_MODES) break;
        evaluation->natural[evaluation->mode_count] = natural && natural->type == CLI_JSON_TRUE;
        snprintf(evaluation->modes[evaluation->mode_count++], sizeof evaluation->modes[0], "%s",
                 string_of(in, mode, "mode"));
    }
    if (!evaluation->mode_count && !in->problem) in->problem = "modes";
}

static void read_header(reading *in, const cli_json_value *root, cli_evaluation *evaluation)
{
    const struct {
        const char *key;
        char *out;
        size_t size;
    } texts[] = {{"model", evaluation->model, sizeof evaluation->model},
                 {"model_hash", evaluation->model_hash, sizeof evaluation->model_hash},
                 {"draft", evaluation->draft, sizeof evaluation->draft},
                 {"device", evaluation->device, sizeof evaluation->device},
                 {"setting", evaluation->setting, sizeof evaluation->setting},
                 {"prompts_hash", evaluation->prompts_hash, sizeof evaluation->prompts_hash}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        snprintf(texts[i].out, texts[i].size, "%s", string_of(in, root, texts[i].key));
    evaluation->prompts = count_of(in, root, "prompts");
    read_modes(in, root, evaluation);
}

bool cli_evaluation_read(cli_evaluation *evaluation, const char *text, size_t length, const char *source,
                         fe_text *message)
{
    char problem[256];
    reading in = {0};
    cli_json_value *root = cli_json_parse(text, length, problem, sizeof problem);
    const char *format = cli_json_member_string(root, "format");
    if (!root) {
        fe_text_printf(message, "%s: not JSON: %s", source, problem);
    } else if (!format || strcmp(format, FORMAT) != 0) {
        fe_text_printf(message, "%s: \"format\" is not \"%s\": give files that `specexit eval -o` wrote", source,
                       FORMAT);
    } else {
        read_header(&in, root, evaluation);
        const cli_json_value *list = cli_json_member(root, "records");
        if (!list && !in.problem) in.problem = "records";
        for (const cli_json_value *item = in.problem ? NULL : list->first; item && !in.problem; item = item->next) {
            cli_record *record = append(evaluation);
            record->source = source;
            read_record(&in, item, evaluation, record);
        }
        if (in.problem)
            fe_text_printf(message, "%s: record %u: \"%s\" is missing or wrong; make the file again", source,
                           evaluation->count, in.problem);
    }
    const bool good = root && !message->length;
    cli_json_free(root);
    if (!good) cli_evaluation_free(evaluation);
    return good;
}

// ---- Merging --------------------------------------------------------------------------------------------------------

static int compare_records(const void *left, const void *right)
{
    const cli_record *a = left, *b = right;
    if (a->problem != b->problem) return a->problem < b->problem ? -1 : 1;
    return a->mode == b->mode ? 0 : a->mode < b->mode ? -1 : 1;
}

// Of two settings in one line, the first part in which they differ.
static void add_difference(fe_text *out, const char *given, const char *wanted)
{
    const char *texts[2] = {given, wanted};
    size_t at = 0;
    while (given[at] && given[at] == wanted[at])
        at++;
    while (at && given[at - 1] != ',' && given[at - 1] != ';')
        at--;
    at += given[at] == ' ';
    for (int i = 0; i < 2; i++)
        fe_text_printf(out, "%s\"%.*s\"", i ? ", not " : "", (int)strcspn(texts[i] + at, ",;"), texts[i] + at);
}

static bool agree(const cli_evaluation *a, const cli_evaluation *b, const char *source, fe_text *message)
{
    const struct {
        const char *what, *a, *b;
    } texts[] = {{"model", a->model_hash, b->model_hash},
                 {"draft", a->draft, b->draft},
                 {"prompts", a->prompts_hash, b->prompts_hash},
                 {"settings", a->setting, b->setting}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (strcmp(texts[i].a, texts[i].b) == 0) continue;
        fe_text_printf(message, "%s: other %s than the files before it: ", source, texts[i].what);
        add_difference(message, texts[i].b, texts[i].a);
        fe_text_add(message, "; shards are of one run");
        return false;
    }
    bool same = a->mode_count == b->mode_count && a->prompts == b->prompts;
    for (uint32_t i = 0; same && i < a->mode_count; i++)
        same = strcmp(a->modes[i], b->modes[i]) == 0 && a->natural[i] == b->natural[i];
    if (!same) fe_text_printf(message, "%s: other modes than the files before it; shards are of one run", source);
    return same;
}

static void add_device(cli_evaluation *into, const char *device)
{
    const size_t length = strlen(into->device);
    if (!strstr(into->device, device)) snprintf(into->device + length, sizeof into->device - length, ", %s", device);
}

bool cli_evaluation_merge(cli_evaluation *into, cli_evaluation *from, fe_text *message)
{
    const char *source = from->count ? from->records[0].source : "an empty file";
    if (!into->mode_count) {
        *into = *from;
        *from = (cli_evaluation){0};
    } else {
        if (!agree(into, from, source, message)) return false;
        add_device(into, from->device);
        for (uint32_t i = 0; i < from->count; i++)
            *append(into) = from->records[i];
        from->count = 0;
        cli_evaluation_free(from);
    }
    if (into->count) qsort(into->records, into->count, sizeof *into->records, compare_records);
    for (uint32_t i = 1; i < into->count; i++) {
        const cli_record *a = &into->records[i - 1], *b = &into->records[i];
        if (compare_records(a, b) != 0) continue;
        fe_text_printf(message, "prompt %u in mode %s is in %s and in %s; give every shard once", a->problem + 1,
                       into->modes[a->mode], a->source, b->source);
        return false;
    }
    return true;
}

void cli_evaluation_scores(const cli_evaluation *evaluation, cli_score scores[CLI_MAXIMUM_MODES])
{
    memset(scores, 0, CLI_MAXIMUM_MODES * sizeof *scores);
    for (uint32_t i = 0; i < evaluation->count; i++) {
        const cli_record *record = &evaluation->records[i];
        cli_score_add(&scores[record->mode], &record->reply, record->known, record->right);
    }
}

// ---- Trust ----------------------------------------------------------------------------------------------------------

uint32_t cli_evaluation_same_problem(const cli_evaluation *evaluation, uint32_t first)
{
    uint32_t count = 1;
    while (first + count < evaluation->count &&
           evaluation->records[first + count].problem == evaluation->records[first].problem)
        count++;
    return count;
}

// The step at whose end the reply left the thinking; NULL where it was left within one, or not at all.
static const cli_point *place_of(const cli_record *full, const cli_reply *reply)
{
    if (!reply->left || !full->reply.point_count) return NULL;
    if (reply->exit.exit_reason == SX_REASON_NATURAL) return &full->reply.points[full->reply.point_count - 1];
    for (uint32_t i = 0; i < full->reply.point_count; i++)
        if (full->reply.points[i].token_index == reply->exit.token_index) return &full->reply.points[i];
    return NULL;
}

static uint32_t add_places(const cli_record *records, uint32_t count, const cli_record *full, sx_ranked *items)
{
    uint32_t added = 0;
    const cli_point *seen[CLI_MAXIMUM_MODES];
    for (uint32_t i = 0; i < count; i++) {
        const cli_point *place = records[i].known ? place_of(full, &records[i].reply) : NULL;
        if (!place || !isfinite((double)place->smoothed.confidence)) continue;
        uint32_t k = 0;
        while (k < added && seen[k] != place)
            k++;
        if (k < added) continue;
        seen[added] = place;
        items[added++] = (sx_ranked){place->smoothed.confidence, records[i].problem, records[i].right};
    }
    return added;
}

// Of 0 or 1 with the score.
static double correlation(const sx_ranked *items, uint32_t count)
{
    double sum = 0, squares = 0, right = 0, both = 0;
    for (uint32_t i = 0; i < count; i++) {
        const double score = (double)items[i].score;
        sum += score;
        squares += score * score;
        right += items[i].right;
        both += items[i].right ? score : 0;
    }
    const double spread = (count * squares - sum * sum) * (right * (count - right));
    return spread > 0 ? (count * both - sum * right) / sqrt(spread) : (double)NAN;
}

cli_trust cli_evaluation_trust(const cli_evaluation *evaluation)
{
    cli_trust trust = {.full = CLI_MAXIMUM_MODES};
    for (uint32_t i = 0; i < evaluation->count && trust.full == CLI_MAXIMUM_MODES; i++)
        if (evaluation->records[i].reply.point_count) trust.full = evaluation->records[i].mode;
    sx_ranked *items = fe_allocate(evaluation->count + 1, sizeof *items);
    for (uint32_t i = 0, count; i < evaluation->count; i += count) {
        const cli_record *records = &evaluation->records[i], *full = NULL;
        count = cli_evaluation_same_problem(evaluation, i);
        for (uint32_t k = 0; k < count; k++)
            if (records[k].mode == trust.full) full = &records[k];
        if (full) trust.places += add_places(records, count, full, items + trust.places);
    }
    trust.correlation = correlation(items, trust.places);
    trust.auc_across = sx_auc(items, trust.places);
    trust.auc_within = sx_auc_within(items, trust.places);
    free(items);
    return trust;
}
