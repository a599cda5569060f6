// How the keys, or the values, of one head at one position lie in memory. The includer defines KV_Q8.
//   0: f16, pairs of neighbouring components packed in words
//   1: q8_0: head_dim / 4 words of four signed bytes, then a float32 scale for each 32 components (the last block may be
//      shorter); component = scale * byte. The scale is no f16, whose subnormals drivers may flush.
#ifndef SX_KV_GLSL
#define SX_KV_GLSL

uint kv_head_words(uint head_dim)
{
#if KV_Q8
    return head_dim / 4u + (head_dim + 31u) / 32u;
#else
    return head_dim / 2u;
#endif
}

#endif
