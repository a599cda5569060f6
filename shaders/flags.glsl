// SX_TOKEN_* of a token: the includer declares `settings` and, behind it in the same buffer, `token_flags`.
uint flags_of(uint token)
{
    uint flags = 0u;
    if (token < settings.vocabulary) flags = (token_flags[token / 4u] >> (token % 4u * 8u)) & 0xFFu;
    return flags;
}
