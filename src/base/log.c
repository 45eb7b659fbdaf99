/* log.c -- one line per message on standard error, written whole so that threads do not mix. */
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"

#define LEVEL_UNSET (-1)

static const char *const names[] = {[LOG_ERROR] = "error", [LOG_WARN] = "warn", [LOG_INFO] = "info", [LOG_DEBUG] = "debug"};
static _Atomic int level = LEVEL_UNSET;

void log_set_level(enum log_level l) { atomic_store(&level, (int)l); }

static int current_level(void) {
    int l = atomic_load(&level);
    if (l != LEVEL_UNSET) return l;
    const char *asked = env_get(ENV_SLM_LOG);
    l = LOG_WARN;
    for (int i = 0; asked && i <= LOG_DEBUG; i++)
        if (strcmp(asked, names[i]) == 0) l = i;
    atomic_store(&level, l);
    return l;
}

void log_print(enum log_level l, const char *fmt, ...) {
    if ((int)l > current_level()) return;
    char line[1024];
    int n = snprintf(line, sizeof line, "%s: ", names[l]);
    va_list args;
    va_start(args, fmt);
    vsnprintf(line + n, sizeof line - (size_t)n, fmt, args);
    va_end(args);
    fprintf(stderr, "%s\n", line);
}
