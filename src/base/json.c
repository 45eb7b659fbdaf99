/* json.c -- the one place that makes a JSON number of a double. */
#include "base/json.h"

#include <math.h>

json_t *json_f64(double v) { return isfinite(v) ? json_real(v) : json_null(); }

json_t *json_estimate(const struct estimate *e) { return json_pack("{s:o, s:[o, o]}", "value", json_f64(e->value), "interval", json_f64(e->low), json_f64(e->high)); }
