/* sandbox.c -- Landlock and seccomp by their system calls; no library for two structures.
 *
 * The filter is a list of what no part of slm needs and what a break-in wants next: other programs, other processes' memory, mounts, namespaces,
 * kernel modules. A list of what may be called would be stricter, and break with the next libc. */
#include "base/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* Landlock's numbers (linux/landlock.h), which older headers lack in part. */
enum {
    FS_EXECUTE = 1 << 0, FS_WRITE_FILE = 1 << 1, FS_READ_FILE = 1 << 2, FS_READ_DIR = 1 << 3, FS_REMOVE_DIR = 1 << 4, FS_REMOVE_FILE = 1 << 5, FS_MAKE_CHAR = 1 << 6,
    FS_MAKE_DIR = 1 << 7, FS_MAKE_REG = 1 << 8, FS_MAKE_SOCK = 1 << 9, FS_MAKE_FIFO = 1 << 10, FS_MAKE_BLOCK = 1 << 11, FS_MAKE_SYM = 1 << 12, FS_REFER = 1 << 13,
    FS_TRUNCATE = 1 << 14,
};
#define FS_ABI_1 0x1fffu
#define FS_OF_FILES (FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE)
#define NET_CONNECT_TCP 2u
#define RULE_PATH_BENEATH 1
#define SYS_CREATE_RULESET 444 /* the same on every architecture */
#define SYS_ADD_RULE 445
#define SYS_RESTRICT_SELF 446
struct ruleset_attr {
    uint64_t fs, net;
};
struct path_attr {
    uint64_t allowed;
    int32_t parent_fd;
} __attribute__((packed));

static uint64_t rights_of(enum sandbox_use use) {
    switch (use) {
    case SANDBOX_READ: return FS_READ_FILE | FS_READ_DIR;
    case SANDBOX_WRITE: return FS_READ_FILE | FS_READ_DIR | FS_WRITE_FILE | FS_TRUNCATE | FS_REMOVE_FILE | FS_REMOVE_DIR | FS_MAKE_REG | FS_MAKE_DIR | FS_MAKE_SYM | FS_REFER;
    case SANDBOX_REMOVE: return FS_REMOVE_FILE;
    }
    return 0;
}

static void allow(int ruleset, const char *path, uint64_t rights, uint64_t known) {
    struct stat info;
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0) return;
    if (fstat(fd, &info) == 0) {
        if (!S_ISDIR(info.st_mode)) rights &= FS_OF_FILES;
        struct path_attr rule = {rights & known, fd};
        if (rule.allowed) (void)syscall(SYS_ADD_RULE, ruleset, RULE_PATH_BENEATH, &rule, 0);
    }
    close(fd);
}

/* 0, or why files are not restricted; *abi: Landlock's version. */
static int restrict_files(const struct sandbox_path *paths, size_t n, bool no_connect, long *abi) {
    static const char *const system[] = {"/etc", "/usr", "/lib", "/lib64", "/proc", "/sys", "/dev", "/run", "/nix"};
    *abi = syscall(SYS_CREATE_RULESET, NULL, 0, 1);
    if (*abi < 1) return errno;
    struct ruleset_attr attr = {.fs = FS_ABI_1 | (*abi >= 2 ? FS_REFER : 0u) | (*abi >= 3 ? FS_TRUNCATE : 0u), .net = *abi >= 4 && no_connect ? NET_CONNECT_TCP : 0};
    int ruleset = (int)syscall(SYS_CREATE_RULESET, &attr, *abi >= 4 ? sizeof attr : sizeof attr.fs, 0);
    if (ruleset < 0) return errno;
    for (size_t i = 0; i < sizeof system / sizeof system[0]; i++) allow(ruleset, system[i], rights_of(SANDBOX_READ) | (strcmp(system[i], "/dev") == 0 ? (uint64_t)FS_WRITE_FILE : 0), attr.fs);
    for (size_t i = 0; i < n; i++)
        if (paths[i].path) allow(ruleset, paths[i].path, rights_of(paths[i].use), attr.fs);
    int fault = syscall(SYS_RESTRICT_SELF, ruleset, 0) == 0 ? 0 : errno;
    close(ruleset);
    return fault;
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(leak_sanitizer)
#define HAS_LEAK_CHECK
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define HAS_LEAK_CHECK
#endif

static const int refused_calls[] = {
#ifndef HAS_LEAK_CHECK /* which looks at the process from outside when it ends */
    SYS_ptrace,
#endif
    SYS_execve, SYS_execveat, SYS_process_vm_readv, SYS_process_vm_writev, SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_setns, SYS_unshare, SYS_bpf,
    SYS_perf_event_open, SYS_kexec_load, SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_add_key, SYS_request_key, SYS_keyctl, SYS_userfaultfd, SYS_reboot,
    SYS_swapon, SYS_swapoff, SYS_open_by_handle_at, SYS_settimeofday, SYS_clock_settime, SYS_sethostname, SYS_acct, SYS_quotactl, 425 /* io_uring_setup */,
};
#define N_REFUSED (sizeof refused_calls / sizeof refused_calls[0])

static int restrict_calls(void) {
#if defined(__x86_64__)
    const uint32_t arch = AUDIT_ARCH_X86_64, n_max = 0x40000000; /* numbers above: x32 */
#elif defined(__aarch64__)
    const uint32_t arch = AUDIT_ARCH_AARCH64, n_max = 0x40000000;
#else
    return ENOSYS;
#endif
#if defined(__x86_64__) || defined(__aarch64__)
    struct sock_filter f[N_REFUSED + 7];
    size_t n = 0;
    f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, arch, 0, (uint8_t)(N_REFUSED + 3)); /* another architecture's calls: refused */
    f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, n_max, (uint8_t)(N_REFUSED + 1), 0);
    for (size_t i = 0; i < N_REFUSED; i++) f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)refused_calls[i], (uint8_t)(N_REFUSED - i), 0);
    f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    struct sock_fprog program = {(unsigned short)n, f};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0 ? 0 : errno;
#endif
}

void sandbox_enter(const struct sandbox_path *paths, size_t n, bool no_connect, char *said, size_t said_size) {
    long abi = 0;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        snprintf(said, said_size, "none: %s", strerror(errno));
        return;
    }
    int files = restrict_files(paths, n, no_connect, &abi), calls = restrict_calls();
    snprintf(said, said_size, "files: %s%s; connections to others: %s; system calls: %s", files ? "not restricted, " : "landlock", files ? strerror(files) : "",
             files || abi < 4 ? "not restricted" : no_connect ? "refused" : "allowed, they are needed", calls ? strerror(calls) : "seccomp");
}

#else
void sandbox_enter(const struct sandbox_path *paths, size_t n, bool no_connect, char *said, size_t said_size) {
    (void)paths, (void)n, (void)no_connect;
    snprintf(said, said_size, "none: this system has none");
}
#endif
