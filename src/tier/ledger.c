/* ledger.c -- two tables and two sums.
 *
 * synchronous=NORMAL: in WAL mode what was committed survives the end of the process at any instant; only the loss of power may take the last
 * transactions, and an fsync for each attempt would cost more than the rest of a request. */
#include "tier/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/show.h"
#include "base/stats.h"
#include "base/util.h"

enum { Q_BEGIN, Q_END, Q_NOTE, Q_RIGHT, Q_AGREES, Q_COUNT };
struct ledger {
    sqlite3 *db;
    sqlite3_stmt *q[Q_COUNT];
    int lock_fd;
    pthread_mutex_t lock;
    nano_usd day_max, month_max;     /* 0: no limit */
    nano_usd day, month, open;       /* settled this day and month; open: at worst */
    int day_of, month_of;            /* which day and month the sums are of */
};

static const char schema[] =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
    "CREATE TABLE IF NOT EXISTS attempts (id INTEGER PRIMARY KEY, at INTEGER NOT NULL DEFAULT (unixepoch()), request TEXT NOT NULL, attempt TEXT NOT NULL, upstream TEXT NOT NULL,"
    " kind TEXT NOT NULL, model TEXT NOT NULL, state TEXT NOT NULL, http INTEGER, n_in INTEGER, n_cached INTEGER, n_out INTEGER, estimated INTEGER, nano_usd INTEGER NOT NULL, seconds REAL);"
    "CREATE INDEX IF NOT EXISTS attempts_at ON attempts (at);"
    "CREATE TABLE IF NOT EXISTS requests (id INTEGER PRIMARY KEY, at INTEGER NOT NULL DEFAULT (unixepoch()), request TEXT NOT NULL, api TEXT NOT NULL, tier TEXT NOT NULL, model TEXT NOT NULL,"
    " reason TEXT NOT NULL, cache TEXT NOT NULL, escalated INTEGER NOT NULL, degraded INTEGER NOT NULL, score REAL, n_in INTEGER NOT NULL, n_out INTEGER NOT NULL, nano_usd INTEGER NOT NULL,"
    " saved_nano_usd INTEGER NOT NULL, http INTEGER NOT NULL, seconds REAL NOT NULL, signals TEXT, verdict INTEGER, agrees INTEGER);"
    "CREATE INDEX IF NOT EXISTS requests_at ON requests (at); CREATE INDEX IF NOT EXISTS requests_request ON requests (request);"
    "UPDATE attempts SET state = 'lost', estimated = 1 WHERE state = 'open';";
static const char *const queries[Q_COUNT] = {
    [Q_BEGIN] = "INSERT INTO attempts (request, attempt, upstream, model, kind, state, nano_usd) VALUES (?, ?, ?, ?, ?, 'open', ?)",
    [Q_END] = "UPDATE attempts SET state = ?, http = ?, n_in = ?, n_cached = ?, n_out = ?, estimated = ?, nano_usd = ?, seconds = ? WHERE id = ?",
    [Q_NOTE] = "INSERT INTO requests (request, api, tier, model, reason, cache, escalated, degraded, score, n_in, n_out, nano_usd, saved_nano_usd, http, seconds, signals) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [Q_RIGHT] = "UPDATE requests SET verdict = ? WHERE request = ?",
    [Q_AGREES] = "UPDATE requests SET agrees = ? WHERE request = ?",
};

static slm_status db_fault(struct ledger *l, const char *what, slm_err *err) { return err_set(err, SLM_E_IO, SLM_NOWHERE, "ledger: %s: %.200s", what, l->db ? sqlite3_errmsg(l->db) : "no memory"); }

/* Lock held, or nobody else knows l. A new day or month begins at 0; attempts that are open over midnight count in the new one. */
static void roll(struct ledger *l) {
    time_t now = time(NULL);
    struct tm tm;
    gmtime_r(&now, &tm);
    int day = tm.tm_year * 400 + tm.tm_yday, month = tm.tm_year * 12 + tm.tm_mon;
    if (day != l->day_of) l->day = 0;
    if (month != l->month_of) l->month = 0;
    l->day_of = day;
    l->month_of = month;
}

static slm_status sum(struct ledger *l, const char *sql, nano_usd *out, slm_err *err) {
    sqlite3_stmt *q = NULL;
    slm_status st = SLM_OK;
    if (sqlite3_prepare_v2(l->db, sql, -1, &q, NULL) != SQLITE_OK || sqlite3_step(q) != SQLITE_ROW) st = db_fault(l, "read", err);
    else *out = sqlite3_column_int64(q, 0);
    sqlite3_finalize(q);
    return st;
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

slm_status ledger_open(const char *path, const struct budget_settings *b, struct ledger **out, slm_err *err) {
    slm_status st = SLM_OK;
    struct ledger *l = calloc(1, sizeof *l);
    *out = NULL;
    if (!l) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "ledger: no memory");
    l->lock_fd = -1;
    l->day_max = (nano_usd)(b->usd_per_day * USD_NANO);
    l->month_max = (nano_usd)(b->usd_per_month * USD_NANO);
    pthread_mutex_init(&l->lock, NULL);
    TRY(take_file(l, path, err));
    if (sqlite3_open(path, &l->db) != SQLITE_OK || sqlite3_exec(l->db, schema, NULL, NULL, NULL) != SQLITE_OK) {
        st = db_fault(l, show_path(path).s, err);
        goto out;
    }
    sqlite3_busy_timeout(l->db, 5000);
    for (int i = 0; i < Q_COUNT; i++)
        if (sqlite3_prepare_v3(l->db, queries[i], -1, SQLITE_PREPARE_PERSISTENT, &l->q[i], NULL) != SQLITE_OK) {
            st = db_fault(l, show_path(path).s, err);
            goto out;
        }
    roll(l);
    TRY(sum(l, "SELECT COALESCE(SUM(nano_usd), 0) FROM attempts WHERE at >= unixepoch('now', 'start of day')", &l->day, err));
    TRY(sum(l, "SELECT COALESCE(SUM(nano_usd), 0) FROM attempts WHERE at >= unixepoch('now', 'start of month')", &l->month, err));
    *out = l;
    l = NULL;
out:
    ledger_close(l);
    return st;
}

void ledger_close(struct ledger *l) {
    if (!l) return;
    for (int i = 0; i < Q_COUNT; i++) sqlite3_finalize(l->q[i]);
    sqlite3_close(l->db);
    if (l->lock_fd >= 0) close(l->lock_fd);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

static void bind_text(sqlite3_stmt *q, int i, const char *s) { sqlite3_bind_text(q, i, s ? s : "", -1, SQLITE_STATIC); }

static slm_status step(struct ledger *l, sqlite3_stmt *q, slm_err *err) {
    int rc = sqlite3_step(q);
    slm_status st = rc == SQLITE_DONE ? SLM_OK : db_fault(l, "write", err);
    sqlite3_reset(q);
    sqlite3_clear_bindings(q);
    return st;
}

static slm_status check_limit(nano_usd spent, nano_usd cap, nano_usd max, const char *what, slm_err *err) {
    if (max <= 0 || spent + cap <= max) return SLM_OK;
    return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "budget: usd_per_%s: %.6f are spent or set aside, this attempt may cost %.6f, the limit is %.6f", what, (double)spent / USD_NANO, (double)cap / USD_NANO,
                   (double)max / USD_NANO);
}

slm_status ledger_begin(struct ledger *l, const struct attempt *a, int64_t *id, slm_err *err) {
    slm_status st = SLM_OK;
    pthread_mutex_lock(&l->lock);
    roll(l);
    TRY(check_limit(l->day + l->open, a->cap, l->day_max, "day", err));
    TRY(check_limit(l->month + l->open, a->cap, l->month_max, "month", err));
    sqlite3_stmt *q = l->q[Q_BEGIN];
    bind_text(q, 1, a->request);
    bind_text(q, 2, a->attempt);
    bind_text(q, 3, a->upstream);
    bind_text(q, 4, a->model);
    bind_text(q, 5, a->kind);
    sqlite3_bind_int64(q, 6, a->cap);
    TRY(step(l, q, err));
    *id = sqlite3_last_insert_rowid(l->db);
    l->open += a->cap;
out:
    pthread_mutex_unlock(&l->lock);
    return st;
}

void ledger_end(struct ledger *l, int64_t id, nano_usd cap, const struct attempt_end *e) {
    slm_err err;
    pthread_mutex_lock(&l->lock);
    roll(l);
    l->open -= cap;
    l->day += e->cost;
    l->month += e->cost;
    sqlite3_stmt *q = l->q[Q_END];
    bind_text(q, 1, e->state);
    sqlite3_bind_int(q, 2, e->http_status);
    sqlite3_bind_int64(q, 3, (int64_t)e->n_in);
    sqlite3_bind_int64(q, 4, (int64_t)e->n_cached);
    sqlite3_bind_int64(q, 5, (int64_t)e->n_out);
    sqlite3_bind_int(q, 6, e->is_estimated);
    sqlite3_bind_int64(q, 7, e->cost);
    sqlite3_bind_double(q, 8, e->seconds);
    sqlite3_bind_int64(q, 9, id);
    if (step(l, q, &err) != SLM_OK) log_print(LOG_ERROR, "%s", err.msg);
    pthread_mutex_unlock(&l->lock);
}

void ledger_note(struct ledger *l, const struct decision *d) {
    slm_err err;
    const char *const texts[] = {d->request, d->api, d->tier, d->model, d->reason, d->cache};
    pthread_mutex_lock(&l->lock);
    sqlite3_stmt *q = l->q[Q_NOTE];
    for (int i = 0; i < 6; i++) bind_text(q, i + 1, texts[i]);
    sqlite3_bind_int(q, 7, d->is_escalated);
    sqlite3_bind_int(q, 8, d->is_degraded);
    if (isfinite(d->score)) sqlite3_bind_double(q, 9, d->score);
    sqlite3_bind_int64(q, 10, (int64_t)d->n_in);
    sqlite3_bind_int64(q, 11, (int64_t)d->n_out);
    sqlite3_bind_int64(q, 12, d->cost);
    sqlite3_bind_int64(q, 13, d->saved);
    sqlite3_bind_int(q, 14, d->http_status);
    sqlite3_bind_double(q, 15, d->seconds);
    if (d->signals) bind_text(q, 16, d->signals);
    if (step(l, q, &err) != SLM_OK) log_print(LOG_ERROR, "%s", err.msg);
    pthread_mutex_unlock(&l->lock);
}

static bool set_verdict(struct ledger *l, int i, const char *request, bool v) {
    slm_err err;
    pthread_mutex_lock(&l->lock);
    sqlite3_bind_int(l->q[i], 1, v);
    bind_text(l->q[i], 2, request);
    bool is_there = step(l, l->q[i], &err) == SLM_OK && sqlite3_changes(l->db) > 0;
    pthread_mutex_unlock(&l->lock);
    return is_there;
}

bool ledger_verdict(struct ledger *l, const char *request, bool is_right) { return set_verdict(l, Q_RIGHT, request, is_right); }
void ledger_agrees(struct ledger *l, const char *request, bool agrees) { (void)set_verdict(l, Q_AGREES, request, agrees); }

nano_usd ledger_shadow_spent(struct ledger *l) {
    nano_usd v = 0;
    slm_err err;
    pthread_mutex_lock(&l->lock);
    if (sum(l, "SELECT COALESCE(SUM(nano_usd), 0) FROM attempts WHERE kind = 'shadow' AND at >= unixepoch('now', 'start of day')", &v, &err) != SLM_OK) log_print(LOG_ERROR, "%s", err.msg);
    pthread_mutex_unlock(&l->lock);
    return v;
}

void ledger_answers(struct ledger *l, const char *task, struct buf *out) {
    sqlite3_stmt *q = NULL;
    pthread_mutex_lock(&l->lock);
    if (sqlite3_prepare_v2(l->db, "SELECT request, signals, COALESCE(verdict, agrees) FROM requests WHERE signals IS NOT NULL AND tier = 'local' ORDER BY id", -1, &q, NULL) == SQLITE_OK)
        while (sqlite3_step(q) == SQLITE_ROW) {
            json_t *v = json_loads((const char *)sqlite3_column_text(q, 1), 0, NULL);
            if (!v) continue;
            json_object_set_new(v, "task", json_string(task));
            json_object_set_new(v, "request_id", json_string((const char *)sqlite3_column_text(q, 0)));
            json_object_set_new(v, "right", sqlite3_column_type(q, 2) == SQLITE_NULL ? json_null() : json_boolean(sqlite3_column_int(q, 2)));
            char *text = json_dumps(v, JSON_COMPACT);
            buf_puts(out, text ? text : "");
            buf_puts(out, "\n");
            free(text);
            json_decref(v);
        }
    sqlite3_finalize(q);
    pthread_mutex_unlock(&l->lock);
}

void ledger_spent(struct ledger *l, nano_usd *day, nano_usd *month) {
    pthread_mutex_lock(&l->lock);
    roll(l);
    *day = l->day + l->open;
    *month = l->month + l->open;
    pthread_mutex_unlock(&l->lock);
}

/* Rows of a query as objects: names of columns are the keys; those that end in usd are billionths in the table. */
static json_t *rows_json(struct ledger *l, const char *sql, double since) {
    sqlite3_stmt *q = NULL;
    json_t *list = json_array();
    if (sqlite3_prepare_v2(l->db, sql, -1, &q, NULL) != SQLITE_OK) return list;
    sqlite3_bind_int64(q, 1, (int64_t)since);
    while (sqlite3_step(q) == SQLITE_ROW) {
        json_t *row = json_object();
        for (int i = 0; i < sqlite3_column_count(q); i++) {
            const char *name = sqlite3_column_name(q, i);
            size_t n = strlen(name);
            int type = sqlite3_column_type(q, i);
            json_t *v = json_null();
            if (n >= 3 && strcmp(name + n - 3, "usd") == 0) v = json_real((double)sqlite3_column_int64(q, i) / USD_NANO);
            else if (type == SQLITE_INTEGER) v = json_integer(sqlite3_column_int64(q, i));
            else if (type == SQLITE_FLOAT) v = json_real(sqlite3_column_double(q, i));
            else if (type == SQLITE_TEXT) v = json_string((const char *)sqlite3_column_text(q, i));
            json_object_set_new(row, name, v);
        }
        json_array_append_new(list, row);
    }
    sqlite3_finalize(q);
    return list;
}

/* Shares with their 95 % intervals: kept here, right by those who said, agreeing with the frontier. */
static void put_verdicts(struct ledger *l, double since, json_t *v) {
    static const struct { const char *key, *sql; } rows[] = {
        {"share_local", "SELECT COALESCE(SUM(tier = 'local'), 0) AS k, COUNT(*) AS n FROM requests WHERE at >= ? AND tier != 'none'"},
        {"local_right", "SELECT COALESCE(SUM(verdict), 0) AS k, COUNT(verdict) AS n FROM requests WHERE at >= ? AND tier = 'local'"},
        {"local_agrees", "SELECT COALESCE(SUM(agrees), 0) AS k, COUNT(agrees) AS n FROM requests WHERE at >= ? AND tier = 'local'"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        json_t *list = rows_json(l, rows[i].sql, since), *row = json_array_get(list, 0);
        json_int_t k = json_integer_value(json_object_get(row, "k")), n = json_integer_value(json_object_get(row, "n"));
        struct estimate e = stats_wilson((uint64_t)k, (uint64_t)n);
        json_object_set_new(v, rows[i].key, n ? json_pack("{s:I, s:f, s:[f, f]}", "n", n, "value", e.value, "interval", e.low, e.high) : json_null());
        json_decref(list);
    }
}

json_t *ledger_report(struct ledger *l, double since) {
    static const struct { const char *key, *sql; } parts[] = {
        {"tiers", "SELECT tier, COUNT(*) AS requests, SUM(escalated) AS escalated, SUM(degraded) AS degraded, SUM(n_in) AS n_in, SUM(n_out) AS n_out, SUM(nano_usd) AS usd, SUM(saved_nano_usd) AS saved_usd,"
                  " AVG(seconds) AS seconds FROM requests WHERE at >= ? GROUP BY tier ORDER BY 2 DESC"},
        {"reasons", "SELECT reason, tier, COUNT(*) AS requests FROM requests WHERE at >= ? GROUP BY reason, tier ORDER BY 3 DESC LIMIT 20"},
        {"attempts", "SELECT upstream, state, COUNT(*) AS attempts, SUM(n_in) AS n_in, SUM(n_cached) AS n_cached, SUM(n_out) AS n_out, SUM(estimated) AS estimated, SUM(nano_usd) AS usd, AVG(seconds) AS seconds"
                     " FROM attempts WHERE at >= ? GROUP BY upstream, state ORDER BY 1, 2"},
    };
    json_t *v = json_object(), *totals;
    pthread_mutex_lock(&l->lock);
    roll(l);
    totals = rows_json(l, "SELECT COUNT(*) AS requests, COALESCE(SUM(tier = 'local'), 0) AS local, COALESCE(SUM(nano_usd), 0) AS usd, COALESCE(SUM(saved_nano_usd), 0) AS saved_usd FROM requests WHERE at >= ?", since);
    json_object_update(v, json_array_get(totals, 0));
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) json_object_set_new(v, parts[i].key, rows_json(l, parts[i].sql, since));
    put_verdicts(l, since, v);
    json_object_set_new(v, "budget", json_pack("{s:f, s:f, s:f, s:f, s:f}", "day_usd", (double)l->day / USD_NANO, "month_usd", (double)l->month / USD_NANO, "open_usd", (double)l->open / USD_NANO,
                                               "usd_per_day", (double)l->day_max / USD_NANO, "usd_per_month", (double)l->month_max / USD_NANO));
    pthread_mutex_unlock(&l->lock);
    json_decref(totals);
    return v;
}
