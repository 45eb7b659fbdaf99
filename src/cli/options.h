/* options.h -- options and operands as rows, and the one parser that reads them into a struct.
 *
 * A row is enough to parse, refuse, document and complete an option: help, manual pages and shell completions are made
 * from the same rows, and tests walk them. Every struct of values begins with a struct common_values.
 * Rules: "--name value" or "--name=value"; "-n5", "-n 5"; flags may be joined ("-vh"); "--" ends the options; an option
 * given again replaces its value, only lists collect. A value may begin with "-", but one that is itself the name of an
 * option must be joined by "=": it is nearly always a forgotten value. */
#ifndef SLM_CLI_OPTIONS_H
#define SLM_CLI_OPTIONS_H

#include "base/mem.h"
#include "engine/sampler.h"

enum option_kind {
    OPT_SECTION, /* no option: a heading; help is its text */
    OPT_FLAG,    /* bool */
    OPT_INT,     /* int32_t in [min, max] */
    OPT_FLOAT,   /* float in [min, max] */
    OPT_SEED,    /* struct option_seed: "random" or an integer in [min, max] */
    OPT_TEXT,    /* const char *, borrowed from argv */
    OPT_FILE,    /* the same; completed as a file */
    OPT_FOLDER,  /* the same; completed as a folder */
    OPT_CHOICE,  /* int32_t: place in choices */
    OPT_INTS,    /* struct option_ints: comma list, each in [min, max]; replaces the default */
    OPT_TEXTS,   /* struct option_texts: each use adds one */
    OPT_BIASES,  /* struct option_biases: "ID=BIAS", BIAS a number in [min, max] or -inf; each use adds one */
    OPT_KIND_COUNT,
};

struct option_seed {
    bool is_random;
    uint64_t value;
};
#define OPTION_INTS_MAX 32
struct option_ints {
    int32_t v[OPTION_INTS_MAX];
    size_t n;
};
#define OPTION_TEXTS_MAX 256
struct option_texts {
    const char *v[OPTION_TEXTS_MAX];
    size_t n;
};
#define OPTION_BIASES_MAX 1024
struct option_biases {
    struct logit_bias v[OPTION_BIASES_MAX];
    size_t n;
};

enum {
    OPTION_REQUIRED = 1,
    OPTION_SETTABLE = 2, /* may be changed within an interactive session */
    OPTION_NAMED = 8,    /* a model: a path, or a name of the store (named.h) */
    OPTION_OBEYED = 16,  /* with OPTION_NAMED: the model's own system prompt and parameters fill what is not given */
    OPTION_BESIDE = 32,  /* adapters: those of a stored model, --model, are added to what is given */
    OPTION_WRITTEN = 64, /* a file that the command makes: none of those that it reads, by whatever name */
    OPTION_CONFIG = 4,   /* a YAML file (config.h) that gives the options not given here */
};

struct option {
    enum option_kind kind;
    char letter;          /* 'm'; 0: none */
    const char *name;     /* without dashes; of an operand, as help shows it: "TEXT" */
    const char *value;    /* what follows, in help: "FILE"; NULL for a flag */
    const char *fallback; /* the default as a user would type it; NULL: none */
    double min, max;      /* of numbers, inclusive */
    const char *choices;  /* "auto|f16|f32" */
    unsigned flags;
    size_t offset;        /* of the value in the command's struct */
    const char *help;     /* one or two sentences without the default and the range, which are added */
    const char *since;    /* version that first had it */
    /* What else must be said, one of these, so that this means something; and what it means nothing beside: long names or operands, "a|TEXT"; "a=x": the
     * choice x of a holds, said or not. NULL: nothing. A command line that breaks a rule is refused. */
    const char *needs, *bars;
};

struct option_table {
    const char *command; /* "run", for messages */
    const struct option *options;
    size_t n_options;
    const struct option *operands; /* in order; only the last may be OPT_TEXTS, and takes all that is left */
    size_t n_operands;
};

#define OPTIONS_MAX 128 /* rows of one table, common ones included */

/* What every command has. */
struct common_values {
    bool help, help_short, trace, verbose;
    bool given[OPTIONS_MAX]; /* by option_at's number: by the user, or by a file that the user named */
    bool typed[OPTIONS_MAX]; /* by the user alone */
    size_t n_operands;       /* that the user gave */
    char *config_text; /* what values read from a file point to; owned, options_release */
};
extern const struct option common_options[];
extern const size_t n_common_options;

/* The table's rows, then the common ones; NULL past the end. */
const struct option *option_at(const struct option_table *t, size_t i);
/* option_find -- by long name; NULL: none. */
const struct option *option_find(const struct option_table *t, const char *name, size_t n_name);

/* options_default -- write every default; what has none is zeroed by the caller. */
void options_default(const struct option_table *t, void *values);
/* options_parse -- defaults, then argv[0..argc) into values, which is zeroed and may hold views of argv.
 * With --help or -h, what is missing is no error. Errors: USAGE, message and hint ready for the user. */
slm_status options_parse(const struct option_table *t, int argc, char *const *argv, void *values, slm_err *err);
/* options_check -- needs and bars, and files that are written; options_parse asks it. Errors: USAGE. */
slm_status options_check(const struct option_table *t, const void *values, slm_err *err);
/* options_said -- whether an option (or operand) was given, by the user or, other than its default, by a file that the user named. */
bool options_said(const struct option_table *t, const void *values, const char *name);
/* option_rule_print -- "--a or TEXT". */
void option_rule_print(const char *rule, const char *between, struct buf *out);
void options_release(void *values); /* what parsing has allocated; also after a failure */
/* option_assign -- one value as typed. Errors: USAGE. */
slm_status option_assign(const struct option *o, const char *text, void *values, slm_err *err);

/* option_value -- the value as a user would type it; several after each other with spaces. */
void option_value(const struct option *o, const void *values, struct buf *out);

/* What help adds to a row: "default 0.8; 0 to 100", or "" when there is nothing. */
void option_facts(const struct option *o, struct buf *out);

#endif
