/* cmd_imatrix.c -- slm imatrix: which inputs of a model's matrices matter, from a text; for slm quantize. */
#include <stdio.h>

#include "base/show.h"
#include "cli/commands.h"
#include "cli/input.h"
#include "cli/progress.h"
#include "cli/rows.h"
#include "cli/term.h"
#include "engine/imatrix.h"

struct imatrix_values {
    struct common_values common;
    const char *model, *file, *output;
    int32_t ctx, chunks, save_every, threads, kv;
    bool hessian, json;
};

static void show_chunk(void *user, uint32_t i_chunk, uint32_t n_chunk) {
    char note[64];
    snprintf(note, sizeof note, "chunk %u of %u", i_chunk, n_chunk);
    progress_show(user, (double)i_chunk / n_chunk, note);
}

static slm_status run_imatrix(const void *values, slm_err *err) {
    const struct imatrix_values *v = values;
    slm_status st = SLM_OK;
    struct slm_model *model = NULL;
    struct buf text;
    struct progress bar;
    uint32_t n_done = 0;
    struct imatrix_params p = {.dataset = v->file, .n_chunk_max = (uint32_t)v->chunks, .hessian = v->hessian, .save_every = (uint32_t)v->save_every, .cancel = &interrupt_flag, .progress = show_chunk, .user = &bar};
    p.session = (struct session_params){.n_ctx = v->ctx, .n_threads = v->threads, .kv_type = kv_type_of_choice(v->kv)};
    buf_init(&text, INPUT_BYTES_MAX);
    progress_begin(&bar);
    TRY(input_text(NULL, v->file, &text, err));
    TRY(model_open(v->model, 0, &model, err));
    interrupt_catch();
    TRY(imatrix_collect(model, &p, (struct view){text.data, text.len}, v->output, &n_done, err));
    progress_end(&bar);
    if (v->json) TRY(out_json(json_pack("{s:o, s:i, s:i}", "output", json_text(view_of(v->output)), "n_chunk", (int)n_done, "chunk_size", (int)v->ctx), err));
    else say_note("imatrix of %u chunks of %d tokens: \"%s\"", n_done, v->ctx, show_path(v->output).s);
out:
    progress_end(&bar);
    if (st == SLM_E_CANCELLED) {
        if (n_done) say_note("%u chunks are saved; the same command goes on from there", n_done);
        err_clear(err);
    }
    model_close(model);
    buf_fini(&text);
    return st;
}

static const struct option options[] = {
    OPTION_MODEL(struct imatrix_values),
    OPTION_TEXT_FILE(struct imatrix_values),
    {.kind = OPT_FILE, .letter = 'o', .name = "output", .value = "FILE", .flags = OPTION_REQUIRED | OPTION_WRITTEN, .offset = offsetof(struct imatrix_values, output),
     .since = "0.1", .help = "where the imatrix goes; one that is there and of the same text is continued"},
    OPTION_TEXT_CTX(struct imatrix_values, "tokens of a chunk"),
    OPTION_TEXT_CHUNKS(struct imatrix_values),
    {.kind = OPT_INT, .name = "save-every", .value = "N", .fallback = "10", .min = 1, .max = 1 << 24, .offset = offsetof(struct imatrix_values, save_every),
     .since = "0.1", .help = "chunks between saves"},
    {.kind = OPT_FLAG, .name = "hessian", .offset = offsetof(struct imatrix_values, hessian), .since = "0.1",
     .help = "also how inputs go together: then slm quantize carries rounding errors from column to column; larger and slower"},
    OPTION_JSON(struct imatrix_values),
    OPTION_SECTION("engine"),
    OPTION_THREADS(struct imatrix_values),
    OPTION_KV(struct imatrix_values),
};
static const struct example examples[] = {
    {"slm imatrix -m f16.gguf -f text.txt -o model.imatrix", "run a text like the ones the model will see"},
    {"slm quantize f16.gguf q4.gguf Q4_K_M --imatrix model.imatrix", "use it"},
};
const struct command command_imatrix = {
    .group = "shrink",
    .summary = "measure which inputs of a model's matrices matter",
    .description = "Runs a text through the model and sums the squares of every matrix's inputs. slm quantize --imatrix then rounds so that the inputs that "
                   "matter are kept best. The file is a GGUF as llama.cpp writes and reads it. Some hundred thousand tokens of varied text do.\n\n"
                   "Interrupted work is kept: the same command goes on from what the output file holds, to the same bytes.",
    .table = {"imatrix", ROWS(options), NULL, 0},
    .values_bytes = sizeof(struct imatrix_values),
    .examples = examples,
    .n_examples = sizeof examples / sizeof examples[0],
    .run = run_imatrix,
};
