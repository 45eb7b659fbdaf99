/* avx512.c -- training's elementwise kernels for avx512. */
#include "train/isa/isa_int.h"
#include "train/kern_int.h"

const struct kern kern_avx512 = KERN_TABLE("avx512");
