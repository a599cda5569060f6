#include "state.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The defaults of specexit.h, until a model says what it was calibrated with.
static const sx_exit_thresholds usual = {
    .confidence = 0.8f, .progress = 0.3f, .remain = 200, .margin = -3, .entropy = 0.5f};

void chat_state_init(chat_state *state, uint64_t seed)
{
    *state = (chat_state){.next_seed = seed, .calibrated = usual};
    chat_settings_default(&state->settings);
    chat_new_conversation(state, 0);
}

void chat_message_free(chat_message *message)
{
    fe_text_free(&message->thinking);
    fe_text_free(&message->content);
    fe_text_free(&message->failure);
    free(message->points);
}

static void free_conversation(chat_conversation *conversation)
{
    for (uint32_t i = 0; i < conversation->count; i++)
        chat_message_free(&conversation->messages[i]);
    free(conversation->messages);
    free(conversation->title);
    free(conversation);
}

void chat_state_free(chat_state *state)
{
    for (uint32_t i = 0; i < state->count; i++)
        free_conversation(state->conversations[i]);
    free(state->conversations);
    for (uint32_t i = 0; i < state->waiting_count; i++)
        free(state->waiting[i].text);
    free(state->waiting);
    fe_text_free(&state->notice);
    *state = (chat_state){0};
}

void chat_tell(chat_state *state, const char *notice, chat_notice_end end)
{
    chat_text_set(&state->notice, notice, strlen(notice));
    state->notice_end = end;
}

// ---- Conversations -------------------------------------------------------------------------------------------------

chat_conversation *chat_add_conversation(chat_state *state)
{
    if (state->count == state->capacity) {
        state->capacity = state->capacity ? state->capacity * 2 : 16;
        state->conversations = fe_reallocate(state->conversations, state->capacity, sizeof(chat_conversation *));
    }
    chat_conversation *conversation = fe_reallocate(NULL, 1, sizeof *conversation);
    *conversation = (chat_conversation){
        .title = fe_copy_string("New chat"), .steering = state->settings.steering, .selected = -1, .matches = true};
    return state->conversations[state->count++] = conversation;
}

static uint32_t find_conversation(const chat_state *state, const chat_conversation *conversation)
{
    for (uint32_t i = 0; i < state->count; i++)
        if (state->conversations[i] == conversation) return i;
    assert(!"a conversation of another state");
    return 0;
}

void chat_conversation_touch(chat_state *state, chat_conversation *conversation, int64_t now)
{
    uint32_t at = find_conversation(state, conversation);
    memmove(state->conversations + 1, state->conversations, at * sizeof *state->conversations);
    state->conversations[0] = conversation;
    conversation->updated = now;
    conversation->dirty = true;
}

chat_conversation *chat_new_conversation(chat_state *state, int64_t now)
{
    for (uint32_t i = 0; i < state->count; i++) {
        chat_conversation *kept = state->conversations[i];
        if (kept->count || kept->id || chat_waiting(state, kept)) continue;
        kept->steering = state->settings.steering;
        state->current = kept;
        return kept;
    }
    chat_conversation *conversation = chat_add_conversation(state);
    conversation->loaded = true;
    chat_conversation_touch(state, conversation, now);
    conversation->dirty = false;
    state->current = conversation;
    return conversation;
}

void chat_select_conversation(chat_state *state, chat_conversation *conversation)
{
    find_conversation(state, conversation);
    state->current = conversation;
    state->settings.steering = conversation->steering;
}

void chat_steer(chat_state *state, chat_steering steering)
{
    chat_steering_clamp(&steering);
    state->current->steering = state->settings.steering = steering;
    state->current->dirty = true;
}

static char *remove_waiting(chat_state *state, uint32_t at)
{
    char *text = state->waiting[at].text;
    memmove(state->waiting + at, state->waiting + at + 1, (--state->waiting_count - at) * sizeof *state->waiting);
    return text;
}

bool chat_delete_conversation(chat_state *state, chat_conversation *conversation, int64_t now)
{
    if (state->streaming == conversation) return false;
    uint32_t at = find_conversation(state, conversation);
    memmove(state->conversations + at, state->conversations + at + 1,
            (state->count - at - 1) * sizeof *state->conversations);
    state->count--;
    for (uint32_t i = state->waiting_count; i-- > 0;)
        if (state->waiting[i].conversation == conversation) free(remove_waiting(state, i));
    bool shown = state->current == conversation;
    free_conversation(conversation);
    if (!shown) return true;
    state->current = NULL;
    if (state->count) {
        chat_select_conversation(state, state->conversations[at < state->count ? at : state->count - 1]);
    } else {
        chat_new_conversation(state, now);
    }
    return true;
}

void chat_rename_conversation(chat_conversation *conversation, const char *title)
{
    while (*title == ' ')
        title++;
    if (!*title) return;
    free(conversation->title);
    conversation->title = fe_copy_string(title);
    conversation->named = true;
    conversation->dirty = true;
}

void chat_title_from(chat_conversation *conversation, const char *text)
{
    enum { LIMIT = 48 };
    text += strspn(text, " \t\n");
    if (!*text) return;
    size_t length = strcspn(text, "\n");
    bool cut = length > LIMIT;
    if (cut) {
        length = LIMIT;
        while (length > LIMIT / 2 && text[length] != ' ')
            length--;
        length = chat_utf8_cut(text, length + 1, length);
    }
    fe_text title = {0};
    fe_text_append(&title, text, length);
    if (cut) fe_text_add(&title, "…");
    free(conversation->title);
    conversation->title = title.data;
    conversation->dirty = true;
}

// ---- Messages ------------------------------------------------------------------------------------------------------

chat_message *chat_add_message(chat_conversation *conversation, int32_t parent, sx_role role)
{
    if (conversation->count == conversation->capacity) {
        conversation->capacity = conversation->capacity ? conversation->capacity * 2 : 16;
        conversation->messages =
            fe_reallocate(conversation->messages, conversation->capacity, sizeof *conversation->messages);
    }
    int32_t index = (int32_t)conversation->count++;
    chat_message *message = &conversation->messages[index];
    *message = (chat_message){.parent = parent, .selected = -1, .role = role, .dirty = true, .version = 1};
    if (parent < 0) {
        conversation->selected = index;
        conversation->dirty = true;
    } else {
        conversation->messages[parent].selected = index;
        conversation->messages[parent].dirty = true;
    }
    return message;
}

uint32_t chat_path(const chat_conversation *conversation, uint32_t *path, uint32_t capacity)
{
    uint32_t count = 0;
    for (int32_t at = conversation->selected;
         at >= 0 && (uint32_t)at < conversation->count && count < conversation->count;
         at = conversation->messages[at].selected) {
        if (count < capacity) path[count] = (uint32_t)at;
        count++;
    }
    return count;
}

int32_t chat_path_last(const chat_conversation *conversation)
{
    int32_t last = -1;
    uint32_t count = 0;
    for (int32_t at = conversation->selected;
         at >= 0 && (uint32_t)at < conversation->count && count++ < conversation->count;
         at = conversation->messages[at].selected)
        last = at;
    return last;
}

void chat_siblings(const chat_conversation *conversation, uint32_t message, uint32_t *position, uint32_t *count)
{
    *position = *count = 0;
    for (uint32_t i = 0; i < conversation->count; i++) {
        if (conversation->messages[i].parent != conversation->messages[message].parent) continue;
        if (i == message) *position = *count;
        ++*count;
    }
}

int32_t chat_last_branch(const chat_conversation *conversation)
{
    // Counted for all parents in one walk, or a long conversation would be walked through for each of its messages.
    uint32_t count = conversation->count, *children = fe_reallocate(NULL, count + 1, sizeof *children);
    uint32_t *path = fe_reallocate(NULL, count, sizeof *path), left = chat_path(conversation, path, count);
    int32_t last = -1;
    memset(children, 0, (count + 1) * sizeof *children); // [0]: without a parent
    for (uint32_t i = 0; i < count; i++)
        if (conversation->messages[i].parent + 1u <= count) children[conversation->messages[i].parent + 1]++;
    while (last < 0 && left-- > 0) {
        uint32_t parent = (uint32_t)conversation->messages[path[left]].parent + 1;
        if (parent <= count && children[parent] > 1) last = (int32_t)path[left];
    }
    free(children);
    free(path);
    return last;
}

bool chat_select_sibling(chat_conversation *conversation, uint32_t message, int direction)
{
    int32_t parent = conversation->messages[message].parent;
    for (int64_t i = (int64_t)message + direction; i >= 0 && i < conversation->count; i += direction) {
        if (conversation->messages[i].parent != parent) continue;
        if (parent < 0) {
            conversation->selected = (int32_t)i;
            conversation->dirty = true;
        } else {
            conversation->messages[parent].selected = (int32_t)i;
            conversation->messages[parent].dirty = true;
        }
        return true;
    }
    return false;
}

// ---- Talking -------------------------------------------------------------------------------------------------------

static uint32_t say_in(chat_state *state, chat_conversation *conversation, int32_t parent, const char *text,
                       int64_t now)
{
    chat_message *message = chat_add_message(conversation, parent, SX_ROLE_USER);
    fe_text_add(&message->content, text);
    message->complete = true;
    if (parent < 0 && !conversation->named) chat_title_from(conversation, text);
    chat_conversation_touch(state, conversation, now);
    return conversation->count - 1;
}

uint32_t chat_say(chat_state *state, int32_t parent, const char *text, int64_t now)
{
    return say_in(state, state->current, parent, text, now);
}

// The profile's rule that a conversation follows; NULL: none.
static const sx_exit_rule *rule_of(const chat_state *state, const chat_steering *steering)
{
    bool by_signals = steering->policy == SX_POLICY_AUTO || steering->policy == SX_POLICY_SIGNALS;
    return by_signals ? chat_rule(state, steering->effort) : NULL;
}

static uint32_t begin_reply_in(chat_state *state, chat_conversation *conversation, uint32_t parent, double now)
{
    assert(!state->streaming);
    chat_message *message = chat_add_message(conversation, (int32_t)parent, SX_ROLE_ASSISTANT);
    message->seed = state->settings.seed ? state->settings.seed : ++state->next_seed;
    if (conversation->steering.effort < 0.995f) {
        sx_exit_thresholds thresholds = chat_thresholds_of(state, &conversation->steering);
        message->thresholds = (chat_thresholds){thresholds.confidence, thresholds.progress, thresholds.remain};
    }
    sx_watch_begin(&state->watch, rule_of(state, &conversation->steering) ? &state->profile.range : NULL);
    state->streaming = conversation;
    state->reply = conversation->count - 1;
    state->started = now;
    state->first_text = 0;
    state->prefill_done = state->prefill_total = 0;
    return state->reply;
}

uint32_t chat_begin_reply(chat_state *state, uint32_t parent, double now)
{
    return begin_reply_in(state, state->current, parent, now);
}

// ---- Questions that wait -------------------------------------------------------------------------------------------

void chat_wait(chat_state *state, int32_t edited, const char *text)
{
    if (state->waiting_count == state->waiting_capacity) {
        state->waiting_capacity = state->waiting_capacity ? state->waiting_capacity * 2 : 4;
        state->waiting = fe_reallocate(state->waiting, state->waiting_capacity, sizeof *state->waiting);
    }
    state->waiting[state->waiting_count++] =
        (chat_question){.conversation = state->current, .edited = edited, .text = fe_copy_string(text)};
}

uint32_t chat_waiting(const chat_state *state, const chat_conversation *conversation)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < state->waiting_count; i++)
        count += state->waiting[i].conversation == conversation;
    return count;
}

char *chat_take_back(chat_state *state, int32_t *edited)
{
    for (uint32_t i = state->waiting_count; i-- > 0;) {
        if (state->waiting[i].conversation != state->current) continue;
        *edited = state->waiting[i].edited;
        return remove_waiting(state, i);
    }
    return NULL;
}

// Where the conversation ends by now, unless another question is replaced.
static uint32_t say_oldest(chat_state *state, int64_t date)
{
    chat_question question = state->waiting[0];
    chat_conversation *conversation = question.conversation;
    int32_t parent =
        question.edited >= 0 ? conversation->messages[question.edited].parent : chat_path_last(conversation);
    uint32_t said = say_in(state, conversation, parent, question.text, date);
    free(remove_waiting(state, 0));
    return said;
}

bool chat_ask_next(chat_state *state, int64_t date, double now)
{
    if (state->streaming || state->waiting_count == 0) return false;
    chat_conversation *conversation = state->waiting[0].conversation;
    uint32_t question = say_oldest(state, date);
    begin_reply_in(state, conversation, question, now);
    return true;
}

void chat_say_waiting(chat_state *state, int64_t date)
{
    while (state->waiting_count)
        say_oldest(state, date);
}

int32_t chat_regenerate_parent(const chat_conversation *conversation)
{
    int32_t last = chat_path_last(conversation);
    while (last >= 0 && conversation->messages[last].role != SX_ROLE_USER)
        last = conversation->messages[last].parent;
    return last;
}

uint32_t chat_prompt(const chat_conversation *conversation, uint32_t last, sx_message *messages, uint32_t capacity)
{
    uint32_t count = 0;
    for (int32_t at = (int32_t)last; at >= 0; at = conversation->messages[at].parent)
        count++;
    uint32_t place = count;
    for (int32_t at = (int32_t)last; at >= 0; at = conversation->messages[at].parent) {
        const chat_message *message = &conversation->messages[at];
        if (--place >= capacity) continue;
        messages[place] = (sx_message){.role = message->role,
                                       .content = fe_text_string(&message->content),
                                       .reasoning = message->thinking.length ? message->thinking.data : NULL};
    }
    return count;
}

static void take_point(chat_message *message, const sx_event *event)
{
    if (message->point_count == message->point_capacity) {
        message->point_capacity = message->point_capacity ? message->point_capacity * 2 : 256;
        message->points = fe_reallocate(message->points, message->point_capacity, sizeof *message->points);
    }
    message->points[message->point_count++] = (chat_point){.token_index = event->token_index,
                                                           .boundary = event->boundary,
                                                           .has_signals = event->has_signals,
                                                           .smoothed = event->smoothed,
                                                           .margin = event->margin,
                                                           .entropy = event->entropy};
}

static void take_exit(chat_state *state, chat_message *message, const sx_event *event)
{
    message->left = true;
    message->exit_reason = event->exit_reason;
    message->exit_token = event->token_index;
    sx_exit_sentence(event, message->exit_sentence, sizeof message->exit_sentence);
    bool early = event->exit_reason != SX_REASON_NATURAL && event->exit_reason != SX_REASON_NONE;
    if (early && event->has_signals && event->smoothed.remain > 0.5f && event->smoothed.remain < 1e6f) {
        message->saved_tokens = (uint32_t)lroundf(event->smoothed.remain);
        state->saved_tokens += message->saved_tokens;
        if (message->tokens_per_second > 0) state->saved_seconds += message->saved_tokens / message->tokens_per_second;
    }
}

// The engine's own counts come with the last event; until then they are told from the pieces of text.
static void take_stats(chat_message *message, const sx_stats *stats, double seconds)
{
    message->seconds = seconds;
    if (stats->thinking_tokens) message->thinking_tokens = stats->thinking_tokens;
    if (stats->tokens) message->tokens = stats->tokens;
    if (stats->acceptance_length > 0) message->acceptance = stats->acceptance_length;
    if (stats->decode_seconds > 0.05 && stats->tokens)
        message->tokens_per_second = stats->tokens / stats->decode_seconds;
}

static void take_text(chat_state *state, chat_message *message, const sx_event *event, double now)
{
    uint32_t end = event->first_token + event->token_count;
    if (state->first_text <= 0) {
        state->first_text = now;
        state->first_token = end;
    }
    if (event->stats.tokens == 0) {
        message->tokens = end;
        if (event->channel == SX_CHANNEL_THINKING) message->thinking_tokens = end;
        double elapsed = now - state->first_text;
        if (elapsed > 0.1 && end > state->first_token)
            message->tokens_per_second = (end - state->first_token) / elapsed;
    }
    fe_text *text = event->channel == SX_CHANNEL_THINKING ? &message->thinking : &message->content;
    if (event->length) fe_text_append(text, event->text, event->length);
    if (!message->left || event->first_token <= message->exit_token) message->exit_length = message->thinking.length;
}

static void watch_event(chat_state *state, const sx_event *event)
{
    static const char unlike[] =
        "This question looks unlike those the profile was calibrated on: its accuracy may not hold.";
    if (sx_watch_unlike(&state->watch)) return; // said already
    sx_watch_event(&state->watch, event);
    if (sx_watch_unlike(&state->watch)) chat_tell(state, unlike, NOTICE_STAYS);
}

void chat_apply_event(chat_state *state, const sx_event *event, double now)
{
    if (!state->streaming) return;
    watch_event(state, event);
    chat_message *message = &state->streaming->messages[state->reply];
    take_stats(message, &event->stats, now - state->started);
    message->version++;
    message->dirty = true;
    switch (event->kind) {
    case SX_EVENT_PREFILL:
        state->prefill_done = event->prefill_done;
        state->prefill_total = event->prefill_total;
        break;
    case SX_EVENT_TEXT:
        state->prefill_total = 0;
        take_text(state, message, event, now);
        break;
    case SX_EVENT_SIGNALS:
        take_point(message, event);
        break;
    case SX_EVENT_EXIT:
        take_exit(state, message, event);
        break;
    case SX_EVENT_DONE:
        message->complete = true;
        message->done_reason = event->done_reason;
        state->streaming = NULL;
        break;
    }
}

void chat_fail_reply(chat_state *state, const char *reason)
{
    if (!state->streaming) return;
    chat_message *message = &state->streaming->messages[state->reply];
    chat_text_set(&message->failure, reason, strlen(reason));
    message->complete = true;
    message->dirty = true;
    message->version++;
    state->streaming = NULL;
}

bool chat_can_keep_thinking(const chat_state *state)
{
    const chat_conversation *conversation = state->current;
    int32_t last = chat_path_last(conversation);
    return last >= 0 && conversation->messages[last].role == SX_ROLE_ASSISTANT && conversation->messages[last].left &&
           (!state->streaming || (state->streaming == conversation && state->reply == (uint32_t)last));
}

bool chat_keep_thinking(chat_state *state, double now)
{
    if (!chat_can_keep_thinking(state)) return false;
    chat_conversation *conversation = state->current;
    uint32_t last = (uint32_t)chat_path_last(conversation);
    chat_message *message = &conversation->messages[last];
    fe_text_clear(&message->content);
    if (message->exit_length < message->thinking.length)
        chat_text_remove(&message->thinking, message->exit_length, message->thinking.length - message->exit_length);
    while (message->point_count && message->points[message->point_count - 1].token_index > message->exit_token)
        message->point_count--;
    message->left = false;
    message->complete = false;
    message->done_reason = 0;
    message->exit_sentence[0] = 0;
    state->saved_tokens -= message->saved_tokens < state->saved_tokens ? message->saved_tokens : state->saved_tokens;
    message->saved_tokens = 0;
    message->dirty = true;
    message->version++;
    state->first_text = 0;
    if (!state->streaming) {
        state->streaming = conversation;
        state->reply = last;
        state->started = now - message->seconds;
    }
    return true;
}

bool chat_is_thinking(const chat_message *message)
{
    return !message->complete && !message->left && message->content.length == 0;
}

chat_forecast chat_thinking_forecast(const chat_message *message)
{
    chat_forecast forecast = {.seconds = -1};
    for (uint32_t i = message->point_count; i-- > 0;) {
        if (!message->points[i].has_signals) continue;
        const sx_signals *signals = &message->points[i].smoothed;
        forecast.known = true;
        forecast.progress = chat_clamp(signals->progress, 0, 1, 0);
        forecast.tokens = (uint32_t)chat_clamp(signals->remain, 0, 1e6f, 0);
        if (message->tokens_per_second > 0) forecast.seconds = forecast.tokens / message->tokens_per_second;
        break;
    }
    return forecast;
}

void chat_thinking_sentence(const chat_message *message, char *text, size_t size)
{
    int length = snprintf(text, size, "Thought for %u token%s", message->thinking_tokens,
                          message->thinking_tokens == 1 ? "" : "s");
    if (length > 0 && (size_t)length < size && message->exit_sentence[0])
        snprintf(text + length, size - (size_t)length, " · %s", message->exit_sentence);
}

// ---- Settings to the engine ----------------------------------------------------------------------------------------

static float between(float little, float middle, float much, float effort)
{
    return effort < 0.5f ? little + (middle - little) * effort * 2 : middle + (much - middle) * (effort - 0.5f) * 2;
}

const sx_exit_rule *chat_rule(const chat_state *state, float effort)
{
    const sx_profile *profile = &state->profile;
    if (!profile->level_count || effort >= 0.995f) return NULL;
    if (chat_effort_is_calibrated(effort) && profile->has_chosen) return &profile->chosen;
    uint32_t level = (uint32_t)(effort * (float)profile->level_count);
    return &profile->levels[level < profile->level_count ? level : profile->level_count - 1];
}

sx_exit_thresholds chat_thresholds_of(const chat_state *state, const chat_steering *steering)
{
    float effort = steering->effort;
    const sx_exit_thresholds *middle = &state->calibrated;
    const sx_exit_rule *rule = rule_of(state, steering);
    if (rule)
        return (sx_exit_thresholds){.confidence = rule->confidence, .progress = rule->progress, .remain = rule->remain};
    return (sx_exit_thresholds){.confidence = between(0.3f, middle->confidence, 0.99f, effort),
                                .progress = between(0.02f, middle->progress, 0.95f, effort),
                                .remain = between(middle->remain * 5, middle->remain, 4, effort),
                                .margin = between(middle->margin - 5, middle->margin, -0.3f, effort),
                                .entropy = between(middle->entropy * 4, middle->entropy, 0.05f, effort)};
}

bool chat_effort_is_calibrated(float effort)
{
    return fabsf(effort - 0.5f) <= 0.01f;
}

sx_policy chat_policy(const chat_state *state, const chat_steering *steering)
{
    sx_policy policy = {.kind = steering->policy};
    const sx_exit_rule *rule = rule_of(state, steering);
    if (steering->effort >= 0.995f) {
        policy.kind = SX_POLICY_NONE;
    } else if (rule) {
        sx_exit_rule_apply(rule, &policy);
    } else if (!chat_effort_is_calibrated(steering->effort)) { // in the middle zeros ask for the calibrated ones
        sx_exit_thresholds thresholds = chat_thresholds_of(state, steering);
        policy.confidence = thresholds.confidence;
        policy.progress = thresholds.progress;
        policy.remain = thresholds.remain;
        policy.margin = thresholds.margin;
        policy.entropy = thresholds.entropy;
    }
    return policy;
}

static const char *effort_name(float effort)
{
    return effort < 0.15f    ? "Thinks very little"
           : effort < 0.45f  ? "Thinks less"
           : effort <= 0.55f ? "Thinks as calibrated"
           : effort < 0.85f  ? "Thinks more"
           : effort < 0.995f ? "Thinks long"
                             : "Thinks as long as it wants";
}

void chat_effort_text(const chat_state *state, float effort, char *text, size_t size)
{
    const sx_exit_rule *rule = chat_rule(state, effort);
    const sx_profile *profile = &state->profile;
    if (!rule) {
        snprintf(text, size, "%s", effort_name(effort));
    } else if (rule == &profile->chosen) {
        snprintf(text, size, "As chosen: about %.0f tokens, %.0f %% right", rule->tokens, 100 * rule->accuracy);
    } else {
        snprintf(text, size, "Level %u of %u: about %.0f tokens, %.0f %% right", (unsigned)(rule - profile->levels) + 1,
                 profile->level_count, rule->tokens, 100 * rule->accuracy);
    }
}
