/* openapi.c -- /openapi.json, made from the routes and their fields. */
#include <string.h>

#include "serve/server.h"

/* The star at the end of a path becomes "{name}". */
static json_t *path_key(const char *path, json_t *paths) {
    char key[128];
    size_t n = strlen(path);
    bool has_tail = n && path[n - 1] == '*';
    SLM_ASSERT(n < sizeof key - 8);
    memcpy(key, path, n + 1);
    if (has_tail) memcpy(key + n - 1, "{name}", 7);
    json_t *item = json_object_get(paths, key);
    if (!item) {
        item = json_object();
        if (has_tail) json_object_set_new(item, "parameters", json_pack("[{s:s, s:s, s:b, s:{s:s}}]", "name", "name", "in", "path", "required", 1, "schema", "type", "string"));
        json_object_set_new(paths, key, item);
    }
    return item;
}

json_t *openapi_document(void) {
    static const char *const tags[API_COUNT] = {"slm and llama.cpp", "OpenAI", "Anthropic", "Ollama"};
    json_t *paths = json_object();
    size_t n;
    const struct route *r = routes(&n);
    for (size_t i = 0; i < n; i++, r++) {
        char method[16] = "";
        for (size_t k = 0; r->method[k] && k < sizeof method - 1; k++) method[k] = (char)(r->method[k] | 0x20);
        json_t *op = json_pack("{s:s, s:[s], s:{s:{s:s}, s:{s:s}}}", "summary", r->doc, "tags", tags[r->api], "responses", "200", "description", "done", "default",
                               "description", "an error in the shape of the API");
        if (r->fields)
            json_object_set_new(op, "requestBody", json_pack("{s:b, s:{s:{s:o}}}", "required", !(r->flags & ROUTE_BODY_OPTIONAL), "content", "application/json", "schema", fields_schema(r->fields)));
        json_object_set_new(op, "security", r->flags & ROUTE_OPEN ? json_array() : json_pack("[{s:[]}]", "key"));
        json_object_set_new(path_key(r->path, paths), method, op);
    }
    return json_pack("{s:s, s:{s:s, s:s, s:s}, s:{s:{s:{s:s, s:s}}}, s:o}", "openapi", "3.1.0", "info", "title", "slm", "version", SLM_VERSION, "description",
                     "Small language models behind the APIs of OpenAI, Anthropic, Ollama and llama.cpp.", "components", "securitySchemes", "key", "type", "http", "scheme", "bearer",
                     "paths", paths);
}
