/* redact.c -- placeholders for what the detectors find, and the way back.
 *
 * Each takes one look-up, whatever the conversation holds: originals by a hash, placeholders by their number. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tier/privacy_int.h"

#define LABEL_BYTES_MAX 8
#define DIGITS_MAX 9 /* of a placeholder's number; what has more is none of ours */

/* A placeholder at the beginning of text: its length, and its number; 0: there is none; SIZE_MAX: text ends within what may be one. */
static size_t read_placeholder(struct view text, size_t *number) {
    size_t i = 1, n_digits = 0;
    *number = 0;
    if (text.len == 0 || text.ptr[0] != '[') return 0;
    while (i < text.len && i <= LABEL_BYTES_MAX && text.ptr[i] >= 'A' && text.ptr[i] <= 'Z') i++;
    if (i == text.len) return SIZE_MAX;
    if (i == 1 || text.ptr[i++] != '_') return 0;
    for (; i < text.len && isdigit((unsigned char)text.ptr[i]) && n_digits < DIGITS_MAX; i++, n_digits++) *number = *number * 10 + (size_t)(text.ptr[i] - '0');
    if (i == text.len) return SIZE_MAX;
    return n_digits && text.ptr[i] == ']' ? i + 1 : 0;
}

static size_t largest_in_text(struct view text) {
    size_t most = 0, number;
    for (const char *at = text.ptr, *end = text.ptr + text.len; at && (at = memchr(at, '[', (size_t)(end - at))); at++) {
        size_t n = read_placeholder((struct view){at, (size_t)(end - at)}, &number);
        if (n && n != SIZE_MAX && number > most) most = number;
    }
    return most;
}

/* The largest number of the placeholders that the conversation has of itself: ours are larger. */
static size_t largest_number(const json_t *v) {
    size_t most = 0, n, i;
    const char *key;
    json_t *item;
    if (json_is_string(v)) return largest_in_text((struct view){json_string_value(v), json_string_length(v)});
    json_array_foreach((json_t *)(uintptr_t)v, i, item) if ((n = largest_number(item)) > most) most = n;
    json_object_foreach((json_t *)(uintptr_t)v, key, item) {
        if ((n = largest_in_text(view_of(key))) > most) most = n;
        if ((n = largest_number(item)) > most) most = n;
    }
    return most;
}

/* The slot of an original: its own, or the empty one where it belongs. Slots hold places in v, + 1. Where r lies nobody outside knows, so nobody makes collisions. */
static size_t slot_of(const struct redaction *r, struct view original) {
    size_t at = (size_t)hash_bytes(HASH_START ^ (uint64_t)(uintptr_t)r, original.ptr, original.len) & (r->n_slots - 1);
    while (r->slots[at] && !view_eq(view_of(r->v[r->slots[at] - 1].original), original)) at = (at + 1) & (r->n_slots - 1);
    return at;
}

static bool grow_slots(struct redaction *r) {
    size_t n = r->n_slots ? 2 * r->n_slots : 64;
    uint32_t *slots = calloc(n, sizeof *slots);
    if (!slots) return false;
    free(r->slots);
    r->slots = slots;
    r->n_slots = n;
    for (size_t i = 0; i < r->n; i++) r->slots[slot_of(r, view_of(r->v[i].original))] = (uint32_t)i + 1;
    return true;
}

/* The placeholder of a text: the one it has, or a new one. */
static const char *placeholder_of(struct redaction *r, const char *label, struct view original) {
    char name[64];
    if (2 * r->n >= r->n_slots && !grow_slots(r)) return NULL;
    size_t slot = slot_of(r, original);
    if (r->slots[slot]) return r->v[r->slots[slot] - 1].placeholder;
    if (r->n == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 16;
        struct pair *grown = realloc(r->v, cap * sizeof *grown);
        if (!grown) return NULL;
        r->v = grown;
        r->cap = cap;
    }
    snprintf(name, sizeof name, "[%s_%zu]", label, ++r->n_named);
    struct pair pair = {strdup(name), strndup(original.ptr, original.len), r->n_named};
    if (!pair.placeholder || !pair.original) {
        free(pair.placeholder);
        free(pair.original);
        return NULL;
    }
    r->v[r->n++] = pair;
    r->slots[slot] = (uint32_t)r->n;
    return pair.placeholder;
}

static json_t *redact_text(const struct privacy *p, struct view key, struct view text, struct redaction *r) {
    struct found *f = malloc(FOUND_MAX * sizeof *f);
    struct buf out;
    json_t *made = NULL;
    buf_init(&out, (size_t)256 << 20);
    size_t n = f ? privacy_scan_named(p, key, text, f, FOUND_MAX) : 0, at = 0;
    bool is_good = f != NULL;
    for (size_t i = 0; i < n && is_good; i++) {
        const char *name = placeholder_of(r, f[i].label, (struct view){text.ptr + f[i].at, f[i].n});
        buf_append(&out, text.ptr + at, f[i].at - at);
        if (name) buf_puts(&out, name);
        else is_good = false;
        at = f[i].at + f[i].n;
    }
    buf_append(&out, text.ptr + at, text.len - at);
    if (is_good && out.failed == SLM_OK) made = json_stringn(out.data ? out.data : "", out.len);
    buf_fini(&out);
    free(f);
    return made;
}

/* One that is found becomes a string: a placeholder is no number. */
static json_t *redact_number(const struct privacy *p, struct view key, const json_t *v, struct redaction *r) {
    json_t *text = privacy_number_text(v), *made = text ? redact_text(p, key, (struct view){json_string_value(text), json_string_length(text)}, r) : NULL;
    if (made && json_equal(made, text)) {
        json_decref(made);
        made = json_deep_copy(v);
    }
    json_decref(text);
    return made;
}

static json_t *redact(const struct privacy *p, struct view name, const json_t *v, struct redaction *r, bool is_free) {
    size_t i;
    const char *key;
    json_t *item, *made;
    if (json_is_string(v)) return redact_text(p, name, (struct view){json_string_value(v), json_string_length(v)}, r);
    if (json_is_number(v) && is_free) return redact_number(p, name, v, r);
    if (!json_is_array(v) && !json_is_object(v)) return json_deep_copy(v);
    json_t *out = json_is_array(v) ? json_array() : json_object();
    json_array_foreach((json_t *)(uintptr_t)v, i, item) {
        if (!(made = redact(p, name, item, r, is_free)) || json_array_append_new(out, made) != 0) goto fail;
    }
    json_object_foreach((json_t *)(uintptr_t)v, key, item) {
        json_t *shown = is_free ? redact_text(p, (struct view){0}, view_of(key), r) : json_string(key);
        bool is_put = shown && (made = redact(p, is_free ? view_of(key) : (struct view){0}, item, r, is_free || privacy_is_free_below(key))) && json_object_set_new(out, json_string_value(shown), made) == 0;
        json_decref(shown);
        if (!is_put) goto fail;
    }
    return out;
fail:
    json_decref(out);
    return NULL;
}

json_t *privacy_redact(const struct privacy *p, const json_t *v, struct redaction *r) {
    size_t most = largest_number(v);
    if (most > r->n_named) r->n_named = most;
    return redact(p, (struct view){0}, v, r, false);
}

void redaction_fini(struct redaction *r) {
    for (size_t i = 0; i < r->n; i++) {
        free(r->v[i].placeholder);
        free(r->v[i].original);
    }
    free(r->v);
    free(r->slots);
    *r = (struct redaction){0};
}

void restorer_init(struct restorer *t, const struct redaction *r, bool in_json) {
    *t = (struct restorer){.r = r, .in_json = in_json};
    buf_init(&t->held, (size_t)64 << 20);
}

static void put_original(const struct restorer *t, const char *original, struct buf *out) {
    if (!t->in_json) {
        buf_puts(out, original);
        return;
    }
    json_t *s = json_string(original);
    char *text = s ? json_dumps(s, JSON_ENCODE_ANY) : NULL;
    if (text) buf_append(out, text + 1, strlen(text) - 2);
    free(text);
    json_decref(s);
}

/* Is held[at..] a placeholder, or may it become one? 0: no; its length; SIZE_MAX: it may. */
static size_t look(const struct restorer *t, size_t at, const char **original) {
    struct view text = {t->held.data + at, t->held.len - at};
    size_t number, n = read_placeholder(text, &number), low = 0, high = t->r->n;
    if (n == 0 || n == SIZE_MAX) return n;
    while (low < high) { /* numbers grow */
        size_t mid = low + (high - low) / 2;
        if (t->r->v[mid].number < number) low = mid + 1;
        else high = mid;
    }
    if (low == t->r->n || !view_eq((struct view){text.ptr, n}, view_of(t->r->v[low].placeholder))) return 0;
    *original = t->r->v[low].original;
    return n;
}

static void drain(struct restorer *t, bool is_end, struct buf *out) {
    size_t at = 0;
    while (at < t->held.len) {
        const char *original = NULL;
        size_t n = t->held.data[at] == '[' ? look(t, at, &original) : 0;
        if (n == SIZE_MAX && !is_end) break;
        if (original) put_original(t, original, out);
        else buf_putc(out, t->held.data[at]);
        at += original ? n : 1;
    }
    if (at) memmove(t->held.data, t->held.data + at, t->held.len - at);
    t->held.len -= at;
}

void restorer_push(struct restorer *t, struct view text, struct buf *out) {
    if (t->r->n == 0) {
        buf_append(out, text.ptr, text.len);
        return;
    }
    buf_append(&t->held, text.ptr, text.len);
    drain(t, false, out);
}

void restorer_finish(struct restorer *t, struct buf *out) { drain(t, true, out); }
void restorer_fini(struct restorer *t) { buf_fini(&t->held); }
