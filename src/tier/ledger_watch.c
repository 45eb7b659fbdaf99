/* ledger_watch.c -- audits, and what outlives a restart of the watch over a certificate.
 *
 * All of it is rare, a few rows for a hundred requests, so statements are prepared where they are used. Scores are not written once more: a
 * judged request's row has its signals, and the certificate makes the score of them. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/json.h"
#include "base/stats.h"
#include "base/util.h"
#include "tier/ledger_int.h"

/* A statement with its values, by letters: t a text, i an int64_t, d a double. NULL: it cannot be prepared. */
static sqlite3_stmt *prepare(sqlite3 *db, const char *sql, const char *kinds, va_list values) {
    sqlite3_stmt *q = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &q, NULL) != SQLITE_OK) return NULL;
    for (int i = 1; *kinds; kinds++, i++) {
        if (*kinds == 't') sqlite3_bind_text(q, i, va_arg(values, const char *), -1, SQLITE_TRANSIENT);
        else if (*kinds == 'i') sqlite3_bind_int64(q, i, va_arg(values, int64_t));
        else sqlite3_bind_double(q, i, va_arg(values, double));
    }
    return q;
}

static sqlite3_stmt *question(sqlite3 *db, const char *sql, const char *kinds, ...) {
    va_list values;
    va_start(values, kinds);
    sqlite3_stmt *q = prepare(db, sql, kinds, values);
    va_end(values);
    return q;
}

/* One statement, its own transaction. How many rows it changed; -1: it failed, and the log says why. id: of the new row; NULL. */
static int change(struct ledger *l, int64_t *id, const char *sql, const char *kinds, ...) {
    va_list values;
    pthread_mutex_lock(&l->writing);
    va_start(values, kinds);
    sqlite3_stmt *q = prepare(l->db, sql, kinds, values);
    va_end(values);
    int n = q && sqlite3_step(q) == SQLITE_DONE ? sqlite3_changes(l->db) : -1;
    if (n < 0) log_print(LOG_ERROR, "ledger: write: %.200s", sqlite3_errmsg(l->db));
    if (id) *id = n > 0 ? sqlite3_last_insert_rowid(l->db) : 0;
    sqlite3_finalize(q);
    pthread_mutex_unlock(&l->writing);
    return n;
}

int64_t ledger_audit_begin(struct ledger *l, const char *request, const char *key, const char *calibration) {
    int64_t id;
    (void)change(l, &id, "INSERT INTO audits (request, key, calibration) VALUES (?, ?, ?)", "ttt", request, key, calibration);
    return id;
}

bool ledger_audit_end(struct ledger *l, int64_t id, double loss) { return change(l, NULL, "UPDATE audits SET loss = ? WHERE id = ? AND loss IS NULL", "di", loss, id) > 0; }

/* Clients name their requests, so a name may come twice: the last one is meant. */
bool ledger_audit_feedback(struct ledger *l, const char *request, const char *key, const char *calibration, double loss) {
    static const char sql[] = "UPDATE audits SET loss = ? WHERE loss IS NULL AND id = (SELECT MAX(id) FROM audits WHERE request = ? AND key = ? AND calibration = ?)";
    return change(l, NULL, sql, "dttt", loss, request, key, calibration) > 0;
}

json_t *ledger_audit_report(struct ledger *l, double since) {
    json_t *v = NULL;
    pthread_mutex_lock(&l->reading);
    sqlite3_stmt *q = question(l->reader, "SELECT COUNT(*), COUNT(loss), COALESCE(SUM(loss), 0) FROM audits WHERE at >= ?", "i", (int64_t)since);
    if (q && sqlite3_step(q) == SQLITE_ROW && sqlite3_column_int64(q, 1) > 0) {
        int64_t n = sqlite3_column_int64(q, 1), n_wrong = (int64_t)llround(sqlite3_column_double(q, 2));
        struct estimate e = stats_wilson((uint64_t)n_wrong, (uint64_t)n);
        v = json_estimate(&e);
        json_object_set_new(v, "n", json_integer(n));
        json_object_set_new(v, "n_waiting", json_integer(sqlite3_column_int64(q, 0) - n));
    }
    sqlite3_finalize(q);
    pthread_mutex_unlock(&l->reading);
    return v ? v : json_null();
}

/* ---- the watch ---- */

static slm_status read_fault(struct ledger *l, slm_err *err) { return err_set(err, SLM_E_IO, SLM_NOWHERE, "ledger: read: %.200s", sqlite3_errmsg(l->reader)); }

static slm_status read_state(struct ledger *l, const char *calibration, int64_t *first, int *state, uint64_t *n_alarm, slm_err *err) {
    sqlite3_stmt *q = question(l->reader, "SELECT first_request, state, n_alarm FROM watches WHERE calibration = ?", "t", calibration);
    bool is_there = q && sqlite3_step(q) == SQLITE_ROW;
    if (is_there) {
        *first = sqlite3_column_int64(q, 0);
        *state = sqlite3_column_int(q, 1);
        *n_alarm = (uint64_t)sqlite3_column_int64(q, 2);
    }
    sqlite3_finalize(q);
    return is_there ? SLM_OK : read_fault(l, err);
}

static slm_status replay(struct ledger *l, const char *calibration, int64_t first, int n, const struct watch_sinks *to, slm_err *err) {
    slm_status st = SLM_OK;
    int rc = SQLITE_ERROR;
    sqlite3_stmt *q = question(l->reader, "SELECT signals FROM (SELECT id, signals FROM requests WHERE id >= ? AND signals IS NOT NULL ORDER BY id DESC LIMIT ?) ORDER BY id", "ii", first, (int64_t)n);
    while (q && (rc = sqlite3_step(q)) == SQLITE_ROW) to->signals(to->user, (const char *)sqlite3_column_text(q, 0));
    sqlite3_finalize(q);
    if (rc != SQLITE_DONE) return read_fault(l, err);
    rc = SQLITE_ERROR;
    q = question(l->reader, "SELECT loss FROM audits WHERE calibration = ? AND loss IS NOT NULL ORDER BY id", "t", calibration);
    while (q && (rc = sqlite3_step(q)) == SQLITE_ROW) to->loss(to->user, sqlite3_column_double(q, 0));
    sqlite3_finalize(q);
    if (rc != SQLITE_DONE) st = read_fault(l, err);
    return st;
}

slm_status ledger_watch_open(struct ledger *l, const char *calibration, int n, const struct watch_sinks *to, int *state, uint64_t *n_alarm, slm_err *err) {
    int64_t first = 0;
    if (change(l, NULL, "INSERT OR IGNORE INTO watches (calibration, first_request) VALUES (?, (SELECT COALESCE(MAX(id), 0) + 1 FROM requests))", "t", calibration) < 0)
        return err_set(err, SLM_E_IO, SLM_NOWHERE, "ledger: the watch over certificate %s cannot be kept", calibration);
    pthread_mutex_lock(&l->reading);
    slm_status st = read_state(l, calibration, &first, state, n_alarm, err);
    if (st == SLM_OK) st = replay(l, calibration, first, n, to, err);
    pthread_mutex_unlock(&l->reading);
    return st;
}

void ledger_watch_alarm(struct ledger *l, const char *calibration, int state, uint64_t n_alarm) {
    (void)change(l, NULL, "UPDATE watches SET state = ?, n_alarm = ? WHERE calibration = ?", "iit", (int64_t)state, (int64_t)n_alarm, calibration);
}
