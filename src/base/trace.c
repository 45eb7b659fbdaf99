/* trace.c -- spans with times. The clock is read only while tracing is on, so a span costs a load when it is off. */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/cpu.h"
#include "base/util.h"

static _Atomic bool on;
static FILE *file; /* NULL: text to standard error */
static double t_open;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

slm_status trace_open(const char *where, slm_err *err) {
    trace_close();
    if (strcmp(where, "1") != 0) {
        file = fopen(where, "w");
        if (!file) return err_set(err, SLM_E_IO, SLM_NOWHERE, "trace \"%.200s\": %s", where, strerror(errno));
    }
    t_open = time_now_s();
    atomic_store(&on, true);
    return SLM_OK;
}

void trace_close(void) {
    atomic_store(&on, false);
    pthread_mutex_lock(&lock);
    if (file) fclose(file);
    file = NULL;
    pthread_mutex_unlock(&lock);
}

double trace_begin(void) { return atomic_load_explicit(&on, memory_order_relaxed) ? time_now_s() : 0; }

/* A JSON string: control characters, quotes and backslashes escaped. */
static void put_json(FILE *f, const char *s) {
    fputc('"', f);
    for (; *s; s++) {
        if (*s == '"' || *s == '\\') fprintf(f, "\\%c", *s);
        else if ((unsigned char)*s < 0x20) fprintf(f, "\\u%04x", (unsigned)*s);
        else fputc(*s, f);
    }
    fputc('"', f);
}

void trace_end(double t0, const char *step, const char *detail_fmt, ...) {
    if (t0 == 0 || !atomic_load_explicit(&on, memory_order_relaxed)) return;
    double now = time_now_s(), ms = (now - t0) * 1e3, at_ms = (t0 - t_open) * 1e3;
    char detail[256];
    va_list args;
    va_start(args, detail_fmt);
    vsnprintf(detail, sizeof detail, detail_fmt, args);
    va_end(args);
    pthread_mutex_lock(&lock);
    if (file) {
        fprintf(file, "{\"at_ms\":%.3f,\"ms\":%.3f,\"step\":", at_ms, ms);
        put_json(file, step);
        fputs(",\"detail\":", file);
        put_json(file, detail);
        fputs("}\n", file);
    } else {
        fprintf(stderr, "trace %10.3f ms  %9.3f ms  %-18s %s\n", at_ms, ms, step, detail);
    }
    pthread_mutex_unlock(&lock);
}
