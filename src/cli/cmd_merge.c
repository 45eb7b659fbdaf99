/* cmd_merge.c -- slm merge: a model and its adapter as one file. */
#include <string.h>

#include "base/file.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/rows.h"
#include "cli/term.h"
#include "engine/quantize.h"
#include "train/adapter.h"

struct merge_values {
    struct common_values common;
    const char *model, *adapter, *out, *type;
    float strength;
    int32_t threads;
    bool json;
};

static slm_status run_merge(const void *values, slm_err *err) {
    const struct merge_values *v = values;
    slm_status st = SLM_OK;
    struct gguf *base = NULL, *adapter = NULL, *merged = NULL;
    struct quant_plan plan = {0};
    struct quant_params p = {.requantize = true, .n_threads = v->threads, .cancel = &interrupt_flag};
    TRY(file_type_parse(v->type, &p.type, err));
    TRY(model_open_file(v->model, 0, &base, err));
    TRY(gguf_open(v->adapter, &adapter, err));
    TRY(file_check_output(v->out, err)); /* while both are open, and before the work */
    interrupt_catch();
    TRY(adapter_merge_open(base, adapter, v->strength, v->threads, &merged, err));
    TRY(quant_plan_make(merged, &p, &plan, err));
    TRY(quant_write(&plan, &p, NULL, 0, v->out, err));
    if (v->json) {
        TRY(out_json(json_pack("{s:o, s:s, s:I}", "output", json_text(view_of(v->out)), "type", p.type->name, "bytes", (json_int_t)plan.bytes_to), err));
    } else {
        struct buf text;
        buf_init(&text, 4096);
        buf_printf(&text, "%s: ", v->out);
        buf_put_bytes(&text, plan.bytes_to);
        buf_printf(&text, ", %s\n", p.type->name);
        out_buf(&text);
        buf_fini(&text);
        TRY(out_status(err));
    }
out:
    quant_plan_fini(&plan);
    gguf_close(merged);
    gguf_close(adapter);
    gguf_close(base);
    return st;
}

static const struct option options[] = {
    OPTION_MODEL(struct merge_values),
    {.kind = OPT_FILE, .name = "adapter", .value = "FILE", .flags = OPTION_REQUIRED, .offset = offsetof(struct merge_values, adapter), .since = "0.1",
     .help = "what slm finetune wrote, or another adapter in llama.cpp's form"},
    {.kind = OPT_TEXT, .name = "type", .value = "TYPE", .fallback = "F16", .offset = offsetof(struct merge_values, type), .since = "0.1",
     .help = "tensor types of the result, as slm quantize has them; at 4 bits a weak adapter's changes can be smaller than the rounding"},
    {.kind = OPT_FLOAT, .name = "strength", .value = "X", .fallback = "1", .min = -100, .max = 100, .offset = offsetof(struct merge_values, strength), .since = "0.1",
     .help = "of the adapter; 1: as trained"},
    OPTION_JSON(struct merge_values),
    OPTION_THREADS(struct merge_values),
};
static const struct option operands[] = {
    {.kind = OPT_FILE, .name = "OUT", .flags = OPTION_REQUIRED, .offset = offsetof(struct merge_values, out), .since = "0.1", .help = "the merged model"},
};
static const struct example examples[] = {
    {"slm merge -m model-f16.gguf --adapter run/adapter.gguf tuned.gguf", "16 bits, nothing is lost"},
    {"slm merge -m model-f16.gguf --adapter run/adapter.gguf tuned.gguf --type Q8_0", "smaller"},
};
const struct command command_merge = {
    .group = "teach",
    .summary = "make one model of a model and an adapter",
    .description = "Adds the adapter's products to the matrices that it belongs to and writes the result. Merge into the file with 16-bit weights, also when the adapter "
                   "was trained beside a quantized one.\n\n"
                   "Matrices that the adapter touches are held as f32 meanwhile.",
    .table = {"merge", ROWS(options), ROWS(operands)},
    .values_bytes = sizeof(struct merge_values),
    .examples = examples,
    .n_examples = sizeof examples / sizeof examples[0],
    .run = run_merge,
};
