/* outlet.c -- detokenizer, then stop strings. */
#include "engine/outlet.h"

#include <string.h>

#define TEXT_STEP_BYTES_MAX (1u << 20) /* text of one step: a piece plus what stop strings held back */

slm_status outlet_init(struct outlet *o, const struct tok *t, const struct view *stops, size_t n_stops, bool strip_first, slm_err *err) {
    memset(o, 0, sizeof *o);
    o->i_stop = -1;
    buf_init(&o->piece, TEXT_STEP_BYTES_MAX);
    buf_init(&o->text, TEXT_STEP_BYTES_MAX);
    detok_init(&o->detok, t, strip_first, false);
    return stop_init(&o->stop, stops, n_stops, err);
}

void outlet_fini(struct outlet *o) {
    stop_fini(&o->stop);
    buf_fini(&o->piece);
    buf_fini(&o->text);
}

static slm_status status_of(const struct outlet *o, slm_err *err) {
    slm_status st = buf_status(&o->piece, "generated text", err);
    return st == SLM_OK ? buf_status(&o->text, "generated text", err) : st;
}

static bool through_stops(struct outlet *o) {
    return stop_push(&o->stop, (struct view){o->piece.data, o->piece.len}, &o->text, &o->i_stop);
}

slm_status outlet_push(struct outlet *o, int32_t id, bool *stopped, slm_err *err) {
    buf_clear(&o->piece);
    buf_clear(&o->text);
    detok_push(&o->detok, id, &o->piece);
    *stopped = through_stops(o);
    return status_of(o, err);
}

slm_status outlet_finish(struct outlet *o, bool *stopped, slm_err *err) {
    buf_clear(&o->piece);
    buf_clear(&o->text);
    detok_finish(&o->detok, &o->piece);
    *stopped = through_stops(o);
    if (!*stopped) stop_finish(&o->stop, &o->text);
    return status_of(o, err);
}
