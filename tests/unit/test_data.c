/* Data for training: what each format becomes and what of it is learnt, faults with their lines, orders that do not depend on how
 * steps are cut, places that resume, rows that two files share. */
#include "tok_vocab.h"

#include "text/bpe_train.h"
#include "train/data.h"

static struct tok *tok;
static struct chat_template *tmpl;

static void make_tok(void) {
    const char *text[] = {"hello there my friend how are you today yes no maybe the answer is forty two"};
    static const struct view specials[] = {VIEW("<s>"), VIEW("</s>"), VIEW("<|user|>"), VIEW("<|assistant|>"), VIEW("<|end|>")};
    struct bpe_train_params p = {.pre = "gpt-2", .n_vocab = 300, .n_min = 1, .specials = specials, .n_specials = 5};
    struct bpe_trainer *t;
    struct bpe_vocab v;
    slm_err err;
    assert_int_equal(bpe_trainer_create(&p, &t, &err), SLM_OK);
    assert_int_equal(bpe_trainer_add(t, view_of(text[0]), &err), SLM_OK);
    assert_int_equal(bpe_trainer_finish(t, &v, &err), SLM_OK);
    bpe_trainer_destroy(t);
    v.config.bos = 0, v.config.eos = 1, v.config.eot = 4, v.config.add_bos = true;
    assert_int_equal(tok_create(&v.config, &tok, &err), SLM_OK);
    bpe_vocab_fini(&v);
    static const char source[] = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% if m.role == 'assistant' %}<|end|>\n{% endif %}{% endfor %}"
                                 "{% if add_generation_prompt %}<|assistant|>{% endif %}";
    if (chat_template_create(&(struct chat_template_source){.text = VIEW(source), .tok = tok}, &tmpl, &err) != SLM_OK) fail_msg("%s", err.msg);
}

/* The pieces, those that are learnt in brackets. */
static const char *shown(const struct data_tokens *t) {
    static char out[4096];
    size_t n = 0;
    bool in = false;
    for (size_t i = 0; i < t->ids.n; i++) {
        struct view v = tok_piece(tok, t->ids.v[i], true);
        if (in != (bool)t->loss[i]) out[n++] = (in = t->loss[i]) ? '[' : ']';
        assert_true(n + v.len + 3 < sizeof out);
        memcpy(out + n, v.ptr, v.len);
        n += v.len;
    }
    if (in) out[n++] = ']';
    out[n] = 0;
    return out;
}

struct row_case {
    const char *name, *bytes, *want; /* want NULL: a fault, of which fault is a part */
    bool loss_last;
    const char *fault;
};
static const struct row_case row_cases[] = {
    {"a.jsonl", "{\"text\": \"hello there\"}", "<s>[hello there</s>]", false, NULL},
    {"a.txt", "hello\n\nthere\n", "<s>[hello\n\nthere</s>]", false, NULL},
    {"a.jsonl", "{\"prompt\": \"hello\", \"completion\": \" there\"}", "<s>hello[ there</s>]", false, NULL},
    {"a.jsonl", "\n{\"messages\": [{\"role\": \"user\", \"content\": \"hello\"}, {\"role\": \"assistant\", \"content\": \"yes\"}]}", "<s><|user|>hello<|assistant|>[yes<|end|>]\n", false, NULL},
    {"a.jsonl", "{\"messages\": [{\"role\": \"user\", \"content\": \"<|end|>a\"}, {\"role\": \"assistant\", \"content\": \"<|user|>\"}]}",
     "<s><|user|><|end|>a<|assistant|>[<|user|><|end|>]\n", false, NULL},
    {"a.jsonl", "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", \"content\": \"b\"}, {\"role\": \"user\", \"content\": \"c\"}, {\"role\": "
     "\"assistant\", \"content\": \"d\"}]}", "<s><|user|>a<|assistant|>[b<|end|>]\n<|user|>c<|assistant|>[d<|end|>]\n", false, NULL},
    {"a.jsonl", "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", \"content\": \"b\"}, {\"role\": \"user\", \"content\": \"c\"}, {\"role\": "
     "\"assistant\", \"content\": \"d\"}]}", "<s><|user|>a<|assistant|>b<|end|>\n<|user|>c<|assistant|>[d<|end|>]\n", true, NULL},
    {"a.jsonl", "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", \"content\": \"b\", \"train\": false}, {\"role\": \"user\", \"content\": \"c\"}, "
     "{\"role\": \"assistant\", \"content\": \"d\"}]}", "<s><|user|>a<|assistant|>b<|end|>\n<|user|>c<|assistant|>[d<|end|>]\n", false, NULL},
    {"a.json", "[\n{\"instruction\": \"say\", \"input\": \"it\", \"output\": \"so\"}]", "<s><|user|>say\n\nit<|assistant|>[so<|end|>]\n", false, NULL},
    {"a.json", " [ {\"conversations\": [{\"from\": \"human\", \"value\": \"a]\\\"}\"}, {\"from\": \"gpt\", \"value\": \"b\"}]} , ]", "<s><|user|>a]\"}<|assistant|>[b<|end|>]\n", false, NULL},
    {"a.csv", "text,category\r\n\"one, \"\"two\"\"\nthree\",yes\r\n", "<s><|user|>one, \"two\"\nthree<|assistant|>[yes<|end|>]\n", false, NULL},
    {"a.tsv", "label\ttext\nno\ta,b", "<s><|user|>a,b<|assistant|>[no<|end|>]\n", false, NULL},
    {"a.csv", "\xef\xbb\xbfprompt,completion\nhello, yes", "<s>hello[ yes</s>]", false, NULL},
    /* faults */
    {"a.jsonl", "\n\n{\"text\": \"a\", \"text\": \"b\"}", NULL, false, "a.jsonl:3: no JSON: duplicate"},
    {"a.jsonl", "{\"text\": \"a", NULL, false, "a.jsonl:1: no JSON"},
    {"a.jsonl", "{\"text\": \"\xff\"}", NULL, false, "a.jsonl:1: no JSON"},
    {"a.jsonl", "[1]", NULL, false, "a.jsonl:1: not an object"},
    {"a.jsonl", "{\"txt\": \"a\", \"n\": 1}", NULL, false, "a.jsonl:1: the keys \"txt\", \"n\" are no format"},
    {"a.jsonl", "{\"text\": 5}", NULL, false, "a.jsonl:1: \"text\" is not text"},
    {"a.jsonl", "{\"prompt\": \"x\", \"completion\": \"\"}", "<s>x[</s>]", false, NULL}, /* the end is learnt */
    {"a.jsonl", "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}", NULL, false, "a.jsonl:1: nothing to learn"},
    {"a.jsonl", "{\"messages\": [{\"role\": \"user\", \"content\": [1]}]}", NULL, false, "message 1: \"content\" is not text"},
    {"a.jsonl", "{\"messages\": []}", NULL, false, "\"messages\" is not a list"},
    {"a.jsonl", "{\"conversations\": [{\"from\": \"cat\", \"value\": \"a\"}]}", NULL, false, "turn 1: \"from\" is \"cat\""},
    {"a.jsonl", "{\"text\": \"a\", \"weight\": -1}", NULL, false, "\"weight\" is not a number from 0"},
    {"a.json", "[{\"text\": \"a\"", NULL, false, "a.json:1: no JSON"},
    {"a.csv", "text,label\na,b,c\n", NULL, false, "a.csv:2: 3 fields, the header has 2"},
    {"a.csv", "text,label\n\n\"a", NULL, false, "a.csv:3: a quote is not closed"},
    {"a.csv", "text,label\n\"a\"b,c\n", NULL, false, "a.csv:2: text behind a closing quote"},
    {"a.csv", "text,text\n", NULL, false, "a.csv:1: the column \"text\" is there twice"},
    {"a.csv", "text,label\na,\xff\n", NULL, false, "a.csv:2: not UTF-8"},
    {"a.csv", "text,label\na,\n", NULL, false, "a.csv:2: \"label\" is empty"},
    {"a.txt", "fine\nfine\n\xff\n", NULL, false, "a.txt:3: not UTF-8"},
};

static void test_rows(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof row_cases / sizeof row_cases[0]; i++) {
        const struct row_case *c = &row_cases[i];
        struct data_encode_params p = {.tok = tok, .tmpl = tmpl, .loss_last = c->loss_last};
        struct data_reader *r;
        struct data_row row;
        struct data_tokens t = {0};
        slm_err err = {0};
        bool has = false;
        assert_int_equal(data_reader_over(c->name, view_of(c->bytes), DATA_AUTO, &r, &err), SLM_OK);
        slm_status st = data_reader_next(r, &row, &has, &err);
        if (st == SLM_OK && has) st = data_encode(&p, &row, &t, &err);
        if (c->want && st != SLM_OK) fail_msg("case %zu: %s", i, err.msg);
        if (c->want) assert_string_equal(shown(&t), c->want);
        if (!c->want && (st != SLM_E_FORMAT || !strstr(err.msg, c->fault))) fail_msg("case %zu: status %d, \"%s\"", i, st, err.msg);
        data_tokens_fini(&t);
        data_reader_close(r);
    }
}

/* A bad row does not take the next with it. */
static void test_bad_rows_end(void **state) {
    (void)state;
    static const struct {
        const char *name, *bytes;
        int n_good, n_bad;
    } cases[] = {
        {"a.jsonl", "{\"text\":\"a\"}\nnonsense\n{\"text\":\"b\"}\n{\"x\":1}\n", 2, 2},
        {"a.json", "[{\"text\":\"a\"}, nonsense, {\"text\":\"b\"}]", 2, 1},
        {"a.csv", "text\na\nb,c\nd\n", 2, 1},
        {"a.csv", "text,n\na,\xff,x\nb,1\n", 1, 1},
        {"a.txt", "a\n<|endoftext|>\n\xff\n<|endoftext|>\nb\n<|endoftext|>\n", 2, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct data_reader *r;
        struct data_row row;
        slm_err err;
        int n_good = 0, n_bad = 0;
        bool has = true;
        assert_int_equal(data_reader_over(cases[i].name, view_of(cases[i].bytes), DATA_AUTO, &r, &err), SLM_OK);
        for (int guard = 0; guard < 100 && has; guard++) {
            slm_status st = data_reader_next(r, &row, &has, &err);
            n_good += st == SLM_OK && has;
            n_bad += st != SLM_OK;
            if (st != SLM_OK) has = true;
        }
        assert_false(has);
        assert_int_equal(n_good, cases[i].n_good);
        assert_int_equal(n_bad, cases[i].n_bad);
        data_reader_close(r);
    }
}

static void test_templates_that_do_not_continue(void **state) {
    (void)state;
    static const char *const sources[] = {
        "{{ messages | length }}{% for m in messages %}{{ m.content }}{% endfor %}",                           /* the beginning knows the end */
        "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<|assistant|>Sure: {% endif %}", /* opens with words */
        "{% for m in messages %}{{ raise_exception('no ' + m.role) }}{% endfor %}",
    };
    static const char row_text[] = "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", \"content\": \"b\"}]}";
    for (size_t i = 0; i < 3; i++) {
        struct chat_template *bad;
        struct data_reader *r;
        struct data_row row;
        struct data_tokens t = {0};
        slm_err err;
        bool has;
        assert_int_equal(chat_template_create(&(struct chat_template_source){.text = view_of(sources[i]), .tok = tok}, &bad, &err), SLM_OK);
        assert_int_equal(data_reader_over("a.jsonl", VIEW(row_text), DATA_AUTO, &r, &err), SLM_OK);
        assert_int_equal(data_reader_next(r, &row, &has, &err), SLM_OK);
        assert_int_equal(data_encode(&(struct data_encode_params){.tok = tok, .tmpl = bad}, &row, &t, &err), SLM_E_FORMAT);
        assert_non_null(strstr(err.msg, "a.jsonl:1: the chat template"));
        assert_int_equal(data_encode(&(struct data_encode_params){.tok = tok}, &row, &t, &err), SLM_E_USAGE);
        data_tokens_fini(&t);
        data_reader_close(r);
        chat_template_destroy(bad);
    }
}

/* What a model sees and writes is what training shows it. */
static void test_prompt_and_answer(void **state) {
    (void)state;
    static const char rows[] = "{\"text\": \"how are you\", \"label\": \"maybe\"}\n{\"prompt\": \"hello\", \"completion\": \" there\"}\n";
    struct data_encode_params p = {.tok = tok, .tmpl = tmpl};
    struct data_reader *r;
    struct data_row row;
    slm_err err;
    bool has;
    assert_int_equal(data_reader_over("a.jsonl", VIEW(rows), DATA_AUTO, &r, &err), SLM_OK);
    for (int i = 0; i < 2; i++) {
        struct data_tokens t = {0};
        struct tok_ids ids = {0};
        assert_int_equal(data_reader_next(r, &row, &has, &err), SLM_OK);
        assert_int_equal(data_encode(&p, &row, &t, &err), SLM_OK);
        assert_int_equal(data_encode_prompt(&p, &row, &ids, &err), SLM_OK);
        assert_int_equal(data_encode_answer(&p, &row, data_answer(&row), &ids, &err), SLM_OK);
        assert_true(ids.n + 2 >= t.ids.n - 1 && ids.n < t.ids.n);
        assert_memory_equal(ids.v, t.ids.v, ids.n * sizeof *ids.v);
        tok_ids_fini(&ids);
        data_tokens_fini(&t);
    }
    data_reader_close(r);
}

/* Datasets */

static char folder[] = "/tmp/slm-data-XXXXXX";

static const char *file_of(const char *name, const char *text) {
    static char ring[8][256];
    static int next;
    char *path = ring[next++ % 8];
    snprintf(path, sizeof ring[0], "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    return path;
}

static const char *many_rows(int n, int first) {
    static char text[1 << 16];
    size_t at = 0;
    for (int i = 0; i < n; i++) at += (size_t)snprintf(text + at, sizeof text - at, "{\"text\": \"row %d %.*s\", \"label\": \"%s\"}\n", first + i, i % 7 * 4, "the answer is forty two today", i % 2 ? "yes" : "no");
    return text;
}

static struct dataset *open_data(const char *path, int32_t n_ctx, float val_share) {
    struct data_params p = {.paths = &path, .n_paths = 1, .tok = tok, .tmpl = tmpl, .n_ctx = n_ctx, .val_share = val_share};
    struct dataset *d;
    slm_err err;
    if (dataset_open(&p, &d, &err) != SLM_OK) fail_msg("%s", err.msg);
    return d;
}

/* A hash of what the next n steps hold, whatever they are cut into. */
static uint64_t steps_hash(struct train_source *s, int n, int32_t micro_tokens) {
    uint64_t h = HASH_START;
    slm_err err;
    for (int i = 0; i < n; i++) {
        const struct train_batch *b;
        int n_micro;
        int64_t total = 0;
        if (s->next(s->ctx, 200, micro_tokens, &b, &n_micro, &err) != SLM_OK) fail_msg("%s", err.msg);
        assert_true(n_micro >= 1);
        for (int k = 0; k < n_micro; k++) {
            assert_true(b[k].n_tok <= micro_tokens);
            assert_int_equal(b[k].seq_begin[0], 0);
            assert_int_equal(b[k].seq_begin[b[k].n_seq], b[k].n_tok);
            h = hash_bytes(h, b[k].token, (size_t)b[k].n_tok * 4);
            h = hash_bytes(h, b[k].target, (size_t)b[k].n_tok * 4);
            total += b[k].n_tok;
        }
        assert_true(total <= 200);
    }
    return h;
}

static void test_source(void **state) {
    (void)state;
    struct dataset *d = open_data(file_of("many.jsonl", many_rows(100, 0)), 64, 0);
    struct data_source_params p = {.side = DATA_ALL, .seed = 7};
    struct train_source a, b;
    struct train_cursor at;
    slm_err err;
    assert_int_equal(dataset_source(d, &p, &a, &err), SLM_OK);
    assert_int_equal(dataset_source(d, &p, &b, &err), SLM_OK);
    assert_int_equal(a.epoch_tokens, dataset_stats(d)->n_token);
    assert_true(steps_hash(&a, 40, 200) != 0);
    a.tell(a.ctx, &at);
    assert_int_equal(at.n_step, 40);
    assert_true(at.epoch >= 1);
    uint64_t rest = steps_hash(&a, 30, 200);
    for (int i = 0; i < 40; i++) { /* cut otherwise: the tokens are the same, batch borders are not */
        const struct train_batch *m;
        int n;
        assert_int_equal(b.next(b.ctx, 200, 64, &m, &n, &err), SLM_OK);
        assert_true(n > 1);
    }
    struct train_cursor other;
    b.tell(b.ctx, &other);
    assert_int_equal(other.epoch, at.epoch);
    assert_int_equal(other.at, at.at);
    data_source_destroy(&b);
    p.seed = 99; /* the cursor has the seed */
    assert_int_equal(dataset_source(d, &p, &b, &err), SLM_OK);
    assert_int_equal(b.seek(b.ctx, &at, &err), SLM_OK);
    assert_true(steps_hash(&b, 30, 200) == rest);
    data_source_destroy(&a);
    data_source_destroy(&b);
    /* once, in order: every row, then nothing */
    p = (struct data_source_params){.side = DATA_ALL, .in_order = true, .once = true};
    assert_int_equal(dataset_source(d, &p, &a, &err), SLM_OK);
    int64_t n_tok = 0;
    for (int n = 1; n > 0;) {
        const struct train_batch *m;
        assert_int_equal(a.next(a.ctx, 200, 200, &m, &n, &err), SLM_OK);
        for (int i = 0; i < n; i++) n_tok += m[i].n_tok;
    }
    assert_int_equal(n_tok, a.epoch_tokens);
    data_source_destroy(&a);
    dataset_close(d);
}

/* Blanked are ordinary tokens of prompts, and the same ones each time. */
static void test_token_dropout(void **state) {
    (void)state;
    struct dataset *d = open_data(file_of("drop.jsonl", many_rows(60, 0)), 64, 0);
    struct data_source_params plain = {.side = DATA_ALL, .seed = 3}, dropped = {.side = DATA_ALL, .seed = 3, .token_dropout = 0.3f};
    struct train_source a, b;
    struct train_cursor at;
    const struct train_batch *x, *y;
    int n, n_prompt = 0, n_blank = 0;
    slm_err err;
    assert_int_equal(dataset_source(d, &plain, &a, &err), SLM_OK);
    assert_int_equal(dataset_source(d, &dropped, &b, &err), SLM_OK);
    assert_true(a.identity != b.identity);
    for (int step = 0; step < 8; step++) {
        assert_int_equal(a.next(a.ctx, 200, 200, &x, &n, &err), SLM_OK);
        assert_int_equal(b.next(b.ctx, 200, 200, &y, &n, &err), SLM_OK);
        assert_int_equal(x->n_tok, y->n_tok);
        assert_memory_equal(x->target, y->target, (size_t)x->n_tok * 4);
        for (int32_t i = 0; i < x->n_tok; i++) {
            bool learnt = i > 0 && x->target[i - 1] == x->token[i], special = tok_type_of(tok, x->token[i]) != TOK_NORMAL;
            if (learnt || special) assert_int_equal(x->token[i], y->token[i]);
            else n_prompt++, n_blank += x->token[i] != y->token[i];
            if (x->token[i] != y->token[i]) assert_int_equal(y->token[i], 1);
        }
    }
    assert_in_range(n_blank, n_prompt / 5, n_prompt * 2 / 5);
    b.tell(b.ctx, &at);
    uint64_t rest = steps_hash(&b, 5, 200);
    assert_int_equal(b.seek(b.ctx, &at, &err), SLM_OK);
    assert_true(steps_hash(&b, 5, 64) != 0);
    assert_int_equal(b.seek(b.ctx, &at, &err), SLM_OK);
    assert_true(steps_hash(&b, 5, 200) == rest);
    data_source_destroy(&a);
    data_source_destroy(&b);
    dataset_close(d);
}

static void test_split_and_overlap(void **state) {
    (void)state;
    struct dataset *d = open_data(file_of("many.jsonl", many_rows(100, 0)), 64, 0.2f), *e = open_data(file_of("other.jsonl", many_rows(30, 95)), 64, 0);
    struct data_source_params p = {.side = DATA_VAL, .in_order = true, .once = true};
    struct train_source train, val;
    struct data_overlap o;
    slm_err err;
    assert_int_equal(dataset_source(d, &p, &val, &err), SLM_OK);
    p.side = DATA_TRAIN;
    assert_int_equal(dataset_source(d, &p, &train, &err), SLM_OK);
    assert_int_equal(train.epoch_tokens + val.epoch_tokens, dataset_stats(d)->n_token);
    assert_true(val.epoch_tokens > train.epoch_tokens / 10 && val.epoch_tokens < train.epoch_tokens / 2);
    assert_true(train.identity != val.identity);
    assert_int_equal(dataset_overlap(d, e, &o, &err), SLM_OK);
    assert_int_equal(o.n, 0); /* numbers overlap, texts differ by place */
    dataset_close(e);
    e = open_data(file_of("twins.jsonl", "{\"text\": \"new\", \"label\": \"no\"}\n{\"text\": \"row 3 the answer i\", \"label\": \"yes\"}\n{\"text\": \"new\", \"label\": \"no\"}\n"), 64, 0);
    assert_int_equal(dataset_stats(e)->n_duplicate, 1);
    assert_int_equal(dataset_stats(e)->duplicate_line[0], 1);
    assert_int_equal(dataset_stats(e)->duplicate_line[1], 3);
    assert_int_equal(dataset_overlap(d, e, &o, &err), SLM_OK);
    assert_int_equal(o.n, 1);
    assert_int_equal(o.line_a, 4);
    assert_int_equal(o.line_b, 2);
    data_source_destroy(&train);
    data_source_destroy(&val);
    dataset_close(d);
    dataset_close(e);
}

static void test_windows_and_cuts(void **state) {
    (void)state;
    char text[2000];
    size_t n = 0;
    slm_err err;
    for (int i = 0; i < 120; i++) n += (size_t)snprintf(text + n, sizeof text - n, "%d ", i);
    struct dataset *d = open_data(file_of("long.txt", text), 16, 0);
    uint64_t learnt = 0, stored = 0;
    for (uint64_t i = 0; i < dataset_n_seq(d); i++) {
        struct data_seq q = dataset_seq(d, i);
        assert_true(q.n <= 16);
        assert_false(q.stored[0] & DATA_LOSS_BIT);
        if (i > 0) assert_int_equal(q.stored[0], dataset_seq(d, i - 1).stored[16] & ~DATA_LOSS_BIT); /* windows meet in one id */
        learnt += q.n_loss;
        stored += (uint64_t)q.n;
    }
    assert_int_equal(learnt, stored); /* each id but the first is learnt, once */
    dataset_close(d);
    const char *path = file_of("cut.jsonl", "{\"prompt\": \"0123456789012345678901234567\", \"completion\": \"x\"}\n{\"prompt\": \"0\", \"completion\": \"0123456789012345678901234567\"}\n");
    struct data_params p = {.paths = &path, .n_paths = 1, .tok = tok, .n_ctx = 16};
    assert_int_equal(dataset_open(&p, &d, &err), SLM_E_FORMAT);
    assert_non_null(strstr(err.msg, ":1: all that is to be learnt lies behind token 16"));
    p.skip_bad = true;
    assert_int_equal(dataset_open(&p, &d, &err), SLM_OK);
    assert_int_equal(dataset_stats(d)->n_bad, 1);
    assert_int_equal(dataset_stats(d)->n_cut, 1);
    dataset_close(d);
    path = file_of("none.jsonl", "\n");
    assert_int_equal(dataset_open(&p, &d, &err), SLM_E_USAGE);
    path = folder; /* all files of it */
    p.n_ctx = 64, p.tmpl = tmpl;
    assert_int_equal(dataset_open(&p, &d, &err), SLM_OK);
    assert_true(dataset_stats(d)->n_row > 130);
    dataset_close(d);
}

static void test_vocab(void **state) {
    (void)state;
    const char *path = file_of("v.csv", "text,label\nwhere is my card,card_arrival\nmy card is lost,lost_card\nwhere is it,card_arrival\n");
    struct data_vocab_params p = {.reader = {.paths = &path, .n_paths = 1}, .n_vocab = 280, .pre = "gpt-2", .label_pieces = true};
    struct bpe_vocab v;
    bool has_chats;
    struct tok *t;
    struct chat_template *chat;
    struct dataset *d;
    slm_err err;
    if (data_vocab_train(&p, &v, &has_chats, &err) != SLM_OK) fail_msg("%s", err.msg);
    assert_true(has_chats);
    assert_int_equal(tok_create(&v.config, &t, &err), SLM_OK);
    bpe_vocab_fini(&v);
    assert_int_equal(data_label_piece(t, VIEW("card_arrival")), 5);
    assert_int_equal(data_label_piece(t, VIEW("lost_card")), 6);
    assert_int_equal(data_label_piece(t, VIEW("card")), TOK_NONE);
    if (chat_template_create(&(struct chat_template_source){.text = view_of(data_default_template), .tok = t}, &chat, &err) != SLM_OK) fail_msg("%s", err.msg);
    struct data_params dp = {.paths = &path, .n_paths = 1, .tok = t, .tmpl = chat, .n_ctx = 32};
    if (dataset_open(&dp, &d, &err) != SLM_OK) fail_msg("%s", err.msg);
    struct data_seq q = dataset_seq(d, 1);
    assert_int_equal(q.stored[0], 0);
    assert_int_equal(q.stored[1], 2); /* <|user|> */
    assert_int_equal(q.stored[q.n], 4 | DATA_LOSS_BIT);
    assert_int_equal(q.stored[q.n - 1], 6 | DATA_LOSS_BIT);
    assert_int_equal(q.n_loss, 2);
    dataset_close(d);
    chat_template_destroy(chat);
    tok_destroy(t);
}

static int set_up(void **state) {
    (void)state;
    make_tok();
    return mkdtemp(folder) ? 0 : 1;
}

static int tear_down(void **state) {
    (void)state;
    char command[100];
    chat_template_destroy(tmpl);
    tok_destroy(tok);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_bad_rows_end),
        cmocka_unit_test(test_templates_that_do_not_continue),
        cmocka_unit_test(test_prompt_and_answer),
        cmocka_unit_test(test_source),
        cmocka_unit_test(test_token_dropout),
        cmocka_unit_test(test_split_and_overlap),
        cmocka_unit_test(test_windows_and_cuts),
        cmocka_unit_test(test_vocab),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
