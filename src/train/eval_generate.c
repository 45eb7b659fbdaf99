/* eval_generate.c -- greedy answers against what was wanted: as text, as words, as JSON. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "train/eval_int.h"

static struct view trim(struct view v) {
    while (v.len && isspace((unsigned char)v.ptr[0])) v.ptr++, v.len--;
    while (v.len && isspace((unsigned char)v.ptr[v.len - 1])) v.len--;
    return v;
}

static bool next_word(struct view *rest, struct view *word) {
    *rest = trim(*rest);
    size_t n = 0;
    while (n < rest->len && !isspace((unsigned char)rest->ptr[n])) n++;
    *word = (struct view){rest->ptr, n};
    rest->ptr += n;
    rest->len -= n;
    return n > 0;
}

/* Share of `word` occurrences before it; quadratic, answers are short: n words at most. */
#define F1_WORDS_MAX 2000

static double word_f1(struct view a, struct view b) {
    static const size_t max = F1_WORDS_MAX;
    struct view word, *words = malloc(max * sizeof *words);
    size_t n_b = 0, n_a = 0, n_common = 0;
    if (!words) return 0;
    while (n_b < max && next_word(&b, &word)) words[n_b++] = word;
    while (n_a < max && next_word(&a, &word)) {
        n_a++;
        for (size_t i = 0; i < n_b; i++) {
            if (words[i].len == 0 || !view_eq(words[i], word)) continue;
            words[i].len = 0; /* used */
            n_common++;
            break;
        }
    }
    free(words);
    return n_a + n_b == 0 ? 1 : 2 * (double)n_common / (double)(n_a + n_b);
}

/* Members of an object, and of objects in it, that are equal; leaves count. */
static void count_members(const json_t *a, const json_t *b, size_t *n_a, size_t *n_common) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)a, key, value) {
        json_t *twin = json_object_get(b, key);
        if (json_is_object(value)) {
            count_members(value, json_is_object(twin) ? twin : NULL, n_a, n_common);
            continue;
        }
        ++*n_a;
        *n_common += twin && json_equal(value, twin);
    }
}

static double member_f1(const json_t *got, const json_t *want) {
    size_t n_got = 0, n_want = 0, n_common = 0, again = 0;
    count_members(got, want, &n_got, &n_common);
    count_members(want, got, &n_want, &again);
    return n_got + n_want == 0 ? 1 : 2 * (double)n_common / (double)(n_got + n_want);
}

static void judge(struct view got, struct view want, struct eval_item *item) {
    json_t *w = json_loadb(want.ptr, want.len, 0, NULL), *g = w ? json_loadb(got.ptr, got.len, JSON_REJECT_DUPLICATES, NULL) : NULL;
    item->right = view_eq(got, want);
    item->f1 = word_f1(got, want);
    item->json_asked = w != NULL;
    item->json_valid = g != NULL;
    item->json_equal = g && json_equal(g, w);
    item->json_f1 = g && json_is_object(g) && json_is_object(w) ? member_f1(g, w) : (double)item->json_equal;
    if (w && item->json_equal) item->right = true; /* the order of members is no difference */
    json_decref(w);
    json_decref(g);
}

static bool keep_text(void *user, const char *text, size_t n) {
    buf_append(user, text, n);
    return true;
}

slm_status eval_generate_row(struct eval_run_state *s, const struct data_row *row, struct eval_item *item, slm_err *err) {
    slm_status st;
    struct generate_result r = {0};
    struct sampler_params greedy;
    struct buf text;
    sampler_params_init(&greedy);
    greedy.temperature = 0;
    buf_init(&text, DATA_ROW_BYTES_MAX);
    TRY(data_encode_prompt(&s->encode, row, &s->path, err));
    const struct generate_params g = {.sampling = &greedy, .n_max = s->p->n_max, .strip_first = true, .on_text = keep_text, .user = &text};
    TRY(session_generate(s->session, s->path.v, s->path.n, &g, &r, err));
    if (r.finish == FINISH_CANCELLED) FAIL(SLM_E_CANCELLED, SLM_NOWHERE, "interrupted");
    TRY(buf_status(&text, "an answer", err));
    struct view got = trim((struct view){text.data ? text.data : "", text.len});
    judge(got, trim(data_answer(row)), item);
    if (!(item->text = strndup(got.ptr, got.len))) st = err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "an answer: out of memory");
out:
    tok_ids_fini(&r.ids);
    buf_fini(&text);
    return st;
}
