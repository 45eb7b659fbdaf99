/* privacy.h -- what must not leave this machine: found, counted, and where the settings say so replaced by placeholders that are put back when the
 * answer comes.
 *
 * A detector is a row: expressions, and a check of what they find (Luhn's sum, the IBAN's remainder, an address that parses). A placeholder is
 * [EMAIL_1]; the same text gets the same one through a conversation, and one that the conversation has of itself is not used. */
#ifndef SLM_TIER_PRIVACY_H
#define SLM_TIER_PRIVACY_H

#include <jansson.h>

#include "tier/settings.h"

struct privacy;
/* privacy_create -- without detectors in the settings: none. custom: a file with an expression (PCRE2) a line. Errors: USAGE (an unknown detector, an
 * expression that is none), IO, NOMEM. The object is read-only afterwards; any thread. */
slm_status privacy_create(const struct privacy_settings *s, struct privacy **out, slm_err *err);
void privacy_free(struct privacy *p);

struct found {
    size_t at, n;
    const char *label; /* "EMAIL" */
};
/* privacy_scan -- the finds in a text, in order and apart from each other; how many there are. With n_max or more it is all of it one. */
size_t privacy_scan(const struct privacy *p, struct view text, struct found *out, size_t n_max);
/* privacy_count -- of all texts of what goes out; below "arguments", "parameters" and "schema" of keys and numbers too, and of
 * values together with their keys. */
size_t privacy_count(const struct privacy *p, const json_t *v);

struct redaction {
    struct pair { char *placeholder, *original; size_t number; } *v; /* [n] by number */
    size_t n, cap, n_named; /* n_named: the last number that was given, or is the conversation's own */
    uint32_t *slots;        /* [n_slots] a table of originals */
    size_t n_slots;
};
/* privacy_redact -- a copy with placeholders for all that privacy_count counts; what they stand for is added to r. NULL: no memory. */
json_t *privacy_redact(const struct privacy *p, const json_t *v, struct redaction *r);
void redaction_fini(struct redaction *r);

/* The way back, for text that comes in pieces: what may be the beginning of a placeholder is held back. */
struct restorer {
    const struct redaction *r;
    struct buf held;
    bool in_json; /* the text is JSON: originals are escaped as strings are */
};
void restorer_init(struct restorer *t, const struct redaction *r, bool in_json);
void restorer_push(struct restorer *t, struct view text, struct buf *out); /* appended to out */
void restorer_finish(struct restorer *t, struct buf *out);
void restorer_fini(struct restorer *t);
#endif
