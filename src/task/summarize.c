/* summarize.c -- windows, rounds, sentences. */
#include "task/summarize.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "task/ngram.h"

#define TOKENS_A_WORD 2.0   /* room for a summary: words to tokens, generously */
#define N_ROUND_MAX 8

/* ---- by a model ---- */

struct summarizer {
    struct worker *w;
    const struct summarize_params *p;
    struct summary *s;
    int32_t n_word;        /* of one window's summary */
    struct tok_ids ids;
    struct buf filled, part;
    double logp_sum;
};

static slm_status prompt_for(struct summarizer *z, const char *row_name, struct view text, slm_err *err) {
    char words[16];
    const struct prompt_row *row = prompt_find(row_name);
    snprintf(words, sizeof words, "%d", z->n_word);
    const struct prompt_value values[] = {{"text", text}, {"words", view_of(words)}};
    buf_clear(&z->filled);
    slm_status st = prompt_fill(z->p->form ? z->p->form : row->form, values, 2, "text", &z->filled, err);
    return st == SLM_OK ? worker_prompt(z->w, z->p->system ? z->p->system : row->system, (struct view){z->filled.data, z->filled.len}, row->opening, &z->ids, err) : st;
}

static int32_t room_for_answer(const struct summarizer *z) { return (int32_t)(TOKENS_A_WORD * z->n_word) + 16; }

/* The largest number of sentences from `from` on whose prompt leaves room for its answer. */
static slm_status fit_window(struct summarizer *z, const char *row, const struct view *sentences, size_t from, size_t n, size_t *to, slm_err *err) {
    size_t low = from, high = n;
    slm_status st = SLM_OK;
    while (low < high && st == SLM_OK) {
        size_t mid = low + (high - low + 1) / 2;
        st = prompt_for(z, row, (struct view){sentences[from].ptr, (size_t)(sentences[mid - 1].ptr + sentences[mid - 1].len - sentences[from].ptr)}, err);
        if ((int64_t)z->ids.n + room_for_answer(z) <= z->w->session->plan.n_ctx) low = mid;
        else high = mid - 1;
    }
    *to = low;
    if (st == SLM_OK && low == from)
        st = err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "sentence %zu of %zu bytes: does not fit the context of %d with room for %d tokens", from + 1, sentences[from].len, z->w->session->plan.n_ctx, room_for_answer(z));
    return st;
}

/* One round: out gets a summary for each window, a line each. */
static slm_status run_round(struct summarizer *z, const char *row, struct view text, struct buf *out, size_t *n_window, slm_err *err) {
    void *mem = NULL;
    slm_status st = mem_alloc(&mem, SUMMARIZE_N_SENTENCE_MAX, sizeof(struct view), "sentences", err);
    if (st != SLM_OK) return st;
    struct view *sentences = mem;
    size_t n = ground_sentences(text, sentences, SUMMARIZE_N_SENTENCE_MAX), to;
    *n_window = 0;
    if (n > SUMMARIZE_N_SENTENCE_MAX) FAIL(SLM_E_LIMIT, SLM_NOWHERE, "text of %zu sentences: the limit is %u", n, SUMMARIZE_N_SENTENCE_MAX);
    for (size_t from = 0; from < n; from = to) {
        struct signals signals;
        size_t n_out;
        signals_init(&signals);
        TRY(fit_window(z, row, sentences, from, n, &to, err));
        struct view window = {sentences[from].ptr, (size_t)(sentences[to - 1].ptr + sentences[to - 1].len - sentences[from].ptr)};
        TRY(prompt_for(z, row, window, err));
        if (out->len) buf_putc(out, '\n');
        TRY(worker_write(z->w, &z->ids, &(struct writing){.n_max = room_for_answer(z), .strip_first = true}, out, &signals, &n_out, err));
        z->s->n_in += z->ids.n;
        z->s->n_out += n_out;
        if (n_out) z->logp_sum += signals.v[SIGNAL_LOGPROB_MEAN] * (double)n_out;
        ++*n_window;
    }
out:
    free(mem);
    return st;
}

/* Sentences that the source bears out, while they fit the number of words. */
static void keep_grounded(struct view source, struct view text, const struct summarize_params *p, struct buf *out, struct summary *s) {
    struct view sentences[256], missing;
    size_t n = ground_sentences(text, sentences, 256), n_word = 0;
    for (size_t i = 0; i < n && i < 256; i++) {
        char last = sentences[i].ptr[sentences[i].len - 1];
        bool whole = last == '.' || last == '!' || last == '?' || last == '"' || last == ')';
        size_t words = ground_count_words(sentences[i]);
        if (!whole && i > 0) continue; /* cut off by the number of tokens */
        if (!p->ungrounded && !ground_check(source, sentences[i], &missing)) {
            s->n_dropped++;
            continue;
        }
        if (n_word > 0 && n_word + words > (size_t)p->n_word) break;
        if (n_word) buf_putc(out, ' ');
        buf_append(out, sentences[i].ptr, sentences[i].len);
        n_word += words;
    }
    s->n_word = n_word;
}

slm_status summarize_run(struct worker *w, struct view text, const struct summarize_params *p, struct buf *out, struct summary *s, slm_err *err) {
    slm_status st = SLM_OK;
    struct summarizer z = {.w = w, .p = p, .s = s, .n_word = p->n_word};
    struct buf a, b;
    size_t n_window = 0;
    *s = (struct summary){.n_word_source = ground_count_words(text)};
    signals_init(&s->signals);
    buf_init(&a, PROMPT_BYTES_MAX);
    buf_init(&b, PROMPT_BYTES_MAX);
    buf_init(&z.filled, PROMPT_BYTES_MAX);
    if (s->n_word_source == 0) FAIL(SLM_E_USAGE, SLM_NOWHERE, "text: there is nothing to summarize");
    TRY(run_round(&z, "summarize", text, &a, &n_window, err));
    s->n_window = n_window;
    for (int round = 0; n_window > 1; round++) {
        size_t n_before = n_window;
        if (round == N_ROUND_MAX) FAIL(SLM_E_LIMIT, SLM_NOWHERE, "text of %llu windows: their summaries do not come together in %d rounds", (unsigned long long)s->n_window, N_ROUND_MAX);
        buf_clear(&b);
        TRY(run_round(&z, "summarize-join", (struct view){a.data ? a.data : "", a.len}, &b, &n_window, err));
        struct buf swap = a;
        a = b;
        b = swap;
        if (n_window >= n_before && n_window > 1) FAIL(SLM_E_LIMIT, SLM_NOWHERE, "%zu summaries do not become fewer: a larger --ctx or fewer --words", n_window);
    }
    keep_grounded(text, (struct view){a.data ? a.data : "", a.len}, p, out, s);
    if (s->n_out) s->signals.v[SIGNAL_LOGPROB_MEAN] = z.logp_sum / (double)s->n_out;
    s->signals.v[SIGNAL_LENGTH] = log(1 + (double)s->n_in);
    st = buf_status(out, "a summary", err);
out:
    tok_ids_fini(&z.ids);
    buf_fini(&z.filled);
    buf_fini(&a);
    buf_fini(&b);
    return st;
}

/* ---- without one ---- */

struct ranked {
    double score;
    size_t i;
};

static int by_score(const void *a, const void *b) {
    const struct ranked *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return (x->i > y->i) - (x->i < y->i);
}

/* Scores: each sentence's features against the sum of all, so that its likeness to every other is had at once. */
static slm_status rank_sentences(const struct view *sentences, size_t n, struct ranked *ranked, slm_err *err) {
    slm_status st = SLM_OK;
    struct ngram_table table = {0};
    struct ngram_row row;
    void *mem = NULL;
    ngram_row_init(&row);
    for (size_t i = 0; i < n; i++) TRY(ngram_learn(&table, &row, sentences[i], err));
    ngram_learn_end(&table, n);
    TRY(mem_alloc(&mem, (size_t)table.n_feature + 1, sizeof(double), "sentences", err));
    double *sum = mem;
    for (size_t i = 0; i < n; i++) {
        TRY(ngram_features(&table, &row, sentences[i], err));
        for (size_t k = 0; k < row.n; k++) sum[row.index[k]] += (double)row.value[k];
    }
    for (size_t i = 0; i < n; i++) {
        double likeness = -1; /* with itself it is 1 */
        TRY(ngram_features(&table, &row, sentences[i], err));
        for (size_t k = 0; k < row.n; k++) likeness += (double)row.value[k] * sum[row.index[k]];
        ranked[i] = (struct ranked){likeness * (1 + 0.5 / (1 + (double)i)), i}; /* what comes first says what it is about */
    }
out:
    free(mem);
    ngram_row_fini(&row);
    ngram_table_fini(&table);
    return st;
}

slm_status summarize_extract(struct view text, int32_t n_word, struct buf *out, struct summary *s, slm_err *err) {
    slm_status st = SLM_OK;
    void *sentences_mem = NULL, *ranked_mem = NULL, *chosen_mem = NULL;
    size_t n_kept = 0;
    *s = (struct summary){.n_word_source = ground_count_words(text)};
    signals_init(&s->signals);
    if (s->n_word_source == 0) FAIL(SLM_E_USAGE, SLM_NOWHERE, "text: there is nothing to summarize");
    TRY(mem_alloc(&sentences_mem, SUMMARIZE_N_SENTENCE_MAX, sizeof(struct view), "sentences", err));
    struct view *sentences = sentences_mem;
    size_t n = ground_sentences(text, sentences, SUMMARIZE_N_SENTENCE_MAX);
    if (n > SUMMARIZE_N_SENTENCE_MAX) FAIL(SLM_E_LIMIT, SLM_NOWHERE, "text of %zu sentences: the limit is %u", n, SUMMARIZE_N_SENTENCE_MAX);
    TRY(mem_alloc(&ranked_mem, n, sizeof(struct ranked), "sentences", err));
    TRY(mem_alloc(&chosen_mem, n, sizeof(bool), "sentences", err));
    struct ranked *ranked = ranked_mem;
    bool *chosen = chosen_mem;
    TRY(rank_sentences(sentences, n, ranked, err));
    qsort(ranked, n, sizeof *ranked, by_score);
    for (size_t k = 0; k < n; k++) {
        size_t words = ground_count_words(sentences[ranked[k].i]);
        if (n_kept > 0 && s->n_word + words > (size_t)n_word) continue;
        chosen[ranked[k].i] = true;
        s->n_word += words;
        n_kept++;
    }
    for (size_t i = 0, first = 1; i < n; i++) {
        if (!chosen[i]) continue;
        if (!first) buf_putc(out, ' ');
        first = 0;
        buf_append(out, sentences[i].ptr, sentences[i].len);
    }
    st = buf_status(out, "a summary", err);
out:
    free(sentences_mem);
    free(ranked_mem);
    free(chosen_mem);
    return st;
}
