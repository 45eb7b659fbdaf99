/* extract.c -- a greedy walk under two judges: the schema says which tokens are valid, the source which are true.
 *
 * The schema is asked about all tokens, the source only about the likeliest, one after another, until it takes one. So a probability is that among what
 * the schema allows, less what the source refused before it: what the schema forces is certain, and a copy that competes with words which
 * the source would have refused too, had they been asked about, counts as less sure than it is. The probability that the model gave to what the
 * schema forbids is a signal of its own. */
#include "task/extract.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/constrain.h"
#include "engine/label_tree.h"
#include "task/bind.h"

#define N_MAX_DEFAULT 512
#define RESERVE 3 /* a third of the tokens */
#define N_TRIES_MAX 4096 /* tokens that the source refuses in one place; past it the place is hopeless */

struct token_note {
    size_t start, end;   /* bytes of the text */
    double logp;         /* among what the schema allows, less what was refused before it */
    int32_t id;
};

struct extractor {
    struct worker *worker;
    struct constraint *constraint;
    json_t *schema;
    char *schema_text, *system, *form;
    const char *opening;
    bool ungrounded;
    int32_t n_max;
    double field_min;
    uint64_t identity;
    struct tok_ids ids;
    struct buf filled, text;
    float *room;                 /* [n_vocab] logits under trial */
    struct token_note *notes;    /* [n_max] */
    size_t n_note;
    struct jleaves leaves;
    struct extracted_field fields[JTRACK_LEAF_MAX];
};

void extractor_destroy(struct extractor *x) {
    if (!x) return;
    constraint_destroy(x->constraint);
    json_decref(x->schema);
    tok_ids_fini(&x->ids);
    buf_fini(&x->filled);
    buf_fini(&x->text);
    free(x->schema_text);
    free(x->system);
    free(x->form);
    free(x->room);
    free(x->notes);
    free(x);
}

uint64_t extractor_identity(const struct extractor *x) { return x->identity; }

static slm_status copy_text(char **out, const char *text, size_t n, slm_err *err) {
    *out = strndup(text, n);
    return *out ? SLM_OK : err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "extract: out of memory");
}

slm_status extractor_create(const struct extractor_params *p, struct extractor **out, slm_err *err) {
    slm_status st = SLM_OK;
    void *mem = NULL;
    json_error_t e;
    const struct prompt_row *row = prompt_find("extract");
    const char *system = p->system ? p->system : row->system, *form = p->form ? p->form : row->form;
    *out = NULL;
    TRY(mem_alloc(&mem, 1, sizeof **out, "extractor", err));
    struct extractor *x = *out = mem;
    x->worker = p->worker;
    x->ungrounded = p->ungrounded;
    x->n_max = p->n_max ? p->n_max : N_MAX_DEFAULT;
    x->field_min = p->field_min;
    x->opening = row->opening;
    buf_init(&x->filled, PROMPT_BYTES_MAX);
    buf_init(&x->text, PROMPT_BYTES_MAX);
    TRY(worker_vocab(p->worker, err));
    TRY(constraint_create(&(struct constrain_spec){.kind = CONSTRAIN_SCHEMA, .text = p->schema}, p->worker->vocab, &x->constraint, err));
    if (!(x->schema = json_loadb(p->schema.ptr, p->schema.len, 0, &e))) FAIL(SLM_E_FORMAT, (uint64_t)e.position, "schema: not JSON at byte %d", e.position);
    TRY(copy_text(&x->schema_text, p->schema.ptr, p->schema.len, err));
    if (system) TRY(copy_text(&x->system, system, strlen(system), err));
    TRY(copy_text(&x->form, form, strlen(form), err));
    TRY(mem_alloc(&mem, p->worker->model->hp.n_vocab, sizeof *x->room, "extractor", err));
    x->room = mem;
    TRY(mem_alloc(&mem, (size_t)x->n_max, sizeof *x->notes, "extractor", err));
    x->notes = mem;
    char limits[64];
    snprintf(limits, sizeof limits, "%d %.9g", x->n_max, x->field_min);
    const char *texts[] = {x->schema_text, x->system, x->opening, x->worker->tmpl ? "template" : "plain", x->ungrounded ? "ungrounded" : "grounded", limits};
    x->identity = bind_texts(x->form, texts, sizeof texts / sizeof texts[0]);
out:
    if (st != SLM_OK) {
        extractor_destroy(*out);
        *out = NULL;
    }
    return st;
}

/* ---- one token ---- */

struct step {
    struct constrain_run *run;
    struct jtrack *track;
    int32_t n_left;
    double outside; /* probability of what the schema forbids */
    double logp;
};

static bool bit_at(const uint32_t *bits, int32_t id) { return bits[id / 32] >> (id % 32) & 1; }

/* The bytes that a token adds; the first piece of an SPM vocabulary loses its space. */
static struct view piece_of(const struct extractor *x, int32_t id) {
    const struct tok *tok = x->worker->model->tok;
    struct view v = tok_piece(tok, id, false);
    if (x->n_note == 0 && tok_config_of(tok)->add_space_prefix && v.len && v.ptr[0] == ' ') v.ptr++, v.len--;
    return v;
}

/* The likeliest token that both judges allow. logits outside are -infinity in room afterwards. */
static slm_status pick(struct extractor *x, struct step *s, const float *logits, int32_t *id, slm_err *err) {
    const uint32_t n_vocab = x->worker->model->hp.n_vocab, *bits;
    const struct tok *tok = x->worker->model->tok;
    const uint32_t n_tok = tok_n_vocab(tok);
    slm_status st = constrain_mask(s->run, s->n_left, &bits, err);
    if (st != SLM_OK) return st;
    double all = log_sum_exp(logits, n_vocab);
    for (uint32_t i = 0; i < n_vocab; i++) x->room[i] = i < n_tok && bit_at(bits, (int32_t)i) ? logits[i] : -INFINITY;
    double allowed = log_sum_exp(x->room, n_vocab);
    s->outside = 1 - exp(allowed - all);
    for (int k = 0; k < N_TRIES_MAX; k++) {
        uint32_t best = 0;
        for (uint32_t i = 1; i < n_vocab; i++)
            if (x->room[i] > x->room[best]) best = i;
        if (isinf(x->room[best])) break;
        struct jtrack trial = *s->track;
        if (tok_is_end(tok, (int32_t)best) || jtrack_push(&trial, piece_of(x, (int32_t)best), NULL)) {
            *id = (int32_t)best;
            s->logp = (double)x->room[best] - log_sum_exp(x->room, n_vocab);
            return SLM_OK;
        }
        x->room[best] = -INFINITY;
    }
    return err_set(err, SLM_E_FAILED, SLM_NOWHERE, "no text of the source satisfies the schema behind byte %zu of the answer", x->text.len);
}

/* The schema closes the answer in time, but a copy may end at words only: where the two leave nothing, tokens kept in reserve let the word end. */
static slm_status pick_in_time(struct extractor *x, struct step *s, const float *logits, int32_t n_left, int32_t reserve, int32_t *id, slm_err *err) {
    int32_t need = constrain_min_tokens(s->run), early = n_left - reserve;
    s->n_left = early > need ? early : need < n_left ? need : n_left;
    slm_status st = pick(x, s, logits, id, err);
    if (st != SLM_E_FAILED || s->n_left == n_left) return st;
    s->n_left = n_left;
    return pick(x, s, logits, id, err);
}

/* ---- one text ---- */

static slm_status generate(struct extractor *x, struct jtrack *track, struct signals *signals, slm_err *err) {
    slm_status st = SLM_OK;
    struct slm_session *s = x->worker->session;
    const struct tok *tok = x->worker->model->tok;
    struct step step = {.track = track};
    double outside = 0;
    int32_t id = 0, n_room = s->plan.n_ctx - (int32_t)x->ids.n, n_max = x->n_max < n_room ? x->n_max : n_room;
    TRY(constrain_run_create(x->constraint, true, &step.run, err));
    if (constrain_min_tokens(step.run) < 0 || constrain_min_tokens(step.run) > n_max)
        FAIL(SLM_E_LIMIT, SLM_NOWHERE, "extract: the shortest answer has %d tokens, %d fit", constrain_min_tokens(step.run), n_max);
    while (!constrain_is_done(step.run) && (int32_t)x->n_note < n_max) {
        TRY(pick_in_time(x, &step, s->logits, n_max - (int32_t)x->n_note, n_max / RESERVE, &id, err));
        outside += step.outside;
        if (tok_is_end(tok, id)) break;
        struct view piece = piece_of(x, id);
        TRY(constrain_accept(step.run, id, err));
        bool ok = jtrack_push(track, piece, &x->leaves);
        if (!ok) FAIL(SLM_E_LIMIT, SLM_NOWHERE, "extract: more than %d fields", JTRACK_LEAF_MAX);
        x->notes[x->n_note++] = (struct token_note){x->text.len, x->text.len + piece.len, step.logp, id};
        buf_append(&x->text, piece.ptr, piece.len);
        if (!constrain_is_done(step.run) && (int32_t)x->n_note < n_max) TRY(session_append(s, id, err));
    }
    if (!jtrack_end(track, &x->leaves)) FAIL(SLM_E_LIMIT, SLM_NOWHERE, "extract: more than %d fields", JTRACK_LEAF_MAX);
    signals->v[SIGNAL_OUTSIDE] = x->n_note ? outside / (double)x->n_note : 0;
    st = buf_status(&x->text, "an answer", err);
out:
    constrain_run_destroy(step.run);
    return st;
}

/* Log-probabilities are of what was possible, so a token that was forced says nothing. */
static slm_status measure(struct extractor *x, struct signals *s, slm_err *err) {
    slm_status st = SLM_OK;
    void *logp_mem = NULL, *ids_mem = NULL;
    double sum = 0;
    TRY(mem_alloc(&logp_mem, x->n_note + 1, sizeof(double), "extract", err));
    TRY(mem_alloc(&ids_mem, x->n_note + 1, sizeof(int32_t), "extract", err));
    double *logp = logp_mem;
    int32_t *ids = ids_mem;
    for (size_t i = 0; i < x->n_note; i++) {
        sum += logp[i] = x->notes[i].logp;
        ids[i] = x->notes[i].id;
    }
    signals_of_tokens(s, logp, ids, x->n_note);
    if (x->n_note) s->v[SIGNAL_CONFIDENCE] = exp(sum);
    s->v[SIGNAL_LENGTH] = log(1 + (double)x->ids.n);
out:
    free(logp_mem);
    free(ids_mem);
    return st;
}

static void rate_field(struct extractor *x, const struct jleaf *leaf, struct view source, struct extracted_field *f) {
    double sum = 0, worst = 0;
    for (size_t i = 0; i < x->n_note; i++) {
        const struct token_note *n = &x->notes[i];
        if (n->end <= leaf->start || n->start >= leaf->end) continue;
        sum += n->logp;
        if (n->logp < worst) worst = n->logp;
    }
    size_t n = leaf->end - leaf->start, skip = leaf->is_string ? 1 : 0;
    const char *s = x->text.data + leaf->start + skip;
    *f = (struct extracted_field){.path = leaf->path, .confidence = exp(sum), .worst = exp(worst)};
    f->is_grounded = leaf->is_grounded || (n > 2 * skip && memmem(source.ptr, source.len, s, n - 2 * skip) != NULL);
}

/* The parent of the value at a JSON pointer, and its last part. */
static json_t *parent_of(json_t *root, const char *path, char *last, size_t cap) {
    json_t *at = root;
    for (const char *p = path; *p == '/';) {
        size_t n = 0;
        for (p++; *p && *p != '/' && n + 1 < cap; p++) {
            if (*p == '~' && (p[1] == '0' || p[1] == '1')) last[n++] = *++p == '0' ? '~' : '/';
            else last[n++] = *p;
        }
        last[n] = 0;
        if (!*p) return at;
        at = json_is_array(at) ? json_array_get(at, (size_t)strtoul(last, NULL, 10)) : json_object_get(at, last);
    }
    return NULL;
}

static void drop_field(json_t *root, const char *path) {
    char last[JTRACK_PATH_MAX];
    json_t *parent = parent_of(root, path, last, sizeof last);
    if (json_is_array(parent)) json_array_set_new(parent, (size_t)strtoul(last, NULL, 10), json_null());
    else if (json_is_object(parent)) json_object_set_new(parent, last, json_null());
}

/* A field that must not be null may perhaps be absent. */
static bool check_value(struct extractor *x, const json_t *value, slm_err *err) {
    bool valid = false;
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    slm_err why;
    if (text && constraint_check(x->constraint, view_of(text), &valid, &why) != SLM_OK && err) *err = why;
    free(text);
    return valid;
}

static void drop_unsure(struct extractor *x, struct extraction *out) {
    char last[JTRACK_PATH_MAX];
    for (size_t i = 0; i < out->n_field; i++) {
        struct extracted_field *f = &x->fields[i];
        if (!(f->confidence < x->field_min)) continue;
        if (!*f->path) { /* the whole answer: without it nothing is left */
            out->unsure = true;
            continue;
        }
        json_t *whole = json_deep_copy(out->value);
        f->dropped = true;
        drop_field(out->value, f->path);
        if (check_value(x, out->value, NULL)) {
            json_decref(whole);
            continue;
        }
        json_t *parent = parent_of(out->value, f->path, last, sizeof last);
        if (json_is_object(parent) && json_object_del(parent, last) == 0 && check_value(x, out->value, NULL)) {
            json_decref(whole);
            continue;
        }
        json_decref(out->value);
        out->value = whole;
        f->dropped = false;
        out->unsure = true;
    }
}

slm_status extractor_run(struct extractor *x, struct view text, struct extraction *out, slm_err *err) {
    slm_status st = SLM_OK;
    json_error_t e;
    const struct prompt_value values[] = {{"text", text}, {"schema", view_of(x->schema_text)}};
    struct jtrack track;
    *out = (struct extraction){.fields = x->fields};
    signals_init(&out->signals);
    buf_clear(&x->filled);
    buf_clear(&x->text);
    x->n_note = x->leaves.n = 0;
    jtrack_init(&track, x->schema, x->ungrounded ? (struct view){0} : text.len ? text : VIEW(""));
    TRY(prompt_fill(x->form, values, 2, "text", &x->filled, err));
    TRY(worker_prompt(x->worker, x->system, (struct view){x->filled.data, x->filled.len}, x->opening, &x->ids, err));
    TRY(session_feed(x->worker->session, x->ids.v, x->ids.n, NULL, err));
    TRY(generate(x, &track, &out->signals, err));
    TRY(measure(x, &out->signals, err));
    out->text = (struct view){x->text.data ? x->text.data : "", x->text.len};
    out->n_in = x->ids.n;
    out->n_out = x->n_note;
    if (!(out->value = json_loadb(out->text.ptr, out->text.len, JSON_DECODE_ANY, &e))) FAIL(SLM_E_FAILED, SLM_NOWHERE, "the answer is not JSON at byte %d: %s", e.position, e.text);
    out->n_field = x->leaves.n;
    for (size_t i = 0; i < out->n_field; i++) rate_field(x, &x->leaves.v[i], text, &x->fields[i]);
    if (x->field_min > 0) drop_unsure(x, out);
    out->valid = check_value(x, out->value, err);
    if (!out->valid) st = err_wrap(err, SLM_E_FAILED, "answer");
out:
    if (st != SLM_OK) {
        json_decref(out->value);
        out->value = NULL;
    }
    return st;
}
