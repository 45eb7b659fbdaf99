/* cpu.h -- what this machine has and how much of it this process may use. */
#ifndef SLM_BASE_CPU_H
#define SLM_BASE_CPU_H

#include "base/status.h"

/* Feature bits; one row each in cpu.c {bit, name, how it is detected}. */
enum {
    CPU_AVX2 = 1u << 0,        /* with FMA and F16C, and the OS saving ymm */
    CPU_AVX512 = 1u << 1,      /* F, BW, DQ, VL, and the OS saving zmm */
    CPU_AVX512_VNNI = 1u << 2,
    CPU_AVX_VNNI = 1u << 3,
    CPU_AVX512_BF16 = 1u << 4,
    CPU_NEON = 1u << 5,
    CPU_DOTPROD = 1u << 6,
    CPU_I8MM = 1u << 7,
};
struct cpu_feature_row {
    uint32_t bit;
    const char *name; /* "avx2" */
    bool is_here;     /* processors of this build's family can have it */
};
const struct cpu_feature_row *cpu_feature_rows(size_t *n_rows);
uint32_t cpu_features(void); /* detected once */

struct cpu_info {
    char name[64];      /* brand string, or the architecture */
    int n_online;       /* CPUs of the machine */
    int n_affinity;     /* CPUs this process may run on */
    double quota;       /* cgroup v1 or v2 CPU quota in CPUs; 0: none */
    int n_usable;       /* what a default thread count is: min(affinity, ceil(quota)), at least 1 */
    uint64_t mem_bytes; /* machine memory, lowered to the cgroup limit */
    uint64_t mem_available_bytes;
    uint64_t l1d_bytes, l2_bytes, l3_bytes; /* 0: unknown */
};
void cpu_info_get(struct cpu_info *info);

/* For tests: read cgroup and /proc below this root ("" is the real one). */
void cpu_info_get_at(struct cpu_info *info, const char *root);

uint64_t cpu_resident_bytes(void); /* memory that this process holds now; 0: unknown */
double time_now_s(void); /* monotonic seconds */

#endif
