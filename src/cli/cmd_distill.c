/* cmd_distill.c -- slm distill: a small model learns from a larger one: its answers to a pool of prompts, and what it thought of them.
 *
 * Three steps in the run's folder, each kept: answers.jsonl (the teacher's answers; answers.sqlite under it), teacher.kd (its logits where
 * something is learnt; with --method logits), then the student's training. A step whose file fits is not done again. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/show.h"
#include "base/util.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/teach.h"
#include "cli/term.h"
#include "train/fresh.h"
#include "train/kd_cache.h"
#include "train/live_teacher.h"
#include "train/ranks.h"
#include "train/teacher.h"

enum { METHOD_AUTO, METHOD_SEQ, METHOD_LOGITS, METHOD_LIVE };

struct distill_values {
    struct common_values common;
    struct teach_values teach;
    const char *teacher, *url, *teacher_model, *key_file, *student, *preset, *arch, *tokenizer, *name, *labels, *filter, *config;
    struct option_texts prompts;
    int32_t method, max_new, timeout, topk, tail, budget_tokens, rpm, stop_after;
    float temp, kd_temp, kd_alpha, kd_beta, on_policy;
    bool dedup;
};

struct distill {
    const struct distill_values *v;
    struct teach_values teach_values; /* with the answers among the data */
    struct slm_model *teacher, *student;
    struct chat_template *teacher_tmpl;
    struct teach teach;
    struct trainee *trainee;
    struct kd_cache kd;
    struct progress bar;
    struct buf key;
    char answers[1100], cache[1100], logits[1100];
    bool use_logits;
    struct train_source inner; /* with a teacher that runs beside: what it is shown */
};

static slm_status check_values(struct distill *d, slm_err *err) {
    const struct distill_values *v = d->v;
    slm_status st = SLM_OK;
    if (ranks_asked()) {
        err_set(err, SLM_E_UNSUPPORTED, SLM_NOWHERE, "slm distill: is started by mpirun; a teacher is asked by one process");
        err_hint(err, "label with --stop-after answers here, then mpirun slm train or finetune on what it wrote");
        return SLM_E_UNSUPPORTED;
    }
    if (!v->teacher == !v->url) {
        err_set(err, SLM_E_USAGE, SLM_NOWHERE, "a teacher is needed: --teacher or --teacher-url, one of them");
        err_hint(err, "--teacher FILE is a model of yours, --teacher-url https://host/v1 with --teacher-model NAME one behind an interface");
        return SLM_E_USAGE;
    }
    if (!v->prompts.n && !v->teach.data.n) FAIL(SLM_E_USAGE, SLM_NOWHERE, "nothing to learn from: give --prompts or --data");
    if (v->url && v->method >= METHOD_LOGITS) FAIL(SLM_E_USAGE, SLM_NOWHERE, "option \"--method\": logits need the teacher's file, a URL gives text");
    if (!v->student && v->url && !v->tokenizer) FAIL(SLM_E_USAGE, SLM_NOWHERE, "option \"--tokenizer\": is missing; a new student of a teacher behind a URL needs a vocabulary");
    const char *const names[] = {"answers.jsonl", "answers.sqlite", "teacher.kd"};
    char *const paths[] = {d->answers, d->cache, d->logits};
    for (int i = 0; i < 3; i++)
        if (snprintf(paths[i], sizeof d->answers, "%s/%s", v->teach.out, names[i]) >= (int)sizeof d->answers)
            FAIL(SLM_E_USAGE, SLM_NOWHERE, "folder \"%s\": its name is too long", show_path(v->teach.out).s);
    if (mkdir(v->teach.out, 0777) != 0 && errno != EEXIST) FAIL(SLM_E_IO, SLM_NOWHERE, "folder \"%s\": %s", show_path(v->teach.out).s, strerror(errno));
out:
    return st;
}

/* The student: a file, or new with the teacher's vocabulary or another's. */
static slm_status open_student(struct distill *d, slm_err *err) {
    const struct distill_values *v = d->v;
    slm_status st = SLM_OK;
    struct gguf *g = NULL;
    struct fresh_params p = {.n_ctx = (uint32_t)v->teach.ctx, .seed = v->teach.seed.value, .name = v->name};
    if (v->student) return model_open(v->student, 0, &d->student, err);
    const struct fresh_preset *preset = fresh_preset_find(v->preset);
    if (!preset) FAIL(SLM_E_USAGE, SLM_NOWHERE, "preset \"%s\": unknown", show_cstr(v->preset).s);
    p.shape = preset->shape;
    if (v->arch) TRY(fresh_shape_parse(v->arch, &p.shape, err));
    TRY(gguf_open(v->tokenizer ? v->tokenizer : v->teacher, &g, err));
    p.tok_file = g;
    TRY(fresh_create(&p, &d->student, err));
out:
    gguf_close(g);
    return st;
}

static slm_status open_models(struct distill *d, slm_err *err) {
    slm_status st = SLM_OK;
    uint32_t n_common;
    if (d->v->teacher) TRY(model_open(d->v->teacher, 0, &d->teacher, err));
    if (d->teacher && d->teacher->chat_template.len)
        TRY(chat_template_create(&(struct chat_template_source){.text = d->teacher->chat_template, .text_tools = d->teacher->chat_template_tools, .tok = d->teacher->tok},
                                 &d->teacher_tmpl, err));
    TRY(open_student(d, err));
    if (!d->teacher || d->v->method == METHOD_SEQ) goto out;
    st = vocab_match(d->teacher->tok, d->student->tok, &n_common, err);
    d->use_logits = st == SLM_OK;
    if (d->use_logits || d->v->method >= METHOD_LOGITS) goto out;
    say_note("%s; the student learns from the teacher's text", err ? err->msg : "");
    err_clear(err);
    st = SLM_OK;
out:
    return st;
}

/* Answers */

static void show_answers(void *user, uint64_t n_done, uint64_t n_token) {
    char note[80];
    snprintf(note, sizeof note, "%llu prompts, %llu tokens", (unsigned long long)n_done, (unsigned long long)n_token);
    progress_show(user, 0, note);
}

static void say_retry(void *user, const char *why, double pause_s) {
    (void)user;
    say_note("teacher: %s; again in %.1f s", why, pause_s);
}

static void say_answers(const struct teacher_pool_stats *s) {
    fprintf(stderr, "answers: %llu prompts, %llu kept, %llu twice; %llu asked, %llu of them known; %llu + %llu tokens\n", (unsigned long long)s->n_row, (unsigned long long)s->n_kept,
            (unsigned long long)s->n_duplicate, (unsigned long long)s->n_asked, (unsigned long long)s->n_cached, (unsigned long long)s->n_prompt_tokens,
            (unsigned long long)s->n_completion_tokens);
    uint64_t n_dropped = s->n_dropped_len + s->n_dropped_json + s->n_dropped_label + s->n_dropped_agree + s->n_dropped_logprob + s->n_dropped_cut;
    if (n_dropped)
        fprintf(stderr, "dropped: %llu cut or empty, %llu by length, %llu by JSON, %llu no label, %llu without agreement, %llu by probability\n", (unsigned long long)s->n_dropped_cut,
                (unsigned long long)s->n_dropped_len, (unsigned long long)s->n_dropped_json, (unsigned long long)s->n_dropped_label, (unsigned long long)s->n_dropped_agree,
                (unsigned long long)s->n_dropped_logprob);
    if (s->budget_ended) say_note("the teacher's budget is spent: the answers so far are learnt");
}

static slm_status read_key(struct distill *d, slm_err *err) {
    buf_init(&d->key, 4096);
    if (!d->v->key_file) return SLM_OK;
    slm_status st = file_read(&d->key, d->v->key_file, err);
    while (st == SLM_OK && d->key.len && strchr(" \r\n\t", d->key.data[d->key.len - 1])) d->key.data[--d->key.len] = 0;
    return st;
}

static slm_status make_answers(struct distill *d, slm_err *err) {
    const struct distill_values *v = d->v;
    slm_status st = SLM_OK;
    struct teacher *t = NULL;
    struct teacher_pool_stats stats;
    struct teacher_pool_params pool = {.paths = v->prompts.v, .n_paths = v->prompts.n, .out_path = d->answers, .labels_path = v->labels, .dedup = v->dedup,
                                       .progress = show_answers, .user = &d->bar};
    if (!v->prompts.n) return SLM_OK;
    TRY(teacher_filter_parse(v->filter ? v->filter : "", &pool.filter, err));
    TRY(read_key(d, err));
    struct teacher_params p = {.model = d->teacher, .url = v->url, .name = v->teacher_model, .api_key = d->key.len ? d->key.data : NULL, .tmpl = d->teacher_tmpl, .cache_path = d->cache,
                               .system = v->teach.system, .temperature = v->temp, .n_max = v->max_new, .seed = v->teach.seed.value,
                               .session = {.n_ctx = v->teach.ctx + v->max_new, .n_threads = v->teach.threads, .kv_type = KV_TYPE_AUTO}, .timeout_ms = v->timeout * 1000,
                               .requests_per_min = v->rpm, .budget_tokens = (uint64_t)v->budget_tokens, .cancel = &interrupt_flag, .on_retry = say_retry};
    if (v->url) say_note("terms of some providers forbid training other models on what theirs write; models with open weights seldom do");
    TRY(teacher_open(&p, &t, err));
    TRY(teacher_pool(t, &pool, &stats, err));
    progress_end(&d->bar);
    say_answers(&stats);
out:
    teacher_close(t);
    return st;
}

/* Logits */

static void show_share(void *user, double share) { progress_show(user, share, "the teacher's logits"); }

/* Which ids are the labels of --labels, when each is one piece; *n 0: they are not. *out is freed by the caller. */
static slm_status label_ids(const struct distill *d, uint32_t n_vocab, bool **out, uint32_t *n, slm_err *err) {
    slm_status st;
    struct buf text;
    void *mem;
    *n = 0;
    buf_init(&text, 1u << 20);
    TRY(mem_alloc(&mem, n_vocab, sizeof **out, "labels", err));
    *out = mem;
    TRY(file_read(&text, d->v->labels, err));
    for (size_t at = 0; at < text.len;) {
        size_t len = strcspn(text.data + at, "\r\n");
        int32_t id = len ? data_label_piece(d->student->tok, (struct view){text.data + at, len}) : TOK_NONE;
        bool is_piece = id >= 0 && (uint32_t)id < n_vocab;
        at += len + 1;
        if (len && !is_piece) *n = 0;
        if (len && !is_piece) break;
        if (!is_piece || (*out)[id]) continue;
        (*out)[id] = true;
        ++*n;
    }
out:
    buf_fini(&text);
    return st;
}

static slm_status make_logits(struct distill *d, slm_err *err) {
    const struct distill_values *v = d->v;
    slm_status st = SLM_OK;
    uint32_t n_common = 0, n_labels = 0;
    bool *labels = NULL;
    const float temperature[] = {1, v->kd_temp};
    if (!d->use_logits || v->method == METHOD_LIVE) return SLM_OK;
    TRY(vocab_match(d->teacher->tok, d->student->tok, &n_common, err));
    struct kd_write_params p = {.path = d->logits, .k = (uint32_t)v->topk, .temperature = temperature, .n_temperature = v->kd_temp > 1 || v->kd_temp < 1 ? 2 : 1,
                                .teacher_identity = gguf_identity(d->teacher->gguf), .n_vocab = n_common, .n_threads = v->teach.threads, .cancel = &interrupt_flag,
                                .progress = show_share, .user = &d->bar};
    if (p.k > n_common) p.k = n_common;
    if (v->labels) TRY(label_ids(d, n_common, &labels, &n_labels, err));
    if (n_labels) {
        p.labels = labels;
        if (p.k > n_labels) p.k = n_labels;
        p.teacher_identity = hash_bytes(p.teacher_identity, labels, n_common * sizeof *labels);
    }
    if (kd_cache_open(d->logits, &d->kd, NULL) == SLM_OK) { /* the same teacher over the same data */
        bool fits = kd_cache_check(&d->kd, d->teach.train, 0, 0, NULL) == SLM_OK && d->kd.h.teacher_identity == p.teacher_identity && d->kd.h.k == p.k &&
                    kd_cache_temperature(&d->kd, v->kd_temp) >= 0;
        if (fits) goto out;
        kd_cache_close(&d->kd);
    }
    progress_begin(&d->bar);
    TRY(kd_cache_write(d->teacher, d->teach.train, &p, err));
    progress_end(&d->bar);
    TRY(kd_cache_open(d->logits, &d->kd, err));
    fprintf(stderr, "logits: %llu rows of the %u best%s, %.1f MB\n", (unsigned long long)d->kd.h.n_row, d->kd.h.k, n_labels ? " labels" : "",
            (double)d->kd.map.size / 1048576);
out:
    free(labels);
    return st;
}

/* The source's sequences before a teacher that runs beside the student. */
static slm_status add_live_teacher(struct distill *d, slm_err *err) {
    const struct distill_values *v = d->v;
    slm_status st = SLM_OK;
    struct train_source live;
    struct live_teacher_params p = {.teacher = d->teacher, .student = d->trainee, .inner = &d->inner, .k = (uint32_t)v->topk, .on_policy = v->on_policy, .sample_temp = 1,
                                    .seed = d->teach.seed, .n_threads = v->teach.threads, .cancel = &interrupt_flag};
    p.kd = (struct kd_loss){.tail = (enum train_tail)v->tail, .temperature = v->kd_temp, .alpha = v->kd_alpha, .beta = v->kd_beta, .keep_targets = true};
    TRY(vocab_match(d->teacher->tok, d->student->tok, &p.n_vocab, err));
    if (p.k > p.n_vocab) p.k = p.n_vocab;
    d->inner = d->teach.source;
    TRY(live_teacher_create(&p, &live, err));
    d->teach.source = live;
    return SLM_OK;
out:
    d->inner = (struct train_source){0};
    return st;
}

static slm_status train_student(struct distill *d, slm_err *err) {
    const struct distill_values *v = d->v;
    slm_status st = SLM_OK;
    struct trainee_params p = {0};
    struct data_source_params sp = {.side = v->teach.val_split > 0 ? DATA_TRAIN : DATA_ALL, .seed = d->teach.seed, .token_dropout = v->teach.token_dropout};
    if (d->use_logits && v->method != METHOD_LIVE) {
        sp.teacher = &d->kd;
        sp.kd = (struct kd_loss){.tail = (enum train_tail)v->tail, .temperature = v->kd_temp, .alpha = v->kd_alpha, .beta = v->kd_beta, .keep_targets = true,
                                 .answers_path = v->prompts.n ? d->answers : NULL};
    }
    TRY(dataset_source(d->teach.train, &sp, &d->teach.source, err));
    const float kd[] = {v->kd_temp, v->kd_alpha, v->kd_beta, (float)v->tail, (float)d->use_logits};
    d->teach.identity = hash_bytes(HASH_START, kd, sizeof kd);
    teach_plan(&d->teach, &p);
    TRY(trainee_create(d->student, &p, &d->trainee, err));
    if (v->method == METHOD_LIVE) TRY(add_live_teacher(d, err));
    TRY(teach_run(&d->teach, d->trainee, &command_distill.table, v, err));
out:
    return st;
}

static slm_status run_distill(const void *values, slm_err *err) {
    const struct distill_values *v = values;
    slm_status st;
    struct distill d = {.v = v};
    slm_err own;
    if (!err) err = &own;
    interrupt_catch();
    progress_begin(&d.bar);
    TRY(check_values(&d, err));
    TRY(open_models(&d, err));
    TRY(make_answers(&d, err));
    if (v->stop_after == 1) goto out;
    d.teach_values = v->teach;
    if (v->prompts.n) {
        if (d.teach_values.data.n == OPTION_TEXTS_MAX) FAIL(SLM_E_USAGE, SLM_NOWHERE, "option \"--data\": given too often");
        d.teach_values.data.v[d.teach_values.data.n++] = d.answers;
    }
    TRY(teach_begin(&d.teach, &d.teach_values, d.student->tok, d.student->chat_template, err));
    TRY(make_logits(&d, err));
    if (v->stop_after != 2) TRY(train_student(&d, err));
out:
    progress_end(&d.bar);
    if (d.inner.ctx) {
        live_teacher_destroy(&d.teach.source);
        d.teach.source = d.inner;
    }
    teach_end(&d.teach);
    kd_cache_close(&d.kd);
    trainee_destroy(d.trainee);
    model_close(d.student);
    chat_template_destroy(d.teacher_tmpl);
    model_close(d.teacher);
    buf_fini(&d.key);
    return st;
}

#define AT(member) .offset = offsetof(struct distill_values, member), .since = "0.1"
static const struct option options[] = {
    {.kind = OPT_FILE, .name = "teacher", .value = "FILE", AT(teacher), .bars = "teacher-url", .help = "the model to learn from, a GGUF file or Hugging Face folder"},
    {.kind = OPT_TEXT, .name = "teacher-url", .value = "URL", AT(url), .help = "or an OpenAI-style interface, up to and with /v1"},
    {.kind = OPT_TEXT, .name = "teacher-model", .value = "NAME", AT(teacher_model), .needs = "teacher-url", .help = "the model's name there"},
    {.kind = OPT_FILE, .name = "api-key-file", .value = "FILE", AT(key_file), .needs = "teacher-url", .help = "a file with the key for it"},
    {.kind = OPT_TEXTS, .name = "prompts", .value = "FILE", AT(prompts),
     .help = "prompts for the teacher to answer: rows of any form, whose own answers are not looked at"},
    {.kind = OPT_TEXTS, .name = "data", .value = "FILE", .offset = offsetof(struct distill_values, teach.data), .since = "0.1", .help = "labelled examples that are learnt too"},
    {.kind = OPT_FOLDER, .letter = 'o', .name = "out", .value = "FOLDER", .flags = OPTION_REQUIRED, .offset = offsetof(struct distill_values, teach.out), .since = "0.1",
     .help = "the run's folder: answers.jsonl, answers.sqlite, teacher.kd, and what slm train writes"},
    {.kind = OPT_TEXTS, .name = "eval-data", .value = "FILE", .offset = offsetof(struct distill_values, teach.eval_data), .since = "0.1",
     .help = "examples to evaluate on; what is in the data too is an error"},
    TEACH_ROW_IF(struct distill_values, OPT_FLOAT, "val-split", "SHARE", "0", 0, 0.9, val_split, NULL, "eval-data", "share of the rows that is kept for evaluation instead"),
    TEACH_ROW(struct distill_values, OPT_TEXT, "system", "TEXT", NULL, 0, 0, system, "system turn of chats that have none, for teacher and student"),
    TEACH_FLAG(struct distill_values, "skip-bad", skip_bad, "leave bad rows out instead of stopping at the first"),
    TEACH_FLAG(struct distill_values, "allow-leak", allow_leak, "go on when rows of --eval-data are in the data"),
    OPTION_CONFIG_FILE(struct distill_values),
    OPTION_SECTION("answers"),
    {.kind = OPT_CHOICE, .name = "method", .value = "NAME", .fallback = "auto", .choices = "auto|seq|logits|live", AT(method),
     .help = "seq: learn the teacher's text; logits: also how likely it found every token, kept in a file; live: the same from a teacher that runs beside the student; auto: logits when both have one vocabulary"},
    {.kind = OPT_FILE, .name = "labels", .value = "FILE", AT(labels), .help = "labels, one a line: the teacher picks one for each prompt; a model of yours scores them exactly"},
    {.kind = OPT_TEXT, .name = "filter", .value = "LIST", AT(filter), .needs = "prompts", .help = "answers to keep, any of these joined by commas: len:1-500 json label agree:2/3 minlogprob:-1.5 minconf:0.5"},
    {.kind = OPT_FLOAT, .name = "temp", .value = "T", .fallback = "0", .min = 0, .max = 10, AT(temp), .needs = "prompts", .help = "temperature of the answers; 0: greedy"},
    {.kind = OPT_INT, .name = "max-new", .value = "N", .fallback = "256", .min = 1, .max = 65536, AT(max_new), .needs = "prompts", .help = "tokens of an answer at most; longer ones are dropped"},
    {.kind = OPT_FLAG, .name = "dedup", AT(dedup), .needs = "prompts", .help = "leave out prompts that came before"},
    {.kind = OPT_INT, .name = "budget-tokens", .value = "N", .fallback = "0", .min = 0, .max = 2147483647, AT(budget_tokens), .needs = "prompts", .help = "tokens to spend on answers at most; 0: any"},
    {.kind = OPT_INT, .name = "rpm", .value = "N", .fallback = "0", .min = 0, .max = 1000000, AT(rpm), .needs = "teacher-url", .help = "requests a minute at most; 0: any"},
    {.kind = OPT_INT, .name = "timeout", .value = "SECONDS", .fallback = "120", .min = 1, .max = 3600, AT(timeout), .needs = "teacher-url", .help = "how long one request may take"},
    OPTION_SECTION("logits"),
    {.kind = OPT_INT, .name = "topk", .value = "K", .fallback = "16", .min = 1, .max = 1024, AT(topk), .bars = "teacher-url|method=seq", .help = "how many of the teacher's likeliest tokens are kept"},
    {.kind = OPT_CHOICE, .name = "tail", .value = "MODE", .fallback = "bucket", .choices = "bucket|none|zero", AT(tail), .bars = "teacher-url|method=seq", .help = "the rest of its probability: one more class, left out, or nothing"},
    {.kind = OPT_FLOAT, .name = "kd-temp", .value = "T", .fallback = "1", .min = 0.05, .max = 100, AT(kd_temp), .bars = "teacher-url|method=seq", .help = "temperature of both distributions; the loss is multiplied by its square"},
    {.kind = OPT_FLOAT, .name = "kd-alpha", .value = "A", .fallback = "0.5", .min = 0, .max = 1, AT(kd_alpha), .bars = "teacher-url|method=seq", .help = "the teacher's share of the loss on labelled rows; on its own answers it is all"},
    {.kind = OPT_FLOAT, .name = "kd-beta", .value = "B", .fallback = "0", .min = 0, .max = 1, AT(kd_beta), .bars = "teacher-url|method=seq", .help = "divergence: 0 KL(teacher || student), 1 the other way, between: Jensen-Shannon"},
    {.kind = OPT_FLOAT, .name = "on-policy", .value = "SHARE", .fallback = "0", .min = 0, .max = 1, AT(on_policy),
     .needs = "method=live", .help = "with --method live: share of the sequences whose answers the student writes itself, for the teacher to judge"},
    {.kind = OPT_CHOICE, .name = "stop-after", .value = "STEP", .fallback = "end", .choices = "end|answers|logits", AT(stop_after), .help = "do the first steps only"},
    OPTION_SECTION("student"),
    {.kind = OPT_FILE, .letter = 'm', .name = "student", .value = "FILE", AT(student), .bars = "preset|arch|tokenizer|name", .help = "a model that learns on; without it a new one"},
    {.kind = OPT_TEXT, .name = "preset", .value = "NAME", .fallback = "1m", AT(preset), .help = "size of a new one: 1m, 3m, 5m, 8m, 15m, 40m or 125m parameters, about"},
    {.kind = OPT_TEXT, .name = "arch", .value = "SHAPE", AT(arch), .help = "another size: d=256,L=6,H=8,KV=4,ff=768"},
    {.kind = OPT_FILE, .name = "tokenizer", .value = "FILE", AT(tokenizer), .help = "a GGUF file whose vocabulary and template a new one takes; default: the teacher's"},
    {.kind = OPT_TEXT, .name = "name", .value = "TEXT", AT(name), .help = "the model's name in its file"},
    {.kind = OPT_TEXT, .name = "type", .value = "TYPE", .fallback = "F32", .offset = offsetof(struct distill_values, teach.type), .since = "0.1", .help = "tensor types of model.gguf"},
    OPTION_SECTION("training"),
    TEACH_RUN_ROWS(struct distill_values, "1e-3", "0.1", "512", "10"),
};
static const struct example examples[] = {
    {"slm distill --teacher big.gguf --prompts pool.jsonl --data few.csv --labels labels.txt --preset 1m --out run", "a classifier of a million parameters from a few labels and a pool of texts"},
    {"slm distill --teacher-url https://host/v1 --teacher-model big --api-key-file key --prompts pool.jsonl --student small.gguf --filter json,agree:2/3 --temp 0.7 --out run",
     "from a model behind an interface; answers that two of three samples agree on"},
};
const struct command command_distill = {
    .group = "teach",
    .summary = "let a small model learn from a larger one",
    .description = "The teacher answers a pool of prompts, the student learns the answers, beside labelled examples when there are any. With one vocabulary the student also "
                   "learns how likely the teacher found every token: the --topk likeliest and the mass of the rest, kept in a file that is bound to data and teacher.\n\n"
                   "What a teacher behind a URL was paid for is kept in answers.sqlite and never asked again; the same command goes on where it ended.",
    .table = {"distill", ROWS(options), NULL, 0},
    .values_bytes = sizeof(struct distill_values),
    .examples = examples,
    .n_examples = sizeof examples / sizeof examples[0],
    .run = run_distill,
};
