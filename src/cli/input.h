/* input.h -- what commands read: prompts, texts, lists of ids. */
#ifndef SLM_CLI_INPUT_H
#define SLM_CLI_INPUT_H

#include "text/tok.h"

#define INPUT_BYTES_MAX ((size_t)256 << 20)

/* input_ids -- ids from JSON: [1, 2] or {"ids": [1, 2]}. source: the JSON itself (begins with "[" or "{"), "-" for standard
 * input, or a file. n_vocab bounds the ids. ids is empty on failure; freed with tok_ids_fini.
 * Errors: IO, USAGE (no JSON, not ids, an id out of range: its place is named). */
slm_status input_ids(const char *source, uint32_t n_vocab, struct tok_ids *ids, slm_err *err);

/* input_text -- the operand when given, else the file when given, else standard input. */
slm_status input_text(const char *text, const char *path, struct buf *out, slm_err *err);

/* Lines of a file or of standard input, one at a time; a line is bounded, and no more is ever read of a longer one. */
#define INPUT_LINE_BYTES_MAX ((size_t)64 << 20)
struct input_lines {
    struct buf line; /* the present one, without its end */
    int fd;
    size_t at, n;    /* of block: read but not taken yet */
    uint64_t n_taken, n_whole; /* bytes; n_whole 0: not known */
    char block[16384];
};
/* input_lines_open -- path NULL or "-": standard input. input_lines_next -- *has_line false: there is none left. Errors: LIMIT, IO, CANCELLED (while
 * Ctrl-C is caught it ends the wait for a line too). input_lines_close -- also after a failed open. */
slm_status input_lines_open(struct input_lines *l, const char *path, slm_err *err);
slm_status input_lines_next(struct input_lines *l, bool *has_line, slm_err *err);
void input_lines_close(struct input_lines *l);

#endif
