// Types of LANE_ROWS components, one a matrix row: see formats.glsl, which needs the buffer that is declared with them.
#ifndef SX_FORMAT_TYPES_GLSL
#define SX_FORMAT_TYPES_GLSL

#if LANE_ROWS == 4
#define WORDS uvec4
#define INTS ivec4
#define FLOATS vec4
#else
#define WORDS uint
#define INTS int
#define FLOATS float
#endif

#endif
