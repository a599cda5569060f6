// EACH_ROW(F): F(0) F(1) ... F(ROWS - 1). Statements for each activation row of a kernel, unrolled here because not every
// driver keeps an indexed array in registers.
#ifndef SX_ROWS_GLSL
#define SX_ROWS_GLSL

#if ROWS == 1
#define EACH_ROW(F) F(0)
#elif ROWS == 2
#define EACH_ROW(F) F(0) F(1)
#elif ROWS == 4
#define EACH_ROW(F) F(0) F(1) F(2) F(3)
#elif ROWS == 8
#define EACH_ROW(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7)
#elif ROWS == 16
#define EACH_ROW(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11) F(12) F(13) F(14) F(15)
#endif

#endif
