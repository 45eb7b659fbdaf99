/* cmd_train.c -- slm train: a model from nothing but text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/show.h"
#include "cli/commands.h"
#include "cli/teach.h"
#include "cli/term.h"
#include "text/bpe_train.h"
#include "train/fresh.h"
#include "train/ranks.h"

#define TOKENIZER_NEW "new"

struct train_values {
    struct common_values common;
    struct teach_values teach;
    const char *config, *preset, *arch, *tokenizer, *name;
    bool untied, label_pieces;
};

/* "new", "new:4096", or a file. */
static slm_status new_vocab_size(const struct train_values *v, uint32_t preset_size, uint32_t *out, slm_err *err) {
    const char *size = strchr(v->tokenizer, ':');
    char *end = NULL;
    *out = preset_size;
    if (!size) return SLM_OK;
    unsigned long n = strtoul(size + 1, &end, 10);
    *out = (uint32_t)n;
    if (*end == 0 && n >= 300 && n <= BPE_N_VOCAB_MAX) return SLM_OK;
    return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "tokenizer \"%s\": a new one has 300 to %u pieces", show_cstr(v->tokenizer).s, BPE_N_VOCAB_MAX);
}

static slm_status shape_of(const struct train_values *v, struct fresh_shape *shape, uint32_t *n_vocab, slm_err *err) {
    const struct fresh_preset *preset = fresh_preset_find(v->preset);
    if (!preset) {
        err_set(err, SLM_E_USAGE, SLM_NOWHERE, "preset \"%s\": unknown", show_cstr(v->preset).s);
        err_hint(err, "there are 1m, 3m, 5m, 8m, 15m, 40m and 125m; or give --arch d=256,L=6,H=8,KV=4,ff=768");
        return SLM_E_USAGE;
    }
    *shape = preset->shape;
    *n_vocab = preset->n_vocab;
    return v->arch ? fresh_shape_parse(v->arch, shape, err) : SLM_OK;
}

static bool is_new(const struct train_values *v) {
    size_t n = strlen(TOKENIZER_NEW);
    return strncmp(v->tokenizer, TOKENIZER_NEW, n) == 0 && (v->tokenizer[n] == 0 || v->tokenizer[n] == ':');
}

/* A random model with a vocabulary learnt from the data, or that of a file. */
static slm_status make_model(const struct train_values *v, uint64_t seed, struct slm_model **out, slm_err *err) {
    slm_status st = SLM_OK;
    struct bpe_vocab vocab = {0};
    struct gguf *g = NULL;
    struct fresh_params p = {.n_ctx = (uint32_t)v->teach.ctx, .untied = v->untied, .seed = seed, .name = v->name};
    uint32_t n_vocab = 0;
    if (v->label_pieces && !is_new(v)) FAIL(SLM_E_USAGE, SLM_NOWHERE, "option \"--label-pieces\": the vocabulary of \"%s\" is taken as it is", show_path(v->tokenizer).s);
    TRY(shape_of(v, &p.shape, &n_vocab, err));
    if (is_new(v)) {
        struct data_vocab_params d = {.reader = {v->teach.data.v, v->teach.data.n, (enum data_format)v->teach.format, v->teach.doc_sep}, .pre = "gpt-2",
                                      .label_pieces = v->label_pieces, .cancel = &interrupt_flag};
        TRY(new_vocab_size(v, n_vocab, &d.n_vocab, err));
        bool has_chats;
        TRY(data_vocab_train(&d, &vocab, &has_chats, err));
        p.tok = &vocab.config;
        if (has_chats) p.chat_template = view_of(data_default_template); /* one that has read nothing but text only continues it */
        teach_say("vocabulary: %u pieces learnt\n", vocab.config.n_vocab);
    } else {
        TRY(gguf_open(v->tokenizer, &g, err));
        p.tok_file = g;
    }
    TRY(fresh_create(&p, out, err));
out:
    bpe_vocab_fini(&vocab);
    gguf_close(g);
    return st;
}

static slm_status run_train_command(const void *values, slm_err *err);

static const struct option options[] = {
    TEACH_DATA_ROWS(struct train_values),
    OPTION_CONFIG_FILE(struct train_values),
    OPTION_SECTION("model"),
    {.kind = OPT_TEXT, .name = "preset", .value = "NAME", .fallback = "5m", .offset = offsetof(struct train_values, preset), .since = "0.1",
     .help = "size: 1m, 3m, 5m, 8m, 15m, 40m or 125m parameters, about"},
    {.kind = OPT_TEXT, .name = "arch", .value = "SHAPE", .offset = offsetof(struct train_values, arch), .since = "0.1",
     .help = "another size: d=256,L=6,H=8,KV=4,ff=768 (width, layers, heads, KV heads, feed-forward)"},
    {.kind = OPT_TEXT, .name = "tokenizer", .value = "NAME", .fallback = "new", .offset = offsetof(struct train_values, tokenizer), .since = "0.1",
     .help = "new: byte-level BPE learnt from the data, as large as the preset says; new:4096: of that many pieces; or a GGUF file whose vocabulary is taken"},
    {.kind = OPT_FLAG, .name = "label-pieces", .offset = offsetof(struct train_values, label_pieces), .since = "0.1",
     .help = "each label of classify rows becomes one piece of a new vocabulary"},
    {.kind = OPT_FLAG, .name = "untied", .offset = offsetof(struct train_values, untied), .since = "0.1", .help = "an output matrix of its own instead of the embedding's"},
    {.kind = OPT_TEXT, .name = "name", .value = "TEXT", .offset = offsetof(struct train_values, name), .since = "0.1", .help = "the model's name in its file"},
    {.kind = OPT_TEXT, .name = "type", .value = "TYPE", .fallback = "F32", .offset = offsetof(struct train_values, teach.type), .since = "0.1",
     .help = "tensor types of model.gguf, as slm quantize has them: F32, F16, Q8_0, Q4_K_M and so on"},
    OPTION_SECTION("training"),
    TEACH_RUN_ROWS(struct train_values, "1e-3", "0.1", "512", "1"),
};
static const struct example examples[] = {
    {"slm train --data stories.txt --preset 5m --out run", "a model of about 5 million parameters"},
    {"slm train --data stories/ --val-split 0.01 --budget 2h --opt muon --out run", "what two hours give, evaluated on a hundredth"},
    {"slm train --config run/run.yaml --resume", "go on where it was interrupted"},
    {"slm train --data train.csv --label-pieces --preset 1m --epochs 10 --out run", "a classifier: the label is one token"},
};
const struct command command_train = {
    .group = "teach",
    .summary = "train a model from nothing",
    .description = "Learns a vocabulary and a small model of Llama's architecture from texts, chats or labelled rows, and writes a GGUF file that every command and "
                   "every program that reads such files can run.\n\n"
                   "The same options, data and seed give the same bytes for any number of threads and any --mem, also when the run was interrupted and resumed. "
                   "Ctrl-C finishes the step and writes a checkpoint; --resume goes on.",
    .table = {"train", ROWS(options), NULL, 0},
    .values_bytes = sizeof(struct train_values),
    .examples = examples,
    .n_examples = sizeof examples / sizeof examples[0],
    .run = run_train_command,
};

static slm_status run_train_command(const void *values, slm_err *err) {
    const struct train_values *v = values;
    slm_status st = SLM_OK;
    struct slm_model *model = NULL;
    struct trainee *trainee = NULL;
    struct teach teach = {0};
    struct trainee_params p = {0};
    interrupt_catch();
    TRY(ranks_begin(err));
    TRY(make_model(v, v->teach.seed.value, &model, err));
    TRY(teach_begin(&teach, &v->teach, model->tok, model->chat_template, err));
    teach.identity = hash_bytes(HASH_START, v->preset, strlen(v->preset));
    if (v->arch) teach.identity = hash_bytes(teach.identity, v->arch, strlen(v->arch));
    teach_plan(&teach, &p);
    TRY(trainee_create(model, &p, &trainee, err));
    TRY(teach_run(&teach, trainee, &command_train.table, v, err));
out:
    teach_end(&teach);
    trainee_destroy(trainee);
    model_close(model);
    return st;
}
