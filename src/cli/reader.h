/* reader.h -- lines from a person at a terminal, with editing and history (libedit). */
#ifndef SLM_CLI_READER_H
#define SLM_CLI_READER_H

#include "base/mem.h"

enum read_result { READ_LINE, READ_CANCELLED /* Ctrl-C */, READ_END /* Ctrl-D */ };

struct reader;
/* The history comes from history_path (NULL: none), and goes back there at close. Errors: FAILED (no terminal), NOMEM. */
slm_status reader_open(const char *history_path, struct reader **out, slm_err *err);
void reader_close(struct reader *r);
/* reader_line -- one line into out (emptied first), without its line end. prompt is borrowed for the call. */
enum read_result reader_line(struct reader *r, const char *prompt, struct buf *out);
void reader_remember(struct reader *r, const char *entry);

#endif
