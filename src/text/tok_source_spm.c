/* tok_source_spm.c -- a SentencePiece model: protocol buffers by hand, since of the whole language four wire types and a dozen fields
 * occur (sentencepiece_model.proto: ModelProto, SentencePiece, TrainerSpec, NormalizerSpec). Every length is checked against its
 * message; unknown fields are stepped over. */
#include <stdlib.h>
#include <string.h>

#include "text/tok_source_int.h"

/* One field of a message. */
struct field {
    uint32_t number;
    uint64_t value;     /* varint; bits of a 32 or 64 bit value */
    struct view bytes;  /* length-delimited; empty for the other wire types */
};

struct reader {
    const char *begin, *p, *end;
};

static bool read_varint(struct reader *r, uint64_t *v) {
    *v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (r->p == r->end) return false;
        uint64_t byte = (unsigned char)*r->p++;
        *v |= (byte & 0x7f) << shift;
        if (byte < 0x80) return true;
    }
    return false;
}

static bool read_fixed(struct reader *r, size_t n, uint64_t *v) {
    *v = 0;
    if ((size_t)(r->end - r->p) < n) return false;
    memcpy(v, r->p, n);
    r->p += n;
    return true;
}

/* False at the end of the message, or (*st then FORMAT) when it is broken. */
static bool next_field(struct reader *r, struct field *f, slm_status *st, slm_err *err) {
    uint64_t tag, n;
    const char *at = r->p;
    bool ok = false;
    if (*st != SLM_OK || r->p == r->end) return false;
    *f = (struct field){.bytes = {"", 0}};
    if (read_varint(r, &tag)) {
        f->number = (uint32_t)(tag >> 3);
        switch (tag & 7) {
        case 0: ok = read_varint(r, &f->value); break;
        case 1: ok = read_fixed(r, 8, &f->value); break;
        case 5: ok = read_fixed(r, 4, &f->value); break;
        case 2:
            ok = read_varint(r, &n) && n <= (uint64_t)(r->end - r->p);
            if (ok) f->bytes = (struct view){r->p, (size_t)n};
            if (ok) r->p += n;
            break;
        default: break;
        }
    }
    if (!ok) *st = err_set(err, SLM_E_FORMAT, (uint64_t)(at - r->begin), "tokenizer.model: broken field at byte %zu of its message", (size_t)(at - r->begin));
    return ok;
}

static struct reader reader_of(struct view v) { return (struct reader){v.ptr, v.ptr, v.ptr + v.len}; }

static slm_status read_piece(struct source_build *b, uint32_t id, struct view message) {
    slm_status st = SLM_OK;
    struct reader r = reader_of(message);
    struct field f;
    uint32_t bits;
    b->types[id] = TOK_NORMAL;
    b->pieces[id] = (struct view){"", 0};
    while (next_field(&r, &f, &st, b->err)) {
        bits = (uint32_t)f.value;
        if (f.number == 1) TRY(source_keep(b->s, f.bytes, &b->pieces[id], b->err));
        if (f.number == 2) memcpy(&b->scores[id], &bits, sizeof bits);
        if (f.number == 3) b->types[id] = (int32_t)bits;
    }
    if (st == SLM_OK && (b->types[id] < TOK_NORMAL || b->types[id] > TOK_BYTE))
        st = err_set(b->err, SLM_E_FORMAT, SLM_NOWHERE, "tokenizer.model: piece %u has type %d", id, b->types[id]);
out:
    return st;
}

static void put_id(int32_t *id, uint64_t value, uint32_t n_vocab) {
    int32_t v = (int32_t)(uint32_t)value;
    *id = v >= 0 && (uint32_t)v < n_vocab ? v : TOK_NONE; /* -1: there is none */
}

static slm_status read_trainer(struct tok_source *s, struct view message, slm_err *err) {
    slm_status st = SLM_OK;
    struct reader r = reader_of(message);
    struct field f;
    struct tok_config *c = &s->config;
    uint64_t model_type = 1; /* unigram, when it is not said */
    put_id(&c->unk, 0, c->n_vocab);
    put_id(&c->bos, 1, c->n_vocab);
    put_id(&c->eos, 2, c->n_vocab);
    while (next_field(&r, &f, &st, err)) {
        if (f.number == 3) model_type = f.value;
        if (f.number == 24 && f.value) FAIL(SLM_E_UNSUPPORTED, SLM_NOWHERE, "tokenizer.model: \"treat_whitespace_as_suffix\" is not supported");
        if (f.number == 40) put_id(&c->unk, f.value, c->n_vocab);
        if (f.number == 41) put_id(&c->bos, f.value, c->n_vocab);
        if (f.number == 42) put_id(&c->eos, f.value, c->n_vocab);
        if (f.number == 43) put_id(&c->pad, f.value, c->n_vocab);
    }
    if (st == SLM_OK && model_type != 1 && model_type != 2)
        FAIL(SLM_E_UNSUPPORTED, SLM_NOWHERE, "tokenizer.model: model type %u: only unigram (1) and BPE (2) are supported", (unsigned)model_type);
    c->family = model_type == 2 ? "llama" : "t5";
out:
    return st;
}

static slm_status read_normalizer(struct tok_source *s, struct view message, slm_err *err) {
    slm_status st = SLM_OK;
    struct reader r = reader_of(message);
    struct field f;
    s->config.add_space_prefix = s->config.remove_extra_whitespaces = true;
    while (next_field(&r, &f, &st, err)) {
        if (f.number == 2 && f.bytes.len) TRY(source_keep(s, f.bytes, &s->config.charsmap, err));
        if (f.number == 3) s->config.add_space_prefix = f.value != 0;
        if (f.number == 4) s->config.remove_extra_whitespaces = f.value != 0;
        if (f.number == 5 && !f.value) FAIL(SLM_E_UNSUPPORTED, SLM_NOWHERE, "tokenizer.model: \"escape_whitespaces\" off is not supported");
    }
out:
    return st;
}

static slm_status count_pieces(struct view model, uint32_t *n, slm_err *err) {
    slm_status st = SLM_OK;
    struct reader r = reader_of(model);
    struct field f;
    *n = 0;
    while (next_field(&r, &f, &st, err)) {
        if (f.number == 1 && ++*n > TOK_N_VOCAB_MAX) FAIL(SLM_E_LIMIT, SLM_NOWHERE, "tokenizer.model: more than %u pieces", TOK_N_VOCAB_MAX);
    }
    if (st == SLM_OK && *n == 0) FAIL(SLM_E_FORMAT, SLM_NOWHERE, "tokenizer.model: no pieces");
out:
    return st;
}

slm_status tok_source_fill_spm(struct tok_source *s, struct view model, struct source_build *b, slm_err *err) {
    slm_status st = SLM_OK;
    struct reader r = reader_of(model);
    struct field f;
    uint32_t n, id = 0;
    struct view trainer = {"", 0}, normalizer = {"", 0};
    TRY(count_pieces(model, &n, err));
    TRY(source_arrays(b, s, n, err));
    while (next_field(&r, &f, &st, err)) {
        if (f.number == 1) TRY(read_piece(b, id++, f.bytes));
        if (f.number == 2) trainer = f.bytes;
        if (f.number == 3) normalizer = f.bytes;
    }
    if (st != SLM_OK) goto out;
    TRY(read_trainer(s, trainer, err));
    TRY(read_normalizer(s, normalizer, err));
    source_finish(b);
out:
    return st;
}
