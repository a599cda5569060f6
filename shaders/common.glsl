// What every kernel shares.
#ifndef SX_COMMON_GLSL
#define SX_COMMON_GLSL

// The linear number of this workgroup in a grid whose x was folded into y (x above 65,535 groups; then y is not the
// caller's). The folded grid may hold more groups than were asked for: kernels ignore numbers beyond theirs.
uint group_index()
{
    return gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
}

// The same for the invocation, for kernels whose workgroups are one-dimensional. A macro, so that gl_WorkGroupSize is
// read where the workgroup size is declared already: before that glslang silently takes 1.
#define invocation_index() (group_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x)

#endif
