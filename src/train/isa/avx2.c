/* avx2.c -- training's elementwise kernels for avx2. */
#include "train/isa/isa_int.h"
#include "train/kern_int.h"

const struct kern kern_avx2 = KERN_TABLE("avx2");
