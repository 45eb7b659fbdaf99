/* blas.c -- OpenBLAS by dlopen. Its own threads stay off: on small matrices they cost more than they give, and the order of their
 * sums would be theirs. */
#include "train/blas_int.h"

#include <dlfcn.h>
#include <pthread.h>

enum { ROW_MAJOR = 101, NO_TRANS = 111, TRANS = 112 }; /* of the CBLAS interface */
typedef void (*gemm_fn)(int order, int ta, int tb, int m, int n, int k, real alpha, const real *a, int lda, const real *b, int ldb, real beta, real *c, int ldc);
typedef void (*threads_fn)(int n);

#ifdef SLM_TRAIN_DOUBLE
#define GEMM_NAME "cblas_dgemm"
#else
#define GEMM_NAME "cblas_sgemm"
#endif

static gemm_fn gemm;
static char why[256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* A function of a library as POSIX means it: C has no cast from an object pointer. */
static void *symbol(void *lib, const char *name, void *fn) {
    void *p = dlsym(lib, name);
    memcpy(fn, &p, sizeof p);
    return p;
}

static void load(void) {
    void *lib = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    threads_fn set_threads;
    if (!lib) {
        const char *e = dlerror();
        for (size_t i = 0; e && e[i] && i + 1 < sizeof why; i++) why[i] = e[i];
        return;
    }
    if (symbol(lib, "openblas_set_num_threads", &set_threads)) set_threads(1);
    if (!symbol(lib, GEMM_NAME, &gemm)) memcpy(why, "it has no " GEMM_NAME, sizeof "it has no " GEMM_NAME);
}

slm_status blas_load(slm_err *err) {
    pthread_once(&once, load);
    if (gemm) return SLM_OK;
    err_set(err, SLM_E_NOT_FOUND, SLM_NOWHERE, "library \"libopenblas.so.0\": %s", why[0] ? why : "not found");
    err_hint(err, "training multiplies matrices with OpenBLAS: apt-get install libopenblas0-pthread");
    return SLM_E_NOT_FOUND;
}

void blas_gemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, real alpha, const real *a, int64_t lda, const real *b, int64_t ldb, real beta, real *c, int64_t ldc) {
    gemm(ROW_MAJOR, ta ? TRANS : NO_TRANS, tb ? TRANS : NO_TRANS, (int)m, (int)n, (int)k, alpha, a, (int)lda, b, (int)ldb, beta, c, (int)ldc);
}
