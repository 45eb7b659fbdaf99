/* input.h -- what commands read: prompts, texts, lists of ids. */
#ifndef SLM_CLI_INPUT_H
#define SLM_CLI_INPUT_H

#include <stdio.h>

#include "text/tok.h"

#define INPUT_BYTES_MAX ((size_t)256 << 20)

/* input_ids -- ids from JSON: [1, 2] or {"ids": [1, 2]}. source: the JSON itself (begins with "[" or "{"), "-" for standard
 * input, or a file. n_vocab bounds the ids. ids is empty on failure; freed with tok_ids_fini.
 * Errors: IO, USAGE (no JSON, not ids, an id out of range: its place is named). */
slm_status input_ids(const char *source, uint32_t n_vocab, struct tok_ids *ids, slm_err *err);

/* input_text -- the operand when given, else the file when given, else standard input. */
slm_status input_text(const char *text, const char *path, struct buf *out, slm_err *err);

/* input_line -- the next line of a stream, without its end, into line (cleared first; its maximum bounds the line, and no more is ever read of a longer
 * one). *n_read: bytes that were taken; 0: there is no line left. Errors: LIMIT, IO, CANCELLED (the wait was interrupted). */
#define INPUT_LINE_BYTES_MAX ((size_t)64 << 20)
slm_status input_line(FILE *f, struct buf *line, size_t *n_read, slm_err *err);

#endif
