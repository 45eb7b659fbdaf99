/* config.c -- a YAML file as options, through a libcyaml schema made of the rows.
 *
 * Every value is read as text and goes the way of an argument, so ranges, choices and messages are those of the command line. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/nearest.h"
#include "base/show.h"
#include "base/yaml.h"
#include "cli/config.h"

#define ROWS_MAX 160
#define VALUE_BYTES_MAX 65536

/* What the schema writes for a row. */
struct slot {
    char *text;
    char **list;
    unsigned n;
};

static bool is_key(const struct option *o) { return o->kind != OPT_SECTION && o->name[0] && !(o->flags & OPTION_CONFIG); }
static bool is_list(const struct option *o) { return o->kind == OPT_TEXTS || o->kind == OPT_INTS || o->kind == OPT_BIASES; }

static void hint_key(const struct option_table *t, const char *key, slm_err *err) {
    const char *names[ROWS_MAX];
    size_t n = 0;
    const struct option *o;
    for (size_t i = 0; (o = option_at(t, i)) && n < ROWS_MAX; i++)
        if (is_key(o)) names[n++] = o->name;
    const char *best = nearest_name(key, names, n);
    if (best && nearest_is_close(key, best)) err_hint(err, "did you mean \"%s\"? keys are the options of \"slm %s --help\"", best, t->command);
    else err_hint(err, "keys are the options of \"slm %s --help\", without dashes", t->command);
}

static slm_status say_fault(const struct option_table *t, const char *path, struct view text, const struct yaml_fault *f, cyaml_err_t code, slm_err *err) {
    char owner[80];
    snprintf(owner, sizeof owner, "\"slm %s\" has no such option", t->command);
    const char *unknown = yaml_fault_say(f, path, text, code, owner, err);
    if (unknown) hint_key(t, unknown, err);
    return SLM_E_USAGE;
}

/* Schema: key i of the rows writes slots[i]. */
static size_t make_schema(const struct option_table *t, const cyaml_schema_value_t *text, cyaml_schema_field_t *fields) {
    const struct option *o;
    size_t n = 0;
    for (size_t i = 0; (o = option_at(t, i)); i++) {
        SLM_ASSERT(i < ROWS_MAX);
        if (!is_key(o)) continue;
        cyaml_schema_field_t *f = &fields[n++];
        uint32_t base = (uint32_t)(i * sizeof(struct slot));
        memset(f, 0, sizeof *f);
        f->key = o->name;
        if (is_list(o)) {
            f->value = (cyaml_schema_value_t){CYAML_VALUE_SEQUENCE(CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, char *, text, 0, OPTION_BIASES_MAX)};
            f->data_offset = base + (uint32_t)offsetof(struct slot, list);
            f->count_offset = base + (uint32_t)offsetof(struct slot, n);
            f->count_size = sizeof(unsigned);
        } else {
            f->value = (cyaml_schema_value_t){CYAML_VALUE_STRING(CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, char, 0, VALUE_BYTES_MAX)};
            f->data_offset = base + (uint32_t)offsetof(struct slot, text);
        }
    }
    memset(&fields[n], 0, sizeof fields[n]);
    return n;
}

/* Texts that values point to stay; they follow each other in one allocation. */
struct keeper {
    char *at;
};

static const char *keep(struct keeper *k, const char *text) {
    size_t n = strlen(text) + 1;
    char *copy = memcpy(k->at, text, n);
    k->at += n;
    return copy;
}

static slm_status assign_flag(const struct option *o, const char *text, void *values, slm_err *err) {
    static const char *const yes[] = {"true", "yes", "on"}, *const no[] = {"false", "no", "off"};
    for (size_t i = 0; i < 3; i++) {
        if (strcmp(text, yes[i]) == 0) return option_assign(o, "", values, err);
        if (strcmp(text, no[i]) == 0) return SLM_OK;
    }
    return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "key \"%s\": \"%s\" is not true or false", o->name, show_cstr(text).s);
}

static slm_status assign_ints(const struct option *o, const struct slot *s, void *values, slm_err *err) {
    struct buf list;
    slm_status st;
    buf_init(&list, VALUE_BYTES_MAX);
    for (unsigned i = 0; i < s->n; i++) buf_printf(&list, "%s%s", i ? "," : "", s->list[i]);
    st = buf_status(&list, "a list", err);
    if (st == SLM_OK) st = option_assign(o, list.data ? list.data : "", values, err);
    buf_fini(&list);
    return st;
}

static slm_status assign_slot(const struct option *o, const struct slot *s, struct keeper *k, void *values, slm_err *err) {
    slm_status st = SLM_OK;
    if (o->kind == OPT_INTS) return assign_ints(o, s, values, err);
    if (o->kind == OPT_FLAG) return assign_flag(o, s->text, values, err);
    if (!is_list(o)) return option_assign(o, keep(k, s->text), values, err);
    for (unsigned i = 0; i < s->n && st == SLM_OK; i++) st = option_assign(o, keep(k, s->list[i]), values, err);
    return st;
}

static slm_status assign_all(const struct option_table *t, const char *path, struct view text, const struct slot *slots, bool *given, struct common_values *values, slm_err *err) {
    const struct option *o;
    size_t bytes = 1;
    for (size_t i = 0; option_at(t, i); i++) {
        if (slots[i].text) bytes += strlen(slots[i].text) + 1;
        for (unsigned k = 0; k < slots[i].n; k++) bytes += strlen(slots[i].list[k]) + 1;
    }
    free(values->config_text);
    if (!(values->config_text = malloc(bytes))) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "options: no memory");
    struct keeper k = {values->config_text};
    for (size_t i = 0; (o = option_at(t, i)); i++) {
        if (given[i] || (!slots[i].text && !slots[i].list)) continue;
        slm_status st = assign_slot(o, &slots[i], &k, values, err);
        int line = yaml_line_of_key(text, o->name);
        if (st != SLM_OK) return line ? err_wrap(err, st, "%s:%d", show_path(path).s, line) : err_wrap(err, st, "%s", show_path(path).s);
        given[i] = true;
    }
    return SLM_OK;
}

slm_status config_apply_text(const struct option_table *t, const char *path, struct view text, bool *given, struct common_values *values, slm_err *err) {
    slm_status st = SLM_OK;
    struct yaml_fault fault = {.line = 0};
    struct slot *slots = NULL;
    cyaml_schema_field_t fields[ROWS_MAX + 1];
    static const cyaml_schema_value_t one = {CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, VALUE_BYTES_MAX)};
    make_schema(t, &one, fields);
    const cyaml_schema_value_t top = {CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct slot, fields)};
    cyaml_schema_value_t all = top;
    all.data_size = ROWS_MAX * sizeof(struct slot);
    const cyaml_config_t config = {.log_fn = yaml_fault_keep, .log_ctx = &fault, .mem_fn = cyaml_mem, .log_level = CYAML_LOG_WARNING, .flags = CYAML_CFG_NO_ALIAS};
    if (text.len && memchr(text.ptr, 0, text.len)) return yaml_fault_at(path, 0, err, "a byte 0 in a text file");
    cyaml_err_t code = cyaml_load_data((const uint8_t *)(text.ptr ? text.ptr : ""), text.len, &config, &all, (cyaml_data_t **)&slots, NULL);
    if (code != CYAML_OK) st = say_fault(t, path, text, &fault, code, err);
    else if (fault.first[0]) st = yaml_fault_at(path, 0, err, "more than one document");
    else if (slots) st = assign_all(t, path, text, slots, given, values, err);
    if (slots) cyaml_free(&config, &all, slots, 0);
    return st;
}

slm_status config_apply(const struct option_table *t, const char *path, bool *given, struct common_values *values, slm_err *err) {
    struct buf text;
    buf_init(&text, CONFIG_BYTES_MAX);
    slm_status st = file_read(&text, path, err);
    if (st == SLM_OK) st = config_apply_text(t, path, (struct view){text.data, text.len}, given, values, err);
    buf_fini(&text);
    return st;
}

/* Writing */

static void put_quoted(const char *s, struct buf *out) {
    buf_putc(out, '"');
    for (; *s; s++) {
        if (*s == '"' || *s == '\\') buf_putc(out, '\\');
        if ((unsigned char)*s < 0x20) buf_printf(out, "\\x%02x", (unsigned char)*s);
        else buf_putc(out, *s);
    }
    buf_putc(out, '"');
}

static void put_list(const struct option_texts *list, struct buf *out) {
    buf_putc(out, '[');
    for (size_t i = 0; i < list->n; i++) {
        if (i) buf_puts(out, ", ");
        put_quoted(list->v[i], out);
    }
    buf_putc(out, ']');
}

/* The shortest text that reads back as the same float. */
static void put_float(struct buf *out, float v) {
    char text[32];
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)v);
        if (strtof(text, NULL) == v) break;
    }
    buf_puts(out, text);
}

void config_write(const struct option_table *t, const void *values, struct buf *out) {
    const struct option *o;
    for (size_t i = 0; i < t->n_options && (o = option_at(t, i)); i++) {
        const void *at = (const char *)values + o->offset;
        const char *text = NULL;
        if (!is_key(o) || (o->kind == OPT_TEXTS && ((const struct option_texts *)at)->n == 0) || o->kind == OPT_BIASES) continue;
        if (o->kind == OPT_TEXT || o->kind == OPT_FILE || o->kind == OPT_FOLDER) {
            memcpy(&text, at, sizeof text);
            if (!text) continue;
        }
        buf_printf(out, "%s: ", o->name);
        if (text) put_quoted(text, out);
        else if (o->kind == OPT_FLAG) buf_puts(out, *(const bool *)at ? "true" : "false");
        else if (o->kind == OPT_TEXTS) put_list(at, out);
        else {
            if (o->kind == OPT_INTS) buf_putc(out, '[');
            if (o->kind == OPT_FLOAT) put_float(out, *(const float *)at);
            else option_value(o, values, out);
            if (o->kind == OPT_INTS) buf_putc(out, ']');
        }
        buf_putc(out, '\n');
    }
}
