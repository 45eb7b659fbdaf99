/* Teachers: a small HTTP server on loopback that fails in every way it can; answers that are kept, budgets, filters; and our own model. */
#include <arpa/inet.h>
#include <math.h>
#include <signal.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <time.h>

#include "test.h"

#include "train/teacher.h"

/* The server. A prompt "q N" is answered with "label N % 3", one sample in four with a wrong one; what else happens is told by mode. */
enum mode { MODE_GOOD, MODE_STUMBLE, MODE_REFUSE, MODE_DOWN, MODE_NONSENSE, MODE_BROKEN };
static struct {
    int fd, port;
    pthread_t thread;
    atomic_int mode, n_request, n_good, n_auth, die_after; /* die_after: good answers until MODE_DOWN; 0: never */
} server;
static char folder[] = "/tmp/slm-teacher-XXXXXX";

static void reply(int fd, int status, const char *headers, const char *body) {
    char text[4096];
    int n = snprintf(text, sizeof text, "HTTP/1.1 %d X\r\nContent-Length: %zu\r\nConnection: close\r\n%s\r\n%s", status, strlen(body), headers, body);
    if (write(fd, text, (size_t)n) != n) close(fd);
}

static void good(int fd, const char *request) {
    char body[1024];
    const char *q = strstr(request, "\"content\":\"q "), *seed = strstr(request, "\"seed\":");
    int number = q ? (int)strtol(q + 13, NULL, 10) : 0, sample = seed ? (int)strtol(seed + 7, NULL, 10) : 0;
    int label = (number + (sample == 1 && number % 4 == 0)) % 3; /* sample 1 is wrong for every fourth */
    snprintf(body, sizeof body, "{\"choices\":[{\"message\":{\"role\":\"assistant\",\"content\":\" label %d\\n\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":2}}", label);
    reply(fd, 200, "Content-Type: application/json\r\n", body);
    if (atomic_fetch_add(&server.n_good, 1) + 1 == atomic_load(&server.die_after)) atomic_store(&server.mode, MODE_DOWN);
}

static void answer(int fd, const char *request) {
    int n = atomic_fetch_add(&server.n_request, 1);
    if (strstr(request, "Authorization: Bearer sekrit\r\n")) atomic_fetch_add(&server.n_auth, 1);
    switch (atomic_load(&server.mode)) {
    case MODE_STUMBLE:
        switch (n % 5) {
        case 0: reply(fd, 429, "Retry-After: 0.02\r\n", "{\"error\":{\"message\":\"slow down\"}}"); return;
        case 1: reply(fd, 500, "", "oops"); return;
        case 2: nanosleep(&(struct timespec){.tv_nsec = 400 * 1000000}, NULL); return; /* a time-out, then a closed connection */
        case 3: return;
        default: good(fd, request); return;
        }
    case MODE_REFUSE: reply(fd, 401, "", "{\"error\":{\"message\":\"no such key\"}}"); return;
    case MODE_DOWN: reply(fd, 503, "", "{}"); return;
    case MODE_NONSENSE: reply(fd, 200, "", "{\"choices\":[]}"); return;
    case MODE_BROKEN: reply(fd, 200, "", "not json \x01"); return;
    default: good(fd, request);
    }
}

static void *serve(void *user) {
    (void)user;
    for (;;) {
        int fd = accept(server.fd, NULL, NULL);
        if (fd < 0) return NULL;
        char request[16384];
        size_t n = 0, want = 0;
        while (n < sizeof request - 1) {
            ssize_t got = read(fd, request + n, sizeof request - 1 - n);
            if (got <= 0) break;
            n += (size_t)got;
            request[n] = 0;
            const char *end = strstr(request, "\r\n\r\n"), *length = strstr(request, "Content-Length: ");
            if (end && length) want = (size_t)(end + 4 - request) + (size_t)strtol(length + 16, NULL, 10);
            if (want && n >= want) break;
        }
        if (want && n >= want) answer(fd, request);
        close(fd);
    }
}

static void server_reset(enum mode mode) {
    atomic_store(&server.mode, mode);
    atomic_store(&server.n_request, 0);
    atomic_store(&server.n_good, 0);
    atomic_store(&server.n_auth, 0);
    atomic_store(&server.die_after, 0);
}

static const char *path_of(const char *name) {
    static char ring[8][256];
    static int next;
    char *path = ring[next++ % 8];
    snprintf(path, sizeof ring[0], "%s/%s", folder, name);
    return path;
}

static const char *write_pool(int n) {
    const char *path = path_of("pool.jsonl");
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (int i = 0; i < n; i++) fprintf(f, "{\"prompt\": \"q %d\"}\n", i);
    fclose(f);
    return path;
}

static struct teacher *open_teacher(const char *cache, uint64_t budget) {
    static char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/v1/", server.port);
    struct teacher_params p = {.url = url, .name = "big", .api_key = "sekrit", .cache_path = cache, .temperature = 0.7f, .n_max = 16, .timeout_ms = 200, .n_try = 6,
                               .pause_ms = 5, .budget_tokens = budget};
    struct teacher *t;
    slm_err err;
    if (teacher_open(&p, &t, &err) != SLM_OK) fail_msg("%s", err.msg);
    return t;
}

static int count_lines(const char *path, const char *part) {
    char line[1024];
    int n = 0;
    FILE *f = fopen(path, "r");
    if (!f) return -1;
    while (fgets(line, sizeof line, f)) n += strstr(line, part) != NULL;
    fclose(f);
    return n;
}

static slm_status run_pool(struct teacher *t, const char *pool, const char *out, const char *labels, const char *filter, struct teacher_pool_stats *stats, slm_err *err) {
    struct teacher_pool_params p = {.paths = &pool, .n_paths = 1, .format = DATA_UNLABELLED, .out_path = out, .labels_path = labels, .dedup = true};
    assert_int_equal(teacher_filter_parse(filter, &p.filter, err), SLM_OK);
    return teacher_pool(t, &p, stats, err);
}

/* Every fault that passes is tried again; every prompt is answered once. */
static void test_stumbling(void **state) {
    (void)state;
    struct teacher_pool_stats stats;
    slm_err err;
    const char *out = path_of("out.jsonl"), *pool = write_pool(6);
    server_reset(MODE_STUMBLE);
    struct teacher *t = open_teacher(path_of("a.sqlite"), 0);
    if (run_pool(t, pool, out, NULL, "", &stats, &err) != SLM_OK) fail_msg("%s", err.msg);
    assert_int_equal(stats.n_kept, 6);
    assert_int_equal(atomic_load(&server.n_good), 6);
    assert_int_equal(atomic_load(&server.n_request), 30);
    assert_int_equal(atomic_load(&server.n_auth), 30);
    assert_int_equal(stats.n_completion_tokens, 12);
    assert_int_equal(count_lines(out, "\"content\":\"label 1\"}"), 2);
    teacher_close(t);
    t = open_teacher(path_of("a.sqlite"), 0); /* the same again costs nothing */
    assert_int_equal(run_pool(t, pool, out, NULL, "", &stats, &err), SLM_OK);
    assert_int_equal(atomic_load(&server.n_request), 30);
    assert_int_equal(stats.n_cached, 6);
    assert_int_equal(count_lines(path_of("a.sqlite"), "sekrit"), 0);
    teacher_close(t);
}

/* The server dies in mid-work: nothing half written, and what was answered is not asked again. */
static void test_goes_on(void **state) {
    (void)state;
    struct teacher_pool_stats stats;
    slm_err err;
    const char *out = path_of("on.jsonl"), *pool = write_pool(10);
    server_reset(MODE_GOOD);
    atomic_store(&server.die_after, 4);
    struct teacher *t = open_teacher(path_of("b.sqlite"), 0);
    assert_int_equal(run_pool(t, pool, out, NULL, "", &stats, &err), SLM_E_NETWORK);
    assert_non_null(strstr(err.msg, "status 503"));
    assert_non_null(strstr(err.msg, "after 6 tries"));
    assert_int_equal(count_lines(out, ""), -1);
    teacher_close(t);
    server_reset(MODE_GOOD);
    t = open_teacher(path_of("b.sqlite"), 0);
    assert_int_equal(run_pool(t, pool, out, NULL, "", &stats, &err), SLM_OK);
    assert_int_equal(atomic_load(&server.n_request), 6);
    assert_int_equal(stats.n_cached, 4);
    assert_int_equal(count_lines(out, "label"), 10);
    teacher_close(t);
}

static void test_budget(void **state) {
    (void)state;
    struct teacher_pool_stats stats;
    slm_err err;
    const char *out = path_of("budget.jsonl"), *pool = write_pool(10);
    server_reset(MODE_GOOD);
    struct teacher *t = open_teacher(path_of("c.sqlite"), 30); /* 12 an answer */
    assert_int_equal(run_pool(t, pool, out, NULL, "", &stats, &err), SLM_OK);
    assert_true(stats.budget_ended);
    assert_int_equal(atomic_load(&server.n_request), 3);
    assert_int_equal(count_lines(out, "label"), 3);
    teacher_close(t);
}

static void test_agreement(void **state) {
    (void)state;
    struct teacher_pool_stats stats;
    slm_err err;
    const char *out = path_of("agree.jsonl"), *pool = write_pool(12), *labels = path_of("labels.txt");
    FILE *f = fopen(labels, "w");
    fputs("label 0\nlabel 1\nlabel 2\n", f);
    fclose(f);
    server_reset(MODE_GOOD);
    struct teacher *t = open_teacher(path_of("d.sqlite"), 0);
    if (run_pool(t, pool, out, labels, "agree:2/3", &stats, &err) != SLM_OK) fail_msg("%s", err.msg);
    assert_int_equal(stats.n_kept, 12);
    for (int i = 0; i < 12; i++) {
        char want[80];
        snprintf(want, sizeof want, "{\"text\":\"q %d\",\"label\":\"label %d\"}", i, i % 3);
        assert_int_equal(count_lines(out, want), 1);
    }
    assert_int_equal(atomic_load(&server.n_request), 9 * 2 + 3 * 3); /* the third only where two differ */
    teacher_close(t);
    t = open_teacher(path_of("d.sqlite"), 0);
    assert_int_equal(run_pool(t, pool, out, labels, "agree:2/2", &stats, &err), SLM_OK);
    assert_int_equal(stats.n_kept, 9);
    assert_int_equal(stats.n_dropped_agree, 3);
    assert_int_equal(run_pool(t, pool, out, NULL, "len:100-200", &stats, &err), SLM_E_USAGE); /* nothing is kept: nothing is written */
    assert_non_null(strstr(err.hint, "12 by length"));
    assert_int_equal(count_lines(out, "label"), 9);
    assert_int_equal(run_pool(t, pool, out, NULL, "json", &stats, &err), SLM_E_USAGE);
    assert_int_equal(stats.n_dropped_json, 12);
    assert_int_equal(run_pool(t, pool, out, NULL, "minlogprob:-1", &stats, &err), SLM_E_USAGE); /* this server gives none */
    teacher_close(t);
}

static void test_refusals(void **state) {
    (void)state;
    static const struct {
        enum mode mode;
        slm_status status;
        const char *msg;
        int n_request;
    } cases[] = {
        {MODE_REFUSE, SLM_E_NETWORK, "status 401: \"no such key\"", 1},
        {MODE_NONSENSE, SLM_E_FORMAT, "no choices[0]", 1},
        {MODE_BROKEN, SLM_E_FORMAT, "no choices[0]", 1},
        {MODE_DOWN, SLM_E_NETWORK, "status 503", 6},
    };
    slm_err err;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct teacher *t = open_teacher(NULL, 0);
        struct teacher_answer a;
        json_t *messages = json_pack("[{s:s, s:s}]", "role", "user", "content", "q 1");
        server_reset(cases[i].mode);
        assert_int_equal(teacher_ask(t, messages, 0, &a, &err), cases[i].status);
        if (!strstr(err.msg, cases[i].msg)) fail_msg("case %zu: %s", i, err.msg);
        assert_int_equal(atomic_load(&server.n_request), cases[i].n_request);
        assert_null(a.text);
        assert_null(strstr(err.msg, "sekrit"));
        json_decref(messages);
        teacher_close(t);
    }
    struct teacher *t;
    struct teacher_params p = {.url = "ftp://x", .name = "m"};
    assert_int_equal(teacher_open(&p, &t, &err), SLM_E_USAGE);
    p.url = "http://x", p.name = NULL;
    assert_int_equal(teacher_open(&p, &t, &err), SLM_E_USAGE);
    p.url = NULL;
    assert_int_equal(teacher_open(&p, &t, &err), SLM_E_USAGE);
    struct teacher_filter f;
    assert_int_equal(teacher_filter_parse("lenn:1-2", &f, &err), SLM_E_USAGE);
    assert_non_null(strstr(err.hint, "\"len\""));
    assert_int_equal(teacher_filter_parse("len:5-2", &f, &err), SLM_E_USAGE);
    assert_int_equal(teacher_filter_parse("agree:3/2", &f, &err), SLM_E_USAGE);
    assert_int_equal(teacher_filter_parse("agree:1/33", &f, &err), SLM_E_USAGE);
    assert_int_equal(teacher_filter_parse("minlogprob:x", &f, &err), SLM_E_USAGE);
    assert_int_equal(teacher_filter_parse("len:1-500,json,label,agree:2/3,minlogprob:-1.5,minconf:0.5", &f, &err), SLM_OK);
    assert_true(f.len_max == 500 && f.json && f.in_labels && f.agree == 2 && f.of == 3);
}

static void test_cancel(void **state) {
    (void)state;
    static _Atomic bool cancel = true;
    char url[64];
    slm_err err;
    snprintf(url, sizeof url, "http://127.0.0.1:%d/v1", server.port);
    struct teacher_params p = {.url = url, .name = "big", .n_max = 4, .cancel = &cancel};
    struct teacher *t;
    struct teacher_answer a;
    json_t *messages = json_pack("[{s:s, s:s}]", "role", "user", "content", "q 1");
    assert_int_equal(teacher_open(&p, &t, &err), SLM_OK);
    assert_int_equal(teacher_ask(t, messages, 0, &a, &err), SLM_E_CANCELLED);
    json_decref(messages);
    teacher_close(t);
}

static void test_our_model(void **state) {
    (void)state;
    struct slm_model *m;
    struct chat_template *tmpl;
    struct teacher *t;
    struct teacher_pool_stats stats;
    slm_err err;
    static const char source[] = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}";
    assert_int_equal(model_open(test_data("golden/logits/llama.gguf"), 0, &m, &err), SLM_OK);
    assert_int_equal(chat_template_create(&(struct chat_template_source){.text = VIEW(source), .tok = m->tok}, &tmpl, &err), SLM_OK);
    struct teacher_params p = {.model = m, .tmpl = tmpl, .cache_path = path_of("own.sqlite"), .n_max = 6, .session = {.n_ctx = 128, .n_threads = 1, .kv_type = KV_TYPE_AUTO}};
    if (teacher_open(&p, &t, &err) != SLM_OK) fail_msg("%s", err.msg);
    struct teacher_answer a, b;
    json_t *messages = json_pack("[{s:s, s:s}]", "role", "user", "content", "hello");
    assert_int_equal(teacher_ask(t, messages, 0, &a, &err), SLM_OK);
    assert_int_equal(teacher_ask(t, messages, 0, &b, &err), SLM_OK);
    assert_false(a.is_cached);
    assert_true(b.is_cached && strcmp(a.text, b.text) == 0 && a.logprob_mean < 0 && fabs((double)(a.logprob_mean - b.logprob_mean)) < 1e-6);
    teacher_answer_fini(&a);
    teacher_answer_fini(&b);
    json_decref(messages);
    /* labels are scored, so every prompt gets one of them */
    const char *labels = path_of("labels2.txt"), *out = path_of("own.jsonl");
    FILE *f = fopen(labels, "w");
    fputs("yes\nno\nperhaps\n", f);
    fclose(f);
    if (run_pool(t, write_pool(5), out, labels, "", &stats, &err) != SLM_OK) fail_msg("%s", err.msg);
    assert_int_equal(stats.n_kept, 5);
    assert_int_equal(count_lines(out, "\"confidence\":"), 5);
    teacher_close(t);
    chat_template_destroy(tmpl);
    model_close(m);
}

static int set_up(void **state) {
    (void)state;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    server.fd = socket(AF_INET, SOCK_STREAM, 0);
    if (server.fd < 0 || bind(server.fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(server.fd, 16) != 0) return 1;
    getsockname(server.fd, (struct sockaddr *)&at, &n);
    server.port = ntohs(at.sin_port);
    unsetenv("http_proxy"), unsetenv("HTTP_PROXY"), unsetenv("all_proxy"), unsetenv("ALL_PROXY");
    return !mkdtemp(folder) || pthread_create(&server.thread, NULL, serve, NULL) != 0;
}

static int tear_down(void **state) {
    char command[100];
    (void)state;
    shutdown(server.fd, SHUT_RDWR);
    close(server.fd);
    pthread_join(server.thread, NULL);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stumbling), cmocka_unit_test(test_goes_on), cmocka_unit_test(test_budget), cmocka_unit_test(test_agreement),
        cmocka_unit_test(test_refusals),  cmocka_unit_test(test_cancel),  cmocka_unit_test(test_our_model),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
