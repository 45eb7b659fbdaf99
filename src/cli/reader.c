/* reader.c -- libedit, told two things: Ctrl-C and Ctrl-Z are keys here, not signals, and the editor talks on standard error.
 *
 * While a line is edited the terminal makes no signals; ^C is bound to a function that ends the line, ^Z to one that stops the
 * program. The terminal is set back before the caller goes on, so during an answer both are signals again. */
#include "cli/reader.h"

#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define HISTORY_ENTRIES 1000

struct reader {
    EditLine *edit;
    History *history;
    const char *prompt;
    char *history_path;
    bool cancelled;
};

static struct reader *reader_of(EditLine *edit) {
    void *r = NULL;
    el_get(edit, EL_CLIENTDATA, &r);
    return r;
}

static char *give_prompt(EditLine *edit) { return (char *)(uintptr_t)reader_of(edit)->prompt; } /* the interface wants it not const */

static unsigned char on_cancel(EditLine *edit, int c) {
    (void)c;
    reader_of(edit)->cancelled = true;
    return CC_EOF;
}

static unsigned char on_suspend(EditLine *edit, int c) {
    (void)c;
    el_set(edit, EL_PREP_TERM, 0);
    raise(SIGTSTP);
    el_set(edit, EL_PREP_TERM, 1); /* the shell has brought us back */
    return CC_REDISPLAY;
}

static void load_history(struct reader *r) {
    HistEvent event;
    history(r->history, &event, H_SETSIZE, HISTORY_ENTRIES);
    history(r->history, &event, H_SETUNIQUE, 1);
    if (r->history_path) history(r->history, &event, H_LOAD, r->history_path); /* none yet is no fault */
}

slm_status reader_open(const char *history_path, struct reader **out, slm_err *err) {
    slm_status st = SLM_OK;
    struct reader *r = calloc(1, sizeof *r);
    *out = NULL;
    if (!r) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "line editor: no memory");
    /* In the "C" locale libedit would refuse every letter beyond ASCII. */
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0) setlocale(LC_CTYPE, "C.UTF-8");
    r->history_path = history_path ? strdup(history_path) : NULL;
    r->history = history_init();
    r->edit = el_init("slm", stdin, stderr, stderr);
    if (!r->history || !r->edit) FAIL(SLM_E_FAILED, SLM_NOWHERE, "line editor: the terminal cannot be used");
    load_history(r);
    el_set(r->edit, EL_CLIENTDATA, r);
    el_set(r->edit, EL_PROMPT, give_prompt);
    el_set(r->edit, EL_SIGNAL, 0);
    el_set(r->edit, EL_HIST, history, r->history);
    el_set(r->edit, EL_EDITOR, "emacs");
    el_source(r->edit, NULL); /* the user's ~/.editrc; a missing one is no fault */
    el_wset(r->edit, EL_ADDFN, L"slm-cancel", L"end the line without sending it", on_cancel); /* el_set would leak both texts */
    el_set(r->edit, EL_SETTY, "-d", "-isig", NULL);
    el_wset(r->edit, EL_ADDFN, L"slm-suspend", L"stop, as Ctrl-Z does elsewhere", on_suspend);
    el_set(r->edit, EL_BIND, "^C", "slm-cancel", NULL);
    el_set(r->edit, EL_BIND, "^Z", "slm-suspend", NULL);
    *out = r;
    r = NULL;
out:
    reader_close(r);
    return st;
}

void reader_close(struct reader *r) {
    HistEvent event;
    if (!r) return;
    if (r->edit) el_end(r->edit);
    if (r->history && r->history_path && history(r->history, &event, H_SAVE, r->history_path) >= 0) chmod(r->history_path, 0600);
    if (r->history) history_end(r->history);
    free(r->history_path);
    free(r);
}

enum read_result reader_line(struct reader *r, const char *prompt, struct buf *out) {
    int n = 0;
    buf_clear(out);
    r->prompt = prompt;
    r->cancelled = false;
    el_set(r->edit, EL_PREP_TERM, 1); /* before the prompt is shown: who answers it with ^C must not send a signal */
    const char *line = el_gets(r->edit, &n);
    if (r->cancelled) {
        fputs("\n", stderr);
        return READ_CANCELLED;
    }
    if (!line || n <= 0) return READ_END;
    if (line[n - 1] == '\n') n--;
    buf_append(out, line, (size_t)n);
    return READ_LINE;
}

void reader_remember(struct reader *r, const char *entry) {
    HistEvent event;
    history(r->history, &event, H_ENTER, entry);
}
