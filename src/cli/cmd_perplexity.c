/* cmd_perplexity.c -- slm perplexity: how well a model predicts a text, and how far it is from another one. */
#include <stdio.h>

#include "base/json.h"
#include "base/show.h"
#include "cli/commands.h"
#include "cli/input.h"
#include "cli/lora.h"
#include "cli/progress.h"
#include "cli/rows.h"
#include "cli/term.h"
#include "engine/perplexity.h"
#include "train/adapter.h"

struct perplexity_values {
    struct common_values common;
    const char *model, *adapter, *file, *base, *save;
    struct option_texts loras;
    int32_t ctx, chunks, threads, kv;
    bool json;
};

static void show_chunk(void *user, uint32_t i_chunk, uint32_t n_chunk, double perplexity) {
    char note[64];
    snprintf(note, sizeof note, "chunk %u of %u, perplexity %.4f", i_chunk, n_chunk, perplexity);
    progress_show(user, (double)i_chunk / n_chunk, note);
}

static json_t *estimate_json(const struct estimate *e) { return json_pack("[o, o]", json_f64(e->low), json_f64(e->high)); }

static json_t *result_json(const struct perplexity_result *r) {
    json_t *root = json_pack("{s:o, s:o, s:o, s:o, s:I, s:I, s:i, s:i}", "perplexity", json_f64(r->perplexity.value), "perplexity_interval",
                             estimate_json(&r->perplexity), "nll_mean", json_f64(r->nll_mean), "bits_per_byte", json_f64(r->bits_per_byte), "n_token", (json_int_t)r->n_token,
                             "n_scored", (json_int_t)r->n_scored, "n_ctx", (int)r->n_ctx, "n_chunk", (int)r->n_chunk);
    if (!root || !r->has_base) return root;
    json_object_set_new(root, "base_perplexity", json_f64(r->base_perplexity));
    json_object_set_new(root, "kl",
                        json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "mean", json_f64(r->kl.value), "mean_interval", estimate_json(&r->kl), "median", json_f64(r->kl_median), "p90",
                                  json_f64(r->kl_p90), "p99", json_f64(r->kl_p99), "max", json_f64(r->kl_max)));
    json_object_set_new(root, "top1_agreement", json_f64(r->top1_agreement.value));
    json_object_set_new(root, "top1_agreement_interval", estimate_json(&r->top1_agreement));
    return root;
}

static slm_status print_result(const struct perplexity_result *r, bool is_json, slm_err *err) {
    if (is_json) return out_json(result_json(r), err);
    out_printf("perplexity       %.4f  (95 %%: %.4f to %.4f)\n", r->perplexity.value, r->perplexity.low, r->perplexity.high);
    out_printf("bits per byte    %.4f\n", r->bits_per_byte);
    out_printf("scored           %llu tokens in %u chunks of %u\n", (unsigned long long)r->n_scored, r->n_chunk, r->n_ctx);
    if (r->has_base) {
        out_printf("base perplexity  %.4f\n", r->base_perplexity);
        out_printf("KL divergence    mean %.6f  (95 %%: %.6f to %.6f)  median %.6f  90 %% %.6f  99 %% %.6f  max %.6f\n", r->kl.value, r->kl.low, r->kl.high,
                   r->kl_median, r->kl_p90, r->kl_p99, r->kl_max);
        out_printf("same best token  %.2f %%  (95 %%: %.2f to %.2f)\n", 100 * r->top1_agreement.value, 100 * r->top1_agreement.low, 100 * r->top1_agreement.high);
    }
    return out_status(err);
}

static slm_status run_perplexity(const void *values, slm_err *err) {
    const struct perplexity_values *v = values;
    slm_status st = SLM_OK;
    struct slm_model *model = NULL;
    struct buf text;
    struct progress bar;
    struct perplexity_result result;
    struct perplexity_params p = {.n_chunk_max = (uint32_t)v->chunks, .base_path = v->base, .save_path = v->save, .cancel = &interrupt_flag, .progress = show_chunk, .user = &bar};
    p.session = (struct session_params){.n_ctx = v->ctx, .n_threads = v->threads, .kv_type = kv_type_of_choice(v->kv)};
    buf_init(&text, INPUT_BYTES_MAX);
    progress_begin(&bar);
    TRY(input_text(NULL, v->file, &text, err));
    TRY(adapter_open(v->model, v->adapter, v->threads, &model, err));
    TRY(loras_add(model, &v->loras, err));
    interrupt_catch();
    TRY(perplexity_measure(model, &p, (struct view){text.data, text.len}, &result, err));
    progress_end(&bar);
    TRY(print_result(&result, v->json, err));
out:
    progress_end(&bar);
    if (st == SLM_E_CANCELLED) err_clear(err);
    model_close(model);
    buf_fini(&text);
    return st;
}

static const struct option options[] = {
    OPTION_MODEL(struct perplexity_values),
    OPTION_ADAPTER(struct perplexity_values),
    LORA_ROWS(struct perplexity_values),
    OPTION_TEXT_FILE(struct perplexity_values),
    OPTION_TEXT_CTX(struct perplexity_values, "tokens of a chunk; the predictions of its second half are scored"),
    OPTION_TEXT_CHUNKS(struct perplexity_values),
    {.kind = OPT_FILE, .name = "kl", .value = "BASE", .offset = offsetof(struct perplexity_values, base), .since = "0.1",
     .help = "also compare with log-probabilities that --save-logits wrote of another model"},
    {.kind = OPT_FILE, .name = "save-logits", .value = "FILE", .flags = OPTION_WRITTEN, .offset = offsetof(struct perplexity_values, save), .since = "0.1",
     .help = "write this model's log-probabilities, two bytes for each token of the vocabulary at each scored position"},
    OPTION_JSON(struct perplexity_values),
    OPTION_SECTION("engine"),
    OPTION_THREADS(struct perplexity_values),
    OPTION_KV(struct perplexity_values),
};
static const struct example examples[] = {
    {"slm perplexity -m model.gguf -f text.txt", "perplexity with its 95 % interval, bits per byte"},
    {"slm perplexity -m f16.gguf -f text.txt --save-logits base.logp", "keep what the original predicts"},
    {"slm perplexity -m q4.gguf -f text.txt --kl base.logp", "how far the small file is from it"},
};
const struct command command_perplexity = {
    .group = "shrink",
    .summary = "measure how well a model predicts a text",
    .description = "Runs the text in chunks of --ctx tokens, each beginning with the model's BOS token, and scores the predictions of each chunk's second "
                   "half, as llama.cpp counts them. The remainder of the text is left out.\n\n"
                   "With --kl also the Kullback-Leibler divergence of the saved model's predictions to this one's, in nats, and how often both like the same "
                   "token best. Intervals are 95 %.",
    .table = {"perplexity", ROWS(options), NULL, 0},
    .values_bytes = sizeof(struct perplexity_values),
    .examples = examples,
    .n_examples = sizeof examples / sizeof examples[0],
    .run = run_perplexity,
};
