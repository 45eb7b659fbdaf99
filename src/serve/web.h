/* web.h -- the page at "/": files of src/serve/web, in the program. */
#ifndef SLM_SERVE_WEB_H
#define SLM_SERVE_WEB_H

#include "base/status.h"

struct web_file {
    const char *name; /* "app.js" */
    const unsigned char *bytes;
    size_t n;
};
extern const struct web_file web_files[]; /* [n_web_files], made by tools/embed.cmake */
extern const size_t n_web_files;

struct call;
slm_status web_page(struct call *c);  /* "/" */
slm_status web_asset(struct call *c); /* "/web/NAME" */

#endif
