/* data_vocab.c -- a vocabulary learnt from rows: all texts of all turns, prompts, completions and labels. */
#include <stdlib.h>
#include <string.h>

#include "text/bpe_train.h"
#include "train/data_int.h"

#define LABELS_MAX 4096

enum { PIECE_EOS, PIECE_SYSTEM, PIECE_USER, PIECE_ASSISTANT, PIECE_END, PIECE_COUNT };
static const struct view pieces[PIECE_COUNT] = {
    [PIECE_EOS] = {"<|endoftext|>", 13}, [PIECE_SYSTEM] = {"<|system|>", 10}, [PIECE_USER] = {"<|user|>", 8},
    [PIECE_ASSISTANT] = {"<|assistant|>", 13}, [PIECE_END] = {"<|end|>", 7},
};

/* A token a turn, one at its end when it is the assistant's: short texts stay short. */
const char data_default_template[] =
    "{%- for message in messages -%}"
    "{%- if message.role == 'assistant' -%}<|assistant|>{{ message.content }}<|end|>"
    "{%- elif message.role == 'system' -%}<|system|>{{ message.content }}"
    "{%- else -%}<|user|>{{ message.content }}{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}<|assistant|>{%- endif -%}";

struct labels {
    char **v; /* "<label>" */
    size_t n;
};

static slm_status add_label(struct labels *l, struct view label, slm_err *err) {
    for (size_t i = 0; i < l->n; i++)
        if (strlen(l->v[i]) == label.len + 2 && memcmp(l->v[i] + 1, label.ptr, label.len) == 0) return SLM_OK;
    if (l->n == LABELS_MAX) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "more than %d labels", LABELS_MAX);
    char **q = realloc(l->v, (l->n + 1) * sizeof *q), *s = malloc(label.len + 3);
    if (q) l->v = q;
    if (!q || !s) {
        free(s);
        return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "labels: out of memory");
    }
    snprintf(s, label.len + 3, "<%.*s>", (int)label.len, label.ptr);
    l->v[l->n++] = s;
    return SLM_OK;
}

static slm_status add_turns(struct bpe_trainer *t, const struct data_row *row, bool without_label, slm_err *err) {
    size_t n = json_array_size(row->messages) - (without_label && row->label.ptr ? 1 : 0);
    slm_status st = SLM_OK;
    for (size_t i = 0; i < n && st == SLM_OK; i++) {
        json_t *content = json_object_get(json_array_get(row->messages, i), "content");
        if (json_is_string(content)) st = bpe_trainer_add(t, (struct view){json_string_value(content), json_string_length(content)}, err);
    }
    return st;
}

static slm_status add_row(struct bpe_trainer *t, const struct data_vocab_params *p, const struct data_row *row, struct labels *labels, slm_err *err) {
    slm_status st = SLM_OK;
    if (p->label_pieces && row->label.ptr) TRY(add_label(labels, row->label, err));
    if (row->shape == DATA_SHAPE_CHAT) return add_turns(t, row, p->label_pieces, err);
    if (row->text.len) TRY(bpe_trainer_add(t, row->text, err));
    if (row->prompt.len) TRY(bpe_trainer_add(t, row->prompt, err));
    if (row->completion.len) TRY(bpe_trainer_add(t, row->completion, err));
out:
    return st;
}

static slm_status count_rows(const struct data_vocab_params *p, struct bpe_trainer *t, struct labels *labels, bool *has_chats, slm_err *err) {
    slm_status st;
    struct data_reader *r = NULL;
    struct data_row row;
    bool has = true;
    TRY(data_reader_open(&p->reader, &r, err));
    while (has) {
        if (p->cancel && *p->cancel) FAIL(SLM_E_CANCELLED, SLM_NOWHERE, "training a vocabulary: interrupted");
        TRY(data_reader_next(r, &row, &has, err));
        if (has) TRY(add_row(t, p, &row, labels, err));
        *has_chats |= has && row.shape == DATA_SHAPE_CHAT;
    }
out:
    data_reader_close(r);
    return st;
}

static int compare_labels(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* Labels are known after reading, specials before: so the learner is made without labels, and they are put in behind. */
static slm_status insert_labels(struct bpe_vocab *v, const struct labels *l, slm_err *err) {
    slm_status st;
    void *p;
    struct view *all = NULL;
    int32_t *types = NULL;
    uint32_t n = v->config.n_vocab + (uint32_t)l->n;
    TRY(mem_alloc(&p, n, sizeof *all, "pieces", err));
    all = p;
    TRY(mem_alloc(&p, n, sizeof *types, "pieces", err));
    types = p;
    for (uint32_t i = 0, k = 0; i < v->config.n_vocab; i++) {
        for (size_t j = 0; i == PIECE_COUNT && j < l->n; j++, k++) {
            all[k] = (struct view){arena_strdup(&v->arena, view_of(l->v[j])), strlen(l->v[j])};
            types[k] = TOK_USER_DEFINED;
            if (!all[k].ptr) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "labels: out of memory");
        }
        all[k] = v->pieces[i];
        types[k++] = v->types[i];
    }
    free(v->pieces);
    free(v->types);
    v->config.pieces = v->pieces = all;
    v->config.types = v->types = types;
    v->config.n_vocab = n;
    all = NULL;
    types = NULL;
out:
    free(all);
    free(types);
    return st;
}

slm_status data_vocab_train(const struct data_vocab_params *p, struct bpe_vocab *out, bool *has_chats, slm_err *err) {
    slm_status st;
    struct bpe_trainer *t = NULL;
    struct labels labels = {0};
    const struct bpe_train_params bp = {.pre = p->pre, .n_vocab = p->n_vocab, .specials = pieces, .n_specials = PIECE_COUNT, .cancel = p->cancel};
    memset(out, 0, sizeof *out);
    *has_chats = false;
    TRY(bpe_trainer_create(&bp, &t, err));
    TRY(count_rows(p, t, &labels, has_chats, err));
    TRY(bpe_trainer_finish(t, out, err));
    if (labels.n) {
        qsort(labels.v, labels.n, sizeof *labels.v, compare_labels);
        TRY(insert_labels(out, &labels, err));
    }
    out->config.bos = out->config.eos = PIECE_EOS;
    out->config.eot = PIECE_END;
    out->config.add_bos = true;
    out->config.add_space_prefix = false;
out:
    if (st != SLM_OK) bpe_vocab_fini(out);
    for (size_t i = 0; i < labels.n; i++) free(labels.v[i]);
    free(labels.v);
    bpe_trainer_destroy(t);
    return st;
}
