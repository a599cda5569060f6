// Where the entropy policy hangs the close marker under a step boundary: sx_policy_wants_trial of engine/policy.h.
// Shared by select.comp, which makes the row, and accept.comp, which stops before such a token.
bool wants_trial(uint thinking, uint thinking_tokens, uint forced_count, uint flags)
{
    return settings.policy == SX_POLICY_KIND_ENTROPY && settings.policy_off == 0u && settings.close_count != 0u &&
           settings.exit_count != 0u && forced_count == 0u && thinking == SX_THINKING_INSIDE &&
           (flags & settings.split_mask) != 0u && thinking_tokens + 1u >= settings.minimum_thinking;
}
