/* near.h -- do two questions ask the same? For answers that are given again to requests that are not the same to the byte.
 *
 * Two things are known of a question. Its sketch: counts of words, of neighbours and of runs of three letters, hashed into NEAR_N numbers of length 1 together; the
 * cosine of two says how alike they look. That alone is no reason to give an answer: "turn it on" looks like "turn it off". So its form: the words that
 * are left when greetings, politeness, articles and forms of "is" are taken away and short forms are spelled out (English; rows of near.c). Questions of one
 * form have the same words in the same order, so they agree in every negation, number, name and sign; case counts but for the first letter. */
#ifndef SLM_TIER_NEAR_H
#define SLM_TIER_NEAR_H

#include "base/mem.h"

#define NEAR_N 256
#define NEAR_BYTES_MAX 4096 /* a longer question is like no other */

void near_sketch(struct view text, float out[NEAR_N]);
double near_cosine(const float a[NEAR_N], const float b[NEAR_N]);
/* near_form -- appended to out, one space between words. False: too long, or nothing is left. */
bool near_form(struct view text, struct buf *out);
#endif
