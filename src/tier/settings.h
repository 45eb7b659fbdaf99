/* settings.h -- the gateway's file: read through a libcyaml schema, checked, rules compiled.
 *
 * What a key means stands in settings.c's schema; docs/tiers.example.yaml shows every one. Zeros are replaced by the defaults. */
#ifndef SLM_TIER_SETTINGS_H
#define SLM_TIER_SETTINGS_H

#include "tier/rule.h"

#define USD_NANO 1000000000.0 /* money is counted in whole billionths */
#define USD_MAX 1000000.0     /* of a price and of a budget */
#define UPSTREAMS_MAX 16

enum wire_kind { WIRE_OPENAI, WIRE_ANTHROPIC, WIRE_GEMINI, WIRE_COUNT };
enum rule_then { THEN_FRONTIER, THEN_LOCAL, THEN_LOCAL_ONLY, THEN_BLOCK };
enum privacy_action { PRIVACY_LOCAL_ONLY, PRIVACY_REDACT, PRIVACY_BLOCK, PRIVACY_ALLOW };
enum exceeded { EXCEEDED_LOCAL, EXCEEDED_ERROR };

struct breaker_settings {
    int fails, window_s, open_s;
};
struct upstream_settings {
    char *name, *base_url, *key_env, *key_file, *model;
    enum wire_kind kind;
    double price_in, price_out, price_cached_in; /* USD for a million tokens */
    int max_tokens;                              /* of an answer when the request does not say */
    int connect_ms, first_byte_ms, idle_ms, *retries;
    int *retry_on;
    unsigned n_retry_on;
    struct breaker_settings breaker;
    char *key; /* read from key_env or key_file; NULL: none */
};
struct rule_settings {
    char *when;
    enum rule_then then;
    char *upstream; /* which one first; NULL: in order */
    struct rule *rule;
};
struct auto_settings {
    char *calibration; /* a certificate of slm calibrate, which decides instead of accept; NULL: none */
    char *accept, *finish_accept; /* over the answer's facts: at the end of the hold-back, and at the answer's end */
    int hold_tokens;
    bool hold_all;                /* judge whole answers only */
    struct rule *rule, *finish_rule; /* compiled; finish_rule NULL: none */
};
struct budget_settings {
    double usd_per_day, usd_per_month, usd_per_request; /* 0: no limit */
    enum exceeded on_exceeded;
};
struct privacy_settings {
    char **detectors;
    unsigned n_detectors;
    char *custom; /* a file of more patterns */
    enum privacy_action action;
};
struct semantic_settings { /* answers also to questions that only say the same */
    bool enabled;
    double min;          /* how alike they must look */
    bool *negation_gate; /* and they must have one form (near.h); NULL: yes */
};
struct cache_settings {
    int entries, ttl_s; /* entries 0: none */
    struct semantic_settings semantic;
};
struct asking_settings { /* of shadow and audit */
    double sample, max_usd_per_day; /* share of the answers kept here that the frontier is asked for too */
    enum compare { COMPARE_EXACT } compare;
};
struct hedge_settings { /* whom to start when an upstream is silent for longer than is usual */
    enum hedge_with { HEDGE_NONE, HEDGE_LOCAL, HEDGE_NEXT } with;
    double quantile;
    int least_ms, samples; /* not sooner; and not before so many times to a first byte are known */
};
struct tier_settings {
    char *local, *ledger; /* local: the model's name; NULL: the only one */
    struct upstream_settings *upstreams;
    unsigned n_upstreams;
    struct rule_settings *rules;
    unsigned n_rules;
    struct auto_settings automatic;
    struct budget_settings budget;
    struct privacy_settings privacy;
    struct cache_settings cache;
    struct asking_settings shadow, audit;
    struct hedge_settings hedge;
    double usd_per_cpu_hour; /* of the local model's processor time */
    int deadline_ms;
};

/* Errors: USAGE with the line; IO. A key that is known but not done is refused by its name. */
slm_status settings_read(const char *path, struct tier_settings **out, slm_err *err);
slm_status settings_parse(const char *path, struct view text, struct tier_settings **out, slm_err *err);
void settings_free(struct tier_settings *s);
#endif
