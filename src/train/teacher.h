/* teacher.h -- a model that answers prompts for another to learn from: one of ours, or one behind an OpenAI-style HTTP interface.
 *
 *     struct teacher_params p = {.url = "https://host/v1", .name = "big", .api_key = key, .cache_path = "answers.sqlite"};
 *     teacher_open(&p, &t, &err);
 *     teacher_ask(t, messages, 0, &answer, &err);
 *     teacher_pool(t, &pool, &stats, &err);                 a file of prompts -> a file of rows to train on
 *
 * Every answer is kept in the cache (SQLite, synced before it is used) under the whole request, so that a request that was
 * answered is never sent again: not after a crash, not in another run. Sent again is what failed: 408, 409, 425, 429, 5xx, time-outs and broken
 * connections, with growing pauses (half a second, doubled, to a minute; Retry-After when it is there). Other refusals end the work with the
 * server's message. The budget counts the tokens that the server reports of answers that were not in the cache; it ends the work
 * before the request that would begin past it. */
#ifndef SLM_TRAIN_TEACHER_H
#define SLM_TRAIN_TEACHER_H

#include "engine/session.h"
#include "train/data.h"

#define TEACHER_REPLY_BYTES_MAX (16u << 20)

struct teacher_params {
    struct slm_model *model;          /* ours; borrowed. Or: */
    const char *url;                  /* up to and with "/v1"; borrowed, as all texts */
    const char *name;                 /* the model's name there */
    const char *api_key;              /* NULL: none. Never logged, never in the cache */
    const struct chat_template *tmpl; /* of model */
    const char *cache_path;           /* NULL: nothing is kept */
    const char *system;               /* put before chats that have no system turn; NULL */
    float temperature;                /* 0: greedy */
    int32_t n_max;                    /* tokens of an answer */
    uint64_t seed;                    /* sample i of a prompt is drawn with seed + i */
    struct session_params session;    /* of model */
    int32_t timeout_ms;               /* of one request; 0: 120000 */
    int32_t n_try;                    /* of one request; 0: 8 */
    int32_t pause_ms;                 /* the first pause; 0: 500 */
    double requests_per_min;          /* 0: no limit */
    uint64_t budget_tokens;           /* 0: no limit */
    const _Atomic bool *cancel;
    void (*on_retry)(void *user, const char *why, double pause_s); /* NULL: nobody is told */
    void *user;
};
struct teacher_answer {
    char *text;                       /* owned */
    uint64_t n_prompt, n_completion;  /* tokens */
    float logprob_mean;               /* of its tokens; NAN: not known */
    bool is_cached, is_cut;           /* is_cut: ended by n_max */
};
void teacher_answer_fini(struct teacher_answer *a);

struct teacher;
/* Errors: USAGE (neither or both kinds; a URL that is none), UNSUPPORTED (a chat without template), IO (the cache), NOMEM. */
slm_status teacher_open(const struct teacher_params *p, struct teacher **out, slm_err *err);
void teacher_close(struct teacher *t);
/* teacher_ask -- answer a chat ([{"role", "content"}, ...]). Errors: NETWORK (after all tries; refused: with the server's message), LIMIT
 * (budget; a prompt past the context), CANCELLED, FORMAT (a reply that is none). */
slm_status teacher_ask(struct teacher *t, json_t *messages, int32_t i_sample, struct teacher_answer *out, slm_err *err);

/* ---- a pool of prompts ---- */

/* Which answers become rows. Zeroed: all. */
struct teacher_filter {
    uint64_t len_min, len_max;        /* bytes; len_max 0: any */
    bool json;                        /* parses */
    bool in_labels;                   /* is one of the labels */
    int32_t agree, of;                /* the commonest of `of` samples, when it came `agree` times; of 0: one sample */
    float logprob_min;                /* mean of the tokens; -INFINITY: any. Answers that have none are dropped */
    float confidence_min;             /* of labels that our own model scored */
};
/* teacher_filter_parse -- "len:1-500,json,label,agree:2/3,minlogprob:-1.5,minconf:0.5". Errors: USAGE. */
slm_status teacher_filter_parse(const char *text, struct teacher_filter *out, slm_err *err);

struct teacher_pool_params {
    const char *const *paths;         /* rows with a prompt (data.h); answers that they have are not shown to the teacher */
    size_t n_paths;
    enum data_format format;
    const char *out_path;             /* JSON lines: {"messages": [..., answer]}, or {"text", "label"} with labels */
    const char *labels_path;          /* a label a line: our own model scores them exactly; another is asked and must give one. NULL: none */
    struct teacher_filter filter;
    bool dedup;                       /* prompts seen before are left out */
    void (*progress)(void *user, uint64_t n_done, uint64_t n_token);
    void *user;
};
struct teacher_pool_stats {
    uint64_t n_row, n_kept, n_duplicate, n_asked, n_cached, n_prompt_tokens, n_completion_tokens;
    uint64_t n_dropped_len, n_dropped_json, n_dropped_label, n_dropped_agree, n_dropped_logprob, n_dropped_cut;
    bool budget_ended;                /* the rows so far were written */
};
/* teacher_pool -- out_path appears whole, also when the budget ended the work; what was answered is in the cache in any case.
 * Errors: those of teacher_ask and the reader; USAGE (no row is kept). */
slm_status teacher_pool(struct teacher *t, const struct teacher_pool_params *p, struct teacher_pool_stats *stats, slm_err *err);

#endif
