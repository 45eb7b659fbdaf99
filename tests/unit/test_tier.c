/* test_tier.c -- rules, event streams, breakers, detectors, signals, the cache, the ledger's budgets: each against what its header says. */
#include "test.h"

#include <math.h>
#include <time.h>

#include "tier/breaker.h"
#include "tier/cache.h"
#include "tier/ledger_int.h"
#include "tier/privacy.h"
#include "tier/signals.h"
#include "tier/sse.h"
#include "tier/upstream.h"

static void test_rules(void **state) {
    static const struct { const char *text; bool holds; } good[] = {
        {"tools > 0", false}, {"tools == 0", true}, {"not tools", true}, {"in_tokens >= 10 and in_tokens <= 10", true}, {"in_tokens > 10 or stream", true}, {"not (stream and tools)", true},
        {"text contains 'BIG'", true}, {"text == 'a big one'", true}, {"api != \"openai\"", false}, {"stream == true", true}, {"not not stream", true}, {"-1 < 0 and .5 < 1e0", true},
        {"stream or tools and tools", true}, {"(stream or tools) and tools", false}, {"text contains ''", true}, {"private", false}};
    static const char *const bad[] = {"", "(", "tools >", "tools > 'x'", "text", "text > 1", "'a'", "tools tools", "tools > 0)", "toolz", "1x", "not", "text contains 3", "mean_logprob > 1", "tools > 0 and", "\"a"};
    struct facts f = {0};
    struct rule *r;
    slm_err err;
    (void)state;
    f.v[FACT_IN_TOKENS] = 10;
    f.v[FACT_STREAM] = 1;
    f.text[FACT_TEXT] = VIEW("a big one");
    f.text[FACT_API] = VIEW("openai");
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(rule_parse(view_of(good[i].text), FACT_OF_REQUEST, &r, &err), SLM_OK);
        if (rule_holds(r, &f) != good[i].holds) fail_msg("%s", good[i].text);
        rule_free(r);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (rule_parse(view_of(bad[i]), FACT_OF_REQUEST, &r, &err) != SLM_E_USAGE) fail_msg("%s", bad[i]);
        assert_null(r);
    }
    char deep[600];
    memset(deep, '(', sizeof deep);
    assert_int_equal(rule_parse((struct view){deep, sizeof deep}, FACT_OF_REQUEST, &r, &err), SLM_E_LIMIT);
    for (int i = 0; i < FACT_COUNT; i++) assert_true(fact_rows()[i].name && fact_rows()[i].doc && fact_rows()[i].when);
}

struct heard {
    char text[512];
    int n_until; /* stop after so many; 0: never */
};
static bool hear(void *user, const char *event, struct view data) {
    struct heard *h = user;
    size_t n = strlen(h->text);
    snprintf(h->text + n, sizeof h->text - n, "[%s|%.*s]", event, (int)data.len, data.ptr);
    return h->n_until == 0 || --h->n_until > 0;
}

static void test_sse(void **state) {
    static const char in[] = "\xEF\xBB\xBF" "data: a\r\n\r\n: note\nevent: x\ndata:b\ndata: c\n\nid: 3\n\ndata\n\rdata: d\r\rdata: never ended\n";
    static const char want[] = "[|a][x|b\nc][|][|d]";
    (void)state;
    for (size_t step = 1; step < sizeof in; step++) { /* any cut gives the same */
        struct sse s;
        struct heard h = {{0}, 0};
        sse_init(&s);
        for (size_t at = 0; at < sizeof in - 1; at += step) assert_int_equal(sse_push(&s, in + at, step < sizeof in - 1 - at ? step : sizeof in - 1 - at, hear, &h), SLM_OK);
        assert_string_equal(h.text, want);
        sse_fini(&s);
    }
    struct sse s;
    struct heard h = {{0}, 2};
    sse_init(&s);
    assert_int_equal(sse_push(&s, in, sizeof in - 1, hear, &h), SLM_E_CANCELLED);
    assert_string_equal(h.text, "[|a][x|b\nc]");
    sse_fini(&s);
}

static bool passes(struct breaker *b, double now) { /* as one that is not the probe */
    bool is_probe;
    return breaker_allows(b, now, &is_probe) && !is_probe;
}

static bool tries(struct breaker *b, double now) {
    bool is_probe;
    return breaker_allows(b, now, &is_probe) && is_probe;
}

static void test_breaker(void **state) {
    struct breaker_settings s = {.fails = 3, .window_s = 10, .open_s = 5};
    struct breaker b;
    (void)state;
    breaker_init(&b, &s);
    for (int i = 0; i < 20; i++) { /* slow failures never open it */
        assert_true(passes(&b, i * 6));
        breaker_tell(&b, i * 6, false, false);
    }
    assert_int_equal(b.state, BREAKER_CLOSED);
    breaker_init(&b, &s);
    for (int i = 0; i < 3; i++) breaker_tell(&b, 100 + i, false, false);
    assert_false(passes(&b, 103) || tries(&b, 106.9));
    assert_true(tries(&b, 107.1));
    assert_false(passes(&b, 107.2) || tries(&b, 107.2)); /* one at a time */
    breaker_tell(&b, 107.3, false, true); /* what began before it opened ends now: that is no probe */
    breaker_tell(&b, 107.4, false, false);
    breaker_forget(&b, false);
    assert_int_equal(b.state, BREAKER_TRYING);
    assert_false(passes(&b, 107.5) || tries(&b, 107.5));
    breaker_tell(&b, 108, true, false);
    assert_false(passes(&b, 112) || tries(&b, 112));
    assert_true(tries(&b, 113.1));
    breaker_forget(&b, true); /* it said nothing: another may try */
    assert_true(tries(&b, 113.2));
    breaker_tell(&b, 114, true, true);
    for (int i = 0; i < 5; i++) assert_true(passes(&b, 115));
    breaker_tell(&b, 115, false, false);
    assert_int_equal(b.state, BREAKER_CLOSED);
}

static struct privacy *all_detectors(void) {
    char *names[] = {(char[]){"email"}, (char[]){"phone"}, (char[]){"card"}, (char[]){"iban"}, (char[]){"ip"}, (char[]){"secret"}};
    struct privacy_settings s = {.detectors = names, .n_detectors = 6};
    struct privacy *p;
    slm_err err;
    assert_int_equal(privacy_create(&s, &p, &err), SLM_OK);
    return p;
}

static void test_detectors(void **state) {
    static const struct { const char *text, *label; } found[] = {
        {"jane.doe+tag@mail.example.org", "EMAIL"}, {"a@b.co", "EMAIL"}, {"4111 1111 1111 1111", "CARD"}, {"5500-0000-0000-0004", "CARD"}, {"378282246310005", "CARD"}, {"DE89 3704 0044 0532 0130 00", "IBAN"},
        {"GB82WEST12345698765432", "IBAN"}, {"CH93 0076 2011 6238 5295 7", "IBAN"}, {"192.168.17.5", "IP"}, {"2001:db8::ff00:42:8329", "IP"}, {"+41 44 668 18 00", "PHONE"}, {"(212) 555-0199", "PHONE"},
        {"212-555-0199", "PHONE"}, {"+1-202-555-0143", "PHONE"}, {"030 1234567", "PHONE"}, {"sk-abcdefghijklmnopqrstuvwx", "SECRET"}, {"AKIAIOSFODNN7EXAMPLE", "SECRET"},
        {"ghp_abcdefghijklmnopqrstuvwxyz0123456789", "SECRET"}, {"hf_abcdefghijklmnopqrstuvwxyzabcd", "SECRET"}};
    static const struct { const char *text; size_t at, n; } cards[] = {
        {"4111 1111 1111 1111 12/27", 0, 19}, {"4111111111111111 123", 0, 16}, {"4111-1111-1111-1111 123 12/27", 0, 19}, {"card 3782 822463 10005 12 27", 5, 17}, {"3 of 4111 1111 1111 1111", 5, 19},
        {"5 4111 1111 1111 1111", 2, 19}, {"35 4111111111111111", 3, 16}, {"4222222222222 99", 0, 13}};
    static const char *const none[] = {
        "4111 1111 1111 1112", "DE88 3704 0044 0532 0130 00", "0000 0000 0000 0000", "999.1.1.1", "in 1914 @ home", "at 10:30:15 on 2024-01-02", "a population of 1 234 567", "from 1939-1945 and 1914-18", "3.14159265358979",
        "std::vector::push", "GB82 WEST 1234 5698 7654 33", "version 10.2.3", "1,234,567.89", "pages 123-456", "user@localhost", "the ratio 12:34"};
    struct privacy *p = all_detectors();
    struct found f[8];
    char text[200];
    (void)state;
    for (size_t i = 0; i < sizeof found / sizeof found[0]; i++) {
        int n = snprintf(text, sizeof text, "It is %s, and so on.", found[i].text);
        size_t n_found = privacy_scan(p, (struct view){text, (size_t)n}, f, 8);
        if (n_found != 1 || strcmp(f[0].label, found[i].label) != 0 || f[0].at != 6 || f[0].n != strlen(found[i].text)) fail_msg("%s: %zu, %s, %zu+%zu", found[i].text, n_found, n_found ? f[0].label : "", f[0].at, f[0].n);
    }
    for (size_t i = 0; i < sizeof cards / sizeof cards[0]; i++) { /* what stands beside the number is not of it, and hides it not */
        size_t n = privacy_scan(p, view_of(cards[i].text), f, 8);
        if (n != 1 || f[0].at != cards[i].at || f[0].n != cards[i].n) fail_msg("%s: %zu, %zu+%zu", cards[i].text, n, f[0].at, f[0].n);
    }
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        size_t n = privacy_scan(p, view_of(none[i]), f, 8);
        if (n) fail_msg("%s: %s", none[i], f[0].label);
    }
    privacy_free(p);
}

/* Whatever comes back, in any pieces, has its originals again. */
static void test_redaction(void **state) {
    struct privacy *p = all_detectors();
    struct redaction r = {0};
    json_t *messages = json_pack("[{s:s, s:s}, {s:s, s:s}]", "role", "user", "content", "mail a@b.org, c@d.org and a@b.org; [EMAIL_1] stays", "role", "assistant", "content", "call +41 44 668 18 00");
    json_t *out = privacy_redact(p, messages, &r);
    const char *first = json_string_value(json_object_get(json_array_get(out, 0), "content"));
    (void)state;
    assert_int_equal(r.n, 3);
    assert_null(strstr(first, "@"));
    assert_string_equal(first, "mail [EMAIL_2], [EMAIL_3] and [EMAIL_2]; [EMAIL_1] stays"); /* a name that is taken is not used */
    for (size_t step = 1; step <= strlen(first); step++) {
        struct restorer t;
        struct buf back;
        buf_init(&back, 4096);
        restorer_init(&t, &r, false);
        for (size_t at = 0; at < strlen(first); at += step) restorer_push(&t, (struct view){first + at, step < strlen(first) - at ? step : strlen(first) - at}, &back);
        restorer_finish(&t, &back);
        assert_string_equal(back.data, json_string_value(json_object_get(json_array_get(messages, 0), "content")));
        restorer_fini(&t);
        buf_fini(&back);
    }
    struct restorer t;
    struct buf back;
    buf_init(&back, 4096);
    restorer_init(&t, &r, false);
    restorer_push(&t, VIEW("[EMAIL_"), &back);
    assert_int_equal(back.len, 0);
    restorer_finish(&t, &back); /* an end that looked like a beginning is told as it is */
    assert_string_equal(back.data, "[EMAIL_");
    restorer_fini(&t);
    buf_fini(&back);
    redaction_fini(&r);
    json_decref(out);
    json_decref(messages);
    privacy_free(p);
}

/* Keys and numbers that the client made, below arguments, parameters and schema; those of the APIs are left. */
static void test_free_keys(void **state) {
    static const char text[] = "{\"messages\": [{\"role\": \"assistant\", \"tool_calls\": [{\"id\": \"1\", \"function\": {\"name\": \"f\", \"arguments\": {\"a@b.org\": [4111111111111111, 17, true]}}}]}],"
                               " \"schema\": {\"properties\": {\"c@d.org\": {\"type\": \"string\"}}}, \"stop\": [\"e@f.org\"], \"n\": 4111111111111111}";
    static const char want[] = "{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"1\",\"function\":{\"name\":\"f\",\"arguments\":{\"[EMAIL_1]\":[\"[CARD_2]\",17,true]}}}]}],"
                               "\"schema\":{\"properties\":{\"[EMAIL_3]\":{\"type\":\"string\"}}},\"stop\":[\"[EMAIL_4]\"],\"n\":4111111111111111}";
    struct privacy *p = all_detectors();
    struct redaction r = {0};
    json_t *v = json_loads(text, 0, NULL), *out = privacy_redact(p, v, &r);
    char *got = json_dumps(out, JSON_COMPACT);
    (void)state;
    assert_int_equal(privacy_count(p, v), 4);
    assert_string_equal(got, want);
    assert_int_equal(privacy_count(p, out), 0);
    free(got);
    json_decref(out);
    json_decref(v);
    redaction_fini(&r);
    privacy_free(p);
}

/* More finds than are counted: nothing of the text leaves, also not what a later detector would have found. */
static void test_many_finds(void **state) {
    struct privacy *p = all_detectors();
    struct redaction r = {0};
    struct buf text;
    (void)state;
    buf_init(&text, 1 << 20);
    buf_puts(&text, "4111 1111 1111 1111 ");
    for (int i = 0; i < 5000; i++) buf_puts(&text, "a@b.org ");
    json_t *v = json_stringn(text.data, text.len), *out = privacy_redact(p, v, &r);
    assert_string_equal(json_string_value(out), "[EMAIL_1]");
    assert_string_equal(r.v[0].original, text.data);
    json_decref(out);
    json_decref(v);
    redaction_fini(&r);
    buf_fini(&text);
    privacy_free(p);
}

static void test_signals(void **state) {
    float logp[20];
    struct facts f = {0};
    (void)state;
    for (int i = 0; i < 20; i++) logp[i] = -0.1f * (float)(20 - i);
    signals_read(logp, 20, VIEW("one two three four five one two three four five one two three four five"), &f);
    assert_true(fabs(f.v[FACT_MEAN_LOGPROB] + 1.05) < 1e-6 && fabs(f.v[FACT_MIN_LOGPROB] + 2) < 1e-6 && fabs(f.v[FACT_Q10_LOGPROB] + 1.9) < 1e-6 && fabs(f.v[FACT_FIRST_LOGPROB] + 2) < 1e-6);
    assert_true(fabs(f.v[FACT_REPEATS] - 6.0 / 11) < 1e-9);
    signals_read(logp, 0, VIEW(""), &f);
    assert_true(f.v[FACT_OUT_TOKENS] == 0 && f.v[FACT_REPEATS] == 0);
}

static void test_cache(void **state) {
    struct answer_cache *c;
    struct cache_settings s = {.entries = 2, .ttl_s = 100};
    json_t *m = json_pack("[{s:s, s:s}]", "role", "user", "content", "x");
    struct ask a = {.messages = m, .temperature = NAN, .top_p = NAN, .presence_penalty = NAN, .frequency_penalty = NAN, .top_k = -1, .n_max = -1}, b = a;
    uint8_t key[CACHE_KEY_BYTES], other[CACHE_KEY_BYTES], third[CACHE_KEY_BYTES];
    struct kept_answer k = {0}, got;
    struct question *none = NULL;
    slm_err err;
    (void)state;
    assert_int_equal(answer_cache_create(&s, &c, &err), SLM_OK);
    assert_true(answer_cache_key(&a, "me", key) && answer_cache_key(&a, "you", other));
    assert_memory_not_equal(key, other, CACHE_KEY_BYTES);
    b.temperature = 1;
    assert_true(answer_cache_key(&b, "me", third));
    assert_memory_not_equal(key, third, CACHE_KEY_BYTES);
    kept_add(&k, OUTPUT_TEXT, VIEW("a"));
    kept_add(&k, OUTPUT_TEXT, VIEW("b"));
    kept_add(&k, OUTPUT_CALL_BEGIN, VIEW("f"));
    answer_cache_put(c, key, &none, &k);
    assert_true(answer_cache_get(c, key, &got));
    assert_int_equal(got.n, 2);
    assert_int_equal(got.v[0].n, 2);
    kept_fini(&got);
    answer_cache_put(c, other, &none, &(struct kept_answer){0});
    assert_true(answer_cache_get(c, key, &got)); /* now the newest */
    kept_fini(&got);
    answer_cache_put(c, third, &none, &(struct kept_answer){0});
    assert_false(answer_cache_get(c, other, &got));
    assert_true(answer_cache_get(c, key, &got));
    kept_fini(&got);
    answer_cache_destroy(c);
    json_decref(m);
}

static void test_ledger(void **state) {
    char path[64], lock[80];
    struct budget_settings b = {.usd_per_day = 10e-9};
    struct ledger *l, *second;
    struct attempt a = {.request = "r", .attempt = "a", .upstream = "u", .model = "m", .kind = "answer", .cap = 4};
    int64_t id[4];
    nano_usd day, month;
    slm_err err;
    (void)state;
    snprintf(path, sizeof path, "/tmp/slm-ledger-%d.sqlite", (int)getpid());
    assert_int_equal(ledger_open(path, &b, &l, &err), SLM_OK);
    assert_int_equal(ledger_open(path, &b, &second, &err), SLM_E_BUSY);
    assert_int_equal(ledger_begin(l, &a, &id[0], &err), SLM_OK);
    assert_int_equal(ledger_begin(l, &a, &id[1], &err), SLM_OK);
    assert_int_equal(ledger_begin(l, &a, &id[2], &err), SLM_E_LIMIT); /* 8 are open, 12 would be too much */
    ledger_end(l, id[0], &a, &(struct attempt_end){.state = "done", .cost = 1});
    assert_int_equal(ledger_begin(l, &a, &id[2], &err), SLM_OK); /* 1 + 4 + 4 */
    ledger_spent(l, &day, &month);
    assert_int_equal(day, 9);
    ledger_close(l); /* as if killed: two are open */
    assert_int_equal(ledger_open(path, &b, &l, &err), SLM_OK);
    ledger_spent(l, &day, &month);
    assert_int_equal(day, 9);
    assert_int_equal(month, 9);
    ledger_close(l);
    snprintf(lock, sizeof lock, "%s.lock", path);
    unlink(path);
    unlink(lock);
}

static slm_status drop_part(void *user, const struct output_event *e) {
    (void)e;
    ++*(int *)user;
    return SLM_OK;
}

/* One absurd number of an upstream is neither a negative cost nor the end of all budgets. */
/* A ledger of an earlier version, without the column key, is taken over. Verdicts are of the key that asked, and the last one holds; kinds of attempts have limits of
 * their own, for those together that are under way; a settling is written with what comes next. */
static void test_ledger_rows(void **state) {
    static const char old[] = "CREATE TABLE requests (id INTEGER PRIMARY KEY, at INTEGER NOT NULL DEFAULT (unixepoch()), request TEXT NOT NULL, api TEXT NOT NULL, tier TEXT NOT NULL, model TEXT NOT NULL,"
                              " reason TEXT NOT NULL, cache TEXT NOT NULL, escalated INTEGER NOT NULL, degraded INTEGER NOT NULL, score REAL, n_in INTEGER NOT NULL, n_out INTEGER NOT NULL, nano_usd INTEGER NOT NULL,"
                              " saved_nano_usd INTEGER NOT NULL, http INTEGER NOT NULL, seconds REAL NOT NULL, signals TEXT, verdict INTEGER, agrees INTEGER);"
                              "INSERT INTO requests (at, request, api, tier, model, reason, cache, escalated, degraded, n_in, n_out, nano_usd, saved_nano_usd, http, seconds)"
                              " VALUES (1000, 'old', 'a', 'local', 'm', 'r', 'c', 0, 0, 1, 1, 0, 0, 200, 1)";
    char path[64], lock[80];
    struct budget_settings b = {.usd_per_day = 0};
    struct ledger *l;
    struct attempt a = {.request = "r", .attempt = "a", .upstream = "u", .model = "m", .kind = "shadow", .cap = 4, .kind_max = 10}, other = a;
    struct decision d = {.request = "r", .api = "openai", .tier = "local", .model = "m", .reason = "", .cache = "", .key = "ann", .score = NAN, .signals = "{}"};
    int64_t id;
    sqlite3 *db;
    slm_err err;
    (void)state;
    snprintf(path, sizeof path, "/tmp/slm-rows-%d.sqlite", (int)getpid());
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, old, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(ledger_open(path, &b, &l, &err), SLM_OK);
    other.kind = "answer";
    other.kind_max = 0;
    assert_int_equal(ledger_begin(l, &a, &id, &err), SLM_OK);
    assert_int_equal(ledger_begin(l, &a, &id, &err), SLM_OK);
    assert_int_equal(ledger_begin(l, &a, &(int64_t){0}, &err), SLM_E_LIMIT); /* 8 of 10 are set aside */
    assert_int_equal(ledger_begin(l, &other, &(int64_t){0}, &err), SLM_OK);
    ledger_end(l, id, &a, &(struct attempt_end){.state = "done", .cost = 1});
    assert_int_equal(ledger_begin(l, &a, &(int64_t){0}, &err), SLM_OK);
    ledger_end(l, id, &a, &(struct attempt_end){.state = "done", .cost = 1}); /* in the report, though nothing was written since */
    ledger_note(l, &d);
    assert_false(ledger_verdict(l, "r", "bob", false));
    assert_false(ledger_verdict(l, "nobody's", "ann", false));
    assert_true(ledger_verdict(l, "r", "ann", false));
    assert_true(ledger_verdict(l, "r", "ann", true));
    assert_true(ledger_verdict(l, "old", "-", true));
    json_t *all = ledger_report(l, 0), *recent = ledger_report(l, (double)time(NULL) - 100);
    assert_int_equal(json_integer_value(json_object_get(all, "requests")), 2);
    assert_int_equal(json_integer_value(json_object_get(recent, "requests")), 1);
    assert_int_equal(json_real_value(json_object_get(json_object_get(recent, "local_right"), "value")), 1);
    json_decref(all);
    json_decref(recent);
    ledger_close(l);
    snprintf(lock, sizeof lock, "%s.lock", path);
    unlink(path);
    unlink(lock);
}

/* However much upstreams say that they bill, sums do not turn round, a report has its rows and the next start reads them; and with nothing left what costs nothing may begin. */
static void test_ledger_sums(void **state) {
    static const char many[] = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) INSERT INTO attempts (request, attempt, upstream, kind, model, state, n_in, nano_usd)"
                               " SELECT 'r', 'a', 'u', 'answer', 'm', 'done', 4000000000000000000, 1000000000000000 FROM n";
    char path[64], lock[80];
    struct budget_settings b = {.usd_per_day = 1};
    struct ledger *l;
    struct attempt a = {.request = "r", .attempt = "a", .upstream = "u", .model = "m", .kind = "hedge"}, dear = a;
    nano_usd day, month;
    sqlite3 *db;
    int64_t id;
    slm_err err;
    (void)state;
    snprintf(path, sizeof path, "/tmp/slm-sums-%d.sqlite", (int)getpid());
    assert_int_equal(ledger_open(path, &b, &l, &err), SLM_OK);
    for (int i = 0; i < 20000; i++) ledger_end(l, 0, &a, &(struct attempt_end){.state = "done", .cost = NANO_USD_MAX});
    ledger_spent(l, &day, &month);
    assert_true(day > NANO_USD_MAX && month > NANO_USD_MAX);
    dear.cap = 1;
    assert_int_equal(ledger_begin(l, &dear, &id, &err), SLM_E_LIMIT);
    assert_int_equal(ledger_begin(l, &a, &id, &err), SLM_OK);
    ledger_close(l);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, many, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(ledger_open(path, &b, &l, &err), SLM_OK);
    ledger_spent(l, &day, &month);
    assert_true(day > NANO_USD_MAX && month > NANO_USD_MAX);
    json_t *v = ledger_report(l, 0);
    assert_int_equal(json_array_size(json_object_get(v, "attempts")), 2);
    json_decref(v);
    ledger_close(l);
    snprintf(lock, sizeof lock, "%s.lock", path);
    unlink(path);
    unlink(lock);
}

/* A name that is used again, by the same key or by another, changes nothing about the answers that had it before. */
static void test_ledger_names(void **state) {
    char path[64], lock[80];
    struct budget_settings b = {.usd_per_day = 0};
    struct ledger *l;
    struct decision d = {.request = "r", .api = "openai", .tier = "local", .model = "m", .reason = "", .cache = "", .key = "ann", .score = NAN, .signals = "{}"};
    struct buf out;
    slm_err err;
    (void)state;
    snprintf(path, sizeof path, "/tmp/slm-names-%d.sqlite", (int)getpid());
    assert_int_equal(ledger_open(path, &b, &l, &err), SLM_OK);
    int64_t first = ledger_note(l, &d), second = ledger_note(l, &d);
    d.key = "bob";
    int64_t others = ledger_note(l, &d);
    assert_true(first > 0 && second > first && others > second);
    ledger_agrees(l, others, false);
    ledger_agrees(l, first, true);
    assert_true(ledger_verdict(l, "r", "ann", false));
    buf_init(&out, 4096);
    ledger_answers(l, "chat", &out);
    const char *right[] = {"\"right\":true", "\"right\":false", "\"right\":false"}, *line = out.data;
    for (int i = 0; i < 3; i++, line = strchr(line, '\n') + 1) assert_ptr_equal(strstr(line, "\"right\""), strstr(line, right[i]));
    buf_fini(&out);
    ledger_close(l);
    snprintf(lock, sizeof lock, "%s.lock", path);
    unlink(path);
    unlink(lock);
}

static int64_t first_by_search(double since, int n, const int *times) {
    char sql[120];
    sqlite3 *db;
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE t (id INTEGER PRIMARY KEY, at INTEGER)", NULL, NULL, NULL), SQLITE_OK);
    for (int i = 0; i < n; i++) {
        snprintf(sql, sizeof sql, "INSERT INTO t VALUES (%d, %d)", 3 * i + 1, times[i]);
        assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    }
    int64_t id = ledger_first_id(db, "t", since);
    sqlite3_close(db);
    return id;
}

/* The first row of a time by halving, a day before it because of clocks; ids have gaps. */
static void test_first_id(void **state) {
    const int times[] = {100000, 200000, 300000, 300000, 400000};
    (void)state;
    for (int since = 0; since < 600000; since += 10000) {
        int64_t id = first_by_search(since, 5, times);
        for (int i = 0; i < 5; i++)
            if (times[i] >= since - 86400) assert_true(id <= 3 * i + 1);
            else assert_true(id > 3 * i + 1);
    }
    assert_true(first_by_search(5, 0, times) >= 0);
}

/* A value is looked at together with the key it hangs under; what a thousand finds take does not grow with their square. */
static void test_named_values(void **state) {
    static const char text[] = "{\"arguments\": {\"password\": \"hunter2secret\", \"note\": \"hunter2secret\", \"pin\": {\"api_key\": 12345678}, \"passphrase\": [\"opensesame\"]}, \"password\": \"a field of the API\"}";
    static const char want[] = "{\"arguments\":{\"password\":\"[SECRET_1]\",\"note\":\"hunter2secret\",\"pin\":{\"api_key\":\"[SECRET_2]\"},\"passphrase\":[\"[SECRET_3]\"]},\"password\":\"a field of the API\"}";
    struct privacy *p = all_detectors();
    struct redaction r = {0};
    json_t *v = json_loads(text, 0, NULL), *out = privacy_redact(p, v, &r);
    char *got = json_dumps(out, JSON_COMPACT);
    (void)state;
    assert_string_equal(got, want);
    assert_int_equal(privacy_count(p, v), 3);
    free(got);
    json_decref(out);
    json_decref(v);
    redaction_fini(&r);
    privacy_free(p);
}

static void test_many_placeholders(void **state) {
    struct privacy *p = all_detectors();
    struct redaction r = {0};
    char text[64];
    json_t *v = json_array();
    (void)state;
    for (int i = 0; i < 60000; i++) {
        snprintf(text, sizeof text, "mail %d@example.org", i % 30000);
        json_array_append_new(v, json_string(text));
    }
    json_array_append_new(v, json_string("[FIGURE_12] and [CARD_1234567890]"));
    double t0 = (double)clock();
    json_t *out = privacy_redact(p, v, &r);
    assert_true(((double)clock() - t0) / CLOCKS_PER_SEC < 20); /* a square of these took minutes */
    assert_int_equal(r.n, 30000);
    assert_string_equal(json_string_value(json_array_get(out, 30001)), "mail [EMAIL_14]");
    struct restorer t;
    struct buf back;
    buf_init(&back, 4096);
    restorer_init(&t, &r, false);
    restorer_push(&t, VIEW("[EMAIL_14], [EMAIL_12], [EMAIL_30012], [PHONE_14] [EMAIL_014]"), &back);
    restorer_finish(&t, &back);
    assert_string_equal(back.data, "1@example.org, [EMAIL_12], 29999@example.org, [PHONE_14] [EMAIL_014]");
    restorer_fini(&t);
    buf_fini(&back);
    json_decref(out);
    json_decref(v);
    redaction_fini(&r);
    privacy_free(p);
}

static void test_errors(void **state) {
    static const struct { const char *v; bool is; } rows[] = {{"{\"error\": {}}", true}, {"{\"error\": \"overloaded\"}", true}, {"{\"error\": null}", false}, {"{}", false}, {"{\"error\": \"\"}", false},
                                                             {"{\"error\": false}", false}, {"{\"error\": 500}", true}, {"{\"error\": [\"x\"]}", true}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        json_t *v = json_loads(rows[i].v, 0, NULL);
        if (wire_is_error(json_object_get(v, "error")) != rows[i].is) fail_msg("%s", rows[i].v);
        json_decref(v);
    }
}

static void test_usage(void **state) {
    static const struct { enum wire_kind kind; const char *text; uint64_t n_in, n_out; } rows[] = {
        {WIRE_OPENAI, "{\"usage\": {\"prompt_tokens\": 9223372036854775807, \"completion_tokens\": 7}}", WIRE_TOKENS_MAX, 7},
        {WIRE_OPENAI, "{\"usage\": {\"prompt_tokens\": -5, \"completion_tokens\": 1e300}}", 0, 0},
        {WIRE_ANTHROPIC, "{\"type\": \"message_delta\", \"usage\": {\"input_tokens\": 3, \"cache_read_input_tokens\": 9223372036854775807, \"output_tokens\": 9223372036854775807}}", WIRE_TOKENS_MAX + 3, WIRE_TOKENS_MAX},
        {WIRE_GEMINI, "{\"usageMetadata\": {\"promptTokenCount\": 4, \"candidatesTokenCount\": 9223372036854775807, \"thoughtsTokenCount\": 9223372036854775807}}", 4, 2 * (uint64_t)WIRE_TOKENS_MAX}};
    struct upstream_settings u = {.price_in = USD_MAX, .price_out = 1};
    struct tier_settings s = {.upstreams = &u, .n_upstreams = 1};
    struct upstreams *us;
    slm_err err;
    int n_parts = 0;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wire_in w;
        json_t *v = json_loads(rows[i].text, 0, NULL);
        wire_in_init(&w, drop_part, &n_parts);
        wire_get(rows[i].kind)->event(&w, "", v);
        if (w.n_in != rows[i].n_in || w.n_out != rows[i].n_out) fail_msg("%s: %llu, %llu", rows[i].text, (unsigned long long)w.n_in, (unsigned long long)w.n_out);
        assert_int_equal(w.has_in, rows[i].n_in > 0);
        json_decref(v);
    }
    assert_int_equal(n_parts, 0);
    assert_int_equal(upstreams_create(&s, NULL, &us, &err), SLM_OK);
    assert_int_equal(frontier_price(us, UINT64_MAX, UINT64_MAX), NANO_USD_MAX);
    assert_int_equal(frontier_price(us, 2, 3), 2000003000);
    upstreams_destroy(us);
}

/* Gemini's thoughts come with any event, also without the answer's count, and are added once. */
static void test_thoughts(void **state) {
    static const char *const events[] = {"{\"usageMetadata\": {\"promptTokenCount\": 2, \"thoughtsTokenCount\": 5}}", "{\"usageMetadata\": {\"thoughtsTokenCount\": 8}}", "{\"usageMetadata\": {\"candidatesTokenCount\": 3}}",
                                         "{\"usageMetadata\": {\"candidatesTokenCount\": 4, \"thoughtsTokenCount\": 8}}"};
    struct wire_in w;
    int n_parts = 0;
    (void)state;
    wire_in_init(&w, drop_part, &n_parts);
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
        json_t *v = json_loads(events[i], 0, NULL);
        wire_gemini.event(&w, "", v);
        json_decref(v);
    }
    assert_int_equal(w.n_out, 12);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rules), cmocka_unit_test(test_sse), cmocka_unit_test(test_breaker), cmocka_unit_test(test_detectors), cmocka_unit_test(test_redaction), cmocka_unit_test(test_free_keys), cmocka_unit_test(test_many_finds),
                                       cmocka_unit_test(test_signals), cmocka_unit_test(test_cache), cmocka_unit_test(test_ledger), cmocka_unit_test(test_ledger_rows), cmocka_unit_test(test_ledger_names), cmocka_unit_test(test_ledger_sums), cmocka_unit_test(test_first_id), cmocka_unit_test(test_named_values), cmocka_unit_test(test_many_placeholders), cmocka_unit_test(test_errors),
                                       cmocka_unit_test(test_usage), cmocka_unit_test(test_thoughts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
