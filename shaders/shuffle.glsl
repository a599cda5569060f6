// Values that all lanes need, loaded or made one a lane and handed round. For drivers that run on a CPU: they load a value
// once for each lane even where all lanes load the same.
//
// SHUFFLE is 0 (nothing here), 4 or 8, at most the size of a subgroup. A lane loads value own_value() of SHUFFLE
// neighbours, VALUE(mine, k) is the k-th of them, k a constant.
#ifndef SX_SHUFFLE_GLSL
#define SX_SHUFFLE_GLSL

#if SHUFFLE
uint own_value()
{
    return gl_SubgroupInvocationID & (SHUFFLE - 1u);
}
#endif

// The same value by two instructions: Mesa makes one machine instruction of the first, SwiftShader of the second.
#if SHUFFLE == 8
#define VALUE(mine, k) subgroupShuffle(mine, k)
#define EACH_VALUE(F) F(0u) F(1u) F(2u) F(3u) F(4u) F(5u) F(6u) F(7u)
#elif SHUFFLE == 4
#define VALUE(mine, k) subgroupBroadcast(mine, k)
#define EACH_VALUE(F) F(0u) F(1u) F(2u) F(3u)
#endif

#if SHUFFLE
// In the order of the lanes.
float sum_of_values(float mine)
{
    precise float total = 0.0;
#define ADD_VALUE(k) total += VALUE(mine, k);
    EACH_VALUE(ADD_VALUE)
    return total;
}
#endif

#endif
