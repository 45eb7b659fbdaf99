/* imatrix_collect.c -- sums of squared activations over a text, saved as they grow.
 *
 * Chunks are run one after another; a chunk's squares are summed in double, token by token, and added to the float sums of
 * the file at its end. So the state after a chunk is exactly what the file holds, and a run that was interrupted and continued
 * writes the same bytes as one that was not. Neither threads nor the size of passes change a bit. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/show.h"
#include "engine/imatrix.h"

#define WIDTH_MAX 1024u
#define WIDTH_MIN 256u
#define MOMENT_BYTES ((uint64_t)512 << 20)

/* One matrix of the model. Slots that are parts of one tensor share an input: the first part counts. */
struct sums {
    const char *name;
    double *chunk;  /* [n_matrix, d_in] of the chunk under way */
    float *total;   /* [n_matrix, d_in] */
    float *n_tok;   /* [n_matrix] */
    double *n_chunk_tok;
    uint32_t n_matrix, d_in; /* n_matrix: experts, else 1 */
    float *chunk_outer, *outer; /* [d_in, width] moments between inputs; NULL: not kept */
};
struct collector {
    struct slm_model *m;
    struct compute *compute;
    struct arena arena;
    struct sums *sums;  /* [n] */
    size_t n;
    int32_t *place;     /* [n_layer + 1, W_COUNT]: index into sums, or -1; row n_layer is the global slots' */
    uint32_t width;     /* of moments between inputs; 0: none */
};

/* The tensor's name behind a slot, "token_embd.weight" for a tied output; NULL: the slot has no matrix of its own. */
static const char *imatrix_slot_name(const struct slm_model *m, enum weight_slot slot, uint32_t i_layer, char *buf, size_t n) {
    for (size_t i = 0; i < m->arch->n_tensors; i++) {
        const struct arch_tensor *row = &m->arch->tensors[i];
        if (row->slot != slot || row->flags & TENSOR_VECTOR || row->at != DIM_NONE || !model_row_stands(m, row, i_layer)) continue;
        const char *mark = strstr(row->name, "%u");
        if (mark) snprintf(buf, n, "%.*s%u%s.weight", (int)(mark - row->name), row->name, i_layer, mark + 2);
        else snprintf(buf, n, "%s.weight", row->name);
        if (gguf_find_tensor(m->gguf, buf)) return buf;
        if (row->tied != W_NONE) return imatrix_slot_name(m, row->tied, i_layer, buf, n);
    }
    return NULL;
}

static slm_status no_memory(slm_err *err) { return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "imatrix: out of memory"); }

/* Slots whose input another slot of the layer has seen, where there is one; files keep its moments once. */
static const struct {
    enum weight_slot slot, same_as;
} shared_inputs[] = {{W_ATTN_K, W_ATTN_Q}, {W_ATTN_V, W_ATTN_Q}, {W_FFN_UP, W_FFN_GATE}};

static bool keeps_outer(const struct collector *c, enum weight_slot slot, uint32_t row, const struct sums *s) {
    if (c->width == 0 || s->n_matrix > 1) return false;
    for (size_t i = 0; i < sizeof shared_inputs / sizeof shared_inputs[0]; i++) {
        int32_t other = c->place[row * W_COUNT + (uint32_t)shared_inputs[i].same_as];
        if (shared_inputs[i].slot == slot && other >= 0 && c->sums[other].d_in == s->d_in) return false;
    }
    return true;
}

static uint32_t width_of(const struct collector *c, const struct sums *s) { return s->d_in < c->width ? s->d_in : c->width; }

static slm_status add_slot(struct collector *c, enum weight_slot slot, uint32_t i_layer, slm_err *err) {
    const struct bound *b = model_slot(c->m, slot, i_layer);
    uint32_t row = slot < W_LAYER_FIRST ? c->m->hp.n_layer : i_layer;
    char name[GGUF_NAME_BYTES_MAX + 32];
    /* Embeddings are looked up, not multiplied; a tied output is its own slot. */
    const struct weight *w = b->n_stack ? &b->stack[0] : &b->w;
    if (!w->data || slot == W_TOK_EMBD || slot == W_POS_EMBD || slot == W_TYPE_EMBD || slot == W_PLE_EMBD) return SLM_OK;
    if (!imatrix_slot_name(c->m, slot, i_layer, name, sizeof name)) return SLM_OK;
    struct sums *s = &c->sums[c->n];
    *s = (struct sums){.name = arena_strdup(&c->arena, view_of(name)), .d_in = (uint32_t)w->d_in, .n_matrix = b->n_stack ? b->n_stack : 1};
    size_t n_sum = (size_t)s->n_matrix * s->d_in;
    s->chunk = arena_alloc(&c->arena, n_sum * sizeof *s->chunk, 64);
    s->total = arena_alloc(&c->arena, n_sum * sizeof *s->total, 64);
    s->n_tok = arena_alloc(&c->arena, s->n_matrix * sizeof *s->n_tok, 64);
    s->n_chunk_tok = arena_alloc(&c->arena, s->n_matrix * sizeof *s->n_chunk_tok, 64);
    if (keeps_outer(c, slot, row, s)) {
        size_t n_outer = (size_t)s->d_in * width_of(c, s);
        s->chunk_outer = arena_alloc(&c->arena, n_outer * sizeof *s->outer, 64);
        s->outer = arena_alloc(&c->arena, n_outer * sizeof *s->outer, 64);
        if (!s->chunk_outer || !s->outer) return no_memory(err);
    }
    if (!s->name || !s->chunk || !s->total || !s->n_tok || !s->n_chunk_tok) return no_memory(err);
    c->place[row * W_COUNT + (uint32_t)slot] = (int32_t)c->n++;
    return SLM_OK;
}

/* The widest parts whose moments stay within MOMENT_BYTES, for all matrices together; kept twice while collecting. */
static uint32_t choose_width(const struct slm_model *m) {
    uint32_t width = WIDTH_MAX;
    for (; width > WIDTH_MIN; width /= 2) {
        uint64_t bytes = 0;
        for (uint32_t i = 0; i < m->hp.n_layer; i++)
            for (int slot = W_LAYER_FIRST; slot < W_COUNT; slot++) {
                const struct bound *b = model_slot(m, (enum weight_slot)slot, i);
                uint64_t d_in = b->w.data ? (uint64_t)b->w.d_in : 0;
                bytes += d_in * (d_in < width ? d_in : width) * sizeof(float);
            }
        if (bytes <= MOMENT_BYTES) break;
    }
    return width;
}

static slm_status collector_init(struct collector *c, struct slm_model *m, bool hessian, slm_err *err) {
    slm_status st = SLM_OK;
    size_t n_place = ((size_t)m->hp.n_layer + 1) * W_COUNT;
    c->m = m;
    c->width = hessian ? choose_width(m) : 0;
    arena_init(&c->arena, (size_t)4 << 30);
    c->place = arena_alloc(&c->arena, n_place * sizeof *c->place, 64);
    c->sums = arena_alloc(&c->arena, n_place * sizeof *c->sums, 64);
    if (!c->place || !c->sums) return no_memory(err);
    for (size_t i = 0; i < n_place; i++) c->place[i] = -1;
    for (int slot = W_NONE + 1; slot < W_LAYER_FIRST; slot++) TRY(add_slot(c, (enum weight_slot)slot, 0, err));
    for (uint32_t i = 0; i < m->hp.n_layer; i++)
        for (int slot = W_LAYER_FIRST; slot < W_COUNT; slot++) TRY(add_slot(c, (enum weight_slot)slot, i, err));
out:
    return st;
}

struct square_args {
    double *sum;  /* [d_in] */
    float *outer; /* [d_in, width] or NULL */
    uint32_t width;
    const float *x;
    int64_t n_tok, d_in;
};

/* Columns are split over threads; each is summed over tokens in their order. */
static void add_squares(void *ctx, int64_t begin, int64_t end, int i_thread) {
    const struct square_args *a = ctx;
    (void)i_thread;
    for (int64_t i = 0; i < a->n_tok; i++) {
        const float *x = a->x + i * a->d_in;
        for (int64_t j = begin; j < end; j++) a->sum[j] += (double)x[j] * (double)x[j];
    }
    if (a->outer) carry_add(a->outer, a->width, a->x, a->n_tok, a->d_in, begin, end);
}

static void observe(void *user, enum weight_slot slot, uint32_t i_layer, uint32_t i_expert, const float *x, int64_t n_tok, int64_t d_in) {
    struct collector *c = user;
    uint32_t row = slot < W_LAYER_FIRST ? c->m->hp.n_layer : i_layer;
    int32_t at = c->place[row * W_COUNT + (uint32_t)slot];
    if (at < 0) return;
    struct sums *s = &c->sums[at];
    struct square_args args = {s->chunk + (size_t)i_expert * s->d_in, s->chunk_outer, width_of(c, s), x, n_tok, d_in};
    s->n_chunk_tok[i_expert] += (double)n_tok;
    pool_run(c->compute->pool, d_in, s->outer ? 32 : 256, add_squares, &args);
}

static void end_chunk(struct collector *c) {
    for (size_t i = 0; i < c->n; i++) {
        struct sums *s = &c->sums[i];
        size_t n_sum = (size_t)s->n_matrix * s->d_in;
        for (size_t j = 0; j < n_sum; j++) s->total[j] += (float)s->chunk[j];
        for (uint32_t e = 0; e < s->n_matrix; e++) s->n_tok[e] += (float)s->n_chunk_tok[e];
        size_t n_outer = s->outer ? (size_t)s->d_in * width_of(c, s) : 0;
        for (size_t j = 0; j < n_outer; j++) s->outer[j] += s->chunk_outer[j];
        if (n_outer) memset(s->chunk_outer, 0, n_outer * sizeof *s->chunk_outer);
        memset(s->chunk, 0, n_sum * sizeof *s->chunk);
        memset(s->n_chunk_tok, 0, s->n_matrix * sizeof *s->n_chunk_tok);
    }
}

/* The file */

static slm_status load(struct collector *c, const struct imatrix_params *p, const char *path, uint32_t *n_done, slm_err *err) {
    slm_status st = SLM_OK;
    struct imatrix *im = NULL;
    TRY(imatrix_read(path, &im, err));
    if (im->is_legacy) FAIL(SLM_E_USAGE, SLM_NOWHERE, "imatrix \"%s\": is of the older form, which cannot be continued; give another output file", show_path(path).s);
    if (strcmp(im->dataset, p->dataset) != 0 || im->chunk_size != (uint32_t)p->session.n_ctx) {
        err_set(err, SLM_E_USAGE, SLM_NOWHERE, "imatrix \"%s\": is of text \"%s\" in chunks of %u", show_path(path).s, show_cstr(im->dataset).s, im->chunk_size);
        err_hint(err, "give another output file, or the same text and --ctx to continue");
        st = SLM_E_USAGE;
        goto out;
    }
    for (size_t i = 0; i < c->n; i++) {
        const struct imatrix_entry *e = imatrix_find(im, c->sums[i].name, strlen(c->sums[i].name));
        if (!e || e->d_in != c->sums[i].d_in || e->n_matrix != c->sums[i].n_matrix)
            FAIL(SLM_E_USAGE, SLM_NOWHERE, "imatrix \"%s\": is of another model: entry \"%s\" does not fit", show_path(path).s, show_cstr(c->sums[i].name).s);
        if ((e->outer != NULL) != (c->sums[i].outer != NULL) || (e->outer && e->width != width_of(c, &c->sums[i])))
            FAIL(SLM_E_USAGE, SLM_NOWHERE, "imatrix \"%s\": was begun %s --hessian", show_path(path).s, e->outer ? "with" : "without");
        if (e->outer) memcpy(c->sums[i].outer, e->outer, (size_t)e->d_in * e->width * sizeof(float));
        memcpy(c->sums[i].total, e->sum2, (size_t)e->n_matrix * e->d_in * sizeof(float));
        memcpy(c->sums[i].n_tok, e->counts, e->n_matrix * sizeof(float));
    }
    *n_done = im->n_chunk;
out:
    imatrix_destroy(im);
    return st;
}

static slm_status put_sums(void *user, size_t i_tensor, gguf_emit emit, void *sink, slm_err *err) {
    const struct collector *c = user;
    if (i_tensor >= 2 * c->n) { /* then the moments of those that keep them */
        size_t i = 0;
        for (size_t left = i_tensor - 2 * c->n; !c->sums[i].outer || left-- > 0;) i++;
        return emit(sink, c->sums[i].outer, (size_t)c->sums[i].d_in * width_of(c, &c->sums[i]) * sizeof(float), err);
    }
    const struct sums *s = &((struct collector *)user)->sums[i_tensor / 2];
    return i_tensor % 2 == 0 ? emit(sink, s->total, (size_t)s->n_matrix * s->d_in * sizeof(float), err) : emit(sink, s->n_tok, s->n_matrix * sizeof(float), err);
}

static slm_status save(struct collector *c, const struct imatrix_params *p, const char *path, uint32_t n_done, slm_err *err) {
    slm_status st = SLM_OK;
    struct gguf_writer *w = NULL;
    struct view dataset = view_of(p->dataset);
    TRY(gguf_writer_create(&w, err));
    TRY(gguf_put_string(w, "general.type", VIEW("imatrix"), err));
    TRY(gguf_put_strings(w, "imatrix.datasets", &dataset, 1, err));
    TRY(gguf_put_u32(w, "imatrix.chunk_count", n_done, err));
    TRY(gguf_put_u32(w, "imatrix.chunk_size", (uint32_t)p->session.n_ctx, err));
    for (size_t i = 0; i < c->n; i++) {
        char name[GGUF_NAME_BYTES_MAX + 48];
        snprintf(name, sizeof name, "%s.in_sum2", c->sums[i].name);
        TRY(gguf_add_tensor(w, name, DTYPE_F32, 2, (uint64_t[]){c->sums[i].n_matrix, c->sums[i].d_in}, err));
        snprintf(name, sizeof name, "%s.counts", c->sums[i].name);
        TRY(gguf_add_tensor(w, name, DTYPE_F32, 2, (uint64_t[]){c->sums[i].n_matrix, 1}, err));
    }
    for (size_t i = 0; i < c->n; i++) {
        char name[GGUF_NAME_BYTES_MAX + 48];
        if (!c->sums[i].outer) continue;
        snprintf(name, sizeof name, "%s.in_outer", c->sums[i].name);
        TRY(gguf_add_tensor(w, name, DTYPE_F32, 2, (uint64_t[]){c->sums[i].d_in, width_of(c, &c->sums[i])}, err));
    }
    TRY(gguf_write(w, path, put_sums, c, err));
out:
    gguf_writer_destroy(w);
    return st;
}

static slm_status ignore_row(void *user, size_t i_pos, const float *logits, slm_err *err) {
    (void)user;
    (void)i_pos;
    (void)logits;
    (void)err;
    return SLM_OK;
}

static slm_status run_chunks(struct collector *c, const struct imatrix_params *p, struct slm_session *s, struct tok_ids *ids, const char *path,
                             uint32_t *n_done, slm_err *err) {
    slm_status st = SLM_OK;
    const struct tok_config *tok = tok_config_of(c->m->tok);
    uint32_t n_ctx = (uint32_t)p->session.n_ctx, n_chunk = (uint32_t)(ids->n / n_ctx), n_saved = *n_done;
    if (p->n_chunk_max && n_chunk > p->n_chunk_max) n_chunk = p->n_chunk_max;
    while (*n_done < n_chunk) {
        int32_t *chunk = ids->v + (size_t)*n_done * n_ctx;
        if (tok->add_bos && tok->bos != TOK_NONE) chunk[0] = tok->bos;
        st = session_logits_all(s, chunk, n_ctx, ignore_row, NULL, err); /* the head's input counts for every token too */
        if (st != SLM_OK) break;
        end_chunk(c);
        (*n_done)++;
        if (path && (*n_done - n_saved >= p->save_every || *n_done == n_chunk)) {
            st = save(c, p, path, *n_done, err);
            if (st != SLM_OK) return st;
            n_saved = *n_done;
        }
        if (p->progress) p->progress(p->user, *n_done, n_chunk);
    }
    if (path && st == SLM_E_CANCELLED && *n_done > n_saved && save(c, p, path, *n_done, err) != SLM_OK) return SLM_E_IO;
    return st;
}

/* path NULL: nothing is read or saved. */
static slm_status collect(struct collector *c, struct slm_model *m, const struct imatrix_params *p, struct view text, const char *path, uint32_t *n_done,
                          slm_err *err) {
    slm_status st = SLM_OK;
    struct slm_session *s = NULL;
    struct tok_ids ids = {0};
    const struct tok_config *tok = tok_config_of(m->tok);
    struct session_params sp = p->session;
    *n_done = 0;
    TRY(collector_init(c, m, p->hessian, err));
    if (c->n == 0) FAIL(SLM_E_UNSUPPORTED, SLM_NOWHERE, "\"%s\": has no matrices to observe", show_path(gguf_path(m->gguf)).s);
    TRY(tok_encode(m->tok, text, TOK_PARSE_SPECIAL | (tok->add_bos ? TOK_ADD_BOS : 0u), &ids, err));
    if (ids.n < (size_t)sp.n_ctx) {
        err_set(err, SLM_E_USAGE, SLM_NOWHERE, "text of %zu tokens: shorter than a chunk of %d", ids.n, sp.n_ctx);
        err_hint(err, "give more text or a smaller --ctx");
        st = SLM_E_USAGE;
        goto out;
    }
    if (path && access(path, F_OK) == 0) TRY(load(c, p, path, n_done, err));
    sp.n_out = session_rows_at_once(m, sp.n_ctx);
    sp.n_chunk = sp.n_ctx < 512 ? sp.n_ctx : 512;
    TRY(session_create(m, &sp, &s, err));
    c->compute = &s->compute;
    s->cancel = p->cancel;
    forward_observe(s->forward, observe, c);
    TRY(run_chunks(c, p, s, &ids, path, n_done, err));
out:
    session_destroy(s);
    tok_ids_fini(&ids);
    return st;
}

slm_status imatrix_collect(struct slm_model *m, const struct imatrix_params *p, struct view text, const char *path, uint32_t *n_done, slm_err *err) {
    struct collector c = {0};
    slm_status st = collect(&c, m, p, text, path, n_done, err);
    arena_fini(&c.arena);
    return st;
}

slm_status imatrix_measure(struct slm_model *m, const struct imatrix_params *p, struct view text, struct imatrix **out, slm_err *err) {
    slm_status st = SLM_OK;
    struct collector c = {0};
    struct imatrix *im = NULL;
    void *mem = NULL;
    uint32_t n_done;
    *out = NULL;
    TRY(collect(&c, m, p, text, NULL, &n_done, err));
    TRY(mem_alloc(&mem, 1, sizeof *im, "imatrix", err));
    im = mem;
    TRY(mem_alloc(&mem, c.n, sizeof *im->entries, "imatrix", err));
    im->entries = mem;
    for (; im->n < c.n; im->n++) {
        const struct sums *s = &c.sums[im->n];
        im->entries[im->n] = (struct imatrix_entry){s->name, s->n_matrix, s->d_in, s->total, s->n_tok, s->outer, s->outer ? width_of(&c, s) : 0};
    }
    imatrix_sort(im);
    im->dataset = arena_strdup(&c.arena, view_of(p->dataset));
    if (!im->dataset) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "imatrix: out of memory");
    im->n_chunk = n_done;
    im->chunk_size = (uint32_t)p->session.n_ctx;
    im->arena = c.arena;
    c.arena = (struct arena){0};
    *out = im;
    im = NULL;
out:
    if (im) free(im->entries);
    free(im);
    arena_fini(&c.arena);
    return st;
}
