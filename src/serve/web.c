/* web.c -- the page and its modules, as they lie in the program. They need no other host, and may talk to none. */
#include "serve/web.h"

#include <string.h>

#include "serve/server.h"

static const struct { const char *ending, *type; } types[] = {
    {".html", "text/html; charset=utf-8"}, {".js", "text/javascript; charset=utf-8"}, {".css", "text/css; charset=utf-8"}};

static slm_status send_file(struct call *c, struct view name) {
    for (size_t i = 0; i < n_web_files; i++) {
        if (!view_eq(name, view_of(web_files[i].name))) continue;
        const char *type = "application/octet-stream", *ending = strrchr(web_files[i].name, '.');
        for (size_t k = 0; ending && k < sizeof types / sizeof types[0]; k++)
            if (strcmp(ending, types[k].ending) == 0) type = types[k].type;
        http_header_add(c->x, "content-security-policy", "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'");
        http_header_add(c->x, "x-content-type-options", "nosniff");
        http_header_add(c->x, "cache-control", "no-cache");
        return reply_text(c, 200, type, web_files[i].bytes, web_files[i].n);
    }
    return fault_set(&c->fault, SLM_E_NOT_FOUND, NULL, "path: the page has no such file");
}

slm_status web_page(struct call *c) { return send_file(c, VIEW("index.html")); }
slm_status web_asset(struct call *c) { return send_file(c, c->tail); }
