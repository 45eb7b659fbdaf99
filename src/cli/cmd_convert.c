/* cmd_convert.c -- slm convert: a Hugging Face folder as one GGUF file. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cpu.h"
#include "base/show.h"
#include "cli/commands.h"
#include "cli/rows.h"
#include "cli/term.h"
#include "model/hf.h"

struct convert_values {
    struct common_values common;
    const char *folder, *output, *type;
    int32_t threads;
    bool json;
};

#define REDRAW_S 0.1

struct progress {
    double drawn_s;
    bool is_shown;
};

/* On a terminal only: one line that is drawn again, wiped at the end. */
static void draw_progress(void *user, uint64_t done_bytes, uint64_t total_bytes) {
    struct progress *p = user;
    double now = time_now_s();
    if (!p->is_shown || (now - p->drawn_s < REDRAW_S && done_bytes < total_bytes)) return;
    p->drawn_s = now;
    int width = term_width(STDERR_FILENO) - 24, n = width < 10 ? 10 : width > 50 ? 50 : width;
    int n_full = (int)((double)n * (double)done_bytes / (double)total_bytes);
    fprintf(stderr, "\rwriting [%.*s%*s] %3.0f%%", n_full, "##################################################", n - n_full, "",
            100.0 * (double)done_bytes / (double)total_bytes);
    if (done_bytes == total_bytes) fprintf(stderr, "\r%*s\r", n + 20, "");
}

static slm_status parse_type(const char *text, enum dtype *type, slm_err *err) {
    *type = DTYPE_COUNT;
    if (strcmp(text, "auto") == 0) return SLM_OK;
    const struct dtype_desc *d = dtype_by_name(text);
    if (d && d->from_f32 && d->id != DTYPE_F64) {
        *type = d->id;
        return SLM_OK;
    }
    slm_status st = err_set(err, SLM_E_USAGE, SLM_NOWHERE, "option \"--type\": \"%s\" is no type that can be written", show_cstr(text).s);
    struct buf names;
    buf_init(&names, 512);
    buf_puts(&names, "auto");
    for (int i = 0; i < DTYPE_COUNT; i++)
        if (dtype_get((enum dtype)i)->from_f32 && i != DTYPE_F64) buf_printf(&names, ", %s", dtype_get((enum dtype)i)->name);
    err_hint(err, "%s", names.data ? names.data : "auto");
    buf_fini(&names);
    return st;
}

static slm_status print_result(const struct convert_values *v, const struct hf_convert_result *r, slm_err *err) {
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

static slm_status run_convert(const void *values, slm_err *err) {
    const struct convert_values *v = values;
    struct progress progress = {.is_shown = term_is_tty(STDERR_FILENO)};
    struct hf_convert_params p = {.n_threads = v->threads, .on_progress = draw_progress, .user = &progress, .cancel = &interrupt_flag};
    struct hf_convert_result result;
    slm_status st = parse_type(v->type, &p.type, err);
    if (st == SLM_OK && hf_is_folder(v->output))
        st = err_set(err, SLM_E_USAGE, SLM_NOWHERE, "output \"%s\": it is a folder", show_path(v->output).s);
    if (st != SLM_OK) return st;
    if (!hf_is_folder(v->folder)) {
        st = err_set(err, SLM_E_IO, SLM_NOWHERE, "folder \"%s\": no such folder", show_path(v->folder).s);
        err_hint(err, "give the folder that holds config.json and the safetensors files");
        return st;
    }
    interrupt_catch();
    st = hf_convert(v->folder, v->output, &p, &result, err);
    if (st == SLM_E_CANCELLED) err_clear(err);
    return st == SLM_OK ? print_result(v, &result, err) : st;
}

static const struct option options[] = {
    {.kind = OPT_TEXT, .name = "type", .value = "TYPE", .fallback = "auto", .offset = offsetof(struct convert_values, type), .since = "0.1",
     .help = "type of the matrices: auto keeps what the folder has; f32, f16, bf16, q8_0, q4_0, q4_k, q6_k, ... Norms and biases stay f32"},
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
    {"slm convert Qwen3-0.6B qwen3.gguf --type q8_0", "8 bits a weight, in one pass"},
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
