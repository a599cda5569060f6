// The exit rule of engine/policy.h for one lane: smoothing, signals, markers, decision. The includer declares, before:
//   settings                     the SxSettings in force
//   uint committed(uint p)       the token at position p, of the committed ones and those of the path so far
// and after it calls these functions from one invocation only; `head` is what they work on.
#ifndef SX_POLICY_GLSL
#define SX_POLICY_GLSL

// SxThought without root and runs.
struct Head {
    uint token_count;
    uint thinking;
    uint thinking_start;
    uint thinking_tokens;
    uint scores;
    uint window_count;
    uint window_next;
    float smoothed[SX_SIGNALS];
    float window[SX_SIGNALS * SX_SIGNAL_WINDOW];
};
shared Head head;

// What a step makes of the runs of the loop guard.
#define RUNS_KEEP 0u
#define RUNS_ADVANCE 1u
#define RUNS_CLEAR 2u

const float policy_reciprocal[SX_MAX_PATH + 1] =
    float[](0.0, 1.0, 1.0 / 2.0, 1.0 / 3.0, 1.0 / 4.0, 1.0 / 5.0, 1.0 / 6.0, 1.0 / 7.0, 1.0 / 8.0, 1.0 / 9.0,
            1.0 / 10.0, 1.0 / 11.0, 1.0 / 12.0, 1.0 / 13.0, 1.0 / 14.0, 1.0 / 15.0, 1.0 / 16.0);

float window_mean(uint s)
{
    uint index = (head.window_next + SX_SIGNAL_WINDOW - head.window_count) % SX_SIGNAL_WINDOW;
    precise float sum = 0.0;
    for (uint i = 0u; i < head.window_count; ++i) {
        sum += head.window[s * SX_SIGNAL_WINDOW + index];
        index = (index + 1u) % SX_SIGNAL_WINDOW;
    }
    precise float mean = sum * policy_reciprocal[head.window_count];
    return mean;
}

float smoothed_score(uint s, float raw)
{
    precise float value = raw;
    if (settings.smoothing == SX_SMOOTHING_EWMA) {
        if (head.scores != 0u) {
            precise float step = settings.alpha * (raw - head.smoothed[s]);
            value = head.smoothed[s] + step;
        }
    } else if (settings.smoothing == SX_SMOOTHING_MOMENTUM) {
        if (head.window_count < SX_SIGNAL_WINDOW) {
            value = 0.0;
        } else {
            precise float step = (raw - head.window[s * SX_SIGNAL_WINDOW + head.window_next]) * policy_reciprocal[9];
            value = raw + step;
        }
    } else if (settings.smoothing == SX_SMOOTHING_MEAN || settings.smoothing == SX_SMOOTHING_PARAGRAPH_MEAN) {
        value = window_mean(s);
    }
    return value;
}

void policy_smooth(vec3 raw)
{
    const uint slot = head.window_next % SX_SIGNAL_WINDOW;
    head.window_next = (slot + 1u) % SX_SIGNAL_WINDOW;
    head.window_count = min(head.window_count + 1u, uint(SX_SIGNAL_WINDOW));
    for (uint s = 0u; s < SX_SIGNALS; ++s) {
        head.window[s * SX_SIGNAL_WINDOW + slot] = raw[s];
        head.smoothed[s] = smoothed_score(s, raw[s]);
    }
    head.scores += 1u;
}

void policy_after_boundary()
{
    if (settings.smoothing == SX_SMOOTHING_PARAGRAPH_MEAN && head.window_count != 0u) {
        const uint last = (head.window_next + SX_SIGNAL_WINDOW - 1u) % SX_SIGNAL_WINDOW;
        for (uint s = 0u; s < SX_SIGNALS; ++s) {
            head.window[s * SX_SIGNAL_WINDOW] = head.window[s * SX_SIGNAL_WINDOW + last];
        }
        head.window_count = 1u;
        head.window_next = 1u;
    }
}

// Not finite is told by the bits: compilers may assume that comparisons see no NaN.
bool finite(float value)
{
    return (floatBitsToUint(value) & 0x7F800000u) != 0x7F800000u;
}

bool usable_score(float score)
{
    return finite(score) && score != 0.0;
}

bool policy_signals_pass()
{
    const uint mask = settings.signal_mask;
    bool pass = (mask & 7u) != 0u;
    if ((mask & SX_SIGNAL_CONFIDENCE) != 0u) {
        pass = pass && usable_score(head.smoothed[0]) && head.smoothed[0] > settings.confidence_threshold;
    }
    if ((mask & SX_SIGNAL_PROGRESS) != 0u) {
        pass = pass && usable_score(head.smoothed[1]) && head.smoothed[1] > settings.progress_threshold;
    }
    if ((mask & SX_SIGNAL_REMAIN) != 0u) {
        pass = pass && usable_score(head.smoothed[2]) && head.smoothed[2] < settings.remain_threshold;
    }
    return pass;
}

// What `token` at `position` completes: a thought is opened before it, and closed inside of it.
#define MARKER_NONE 0u
#define MARKER_OPENS 1u
#define MARKER_CLOSES 2u

uint marker_at(uint position, uint token)
{
    const bool before = head.thinking == SX_THINKING_BEFORE;
    const bool inside = head.thinking == SX_THINKING_INSIDE;
    const uint count = min(before ? settings.open_count : settings.close_count, uint(SX_MAX_MARKER));
    bool same = (before || inside) && count != 0u && position + 1u >= count;
    if (same && inside) same = position + 1u - count >= head.thinking_start;
    uint there = token;
    for (uint i = 0u; same && i < count; ++i) {
        const uint place = count - 1u - i;
        if (i != 0u) there = committed(position - i);
        same = (before ? settings.open[place] : settings.close[place]) == there;
    }
    return !same ? MARKER_NONE : before ? MARKER_OPENS : MARKER_CLOSES;
}

// First half of sx_policy_step: length and markers; says what becomes of the runs.
uint policy_advance(uint position, uint token, bool generated, bool forced)
{
    uint runs = generated && !forced ? RUNS_ADVANCE : RUNS_KEEP;
    head.token_count = position + 1u;
    const uint marker = marker_at(position, token);
    if (marker == MARKER_OPENS) {
        head.thinking = SX_THINKING_INSIDE;
        head.thinking_start = position + 1u;
        head.thinking_tokens = 0u;
        head.scores = 0u;
        head.window_count = 0u;
        head.window_next = 0u;
        for (uint s = 0u; s < SX_SIGNALS; ++s) {
            head.smoothed[s] = 0.0;
        }
        for (uint i = 0u; i < SX_SIGNALS * SX_SIGNAL_WINDOW; ++i) {
            head.window[i] = 0.0;
        }
        runs = RUNS_CLEAR;
    } else if (marker == MARKER_CLOSES) {
        head.thinking = SX_THINKING_AFTER;
        if (!forced) {
            const uint counted = min(settings.close_count, uint(SX_MAX_MARKER)) - 1u;
            head.thinking_tokens -= min(counted, head.thinking_tokens);
        }
        runs = RUNS_CLEAR;
    }
    return runs;
}

// Second half, for a thinking token: counts it, smooths, decides. `entropy` is valid where has_entropy.
uint policy_decide(uint flags, bool has_raw, vec3 raw, float margin, bool has_entropy, float entropy, bool loops)
{
    const bool boundary = (flags & settings.split_mask) != 0u;
    head.thinking_tokens += 1u;
    if (has_raw && settings.reference_mode == 0u) policy_smooth(raw);
    uint reason = SX_EXIT_NONE;
    if (settings.answer_now != 0u) {
        reason = SX_EXIT_ANSWER_NOW;
    } else if (loops) {
        reason = SX_EXIT_LOOP;
    } else if (settings.policy_off == 0u) {
        if (settings.hard_budget != 0u && head.thinking_tokens >= settings.hard_budget) {
            reason = SX_EXIT_HARD_BUDGET;
        } else if (boundary && head.thinking_tokens >= settings.minimum_thinking) {
            if (settings.policy == SX_POLICY_KIND_SIGNALS) {
                if (policy_signals_pass()) reason = SX_EXIT_SIGNALS;
            } else if (settings.policy == SX_POLICY_KIND_MARGIN) {
                if (finite(margin) && margin >= settings.margin_threshold) reason = SX_EXIT_MARGIN;
            } else if (settings.policy == SX_POLICY_KIND_ENTROPY) {
                if (has_entropy && finite(entropy) && entropy <= settings.entropy_threshold) reason = SX_EXIT_ENTROPY;
            }
            if (reason == SX_EXIT_NONE && settings.soft_budget != 0u && head.thinking_tokens >= settings.soft_budget) {
                reason = SX_EXIT_SOFT_BUDGET;
            }
        }
    }
    if (boundary && settings.reference_mode == 0u) policy_after_boundary();
    return reason;
}

#endif
