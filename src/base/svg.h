/* svg.h -- pictures of figures: lines, bars and text put to a buffer as SVG. Coordinates in pixels, y downwards. */
#ifndef SLM_BASE_SVG_H
#define SLM_BASE_SVG_H

#include "base/mem.h"

enum svg_anchor { SVG_START, SVG_MIDDLE, SVG_END };

void svg_begin(struct buf *b, int width, int height);
void svg_line(struct buf *b, double x1, double y1, double x2, double y2, const char *colour);
void svg_rect(struct buf *b, double x, double y, double width, double height, const char *colour);
/* text may hold anything: markup is escaped. */
void svg_text(struct buf *b, double x, double y, enum svg_anchor anchor, const char *text);
void svg_end(struct buf *b);

/* svg_tick -- a round distance (1, 2 or 5 times a power of ten) of which about n make `top`, top > 0. */
double svg_tick(double top, int n);

#endif
