/* json.h -- numbers as JSON. JSON has none that is infinite or no number; what is not known is null, so one such figure never costs the object around it. */
#ifndef SLM_BASE_JSON_H
#define SLM_BASE_JSON_H

#include <jansson.h>

#include "base/stats.h"

/* json_f64 -- new: the number, or null. NULL: no memory. */
json_t *json_f64(double v);
/* json_estimate -- new: {"value", "interval": [low, high]}. NULL: no memory. */
json_t *json_estimate(const struct estimate *e);

#endif
