/* cmd_convert.c -- slm convert: a Hugging Face folder as one GGUF file. */
#include <stdlib.h>
#include <string.h>

#include "base/show.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/rows.h"
#include "cli/term.h"
#include "engine/quantize.h"
#include "model/hf.h"

struct convert_values {
    struct common_values common;
    const char *folder, *output, *type;
    int32_t threads;
    bool json;
};

struct showing {
    struct progress bar;
    const struct gguf *g;
};

static void show_tensor(void *user, size_t i_tensor, uint64_t done_bytes, uint64_t total_bytes) {
    struct showing *s = user;
    progress_show(&s->bar, (double)done_bytes / (double)total_bytes, show_view(gguf_tensor_at(s->g, i_tensor)->name).s);
}

/* What slm quantize would give every tensor. NULL for "auto". */
static slm_status choose_types(const char *name, const struct gguf *g, enum dtype **types, int64_t *file_type, slm_err *err) {
    const struct file_type *type;
    slm_status st = SLM_OK;
    *types = NULL;
    *file_type = -1;
    if (strcmp(name, "auto") == 0) return SLM_OK;
    TRY(file_type_parse(name, &type, err));
    TRY(quant_types(g, type, types, err));
    *file_type = type->gguf_id;
out:
    return st;
}

static slm_status print_result(const struct convert_values *v, const struct hf_write_result *r, slm_err *err) {
    if (v->json)
        return out_json(json_pack("{s:o, s:s, s:s, s:I, s:I, s:I}", "output", json_text(view_of(v->output)), "architecture", r->arch, "type",
                                  dtype_get(r->type)->name, "n_tensors", (json_int_t)r->n_tensor, "n_params", (json_int_t)r->n_param, "weight_bytes",
                                  (json_int_t)r->bytes),
                        err);
    struct buf size;
    buf_init(&size, 64);
    buf_put_bytes(&size, r->bytes);
    say_note("\"%s\": %s, %llu tensors of %llu weights, mostly %s, %s", show_path(v->output).s, r->arch, (unsigned long long)r->n_tensor,
             (unsigned long long)r->n_param, dtype_get(r->type)->name, size.data ? size.data : "");
    buf_fini(&size);
    return SLM_OK;
}

static slm_status check_paths(const struct convert_values *v, slm_err *err) {
    if (hf_is_folder(v->output)) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "output \"%s\": it is a folder", show_path(v->output).s);
    if (hf_is_folder(v->folder)) return SLM_OK;
    slm_status st = err_set(err, SLM_E_IO, SLM_NOWHERE, "folder \"%s\": no such folder", show_path(v->folder).s);
    err_hint(err, "give the folder that holds config.json and the safetensors files");
    return st;
}

static slm_status run_convert(const void *values, slm_err *err) {
    const struct convert_values *v = values;
    struct showing showing = {.g = NULL};
    struct hf_write_params p = {.n_threads = v->threads, .on_progress = show_tensor, .user = &showing, .cancel = &interrupt_flag};
    struct hf_write_result result;
    struct hf *h = NULL;
    struct gguf *g = NULL;
    enum dtype *types = NULL;
    const struct file_type *asked;
    slm_status st;
    progress_begin(&showing.bar);
    if (strcmp(v->type, "auto") != 0) TRY(file_type_parse(v->type, &asked, err)); /* before the folder is read */
    TRY(check_paths(v, err));
    TRY(hf_open(v->folder, &h, err));
    TRY(hf_describe(h, &g, err));
    TRY(choose_types(v->type, g, &types, &p.file_type, err));
    p.types = types;
    showing.g = g;
    interrupt_catch();
    TRY(hf_write(h, v->output, &p, &result, err));
    progress_end(&showing.bar);
    TRY(print_result(v, &result, err));
out:
    progress_end(&showing.bar);
    if (st == SLM_E_CANCELLED) err_clear(err);
    free(types);
    gguf_close(g);
    hf_close(h);
    return st;
}

static const struct option options[] = {
    {.kind = OPT_TEXT, .name = "type", .value = "TYPE", .fallback = "auto", .offset = offsetof(struct convert_values, type), .since = "0.1",
     .help = "file type, as slm quantize has them: F16, BF16, Q8_0, Q4_K_M, ...; auto keeps what the folder has. Norms and biases are F32"},
    OPTION_JSON(struct convert_values),
    OPTION_THREADS(struct convert_values),
};
static const struct option operands[] = {
    {.kind = OPT_FOLDER, .name = "HF_DIR", .flags = OPTION_REQUIRED, .offset = offsetof(struct convert_values, folder), .since = "0.1",
     .help = "a Hugging Face folder: config.json, safetensors, tokenizer files"},
    {.kind = OPT_FILE, .name = "OUT.gguf", .flags = OPTION_REQUIRED, .offset = offsetof(struct convert_values, output), .since = "0.1",
     .help = "the file to write; it appears whole or not at all"},
};
static const struct example examples[] = {
    {"slm convert Llama-3.2-1B-Instruct llama.gguf", "the weights as they are, usually bf16"},
    {"slm convert Qwen3-0.6B qwen3.gguf --type Q4_K_M", "quantized in the same pass"},
    {"slm run -m Qwen3-0.6B", "no file at all: the folder itself is a model"},
};
const struct command command_convert = {
    .group = "shrink",
    .summary = "write a Hugging Face folder as one GGUF file",
    .description = "Reads config.json, safetensors and tokenizer files and writes the GGUF file that other engines read too. The whole model is checked "
                   "before the first byte is written; weights pass through in pieces, so memory does not grow with the model. What a folder asks "
                   "for and slm does not compute is refused by name.",
    .table = {"convert", ROWS(options), ROWS(operands)},
    .values_bytes = sizeof(struct convert_values),
    .examples = examples,
    .n_examples = sizeof examples / sizeof examples[0],
    .is_common = true,
    .run = run_convert,
};
