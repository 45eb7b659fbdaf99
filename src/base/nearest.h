/* nearest.h -- "did you mean": the closest of a list of names, by Damerau-Levenshtein distance (optimal
 * string alignment, ASCII case ignored). */
#ifndef SLM_BASE_NEAREST_H
#define SLM_BASE_NEAREST_H

#include <stddef.h>

#define NEAREST_BYTES_MAX 64 /* longer names are compared by their first bytes */

size_t nearest_distance(const char *a, const char *b);
/* nearest_name -- names[n_names]; the closest, first one on a tie; NULL when n_names is 0. */
const char *nearest_name(const char *name, const char *const *names, size_t n_names);
/* nearest_is_close -- near enough to be worth a "did you mean": at most a third of the letters differ. */
int nearest_is_close(const char *name, const char *candidate);

#endif
