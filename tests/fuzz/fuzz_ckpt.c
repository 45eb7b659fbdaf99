/* Any bytes as a checkpoint, as they are and with the hash that would make them whole: taken when they are of the run that asks, else refused in one
 * printable line. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/util.h"
#include "train/ckpt_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_all(int fd, const void *bytes, size_t n, off_t at) {
    if (pwrite(fd, bytes, n, at) != (ssize_t)n) abort();
}

static void read_back(int fd) {
    char path[64];
    float w[4] = {0}, m[4] = {0};
    const struct optim_run runs[] = {{w, sizeof w}, {m, sizeof m}};
    struct ckpt_state s = {.identity = 1, .data_identity = 2, .n_elem = 4, .n_step = 9};
    slm_err err = {0};
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    slm_status st = ckpt_read(path, &s, runs, 2, &err);
    if (st == SLM_OK && (s.identity != 1 || s.data_identity != 2 || s.n_elem != 4)) abort();
    if (st != SLM_OK && (st != SLM_E_FORMAT || err.code != st)) abort();
    for (const char *p = err.msg; st != SLM_OK && *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0 || size > 1 << 20) return 0; /* an empty file cannot be mapped: IO, as any */
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    uint64_t hash = hash_bytes(HASH_START, data, size);
    if (fd < 0) abort();
    write_all(fd, data, size, 0);
    read_back(fd);
    write_all(fd, &hash, sizeof hash, (off_t)size);
    read_back(fd);
    close(fd);
    return 0;
}
