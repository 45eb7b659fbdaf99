/* teacher_cache.c -- answers that were paid for, in SQLite: the key is the whole request, so no hash can mix two up. */
#include <math.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/show.h"
#include "train/teacher_int.h"

struct answers {
    sqlite3 *db;
    sqlite3_stmt *get, *put;
};

static slm_status db_fault(struct answers *a, const char *what, slm_err *err) {
    return err_set(err, SLM_E_IO, SLM_NOWHERE, "the teacher's answers: %s: %.200s", what, a->db ? sqlite3_errmsg(a->db) : "out of memory");
}

static const char schema[] =
    "PRAGMA journal_mode = WAL;"
    "PRAGMA synchronous = FULL;" /* on disk before it counts */
    "CREATE TABLE IF NOT EXISTS answers (request TEXT PRIMARY KEY, text TEXT NOT NULL, n_prompt INTEGER NOT NULL, n_completion INTEGER NOT NULL,"
    " logprob REAL, is_cut INTEGER NOT NULL, at INTEGER NOT NULL DEFAULT (unixepoch())) WITHOUT ROWID;";

slm_status answers_open(const char *path, struct answers **out, slm_err *err) {
    slm_status st = SLM_OK;
    struct answers *a = calloc(1, sizeof *a);
    *out = NULL;
    if (!a) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "the teacher's answers: out of memory");
    if (sqlite3_open(path, &a->db) != SQLITE_OK) {
        st = db_fault(a, show_path(path).s, err);
        goto out;
    }
    sqlite3_busy_timeout(a->db, 10000);
    if (sqlite3_exec(a->db, schema, NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(a->db, "SELECT text, n_prompt, n_completion, logprob, is_cut FROM answers WHERE request = ?", -1, &a->get, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(a->db, "INSERT OR REPLACE INTO answers (request, text, n_prompt, n_completion, logprob, is_cut) VALUES (?, ?, ?, ?, ?, ?)", -1, &a->put, NULL) != SQLITE_OK) {
        st = db_fault(a, show_path(path).s, err);
        goto out;
    }
    *out = a;
    a = NULL;
out:
    answers_close(a);
    return st;
}

void answers_close(struct answers *a) {
    if (!a) return;
    sqlite3_finalize(a->get);
    sqlite3_finalize(a->put);
    sqlite3_close(a->db);
    free(a);
}

slm_status answers_get(struct answers *a, const char *request, struct teacher_answer *out, bool *has, slm_err *err) {
    slm_status st = SLM_OK;
    *has = false;
    sqlite3_reset(a->get);
    sqlite3_bind_text(a->get, 1, request, -1, SQLITE_STATIC);
    int rc = sqlite3_step(a->get);
    if (rc == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(a->get, 0);
        memset(out, 0, sizeof *out);
        out->text = strdup(text ? text : "");
        out->n_prompt = (uint64_t)sqlite3_column_int64(a->get, 1);
        out->n_completion = (uint64_t)sqlite3_column_int64(a->get, 2);
        out->logprob_mean = sqlite3_column_type(a->get, 3) == SQLITE_NULL ? NAN : (float)sqlite3_column_double(a->get, 3);
        out->is_cut = sqlite3_column_int(a->get, 4);
        out->is_cached = *has = true;
        if (!out->text) st = err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "the teacher's answers: out of memory");
    } else if (rc != SQLITE_DONE) {
        st = db_fault(a, "read", err);
    }
    sqlite3_reset(a->get);
    return st;
}

slm_status answers_put(struct answers *a, const char *request, const struct teacher_answer *answer, slm_err *err) {
    sqlite3_reset(a->put);
    sqlite3_bind_text(a->put, 1, request, -1, SQLITE_STATIC);
    sqlite3_bind_text(a->put, 2, answer->text, -1, SQLITE_STATIC);
    sqlite3_bind_int64(a->put, 3, (sqlite3_int64)answer->n_prompt);
    sqlite3_bind_int64(a->put, 4, (sqlite3_int64)answer->n_completion);
    if (isnan(answer->logprob_mean)) sqlite3_bind_null(a->put, 5);
    else sqlite3_bind_double(a->put, 5, (double)answer->logprob_mean);
    sqlite3_bind_int(a->put, 6, answer->is_cut);
    int rc = sqlite3_step(a->put);
    slm_status st = rc == SQLITE_DONE ? SLM_OK : db_fault(a, "write", err);
    sqlite3_reset(a->put);
    return st;
}
