/* base.c -- training's elementwise kernels for any CPU. */
#include "train/isa/isa_int.h"
#include "train/kern_int.h"

const struct kern kern_base = KERN_TABLE("base");
