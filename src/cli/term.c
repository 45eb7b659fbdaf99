/* term.c -- output that cannot fail in silence, and Ctrl-C.
 *
 * The number of the first failed write is kept: errno of a later call would tell something else. A standard descriptor that
 * was closed by the caller is filled with /dev/null opened the wrong way round, so that no file of ours gets its number and
 * every use of it fails. */
#include "cli/term.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/show.h"
#include "base/util.h"

static int failed_with; /* errno of the first failure of standard output */

void term_init(void) {
    static const int wrong_way[] = {O_WRONLY, O_RDONLY, O_RDONLY};
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF) (void)!open("/dev/null", wrong_way[fd]); /* the lowest free number is fd */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* past a limit of file size write fails, and the file is taken away */
}

bool term_is_tty(int fd) { return isatty(fd) == 1; }

bool term_has_color(int fd) {
    const char *term = env_get(ENV_TERM);
    return term_is_tty(fd) && !env_get(ENV_NO_COLOR) && term && strcmp(term, "dumb") != 0;
}

int term_width(int fd) {
    struct winsize size;
    return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20 ? size.ws_col : 80;
}

static bool note_failure(bool ok) {
    if (!ok && !failed_with) failed_with = errno ? errno : EIO;
    return !failed_with;
}

bool out_bytes(const void *bytes, size_t n) {
    if (failed_with) return false;
    errno = 0;
    return note_failure(n == 0 || fwrite(bytes, 1, n, stdout) == n);
}

bool out_puts(const char *s) { return out_bytes(s, strlen(s)); }

bool out_printf(const char *fmt, ...) {
    if (failed_with) return false;
    va_list args;
    errno = 0;
    va_start(args, fmt);
    int n = vfprintf(stdout, fmt, args);
    va_end(args);
    return note_failure(n >= 0);
}

bool out_text(struct view text) {
    if (failed_with) return false;
    if (term_is_tty(STDOUT_FILENO)) {
        struct buf shown;
        buf_init(&shown, text.len * 4 + 1);
        show_text(text, &shown);
        out_buf(&shown);
        buf_fini(&shown);
    } else out_bytes(text.ptr, text.len);
    errno = 0;
    return note_failure(fflush(stdout) == 0);
}

bool out_buf(const struct buf *b) {
    if (b->failed) {
        errno = ENOMEM;
        return note_failure(false);
    }
    return out_bytes(b->data, b->len);
}

slm_status out_json(json_t *v, slm_err *err) {
    char *text = v ? json_dumps(v, JSON_COMPACT) : NULL;
    json_decref(v);
    if (!text) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "JSON output: no memory");
    out_puts(text);
    out_puts("\n");
    free(text);
    return out_status(err);
}

slm_status out_status(slm_err *err) {
    if (!failed_with) return SLM_OK;
    return err_set(err, SLM_E_IO, SLM_NOWHERE, "write \"standard output\": %s", strerror(failed_with));
}

slm_status out_finish(slm_err *err) {
    errno = 0;
    note_failure(fflush(stdout) == 0 && !ferror(stdout));
    errno = 0;
    note_failure(fclose(stdout) == 0); /* some file systems tell of a full disk only now */
    return out_status(err);
}

json_t *json_text(struct view v) {
    json_t *j = json_stringn(v.ptr ? v.ptr : "", v.len);
    if (j) return j;
    struct buf shown;
    buf_init(&shown, v.len * 4 + 1);
    show_quoted(v, &shown);
    if (!shown.failed) j = json_stringn(shown.data, shown.len);
    buf_fini(&shown);
    return j;
}

void buf_put_bytes(struct buf *b, uint64_t bytes) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double v = (double)bytes;
    int i = 0;
    while (v >= 1024 && i < 6) {
        v /= 1024;
        i++;
    }
    buf_printf(b, i == 0 || v >= 100 ? "%.0f %s" : "%.1f %s", v, units[i]);
}

_Atomic bool interrupt_flag;

/* A wait looks at this as well: a signal between the look at the flag and the wait, or on another thread, would not end a read. */
static int interrupt_pipe[2] = {-1, -1};

static void on_interrupt(int number) {
    (void)number;
    if (interrupt_flag) _exit(status_get(SLM_E_CANCELLED)->exit_code); /* the table is constant: safe in a handler */
    interrupt_flag = true;
    int kept = errno;
    if (interrupt_pipe[1] >= 0) (void)!write(interrupt_pipe[1], "", 1);
    errno = kept;
}

static int n_catching; /* catches nest: an answer within a session */

void interrupt_catch(void) {
    struct sigaction action = {.sa_handler = on_interrupt}; /* no SA_RESTART: a waiting read returns */
    sigemptyset(&action.sa_mask);
    interrupt_flag = false;
    if (n_catching++ > 0) return;
    char left[16];
    if (interrupt_pipe[0] < 0 && pipe2(interrupt_pipe, O_CLOEXEC | O_NONBLOCK) != 0) interrupt_pipe[0] = interrupt_pipe[1] = -1;
    while (interrupt_pipe[0] >= 0 && read(interrupt_pipe[0], left, sizeof left) > 0) {}
    sigaction(SIGINT, &action, NULL);
}

bool interrupt_wait(int fd) {
    struct pollfd wait[2] = {{.fd = fd, .events = POLLIN}, {.fd = interrupt_pipe[0], .events = POLLIN}};
    while (!interrupt_flag && poll(wait, 2, -1) < 0 && errno == EINTR) {}
    return !interrupt_flag;
}

void interrupt_release(void) {
    interrupt_flag = false;
    if (--n_catching == 0) signal(SIGINT, SIG_DFL);
}

static void say_line(const char *label, const char *text, const char *color) {
    struct buf line;
    bool colored = color && term_has_color(STDERR_FILENO);
    buf_init(&line, 8192);
    buf_printf(&line, "%s%s:%s ", colored ? color : "", label, colored ? "\033[0m" : "");
    show_text(view_of(text), &line);
    for (size_t i = 0; i < line.len; i++)
        if (line.data[i] == '\n') line.data[i] = ' ';
    buf_putc(&line, '\n');
    if (line.data) fwrite(line.data, 1, line.len, stderr);
    buf_fini(&line);
}

void say_error(const slm_err *err) {
    say_line("error", err->msg[0] ? err->msg : status_get(err->code)->what, "\033[1;31m");
    if (err->hint[0]) say_line("hint", err->hint, "\033[1;36m");
}

void say_note(const char *fmt, ...) {
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    say_line("note", text, "\033[1;33m");
}
