/* names.c -- which names an open object has: a small reader beside the automaton.
 *
 * An automaton with all names used so far in its state would have a state for every text; this is a list beside it. Names are
 * compared as they are spelled: members that a schema does not name are generated in one spelling only (text/schema/object.c). */
#include <stdlib.h>
#include <string.h>

#include "engine/constrain/names_int.h"

#define LEVELS_AHEAD 16 /* opened by one token; deeper ones are not looked into */
#define NAMES_AHEAD 16

void names_fini(struct names *s) {
    free(s->levels);
    free(s->spans);
    memset(s, 0, sizeof *s);
}

static bool room(void *array, size_t need, size_t *cap, size_t size) {
    void *p;
    if (need <= *cap) return true;
    size_t want = *cap ? *cap * 2 : 16;
    while (want < need) want *= 2;
    memcpy(&p, array, sizeof p);
    if (!(p = realloc(p, want * size))) return false;
    memcpy(array, &p, sizeof p);
    *cap = want;
    return true;
}

static bool read_byte(struct names *s, char c) {
    if (s->in_string) {
        if (s->is_escaped) s->is_escaped = false;
        else if (c == '\\') s->is_escaped = true;
        else if (c == '"') {
            s->in_string = false;
            if (s->is_name) {
                if (!room(&s->spans, s->n_spans + 1, &s->cap_spans, sizeof *s->spans)) return false;
                s->spans[s->n_spans++] = (struct name_span){s->name_at, s->at - s->name_at};
                s->wants_name = false;
            }
        }
        return true;
    }
    switch (c) {
    case '"':
        s->in_string = true;
        s->is_name = s->wants_name;
        s->name_at = s->at + 1;
        break;
    case '{':
    case '[':
        if (!room(&s->levels, s->n_levels + 1, &s->cap_levels, sizeof *s->levels)) return false;
        s->levels[s->n_levels++] = (struct name_level){(uint32_t)s->n_spans, c == '{'};
        s->wants_name = c == '{';
        break;
    case '}':
    case ']':
        if (s->n_levels > 0) s->n_spans = s->levels[--s->n_levels].n_before;
        s->wants_name = false;
        break;
    case ',': s->wants_name = s->n_levels > 0 && s->levels[s->n_levels - 1].is_object; break;
    default: break;
    }
    return true;
}

slm_status names_read(struct names *s, struct view text, slm_err *err) {
    for (; s->at < text.len; s->at++)
        if (!read_byte(s, text.ptr[s->at])) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "structured output: no memory");
    return SLM_OK;
}

slm_status names_copy(const struct names *from, struct names *to, slm_err *err) {
    struct names s = *from;
    s.levels = NULL;
    s.spans = NULL;
    s.cap_levels = s.cap_spans = 0;
    memset(to, 0, sizeof *to);
    if (!room(&s.levels, from->n_levels, &s.cap_levels, sizeof *s.levels) || !room(&s.spans, from->n_spans, &s.cap_spans, sizeof *s.spans)) {
        names_fini(&s);
        return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "structured output: no memory");
    }
    if (from->n_levels) memcpy(s.levels, from->levels, from->n_levels * sizeof *s.levels);
    if (from->n_spans) memcpy(s.spans, from->spans, from->n_spans * sizeof *s.spans);
    *to = s;
    return SLM_OK;
}

/* What the next bytes open and name, over what is open already. */
struct ahead {
    const struct names *s;
    const char *text;
    struct view next;
    size_t n_levels;   /* of s that are still open */
    bool is_object[LEVELS_AHEAD];
    size_t n_own;      /* levels opened ahead */
    struct {
        size_t level;  /* n_levels + n_own when it was read */
        uint32_t from, n;
        bool is_whole; /* within next; else it began in text */
    } names[NAMES_AHEAD];
    size_t n_names;
};

/* Bytes of a name that ends at `end` of next: a piece of the text and a piece of next. */
static bool same(const char *head, size_t n_head, struct view tail, const char *other, size_t n_other) {
    return n_other == n_head + tail.len && memcmp(other, head, n_head) == 0 && memcmp(other + n_head, tail.ptr, tail.len) == 0;
}

static bool is_known(const struct ahead *a, const char *head, size_t n_head, struct view tail) {
    const struct names *s = a->s;
    if (a->n_own == 0 && a->n_levels > 0) {
        size_t end = a->n_levels == s->n_levels ? s->n_spans : s->levels[a->n_levels].n_before;
        for (size_t i = s->levels[a->n_levels - 1].n_before; i < end; i++)
            if (same(head, n_head, tail, a->text + s->spans[i].at, s->spans[i].n)) return true;
    }
    for (size_t i = 0; i < a->n_names; i++)
        if (a->names[i].level == a->n_levels + a->n_own && a->names[i].is_whole && same(head, n_head, tail, a->next.ptr + a->names[i].from, a->names[i].n)) return true;
    return false;
}

static bool top_is_object(const struct ahead *a) {
    return a->n_own > 0 ? a->is_object[a->n_own - 1] : a->n_levels > 0 && a->s->levels[a->n_levels - 1].is_object;
}

bool names_repeats(const struct names *s, const char *text, struct view next) {
    struct ahead a = {.s = s, .text = text, .next = next, .n_levels = s->n_levels};
    bool in_string = s->in_string, is_escaped = s->is_escaped, is_name = s->is_name, wants_name = s->wants_name, is_whole = false;
    size_t from = 0;
    for (size_t i = 0; i < next.len; i++) {
        char c = next.ptr[i];
        if (in_string) {
            if (is_escaped || c == '\\') {
                is_escaped = !is_escaped;
                continue;
            }
            if (c != '"') continue;
            in_string = false;
            if (!is_name) continue;
            const char *head = is_whole ? NULL : text + s->name_at;
            size_t n_head = is_whole ? 0 : s->at - s->name_at;
            if (is_known(&a, head ? head : "", n_head, (struct view){next.ptr + from, i - from})) return true;
            if (a.n_names < NAMES_AHEAD) {
                a.names[a.n_names].level = a.n_levels + a.n_own;
                a.names[a.n_names].from = (uint32_t)from;
                a.names[a.n_names].n = (uint32_t)(i - from);
                a.names[a.n_names++].is_whole = is_whole;
            }
            wants_name = false;
        } else if (c == '"') {
            in_string = is_whole = true;
            is_name = wants_name;
            from = i + 1;
        } else if (c == '{' || c == '[') {
            if (a.n_own == LEVELS_AHEAD) return false;
            a.is_object[a.n_own++] = wants_name = c == '{';
        } else if (c == '}' || c == ']') {
            for (size_t k = 0; k < a.n_names; k++)
                if (a.names[k].level == a.n_levels + a.n_own) a.names[k].is_whole = false; /* of an object that is over */
            if (a.n_own > 0) a.n_own--;
            else if (a.n_levels > 0) a.n_levels--;
            wants_name = false;
        } else if (c == ',') {
            wants_name = top_is_object(&a);
        }
    }
    return false;
}
