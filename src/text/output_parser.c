/* output_parser.c -- the stream: marks are looked for in what has come, and as little as possible is held back.
 *
 * Held back are: the longest end of the text that may begin a mark; whitespace that a mark would swallow; and a call until it
 * is whole. Each byte is looked at once per mark that is live (memmem from where the last look ended), a call's body once by
 * the bracket scanner.
 *
 * Whitespace: dropped at the beginning and end of reasoning, before and after calls, and where the text begins after
 * reasoning; else kept. */
#include "text/output_parser.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "text/output_int.h"

#define AHEAD_BYTES 512

/* A call being told while it comes (step_live). */
enum live_stage { LIVE_HEAD, LIVE_NAME, LIVE_ARGUMENTS, LIVE_TAIL, LIVE_OFF };
struct live {
    enum live_stage stage;
    size_t at;                   /* of held: what is read and told */
    bool is_begun;               /* a call was told of this body */
    struct value_scan scan;
};

struct output_parser {
    const struct output_format *f;
    const struct call_form *form; /* NULL: calls are told when they are whole */
    const json_t *tools;
    output_fn *on_event;
    void *user;
    enum output_state state;
    struct buf held;             /* not told yet; in a call: its mark, then its body */
    size_t n_mark;               /* bytes of the mark at the front of held; the body may begin with it (KEEP) */
    bool keep_mark, skip_space, is_broken_silent;
    struct buf header;           /* of the message being read */
    struct value_scan scan;
    size_t close_from;           /* where to look for the close next */
    struct live live;
    int n_calls;
    char ahead[AHEAD_BYTES];     /* output_parser_begins */
};

static bool ends_with(struct view text, const char *end) {
    size_t n = strlen(end);
    while (text.len && isspace((unsigned char)text.ptr[text.len - 1]) && !(n && isspace((unsigned char)end[n - 1]))) text.len--;
    return text.len >= n && memcmp(text.ptr + text.len - n, end, n) == 0;
}

slm_status output_parser_create(const struct output_format *f, const struct output_options *o, output_fn *on_event, void *user, struct output_parser **out,
                                slm_err *err) {
    struct output_parser *p;
    slm_status st = mem_alloc((void **)&p, 1, sizeof *p, "output parser", err);
    *out = NULL;
    if (st != SLM_OK) return st;
    p->f = f;
    p->form = o->form;
    p->tools = json_array_size(o->tools) ? o->tools : NULL;
    p->on_event = on_event;
    p->user = user;
    buf_init(&p->held, OUTPUT_CALL_BYTES_MAX);
    buf_init(&p->header, 4096);
    if (f->opened && o->prompt.len && ends_with(o->prompt, f->opened)) p->state = IN_REASONING;
    else if (f->header_open && o->prompt.len && ends_with(o->prompt, f->header_open)) p->state = strcmp(f->header_close, "\n") == 0 ? IN_HEADER : AT_START;
    p->skip_space = p->state == IN_REASONING;
    *out = p;
    return SLM_OK;
}

void output_parser_destroy(struct output_parser *p) {
    if (!p) return;
    buf_fini(&p->held);
    buf_fini(&p->header);
    free(p);
}

/* Telling */

static void tell(struct output_parser *p, enum output_kind kind, struct view text, bool is_broken) {
    struct output_event e = {.kind = kind, .text = text, .i_call = p->n_calls, .is_broken = is_broken};
    if (text.len == 0 && kind != OUTPUT_CALL_BEGIN && kind != OUTPUT_CALL_END) return;
    p->on_event(p->user, &e);
}

static void drop(struct output_parser *p, size_t n) {
    memmove(p->held.data, p->held.data + n, p->held.len - n);
    p->held.len -= n;
    p->held.data[p->held.len] = 0;
}

/* The first n bytes of held as text or reasoning. */
static void tell_front(struct output_parser *p, size_t n) {
    size_t start = 0;
    while (p->skip_space && start < n && isspace((unsigned char)p->held.data[start])) start++;
    if (start < n) {
        p->skip_space = false;
        tell(p, p->state == IN_REASONING ? OUTPUT_REASONING : OUTPUT_TEXT, (struct view){p->held.data + start, n - start}, false);
    }
    drop(p, n);
}

static void tell_broken(struct output_parser *p, size_t n) {
    if (n) tell(p, OUTPUT_TEXT, (struct view){p->held.data, n}, !p->is_broken_silent);
    drop(p, n);
    p->state = IN_TEXT;
    p->skip_space = false;
}

static void tell_calls(struct output_parser *p, const struct found_calls *calls) {
    for (size_t i = 0; i < calls->n; i++) {
        tell(p, OUTPUT_CALL_BEGIN, calls->v[i].name, false);
        tell(p, OUTPUT_CALL_ARGUMENTS, calls->v[i].arguments, false);
        tell(p, OUTPUT_CALL_END, (struct view){"", 0}, false);
        p->n_calls++;
    }
}

/* Marks */

static bool is_live(const struct output_parser *p, const struct output_mark *m) {
    return (m->states & (1u << p->state)) && (!m->needs_tools || p->tools);
}

static const struct output_mark *first_mark(const struct output_parser *p, size_t *at) {
    const struct output_mark *best = NULL;
    for (const struct output_mark *m = p->f->marks; m->text; m++) {
        size_t n = strlen(m->text);
        const char *found = is_live(p, m) ? memmem(p->held.data, p->held.len, m->text, n) : NULL;
        if (!found) continue;
        size_t place = (size_t)(found - p->held.data);
        if (best && (place > *at || (place == *at && n <= strlen(best->text)))) continue;
        best = m;
        *at = place;
    }
    return best;
}

/* How many bytes at the end of held may be the beginning of a live mark. */
static size_t n_pending(const struct output_parser *p) {
    size_t most = 0;
    for (const struct output_mark *m = p->f->marks; m->text; m++) {
        if (!is_live(p, m)) continue;
        size_t n = strlen(m->text) - 1;
        if (n > p->held.len) n = p->held.len;
        for (; n > most; n--)
            if (memcmp(p->held.data + p->held.len - n, m->text, n) == 0) {
                most = n;
                break;
            }
    }
    return most;
}

static bool trims_before(enum mark_action a, enum output_state state) { return state != IN_TEXT || a != MARK_TEXT; }

/* Where the form of a call begins that a mark of n_mark bytes opens: the mark may be its first bytes. */
static size_t form_start(const struct call_form *form, const char *mark, size_t n_mark, bool keep) {
    return keep && n_mark && mark[0] == (*form->open ? form->open[0] : form->before[0]) ? 0 : n_mark;
}

static void begin_call(struct output_parser *p, size_t n_mark, bool keep, bool silent) {
    p->state = IN_CALL;
    p->n_mark = n_mark;
    p->keep_mark = keep;
    p->is_broken_silent = silent;
    p->scan = (struct value_scan){.at = keep ? 0 : n_mark};
    p->close_from = n_mark;
    p->live = (struct live){.stage = LIVE_OFF};
    if (p->form) p->live = (struct live){.stage = LIVE_HEAD, .at = form_start(p->form, p->held.data, n_mark, keep)};
}

static void take_mark(struct output_parser *p, const struct output_mark *m, size_t at) {
    size_t n = strlen(m->text), before = at;
    while (trims_before(m->action, p->state) && before > 0 && isspace((unsigned char)p->held.data[before - 1])) before--;
    tell_front(p, before);
    drop(p, at - before);
    switch (m->action) {
    case MARK_CALL:
    case MARK_CALL_KEEP: begin_call(p, n, m->action == MARK_CALL_KEEP, m->needs_tools); return;
    case MARK_HEADER:
        drop(p, n);
        p->state = IN_HEADER;
        buf_clear(&p->header);
        return;
    case MARK_REASONING:
        drop(p, n);
        p->state = IN_REASONING;
        break;
    case MARK_TEXT:
        drop(p, n);
        p->state = IN_TEXT;
        break;
    case MARK_SKIP:
        drop(p, n);
        p->state = IN_TEXT;
        break;
    }
    p->skip_space = true;
}

/* The start: which marks count is settled by what follows the first whitespace. */
static bool step_start(struct output_parser *p, bool at_end) {
    const struct output_mark *best = NULL;
    size_t at = 0;
    while (at < p->held.len && isspace((unsigned char)p->held.data[at])) at++;
    if (at == p->held.len) return false;
    for (const struct output_mark *m = p->f->marks; m->text; m++) {
        size_t n = strlen(m->text), n_here = p->held.len - at < n ? p->held.len - at : n;
        if (!is_live(p, m) || memcmp(p->held.data + at, m->text, n_here) != 0) continue;
        if (n_here < n && !at_end) return false;
        if (n_here == n && (!best || n > strlen(best->text))) best = m;
    }
    if (best) take_mark(p, best, at);
    else p->state = IN_TEXT;
    return true;
}

/* Text or reasoning; true when a mark was taken and there may be more to do. */
static bool step_text(struct output_parser *p, bool at_end) {
    size_t at = 0, n;
    const struct output_mark *m = first_mark(p, &at);
    if (m) {
        take_mark(p, m, at);
        return true;
    }
    n = p->held.len - (at_end ? 0 : n_pending(p));
    while (!at_end && n > 0 && isspace((unsigned char)p->held.data[n - 1])) n--; /* a mark may come and swallow it */
    if (at_end && p->state == IN_REASONING)
        while (n > 0 && isspace((unsigned char)p->held.data[n - 1])) n--;
    tell_front(p, n);
    return false;
}

/* Headers */

static bool contains(struct view v, const char *needle) { return v.len && memmem(v.ptr, v.len, needle, strlen(needle)); }

/* What a message is, by its header: harmony's channel, Functionary's recipient. */
static void begin_message(struct output_parser *p) {
    struct view h = {p->header.data ? p->header.data : "", p->header.len};
    bool is_harmony = strcmp(p->f->header_close, "\n") != 0;
    p->skip_space = true;
    if (is_harmony ? contains(h, " to=") || (h.len > 3 && memcmp(h.ptr, "to=", 3) == 0) : !(h.len == 3 && memcmp(h.ptr, "all", 3) == 0)) begin_call(p, 0, false, false);
    else p->state = is_harmony && contains(h, "analysis") ? IN_REASONING : IN_TEXT;
}

static bool step_header(struct output_parser *p, bool at_end) {
    const char *close = p->f->header_close;
    const char *found = p->held.len ? memmem(p->held.data, p->held.len, close, strlen(close)) : NULL;
    if (!found && p->held.len > 4000) { /* no header is that long */
        tell_broken(p, p->held.len);
        return false;
    }
    if (!found) {
        if (at_end) drop(p, p->held.len);
        return false;
    }
    size_t n = (size_t)(found - p->held.data);
    buf_append(&p->header, p->held.data, n);
    drop(p, n + strlen(close));
    begin_message(p);
    return true;
}

/* Calls */

static bool try_body(struct output_parser *p, size_t n, size_t n_close) { /* the body ends at n */
    struct found_calls calls = {.tools = p->tools, .header = {p->header.data ? p->header.data : "", p->header.len}};
    size_t start = p->keep_mark ? 0 : p->n_mark;
    arena_init(&calls.arena, 4 * (size_t)OUTPUT_CALL_BYTES_MAX);
    bool is_call = p->f->body && n >= start && p->f->body(&calls, (struct view){p->held.data + start, n - start}) && calls.n > 0;
    if (is_call) {
        tell_calls(p, &calls);
        drop(p, n + n_close);
        p->state = IN_TEXT;
        p->skip_space = true;
    }
    arena_fini(&calls.arena);
    return is_call;
}

static bool step_marked(struct output_parser *p) {
    const char *close = p->f->close;
    size_t n_close = strlen(close);
    value_scan(&p->scan, (struct view){p->held.data, p->held.len});
    while (p->held.len >= p->close_from + n_close) {
        const char *found = memmem(p->held.data + p->close_from, p->held.len - p->close_from, close, n_close);
        if (!found) {
            p->close_from = p->held.len - n_close + 1;
            return false;
        }
        size_t at = (size_t)(found - p->held.data);
        if (try_body(p, at, n_close)) return true;
        struct value_scan again = {.at = p->keep_mark ? 0 : p->n_mark};
        value_scan(&again, (struct view){p->held.data, at});
        if (!again.in_string) { /* a whole body that is no call */
            tell_broken(p, at + n_close);
            return true;
        }
        p->close_from = at + 1; /* inside a string of the arguments: not its end */
    }
    return false;
}

static bool step_value(struct output_parser *p) {
    struct view held = {p->held.data, p->held.len};
    size_t end = value_scan(&p->scan, held);
    while (end && (ends_with((struct view){held.ptr, end}, "[ARGS]") || ends_with((struct view){held.ptr, end}, "[CALL_ID]"))) { /* Mistral's marks */
        p->scan = (struct value_scan){.at = end};
        end = value_scan(&p->scan, held);
    }
    if (!end) return false;
    if (!try_body(p, end, 0)) tell_broken(p, end);
    return true;
}

/* A call while it comes */

static bool is_tool(const struct output_parser *p, struct view name) {
    size_t i;
    json_t *tool;
    json_array_foreach(p->tools, i, tool) {
        const json_t *f = json_object_get(tool, "function"), *n = json_object_get(f ? f : tool, "name");
        if (json_is_string(n) && view_eq((struct view){json_string_value(n), json_string_length(n)}, name)) return true;
    }
    return false;
}

/* Pieces one after the other; as call_form_match. */
static int match_pieces(const char *const *pieces, size_t n, struct view text, size_t *at) {
    size_t i = *at;
    for (size_t k = 0; k < n; k++) {
        int r = call_form_match(pieces[k], text, &i);
        if (r != 1) return r;
    }
    *at = i;
    return 1;
}

static int live_name(struct output_parser *p, struct view held) {
    size_t at = p->live.at;
    const char *end = at < held.len ? memchr(held.ptr + at, p->form->between[0], held.len - at) : NULL;
    if (!end) return held.len - at > 256 ? -1 : 0;
    struct view name = {held.ptr + at, (size_t)(end - held.ptr) - at};
    at = (size_t)(end - held.ptr);
    int r = is_tool(p, name) ? call_form_match(p->form->between, held, &at) : -1;
    if (r == 1) r = at == held.len ? 0 : held.ptr[at] == '{' ? 1 : -1;
    if (r != 1) return r;
    tell(p, OUTPUT_CALL_BEGIN, name, false);
    p->live = (struct live){.stage = LIVE_ARGUMENTS, .at = at, .is_begun = true, .scan = {.at = at}};
    return 1;
}

static int live_arguments(struct output_parser *p, struct view held) {
    size_t end = value_scan(&p->live.scan, held), to = end ? end : held.len;
    tell(p, OUTPUT_CALL_ARGUMENTS, (struct view){held.ptr + p->live.at, to - p->live.at}, false);
    drop(p, to); /* so that arguments may be of any length */
    p->live.at = p->live.scan.at = 0;
    if (!end) return 0;
    tell(p, OUTPUT_CALL_END, (struct view){"", 0}, false);
    p->n_calls++;
    p->live.stage = LIVE_TAIL;
    return 1;
}

static int live_tail(struct output_parser *p, struct view held) {
    const struct call_form *f = p->form;
    int last = match_pieces((const char *[]){f->after, f->close}, 2, held, &p->live.at), next = -1;
    if (last == 1) {
        drop(p, p->live.at);
        p->state = IN_TEXT;
        p->skip_space = true;
        return 1;
    }
    if (f->separator) next = match_pieces((const char *[]){f->after, f->separator, f->before}, 3, held, &p->live.at);
    if (next == 1) p->live.stage = LIVE_NAME;
    return next > last ? next : last;
}

/* 1: goes on; 0: more has to come; -1: it is not of the form, and nothing of it was told. */
static int step_live(struct output_parser *p) {
    struct view held = {p->held.data, p->held.len};
    int r = -1;
    switch (p->live.stage) {
    case LIVE_HEAD:
        r = match_pieces((const char *[]){p->form->open, p->form->before}, 2, held, &p->live.at);
        if (r == 1) p->live.stage = LIVE_NAME;
        break;
    case LIVE_NAME: r = live_name(p, held); break;
    case LIVE_ARGUMENTS: r = live_arguments(p, held); break;
    case LIVE_TAIL: r = live_tail(p, held); break;
    case LIVE_OFF: return -1;
    }
    if (r >= 0) return r;
    p->live.stage = LIVE_OFF;
    if (!p->live.is_begun) return -1;
    drop(p, p->live.at); /* what was told stays told; the rest is text */
    p->state = IN_TEXT;
    p->skip_space = false;
    return 1;
}

/* The output ends within a call of which something was told. */
static void end_live(struct output_parser *p) {
    if (p->live.stage == LIVE_ARGUMENTS) {
        tell(p, OUTPUT_CALL_END, (struct view){"", 0}, false);
        p->n_calls++;
    }
    drop(p, p->held.len);
    p->state = IN_TEXT;
}

static bool step_call(struct output_parser *p, bool at_end) {
    int live = p->held.failed ? -1 : step_live(p);
    if (live == 1) return true;
    if (live == 0 && at_end && p->live.is_begun) return end_live(p), true;
    if (live == 0 && !at_end) return false;
    if (p->held.failed || p->held.len >= OUTPUT_CALL_BYTES_MAX / 2) {
        tell_broken(p, p->held.len);
        return true;
    }
    if (p->f->end == END_MARK && step_marked(p)) return true;
    if (p->f->end == END_VALUE && step_value(p)) return true;
    if (!at_end) return false;
    if (!try_body(p, p->held.len, 0)) tell_broken(p, p->held.len);
    return true;
}

static void run(struct output_parser *p, bool at_end) {
    bool goes_on = true;
    while (goes_on && (p->held.len > 0 || p->state == IN_CALL)) {
        if (p->held.len == 0 && !at_end) return;
        switch (p->state) {
        case AT_START: goes_on = step_start(p, at_end); break;
        case IN_CALL: goes_on = step_call(p, at_end); break;
        case IN_HEADER: goes_on = step_header(p, at_end); break;
        default: goes_on = step_text(p, at_end); break;
        }
    }
}

bool output_parser_begins(struct output_parser *p, struct view next, const struct call_form *form, struct view *body) {
    size_t n_held = p->held.len < AHEAD_BYTES / 2 ? p->held.len : AHEAD_BYTES / 2, n = n_held;
    if (p->state != AT_START && p->state != IN_TEXT) return false;
    if (n_held) memcpy(p->ahead, p->held.data + p->held.len - n_held, n_held);
    for (size_t i = 0; i < next.len && n < AHEAD_BYTES; i++) p->ahead[n++] = next.ptr[i];
    size_t first = 0;
    while (first < n && isspace((unsigned char)p->ahead[first])) first++;
    for (const struct output_mark *m = p->f->marks; m->text; m++) {
        size_t n_mark = strlen(m->text);
        bool at_start = p->state == AT_START && (m->states & START), keep = m->action == MARK_CALL_KEEP;
        if ((m->action != MARK_CALL && !keep) || (m->needs_tools && !p->tools) || !(at_start || m->states & TEXT)) continue;
        const char *found = at_start && first + n_mark <= n && memcmp(p->ahead + first, m->text, n_mark) == 0 ? p->ahead + first : NULL;
        if (!found && (m->states & TEXT)) found = memmem(p->ahead, n, m->text, n_mark);
        if (!found) continue;
        size_t at = (size_t)(found - p->ahead) + form_start(form, m->text, n_mark, keep);
        *body = (struct view){p->ahead + at, n - at};
        return true;
    }
    return false;
}

bool output_parser_body(const struct output_parser *p, const struct call_form *form, struct view *body) {
    if (p->state != IN_CALL) return false;
    size_t at = form_start(form, p->held.data, p->n_mark, p->keep_mark);
    *body = (struct view){p->held.data + at, p->held.len - at};
    return true;
}

#define PUSH_BYTES 4096

void output_parser_push(struct output_parser *p, struct view bytes) {
    while (bytes.len) { /* in small parts, so that held stays small where nothing is held back */
        size_t n = bytes.len < PUSH_BYTES ? bytes.len : PUSH_BYTES;
        buf_append(&p->held, bytes.ptr, n);
        if (p->held.failed) { /* no memory: what is held goes out as text, and then this */
            tell(p, OUTPUT_TEXT, (struct view){p->held.data, p->held.len}, true);
            tell(p, OUTPUT_TEXT, (struct view){bytes.ptr, n}, true);
            buf_clear(&p->held);
            p->state = IN_TEXT;
        }
        run(p, false);
        bytes = (struct view){bytes.ptr + n, bytes.len - n};
    }
}

void output_parser_finish(struct output_parser *p) {
    run(p, true);
    if (p->held.len && p->state != IN_REASONING) tell_front(p, p->held.len); /* whitespace */
}
