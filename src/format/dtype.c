/* dtype.c -- the list of element types, and the names of those that files may have and slm has not.
 *
 * Rows are found by scanning: the list is short and look-ups happen per tensor, not per element. */
#include <strings.h>

#include "format/quant/quant_int.h"

/* New type: quant/<type>.c and an entry in DTYPE_LIST; tests/golden checks it against its files in quants/. */
static const struct dtype_desc *const rows[DTYPE_COUNT] = {
#define X(ID, name) [DTYPE_##ID] = &dtype_##name,
    DTYPE_LIST(X)
#undef X
};

/* By GGUF id. A hole is a number never given out or withdrawn before GGUF existed. */
static const char *const gguf_names[] = {
    [0] = "f32",         [1] = "f16",       [2] = "q4_0",     [3] = "q4_1",    [6] = "q5_0",        [7] = "q5_1",
    [8] = "q8_0",        [9] = "q8_1",      [10] = "q2_k",    [11] = "q3_k",   [12] = "q4_k",       [13] = "q5_k",
    [14] = "q6_k",       [15] = "q8_k",     [16] = "iq2_xxs", [17] = "iq2_xs", [18] = "iq3_xxs",    [19] = "iq1_s",
    [20] = "iq4_nl",     [21] = "iq3_s",    [22] = "iq2_s",   [23] = "iq4_xs", [24] = "i8",         [25] = "i16",
    [26] = "i32",        [27] = "i64",      [28] = "f64",     [29] = "iq1_m",  [30] = "bf16",       [31] = "q4_0_4_4",
    [32] = "q4_0_4_8",   [33] = "q4_0_8_8", [34] = "tq1_0",   [35] = "tq2_0",  [36] = "iq4_nl_4_4", [37] = "iq4_nl_4_8",
    [38] = "iq4_nl_8_8", [39] = "mxfp4",    [40] = "nvfp4",   [41] = "q1_0",      [42] = "q2_0",
};

const struct dtype_desc *dtype_get(enum dtype id) { return rows[id]; }

const struct dtype_desc *dtype_by_gguf_id(uint32_t gguf_id) {
    for (int i = 0; i < DTYPE_COUNT; i++)
        if (rows[i]->gguf_id == gguf_id) return rows[i];
    return NULL;
}

const struct dtype_desc *dtype_by_name(const char *name) {
    for (int i = 0; i < DTYPE_COUNT; i++)
        if (strcasecmp(rows[i]->name, name) == 0) return rows[i];
    return NULL;
}

const char *dtype_gguf_name(uint32_t gguf_id) {
    return gguf_id < sizeof gguf_names / sizeof gguf_names[0] ? gguf_names[gguf_id] : NULL;
}

bool dtype_row_bytes(enum dtype id, uint64_t n, uint64_t *bytes) {
    const struct dtype_desc *d = rows[id];
    if (n % d->block_elems != 0) return false;
    uint64_t n_block = n / d->block_elems;
    if (n_block > UINT64_MAX / d->block_bytes) return false;
    *bytes = n_block * d->block_bytes;
    return true;
}
