/* hub_choose.c -- which quant of a repository.
 *
 * Without a wish: the first of the order below that fits the memory. Four bits come first: they read half the bytes of eight for each token and
 * lose little; then five to eight, then three and two, then what was never quantized. Fits: the file, a tenth more, and room for a context. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "store/remote_int.h"

#define CONTEXT_BYTES (256u << 20)

static const char *const order[] = {
    "Q4_K_M", "UD-Q4_K_XL", "Q4_K_S", "IQ4_XS", "IQ4_NL", "MXFP4", "Q4_0", "Q4_1", "Q4_K", "Q5_K_M", "Q5_K_S", "Q5_0", "Q5_1", "Q6_K", "Q8_0", "Q3_K_L",
    "Q3_K_M", "IQ3_M", "IQ3_S", "Q3_K_S", "IQ3_XS", "IQ3_XXS", "Q2_K_L", "Q2_K", "IQ2_M", "IQ2_S", "IQ2_XS", "IQ2_XXS", "TQ2_0", "TQ1_0", "BF16", "F16", "FP16", "F32",
};
#define N_ORDER (sizeof order / sizeof order[0])

/* All files of one quant. */
struct group {
    char label[NAME_PART_MAX];
    size_t first;      /* index of one of its files */
    size_t n_files;
    int n_shards;      /* what their names promise; 1: one file */
    uint64_t bytes;
    size_t rank;       /* place in the order; N_ORDER: not there */
};

static bool is_type_word(const char *p, size_t n) {
    if (n > 2 && strncasecmp(p, "IQ", 2) == 0) return p[2] >= '1' && p[2] <= '8';
    if (n > 1 && (*p == 'Q' || *p == 'q')) return p[1] >= '1' && p[1] <= '8';
    static const char *const words[] = {"F16", "BF16", "FP16", "F32", "FP32", "MXFP4", "MXFP4_MOE", "TQ1_0", "TQ2_0"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (n == strlen(words[i]) && strncasecmp(p, words[i], n) == 0) return true;
    return false;
}

/* "-00001-of-00003" at the end of a stem: cut off. */
static int cut_shard(char *stem, int *i_shard) {
    int i, n, used = 0;
    size_t len = strlen(stem);
    *i_shard = 1;
    if (len < 15 || sscanf(stem + len - 15, "-%5d-of-%5d%n", &i, &n, &used) != 2 || used != 15) return 1;
    stem[len - 15] = 0;
    *i_shard = i;
    return n;
}

/* A file's quant by its name: the last part between "-" and "." that is a type, with "UD-" where it stands before. False: no GGUF of weights. */
static bool label_of(const char *name, char label[NAME_PART_MAX], int *n_shards, int *i_shard) {
    char stem[600];
    size_t len = strlen(name);
    if (len < 6 || len > 512 || strcasecmp(name + len - 5, ".gguf") != 0) return false;
    const char *base = strrchr(name, '/') ? strrchr(name, '/') + 1 : name;
    if (strncasecmp(base, "mmproj", 6) == 0 || strstr(base, "imatrix")) return false;
    snprintf(stem, sizeof stem, "%.*s", (int)(len - 5 - (size_t)(base - name)), base);
    *n_shards = cut_shard(stem, i_shard);
    text_copy(label, NAME_PART_MAX, "default");
    for (char *p = stem, *end; p; p = end ? end + 1 : NULL) {
        end = strpbrk(p, "-.");
        size_t n = end ? (size_t)(end - p) : strlen(p);
        if (!is_type_word(p, n) || n >= NAME_PART_MAX - 4) continue;
        bool is_ud = p - stem >= 3 && strncasecmp(p - 3, "UD-", 3) == 0;
        snprintf(label, NAME_PART_MAX, "%s%.*s", is_ud ? "UD-" : "", (int)n, p);
    }
    return true;
}

static size_t rank_of(const char *label) {
    size_t i = 0;
    while (i < N_ORDER && strcasecmp(order[i], label) != 0) i++;
    return i;
}

static struct group *find_group(struct group *groups, size_t n, const char *label) {
    for (size_t i = 0; i < n; i++)
        if (strcasecmp(groups[i].label, label) == 0) return &groups[i];
    return NULL;
}

static size_t make_groups(const struct hub_file *files, size_t n, struct group *groups) {
    size_t n_groups = 0;
    for (size_t i = 0; i < n; i++) {
        char label[NAME_PART_MAX];
        int n_shards, i_shard;
        if (!label_of(files[i].name, label, &n_shards, &i_shard)) continue;
        struct group *g = find_group(groups, n_groups, label);
        if (!g) {
            g = &groups[n_groups++];
            *g = (struct group){.first = i, .n_shards = n_shards, .rank = rank_of(label)};
            text_copy(g->label, sizeof g->label, label);
        } else if (n_shards == 1 || g->n_shards != n_shards) continue; /* another file of the same quant: the first stands */
        g->n_files++;
        g->bytes += files[i].size == UINT64_MAX ? 0 : files[i].size;
    }
    return n_groups;
}

static void list_labels(const struct group *groups, size_t n, struct buf *out) {
    for (size_t i = 0; i < n; i++) buf_printf(out, "%s%s", i ? ", " : "", groups[i].label);
}

static uint64_t needed(const struct group *g) { return g->bytes + g->bytes / 10 + CONTEXT_BYTES; }

static double gib(uint64_t bytes) { return (double)bytes / (double)(1u << 30); }

static const struct group *choose(const struct group *groups, size_t n, uint64_t memory, struct buf *why, slm_err *err) {
    const struct group *best = NULL, *smallest = &groups[0];
    for (size_t i = 0; i < n; i++) {
        if (groups[i].bytes < smallest->bytes) smallest = &groups[i];
        if (needed(&groups[i]) <= memory && (!best || groups[i].rank < best->rank)) best = &groups[i];
    }
    if (!best) {
        err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "model: the smallest quant, %s, needs %.1f GiB of memory, %.1f are free", smallest->label, gib(needed(smallest)), gib(memory));
        err_hint(err, "name a quant to pull it all the same, or take a smaller model");
        return NULL;
    }
    buf_printf(why, "%s of %zu quants: needs about %.1f GiB, %.1f are free; another one with :QUANT (", best->label, n, gib(needed(best)), gib(memory));
    list_labels(groups, n, why);
    buf_puts(why, ")");
    return best;
}

/* The group's files, shards in order. */
static size_t take_files(const struct hub_file *files, size_t n, const struct group *g, size_t *chosen) {
    size_t n_chosen = 0;
    for (int want = 1; want <= g->n_shards; want++)
        for (size_t i = 0; i < n; i++) {
            char label[NAME_PART_MAX];
            int n_shards, i_shard;
            if (!label_of(files[i].name, label, &n_shards, &i_shard) || n_shards != g->n_shards || i_shard != want || strcasecmp(label, g->label) != 0) continue;
            if (g->n_shards == 1 && i != g->first) continue;
            chosen[n_chosen++] = i;
            break;
        }
    return n_chosen;
}

slm_status hub_choose(const struct hub_file *files, size_t n, const char *wanted, uint64_t memory_bytes, size_t *chosen, size_t *n_chosen,
                      char label[NAME_PART_MAX], struct buf *why, slm_err *err) {
    slm_status st = SLM_OK;
    struct group *groups = calloc(n + 1, sizeof *groups);
    const struct group *g = NULL;
    *n_chosen = 0;
    if (!groups) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "hub: out of memory");
    size_t n_groups = make_groups(files, n, groups);
    if (n_groups == 0) goto out;
    if (!*wanted) g = choose(groups, n_groups, memory_bytes, why, err);
    else if (!(g = find_group(groups, n_groups, wanted))) {
        struct buf all;
        buf_init(&all, 8192);
        list_labels(groups, n_groups, &all);
        err_set(err, SLM_E_USAGE, SLM_NOWHERE, "quant \"%s\": the repository has %s", wanted, all.data ? all.data : "none");
        buf_fini(&all);
    }
    if (!g) {
        st = *wanted ? SLM_E_USAGE : SLM_E_LIMIT;
        goto out;
    }
    *n_chosen = take_files(files, n, g, chosen);
    if (*n_chosen != (size_t)g->n_shards) FAIL(SLM_E_FORMAT, SLM_NOWHERE, "quant \"%s\": the repository has %zu of %d shards", g->label, *n_chosen, g->n_shards);
    text_copy(label, NAME_PART_MAX, g->label);
out:
    free(groups);
    return st;
}
