/* exec.c -- running a gram: stacks of frames kept once each, states that are sets of stacks, transitions remembered.
 *
 * A frame is what is still to come at one place of the graph, and the frame to go on with afterwards: (SEQ, next kid), (REP,
 * count), (DFA, state, count), (LIT, offset). Equal frames are one, so two texts that leave the same to come share everything.
 * A state lists the stacks whose top can take a byte. To follow a byte, every such top is moved on and what then lies on top is
 * expanded until it can take a byte; a frame is expanded at most once per step, which also ends repeats of what may be empty. */
#include <stdlib.h>
#include <string.h>

#include "text/gram/gram_int.h"

#define TABLE_BYTES_MAX (128u << 20) /* of one table; who runs long flushes before */
#define STEP_WORK_MAX (1u << 20)
#define UNKNOWN GRAM_UNKNOWN

struct frame {
    uint32_t node, a, b, parent; /* SEQ: a next kid; REP: a count; DFA: a state, b count; LIT: a offset. parent 0: the end */
    uint32_t cost;               /* bytes to the end of the text, parents included */
    uint32_t depth, stamp;
};

struct state {
    uint32_t first, n; /* tops, in `tops`, ascending */
    uint32_t cost, depth;
    int32_t *next;     /* [n_classes] or NULL: nothing asked yet */
    bool accepts;
};

/* What is to be expanded: a node before a frame, or (node NONE) a frame that is arrived at. */
struct work {
    uint32_t node, frame;
};
#define NONE UINT32_MAX

struct gram_exec {
    const struct gram *g;
    struct frame *frames; /* frame 0 is the end of the text */
    struct state *states;
    uint32_t *tops, *frame_slots, *state_slots; /* slots: 1 + index, open addressing */
    struct work *work;
    uint32_t *found;      /* tops of the state being made */
    int32_t *rows;        /* block of transition rows being cut up */
    int32_t **blocks;
    size_t n_frames, cap_frames, n_states, cap_states, n_tops, cap_tops, n_frame_slots, n_state_slots, cap_work, n_found, cap_found;
    size_t n_blocks, cap_blocks, rows_left;
    uint32_t stamp;
    int32_t start;
    bool accepts;         /* the state being made */
    slm_status failed;
    slm_err why;
};

static bool fail(struct gram_exec *x, slm_status code, const char *why) {
    if (x->failed == SLM_OK) x->failed = err_set(&x->why, code, SLM_NOWHERE, "%s", why);
    return false;
}

static bool room(struct gram_exec *x, void *array, size_t need, size_t *cap, size_t size) {
    void *p;
    if (need <= *cap) return true;
    size_t want = *cap ? *cap * 2 : 256;
    while (want < need) want *= 2;
    if (want * size > TABLE_BYTES_MAX) return fail(x, SLM_E_LIMIT, "the automaton of this text needs more memory than is allowed");
    memcpy(&p, array, sizeof p);
    if (!(p = realloc(p, want * size))) return fail(x, SLM_E_NOMEM, "automaton: no memory");
    memcpy(array, &p, sizeof p);
    *cap = want;
    return true;
}

static uint32_t mix(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
    uint64_t h = ((uint64_t)a << 32 | b) * 0x9e3779b97f4a7c15u ^ ((uint64_t)c << 32 | d) * 0xc2b2ae3d27d4eb4fu;
    h ^= h >> 29;
    h *= 0xbf58476d1ce4e5b9u;
    return (uint32_t)(h >> 32);
}

/* Cost of a frame's own part. */
static uint32_t own_cost(const struct gram *g, const struct frame *f) {
    const struct node *n = &g->nodes[f->node];
    switch (n->kind) {
    case NODE_LIT: return n->b - f->a;
    case NODE_SET: return 1;
    case NODE_SEQ: return g->kids_cost[n->a + f->a];
    case NODE_REP: return f->a < n->b ? cost_mul(g->nodes[n->a].cost, n->b - f->a) : 0;
    case NODE_DFA: return node_dfa_cost(g, f->node, f->a, f->b);
    default: return INF;
    }
}

static bool grow_frame_slots(struct gram_exec *x) {
    size_t n = x->n_frame_slots ? x->n_frame_slots * 2 : 1024;
    uint32_t *slots = calloc(n, sizeof *slots);
    if (!slots) return fail(x, SLM_E_NOMEM, "automaton: no memory");
    for (size_t i = 1; i < x->n_frames; i++) {
        const struct frame *f = &x->frames[i];
        size_t at = mix(f->node, f->a, f->b, f->parent) & (n - 1);
        while (slots[at]) at = (at + 1) & (n - 1);
        slots[at] = (uint32_t)i + 1;
    }
    free(x->frame_slots);
    x->frame_slots = slots;
    x->n_frame_slots = n;
    return true;
}

/* The one frame with these contents; 0 on failure (x->failed). */
static uint32_t frame(struct gram_exec *x, uint32_t node, uint32_t a, uint32_t b, uint32_t parent) {
    if (x->n_frames * 2 >= x->n_frame_slots && !grow_frame_slots(x)) return 0;
    size_t at = mix(node, a, b, parent) & (x->n_frame_slots - 1);
    for (; x->frame_slots[at]; at = (at + 1) & (x->n_frame_slots - 1)) {
        const struct frame *f = &x->frames[x->frame_slots[at] - 1];
        if (f->node == node && f->a == a && f->b == b && f->parent == parent) return x->frame_slots[at] - 1;
    }
    if (!room(x, &x->frames, x->n_frames + 1, &x->cap_frames, sizeof *x->frames)) return 0;
    struct frame f = {.node = node, .a = a, .b = b, .parent = parent};
    f.cost = cost_add(own_cost(x->g, &f), x->frames[parent].cost);
    f.depth = x->frames[parent].depth + 1;
    x->frames[x->n_frames] = f;
    x->frame_slots[at] = (uint32_t)x->n_frames + 1;
    return (uint32_t)x->n_frames++;
}

/* A top that can take a byte. One that can never be completed is left out. */
static bool found(struct gram_exec *x, uint32_t f) {
    if (x->failed != SLM_OK) return false;
    if (x->frames[f].cost == INF || x->frames[f].stamp == x->stamp) return true;
    if (x->n_found >= GRAM_STATE_FRAMES_MAX) return fail(x, SLM_E_LIMIT, "the grammar is too ambiguous: too many ways to read one text");
    if (!room(x, &x->found, x->n_found + 1, &x->cap_found, sizeof *x->found)) return false;
    x->frames[f].stamp = x->stamp;
    x->found[x->n_found++] = f;
    return true;
}

static bool push(struct gram_exec *x, size_t *n, uint32_t node, uint32_t f) {
    if (x->failed != SLM_OK || !room(x, &x->work, *n + 1, &x->cap_work, sizeof *x->work)) return false;
    x->work[(*n)++] = (struct work){node, f};
    return true;
}

/* A repeat with `count` rounds done: another round, and, if there were enough, what follows. */
static void push_repeat(struct gram_exec *x, size_t *n, uint32_t node, uint32_t count, uint32_t parent) {
    const struct node *r = &x->g->nodes[node];
    if (count >= r->b) push(x, n, NONE, parent);
    if (count >= r->c) return;
    uint32_t next = r->c == NODE_INF && count >= r->b ? count : count + 1;
    push(x, n, r->a, next == r->c ? parent : frame(x, node, next, 0, parent));
}

static void push_kid(struct gram_exec *x, size_t *n, uint32_t node, uint32_t i, uint32_t parent) {
    const struct node *q = &x->g->nodes[node];
    push(x, n, x->g->kids[q->a + i], i + 1 < q->b ? frame(x, node, i + 1, 0, parent) : parent);
}

/* Go on with a frame: what it has still to come, once per step. */
static void arrive(struct gram_exec *x, size_t *n, uint32_t f) {
    if (x->frames[f].stamp == x->stamp) return;
    x->frames[f].stamp = x->stamp;
    if (f == 0) {
        x->accepts = true;
        return;
    }
    struct frame at = x->frames[f];
    if (x->g->nodes[at.node].kind == NODE_REP) push_repeat(x, n, at.node, at.a, at.parent);
    else push_kid(x, n, at.node, at.a, at.parent);
}

/* Whether a byte may still be taken in this state of a table. */
static bool dfa_goes_on(const struct gram *g, const struct node *n, uint32_t state, uint32_t count) {
    return count < n->c || !(g->dfas[n->a]->flags[state] & DFA_BOUNDARY);
}

static void enter_dfa(struct gram_exec *x, size_t *n, uint32_t node, uint32_t state, uint32_t count, uint32_t parent) {
    const struct node *d = &x->g->nodes[node];
    if (count >= d->b && x->g->dfas[d->a]->flags[state] & DFA_ACCEPT) push(x, n, NONE, parent);
    if (dfa_goes_on(x->g, d, state, count)) found(x, frame(x, node, state, count, parent));
}

static void expand(struct gram_exec *x, size_t n) {
    const struct gram *g = x->g;
    for (size_t work = 0; n > 0 && x->failed == SLM_OK; work++) {
        struct work w = x->work[--n];
        if (work > STEP_WORK_MAX) {
            fail(x, SLM_E_LIMIT, "the grammar is too ambiguous: too much to expand in one step");
        } else if (w.node == NONE) {
            arrive(x, &n, w.frame);
        } else {
            const struct node *d = &g->nodes[w.node];
            switch (d->kind) {
            case NODE_FAIL: break;
            case NODE_LIT:
            case NODE_SET: found(x, frame(x, w.node, 0, 0, w.frame)); break;
            case NODE_SEQ:
                if (d->b == 0) push(x, &n, NONE, w.frame);
                else push_kid(x, &n, w.node, 0, w.frame);
                break;
            case NODE_ALT:
                for (uint32_t i = d->b; i-- > 0;) push(x, &n, g->kids[d->a + i], w.frame);
                break;
            case NODE_REP: push_repeat(x, &n, w.node, 0, w.frame); break;
            case NODE_DFA: enter_dfa(x, &n, w.node, 0, 0, w.frame); break;
            case NODE_RULE: push(x, &n, d->a, w.frame); break;
            }
        }
    }
}

/* Move one top over a byte; what then is to be expanded goes to work. */
static void take(struct gram_exec *x, size_t *n, uint32_t f, uint8_t byte) {
    const struct gram *g = x->g;
    struct frame at = x->frames[f];
    const struct node *d = &g->nodes[at.node];
    if (d->kind == NODE_SET) {
        if (byteset_has(&g->sets[d->a], byte)) push(x, n, NONE, at.parent);
    } else if (d->kind == NODE_LIT) {
        if ((uint8_t)g->lits[d->a + at.a] != byte) return;
        if (at.a + 1 == d->b) push(x, n, NONE, at.parent);
        else found(x, frame(x, at.node, at.a + 1, 0, at.parent));
    } else {
        const struct dfa *t = g->dfas[d->a];
        int32_t to = dfa_next(t, (int32_t)at.a, byte);
        if (to < 0) return;
        uint32_t count = at.b;
        if (t->flags[to] & DFA_BOUNDARY) count += d->c != NODE_INF || count < d->b; /* beyond the least nothing depends on it */
        else if (count >= d->c) return;
        if (count <= d->c && node_dfa_cost(g, at.node, (uint32_t)to, count) != INF) enter_dfa(x, n, at.node, (uint32_t)to, count, at.parent);
    }
}

static int compare_u32(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static uint32_t hash_tops(const uint32_t *tops, size_t n, bool accepts) {
    uint32_t h = accepts ? 0x9e3779b9u : 1u;
    for (size_t i = 0; i < n; i++) h = mix(h, tops[i], 0, 0);
    return h;
}

static bool grow_state_slots(struct gram_exec *x) {
    size_t n = x->n_state_slots ? x->n_state_slots * 2 : 512;
    uint32_t *slots = calloc(n, sizeof *slots);
    if (!slots) return fail(x, SLM_E_NOMEM, "automaton: no memory");
    for (size_t i = 0; i < x->n_states; i++) {
        const struct state *s = &x->states[i];
        size_t at = hash_tops(x->tops + s->first, s->n, s->accepts) & (n - 1);
        while (slots[at]) at = (at + 1) & (n - 1);
        slots[at] = (uint32_t)i + 1;
    }
    free(x->state_slots);
    x->state_slots = slots;
    x->n_state_slots = n;
    return true;
}

/* The one state with the tops found; GRAM_DEAD when there are none and the text may not end. */
static int32_t intern(struct gram_exec *x) {
    if (x->failed != SLM_OK || (x->n_found == 0 && !x->accepts)) return GRAM_DEAD;
    if (x->n_found > 1) qsort(x->found, x->n_found, sizeof *x->found, compare_u32);
    if (x->n_states * 2 >= x->n_state_slots && !grow_state_slots(x)) return GRAM_DEAD;
    size_t at = hash_tops(x->found, x->n_found, x->accepts) & (x->n_state_slots - 1);
    for (; x->state_slots[at]; at = (at + 1) & (x->n_state_slots - 1)) {
        const struct state *s = &x->states[x->state_slots[at] - 1];
        if (s->n == x->n_found && s->accepts == x->accepts && (s->n == 0 || memcmp(x->tops + s->first, x->found, s->n * sizeof *x->tops) == 0))
            return (int32_t)x->state_slots[at] - 1;
    }
    if (!room(x, &x->states, x->n_states + 1, &x->cap_states, sizeof *x->states) ||
        !room(x, &x->tops, x->n_tops + x->n_found, &x->cap_tops, sizeof *x->tops))
        return GRAM_DEAD;
    struct state s = {.first = (uint32_t)x->n_tops, .n = (uint32_t)x->n_found, .accepts = x->accepts, .cost = x->accepts ? 0 : INF};
    for (size_t i = 0; i < x->n_found; i++) {
        const struct frame *f = &x->frames[x->found[i]];
        if (f->cost < s.cost) s.cost = f->cost;
        if (f->depth > s.depth) s.depth = f->depth;
    }
    if (x->n_found) memcpy(x->tops + x->n_tops, x->found, x->n_found * sizeof *x->tops);
    x->n_tops += x->n_found;
    x->states[x->n_states] = s;
    x->state_slots[at] = (uint32_t)x->n_states + 1;
    return (int32_t)x->n_states++;
}

static void begin_step(struct gram_exec *x) {
    x->n_found = 0;
    x->accepts = false;
    if (++x->stamp == 0) {
        for (size_t i = 0; i < x->n_frames; i++) x->frames[i].stamp = 0;
        x->stamp = 1;
    }
}

#define ROWS_OF_BLOCK 64

static int32_t *new_row(struct gram_exec *x) {
    uint32_t n = x->g->n_classes;
    if (x->rows_left == 0) {
        if (!room(x, &x->blocks, x->n_blocks + 1, &x->cap_blocks, sizeof *x->blocks)) return NULL;
        x->rows = malloc(ROWS_OF_BLOCK * n * sizeof *x->rows);
        if (!x->rows) {
            fail(x, SLM_E_NOMEM, "automaton: no memory");
            return NULL;
        }
        x->blocks[x->n_blocks++] = x->rows;
        x->rows_left = ROWS_OF_BLOCK;
    }
    int32_t *row = x->rows + (ROWS_OF_BLOCK - x->rows_left--) * n;
    for (uint32_t c = 0; c < n; c++) row[c] = UNKNOWN;
    return row;
}

static int32_t compute_next(struct gram_exec *x, int32_t state, uint32_t class) {
    size_t n = 0;
    if (x->failed != SLM_OK) return GRAM_DEAD;
    if (!x->states[state].next && !(x->states[state].next = new_row(x))) return GRAM_DEAD;
    begin_step(x);
    for (uint32_t i = 0; i < x->states[state].n; i++) take(x, &n, x->tops[x->states[state].first + i], x->g->class_byte[class]);
    expand(x, n);
    int32_t to = intern(x);
    if (x->failed != SLM_OK) return GRAM_DEAD;
    x->states[state].next[class] = to;
    return to;
}

int32_t gram_next(struct gram_exec *x, int32_t state, uint8_t byte) {
    uint32_t class = x->g->class_of[byte];
    const int32_t *row = x->states[state].next;
    if (row && row[class] != UNKNOWN) return row[class];
    return compute_next(x, state, class);
}

static bool make_start(struct gram_exec *x) {
    size_t n = 0;
    if (!room(x, &x->frames, 1, &x->cap_frames, sizeof *x->frames) || !room(x, &x->tops, 1, &x->cap_tops, sizeof *x->tops)) return false;
    x->frames[0] = (struct frame){0};
    x->n_frames = 1;
    begin_step(x);
    push(x, &n, x->g->root, 0);
    expand(x, n);
    x->start = intern(x);
    return x->failed == SLM_OK;
}

slm_status gram_exec_create(const struct gram *g, struct gram_exec **out, slm_err *err) {
    void *mem = NULL;
    *out = NULL;
    slm_status st = mem_alloc(&mem, 1, sizeof(struct gram_exec), "automaton", err);
    if (st != SLM_OK) return st;
    struct gram_exec *x = mem;
    x->g = g;
    if (!make_start(x)) {
        st = gram_exec_failed(x, err);
        gram_exec_destroy(x);
        return st;
    }
    *out = x;
    return SLM_OK;
}

/* All but the working lists. */
static void free_tables(struct gram_exec *x) {
    for (size_t i = 0; i < x->n_blocks; i++) free(x->blocks[i]);
    free(x->blocks);
    free(x->frames);
    free(x->states);
    free(x->tops);
    free(x->frame_slots);
    free(x->state_slots);
}

void gram_exec_destroy(struct gram_exec *x) {
    if (!x) return;
    free_tables(x);
    free(x->work);
    free(x->found);
    free(x);
}

void gram_exec_flush(struct gram_exec *x) {
    const struct gram *g = x->g;
    struct gram_exec fresh = {.g = g, .work = x->work, .cap_work = x->cap_work, .found = x->found, .cap_found = x->cap_found};
    free_tables(x);
    *x = fresh;
    make_start(x);
}

slm_status gram_exec_failed(const struct gram_exec *x, slm_err *err) {
    if (x->failed != SLM_OK && err) *err = x->why;
    return x->failed;
}

size_t gram_exec_bytes(const struct gram_exec *x) {
    return x->n_frames * sizeof *x->frames + x->n_states * sizeof *x->states + x->n_tops * sizeof *x->tops +
           (x->n_frame_slots + x->n_state_slots) * sizeof *x->frame_slots + x->n_blocks * ROWS_OF_BLOCK * x->g->n_classes * sizeof *x->rows;
}

int32_t gram_start(struct gram_exec *x) { return x->start; }

bool gram_accepts(const struct gram_exec *x, int32_t state) { return x->states[state].accepts; }

uint32_t gram_cost(const struct gram_exec *x, int32_t state) { return x->states[state].cost; }

uint32_t gram_depth(const struct gram_exec *x, int32_t state) { return x->states[state].depth; }

bool gram_is_final(struct gram_exec *x, int32_t state) {
    if (!x->states[state].accepts) return false;
    for (uint32_t c = 0; c < x->g->n_classes && x->states[state].n > 0; c++)
        if (gram_next(x, state, x->g->class_byte[c]) >= 0) return false;
    return x->failed == SLM_OK;
}

int gram_only_byte(struct gram_exec *x, int32_t state) {
    int only = -1;
    const struct gram *g = x->g;
    if (x->states[state].accepts) return -1;
    /* A top of many bytes settles it without asking every class. */
    for (uint32_t i = 0; i < x->states[state].n; i++) {
        const struct frame *f = &x->frames[x->tops[x->states[state].first + i]];
        const struct node *d = &g->nodes[f->node];
        if (d->kind != NODE_LIT) break;
        int byte = (uint8_t)g->lits[d->a + f->a];
        if (i > 0 && byte != only) return -1;
        only = byte;
        if (i + 1 == x->states[state].n) return only;
    }
    only = -1;
    for (uint32_t c = 0; c < g->n_classes; c++) {
        if (gram_next(x, state, g->class_byte[c]) < 0) continue;
        if (only >= 0) return -1;
        for (unsigned b = 0; b < 256; b++) {
            if (g->class_of[b] != c) continue;
            if (only >= 0) return -1;
            only = (int)b;
        }
    }
    return only;
}

int gram_best_byte(struct gram_exec *x, int32_t state) {
    int best = -1;
    uint32_t cost = x->states[state].cost;
    if (cost == 0 || cost == INF) return -1;
    for (uint32_t c = 0; c < x->g->n_classes; c++) {
        int32_t to = gram_next(x, state, x->g->class_byte[c]);
        if (to < 0 || x->states[to].cost != cost - 1) continue;
        if (best < 0 || x->g->class_byte[c] < best) best = x->g->class_byte[c];
    }
    return best;
}

bool gram_string_room(const struct gram_exec *x, int32_t state, uint32_t *n_least, uint32_t *n_most) {
    const struct state *s = &x->states[state];
    const struct frame *body = NULL;
    size_t n_endless = 0, n_bodies = 0;
    for (uint32_t i = 0; i < s->n; i++) {
        const struct frame *f = &x->frames[x->tops[s->first + i]];
        const struct node *n = &x->g->nodes[f->node];
        if (n->kind == NODE_LIT && x->g->lits[n->a + f->a] == '"') continue; /* the end of the string */
        if (n->kind != NODE_DFA || (~x->g->dfas[n->a]->flags[f->a] & (DFA_LOOPS | DFA_ACCEPT))) return false;
        n_endless += n->c == NODE_INF && f->b >= n->b;
        n_bodies++;
        body = f;
    }
    if (n_bodies == 0 || (n_bodies > 1 && n_endless < n_bodies)) return false; /* several at once: only where a character leaves all of them as they are */
    const struct node *n = &x->g->nodes[body->node];
    *n_least = body->b < n->b ? n->b - body->b : 0;
    *n_most = n->c == NODE_INF ? NODE_INF : n->c - body->b;
    return true;
}

const int32_t *gram_row(const struct gram_exec *x, int32_t state) { return x->states[state].next; }

const uint8_t *gram_classes(const struct gram_exec *x) { return x->g->class_of; }
