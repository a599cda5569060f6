#include "reference.h"

#include "engine/policy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// ---- Noise ---------------------------------------------------------------------------------------------------------

void reference_threefry(const uint32_t key[2], const uint32_t counter[2], uint32_t out[2])
{
    static const uint32_t rotation[8] = {13, 15, 26, 6, 17, 29, 16, 24};
    const uint32_t schedule[3] = {key[0], key[1], 0x1BD11BDAu ^ key[0] ^ key[1]};
    uint32_t x[2] = {counter[0] + key[0], counter[1] + key[1]};
    for (uint32_t round = 0; round < 20; round++) {
        const uint32_t bits = rotation[round % 8];
        x[0] += x[1];
        x[1] = (x[1] << bits | x[1] >> (32 - bits)) ^ x[0];
        if (round % 4 == 3) {
            const uint32_t injection = round / 4 + 1;
            x[0] += schedule[injection % 3];
            x[1] += schedule[(injection + 1) % 3] + injection;
        }
    }
    out[0] = x[0];
    out[1] = x[1];
}

double reference_gumbel(uint32_t token, uint32_t position, uint32_t seed_low, uint32_t seed_high)
{
    uint32_t out[2];
    reference_threefry((uint32_t[]){seed_low, seed_high}, (uint32_t[]){token, position}, out);
    return -log(-log1p(-((out[0] >> 9) + 0.5) / 8388608.0));
}

// ---- Sampling ------------------------------------------------------------------------------------------------------

static double sane(float value)
{
    if (isnan(value)) return -1e30;
    return fmin(fmax(value, -1e30), 1e30);
}

typedef struct entry {
    double value; // to be sorted by
    uint32_t index;
} entry;

static int by_value_then_index(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    if (x->value != y->value) return x->value > y->value ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static bool same_but_for_rounding(double a, double b)
{
    return fabs(a - b) <= 1e-5 * (1 + fabs(a));
}

static uint32_t flags_of(const SxSettings *settings, const uint32_t *flags, uint32_t token)
{
    return token < settings->vocabulary ? flags[token / 4] >> (token % 4 * 8) & 0xFF : 0;
}

static uint32_t ancestors_with(const SxBatch *batch, uint32_t row, uint32_t token)
{
    uint32_t count = 0;
    for (; row < SX_MAX_ROWS; row = batch->parent[row]) {
        if (row == 0 && batch->root_is_prompt) break;
        count += batch->token[row] == token;
    }
    return count;
}

static double adjusted(double x, uint32_t token, const SxBatch *batch, uint32_t row, const SxSettings *settings,
                       const uint32_t *counts)
{
    const uint32_t count = counts[token] + ancestors_with(batch, row, token);
    if (count) {
        x = x > 0 ? x / settings->repetition_penalty : x * settings->repetition_penalty;
        x -= settings->presence_penalty + (double)settings->frequency_penalty * count;
    }
    for (uint32_t i = 0; i < settings->bias_count; i++) {
        if (settings->bias_token[i] == token) x += settings->bias_value[i];
    }
    return fmin(fmax(x, -1e30), 1e30);
}

// Cuts the sorted list behind entry `last`, and behind all that equal it.
static uint32_t cut(const entry *list, uint32_t count, uint32_t last, bool *doubtful)
{
    uint32_t end = last + 1;
    while (end < count && list[end].value == list[last].value) {
        end++;
    }
    if (end < count && same_but_for_rounding(list[end].value, list[last].value)) *doubtful = true;
    return end;
}

static uint32_t filter(const entry *list, uint32_t count, const SxSettings *settings, bool *doubtful)
{
    const double temperature = settings->temperature;
    if (settings->top_k && settings->top_k < count) count = cut(list, count, settings->top_k - 1, doubtful);
    if (settings->top_p < 1) {
        double total = 0, mass = 0;
        for (uint32_t i = 0; i < count; i++) {
            total += exp((list[i].value - list[0].value) / temperature);
        }
        uint32_t last = 0;
        for (;; last++) {
            mass += exp((list[last].value - list[0].value) / temperature);
            // The device counts in steps of 2^-22 of the largest weight.
            const double step = (count + 1) / 4194304.0 + 2e-5 * total;
            if (fabs(mass - settings->top_p * total) < step && last + 1 < count) *doubtful = true;
            if (mass >= settings->top_p * total || last + 1 == count) break;
        }
        count = cut(list, count, last, doubtful);
    }
    if (settings->min_p > 0) {
        const double lowest = log(settings->min_p);
        uint32_t kept = 0;
        for (uint32_t i = 0; i < count; i++) {
            const double difference = (list[i].value - list[0].value) / temperature;
            if (i && list[i].value != list[0].value && fabs(difference - lowest) < 1e-4) *doubtful = true;
            if (difference >= lowest || list[i].value == list[0].value) kept = i + 1;
        }
        count = kept;
    }
    return count;
}

double reference_logprob(const float *logits, uint32_t vocabulary, uint32_t token)
{
    double highest = -1e30, sum = 0;
    for (uint32_t i = 0; i < vocabulary; i++) {
        highest = fmax(highest, sane(logits[i]));
    }
    for (uint32_t i = 0; i < vocabulary; i++) {
        sum += exp(sane(logits[i]) - highest);
    }
    return fmin(sane(logits[token]) - highest - log(sum), 0);
}

static void statistics(const float *logits, uint32_t vocabulary, const SxSettings *settings, reference_choice *choice)
{
    double highest = -1e30, sum = 0, moment = 0;
    for (uint32_t i = 0; i < vocabulary; i++) {
        highest = fmax(highest, sane(logits[i]));
    }
    for (uint32_t i = 0; i < vocabulary; i++) {
        const double difference = sane(logits[i]) - highest;
        sum += exp(difference);
        if (difference > -700) moment += exp(difference) * difference;
    }
    choice->entropy = log(sum) - moment / sum;
    choice->margin = settings->close_count ? sane(logits[settings->close[0]]) - highest : -1e30;
    choice->logprob = fmin(sane(logits[choice->token]) - highest - log(sum), 0);
}

reference_choice reference_sample(const float *logits, uint32_t vocabulary, const SxBatch *batch, uint32_t row,
                                  const SxSettings *settings, const uint32_t *flags, const uint32_t *counts)
{
    reference_choice choice = {0};
    const uint32_t position = batch->position[row] + 1;
    entry *list = malloc(vocabulary * sizeof(*list));
    uint32_t count = 0;
    for (uint32_t token = 0; token < vocabulary; token++) {
        const bool suppressed = position == settings->suppress_close_position && settings->close_count;
        const uint32_t banned = suppressed ? SX_TOKEN_BANNED | SX_TOKEN_END : SX_TOKEN_BANNED;
        if (token >= settings->vocabulary || (flags_of(settings, flags, token) & banned)) continue;
        if (suppressed && token == settings->close[0]) continue;
        list[count++] = (entry){adjusted(sane(logits[token]), token, batch, row, settings, counts), token};
    }
    qsort(list, count, sizeof(*list), by_value_then_index);
    if (count && settings->temperature > 0) {
        const double highest = list[0].value;
        count = filter(list, count, settings, &choice.doubtful);
        for (uint32_t i = 0; i < count; i++) {
            list[i].value = (list[i].value - highest) / settings->temperature +
                            reference_gumbel(list[i].index, position, settings->seed_low, settings->seed_high);
        }
        qsort(list, count, sizeof(*list), by_value_then_index);
        if (count > 1 && list[0].value - list[1].value < 1e-3) choice.doubtful = true;
    } else if (count > 1 && list[0].value != list[1].value && same_but_for_rounding(list[0].value, list[1].value)) {
        choice.doubtful = list[0].value != sane(logits[list[0].index]); // penalties were rounded
    }
    choice.token = count ? list[0].index : 0;
    free(list);
    statistics(logits, vocabulary, settings, &choice);
    return choice;
}

// ---- The draft's tree ----------------------------------------------------------------------------------------------

bool reference_top_k(const float *logits, uint32_t vocabulary, const uint32_t *map, const SxSettings *settings,
                     uint32_t position, uint32_t branch, SxChildren *children)
{
    const bool greedy = !(settings->temperature > 0);
    const double temperature = greedy ? 1 : settings->temperature;
    entry *list = malloc(vocabulary * sizeof(*list));
    double highest = -1e30, sum = 0;
    for (uint32_t i = 0; i < vocabulary; i++) {
        highest = fmax(highest, sane(logits[i]));
    }
    for (uint32_t i = 0; i < vocabulary; i++) {
        const double scaled = (sane(logits[i]) - highest) / temperature;
        sum += exp(scaled);
        const uint32_t id = map ? map[i] : i;
        const double noise = greedy ? 0 : reference_gumbel(id, position, settings->seed_low, settings->seed_high);
        list[i] = (entry){scaled + noise, i};
    }
    qsort(list, vocabulary, sizeof(*list), by_value_then_index);
    bool certain = true;
    for (uint32_t k = 0; k < branch; k++) {
        children->token[k] = SX_NONE;
        children->logprob[k] = -1e30f;
        if (k >= vocabulary) continue;
        if (k + 1 < vocabulary && !greedy && list[k].value - list[k + 1].value < 1e-3) certain = false;
        const uint32_t token = list[k].index;
        children->token[k] = map ? map[token] : token;
        children->logprob[k] = (float)fmin((sane(logits[token]) - highest) / temperature - log(sum), 0);
    }
    free(list);
    return certain;
}

static void clear_rows(SxBatch *batch, uint32_t first_slot)
{
    memset(batch, 0, sizeof(*batch));
    for (uint32_t row = 0; row < SX_MAX_ROWS; row++) {
        batch->slot[row] = first_slot + row;
        batch->parent[row] = SX_NONE;
        for (uint32_t i = 0; i < SX_MAX_PATH; i++) {
            batch->ancestor[row * SX_MAX_PATH + i] = batch->slot[row];
        }
    }
}

void reference_expand(const SxChildren *children, const SxState *state, const SxBatch *beam_in, uint32_t level,
                      uint32_t branch, SxTree *tree, SxBatch *beam_out)
{
    const uint32_t parents = level == 1 ? 1 : branch;
    const uint32_t begin = level == 1 ? 0 : branch + (level - 2) * branch * branch;
    entry list[SX_MAX_BRANCH * SX_MAX_BRANCH];
    uint32_t source[SX_MAX_BRANCH * SX_MAX_BRANCH], count = 0;
    for (uint32_t b = 0; b < parents; b++) {
        const uint32_t parent = level == 1 ? SX_NONE : tree->beam[b];
        for (uint32_t k = 0; k < branch; k++) {
            const uint32_t candidate = begin + b * branch + k;
            const bool valid = (level == 1 || parent != SX_NONE) && children[b].token[k] != SX_NONE;
            tree->token[candidate] = valid ? children[b].token[k] : SX_NONE;
            tree->parent[candidate] = parent;
            tree->depth[candidate] = level;
            tree->score[candidate] = -1e30f;
            if (!valid) continue;
            tree->score[candidate] = (parent == SX_NONE ? 0.0f : tree->score[parent]) + children[b].logprob[k];
            source[candidate - begin] = b;
            list[count++] = (entry){tree->score[candidate], candidate};
        }
    }
    qsort(list, count, sizeof(*list), by_value_then_index);
    tree->count = begin + parents * branch;
    tree->level = level;
    const uint32_t base = state->now.length;
    clear_rows(beam_out, base + (level - 1) * branch);
    beam_out->base = base;
    for (uint32_t row = 0; row < branch; row++) {
        tree->beam[row] = row < count ? list[row].index : SX_NONE;
        if (row >= count) continue;
        const uint32_t above = source[list[row].index - begin];
        beam_out->count++;
        beam_out->token[row] = tree->token[list[row].index];
        beam_out->position[row] = base + level - 1;
        beam_out->source[row] = above;
        if (level == 1) continue;
        beam_out->parent[row] = above;
        memcpy(&beam_out->ancestor[row * SX_MAX_PATH], &beam_in->ancestor[above * SX_MAX_PATH], 4 * (level - 1));
    }
}

// ---- Rows ----------------------------------------------------------------------------------------------------------

static uint32_t add_row(SxBatch *batch, uint32_t parent, uint32_t token)
{
    const uint32_t row = batch->count++;
    batch->token[row] = token;
    batch->parent[row] = parent;
    batch->position[row] = parent == SX_NONE ? batch->base : batch->position[parent] + 1;
    const uint32_t depth = batch->position[row] - batch->base;
    for (uint32_t i = depth, above = row; above != SX_NONE; above = batch->parent[above]) {
        batch->ancestor[row * SX_MAX_PATH + i--] = batch->slot[above];
    }
    return row;
}

static bool room_under(const SxBatch *batch, uint32_t parent, const SxSettings *settings, uint32_t rows)
{
    const uint32_t position = batch->position[parent] + 1;
    return batch->count < rows && position < settings->end_position && position - batch->base < SX_MAX_PATH;
}

static uint32_t child_with(const SxBatch *batch, uint32_t parent, uint32_t token)
{
    for (uint32_t row = 0; row < batch->count; row++) {
        if (batch->parent[row] == parent && batch->token[row] == token) return row;
    }
    return SX_NONE;
}

static void add_tree(const SxTree *tree, const SxSettings *settings, uint32_t rows, SxBatch *batch)
{
    entry *list = malloc(SX_MAX_CANDIDATES * sizeof(*list));
    uint32_t *row_of = malloc(SX_MAX_CANDIDATES * sizeof(*row_of));
    for (uint32_t i = 0; i < tree->count; i++) {
        list[i] = (entry){tree->score[i], i};
        row_of[i] = SX_NONE;
    }
    qsort(list, tree->count, sizeof(*list), by_value_then_index);
    for (uint32_t i = 0; i < tree->count && batch->count < rows; i++) {
        const uint32_t candidate = list[i].index, above = tree->parent[candidate];
        if (tree->token[candidate] == SX_NONE) continue;
        const uint32_t parent = above == SX_NONE ? 0 : row_of[above];
        if (parent == SX_NONE) continue; // dropped for its position, or not drafted
        const uint32_t present = above == SX_NONE && batch->count > 1 && batch->token[1] == tree->token[candidate] &&
                                         tree->reserved0 // the test's mark: row 1 is a trial
                                     ? 1
                                     : SX_NONE;
        if (present != SX_NONE) {
            row_of[candidate] = present;
        } else if (room_under(batch, parent, settings, rows)) {
            row_of[candidate] = add_row(batch, parent, tree->token[candidate]);
        }
    }
    free(list);
    free(row_of);
}

static void add_ngram(uint32_t ngram, const SxState *state, const SxSettings *settings, const uint32_t *history,
                      uint32_t rows, SxBatch *batch)
{
    const uint32_t length = state->now.length;
    uint32_t *text = malloc((length + 1) * sizeof(*text));
    memcpy(text, history, length * sizeof(*text));
    text[length] = state->now.root;
    uint32_t next = 0; // behind the earlier occurrence
    for (uint32_t size = ngram; size >= 1 && size >= (ngram < 2 ? ngram : 2) && !next; size--) {
        for (uint32_t end = length; end >= size && !next; end--) { // text[end - size .. end - 1]
            if (!memcmp(&text[end - size], &text[length + 1 - size], size * sizeof(*text))) next = end;
        }
    }
    for (uint32_t parent = 0; next && next <= length; next++) {
        const uint32_t child = child_with(batch, parent, text[next]);
        if (child == SX_NONE && !room_under(batch, parent, settings, rows)) break;
        parent = child == SX_NONE ? add_row(batch, parent, text[next]) : child;
    }
    free(text);
}

void reference_select(const SxTree *tree, uint32_t ngram, const SxState *state, const SxSettings *settings,
                      const uint32_t *flags, const uint32_t *history, uint32_t rows, SxBatch *batch)
{
    const SxThought *now = &state->now;
    clear_rows(batch, now->length);
    batch->base = now->length;
    batch->root_is_prompt = state->root_is_prompt;
    if (state->done || now->root == SX_NONE) return;
    add_row(batch, SX_NONE, now->root);
    if (state->forced_count > 1) {
        const uint32_t first = settings->exit_count - state->forced_count;
        for (uint32_t i = 1; i < state->forced_count && room_under(batch, i - 1, settings, rows); i++) {
            add_row(batch, i - 1, settings->exit_tokens[first + i]);
        }
        return;
    }
    const bool trial =
        sx_policy_wants_trial(now, settings, state->forced_count, flags_of(settings, flags, now->root)) &&
        room_under(batch, 0, settings, rows);
    if (trial) add_row(batch, 0, settings->close[0]);
    if (tree) {
        SxTree *marked = malloc(sizeof(*marked));
        *marked = *tree;
        marked->reserved0 = trial;
        add_tree(marked, settings, rows, batch);
        free(marked);
    } else if (ngram) {
        add_ngram(ngram, state, settings, history, rows, batch);
    }
}

void reference_extend_batch(const SxState *state, SxBatch *batch, SxBatch *last)
{
    const uint32_t count = state->path_count, end = count ? count - 1 : 0;
    const uint32_t root = state->now.root == SX_NONE ? 0 : state->now.root;
    clear_rows(batch, state->path_base);
    clear_rows(last, state->path_base + end);
    batch->base = last->base = SX_DIRECT;
    batch->count = count;
    last->count = count ? 1 : 0;
    for (uint32_t row = 0; row < count; row++) {
        batch->token[row] = row == end ? root : state->path_token[row + 1];
        batch->position[row] = state->path_base + row;
        batch->source[row] = state->path_row[row];
    }
    last->token[0] = root;
    last->position[0] = state->path_base + end;
    last->source[0] = end;
}
