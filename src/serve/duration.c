/* duration.c -- times as people and Ollama write them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "serve/models.h"

bool duration_parse(const char *text, double *seconds) {
    static const struct { const char *unit; double s; } units[] = {{"ms", 1e-3}, {"us", 1e-6}, {"ns", 1e-9}, {"h", 3600}, {"m", 60}, {"s", 1}};
    double sum = 0, sign = 1;
    if (*text == '-') sign = -1, text++;
    if (!*text) return false;
    while (*text) {
        char *end;
        size_t n_units = sizeof units / sizeof units[0], i = 0;
        if (!strchr("0123456789.", *text)) return false;
        double v = strtod(text, &end);
        if (end == text || !isfinite(v)) return false;
        while (i < n_units && strncmp(end, units[i].unit, strlen(units[i].unit)) != 0) i++;
        if (i == n_units && *end) return false;
        sum += v * (i < n_units ? units[i].s : 1);
        text = end + (i < n_units ? strlen(units[i].unit) : 0);
    }
    *seconds = sign * sum;
    return isfinite(sum);
}
