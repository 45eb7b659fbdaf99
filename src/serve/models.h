/* models.h -- the models of a server: found by name, loaded when asked for, unloaded when memory or time is over.
 *
 * All models share one engine thread (sched_loop) and one budget of bytes. A model is loaded only after what it needs has been
 * counted and fits; idle models that nobody pinned make room, least recently used first. Any thread. */
#ifndef SLM_SERVE_MODELS_H
#define SLM_SERVE_MODELS_H

#include <pthread.h>
#include <time.h>

#include "engine/embed.h"
#include "engine/sched_loop.h"
#include "serve/fields.h"
#include "store/create.h"
#include "store/pull.h"
#include "text/chat_template.h"
#include "text/output_parser.h"

#define KEEP_FOREVER (-1.0)

/* An adapter beside the model that is served. */
struct lora_named {
    const char *name; /* by which it is a model of its own; NULL: every request takes it */
    const char *path;
    float scale;
};

/* All borrowed. */
struct models_config {
    const char *const *files; /* [n_files] "[NAME=]FILE" */
    size_t n_files;
    const struct lora_named *loras; /* [n_loras] of files' only model, numbered as they stand */
    size_t n_loras;
    const char *folder;       /* every model in it; NULL: none */
    struct store *store;      /* every model in it too; NULL: none */
    const char *const *pins;  /* names that are never unloaded */
    size_t n_pins;
    uint64_t memory_bytes;    /* of all loaded models; 0: what is free at the start */
    double keep_s;            /* how long an idle model stays; KEEP_FOREVER */
    const char *template_path; /* a chat template for models that have none; NULL */
    struct sched_params sched;
};

enum model_state { MODEL_COLD, MODEL_BUSY, MODEL_WARM };
struct served {
    char *name, *path;
    bool is_pinned, is_in_folder, is_in_store, is_removed, is_seen;
    char digest[DIGEST_MAX];  /* of the manifest; of the store only */
    struct pulled pulled;     /* of the store, while loaded: keeps its blob */
    struct recipe recipe;     /* and what its manifest says about its use; from NULL: nothing */
    uint64_t file_bytes;
    time_t modified;
    const char *base_name;    /* of an adapter with a name: the model beside which it runs, whose scheduler and template it shares */
    uint32_t i_lora;          /* and its number there */
    float lora_scale;
    enum model_state state;   /* below: valid while WARM, and then constant */
    size_t n_named_loras;     /* the first adapters of the model are those of the server's list */
    struct served *base;      /* of base_name; in use as long as this one is loaded */
    struct slm_model *model;
    struct sched *sched;      /* NULL: an encoder, which generates nothing */
    struct chat_template *chat; /* NULL: none */
    const struct output_format *output;
    struct constrain_vocab *vocab; /* made by the first constrained answer (models_vocab) */
    struct slm_session *embedder; /* made by the first embedding; of the first in embed_line (turn.h) */
    struct worker *worker;        /* the same for narrow jobs, and work_line */
    struct turn *embed_line, *work_line;
    uint64_t need_bytes, i_load; /* i_load: no two loads of any models have the same */
    int n_users, n_holds;     /* users of what is loaded; those who only look at the row */
    double t_used, keep_s, load_s;
    time_t loaded;
};

/* duration_parse -- "300" (seconds), "5m", "1h30m", "250ms", with a sign. False: no time. */
bool duration_parse(const char *text, double *seconds);

struct metrics;
struct models;
/* Errors: USAGE (a name twice), IO, NOMEM. Files named one by one are looked at now, so that a wrong one is told at once. */
slm_status models_create(const struct models_config *c, struct metrics *metrics, struct models **out, slm_err *err);
/* models_destroy -- everybody has released. */
void models_destroy(struct models *m);

/* models_use -- by name ("NAME" or "NAME:latest"), or NULL when there is only one; loads it. models_release ends it.
 * Errors: NOT_FOUND with the nearest; LIMIT (does not fit: the numbers), those of loading. */
slm_status models_use(struct models *m, const char *name, struct served **out, struct fault *f);
void models_release(struct models *m, struct served *s);
/* models_keep -- how long it stays from now on when idle; 0: unloaded as soon as nobody uses it. */
void models_keep(struct models *m, struct served *s, double keep_s);

/* models_vocab -- the vocabulary of a model in use, as constraints see it. Errors: those of constrain_vocab_create. */
slm_status models_vocab(struct models *m, struct served *s, const struct constrain_vocab **out, slm_err *err);

/* models_next -- the row after one that models_next gave, which is let go; NULL: the first; NULL past the end. models_find -- by name; NULL: it is not here.
 * Both hold the row, loaded or not: it stays valid until models_let, its state may change. */
struct served *models_next(struct models *m, struct served *before);
struct served *models_find(struct models *m, const char *name);
void models_let(struct models *m, struct served *s); /* NULL allowed */
void models_scan(struct models *m); /* look into the folder again */
/* models_warm -- the numbers of a loaded model; false: it is not loaded. */
struct models_warm {
    uint64_t need_bytes;
    double keep_s;
    int32_t n_ctx;
};
bool models_warm(struct models *m, struct served *s, struct models_warm *out);
/* models_stats -- its scheduler's numbers; false: it is not loaded, or generates nothing. */
bool models_stats(struct models *m, struct served *s, struct sched_stats *out);
uint64_t models_used_bytes(struct models *m);
uint64_t models_budget_bytes(const struct models *m);
struct sched_loop *models_loop(const struct models *m);
struct store *models_store(const struct models *m); /* NULL: none */
/* models_remove -- forget one of the folder or the store and delete what it is; who uses it is not disturbed: unloaded when the last is gone.
 * Errors: UNSUPPORTED (of neither), IO. */
slm_status models_remove(struct models *m, struct served *s, struct fault *f);
/* models_link -- one more name for a model, in the store or else the folder; no bytes are copied. Errors: UNSUPPORTED (neither), USAGE (the name), IO. */
slm_status models_link(struct models *m, struct served *s, const char *name, struct fault *f);

/* model_load.c: one model; without a lock. */
slm_status served_load(struct served *s, const struct models_config *c, bool has_loras, uint64_t (*make_room)(void *user, uint64_t need), void *user, struct sched_loop *loop, slm_err *err);
slm_status served_load_beside(struct served *s, struct served *base, const struct models_config *c, slm_err *err); /* base is in use, and s->base from now on */
void served_unload(struct served *s, struct sched_loop *loop);

/* model_stored.c: models of the store.
 * stored_open, stored_close -- hold what the row's name is now, path and recipe: from before it is loaded until after. */
slm_status stored_open(struct served *s, struct store *store, slm_err *err);
void stored_close(struct served *s);
/* stored_recipe -- what its manifest says, also while it is not loaded; recipe_fini. Errors: those of store_read and create_recipe. */
slm_status stored_recipe(const struct served *s, struct store *store, struct recipe *r, slm_err *err);
/* stored_label -- a name of the store as the server's names are: without ":latest". */
void stored_label(const struct model_name *name, struct buf *out);
slm_status stored_link(struct store *store, const struct served *s, const char *to, struct fault *f);
slm_status stored_remove(struct store *store, const struct served *s, struct fault *f);

#endif
