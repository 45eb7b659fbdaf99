/* cmd_finetune.c -- slm finetune: a model learns a job, whole or by adapters. */
#include <stdio.h>
#include <string.h>

#include "base/nearest.h"
#include "base/show.h"
#include "cli/commands.h"
#include "cli/teach.h"
#include "cli/term.h"
#include "train/adapter.h"
#include "train/ranks.h"

enum mode { MODE_LORA, MODE_FULL };

struct finetune_values {
    struct common_values common;
    struct teach_values teach;
    const char *model, *config, *targets;
    int32_t mode, r;
    float alpha;
    bool rslora;
};

static const struct {
    const char *name;
    unsigned bits;
} target_rows[] = {
    {"all", LORA_ALL}, {"attn", LORA_ATTN}, {"ffn", LORA_GATE | LORA_UP | LORA_DOWN}, {"q", LORA_Q}, {"k", LORA_K}, {"v", LORA_V}, {"o", LORA_O},
    {"gate", LORA_GATE}, {"up", LORA_UP}, {"down", LORA_DOWN},
};
#define N_TARGETS (sizeof target_rows / sizeof target_rows[0])

static slm_status parse_targets(const char *text, unsigned *out, slm_err *err) {
    *out = 0;
    for (const char *s = text; *s; s += *s == ',') {
        size_t n = strcspn(s, ","), i = 0;
        while (i < N_TARGETS && (strlen(target_rows[i].name) != n || strncmp(target_rows[i].name, s, n) != 0)) i++;
        if (i == N_TARGETS) {
            err_set(err, SLM_E_USAGE, SLM_NOWHERE, "targets \"%s\": \"%s\" is unknown", show_cstr(text).s, show_view((struct view){s, n}).s);
            err_hint(err, "all, attn, ffn, or some of q,k,v,o,gate,up,down");
            return SLM_E_USAGE;
        }
        *out |= target_rows[i].bits;
        s += n;
    }
    return *out ? SLM_OK : err_set(err, SLM_E_USAGE, SLM_NOWHERE, "targets \"\": none is named");
}

/* Full training starts from what the file says; rounding errors of quantized matrices would be learnt around, and lost at the next rounding. */
static slm_status check_full(const struct slm_model *m, slm_err *err) {
    for (size_t i = 0; i < gguf_n_tensor(m->gguf); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(m->gguf, i);
        if (dtype_get(t->dtype)->block_elems == 1) continue;
        err_set(err, SLM_E_UNSUPPORTED, SLM_NOWHERE, "\"%s\": full training of a quantized model: tensor \"%.*s\" is %s", gguf_path(m->gguf), VIEW_ARG(t->name),
                dtype_get(t->dtype)->name);
        err_hint(err, "use --mode lora, which leaves the base as it is, or start from the F16 file");
        return SLM_E_UNSUPPORTED;
    }
    return SLM_OK;
}

static slm_status write_adapter(void *user, struct trainee *t, const char *path, slm_err *err) {
    (void)user;
    return adapter_write(t, path, err);
}

static slm_status run_finetune(const void *values, slm_err *err);

static const struct option options[] = {
    OPTION_MODEL(struct finetune_values),
    TEACH_DATA_ROWS(struct finetune_values),
    OPTION_CONFIG_FILE(struct finetune_values),
    OPTION_SECTION("what learns"),
    {.kind = OPT_CHOICE, .name = "mode", .value = "MODE", .fallback = "lora", .choices = "lora|full", .offset = offsetof(struct finetune_values, mode), .since = "0.1",
     .help = "lora: small matrices beside the frozen model, of any tensor types (with quantized ones, QLoRA); full: every parameter, in f32"},
    {.kind = OPT_INT, .name = "lora-r", .value = "N", .fallback = "16", .min = 1, .max = 4096, .offset = offsetof(struct finetune_values, r), .since = "0.1",
     .bars = "mode=full", .help = "width of the adapters"},
    {.kind = OPT_FLOAT, .name = "lora-alpha", .value = "X", .fallback = "32", .min = 0.001, .max = 1e6, .offset = offsetof(struct finetune_values, alpha), .since = "0.1",
     .bars = "mode=full", .help = "what adapters add is multiplied by this over their width"},
    {.kind = OPT_TEXT, .name = "lora-targets", .value = "LIST", .fallback = "all", .offset = offsetof(struct finetune_values, targets), .since = "0.1",
     .bars = "mode=full", .help = "matrices that get one: all, attn, ffn, or some of q,k,v,o,gate,up,down"},
    {.kind = OPT_FLAG, .name = "rslora", .offset = offsetof(struct finetune_values, rslora), .since = "0.1", .bars = "mode=full", .help = "alpha over the square root of the width instead"},
    {.kind = OPT_TEXT, .name = "type", .value = "TYPE", .fallback = "F16", .offset = offsetof(struct finetune_values, teach.type), .since = "0.1",
     .needs = "mode=full", .help = "with --mode full: tensor types of model.gguf"},
    OPTION_SECTION("training"),
    TEACH_RUN_ROWS(struct finetune_values, "0", "0", "1024", "3"),
};
static const struct example examples[] = {
    {"slm finetune -m model-q8_0.gguf --data chats.jsonl --val-split 0.05 --out run", "adapters beside a quantized model"},
    {"slm merge -m model-f16.gguf --adapter run/adapter.gguf tuned.gguf", "then one file of both"},
    {"slm finetune -m small.gguf --mode full --data train.csv --epochs 5 --out run", "every parameter"},
};
const struct command command_finetune = {
    .group = "teach",
    .summary = "teach a model a job from examples",
    .description = "Learns from chats, prompts with completions, texts or labelled rows; the loss is on what the model is to write. By default only adapters learn: the "
                   "model's file is read and never written, whatever its tensor types, and the result is adapter.gguf in the form that llama.cpp reads too. slm merge makes "
                   "one model of both.\n\n"
                   "The default of --lr is 2e-4 for adapters and 2e-5 in full. Architectures that cannot be trained are refused by name.",
    .table = {"finetune", ROWS(options), NULL, 0},
    .values_bytes = sizeof(struct finetune_values),
    .examples = examples,
    .n_examples = sizeof examples / sizeof examples[0],
    .run = run_finetune,
};

static slm_status run_finetune(const void *values, slm_err *err) {
    const struct finetune_values *v = values;
    slm_status st = SLM_OK;
    struct slm_model *model = NULL;
    struct trainee *trainee = NULL;
    struct teach teach = {0};
    struct trainee_params p = {0};
    interrupt_catch();
    TRY(ranks_begin(err));
    TRY(model_open(v->model, 0, &model, err));
    TRY(trainee_supports(model->arch, &model->hp, err));
    if (v->mode == MODE_FULL) TRY(check_full(model, err));
    if (v->mode == MODE_LORA) {
        p.lora = (struct lora_params){.r = v->r, .alpha = v->alpha, .root = v->rslora, .seed = v->teach.seed.value};
        TRY(parse_targets(v->targets, &p.lora.targets, err));
        teach.write_result = write_adapter;
        teach.result = "adapter.gguf";
    }
    teach.lr = v->mode == MODE_LORA ? 2e-4 : 2e-5;
    TRY(teach_begin(&teach, &v->teach, model->tok, model->chat_template, err));
    const double own[] = {(double)gguf_identity(model->gguf), v->mode, v->r, (double)v->alpha, p.lora.targets, v->rslora};
    teach.identity = hash_bytes(HASH_START, own, sizeof own);
    teach_plan(&teach, &p);
    TRY(trainee_create(model, &p, &trainee, err));
    TRY(teach_run(&teach, trainee, &command_finetune.table, v, err));
out:
    teach_end(&teach);
    trainee_destroy(trainee);
    model_close(model);
    return st;
}
