/* yaml.c -- faults of YAML files in words. */
#include "base/yaml.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/show.h"

void yaml_fault_keep(cyaml_log_t level, void *ctx, const char *fmt, va_list args) {
    struct yaml_fault *f = ctx;
    char line[256], field[64];
    int at;
    (void)level;
    vsnprintf(line, sizeof line, fmt, args);
    line[strcspn(line, "\n")] = 0;
    const char *place = strstr(line, "(line: "), *name = strstr(line, "field '");
    if (place && !f->line && sscanf(place, "(line: %d", &at) == 1) f->line = at;
    if (name && !f->field[0] && sscanf(name, "field '%63[^']", field) == 1) snprintf(f->field, sizeof f->field, "%s", field);
    if (!f->first[0] && !place && !strstr(line, "Backtrace")) snprintf(f->first, sizeof f->first, "%.199s", strncmp(line, "Load: ", 6) == 0 ? line + 6 : line);
}

int yaml_line_of_key(struct view text, const char *key) {
    size_t n = strlen(key);
    int line = 1, found = 0;
    for (size_t at = 0; at < text.len; line++) {
        const char *p = text.ptr + at, *nl = memchr(p, '\n', text.len - at), *end = nl ? nl : text.ptr + text.len;
        at = (size_t)(end - text.ptr) + 1;
        while (p < end && (*p == ' ' || *p == '"' || *p == '\'' || *p == '{')) p++;
        if ((size_t)(end - p) <= n || memcmp(p, key, n) != 0) continue;
        for (p += n; p < end && (*p == ' ' || *p == '"' || *p == '\''); p++) continue;
        if (p < end && *p == ':') found = line;
    }
    return found;
}

slm_status yaml_fault_at(const char *path, int line, slm_err *err, const char *why) {
    if (line) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "%s:%d: %s", show_path(path).s, line, why);
    return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "%s: %s", show_path(path).s, why);
}

const char *yaml_fault_say(const struct yaml_fault *f, const char *path, struct view text, cyaml_err_t code, const char *owner, slm_err *err) {
    static const char unknown[] = "Unexpected key: ", twice[] = "Mapping field already seen: ";
    char why[300];
    if (strncmp(f->first, unknown, sizeof unknown - 1) == 0) {
        const char *key = f->first + sizeof unknown - 1;
        snprintf(why, sizeof why, "key \"%s\": %s", show_cstr(key).s, owner);
        yaml_fault_at(path, yaml_line_of_key(text, key), err, why);
        return key;
    }
    if (strncmp(f->first, twice, sizeof twice - 1) == 0) {
        const char *key = f->first + sizeof twice - 1;
        snprintf(why, sizeof why, "key \"%s\": is there twice", show_cstr(key).s);
        yaml_fault_at(path, yaml_line_of_key(text, key), err, why);
        return NULL;
    }
    int line = f->field[0] ? yaml_line_of_key(text, f->field) : 0;
    snprintf(why, sizeof why, "%s", show_cstr(f->first[0] ? f->first : cyaml_strerror(code)).s);
    if (isupper((unsigned char)why[0]) && islower((unsigned char)why[1])) why[0] = (char)tolower((unsigned char)why[0]);
    yaml_fault_at(path, line ? line : f->line, err, why);
    return NULL;
}

slm_status yaml_doc_load(const char *path, struct view text, const cyaml_schema_value_t *schema, const char *owner, void **out, char unknown[64], slm_err *err) {
    struct yaml_fault fault = {.line = 0};
    const cyaml_config_t config = {.log_fn = yaml_fault_keep, .log_ctx = &fault, .mem_fn = cyaml_mem, .log_level = CYAML_LOG_WARNING, .flags = CYAML_CFG_NO_ALIAS};
    cyaml_data_t *v = NULL;
    *out = NULL;
    unknown[0] = 0;
    if (text.len && memchr(text.ptr, 0, text.len)) return yaml_fault_at(path, 0, err, "a byte 0 in a text file");
    cyaml_err_t code = cyaml_load_data((const uint8_t *)(text.ptr ? text.ptr : ""), text.len, &config, schema, &v, NULL);
    if (code != CYAML_OK) {
        const char *key = yaml_fault_say(&fault, path, text, code, owner, err);
        if (key) snprintf(unknown, 64, "%.63s", key);
        return SLM_E_USAGE;
    }
    if (fault.first[0]) {
        yaml_doc_free(schema, v);
        return yaml_fault_at(path, 0, err, "more than one document");
    }
    *out = v;
    return SLM_OK;
}

void yaml_doc_free(const cyaml_schema_value_t *schema, void *v) {
    const cyaml_config_t config = {.mem_fn = cyaml_mem, .log_level = CYAML_LOG_ERROR};
    if (v) cyaml_free(&config, schema, v, 0);
}
