/* ledger_int.h -- a ledger while it is open. ledger.c writes, ledger_report.c reads, ledger_watch.c is of audits. */
#ifndef SLM_TIER_LEDGER_INT_H
#define SLM_TIER_LEDGER_INT_H

#include <pthread.h>
#include <sqlite3.h>

#include "tier/ledger.h"

#define KINDS_MAX 8

struct kind_sum {
    char name[16];
    nano_usd day, open;
};
struct settled { /* not written yet */
    int64_t id;
    struct attempt_end end;
};

enum { Q_OPEN, Q_CLOSE, Q_BEGIN, Q_END, Q_NOTE, Q_RIGHT, Q_AGREES, Q_COUNT };
struct ledger {
    int lock_fd;
    nano_usd day_max, month_max;     /* 0: no limit */

    pthread_mutex_t lock;            /* of the sums and the list; held for a moment, never over SQL: the loop thread may take it */
    nano_usd day, month, open;       /* settled this day and month; open: at worst */
    struct kind_sum kinds[KINDS_MAX];
    size_t n_kinds;
    int day_of, month_of;            /* which day and month the sums are of */
    struct settled *settled;
    size_t n_settled, cap_settled;

    pthread_mutex_t writing;         /* before lock */
    sqlite3 *db;
    sqlite3_stmt *q[Q_COUNT];
    bool is_open;                    /* a transaction of several statements */

    pthread_mutex_t reading;
    sqlite3 *reader;
};
void ledger_roll(struct ledger *l);
/* ledger_first_id -- no row with a smaller id is of this time or later. */
int64_t ledger_first_id(sqlite3 *db, const char *table, double since);
#endif
