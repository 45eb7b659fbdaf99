/* CPU quota and memory limit from both cgroup versions, in trees made here. */
#include "test.h"

#include <sys/stat.h>

#include "base/cpu.h"

static char root[] = "/tmp/slm-test-cpu-XXXXXX";

static int make_root(void **state) {
    (void)state;
    return mkdtemp(root) ? 0 : -1;
}
static int drop_root(void **state) {
    char command[64];
    (void)state;
    snprintf(command, sizeof command, "rm -r %s", root);
    return system(command);
}

/* Write a file below the root, making its folders. */
static void put(const char *name, const char *text) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", root, name);
    for (char *p = path + strlen(root) + 1; (p = strchr(p, '/')); p++) {
        *p = 0;
        mkdir(path, 0700);
        *p = '/';
    }
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

struct row {
    const char *name, *cgroup;      /* /proc/self/cgroup */
    struct { const char *path, *text; } files[5];
    double quota;
    uint64_t mem;
};

static const struct row rows[] = {
    {"no cgroup at all", "", {{0}}, 0, 16ull << 30},
    {"v2 quota of one and a half", "0::/box\n",
     {{"sys/fs/cgroup/box/cpu.max", "150000 100000\n"}, {"sys/fs/cgroup/box/memory.max", "1073741824\n"}}, 1.5, 1ull << 30},
    {"v2 no limit", "0::/free\n", {{"sys/fs/cgroup/free/cpu.max", "max 100000\n"}, {"sys/fs/cgroup/free/memory.max", "max\n"}}, 0, 16ull << 30},
    {"v2 a parent is tighter", "0::/a/b\n",
     {{"sys/fs/cgroup/a/cpu.max", "50000 100000\n"}, {"sys/fs/cgroup/a/b/cpu.max", "400000 100000\n"}}, 0.5, 16ull << 30},
    {"v2 limit at the root of the mount", "0::/not/seen/here\n", {{"sys/fs/cgroup/cpu.max", "300000 100000\n"}}, 3, 16ull << 30},
    {"v1 quota", "5:cpu,cpuacct:/pod\n4:memory:/pod\n",
     {{"sys/fs/cgroup/cpu/pod/cpu.cfs_quota_us", "200000\n"}, {"sys/fs/cgroup/cpu/pod/cpu.cfs_period_us", "100000\n"},
      {"sys/fs/cgroup/memory/pod/memory.limit_in_bytes", "2147483648\n"}}, 2, 2ull << 30},
    {"v1 none", "5:cpu,cpuacct:/none\n4:memory:/none\n",
     {{"sys/fs/cgroup/cpu/none/cpu.cfs_quota_us", "-1\n"}, {"sys/fs/cgroup/cpu/none/cpu.cfs_period_us", "100000\n"},
      {"sys/fs/cgroup/memory/none/memory.limit_in_bytes", "9223372036854771712\n"}}, 0, 16ull << 30},
    {"rubbish", "what is this\n0::/rubbish\n", {{"sys/fs/cgroup/rubbish/cpu.max", "lots\n"}, {"sys/fs/cgroup/rubbish/memory.max", "-\n"}}, 0, 16ull << 30},
};

static void test_limits(void **state) {
    (void)state;
    put("proc/meminfo", "MemTotal:       16777216 kB\nMemFree: 1 kB\nMemAvailable:    8388608 kB\n");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cpu_info info;
        char remove[128];
        snprintf(remove, sizeof remove, "rm -rf %s/sys", root);
        assert_int_equal(system(remove), 0);
        put("proc/self/cgroup", rows[i].cgroup);
        for (int k = 0; k < 5 && rows[i].files[k].path; k++) put(rows[i].files[k].path, rows[i].files[k].text);
        cpu_info_get_at(&info, root);
        if (info.quota != rows[i].quota || info.mem_bytes != rows[i].mem)
            fail_msg("%s: quota %g, memory %llu", rows[i].name, info.quota, (unsigned long long)info.mem_bytes);
        int want = info.n_affinity;
        if (rows[i].quota > 0 && rows[i].quota < want) want = (int)(rows[i].quota + 0.999);
        assert_int_equal(info.n_usable, want);
        assert_true(info.mem_available_bytes <= info.mem_bytes);
    }
}

static void test_this_machine(void **state) {
    struct cpu_info info;
    (void)state;
    cpu_info_get(&info);
    assert_true(info.n_usable >= 1 && info.n_usable <= info.n_affinity && info.n_affinity <= info.n_online);
    assert_true(info.mem_bytes > 0 && strlen(info.name) > 0);
    if (cpu_features() & CPU_AVX512) assert_true(cpu_features() & CPU_AVX2);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_limits), cmocka_unit_test(test_this_machine)};
    return cmocka_run_group_tests(tests, make_root, drop_root);
}
