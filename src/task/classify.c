/* classify.c -- labels by a head or by a model's own words.
 *
 * The prior is the mean log-probability behind three texts that say nothing (Zhao et al. 2021, "Calibrate before use"; per label and so
 * also per length). Tried against it: dividing by the number of tokens, which favours long labels whose ends are forced. */
#include "task/classify.h"

#include <stdlib.h>
#include <string.h>

#include "base/show.h"
#include "engine/label_tree.h"
#include "task/bind.h"

struct classifier {
    struct worker *worker;
    const struct head *head;
    struct head_scratch scratch;
    float *state;               /* [d_model] of the head's model */
    char **labels;              /* [n_label]; owned without a head */
    size_t n_label;
    char *system, *form;
    const char *opening;
    struct buf listed, filled;
    struct label_tree *tree;
    struct tok_ids ids;
    double *score, *prior;      /* [n_label] */
    float *probs;
    uint64_t identity;
};

void classifier_destroy(struct classifier *c) {
    if (!c) return;
    for (size_t i = 0; !c->head && c->labels && i < c->n_label; i++) free(c->labels[i]);
    if (!c->head) free(c->labels);
    head_scratch_fini(&c->scratch);
    label_tree_destroy(c->tree);
    tok_ids_fini(&c->ids);
    buf_fini(&c->listed);
    buf_fini(&c->filled);
    free(c->state);
    free(c->system);
    free(c->form);
    free(c->score);
    free(c->prior);
    free(c->probs);
    free(c);
}

size_t classifier_n_label(const struct classifier *c) { return c->n_label; }
const char *classifier_label(const struct classifier *c, size_t i) { return c->labels[i]; }
uint64_t classifier_identity(const struct classifier *c) { return c->identity; }

static const char *wording_of(const struct classifier_params *p, size_t i) { return p->wordings && p->wordings[i] ? p->wordings[i] : p->labels[i]; }

static slm_status copy_text(char **out, const char *text, slm_err *err) {
    *out = strdup(text);
    return *out ? SLM_OK : err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "classifier: out of memory");
}

/* The labels as answers, in the words of `answer`. */
static slm_status make_tree(struct classifier *c, const struct classifier_params *p, slm_err *err) {
    slm_status st = SLM_OK;
    void *mem = NULL;
    struct tok_ids *ids = NULL;
    struct buf text;
    const struct tok_config *tc = tok_config_of(c->worker->model->tok);
    buf_init(&text, PROMPT_BYTES_MAX);
    TRY(mem_alloc(&mem, c->n_label, sizeof *ids, "labels", err));
    ids = mem;
    for (size_t i = 0; i < c->n_label; i++) {
        struct prompt_value value = {"label", view_of(wording_of(p, i))};
        buf_clear(&text);
        TRY(prompt_fill(p->answer ? p->answer : "{label}", &value, 1, "label", &text, err));
        TRY(worker_answer_ids(c->worker, (struct view){text.data, text.len}, &ids[i], err));
    }
    TRY(label_tree_create(ids, (const char *const *)c->labels, c->n_label, c->worker->tmpl && tc->eot != TOK_NONE ? tc->eot : tc->eos, &c->tree, err));
out:
    for (size_t i = 0; ids && i < c->n_label; i++) tok_ids_fini(&ids[i]);
    free(ids);
    buf_fini(&text);
    return st;
}

/* score [n_label] of a text by the model's own words, less the prior. */
static slm_status score_text(struct classifier *c, struct view text, double prune, double *best, slm_err *err) {
    const struct prompt_value values[] = {{"text", text}, {"labels", {c->listed.data ? c->listed.data : "", c->listed.len}}};
    buf_clear(&c->filled);
    slm_status st = prompt_fill(c->form, values, 2, "text", &c->filled, err);
    if (st == SLM_OK) st = worker_prompt(c->worker, c->system, (struct view){c->filled.data, c->filled.len}, c->opening, &c->ids, err);
    return st == SLM_OK ? label_tree_score(c->tree, c->worker->session, &c->ids, c->prior, prune, c->score, best, err) : st;
}

#define PRUNE_NATS 30.0

static slm_status not_finite(const char *label, slm_err *err) {
    err_set(err, SLM_E_FAILED, SLM_NOWHERE, "label \"%s\": the model's probability of it is no number", show_cstr(label).s);
    err_hint(err, "the model's file may be damaged; slm perplexity tells");
    return SLM_E_FAILED;
}

static slm_status measure_prior(struct classifier *c, slm_err *err) {
    static const char *const empty[] = {"N/A", "...", "[MASK]"};
    const size_t n = sizeof empty / sizeof empty[0];
    void *mem = NULL;
    double best;
    slm_status st = mem_alloc(&mem, c->n_label, sizeof(double), "labels", err);
    double *prior = mem;
    for (size_t k = 0; k < n && st == SLM_OK; k++) {
        st = score_text(c, view_of(empty[k]), INFINITY, &best, err);
        for (size_t i = 0; i < c->n_label && st == SLM_OK; i++) prior[i] += c->score[i] / (double)n;
    }
    for (size_t i = 0; i < c->n_label && st == SLM_OK; i++)
        if (!isfinite(prior[i])) st = not_finite(c->labels[i], err);
    if (st == SLM_OK) memcpy(c->prior, prior, c->n_label * sizeof *prior);
    free(prior);
    return st;
}

/* All that shapes the answers: the words around a text and a label, whether a template puts them into turns, labels with what is written for them. */
static slm_status bind_words(struct classifier *c, const struct classifier_params *p, slm_err *err) {
    const char *const fixed[] = {c->system, c->opening, p->answer, c->worker->tmpl ? "template" : "plain", p->no_prior ? "no prior" : "prior"};
    const size_t n_fixed = sizeof fixed / sizeof fixed[0];
    void *mem = NULL;
    slm_status st = mem_alloc(&mem, n_fixed + 2 * c->n_label, sizeof(char *), "labels", err);
    if (st != SLM_OK) return st;
    const char **parts = mem;
    memcpy((void *)parts, fixed, sizeof fixed);
    for (size_t i = 0; i < c->n_label; i++) {
        parts[n_fixed + 2 * i] = c->labels[i];
        parts[n_fixed + 2 * i + 1] = wording_of(p, i);
    }
    c->identity = bind_texts(c->form, parts, n_fixed + 2 * c->n_label);
    free(mem);
    return SLM_OK;
}

static slm_status open_words(struct classifier *c, const struct classifier_params *p, slm_err *err) {
    slm_status st = SLM_OK;
    void *mem = NULL;
    const struct prompt_row *row = prompt_find(p->n_label > CLASSIFY_LISTED_MAX ? "classify-many" : "classify");
    if (p->n_label < 2) FAIL(SLM_E_USAGE, SLM_NOWHERE, "labels: %zu, at least two are needed", p->n_label);
    if (p->n_label > SOFTMAX_N_LABEL_MAX) FAIL(SLM_E_LIMIT, SLM_NOWHERE, "labels: %zu, the limit is %u", p->n_label, SOFTMAX_N_LABEL_MAX);
    if (!p->worker) FAIL(SLM_E_USAGE, SLM_NOWHERE, "labels without a head: need a model to read them");
    if (p->worker->model->hp.bidirectional) FAIL(SLM_E_UNSUPPORTED, SLM_NOWHERE, "labels without a head: the model is an encoder and writes nothing; fit a head on it");
    TRY(mem_alloc(&mem, p->n_label, sizeof *c->labels, "labels", err));
    c->labels = mem;
    c->n_label = p->n_label;
    for (size_t i = 0; i < p->n_label; i++) {
        TRY(copy_text(&c->labels[i], p->labels[i], err));
        buf_printf(&c->listed, "%s%s", i ? ", " : "", wording_of(p, i));
    }
    if (p->system || row->system) TRY(copy_text(&c->system, p->system ? p->system : row->system, err));
    TRY(copy_text(&c->form, p->form ? p->form : row->form, err));
    c->opening = row->opening;
    TRY(mem_alloc(&mem, p->n_label, sizeof *c->score, "labels", err));
    c->score = mem;
    TRY(mem_alloc(&mem, p->n_label, sizeof *c->prior, "labels", err));
    c->prior = mem;
    TRY(make_tree(c, p, err));
    if (!p->no_prior) TRY(measure_prior(c, err));
    TRY(bind_words(c, p, err));
out:
    return st;
}

static slm_status open_head(struct classifier *c, const struct classifier_params *p, slm_err *err) {
    slm_status st = SLM_OK;
    void *mem = NULL;
    TRY(head_check(p->head, p->worker ? p->worker->model->gguf : NULL, err));
    c->head = p->head;
    c->labels = p->head->labels;
    c->n_label = p->head->n_label;
    if (head_needs_model(p->head->kind)) {
        if (p->head->d != p->worker->model->hp.d_model) FAIL(SLM_E_FORMAT, SLM_NOWHERE, "head: states of %u dimensions, the model has %u", p->head->d, p->worker->model->hp.d_model);
        TRY(mem_alloc(&mem, p->head->d, sizeof *c->state, "state", err));
        c->state = mem;
    }
    c->identity = bind_texts(p->head->form, (const char *const *)c->labels, c->n_label);
    c->identity = hash_bytes(c->identity, p->head->softmax.weight, (size_t)p->head->softmax.n_feature * c->n_label * sizeof(float));
out:
    return st;
}

slm_status classifier_create(const struct classifier_params *p, struct classifier **out, slm_err *err) {
    slm_status st = SLM_OK;
    void *mem = NULL;
    *out = NULL;
    TRY(mem_alloc(&mem, 1, sizeof **out, "classifier", err));
    struct classifier *c = *out = mem;
    c->worker = p->worker;
    head_scratch_init(&c->scratch);
    buf_init(&c->listed, PROMPT_BYTES_MAX);
    buf_init(&c->filled, PROMPT_BYTES_MAX);
    TRY(p->head ? open_head(c, p, err) : open_words(c, p, err));
    TRY(mem_alloc(&mem, c->n_label, sizeof *c->probs, "labels", err));
    c->probs = mem;
out:
    if (st != SLM_OK) {
        classifier_destroy(*out);
        *out = NULL;
    }
    return st;
}

/* Best, second, entropy. */
static void measure_probs(const struct classifier *c, struct classification *out) {
    double best = -1, second = 0, entropy = 0;
    for (size_t i = 0; i < c->n_label; i++) {
        double p = (double)c->probs[i];
        if (p > best) second = best < 0 ? 0 : best, best = p, out->label = i;
        else if (p > second) second = p;
        if (p > 0) entropy -= p * log(p);
    }
    out->signals.v[SIGNAL_CONFIDENCE] = best;
    out->signals.v[SIGNAL_MARGIN] = best - second;
    out->signals.v[SIGNAL_ENTROPY] = entropy;
}

static slm_status run_words(struct classifier *c, struct view text, struct classification *out, slm_err *err) {
    double best, sum = 0, mass = 0, most = -INFINITY;
    slm_status st = score_text(c, text, PRUNE_NATS, &best, err);
    if (st != SLM_OK) return st;
    for (size_t i = 0; i < c->n_label; i++) {
        if (!isfinite(best) || isnan(c->score[i])) return not_finite(c->labels[i], err);
        if (c->score[i] + c->prior[i] > most) most = c->score[i] + c->prior[i];
    }
    for (size_t i = 0; i < c->n_label; i++) sum += exp(c->score[i] - best), mass += exp(c->score[i] + c->prior[i] - most);
    for (size_t i = 0; i < c->n_label; i++) c->probs[i] = (float)(exp(c->score[i] - best) / sum);
    out->signals.v[SIGNAL_MASS] = most + log(mass); /* each may be less than exp tells from 0 */
    out->n_token = c->ids.n;
    return SLM_OK;
}

slm_status classifier_run(struct classifier *c, struct view text, struct classification *out, slm_err *err) {
    slm_status st = SLM_OK;
    *out = (struct classification){.probs = c->probs};
    signals_init(&out->signals);
    if (c->head) {
        double novelty;
        if (c->state) TRY(worker_state(c->worker, c->head->form, text, c->head->pooling, c->state, &out->n_token, err));
        TRY(head_score(c->head, &c->scratch, text, c->state, c->probs, &novelty, err));
        out->signals.v[SIGNAL_NOVELTY] = novelty;
    } else TRY(run_words(c, text, out, err));
    measure_probs(c, out);
    out->signals.v[SIGNAL_LENGTH] = log(1 + (double)(out->n_token ? out->n_token : text.len));
out:
    return st;
}
