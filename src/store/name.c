/* name.c -- names by rules that need no network: what exists is a file, "http" is a URL, a host says which registry, one slash is the hub. */
#include "store/name.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define URL_FOLDER "url"

/* Hosts that speak one of the two protocols, by the names people use for them. */
static const struct host_row {
    const char *name, *host;
    enum name_kind kind;
} hosts[] = {
    {"hf.co", "huggingface.co", NAME_HUB},
    {"huggingface.co", "huggingface.co", NAME_HUB},
    {"ollama.com", "registry.ollama.ai", NAME_OLLAMA},
    {"registry.ollama.ai", "registry.ollama.ai", NAME_OLLAMA},
};

static const struct host_row *find_host(struct view name) {
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++)
        if (view_eq(name, view_of(hosts[i].name))) return &hosts[i];
    return NULL;
}

static bool is_letter_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

static bool is_part(struct view v, bool may_have_port) {
    if (v.len == 0 || v.len >= NAME_PART_MAX) return false;
    for (size_t i = 0; i < v.len; i++) {
        char c = v.ptr[i];
        bool ok = is_letter_or_digit(c) || c == '_' || (i > 0 && (c == '-' || c == '.')) || (may_have_port && i > 0 && c == ':');
        if (!ok) return false;
    }
    return true;
}

static slm_status take_part(struct view v, const char *what, bool may_have_port, char out[NAME_PART_MAX], slm_err *err) {
    if (!is_part(v, may_have_port)) {
        err_set(err, SLM_E_USAGE, SLM_NOWHERE, "model name: %s \"%.*s\" is no name", what, VIEW_ARG(v));
        err_hint(err, "parts are letters, digits, \"_\", \"-\" and \".\", shorter than %d, and begin with a letter, a digit or \"_\"", NAME_PART_MAX);
        return SLM_E_USAGE;
    }
    memcpy(out, v.ptr, v.len);
    out[v.len] = 0;
    return SLM_OK;
}

static bool begins(const char *text, const char *with) { return strncmp(text, with, strlen(with)) == 0; }

static bool is_path(const char *text) {
    return text[0] == '/' || text[0] == '.' || text[0] == '~' || access(text, F_OK) == 0;
}

static slm_status take_text(const char *text, enum name_kind kind, struct model_name *name, slm_err *err) {
    name->kind = kind;
    if (strlen(text) >= sizeof name->url) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "model name: longer than %zu bytes", sizeof name->url - 1);
    text_copy(name->url, sizeof name->url, text);
    if (kind == NAME_FILE) return SLM_OK;
    /* A URL's manifest is known by its hash. */
    text_copy(name->host, sizeof name->host, URL_FOLDER);
    text_copy(name->space, sizeof name->space, "_");
    snprintf(name->model, sizeof name->model, "%016llx", (unsigned long long)hash_bytes(HASH_START, text, strlen(text)));
    text_copy(name->tag, sizeof name->tag, "latest");
    return SLM_OK;
}

/* Cut at the first of `at`: what stands before it; *rest is what follows. False: there is none. */
static bool cut(struct view v, char at, struct view *head, struct view *rest) {
    const char *p = memchr(v.ptr, at, v.len);
    if (!p) return false;
    *head = (struct view){v.ptr, (size_t)(p - v.ptr)};
    *rest = (struct view){p + 1, v.len - head->len - 1};
    return true;
}

/* "[space/]model[:tag]" of a registry, "owner/repo[:quant]" of the hub. */
static slm_status take_rest(struct view rest, struct model_name *name, slm_err *err) {
    slm_status st = SLM_OK;
    bool is_hub = name->kind == NAME_HUB;
    struct view space = VIEW("library"), model = rest, tag = is_hub ? VIEW("") : VIEW("latest"), head;
    if (cut(rest, '/', &head, &model)) space = head;
    else if (is_hub) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "model name \"%.*s\": a repository has an owner: OWNER/REPO", VIEW_ARG(rest));
    if (cut(model, ':', &head, &tag)) {
        model = head;
        TRY(take_part(tag, is_hub ? "quant" : "tag", false, name->tag, err));
    } else if (tag.len) TRY(take_part(tag, "tag", false, name->tag, err));
    TRY(take_part(space, is_hub ? "owner" : "namespace", false, name->space, err));
    TRY(take_part(model, is_hub ? "repository" : "model", false, name->model, err));
out:
    return st;
}

slm_status name_parse(const char *text, struct model_name *name, slm_err *err) {
    memset(name, 0, sizeof *name);
    bool is_url = begins(text, "http://") || begins(text, "https://");
    return !is_url && *text && is_path(text) ? take_text(text, NAME_FILE, name, err) : name_parse_remote(text, name, err);
}

slm_status name_parse_remote(const char *text, struct model_name *name, slm_err *err) {
    struct view v = view_of(text), host, rest;
    memset(name, 0, sizeof *name);
    if (v.len == 0) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "model name: empty");
    if (begins(text, "http://") || begins(text, "https://")) return take_text(text, NAME_URL, name, err);
    size_t n_slash = 0;
    for (size_t i = 0; i < v.len; i++) n_slash += v.ptr[i] == '/';
    const struct host_row *row = NULL;
    if (n_slash > 0 && cut(v, '/', &host, &rest)) row = find_host(host);
    if (row) {
        name->kind = row->kind;
        text_copy(name->host, sizeof name->host, row->host);
        return take_rest(rest, name, err);
    }
    if (n_slash > 1) { /* a registry of somebody's own */
        name->kind = NAME_OLLAMA;
        slm_status st = take_part(host, "host", true, name->host, err);
        return st == SLM_OK ? take_rest(rest, name, err) : st;
    }
    name->kind = n_slash == 1 ? NAME_HUB : NAME_OLLAMA;
    text_copy(name->host, sizeof name->host, n_slash == 1 ? "huggingface.co" : "registry.ollama.ai");
    return take_rest(v, name, err);
}

void name_print(const struct model_name *n, struct buf *out) {
    if (n->kind == NAME_FILE || n->kind == NAME_URL) {
        buf_puts(out, n->url);
        return;
    }
    bool is_own = strcmp(n->host, "registry.ollama.ai") == 0;
    if (n->kind == NAME_HUB) buf_printf(out, "hf.co/%s/", n->space);
    else if (!is_own) buf_printf(out, "%s/%s/", n->host, n->space);
    else if (strcmp(n->space, "library") != 0) buf_printf(out, "ollama.com/%s/", n->space);
    buf_puts(out, n->model);
    if (n->tag[0]) buf_printf(out, ":%s", n->tag);
}

slm_status name_path(const struct model_name *n, struct buf *out, slm_err *err) {
    SLM_ASSERT(n->kind != NAME_FILE);
    if (!n->tag[0]) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "model name \"%s/%s\": the quant is not chosen", n->space, n->model);
    buf_printf(out, "%s/%s/%s/%s", n->host, n->space, n->model, n->tag);
    return SLM_OK;
}

bool name_from_path(const char *path, struct model_name *n) {
    struct view parts[4], rest = view_of(path);
    for (int i = 0; i < 3; i++)
        if (!cut(rest, '/', &parts[i], &rest)) return false;
    parts[3] = rest;
    memset(n, 0, sizeof *n);
    char *const out[] = {n->host, n->space, n->model, n->tag};
    for (int i = 0; i < 4; i++)
        if (take_part(parts[i], "part", i == 0, out[i], NULL) != SLM_OK) return false;
    n->kind = strcmp(n->host, URL_FOLDER) == 0 ? NAME_URL : strcmp(n->host, "huggingface.co") == 0 ? NAME_HUB : NAME_OLLAMA;
    return true;
}

bool name_is_within(const struct model_name *n, const char *pattern) {
    struct view rest = view_of(pattern), part;
    const char *const parts[] = {n->host, n->space, n->model};
    if (n->kind != NAME_OLLAMA && n->kind != NAME_HUB) return false;
    for (int i = 0; i < 3 && rest.len; i++) {
        if (!cut(rest, '/', &part, &rest)) {
            part = rest;
            rest.len = 0;
        }
        const struct host_row *row = i == 0 ? find_host(part) : NULL;
        if (!view_eq(part, VIEW("*")) && !view_eq(part, view_of(parts[i])) && !(row && strcmp(row->host, n->host) == 0)) return false;
    }
    return rest.len == 0 && *pattern;
}
