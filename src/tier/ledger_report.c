/* ledger_report.c -- what is read of a ledger: over a connection of its own, so that nobody who writes, and no budget, waits for a report. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/stats.h"
#include "tier/ledger_int.h"

#define CLOCK_SLACK_S 86400 /* a clock may have been set back by so much */

/* Rows are in the order of their times: the first that may be of a time is found by halving. */
int64_t ledger_first_id(sqlite3 *db, const char *table, double since) {
    char sql[100];
    sqlite3_stmt *q = NULL;
    int64_t low = 0, high = INT64_MAX / 2, id;
    snprintf(sql, sizeof sql, "SELECT id, at FROM %s WHERE id >= ? ORDER BY id LIMIT 1", table);
    if (since <= 0 || sqlite3_prepare_v2(db, sql, -1, &q, NULL) != SQLITE_OK) return 0;
    while (low < high) { /* all before low are older; the row at high, or behind it, is not */
        int64_t mid = low + (high - low) / 2;
        sqlite3_bind_int64(q, 1, mid);
        bool is_there = sqlite3_step(q) == SQLITE_ROW;
        id = is_there ? sqlite3_column_int64(q, 0) : 0;
        bool is_old = is_there && (double)sqlite3_column_int64(q, 1) < since - CLOCK_SLACK_S;
        sqlite3_reset(q);
        if (is_old) low = id + 1;
        else high = mid;
    }
    sqlite3_finalize(q);
    return low;
}

void ledger_answers(struct ledger *l, const char *task, struct buf *out) {
    sqlite3_stmt *q = NULL;
    ledger_flush(l);
    pthread_mutex_lock(&l->reading);
    if (sqlite3_prepare_v2(l->reader, "SELECT request, signals, COALESCE(verdict, agrees) FROM requests WHERE signals IS NOT NULL AND tier = 'local' ORDER BY id", -1, &q, NULL) == SQLITE_OK)
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
    pthread_mutex_unlock(&l->reading);
}

struct since { /* a time, and the first rows that may be of it */
    double at;
    int64_t request, attempt;
};

/* Rows of a query as objects: names of columns are the keys; those that end in usd are billionths in the table. */
static json_t *rows_json(struct ledger *l, const char *sql, const struct since *since) {
    sqlite3_stmt *q = NULL;
    json_t *list = json_array();
    if (sqlite3_prepare_v2(l->reader, sql, -1, &q, NULL) != SQLITE_OK) return list;
    bool is_attempts = strstr(sql, "FROM attempts") != NULL;
    sqlite3_bind_int64(q, 1, is_attempts ? since->attempt : since->request);
    sqlite3_bind_int64(q, 2, (int64_t)since->at);
    while (sqlite3_step(q) == SQLITE_ROW) {
        json_t *row = json_object();
        for (int i = 0; i < sqlite3_column_count(q); i++) {
            const char *name = sqlite3_column_name(q, i);
            size_t n = strlen(name);
            int type = sqlite3_column_type(q, i);
            json_t *v = json_null();
            if (n >= 3 && strcmp(name + n - 3, "usd") == 0) v = json_f64((double)sqlite3_column_int64(q, i) / USD_NANO);
            else if (type == SQLITE_INTEGER) v = json_integer(sqlite3_column_int64(q, i));
            else if (type == SQLITE_FLOAT) v = json_f64(sqlite3_column_double(q, i));
            else if (type == SQLITE_TEXT) v = json_string((const char *)sqlite3_column_text(q, i));
            json_object_set_new(row, name, v);
        }
        json_array_append_new(list, row);
    }
    sqlite3_finalize(q);
    return list;
}

/* Shares with their 95 % intervals: kept here, right by those who said, agreeing with the frontier. */
static void put_verdicts(struct ledger *l, const struct since *since, json_t *v) {
    static const struct { const char *key, *sql; } rows[] = {
        {"share_local", "SELECT COALESCE(SUM(tier = 'local'), 0) AS k, COUNT(*) AS n FROM requests WHERE id >= ? AND at >= ? AND tier != 'none'"},
        {"local_right", "SELECT COALESCE(SUM(verdict), 0) AS k, COUNT(verdict) AS n FROM requests WHERE id >= ? AND at >= ? AND tier = 'local'"},
        {"local_agrees", "SELECT COALESCE(SUM(agrees), 0) AS k, COUNT(agrees) AS n FROM requests WHERE id >= ? AND at >= ? AND tier = 'local'"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        json_t *list = rows_json(l, rows[i].sql, since), *row = json_array_get(list, 0);
        json_int_t k = json_integer_value(json_object_get(row, "k")), n = json_integer_value(json_object_get(row, "n"));
        struct estimate e = stats_wilson((uint64_t)k, (uint64_t)n);
        json_object_set_new(v, rows[i].key, n ? json_pack("{s:I, s:o, s:[o, o]}", "n", n, "value", json_f64(e.value), "interval", json_f64(e.low), json_f64(e.high)) : json_null());
        json_decref(list);
    }
}

/* TOTAL, since a SUM past what 64 bits hold is an error, and no row at all. */
json_t *ledger_report(struct ledger *l, double since) {
    static const struct { const char *key, *sql; } parts[] = {
        {"tiers", "SELECT tier, COUNT(*) AS requests, SUM(escalated) AS escalated, SUM(degraded) AS degraded, CAST(TOTAL(n_in) AS INTEGER) AS n_in, CAST(TOTAL(n_out) AS INTEGER) AS n_out, CAST(TOTAL(nano_usd) AS INTEGER) AS usd, CAST(TOTAL(saved_nano_usd) AS INTEGER) AS saved_usd,"
                  " AVG(seconds) AS seconds FROM requests WHERE id >= ? AND at >= ? GROUP BY tier ORDER BY 2 DESC"},
        {"reasons", "SELECT reason, tier, COUNT(*) AS requests FROM requests WHERE id >= ? AND at >= ? GROUP BY reason, tier ORDER BY 3 DESC LIMIT 20"},
        {"attempts", "SELECT upstream, state, COUNT(*) AS attempts, CAST(TOTAL(n_in) AS INTEGER) AS n_in, CAST(TOTAL(n_cached) AS INTEGER) AS n_cached, CAST(TOTAL(n_out) AS INTEGER) AS n_out, SUM(estimated) AS estimated, CAST(TOTAL(nano_usd) AS INTEGER) AS usd, AVG(seconds) AS seconds"
                     " FROM attempts WHERE id >= ? AND at >= ? GROUP BY upstream, state ORDER BY 1, 2"},
    };
    json_t *v = json_object();
    ledger_flush(l);
    pthread_mutex_lock(&l->reading);
    sqlite3_exec(l->reader, "BEGIN", NULL, NULL, NULL); /* all of it of one moment */
    struct since s = {since, ledger_first_id(l->reader, "requests", since), ledger_first_id(l->reader, "attempts", since)};
    json_t *totals = rows_json(l, "SELECT COUNT(*) AS requests, COALESCE(SUM(tier = 'local'), 0) AS local, CAST(TOTAL(nano_usd) AS INTEGER) AS usd, CAST(TOTAL(saved_nano_usd) AS INTEGER) AS saved_usd FROM requests WHERE id >= ? AND at >= ?", &s);
    json_object_update(v, json_array_get(totals, 0));
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) json_object_set_new(v, parts[i].key, rows_json(l, parts[i].sql, &s));
    put_verdicts(l, &s, v);
    sqlite3_exec(l->reader, "COMMIT", NULL, NULL, NULL);
    pthread_mutex_unlock(&l->reading);
    json_decref(totals);
    pthread_mutex_lock(&l->lock);
    ledger_roll(l);
    json_object_set_new(v, "budget", json_pack("{s:o, s:o, s:o, s:o, s:o}", "day_usd", json_f64((double)l->day / USD_NANO), "month_usd", json_f64((double)l->month / USD_NANO), "open_usd", json_f64((double)l->open / USD_NANO),
                                               "usd_per_day", json_f64((double)l->day_max / USD_NANO), "usd_per_month", json_f64((double)l->month_max / USD_NANO)));
    pthread_mutex_unlock(&l->lock);
    return v;
}
