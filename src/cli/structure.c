/* structure.c -- from --schema, --regex, --grammar and --choice to a constraint, and the last word on what came out. */
#include "cli/structure.h"

#include "base/show.h"
#include "cli/input.h"
#include "cli/term.h"

/* The one kind that was asked for. */
static slm_status find_kind(const struct structure_values *v, struct constrain_spec *spec, bool *any, slm_err *err) {
    const bool given[] = {v->schema != NULL, v->regex != NULL, v->grammar != NULL, v->choices.n > 0};
    static const char *const names[] = {"--schema", "--regex", "--grammar", "--choice"};
    static const enum constrain_kind kinds[] = {CONSTRAIN_SCHEMA, CONSTRAIN_REGEX, CONSTRAIN_GRAMMAR, CONSTRAIN_CHOICE};
    const char *first = NULL;
    *any = false;
    for (int i = 0; i < 4; i++) {
        if (!given[i]) continue;
        if (first) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "option \"%s\": \"%s\" is given too, and only one can hold", names[i], first);
        first = names[i];
        spec->kind = kinds[i];
        *any = true;
    }
    return SLM_OK;
}

static bool is_json_text(const char *s) {
    while (*s == ' ' || *s == '\t' || *s == '\n' || *s == '\r') s++;
    return *s == '{';
}

static void say_unenforced(const struct constraint *c) {
    const struct schema_notes *notes = constraint_notes(c);
    for (size_t i = 0; i < notes->n; i++) say_note("schema at \"%s\": %s", show_path(notes->notes[i].at).s, notes->notes[i].what);
    if (notes->n_more) say_note("schema: %zu more keywords are only checked", notes->n_more);
}

slm_status structure_open(const struct structure_values *v, const struct tok *tok, struct structure *s, slm_err *err) {
    slm_status st = SLM_OK;
    struct constrain_spec spec = {0};
    struct view choices[OPTION_TEXTS_MAX];
    struct buf text;
    bool any;
    *s = (struct structure){0};
    buf_init(&text, GRAM_SOURCE_BYTES_MAX);
    TRY(find_kind(v, &spec, &any, err));
    if (!any) goto out;
    for (size_t i = 0; i < v->choices.n; i++) choices[i] = view_of(v->choices.v[i]);
    spec.choices = choices;
    spec.n_choices = v->choices.n;
    if (v->schema && is_json_text(v->schema)) TRY(input_text(v->schema, NULL, &text, err));
    else if (v->schema || v->grammar) TRY(input_text(NULL, v->schema ? v->schema : v->grammar, &text, err));
    spec.text = v->regex ? view_of(v->regex) : (struct view){text.data ? text.data : "", text.len};
    TRY(constrain_vocab_create(tok, &s->vocab, err));
    TRY(constraint_create(&spec, s->vocab, &s->constraint, err));
    say_unenforced(s->constraint);
out:
    buf_fini(&text);
    if (st != SLM_OK) structure_close(s);
    return st;
}

void structure_close(struct structure *s) {
    constraint_destroy(s->constraint);
    constrain_vocab_destroy(s->vocab);
    *s = (struct structure){0};
}

static json_t *notes_json(const struct schema_notes *notes) {
    json_t *list = json_array();
    for (size_t i = 0; list && i < notes->n; i++) json_array_append_new(list, json_pack("{s:o, s:s}", "at", json_text(view_of(notes->notes[i].at)), "what", notes->notes[i].what));
    return list;
}

slm_status structure_judge(struct structure *s, const struct tok *tok, const struct tok_ids *ids, bool strip_first, bool closed, json_t **report, slm_err *err) {
    struct buf text;
    struct detok detok;
    bool is_valid = false;
    buf_init(&text, TOK_TEXT_BYTES_MAX);
    detok_init(&detok, tok, strip_first, false);
    for (size_t i = 0; i < ids->n; i++) detok_push(&detok, ids->v[i], &text);
    detok_finish(&detok, &text);
    slm_status st = buf_status(&text, "answer", err);
    if (st == SLM_OK) st = constraint_check(s->constraint, (struct view){text.data, text.len}, &is_valid, err);
    if (report) *report = json_pack("{s:b, s:b, s:o}", "valid", is_valid, "closed", closed, "unenforced", notes_json(constraint_notes(s->constraint)));
    if (st == SLM_OK && !is_valid) st = err_wrap(err, SLM_E_FAILED, "answer");
    buf_fini(&text);
    return st;
}
