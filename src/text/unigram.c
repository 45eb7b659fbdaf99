/* unigram.c -- SentencePiece's unigram model (Kudo 2018): of all ways to cover the text with pieces, the one with the best sum of scores.
 *
 * Viterbi from the left: the best sum at each place, and the piece that led there. A character that no piece covers costs the worst score
 * less 10; a run of them is one unknown, or byte pieces. As in spm.c the text is cut where no piece can cross a space, so that
 * words repeat and are remembered. The first best way found stays, as in the authors' code. */
#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "text/tok_int.h"

#define UNKNOWN_PENALTY 10.0f
#define N_STACK 128
#define PIECE_BYTES_MAX 256 /* each place tries every length */

struct step {
    double sum;      /* best sum of scores up to here */
    uint32_t n;      /* bytes of the last piece */
    int32_t id;      /* TOK_NONE: a character without piece */
};

static void offer(struct step *to, double sum, uint32_t n, int32_t id) {
    if (to->n == 0 || sum > to->sum) *to = (struct step){sum, n, id};
}

/* Every piece that begins at s, which begins with a character of n_char bytes. */
static void offer_pieces(const struct tok *t, struct step *from, const char *s, size_t n, uint32_t n_char) {
    bool covered = false; /* by a piece of exactly this character */
    if (n > t->n_piece_max) n = t->n_piece_max;
    for (uint32_t len = 1; len <= n; len++) {
        if (len < n && ((unsigned char)s[len] & 0xc0) == 0x80) continue; /* inside a character */
        int32_t id = piece_find(t, s, len);
        if (id == TOK_NONE) continue;
        covered |= len == n_char;
        offer(from + len, from->sum + (double)t->scores[id], len, id);
    }
    if (!covered) offer(from + n_char, from->sum + (double)t->score_unknown, n_char, TOK_NONE);
}

static slm_status push_path(struct job *j, struct view word, struct step *steps) {
    /* The path is found from its end: link it forward, n of each step becoming the length of the one that follows. */
    uint32_t at = (uint32_t)word.len, n_next = 0;
    int32_t id_next = TOK_NONE;
    while (at > 0) {
        uint32_t n = steps[at].n;
        int32_t id = steps[at].id;
        steps[at].n = n_next;
        steps[at].id = id_next;
        n_next = n;
        id_next = id;
        at -= n;
    }
    steps[0].n = n_next;
    steps[0].id = id_next;
    for (uint32_t n; at < word.len; at += n) {
        int32_t id = steps[at].id;
        n = steps[at].n;
        slm_status st = id != TOK_NONE ? tok_ids_push(j->out, id, j->err) : job_push_symbol(j, (struct view){word.ptr + at, n});
        if (st != SLM_OK) return st;
    }
    return SLM_OK;
}

static slm_status unigram_word(struct job *j, struct view word) {
    struct step few[N_STACK] = {{0}}, *steps = few;
    uint32_t cp;
    if (word.len >= N_STACK && !(steps = calloc(word.len + 1, sizeof *steps)))
        return err_set(j->err, SLM_E_NOMEM, SLM_NOWHERE, "a word of %zu bytes: out of memory", word.len);
    for (size_t at = 0; at < word.len;) {
        int n = utf8_decode(word.ptr + at, word.len - at, &cp);
        if (n == 0) n = 1;
        offer_pieces(j->t, steps + at, word.ptr + at, word.len - at, (uint32_t)n);
        at += (size_t)n;
    }
    slm_status st = push_path(j, word, steps);
    if (steps != few) free(steps);
    return st;
}

static slm_status unigram_prepare(struct tok *t, const struct tok_config *c, slm_err *err) {
    slm_status st = SLM_OK;
    void *p;
    float min = FLT_MAX, max = -FLT_MAX;
    if (!c->scores) FAIL(SLM_E_FORMAT, SLM_NOWHERE, "tokenizer family \"%s\": the vocabulary has no scores", t->family->name);
    TRY(mem_alloc(&p, c->n_vocab, sizeof *t->scores, "scores", err));
    t->scores = p;
    for (uint32_t i = 0; i < c->n_vocab; i++) {
        t->scores[i] = c->scores[i];
        if (!(c->scores[i] > -FLT_MAX && c->scores[i] < FLT_MAX)) FAIL(SLM_E_FORMAT, SLM_NOWHERE, "score of piece %u: not a finite number", i);
        if (t->types[i] != TOK_NORMAL) continue;
        if (c->scores[i] < min) min = c->scores[i];
        if (c->scores[i] > max) max = c->scores[i];
    }
    t->score_unknown = (min < FLT_MAX ? min : 0) - UNKNOWN_PENALTY;
    /* A user's piece wins over any way to build it. */
    for (uint32_t i = 0; i < c->n_vocab; i++)
        if (t->types[i] == TOK_USER_DEFINED) t->scores[i] = (max > -FLT_MAX ? max : 0) * (float)t->bytes[i].len - 0.1f;
    if (t->n_piece_max > PIECE_BYTES_MAX) FAIL(SLM_E_FORMAT, SLM_NOWHERE, "a piece of %u bytes: more than %d", t->n_piece_max, PIECE_BYTES_MAX);
    TRY(spaced_prepare(t, c, err));
out:
    return st;
}

const struct tok_family tok_family_unigram = {
    .name = "t5", .add_eos = true, .spaces_are_lower_one = true, .read_piece = piece_read_lower_one,
    .prepare = unigram_prepare, .encode = spaced_encode, .encode_word = unigram_word,
};
