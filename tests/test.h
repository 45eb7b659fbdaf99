/* test.h -- what every test program shares: cmocka, paths, and the one way to skip. */
#ifndef SLM_TESTS_TEST_H
#define SLM_TESTS_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* Data that the project does not own lies beside it in ../shared, or where SLM_SHARED points. Returns a
 * path in a static ring of buffers; NULL when it is not there. */
static inline const char *test_shared(const char *name) {
    static char ring[8][1024];
    static int next;
    char *path = ring[next++ % 8];
    const char *root = getenv("SLM_SHARED");
    snprintf(path, sizeof ring[0], "%s/%s", root ? root : SLM_SOURCE_DIR "/../shared", name);
    return access(path, R_OK) == 0 ? path : NULL;
}

/* Data committed under tests/. */
static inline const char *test_data(const char *name) {
    static char ring[8][1024];
    static int next;
    char *path = ring[next++ % 8];
    snprintf(path, sizeof ring[0], SLM_SOURCE_DIR "/tests/%s", name);
    return path;
}

/* A whole program that cannot run without a shared file says so and exits 77, which CTest counts as skipped. */
static inline const char *test_need_shared(const char *name) {
    const char *path = test_shared(name);
    if (!path) {
        printf("skipped: needs shared file %s\n", name);
        exit(77);
    }
    return path;
}

#endif
