/* ranks.c -- Open MPI by dlopen, through the few calls of its C interface that a sum over processes needs. Handles are addresses of the library's
 * own objects, as its mpi.h has them. Sums go to process 0 and come back from there, so that all have the same bits. */
#include "train/ranks.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#define LIBRARY "libmpi.so.40"
#define PART ((uint64_t)1 << 24) /* elements of a call: counts are ints */

typedef void *handle;
static struct {
    int (*init)(int *argc, char ***argv);
    int (*finalize)(void);
    int (*comm_rank)(handle comm, int *rank);
    int (*comm_size)(handle comm, int *n);
    int (*reduce)(const void *from, void *to, int n, handle type, handle op, int root, handle comm);
    int (*bcast)(void *bytes, int n, handle type, int root, handle comm);
    handle world, f32, f64, byte, sum;
} mpi;
static struct ranks here = {0, 1};

const struct ranks *ranks_get(void) { return &here; }

static slm_status load(slm_err *err) {
    const struct {
        const char *name;
        void *to;
    } rows[] = {
        {"MPI_Init", &mpi.init}, {"MPI_Finalize", &mpi.finalize}, {"MPI_Comm_rank", &mpi.comm_rank}, {"MPI_Comm_size", &mpi.comm_size}, {"MPI_Reduce", &mpi.reduce},
        {"MPI_Bcast", &mpi.bcast}, {"ompi_mpi_comm_world", &mpi.world}, {"ompi_mpi_float", &mpi.f32}, {"ompi_mpi_double", &mpi.f64}, {"ompi_mpi_byte", &mpi.byte},
        {"ompi_mpi_op_sum", &mpi.sum},
    };
    void *lib = dlopen(LIBRARY, RTLD_NOW | RTLD_GLOBAL); /* its plug-ins look for its symbols */
    if (!lib) {
        err_set(err, SLM_E_NOT_FOUND, SLM_NOWHERE, "library \"" LIBRARY "\": %s", dlerror());
        err_hint(err, "several processes train together through Open MPI: apt-get install openmpi-bin");
        return SLM_E_NOT_FOUND;
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        void *p = dlsym(lib, rows[i].name); /* a function as POSIX means it: C has no cast from an object pointer */
        if (!p) return err_set(err, SLM_E_NOT_FOUND, SLM_NOWHERE, "library \"" LIBRARY "\": it has no %s", rows[i].name);
        memcpy(rows[i].to, &p, sizeof p);
    }
    return SLM_OK;
}

static slm_status check(int code, const char *what, slm_err *err) {
    return code == 0 ? SLM_OK : err_set(err, SLM_E_FAILED, SLM_NOWHERE, "%s over %d processes: Open MPI's error %d", what, here.n, code);
}

bool ranks_asked(void) {
    const char *n = env_get(ENV_OMPI_COMM_WORLD_SIZE);
    return n && strtol(n, NULL, 10) > 1;
}

slm_status ranks_begin(slm_err *err) {
    slm_status st = SLM_OK;
    if (here.n > 1 || !ranks_asked()) return SLM_OK;
    TRY(load(err));
    TRY(check(mpi.init(NULL, NULL), "starting", err));
    TRY(check(mpi.comm_size(mpi.world, &here.n), "starting", err));
    TRY(check(mpi.comm_rank(mpi.world, &here.rank), "starting", err));
out:
    return st;
}

slm_status ranks_end(slm_err *err) { return here.n > 1 ? check(mpi.finalize(), "ending", err) : SLM_OK; }

static slm_status sum(void *x, uint64_t n, size_t size, handle type, slm_err *err) {
    slm_status st = SLM_OK;
    void *all = NULL;
    if (here.n == 1) return SLM_OK;
    TRY(mem_alloc(&all, n < PART ? n : PART, size, "a sum", err));
    for (uint64_t at = 0; at < n; at += PART) {
        int part = (int)(n - at < PART ? n - at : PART);
        char *p = (char *)x + at * size;
        TRY(check(mpi.reduce(p, all, part, type, mpi.sum, 0, mpi.world), "summing", err));
        if (here.rank == 0) memcpy(p, all, (size_t)part * size);
        TRY(check(mpi.bcast(p, part, type, 0, mpi.world), "summing", err));
    }
out:
    free(all);
    return st;
}

slm_status ranks_sum(double *x, int n, slm_err *err) { return sum(x, (uint64_t)n, sizeof *x, mpi.f64, err); }
slm_status ranks_sum_floats(float *x, uint64_t n, slm_err *err) { return sum(x, n, sizeof *x, mpi.f32, err); }

slm_status ranks_share(void *bytes, uint64_t n, slm_err *err) {
    for (uint64_t at = 0; at < n && here.n > 1; at += PART) {
        slm_status st = check(mpi.bcast((char *)bytes + at, (int)(n - at < PART ? n - at : PART), mpi.byte, 0, mpi.world), "sharing", err);
        if (st != SLM_OK) return st;
    }
    return SLM_OK;
}

slm_status ranks_agree(const char *what, int64_t value, slm_err *err) {
    int64_t first = value;
    slm_status st = ranks_share(&first, sizeof first, err);
    double n_other = first != value;
    if (st == SLM_OK) st = ranks_sum(&n_other, 1, err);
    if (st != SLM_OK || n_other == 0) return st;
    err_set(err, SLM_E_USAGE, SLM_NOWHERE, "%s: not the same in all %d processes", what, here.n);
    err_hint(err, "every process reads the same files and options; --mem and --micro-tokens make their memory plans equal");
    return SLM_E_USAGE;
}
