/* svg.c -- the few SVG elements that a chart needs. A picture is as safe as its text: that is escaped here, the rest are numbers. */
#include "base/svg.h"

#include <math.h>

void svg_begin(struct buf *b, int width, int height) {
    buf_printf(b, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"11\">\n", width, height);
}

void svg_line(struct buf *b, double x1, double y1, double x2, double y2, const char *colour) {
    buf_printf(b, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\"/>\n", x1, y1, x2, y2, colour);
}

void svg_rect(struct buf *b, double x, double y, double width, double height, const char *colour) {
    buf_printf(b, "<rect x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%.1f\" fill=\"%s\"/>\n", x, y, width, height, colour);
}

static void put_escaped(struct buf *b, const char *text) {
    for (; *text; text++) {
        if (*text == '<') buf_puts(b, "&lt;");
        else if (*text == '>') buf_puts(b, "&gt;");
        else if (*text == '&') buf_puts(b, "&amp;");
        else if ((unsigned char)*text >= ' ') buf_putc(b, *text);
    }
}

void svg_text(struct buf *b, double x, double y, enum svg_anchor anchor, const char *text) {
    static const char *const names[] = {[SVG_START] = "start", [SVG_MIDDLE] = "middle", [SVG_END] = "end"};
    buf_printf(b, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, names[anchor]);
    put_escaped(b, text);
    buf_puts(b, "</text>\n");
}

void svg_end(struct buf *b) { buf_puts(b, "</svg>\n"); }

double svg_tick(double top, int n) {
    double rough = top / n, power = pow(10, floor(log10(rough))), lead = rough / power;
    return power * (lead < 1.5 ? 1 : lead < 3.5 ? 2 : lead < 7.5 ? 5 : 10);
}
