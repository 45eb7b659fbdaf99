/* cpu.c -- features by CPUID (and what the OS saves), CPUs by affinity and cgroup quota, memory by cgroup limit.
 *
 * A container's quota is the number that matters for a thread count: more threads than quota are throttled together and
 * run many times slower. Both cgroup versions are read, from the process's own group up to the root. */
#include "base/cpu.h"

#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

#if defined(__x86_64__)
enum { IS_X86 = true, IS_ARM = false };
#elif defined(__aarch64__)
enum { IS_X86 = false, IS_ARM = true };
#else
enum { IS_X86 = false, IS_ARM = false };
#endif

static const struct cpu_feature_row rows[] = {
    {CPU_AVX2, "avx2", IS_X86},
    {CPU_AVX512, "avx512", IS_X86},
    {CPU_AVX512_VNNI, "avx512_vnni", IS_X86},
    {CPU_AVX_VNNI, "avx_vnni", IS_X86},
    {CPU_AVX512_BF16, "avx512_bf16", IS_X86},
    {CPU_NEON, "neon", IS_ARM},
    {CPU_DOTPROD, "dotprod", IS_ARM},
    {CPU_I8MM, "i8mm", IS_ARM},
};

const struct cpu_feature_row *cpu_feature_rows(size_t *n_rows) {
    *n_rows = sizeof rows / sizeof rows[0];
    return rows;
}

#if defined(__x86_64__)
static uint64_t read_xcr0(void) {
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return ((uint64_t)hi << 32) | lo;
}

static bool bit(uint32_t reg, int i) { return (reg >> i) & 1; }

/* Bit numbers: Intel SDM volume 2, CPUID; XCR0 state bits: volume 1, 13.3. */
static uint32_t detect(void) {
    uint32_t a, b, c, d, f = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !bit(c, 27)) return 0; /* OSXSAVE */
    bool fma = bit(c, 12), f16c = bit(c, 29);
    uint64_t xcr0 = read_xcr0();
    bool saves_ymm = (xcr0 & 0x6) == 0x6, saves_zmm = (xcr0 & 0xe6) == 0xe6;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
    if (saves_ymm && fma && f16c && bit(b, 5)) f |= CPU_AVX2;
    if (f && saves_zmm && bit(b, 16) && bit(b, 30) && bit(b, 17) && bit(b, 31)) f |= CPU_AVX512;
    if ((f & CPU_AVX512) && bit(c, 11)) f |= CPU_AVX512_VNNI;
    if (__get_cpuid_count(7, 1, &a, &b, &c, &d)) {
        if ((f & CPU_AVX2) && bit(a, 4)) f |= CPU_AVX_VNNI;
        if ((f & CPU_AVX512) && bit(a, 5)) f |= CPU_AVX512_BF16;
    }
    return f;
}

static void read_name(char out[64]) {
    uint32_t regs[12] = {0};
    for (uint32_t i = 0; i < 3; i++) __get_cpuid(0x80000002u + i, &regs[4 * i], &regs[4 * i + 1], &regs[4 * i + 2], &regs[4 * i + 3]);
    char text[sizeof regs + 1] = {0};
    memcpy(text, regs, sizeof regs);
    const char *start = text;
    while (*start == ' ') start++;
    snprintf(out, 64, "%s", *start ? start : "x86-64");
}
#elif defined(__aarch64__)
/* Bit numbers: the Linux kernel's arm64 hwcap interface. */
static uint32_t detect(void) {
    unsigned long cap = getauxval(AT_HWCAP), cap2 = getauxval(AT_HWCAP2);
    return CPU_NEON | ((cap >> 20) & 1 ? CPU_DOTPROD : 0u) | ((cap2 >> 13) & 1 ? CPU_I8MM : 0u);
}
static void read_name(char out[64]) { snprintf(out, 64, "aarch64"); }
#else
static uint32_t detect(void) { return 0; }
static void read_name(char out[64]) { snprintf(out, 64, "unknown"); }
#endif

static uint32_t features;
static void detect_once(void) { features = detect(); }

uint32_t cpu_features(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, detect_once);
    return features;
}

/* First line of a small file; false when it is not there. */
static bool read_line(const char *path, char *line, size_t n) {
    FILE *f = fopen(path, "r");
    if (!f) return false;
    bool ok = fgets(line, (int)n, f) != NULL;
    fclose(f);
    if (ok) line[strcspn(line, "\n")] = 0;
    return ok;
}

struct limits {
    double quota;       /* CPUs; 0: none */
    uint64_t mem_bytes; /* 0: none */
};

static void lower_quota(struct limits *l, double quota) {
    if (quota > 0 && (l->quota == 0 || quota < l->quota)) l->quota = quota;
}

static void lower_mem(struct limits *l, const char *text) {
    char *end;
    unsigned long long v = strtoull(text, &end, 10);
    /* "max", and version 1's near-2^63 number, mean none */
    if (end != text && v > 0 && v < (1ull << 62) && (l->mem_bytes == 0 || v < l->mem_bytes)) l->mem_bytes = v;
}

#define PATH_BYTES 1400

static void read_group_v2(struct limits *l, const char *folder) {
    char path[PATH_BYTES + 32], line[128];
    double quota, period;
    snprintf(path, sizeof path, "%s/cpu.max", folder);
    if (read_line(path, line, sizeof line) && sscanf(line, "%lf %lf", &quota, &period) == 2 && period > 0) lower_quota(l, quota / period);
    snprintf(path, sizeof path, "%s/memory.max", folder);
    if (read_line(path, line, sizeof line)) lower_mem(l, line);
}

static void read_group_v1_cpu(struct limits *l, const char *folder) {
    char path[PATH_BYTES + 32], line[128];
    double quota = -1, period = 0;
    snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", folder);
    if (read_line(path, line, sizeof line)) quota = strtod(line, NULL);
    snprintf(path, sizeof path, "%s/cpu.cfs_period_us", folder);
    if (read_line(path, line, sizeof line)) period = strtod(line, NULL);
    if (quota > 0 && period > 0) lower_quota(l, quota / period);
}

static void read_group_v1_memory(struct limits *l, const char *folder) {
    char path[PATH_BYTES + 32], line[128];
    snprintf(path, sizeof path, "%s/memory.limit_in_bytes", folder);
    if (read_line(path, line, sizeof line)) lower_mem(l, line);
}

/* Read the group and all its parents: any of them may hold the limit. A container often sees its own group as the root
 * of the mount, so the last step is the mount itself. */
static void walk_groups(struct limits *l, const char *mount, const char *group, void (*read)(struct limits *, const char *)) {
    char path[PATH_BYTES];
    int n_mount = snprintf(path, sizeof path, "%s", mount);
    if (n_mount < 0 || (size_t)n_mount >= sizeof path) return;
    snprintf(path + n_mount, sizeof path - (size_t)n_mount, "%s", group);
    for (;;) {
        read(l, path);
        char *slash = strrchr(path, '/');
        if (!slash || slash - path < n_mount) break;
        *slash = 0;
    }
}

/* Is `name` one of the comma-separated controllers? */
static bool has_controller(const char *list, const char *name) {
    size_t n = strlen(name);
    for (const char *p = list; (p = strstr(p, name)); p += n)
        if ((p == list || p[-1] == ',') && (p[n] == 0 || p[n] == ',')) return true;
    return false;
}

static struct limits read_limits(const char *root) {
    struct limits l = {0};
    char path[PATH_BYTES], mount[PATH_BYTES], line[1200];
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *f = fopen(path, "r");
    if (!f) return l;
    while (fgets(line, sizeof line, f)) { /* "4:cpu,cpuacct:/group", or "0::/group" for version 2 */
        line[strcspn(line, "\n")] = 0;
        char *list = strchr(line, ':'), *group = list ? strchr(list + 1, ':') : NULL;
        if (!group) continue;
        *group++ = 0;
        list++;
        if (*list == 0) {
            snprintf(mount, sizeof mount, "%s/sys/fs/cgroup", root);
            walk_groups(&l, mount, group, read_group_v2);
        } else if (has_controller(list, "cpu")) {
            snprintf(mount, sizeof mount, "%s/sys/fs/cgroup/cpu", root);
            walk_groups(&l, mount, group, read_group_v1_cpu);
        } else if (has_controller(list, "memory")) {
            snprintf(mount, sizeof mount, "%s/sys/fs/cgroup/memory", root);
            walk_groups(&l, mount, group, read_group_v1_memory);
        }
    }
    fclose(f);
    return l;
}

static void read_memory(struct cpu_info *info, const char *root) {
    char path[PATH_BYTES], line[256];
    unsigned long long kb;
    snprintf(path, sizeof path, "%s/proc/meminfo", root);
    FILE *f = fopen(path, "r");
    if (!f) return;
    while (fgets(line, sizeof line, f)) {
        if (sscanf(line, "MemTotal: %llu", &kb) == 1) info->mem_bytes = (uint64_t)kb * 1024;
        if (sscanf(line, "MemAvailable: %llu", &kb) == 1) info->mem_available_bytes = (uint64_t)kb * 1024;
    }
    fclose(f);
}

static uint64_t sysconf_bytes(int name) {
    long v = sysconf(name);
    return v > 0 ? (uint64_t)v : 0;
}

void cpu_info_get_at(struct cpu_info *info, const char *root) {
    *info = (struct cpu_info){0};
    read_name(info->name);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    info->n_online = online > 0 && online < INT_MAX ? (int)online : 1;
    cpu_set_t set;
    info->n_affinity = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : info->n_online;
    struct limits l = read_limits(root);
    info->quota = l.quota;
    info->n_usable = info->n_affinity;
    if (l.quota > 0 && ceil(l.quota) < info->n_usable) info->n_usable = (int)ceil(l.quota);
    if (info->n_usable < 1) info->n_usable = 1;
    read_memory(info, root);
    if (l.mem_bytes && (info->mem_bytes == 0 || l.mem_bytes < info->mem_bytes)) info->mem_bytes = l.mem_bytes;
    if (info->mem_available_bytes > info->mem_bytes) info->mem_available_bytes = info->mem_bytes;
    info->l1d_bytes = sysconf_bytes(_SC_LEVEL1_DCACHE_SIZE);
    info->l2_bytes = sysconf_bytes(_SC_LEVEL2_CACHE_SIZE);
    info->l3_bytes = sysconf_bytes(_SC_LEVEL3_CACHE_SIZE);
}

uint64_t cpu_resident_bytes(void) {
    unsigned long long all, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f) return 0;
    if (fscanf(f, "%llu %llu", &all, &resident) != 2) resident = 0;
    fclose(f);
    return (uint64_t)resident * sysconf_bytes(_SC_PAGESIZE);
}

void cpu_info_get(struct cpu_info *info) { cpu_info_get_at(info, ""); }

double time_now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
