/* term.h -- standard output, the terminal, and Ctrl-C.
 *
 * Everything that commands print goes through here, so that a closed pipe, a closed descriptor or a full disk is always
 * noticed: the first failure is kept and becomes the program's error. */
#ifndef SLM_CLI_TERM_H
#define SLM_CLI_TERM_H

#include <jansson.h>

#include "base/mem.h"

/* term_init -- once, first: standard descriptors that are closed become unusable ones, SIGPIPE becomes an error of write. */
void term_init(void);
bool term_is_tty(int fd);
bool term_has_color(int fd); /* a terminal, not "dumb", and no NO_COLOR */
int term_width(int fd);      /* columns; 80 when unknown */

/* Standard output. False: it failed, now or before. */
bool out_bytes(const void *bytes, size_t n);
bool out_puts(const char *s);
bool out_printf(const char *fmt, ...) SLM_PRINTF(1, 2);
/* out_text -- text of a model or a file: as it is, but made fit when standard output is a terminal. Flushed at once. */
bool out_text(struct view text);
bool out_buf(const struct buf *b); /* false also when b failed */
/* out_json -- the object as text with a line end; takes the reference. Errors: IO, NOMEM (v NULL). */
slm_status out_json(json_t *v, slm_err *err);
/* out_finish -- flush and close standard output. Errors: IO. */
slm_status out_finish(slm_err *err);
slm_status out_status(slm_err *err); /* IO when standard output has failed */

/* json_text -- a JSON string of bytes from outside; what is not UTF-8 is shown as \xNN. */
json_t *json_text(struct view v);

/* 1536 -> "1.5 KiB". */
void buf_put_bytes(struct buf *b, uint64_t bytes);

/* Ctrl-C. While caught, the first one sets interrupt_flag and the second ends the program with 130. */
extern _Atomic bool interrupt_flag;
void interrupt_catch(void);   /* also clears the flag; may be nested */
void interrupt_release(void); /* after the outermost, Ctrl-C ends the program again; clears the flag */
bool interrupt_wait(int fd);  /* until fd can be read; false: Ctrl-C came, before the call or during it, on whatever thread */

/* error: MSG / hint: HINT, on standard error, one line each. */
void say_error(const slm_err *err);
void say_note(const char *fmt, ...) SLM_PRINTF(1, 2);

#endif
