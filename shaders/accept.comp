// One cycle of acceptance: sx_policy_accept of engine/policy.h, which is its specification, word for word.
//
// batch, samples, signals: rows of the verify pass. One small workgroup: invocation 0 walks (it commits a token, takes
// the policy's step and finds the next row), all of them keep the loop guard's runs. The loop over the path is as long
// as the batch is deep, with idle rounds behind the path's end, so that barriers stand in uniform control flow.
// Few lanes on purpose: drivers on CPUs run the walk once for every subgroup, masked.
// Dispatched by sx_op_accept.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shared.h"

layout(local_size_x = LANES) in;
layout(binding = 0, std140) uniform Parameters {
    uint rows;
    uint has_signals;
} p;
layout(binding = 1, std430) readonly buffer Batch { SxBatch batch; };
layout(binding = 2, std430) readonly buffer Samples { SxSample samples[]; };
layout(binding = 3, std430) readonly buffer Signals { float signals[]; };
layout(binding = 4, std430) readonly buffer Settings { SxSettings settings; uint token_flags[]; };
layout(binding = 5, std430) buffer State { SxState state; };
layout(binding = 6, std430) buffer History { uint history[]; };
layout(binding = 7, std430) buffer Counts { uint counts[]; };

shared uint row_token[SX_MAX_ROWS], row_parent[SX_MAX_ROWS];
shared uint path_token[SX_MAX_PATH];
shared uint current_row, run_mode, base, path_length, snapshot;
shared uint loop_seen;

uint committed(uint position)
{
    uint token;
    if (position >= base) {
        token = path_token[min(position - base, SX_MAX_PATH - 1u)];
    } else {
        token = history[position];
    }
    return token;
}

#include "flags.glsl"
#include "policy.glsl"
#include "trial.glsl"

uint child_of(uint row, uint count, uint token)
{
    uint child = SX_NONE;
    for (uint candidate = row + 1u; candidate < count && child == SX_NONE; ++candidate) {
        if (row_parent[candidate] == row && row_token[candidate] == token) child = candidate;
    }
    return child;
}

vec3 raw_signals(uint row)
{
    vec3 raw = vec3(0.0);
    if (p.has_signals != 0u) raw = vec3(signals[row * 4u], signals[row * 4u + 1u], signals[row * 4u + 2u]);
    return raw;
}

// What invocation 0 carries from token to token.
uint forced_count, done, emitted, next_token, exit_count, score_count, row_count;
bool prompt_root, boundary_seen;
vec3 score_sum;

void load_head()
{
    head.token_count = state.now.token_count;
    head.thinking = state.now.thinking;
    head.thinking_start = state.now.thinking_start;
    head.thinking_tokens = state.now.thinking_tokens;
    head.scores = state.now.scores;
    head.window_count = state.now.window_count;
    head.window_next = state.now.window_next;
    for (uint s = 0u; s < SX_SIGNALS; ++s) {
        head.smoothed[s] = state.now.smoothed[s];
    }
    for (uint i = 0u; i < SX_SIGNALS * SX_SIGNAL_WINDOW; ++i) {
        head.window[i] = state.now.window[i];
    }
}

void store_now(uint root)
{
    state.now.token_count = head.token_count;
    state.now.root = root;
    state.now.thinking = head.thinking;
    state.now.thinking_start = head.thinking_start;
    state.now.thinking_tokens = head.thinking_tokens;
    state.now.scores = head.scores;
    state.now.window_count = head.window_count;
    state.now.window_next = head.window_next;
    for (uint s = 0u; s < SX_SIGNALS; ++s) {
        state.now.smoothed[s] = head.smoothed[s];
    }
    for (uint i = 0u; i < SX_SIGNALS * SX_SIGNAL_WINDOW; ++i) {
        state.now.window[i] = head.window[i];
    }
}

// All of the snapshot but the runs, which all invocations add.
void store_exit(uint root, uint reason)
{
    state.exit.token_count = head.token_count;
    state.exit.root = root;
    state.exit.thinking = head.thinking;
    state.exit.thinking_start = head.thinking_start;
    state.exit.thinking_tokens = head.thinking_tokens;
    state.exit.scores = head.scores;
    state.exit.window_count = head.window_count;
    state.exit.window_next = head.window_next;
    for (uint s = 0u; s < SX_SIGNALS; ++s) {
        state.exit.smoothed[s] = head.smoothed[s];
    }
    for (uint i = 0u; i < SX_SIGNALS * SX_SIGNAL_WINDOW; ++i) {
        state.exit.window[i] = head.window[i];
    }
    snapshot = reason == SX_EXIT_LOOP ? 2u : 1u;
}

void report_exit(uint reason, uint index, uint wanted)
{
    state.exit_reason = reason;
    state.result.exit_reason = reason;
    state.result.exit_index = index;
    state.result.wanted = wanted;
}

void store_row(uint index, uint row, bool inside)
{
    state.path_row[index] = row;
    state.path_token[index] = row_token[row];
    state.result.path[index] = row_token[row];
    state.result.logprob[index] = samples[row].logprob;
    state.result.margin[index] = samples[row].margin;
    state.result.entropy[index] = samples[row].entropy;
    const vec3 raw = raw_signals(row);
    for (uint s = 0u; s < SX_SIGNALS; ++s) {
        state.result.raw[index * SX_SIGNALS + s] = raw[s];
        state.result.smoothed[index * SX_SIGNALS + s] = inside ? head.smoothed[s] : 0.0;
    }
}

// The step's verdict on path[index] = row; the runs are advanced already.
uint decide_row(uint index, uint row, bool generated, bool forced, bool inside, bool loops)
{
    uint reason = SX_EXIT_NONE;
    const uint token = row_token[row];
    const uint flags = flags_of(token);
    if (inside && generated && !forced) {
        const vec3 raw = raw_signals(row);
        uint trial = SX_NONE;
        if (index == 0u && settings.close_count != 0u) trial = child_of(row, row_count, settings.close[0]);
        const float entropy = samples[trial == SX_NONE ? row : trial].entropy;
        reason = policy_decide(flags, p.has_signals != 0u, raw, samples[row].margin, trial != SX_NONE, entropy, loops);
        if (p.has_signals != 0u) {
            precise vec3 sum = score_sum + raw;
            score_sum = sum;
            score_count += 1u;
            boundary_seen = boundary_seen || (flags & settings.split_mask) != 0u;
        }
    }
    if (generated && token < settings.vocabulary) counts[token] += 1u;
    return reason;
}

// The token after path[index] = row, in next_token, or SX_NONE with `done` set: choose_next of policy.c.
// `closed`: it completed the close marker.
void choose_next(uint index, uint row, uint verdict, bool generated, bool loops, bool closed)
{
    const uint wanted = samples[row].token;
    const bool ends = (flags_of(wanted) & SX_TOKEN_END) != 0u;
    uint reason = verdict;
    uint left_by = SX_EXIT_NONE; // where thinking can be taken up again
    next_token = SX_NONE;
    if (head.token_count >= settings.end_position) {
        done = SX_DONE_LENGTH;
    } else if (forced_count == 0u && generated &&
               ((head.thinking != SX_THINKING_INSIDE && loops) || (reason == SX_EXIT_LOOP && exit_count == 0u))) {
        done = SX_DONE_LOOP;
    } else {
        if (reason == SX_EXIT_NONE && ends && settings.end_closes != 0u && head.thinking == SX_THINKING_INSIDE &&
            forced_count == 0u) {
            reason = SX_EXIT_NATURAL;
        }
        if (reason != SX_EXIT_NONE && exit_count != 0u) {
            left_by = reason;
            report_exit(reason, index, wanted);
            forced_count = exit_count;
        }
        if (forced_count == 0u && closed && ends) forced_count = min(settings.answer_count, exit_count);
        emitted += 1u;
        next_token = wanted;
        if (forced_count != 0u) {
            next_token = settings.exit_tokens[(exit_count - forced_count) % SX_MAX_FORCED];
        } else if (ends) {
            done = SX_DONE_END;
        } else {
            const bool closing = marker_at(head.token_count, wanted) == MARKER_CLOSES;
            bool beginning = head.thinking == SX_THINKING_INSIDE && settings.close_count != 0u;
            if (beginning) beginning = wanted == settings.close[0];
            if (beginning && (!closing || settings.close_count == 1u)) left_by = SX_EXIT_NATURAL;
            if (closing) report_exit(SX_EXIT_NATURAL, index, wanted);
        }
    }
    if (left_by != SX_EXIT_NONE) store_exit(wanted, left_by);
}

void smooth_cycle()
{
    if (settings.reference_mode != 0u && score_count != 0u && head.thinking == SX_THINKING_INSIDE &&
        forced_count == 0u) {
        precise vec3 mean = score_sum * policy_reciprocal[score_count];
        policy_smooth(mean);
        if (boundary_seen) policy_after_boundary();
    }
}

void begin_cycle()
{
    base = state.now.token_count;
    load_head();
    forced_count = state.forced_count;
    done = state.done;
    emitted = state.generated;
    next_token = state.now.root;
    prompt_root = state.root_is_prompt != 0u;
    boundary_seen = false;
    score_count = 0u;
    score_sum = vec3(0.0);
    row_count = min(batch.count, min(p.rows, uint(SX_MAX_ROWS)));
    exit_count = min(settings.exit_count, uint(SX_MAX_FORCED));
    const bool idle = done != SX_DONE_NO || row_count == 0u;
    current_row = idle ? SX_NONE : 0u;
    path_length = 0u;
    state.cycle += 1u;
    state.path_base = base;
    state.result.cycle = state.cycle;
    state.result.exit_reason = SX_EXIT_NONE;
    state.result.exit_index = 0u;
    state.result.wanted = 0u;
    state.result.drafted = idle ? 0u : row_count - 1u;
    state.result.root_is_prompt = idle ? 0u : state.root_is_prompt;
    for (uint i = 0u; i < 3u; ++i) {
        state.result.reserved[i] = 0u;
    }
}

void end_cycle()
{
    smooth_cycle();
    store_now(next_token);
    if (path_length != 0u) state.root_is_prompt = 0u;
    state.done = done;
    state.generated = emitted;
    state.forced_count = forced_count;
    state.path_count = path_length;
    state.result.done = done;
    state.result.path_count = path_length;
    state.result.token_count = head.token_count;
    state.result.root = next_token;
    uint thinking = head.thinking;
    if (next_token != SX_NONE) {
        const uint marker = marker_at(head.token_count, next_token);
        if (marker == MARKER_OPENS) thinking = SX_THINKING_INSIDE;
        if (marker == MARKER_CLOSES) thinking = SX_THINKING_AFTER;
    }
    state.result.thinking = thinking;
    state.result.thinking_tokens = head.thinking_tokens;
    state.result.forced = forced_count;
}

// Lines of the path that were not used are zero.
void clear_row(uint index)
{
    state.path_row[index] = 0u;
    state.path_token[index] = 0u;
    state.result.path[index] = 0u;
    state.result.logprob[index] = 0.0;
    state.result.margin[index] = 0.0;
    state.result.entropy[index] = 0.0;
    for (uint s = 0u; s < SX_SIGNALS; ++s) {
        state.result.raw[index * SX_SIGNALS + s] = 0.0;
        state.result.smoothed[index * SX_SIGNALS + s] = 0.0;
    }
}

// Rounds the walk can take: one more than the deepest row is deep.
uint deepest_path()
{
    uint deepest = 0u;
    for (uint row = 0u; row < min(batch.count, uint(SX_MAX_ROWS)); ++row) {
        deepest = max(deepest, batch.position[row]);
    }
    return min(deepest - min(batch.position[0], deepest) + 1u, uint(SX_MAX_PATH));
}

void advance_runs(uint lane, uint position, uint token, uint mode)
{
    const uint repeats = settings.loop_repeats, tokens = settings.loop_tokens;
    bool loops = false;
    for (uint i = lane; i < SX_MAX_PERIOD; i += LANES) {
        const uint period = i + 1u;
        uint length = state.now.run[i];
        if (mode == RUNS_ADVANCE) {
            bool same = position >= period;
            if (same) same = committed(position - period) == token;
            length = same ? length + 1u : 0u;
        }
        if (mode == RUNS_CLEAR) length = 0u;
        state.now.run[i] = length;
        loops = loops || (length != 0u && length >= max(tokens, period * repeats));
    }
    if (loops && repeats != 0u) atomicOr(loop_seen, 1u);
}

void main()
{
    const uint lane = gl_LocalInvocationIndex;
    const uint rounds = deepest_path();
    for (uint row = lane; row < SX_MAX_ROWS; row += LANES) {
        row_token[row] = batch.token[row];
        row_parent[row] = batch.parent[row];
    }
    bool generated = false, forced = false, inside = false, closed = false;
    if (lane == 0u) begin_cycle();
    barrier();

    for (uint index = 0u; index < rounds; ++index) {
        // The next token of the path: length and markers.
        if (lane == 0u) {
            run_mode = RUNS_KEEP;
            loop_seen = 0u;
            if (current_row != SX_NONE) {
                const uint token = row_token[current_row];
                inside = head.thinking == SX_THINKING_INSIDE;
                generated = index != 0u || !prompt_root;
                forced = forced_count != 0u;
                run_mode = policy_advance(base + index, token, generated, forced);
                closed = inside && head.thinking == SX_THINKING_AFTER;
                inside = inside && head.thinking == SX_THINKING_INSIDE;
                path_token[index] = token;
                path_length = index + 1u;
            }
        }
        barrier();
        advance_runs(lane, base + index, path_token[index], run_mode);
        barrier();
        // The decision, and where the path goes on.
        if (lane == 0u) snapshot = 0u;
        if (lane == 0u && current_row != SX_NONE) {
            const uint row = current_row;
            const bool loops = loop_seen != 0u;
            const uint reason = decide_row(index, row, generated, forced, inside, loops);
            history[base + index] = row_token[row];
            if (forced) forced_count -= 1u;
            store_row(index, row, inside);
            choose_next(index, row, reason, generated, loops, closed);
            current_row = SX_NONE;
            if (done == SX_DONE_NO &&
                !wants_trial(head.thinking, head.thinking_tokens, forced_count, flags_of(next_token))) {
                current_row = child_of(row, row_count, next_token);
            }
        }
        barrier();
        if (snapshot != 0u) {
            for (uint i = lane; i < SX_MAX_PERIOD; i += LANES) {
                state.exit.run[i] = snapshot == 2u ? 0u : state.now.run[i];
            }
        }
    }

    if (lane == 0u) end_cycle();
    for (uint i = lane; i < SX_MAX_PATH; i += LANES) {
        if (i >= path_length) clear_row(i);
    }
}
