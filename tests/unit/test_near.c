/* test_near.c -- questions that ask the same and questions that only look so; the cache over them; how long an upstream is silent. */
#include "test.h"

#include <jansson.h>
#include <math.h>

#include "tier/cache.h"
#include "tier/silence.h"

static char *form_of(const char *text) {
    struct buf b;
    buf_init(&b, 4 * NEAR_BYTES_MAX);
    char *form = near_form(view_of(text), &b) ? strndup(b.data, b.len) : NULL;
    buf_fini(&b);
    return form;
}

static bool asks_same(const char *a, const char *b) {
    char *x = form_of(a), *y = form_of(b);
    bool is = x && y && strcmp(x, y) == 0;
    free(x);
    free(y);
    return is;
}

static double alike(const char *a, const char *b) {
    float x[NEAR_N], y[NEAR_N];
    near_sketch(view_of(a), x);
    near_sketch(view_of(b), y);
    return near_cosine(x, y);
}

static void test_same(void **state) {
    static const char *const same[][2] = {
        {"What's the weather in Boston?", "what is the weather in Boston"},  {"can you please turn on the light", "Turn on the light, please."}, {"I don't want that", "I do not want that!"},
        {"hey, what time is it", "what time is it, thanks"},                  {"could you tell me how I can pay", "tell me how i can pay"},        {"how can i reset my pin", "How do I reset my pin?"},
        {"we\xE2\x80\x99re late", "we are late"},                             {"I can't log in", "i cannot log in"},                              {"how to freeze my account", "how do i freeze my account"},
        {"is 3.5 more than 1,000", "is 3.5 more than 1,000?"}};
    (void)state;
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++)
        if (!asks_same(same[i][0], same[i][1])) fail_msg("%s | %s: \"%s\", \"%s\"", same[i][0], same[i][1], form_of(same[i][0]), form_of(same[i][1]));
}

static void test_other(void **state) {
    static const char *const other[][2] = {
        {"turn it on", "turn it off"},                       {"do turn the light on", "do not turn the light on"}, {"can I fly with a dog", "can't I fly with a dog"},      {"pay 100 dollars", "pay 1000 dollars"},
        {"is 3.5 enough", "is 35 enough"},                   {"from Paris to London", "from London to Paris"},      {"text bob that i am late", "text tom that i am late"},       {"I have few friends", "I have a few friends"},
        {"lock my card", "unlock my card"},                  {"what is 3 + 4", "what is 3 - 4"},                    {"is it true", "is it not true"},                             {"did it work", "does it work"},
        {"visas for the US", "visas for the us"},            {"my balance", "your balance"},                        {"can you swim", "swim"},                                     {"remind me never to call", "remind me to call"},
        {"is -5 cold", "is 5 cold"},                         {"costs 5 $", "costs 5 %"},                            {"please", "thanks"},                                         {"raise no alarm", "raise the alarm"},
        {"the alarm at 7:30", "the alarm at 7:03"},          {"isn't that right", "is that right"},                 {"without sugar", "with sugar"},                              {"I will come", "I won't come"},
        {"reset my PIN", "reset my pin"}};
    (void)state;
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++)
        if (asks_same(other[i][0], other[i][1])) fail_msg("%s | %s: \"%s\"", other[i][0], other[i][1], form_of(other[i][0]));
    assert_null(form_of("")); /* nothing, or nothing but politeness, asks nothing */
    assert_null(form_of("a"));
    char longest[NEAR_BYTES_MAX + 2];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    assert_null(form_of(longest));
    for (size_t i = 1; i < sizeof longest - 1; i += 2) longest[i] = ' ';
    longest[NEAR_BYTES_MAX] = 0;
    assert_null(form_of(longest)); /* too many words */
    memset(longest, 0, sizeof longest);
    for (size_t i = 0; i < 800; i++) memcpy(longest + 5 * i, "dont ", 5);
    assert_null(form_of(longest)); /* they become too many */
}

/* Sentences of data/tasks with something turned round in them: none may have the answer of the other. */
struct turn { const char *from, *to; };
static const struct turn turns[] = {{" on ", " off "}, {" is ", " is not "}, {" are ", " aren't "}, {" can ", " can't "}, {" do ", " don't "}, {" to ", " not to "}, {" my ", " your "}, {" with ", " without "},
                                    {" more ", " less "}, {" before ", " after "}, {" from ", " to "}, {" one ", " two "}, {" i ", " i never "}, {" what ", " what never "}, {" any ", " no "}, {" in ", " out "}, {" increase ", " decrease "}};

static void test_negations(void **state) {
    char a[600], b[700];
    const char *path = test_shared("data/tasks/clinc150/data_full.json");
    (void)state;
    if (!path) skip();
    json_t *all = json_load_file(path, 0, NULL), *rows = json_object_get(all, "test");
    size_t n = 0, n_alike = 0;
    assert_true(json_array_size(rows) > 1000);
    for (size_t i = 0; i < json_array_size(rows); i++)
        for (size_t k = 0; k < sizeof turns / sizeof turns[0]; k++) {
            snprintf(a, sizeof a, " %.500s ", json_string_value(json_array_get(json_array_get(rows, i), 0)));
            const char *at = strstr(a, turns[k].from);
            if (!at) continue;
            snprintf(b, sizeof b, "%.*s%s%s", (int)(at - a), a, turns[k].to, at + strlen(turns[k].from));
            if (asks_same(a, b)) fail_msg("%s | %s", a, b);
            n++;
            n_alike += alike(a, b) >= 0.8;
        }
    printf("%zu sentences turned round, %zu of them alike by 0.8 and more: none has the other's answer\n", n, n_alike);
    assert_true(n > 3000 && n_alike > n / 3); /* else it is not the form that tells them apart */
    json_decref(all);
}

static void test_cosine(void **state) {
    float x[NEAR_N];
    (void)state;
    assert_true(fabs(alike("turn on the light", "Turn on THE light") - 1) < 1e-6);
    assert_true(alike("what is the weather in boston today", "what is the weather in boston tomorrow") > 0.7);
    assert_true(fabs(alike("what is the weather in boston today", "cancel my credit card")) < 0.3);
    near_sketch(VIEW(""), x);
    assert_true(near_cosine(x, x) == 0);
}

static struct ask asked(json_t *messages) {
    return (struct ask){.messages = messages, .temperature = NAN, .top_p = NAN, .presence_penalty = NAN, .frequency_penalty = NAN, .top_k = -1, .n_max = -1};
}

static void put(struct answer_cache *c, const struct ask *a, const char *client, const char *answer) {
    uint8_t key[CACHE_KEY_BYTES];
    struct kept_answer k = {0};
    struct question *q = answer_cache_question(c, a, client);
    assert_true(answer_cache_key(a, client, key));
    kept_add(&k, OUTPUT_TEXT, view_of(answer));
    answer_cache_put(c, key, &q, &k);
    question_free(q);
}

static bool finds(struct answer_cache *c, const struct ask *a, const char *client, const char *answer) {
    struct kept_answer k;
    double similarity;
    struct question *q = answer_cache_question(c, a, client);
    bool has = answer_cache_get_near(c, q, &k, &similarity);
    if (has) assert_true(view_eq((struct view){k.v[0].text, k.v[0].n}, view_of(answer)) && similarity > 0.3 && similarity < 1.001);
    kept_fini(&k);
    question_free(q);
    return has;
}

static json_t *talk(const char *system, const char *user) { return json_pack("[{s:s, s:s}, {s:s, s:s}]", "role", "system", "content", system, "role", "user", "content", user); }

static void test_near_cache(void **state) {
    struct answer_cache *c;
    struct cache_settings s = {.entries = 2, .ttl_s = 100, .semantic = {.enabled = true, .min = 0.6}};
    json_t *first = talk("be brief", "What's the weather in Boston?"), *near = talk("be brief", "what is the weather in Boston please"), *elsewhere = talk("be long", "what is the weather in Boston please"),
           *other = talk("be brief", "what is the weather in Austin please");
    struct ask a = asked(first), b = asked(near), warm = b, long_one = asked(elsewhere), austin = asked(other);
    slm_err err;
    (void)state;
    warm.temperature = 1;
    assert_int_equal(answer_cache_create(&s, &c, &err), SLM_OK);
    put(c, &a, "me", "rain");
    assert_true(finds(c, &b, "me", "rain"));
    assert_false(finds(c, &b, "you", "")); /* what one paid for, another does not see */
    assert_false(finds(c, &warm, "me", ""));
    assert_false(finds(c, &long_one, "me", ""));
    assert_false(finds(c, &austin, "me", ""));
    put(c, &austin, "me", "sun");
    assert_true(finds(c, &austin, "me", "sun") && finds(c, &b, "me", "rain"));
    put(c, &long_one, "me", "wind"); /* two entries: the oldest goes */
    assert_false(finds(c, &austin, "me", ""));
    answer_cache_destroy(c);
    bool gate = false;
    s.semantic.negation_gate = &gate;
    s.semantic.min = 0.4;
    assert_int_equal(answer_cache_create(&s, &c, &err), SLM_OK);
    put(c, &a, "me", "rain");
    assert_true(finds(c, &austin, "me", "rain")); /* what the gate is for */
    answer_cache_destroy(c);
    s.semantic.enabled = false;
    assert_int_equal(answer_cache_create(&s, &c, &err), SLM_OK);
    assert_null(answer_cache_question(c, &a, "me"));
    answer_cache_destroy(c);
    json_decref(first);
    json_decref(near);
    json_decref(elsewhere);
    json_decref(other);
}

static void test_silences(void **state) {
    struct silences q = {0};
    (void)state;
    assert_true(isinf(silences_quantile(&q, 0.95, 0)));
    for (int i = 1; i <= 20; i++) silences_add(&q, i);
    assert_true(isinf(silences_quantile(&q, 0.95, 21)) && silences_quantile(&q, 0.95, 20) == 19 && silences_quantile(&q, 1, 1) == 20 && silences_quantile(&q, 0.001, 1) == 1);
    for (int i = 0; i < SILENCES_MAX; i++) silences_add(&q, 7); /* the old ones are forgotten */
    assert_true(silences_quantile(&q, 0.001, 20) == 7 && silences_quantile(&q, 1, 20) == 7);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_same), cmocka_unit_test(test_other), cmocka_unit_test(test_negations), cmocka_unit_test(test_cosine), cmocka_unit_test(test_near_cache), cmocka_unit_test(test_silences)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
