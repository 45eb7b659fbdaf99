/* ledger.c -- two tables and a few sums: what is written.
 *
 * synchronous=NORMAL: in WAL mode what was committed survives the end of the process at any instant; only the loss of power may take the last
 * transactions, and an fsync for each attempt would cost more than the rest of a request. A request that is asked of one upstream makes two transactions:
 * its attempt's beginning, before a byte is sent, and in the end the attempt's settling together with the request's row. A settling waits for the next transaction,
 * whosever it is; a kill before that leaves the attempt open, at its worst case. No index over times: rows are in their order (ledger_report.c). */
#include "tier/ledger_int.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/show.h"
#include "base/util.h"

#define SUM_MAX (INT64_MAX / 4) /* room for what is open, and one more */

static const char schema[] =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
    "CREATE TABLE IF NOT EXISTS attempts (id INTEGER PRIMARY KEY, at INTEGER NOT NULL DEFAULT (unixepoch()), request TEXT NOT NULL, attempt TEXT NOT NULL, upstream TEXT NOT NULL,"
    " kind TEXT NOT NULL, model TEXT NOT NULL, state TEXT NOT NULL, http INTEGER, n_in INTEGER, n_cached INTEGER, n_out INTEGER, estimated INTEGER, nano_usd INTEGER NOT NULL, seconds REAL);"
    "CREATE TABLE IF NOT EXISTS requests (id INTEGER PRIMARY KEY, at INTEGER NOT NULL DEFAULT (unixepoch()), request TEXT NOT NULL, api TEXT NOT NULL, tier TEXT NOT NULL, model TEXT NOT NULL,"
    " reason TEXT NOT NULL, cache TEXT NOT NULL, escalated INTEGER NOT NULL, degraded INTEGER NOT NULL, score REAL, n_in INTEGER NOT NULL, n_out INTEGER NOT NULL, nano_usd INTEGER NOT NULL,"
    " saved_nano_usd INTEGER NOT NULL, http INTEGER NOT NULL, seconds REAL NOT NULL, signals TEXT, verdict INTEGER, agrees INTEGER);"
    "CREATE INDEX IF NOT EXISTS requests_request ON requests (request); DROP INDEX IF EXISTS attempts_at; DROP INDEX IF EXISTS requests_at;"
    "CREATE TABLE IF NOT EXISTS audits (id INTEGER PRIMARY KEY, at INTEGER NOT NULL DEFAULT (unixepoch()), request TEXT NOT NULL, key TEXT NOT NULL, calibration TEXT NOT NULL, loss REAL);"
    "CREATE INDEX IF NOT EXISTS audits_request ON audits (request);"
    "CREATE TABLE IF NOT EXISTS watches (calibration TEXT PRIMARY KEY, at INTEGER NOT NULL DEFAULT (unixepoch()), first_request INTEGER NOT NULL, state INTEGER NOT NULL DEFAULT 0, n_alarm INTEGER NOT NULL DEFAULT 0);"
    "UPDATE attempts SET state = 'lost', estimated = 1 WHERE state = 'open';";
/* Columns that ledgers of earlier versions do not have. */
static const struct { const char *table, *column, *kind; } added[] = {{"requests", "key", "TEXT NOT NULL DEFAULT '-'"}};
static const char *const queries[Q_COUNT] = {
    [Q_OPEN] = "BEGIN",
    [Q_CLOSE] = "COMMIT",
    [Q_BEGIN] = "INSERT INTO attempts (request, attempt, upstream, model, kind, state, nano_usd) VALUES (?, ?, ?, ?, ?, 'open', ?)",
    [Q_END] = "UPDATE attempts SET state = ?, http = ?, n_in = ?, n_cached = ?, n_out = ?, estimated = ?, nano_usd = ?, seconds = ? WHERE id = ?",
    [Q_NOTE] = "INSERT INTO requests (request, api, tier, model, reason, cache, key, escalated, degraded, score, n_in, n_out, nano_usd, saved_nano_usd, http, seconds, signals) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [Q_RIGHT] = "UPDATE requests SET verdict = ? WHERE id = (SELECT MAX(id) FROM requests WHERE request = ? AND key = ?)",
    [Q_AGREES] = "UPDATE requests SET agrees = ? WHERE id = ?",
};

static slm_status db_fault(sqlite3 *db, const char *what, slm_err *err) { return err_set(err, SLM_E_IO, SLM_NOWHERE, "ledger: %s: %.200s", what, db ? sqlite3_errmsg(db) : "no memory"); }

/* Lock held, or nobody else knows l. A new day or month begins at 0; attempts that are open over midnight count in the new one. */
void ledger_roll(struct ledger *l) {
    time_t now = time(NULL);
    struct tm tm;
    gmtime_r(&now, &tm);
    int day = tm.tm_year * 400 + tm.tm_yday, month = tm.tm_year * 12 + tm.tm_mon;
    if (day != l->day_of) {
        l->day = 0;
        for (size_t i = 0; i < l->n_kinds; i++) l->kinds[i].day = 0;
    }
    if (month != l->month_of) l->month = 0;
    l->day_of = day;
    l->month_of = month;
}

/* The sums of a kind of attempt; NULL: there are more kinds than have a place, and this one has no limit of its own. */
static struct kind_sum *kind_of(struct ledger *l, const char *name) {
    for (size_t i = 0; i < l->n_kinds; i++)
        if (strcmp(l->kinds[i].name, name) == 0) return &l->kinds[i];
    if (l->n_kinds == KINDS_MAX) return NULL;
    snprintf(l->kinds[l->n_kinds].name, sizeof l->kinds[0].name, "%s", name);
    return &l->kinds[l->n_kinds++];
}

/* A sum never turns round, whatever upstreams say that they bill. */
static void count(nano_usd *sum, nano_usd cost) { *sum = cost < SUM_MAX - *sum ? *sum + cost : SUM_MAX; }

/* What this day and month have cost so far. */
static slm_status read_sums(struct ledger *l, slm_err *err) {
    static const char sql[] = "SELECT kind, TOTAL(nano_usd), TOTAL(nano_usd * (at >= unixepoch('now', 'start of day'))) FROM attempts WHERE id >= ? AND at >= unixepoch('now', 'start of month') GROUP BY kind";
    time_t month = time(NULL) - (time_t)31 * 86400;
    sqlite3_stmt *q = NULL;
    int rc = sqlite3_prepare_v2(l->db, sql, -1, &q, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_bind_int64(q, 1, ledger_first_id(l->db, "attempts", (double)month));
    if (rc == SQLITE_OK)
        while ((rc = sqlite3_step(q)) == SQLITE_ROW) {
            struct kind_sum *k = kind_of(l, (const char *)sqlite3_column_text(q, 0));
            count(&l->month, sqlite3_column_int64(q, 1));
            count(&l->day, sqlite3_column_int64(q, 2));
            if (k) count(&k->day, sqlite3_column_int64(q, 2));
        }
    sqlite3_finalize(q);
    return rc == SQLITE_DONE ? SLM_OK : db_fault(l->db, "read", err);
}

static slm_status take_file(struct ledger *l, const char *path, slm_err *err) {
    char name[4096];
    if (snprintf(name, sizeof name, "%s.lock", path) >= (int)sizeof name) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "ledger: the path is too long");
    l->lock_fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (l->lock_fd < 0) return err_set(err, SLM_E_IO, SLM_NOWHERE, "\"%s\": %s", show_path(name).s, strerror(errno));
    if (flock(l->lock_fd, LOCK_EX | LOCK_NB) == 0) return SLM_OK;
    err_set(err, SLM_E_BUSY, SLM_NOWHERE, "ledger \"%s\": another process has it", show_path(path).s);
    err_hint(err, "budgets are kept by one server; give each its own ledger");
    return SLM_E_BUSY;
}

static slm_status add_columns(struct ledger *l, slm_err *err) {
    char sql[200];
    for (size_t i = 0; i < sizeof added / sizeof added[0]; i++) {
        if (sqlite3_table_column_metadata(l->db, NULL, added[i].table, added[i].column, NULL, NULL, NULL, NULL, NULL) == SQLITE_OK) continue;
        snprintf(sql, sizeof sql, "ALTER TABLE %s ADD COLUMN %s %s", added[i].table, added[i].column, added[i].kind);
        if (sqlite3_exec(l->db, sql, NULL, NULL, NULL) != SQLITE_OK) return db_fault(l->db, added[i].column, err);
    }
    return SLM_OK;
}

/* Two connections: reports read beside what is written. */
static slm_status open_both(struct ledger *l, const char *path, slm_err *err) {
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    slm_status st = SLM_OK;
    if (sqlite3_open_v2(path, &l->db, flags, NULL) != SQLITE_OK || sqlite3_exec(l->db, schema, NULL, NULL, NULL) != SQLITE_OK) return db_fault(l->db, show_path(path).s, err);
    sqlite3_busy_timeout(l->db, 5000);
    TRY(add_columns(l, err));
    for (int i = 0; i < Q_COUNT; i++)
        if (sqlite3_prepare_v3(l->db, queries[i], -1, SQLITE_PREPARE_PERSISTENT, &l->q[i], NULL) != SQLITE_OK) return db_fault(l->db, show_path(path).s, err);
    if (sqlite3_open_v2(path, &l->reader, flags, NULL) != SQLITE_OK || sqlite3_exec(l->reader, "PRAGMA query_only = 1", NULL, NULL, NULL) != SQLITE_OK) return db_fault(l->reader, show_path(path).s, err);
    sqlite3_busy_timeout(l->reader, 5000);
out:
    return st;
}

slm_status ledger_open(const char *path, const struct budget_settings *b, struct ledger **out, slm_err *err) {
    slm_status st = SLM_OK;
    struct ledger *l = calloc(1, sizeof *l);
    *out = NULL;
    if (!l) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "ledger: no memory");
    l->lock_fd = -1;
    l->day_max = (nano_usd)(b->usd_per_day * USD_NANO);
    l->month_max = (nano_usd)(b->usd_per_month * USD_NANO);
    pthread_mutex_init(&l->lock, NULL);
    pthread_mutex_init(&l->writing, NULL);
    pthread_mutex_init(&l->reading, NULL);
    TRY(take_file(l, path, err));
    TRY(open_both(l, path, err));
    ledger_roll(l);
    TRY(read_sums(l, err));
    *out = l;
    l = NULL;
out:
    ledger_close(l);
    return st;
}

void ledger_close(struct ledger *l) {
    if (!l) return;
    ledger_flush(l);
    for (int i = 0; i < Q_COUNT; i++) sqlite3_finalize(l->q[i]);
    sqlite3_close(l->reader);
    sqlite3_close(l->db);
    if (l->lock_fd >= 0) close(l->lock_fd);
    pthread_mutex_destroy(&l->lock);
    pthread_mutex_destroy(&l->writing);
    pthread_mutex_destroy(&l->reading);
    free(l->settled);
    free(l);
}

static void bind_text(sqlite3_stmt *q, int i, const char *s) { sqlite3_bind_text(q, i, s ? s : "", -1, SQLITE_STATIC); }

static slm_status step(struct ledger *l, int i, slm_err *err) {
    int rc = sqlite3_step(l->q[i]);
    slm_status st = rc == SQLITE_DONE ? SLM_OK : db_fault(l->db, "write", err);
    sqlite3_reset(l->q[i]);
    sqlite3_clear_bindings(l->q[i]);
    return st;
}

/* ---- transactions; l->writing is held from write_open to write_close ---- */

static slm_status write_settled(struct ledger *l, const struct settled *s, slm_err *err) {
    const struct attempt_end *e = &s->end;
    sqlite3_stmt *q = l->q[Q_END];
    bind_text(q, 1, e->state);
    sqlite3_bind_int(q, 2, e->http_status);
    sqlite3_bind_int64(q, 3, (int64_t)e->n_in);
    sqlite3_bind_int64(q, 4, (int64_t)e->n_cached);
    sqlite3_bind_int64(q, 5, (int64_t)e->n_out);
    sqlite3_bind_int(q, 6, e->is_estimated);
    sqlite3_bind_int64(q, 7, e->cost);
    sqlite3_bind_double(q, 8, e->seconds);
    sqlite3_bind_int64(q, 9, s->id);
    return step(l, Q_END, err);
}

/* With what was settled since the last one. What of that cannot be written is said in the log: its attempt stays open. */
static void write_open(struct ledger *l) {
    slm_err err;
    pthread_mutex_lock(&l->writing);
    pthread_mutex_lock(&l->lock);
    struct settled *v = l->settled;
    size_t n = l->n_settled;
    l->settled = NULL;
    l->n_settled = l->cap_settled = 0;
    pthread_mutex_unlock(&l->lock);
    l->is_open = n > 0 && step(l, Q_OPEN, &err) == SLM_OK; /* one statement alone is its own transaction */
    for (size_t i = 0; i < n; i++)
        if (write_settled(l, &v[i], &err) != SLM_OK) log_print(LOG_ERROR, "%s", err.msg);
    free(v);
}

static slm_status write_close(struct ledger *l, slm_status st, slm_err *err) {
    slm_status closed = l->is_open ? step(l, Q_CLOSE, st == SLM_OK ? err : NULL) : SLM_OK;
    if (closed != SLM_OK) sqlite3_exec(l->db, "ROLLBACK", NULL, NULL, NULL);
    l->is_open = false;
    pthread_mutex_unlock(&l->writing);
    return st == SLM_OK ? closed : st;
}

void ledger_flush(struct ledger *l) {
    slm_err err;
    pthread_mutex_lock(&l->lock);
    bool is_due = l->n_settled > 0;
    pthread_mutex_unlock(&l->lock);
    if (!is_due) return;
    write_open(l);
    if (write_close(l, SLM_OK, &err) != SLM_OK) log_print(LOG_ERROR, "%s", err.msg);
}

/* ---- attempts ---- */

static slm_status check_limit(nano_usd spent, nano_usd cap, nano_usd max, const char *what, slm_err *err) {
    if (max <= 0 || cap == 0 || spent + cap <= max) return SLM_OK; /* what costs nothing may be done with nothing left */
    return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "budget: usd_per_%s: %.6f are spent or set aside, this attempt may cost %.6f, the limit is %.6f", what, (double)spent / USD_NANO, (double)cap / USD_NANO,
                   (double)max / USD_NANO);
}

/* Checked and set aside in one moment, so that attempts that run together cannot pass a limit together. */
static slm_status set_aside(struct ledger *l, const struct attempt *a, slm_err *err) {
    slm_status st = SLM_OK;
    pthread_mutex_lock(&l->lock);
    ledger_roll(l);
    struct kind_sum *k = kind_of(l, a->kind);
    if (a->kind_max > 0 && !k) FAIL(SLM_E_LIMIT, SLM_NOWHERE, "budget: too many kinds of attempts");
    TRY(check_limit(l->day + l->open, a->cap, l->day_max, "day", err));
    TRY(check_limit(l->month + l->open, a->cap, l->month_max, "month", err));
    if (k) TRY(check_limit(k->day + k->open, a->cap, a->kind_max, "day of its kind", err));
    l->open += a->cap;
    if (k) k->open += a->cap;
out:
    pthread_mutex_unlock(&l->lock);
    return st;
}

/* Lock held. */
static void give_back(struct ledger *l, const struct attempt *a, nano_usd cost) {
    struct kind_sum *k = kind_of(l, a->kind);
    ledger_roll(l);
    l->open -= a->cap;
    count(&l->day, cost);
    count(&l->month, cost);
    if (!k) return;
    k->open -= a->cap;
    count(&k->day, cost);
}

slm_status ledger_begin(struct ledger *l, const struct attempt *a, int64_t *id, slm_err *err) {
    slm_status st = set_aside(l, a, err);
    if (st != SLM_OK) return st;
    write_open(l);
    sqlite3_stmt *q = l->q[Q_BEGIN];
    bind_text(q, 1, a->request);
    bind_text(q, 2, a->attempt);
    bind_text(q, 3, a->upstream);
    bind_text(q, 4, a->model);
    bind_text(q, 5, a->kind);
    sqlite3_bind_int64(q, 6, a->cap);
    st = step(l, Q_BEGIN, err);
    *id = sqlite3_last_insert_rowid(l->db);
    st = write_close(l, st, err);
    if (st == SLM_OK) return SLM_OK;
    pthread_mutex_lock(&l->lock);
    give_back(l, a, 0);
    pthread_mutex_unlock(&l->lock);
    return st;
}

void ledger_end(struct ledger *l, int64_t id, const struct attempt *a, const struct attempt_end *e) {
    struct settled one = {id, *e};
    slm_err err;
    pthread_mutex_lock(&l->lock);
    give_back(l, a, e->cost);
    if (l->n_settled == l->cap_settled) {
        size_t cap = l->cap_settled ? 2 * l->cap_settled : 16;
        struct settled *grown = realloc(l->settled, cap * sizeof *grown);
        if (grown) l->settled = grown, l->cap_settled = cap;
    }
    bool is_kept = l->n_settled < l->cap_settled;
    if (is_kept) l->settled[l->n_settled++] = one;
    pthread_mutex_unlock(&l->lock);
    if (is_kept) return;
    write_open(l);
    if (write_close(l, write_settled(l, &one, &err), &err) != SLM_OK) log_print(LOG_ERROR, "%s", err.msg);
}

int64_t ledger_note(struct ledger *l, const struct decision *d) {
    slm_err err;
    const char *const texts[] = {d->request, d->api, d->tier, d->model, d->reason, d->cache, d->key};
    write_open(l);
    sqlite3_stmt *q = l->q[Q_NOTE];
    for (int i = 0; i < 7; i++) bind_text(q, i + 1, texts[i]);
    sqlite3_bind_int(q, 8, d->is_escalated);
    sqlite3_bind_int(q, 9, d->is_degraded);
    if (isfinite(d->score)) sqlite3_bind_double(q, 10, d->score);
    sqlite3_bind_int64(q, 11, (int64_t)d->n_in);
    sqlite3_bind_int64(q, 12, (int64_t)d->n_out);
    sqlite3_bind_int64(q, 13, d->cost);
    sqlite3_bind_int64(q, 14, d->saved);
    sqlite3_bind_int(q, 15, d->http_status);
    sqlite3_bind_double(q, 16, d->seconds);
    if (d->signals) bind_text(q, 17, d->signals);
    slm_status st = step(l, Q_NOTE, &err);
    int64_t row = sqlite3_last_insert_rowid(l->db);
    st = write_close(l, st, &err);
    if (st != SLM_OK) log_print(LOG_ERROR, "%s", err.msg);
    return st == SLM_OK ? row : 0;
}

bool ledger_verdict(struct ledger *l, const char *request, const char *key, bool is_right) {
    slm_err err;
    write_open(l);
    sqlite3_bind_int(l->q[Q_RIGHT], 1, is_right);
    bind_text(l->q[Q_RIGHT], 2, request);
    bind_text(l->q[Q_RIGHT], 3, key);
    slm_status st = step(l, Q_RIGHT, &err);
    bool is_there = st == SLM_OK && sqlite3_changes(l->db) > 0;
    return write_close(l, st, &err) == SLM_OK && is_there;
}

void ledger_agrees(struct ledger *l, int64_t row, bool agrees) {
    slm_err err;
    write_open(l);
    sqlite3_bind_int(l->q[Q_AGREES], 1, agrees);
    sqlite3_bind_int64(l->q[Q_AGREES], 2, row);
    if (write_close(l, step(l, Q_AGREES, &err), &err) != SLM_OK) log_print(LOG_ERROR, "%s", err.msg);
}

void ledger_spent(struct ledger *l, nano_usd *day, nano_usd *month) {
    pthread_mutex_lock(&l->lock);
    ledger_roll(l);
    *day = l->day + l->open;
    *month = l->month + l->open;
    pthread_mutex_unlock(&l->lock);
}
