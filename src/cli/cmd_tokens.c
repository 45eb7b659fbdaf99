/* cmd_tokens.c -- slm tokenize, slm detokenize, slm logits: text, ids and scores, for people and for scripts. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/show.h"
#include "cli/commands.h"
#include "cli/input.h"
#include "cli/lora.h"
#include "cli/rows.h"
#include "cli/term.h"
#include "engine/session.h"

struct tokenize_values {
    struct common_values common;
    const char *model, *file, *text;
    bool no_special, bos, json;
};

static slm_status print_tokens(const struct tok *tok, const struct tok_ids *ids, bool is_json, slm_err *err) {
    if (is_json) {
        json_t *array = json_array();
        for (size_t i = 0; array && i < ids->n; i++) json_array_append_new(array, json_integer(ids->v[i]));
        return out_json(array ? json_pack("{s:o}", "ids", array) : NULL, err);
    }
    struct buf line;
    buf_init(&line, INPUT_BYTES_MAX);
    for (size_t i = 0; i < ids->n; i++) {
        buf_clear(&line);
        buf_printf(&line, "%8d  \"", ids->v[i]);
        show_quoted(tok_piece(tok, ids->v[i], true), &line);
        buf_puts(&line, "\"\n");
        if (!out_buf(&line)) break;
    }
    buf_fini(&line);
    return out_status(err);
}

static slm_status run_tokenize(const void *values, slm_err *err) {
    const struct tokenize_values *v = values;
    slm_status st = SLM_OK;
    struct slm_model *model = NULL;
    struct tok_ids ids = {0};
    struct buf text;
    unsigned flags = (v->no_special ? 0u : TOK_PARSE_SPECIAL) | (v->bos ? TOK_ADD_BOS : 0u);
    buf_init(&text, TOK_TEXT_BYTES_MAX);
    TRY(model_open(v->model, MODEL_VOCAB_ONLY, &model, err));
    TRY(input_text(v->text, v->file, &text, err));
    TRY(tok_encode(model->tok, (struct view){text.data, text.len}, flags, &ids, err));
    TRY(print_tokens(model->tok, &ids, v->json || !term_is_tty(STDOUT_FILENO), err));
out:
    tok_ids_fini(&ids);
    model_close(model);
    buf_fini(&text);
    return st;
}

static const struct option tokenize_options[] = {
    OPTION_MODEL(struct tokenize_values),
    {.kind = OPT_FILE, .letter = 'f', .name = "file", .value = "FILE", .offset = offsetof(struct tokenize_values, file), .since = "0.1",
     .bars = "TEXT", .help = "read the text from FILE; - is standard input"},
    {.kind = OPT_FLAG, .name = "no-special", .offset = offsetof(struct tokenize_values, no_special), .since = "0.1",
     .help = "the names of special tokens in the text are plain text"},
    {.kind = OPT_FLAG, .name = "bos", .offset = offsetof(struct tokenize_values, bos), .since = "0.1", .help = "put the beginning-of-text token first"},
    OPTION_JSON(struct tokenize_values),
};
static const struct option tokenize_operands[] = {
    {.kind = OPT_TEXT, .name = "TEXT", .offset = offsetof(struct tokenize_values, text), .since = "0.1", .help = "the text; without it, --file or standard input"},
};
static const struct example tokenize_examples[] = {
    {"slm tokenize -m model.gguf \"Hello world\"", "on a terminal ids and pieces, one a line; else {\"ids\":[...]}"},
    {"slm tokenize -m model.gguf --json -- \"-5 degrees\"", "{\"ids\":[...]}; -- because the text begins with -"},
};
const struct command command_tokenize = {
    .group = "look inside",
    .summary = "turn text into token ids",
    .description = "Prints the tokens of a text: a table on a terminal, JSON to a file or pipe and with --json. The bytes are taken as they are: a line end at the end of a file or pipe counts. "
                   "Vocabulary-only files work, and so do models whose architecture slm cannot run.",
    .table = {"tokenize", ROWS(tokenize_options), ROWS(tokenize_operands)},
    .values_bytes = sizeof(struct tokenize_values),
    .examples = tokenize_examples,
    .n_examples = sizeof tokenize_examples / sizeof tokenize_examples[0],
    .is_common = true,
    .run = run_tokenize,
};

struct detokenize_values {
    struct common_values common;
    const char *model, *ids;
    bool json;
};

static slm_status run_detokenize(const void *values, slm_err *err) {
    const struct detokenize_values *v = values;
    slm_status st = SLM_OK;
    struct slm_model *model = NULL;
    struct tok_ids ids = {0};
    char *text = NULL;
    size_t n_text = 0;
    TRY(model_open(v->model, MODEL_VOCAB_ONLY, &model, err));
    TRY(input_ids(v->ids, tok_n_vocab(model->tok), &ids, err));
    TRY(slm_detokenize(model, ids.v, ids.n, &text, &n_text, err));
    if (v->json) TRY(out_json(json_pack("{s:o}", "text", json_text((struct view){text, n_text})), err));
    else {
        out_text((struct view){text, n_text});
        if (term_is_tty(STDOUT_FILENO)) out_puts("\n");
    }
    TRY(out_status(err));
out:
    slm_free(text);
    tok_ids_fini(&ids);
    model_close(model);
    return st;
}

static const struct option detokenize_options[] = {
    OPTION_MODEL(struct detokenize_values),
    OPTION_JSON(struct detokenize_values),
};
static const struct option detokenize_operands[] = {
    {.kind = OPT_FILE, .name = "IDS", .flags = OPTION_REQUIRED, .offset = offsetof(struct detokenize_values, ids), .since = "0.1",
     .help = "JSON: [1, 2] or {\"ids\": [1, 2]}; or a file with it, or - for standard input"},
};
static const struct example detokenize_examples[] = {
    {"slm detokenize -m model.gguf \"[15043, 3186]\"", "the text of two ids"},
    {"slm tokenize -m model.gguf --json -f in.txt | slm detokenize -m model.gguf -", "there and back"},
};
const struct command command_detokenize = {
    .group = "look inside",
    .summary = "turn token ids into text",
    .description = "Prints the text of token ids, special tokens by their names, with no line end added (except on a terminal).",
    .table = {"detokenize", ROWS(detokenize_options), ROWS(detokenize_operands)},
    .values_bytes = sizeof(struct detokenize_values),
    .examples = detokenize_examples,
    .n_examples = sizeof detokenize_examples / sizeof detokenize_examples[0],
    .run = run_detokenize,
};

struct logits_values {
    struct common_values common;
    const char *model, *tokens, *output;
    int32_t threads, chunk, kv;
    bool json;
    struct option_texts loras;
};

struct rows_out {
    FILE *stream;
    uint32_t n_vocab;
};

/* A failed write is found by the commit. */
static slm_status write_row(void *user, size_t i_pos, const float *logits, slm_err *err) {
    struct rows_out *out = user;
    (void)i_pos;
    if (fwrite(logits, sizeof *logits, out->n_vocab, out->stream) == out->n_vocab) return SLM_OK;
    return err_set(err, SLM_E_IO, SLM_NOWHERE, "write \"logits\": the disk is full or failed");
}

static slm_status run_logits(const void *values, slm_err *err) {
    const struct logits_values *v = values;
    slm_status st = SLM_OK;
    struct slm_model *model = NULL;
    struct slm_session *session = NULL;
    struct tok_ids ids = {0};
    struct file_out file = {0};
    TRY(model_open(v->model, 0, &model, err));
    TRY(loras_add(model, &v->loras, err));
    TRY(input_ids(v->tokens, model->hp.n_vocab, &ids, err));
    if (ids.n == 0) FAIL(SLM_E_USAGE, SLM_NOWHERE, "ids \"%s\": there are none", show_path(v->tokens).s);
    if (ids.n > INT32_MAX) FAIL(SLM_E_LIMIT, SLM_NOWHERE, "ids \"%s\": more than %d", show_path(v->tokens).s, INT32_MAX);
    int32_t n = (int32_t)ids.n, n_chunk = n < v->chunk ? n : v->chunk;
    struct session_params p = {.n_ctx = n, .n_chunk = n_chunk, .n_out = session_rows_at_once(model, n_chunk), .n_threads = v->threads, .kv_type = kv_type_of_choice(v->kv)};
    TRY(session_create(model, &p, &session, err));
    TRY(file_out_open(&file, v->output, err));
    struct rows_out out = {file.stream, model->hp.n_vocab};
    interrupt_catch();
    session->cancel = &interrupt_flag;
    TRY(session_logits_all(session, ids.v, ids.n, write_row, &out, err));
    TRY(file_out_commit(&file, err));
    if (v->json)
        TRY(out_json(json_pack("{s:o, s:[I, I], s:s}", "output", json_text(view_of(v->output)), "shape", (json_int_t)ids.n,
                               (json_int_t)model->hp.n_vocab, "dtype", "f32"),
                     err));
out:
    if (st == SLM_E_CANCELLED) err_clear(err);
    if (st != SLM_OK) file_out_discard(&file);
    session_destroy(session);
    tok_ids_fini(&ids);
    model_close(model);
    return st;
}

static const struct option logits_options[] = {
    OPTION_MODEL(struct logits_values),
    LORA_ROWS(struct logits_values),
    {.kind = OPT_FILE, .name = "tokens", .value = "IDS", .flags = OPTION_REQUIRED, .offset = offsetof(struct logits_values, tokens), .since = "0.1",
     .help = "a file with ids as JSON ([1, 2] or {\"ids\": [1, 2]}), the JSON itself, or - for standard input"},
    {.kind = OPT_FILE, .letter = 'o', .name = "output", .value = "FILE", .flags = OPTION_REQUIRED | OPTION_WRITTEN, .offset = offsetof(struct logits_values, output),
     .since = "0.1", .help = "where the scores go; the file appears whole or not at all"},
    OPTION_JSON(struct logits_values),
    OPTION_SECTION("engine"),
    OPTION_THREADS(struct logits_values),
    OPTION_CHUNK(struct logits_values),
    OPTION_KV(struct logits_values),
};
static const struct example logits_examples[] = {
    {"slm logits -m model.gguf --tokens ids.json -o logits.f32", "the scores after every token, for comparisons with other engines"},
};
const struct command command_logits = {
    .group = "look inside",
    .summary = "write the scores of every next token",
    .description = "Runs the model over a list of token ids and writes float32 [n_tokens, n_vocab], little endian, row after row: row i holds the "
                   "scores after token i, before any softmax.",
    .table = {"logits", ROWS(logits_options), NULL, 0},
    .values_bytes = sizeof(struct logits_values),
    .examples = logits_examples,
    .n_examples = sizeof logits_examples / sizeof logits_examples[0],
    .run = run_logits,
};
