/* teacher_pool.c -- a pool of prompts becomes rows to train on: ask, filter, write.
 *
 * The rows appear whole at the end; what makes the work resumable is the cache of answers under it. Labels of our own model are not
 * written but scored: the likeliest of the list, with its probability, so no answer is ever outside it. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/nearest.h"
#include "base/show.h"
#include "train/eval_int.h"
#include "train/teacher_int.h"

#define SAMPLES_MAX 32

/* Filters */

static bool read_len(const char *v, struct teacher_filter *f) {
    unsigned long long a = 0, b = 0;
    if (sscanf(v, "%llu-%llu", &a, &b) != 2 || a > b || b == 0) return false;
    f->len_min = a, f->len_max = b;
    return true;
}
static bool read_json(const char *v, struct teacher_filter *f) { return f->json = true, !*v; }
static bool read_label(const char *v, struct teacher_filter *f) { return f->in_labels = true, !*v; }
static bool read_agree(const char *v, struct teacher_filter *f) {
    return sscanf(v, "%d/%d", &f->agree, &f->of) == 2 && f->agree >= 1 && f->agree <= f->of && f->of <= SAMPLES_MAX;
}
static bool read_number(const char *v, float *out, double min, double max) {
    char *end;
    double d = strtod(v, &end);
    *out = (float)d;
    return *v && !*end && d >= min && d <= max;
}
static bool read_logprob(const char *v, struct teacher_filter *f) { return read_number(v, &f->logprob_min, -1e6, 0); }
static bool read_confidence(const char *v, struct teacher_filter *f) { return read_number(v, &f->confidence_min, 0, 1); }

static const struct {
    const char *name, *form;
    bool (*read)(const char *value, struct teacher_filter *f);
} filters[] = {
    {"len", "len:MIN-MAX (bytes)", read_len},     {"json", "json", read_json},
    {"label", "label", read_label},               {"agree", "agree:K/N, N at most 32", read_agree},
    {"minlogprob", "minlogprob:X, X at most 0", read_logprob}, {"minconf", "minconf:X, X from 0 to 1", read_confidence},
};
#define N_FILTERS (sizeof filters / sizeof filters[0])

slm_status teacher_filter_parse(const char *text, struct teacher_filter *out, slm_err *err) {
    *out = (struct teacher_filter){.logprob_min = -INFINITY};
    for (const char *p = text; *p;) {
        char item[80];
        size_t n = strcspn(p, ","), i = 0;
        snprintf(item, sizeof item, "%.*s", (int)(n < 79 ? n : 79), p);
        p += n + (p[n] == ',');
        char *colon = strchr(item, ':');
        if (colon) *colon = 0;
        while (i < N_FILTERS && strcmp(filters[i].name, item) != 0) i++;
        if (i == N_FILTERS) {
            const char *names[N_FILTERS];
            for (size_t k = 0; k < N_FILTERS; k++) names[k] = filters[k].name;
            err_set(err, SLM_E_USAGE, SLM_NOWHERE, "filter \"%s\": unknown", show_cstr(item).s);
            err_hint(err, "did you mean \"%s\"? there are len, json, label, agree, minlogprob and minconf", nearest_name(item, names, N_FILTERS));
            return SLM_E_USAGE;
        }
        if (!filters[i].read(colon ? colon + 1 : "", out)) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "filter \"%s\": it is written %s", item, filters[i].form);
    }
    return SLM_OK;
}

static struct view trim(struct view v) {
    while (v.len && isspace((unsigned char)v.ptr[0])) v.ptr++, v.len--;
    while (v.len && isspace((unsigned char)v.ptr[v.len - 1])) v.len--;
    return v;
}

struct pool {
    struct teacher *t;
    const struct teacher_pool_params *p;
    struct teacher_pool_stats *stats;
    struct eval_task labels;        /* its labels alone are used */
    struct eval_params eval_params;
    struct eval_run_state scorer;   /* our own model over labels; session NULL: not used */
    uint64_t *seen;                 /* hashes of prompts; open addressing, 0: empty */
    size_t n_seen, n_slots;
    FILE *stream;
};

/* May this answer be learnt? What it fails at is counted. */
static bool passes(struct pool *q, const struct teacher_answer *a) {
    const struct teacher_filter *f = &q->p->filter;
    struct view v = trim(view_of(a->text));
    uint64_t *why = NULL;
    if (a->is_cut || v.len == 0) why = &q->stats->n_dropped_cut;
    else if (v.len < f->len_min || (f->len_max && v.len > f->len_max)) why = &q->stats->n_dropped_len;
    else if (f->logprob_min > -INFINITY && !(a->logprob_mean >= f->logprob_min)) why = &q->stats->n_dropped_logprob;
    else if ((f->in_labels || q->labels.n_labels) && eval_find_label(&q->labels, v) < 0) why = &q->stats->n_dropped_label;
    else if (f->json) {
        json_t *o = json_loadb(v.ptr, v.len, JSON_REJECT_DUPLICATES, NULL);
        if (!o) why = &q->stats->n_dropped_json;
        json_decref(o);
    }
    if (why) ++*why;
    return !why;
}

static slm_status ask_once(struct pool *q, json_t *messages, int32_t i, struct teacher_answer *a, slm_err *err) {
    slm_status st = teacher_ask(q->t, messages, i, a, err);
    if (st != SLM_OK) return st;
    q->stats->n_asked++;
    q->stats->n_cached += a->is_cached;
    if (!a->is_cached) q->stats->n_prompt_tokens += a->n_prompt, q->stats->n_completion_tokens += a->n_completion;
    return SLM_OK;
}

/* The answer that is kept; has false: none. With agree:k/n samples are drawn until one came k times or none can. */
static slm_status ask_all(struct pool *q, json_t *messages, struct teacher_answer *out, bool *has, slm_err *err) {
    const struct teacher_filter *f = &q->p->filter;
    int32_t n = f->of > 0 ? f->of : 1, need = f->of > 0 ? f->agree : 1, n_kept = 0, n_votes[SAMPLES_MAX], best = 0;
    struct teacher_answer kept[SAMPLES_MAX];
    slm_status st = SLM_OK;
    bool any = false;
    *has = false;
    for (int32_t i = 0; i < n && !*has && best + (n - i) >= need; i++) {
        struct teacher_answer a;
        int32_t k = 0;
        if ((st = ask_once(q, messages, i, &a, err)) != SLM_OK) break;
        if (!passes(q, &a)) {
            teacher_answer_fini(&a);
            continue;
        }
        any = true;
        while (k < n_kept && !view_eq(trim(view_of(kept[k].text)), trim(view_of(a.text)))) k++;
        if (k == n_kept) kept[n_kept] = a, n_votes[n_kept++] = 0;
        else teacher_answer_fini(&a);
        if (++n_votes[k] > best) best = n_votes[k];
        if (n_votes[k] < need) continue;
        *out = kept[k];
        kept[k].text = NULL;
        *has = true;
    }
    if (st == SLM_OK && any && !*has) q->stats->n_dropped_agree++;
    for (int32_t k = 0; k < n_kept; k++) free(kept[k].text);
    return st;
}

/* Rows */

/* The chat that the teacher sees: without the answer that the row may have. */
static json_t *chat_of(const struct data_row *row) {
    struct view v = row->shape == DATA_SHAPE_PAIR ? row->prompt : row->text;
    if (row->shape != DATA_SHAPE_CHAT) return json_pack("[{s:s, s:s%}]", "role", "user", "content", v.ptr, v.len);
    json_t *turns = json_copy(row->messages);
    for (size_t n = json_array_size(turns); n > 0; n--) {
        const char *role = json_string_value(json_object_get(json_array_get(turns, n - 1), "role"));
        if (!role || strcmp(role, "assistant") != 0) break;
        json_array_remove(turns, n - 1);
    }
    return turns;
}

static slm_status is_new(struct pool *q, json_t *messages, bool *fresh, slm_err *err) {
    char *text = json_dumps(messages, JSON_COMPACT);
    if (!text) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "prompts: out of memory");
    uint64_t h = hash_bytes(HASH_START, text, strlen(text)) | 1;
    free(text);
    if (q->n_seen * 2 >= q->n_slots) {
        size_t n = q->n_slots ? q->n_slots * 2 : 1024;
        uint64_t *seen = calloc(n, sizeof *seen);
        if (!seen) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "prompts: out of memory");
        for (size_t i = 0; i < q->n_slots; i++) {
            size_t at = (size_t)(q->seen[i] >> 17) & (n - 1);
            while (q->seen[i] && seen[at]) at = (at + 1) & (n - 1);
            if (q->seen[i]) seen[at] = q->seen[i];
        }
        free(q->seen);
        q->seen = seen;
        q->n_slots = n;
    }
    size_t at = (size_t)(h >> 17) & (q->n_slots - 1);
    while (q->seen[at] && q->seen[at] != h) at = (at + 1) & (q->n_slots - 1);
    *fresh = !q->seen[at];
    q->n_seen += *fresh;
    q->seen[at] = h;
    return SLM_OK;
}

static slm_status write_row(struct pool *q, json_t *row, slm_err *err) { /* takes row */
    bool ok = row && json_dumpf(row, q->stream, JSON_COMPACT) == 0 && fputc('\n', q->stream) != EOF;
    json_decref(row);
    q->stats->n_kept += ok;
    return ok ? SLM_OK : err_set(err, SLM_E_IO, SLM_NOWHERE, "write \"%s\": no space, or the disk failed", show_path(q->p->out_path).s);
}

static struct view last_text(json_t *messages) {
    json_t *content = json_object_get(json_array_get(messages, json_array_size(messages) - 1), "content");
    return json_is_string(content) ? (struct view){json_string_value(content), json_string_length(content)} : (struct view){"", 0};
}

static slm_status label_row(struct pool *q, json_t *messages, struct view label, double confidence, slm_err *err) {
    struct view text = last_text(messages);
    json_t *row = json_pack("{s:s%, s:s%}", "text", text.ptr, text.len, "label", label.ptr, label.len);
    if (row && confidence >= 0) json_object_set_new(row, "confidence", json_f64(confidence));
    return write_row(q, row, err);
}

static slm_status score_labels(struct pool *q, json_t *messages, const struct data_row *row, slm_err *err) {
    struct data_row asked = {.path = row->path, .line = row->line, .format = DATA_CLASSIFY, .shape = DATA_SHAPE_CHAT, .messages = messages, .weight = 1};
    struct eval_item item = {0};
    slm_status st = eval_classify_row(&q->scorer, &asked, &item, err);
    if (st != SLM_OK) return st;
    q->stats->n_asked++;
    if (item.confidence < q->p->filter.confidence_min) {
        q->stats->n_dropped_logprob++;
        return SLM_OK;
    }
    return label_row(q, messages, view_of(q->labels.labels[item.got]), (double)item.confidence, err);
}

static slm_status answer_row(struct pool *q, const struct data_row *row, slm_err *err) {
    slm_status st = SLM_OK;
    struct teacher_answer a = {0};
    bool has = true;
    json_t *messages = chat_of(row);
    if (!messages || json_array_size(messages) == 0) {
        st = row_fault(row->path, row->line, err, "no prompt for the teacher");
        goto out;
    }
    if (q->p->dedup) TRY(is_new(q, messages, &has, err));
    q->stats->n_duplicate += !has;
    if (!has) goto out;
    if (q->scorer.session) {
        st = score_labels(q, messages, row, err);
        goto out;
    }
    TRY(ask_all(q, messages, &a, &has, err));
    if (!has) goto out;
    struct view v = trim(view_of(a.text));
    if (q->labels.n_labels) {
        st = label_row(q, messages, v, -1, err);
    } else {
        json_array_append_new(messages, json_pack("{s:s, s:s%}", "role", "assistant", "content", v.ptr, v.len));
        st = write_row(q, json_pack("{s:O}", "messages", messages), err);
    }
out:
    teacher_answer_fini(&a);
    json_decref(messages);
    return st;
}

static slm_status open_labels(struct pool *q, slm_err *err) {
    slm_status st;
    TRY(eval_read_labels(&q->labels, q->p->labels_path, err));
    if (q->labels.n_labels < 2) FAIL(SLM_E_USAGE, SLM_NOWHERE, "labels \"%s\": fewer than two", show_path(q->p->labels_path).s);
    if (!q->t->session) goto out;
    q->labels.kind = EVAL_CLASSIFY;
    q->eval_params = (struct eval_params){.session = q->t->p.session, .tmpl = q->t->p.tmpl, .system = q->t->p.system, .cancel = q->t->p.cancel};
    q->scorer.task = &q->labels;
    q->scorer.p = &q->eval_params;
    TRY(eval_open_state(&q->scorer, q->t->p.model, err));
out:
    return st;
}

static slm_status answer_all(struct pool *q, slm_err *err) {
    slm_status st;
    struct data_reader *r = NULL;
    struct data_row row;
    bool has = true;
    const struct data_reader_params rp = {.paths = q->p->paths, .n_paths = q->p->n_paths, .format = q->p->format};
    TRY(data_reader_open(&rp, &r, err));
    while (has) {
        if (q->t->p.cancel && *q->t->p.cancel) FAIL(SLM_E_CANCELLED, SLM_NOWHERE, "interrupted");
        TRY(data_reader_next(r, &row, &has, err));
        if (!has) break;
        q->stats->n_row++;
        st = answer_row(q, &row, err);
        if (st == SLM_E_LIMIT && q->t->p.budget_tokens && q->t->n_token >= q->t->p.budget_tokens) {
            q->stats->budget_ended = true;
            st = SLM_OK;
            break;
        }
        if (st != SLM_OK) break;
        if (q->p->progress) q->p->progress(q->p->user, q->stats->n_row, q->t->n_token);
    }
out:
    data_reader_close(r);
    return st;
}

slm_status teacher_pool(struct teacher *t, const struct teacher_pool_params *p, struct teacher_pool_stats *stats, slm_err *err) {
    slm_status st;
    struct file_out file = {0};
    struct pool q = {.t = t, .p = p, .stats = stats};
    memset(stats, 0, sizeof *stats);
    TRY(file_out_open(&file, p->out_path, err));
    q.stream = file.stream;
    if (p->filter.in_labels && !p->labels_path) FAIL(SLM_E_USAGE, SLM_NOWHERE, "filter \"label\": there is no list of labels");
    if (p->labels_path) TRY(open_labels(&q, err));
    TRY(answer_all(&q, err));
    if (stats->n_kept == 0) {
        err_set(err, SLM_E_USAGE, SLM_NOWHERE, "of %llu prompts no answer is kept", (unsigned long long)stats->n_row);
        err_hint(err, "dropped: %llu cut or empty, %llu by length, %llu by JSON, %llu no label, %llu without agreement, %llu by probability", (unsigned long long)stats->n_dropped_cut,
                 (unsigned long long)stats->n_dropped_len, (unsigned long long)stats->n_dropped_json, (unsigned long long)stats->n_dropped_label,
                 (unsigned long long)stats->n_dropped_agree, (unsigned long long)stats->n_dropped_logprob);
        st = SLM_E_USAGE;
        goto out;
    }
    st = file_out_commit(&file, err);
out:
    file_out_discard(&file);
    eval_close_state(&q.scorer);
    for (size_t i = 0; i < q.labels.n_labels; i++) free(q.labels.labels[i]);
    free(q.labels.labels);
    free(q.seen);
    return st;
}
