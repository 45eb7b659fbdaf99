/* shipped.h -- the models that come with the program: models/<name>.gguf beside it, so that it has something to run before anything is fetched. */
#ifndef SLM_STORE_SHIPPED_H
#define SLM_STORE_SHIPPED_H

#include "base/status.h"

#define SHIPPED_DEFAULT "tales" /* of `slm run` without a model */

/* shipped_find -- *path: the file of a model by its plain name, malloc'd, the caller frees; NULL: there is none of that name. Looked for in
 * SLM_MODELS when that is set, else in models/ beside the program (a build tree has a link there), and in share/slm/models of the
 * prefix it is installed to. Errors: NOMEM. */
slm_status shipped_find(const char *name, char **path, slm_err *err);
/* shipped_each -- every one of them, in order of names; path is the caller's only during the visit. Errors: NOMEM. */
typedef void (*shipped_visit)(void *user, const char *name, const char *path);
slm_status shipped_each(shipped_visit visit, void *user, slm_err *err);

#endif
