/* compiler_int.h -- the few things that kernels ask of a compiler beyond C17. */
#ifndef SLM_COMPUTE_CPU_VEC_COMPILER_INT_H
#define SLM_COMPUTE_CPU_VEC_COMPILER_INT_H

/* Inlined even where the caller is large: constant arguments become code without loops or branches. */
#define VEC_FN static inline __attribute__((always_inline))

/* Before a loop of constant length over an array of vec: without the loop, the array lives in registers. Clang does that
 * early enough only when asked for the whole loop, gcc only when given a number (8 is above every loop here). */
#if defined(__clang__)
#define VEC_UNROLL _Pragma("clang loop unroll(full)")
#else
#define VEC_UNROLL _Pragma("GCC unroll 8")
#endif

/* The vector stays as it is here: sums of whole numbers may be taken in any order, and gcc takes them in one for which sixteen
 * registers are too few (three times slower, measured). */
#if defined(__x86_64__)
#define VEC_KEEP(v) __asm__("" : "+x"(v))
#endif

#endif
