// Writes a placed picture as SVG. Colours are those of Okabe and Ito, which all kinds of colour vision tell apart; in
// black and white the borders still do: states are dashed, arguments round. Elements carry a class and boxes their
// place, so that tools (and tests) can read the picture: box, group, label, title, edge.
#include "compiler/driver/svg.h"

#include <math.h>
#include <string.h>

#include "compiler/driver/picture.h"
#include "ir/text_buffer.h"

enum { MARGIN = 18, COLUMN = 36 };

typedef struct {
  const char *fill, *stroke, *dash;
  int round;
} style;

static const style styles[] = {
    [PICTURE_INPUT] = {"#fdf7d8", "#8a7a00", "", 9}, [PICTURE_RESULT] = {"#fdf7d8", "#8a7a00", "", 9},
    [PICTURE_OP] = {"#ffffff", "#666666", "", 3},    [PICTURE_STATE] = {"#dcf3ea", "#007a5a", "4 3", 3},
    [PICTURE_BLOCK] = {"#dcebf8", "#0060a0", "", 3}, [PICTURE_GROUP] = {"#f6f8fa", "#44617a", "", 5},
};

static void put_escaped(ir_text *text, const char *words) {
  for (; *words; words++) {
    if (*words == '<') ir_text_puts(text, "&lt;");
    else if (*words == '>') ir_text_puts(text, "&gt;");
    else if (*words == '&') ir_text_puts(text, "&amp;");
    else if ((unsigned char)*words >= 0x20) ir_text_printf(text, "%c", *words);
  }
}

static void put_text(ir_text *t, const char *class, double x, double y, const char *words) {
  ir_text_printf(t, "<text class=\"%s\" x=\"%.0f\" y=\"%.0f\">", class, x, y);
  put_escaped(t, words);
  ir_text_puts(t, "</text>\n");
}

static void draw_lines(ir_text *t, const picture *p, double x, double y) {
  for (int i = 0; i < p->line_count; i++) {
    const picture_line *line = &p->lines[i];
    for (int k = 0; k < line->target_count; k++) {
      bool straight = fabs(line->targets[k].x - line->x) < 1, arrow = line->targets[k].arrow;
      ir_text_printf(t, "<path class=\"edge\"%s d=\"M%.1f %.1fV%.1f", arrow ? " marker-end=\"url(#a)\"" : "",
                     x + line->x, y + line->top, y + (straight ? line->targets[k].bottom : line->middle));
      if (!straight) ir_text_printf(t, "H%.1fV%.1f", x + line->targets[k].x, y + line->targets[k].bottom);
      ir_text_puts(t, "\"/>\n");
    }
  }
}

static void draw(ir_text *t, const picture *p, double x, double y, int depth);

static void draw_box(ir_text *t, const picture_box *box, double x, double y, int depth) {
  if (box->kind == PICTURE_BEND) {  // the line goes on
    ir_text_printf(t, "<path class=\"edge\" d=\"M%.1f %.1fV%.1f\"/>\n", x + box->x, y + box->y, y + box->y + box->h);
    return;
  }
  const style *look = &styles[box->kind];
  double left = x + box->x, top = y + box->y;
  bool group = box->kind == PICTURE_GROUP;
  const char *fill = group && depth % 2 ? "#ffffff" : look->fill;
  if (box->repeat > 1)  // the edge of the next one behind it
    ir_text_printf(t, "<rect class=\"shadow\" x=\"%.0f\" y=\"%.0f\" width=\"%.0f\" height=\"%.0f\" rx=\"%d\"/>\n",
                   left + 4, top + 4, box->w, box->h, look->round);
  ir_text_printf(t,
                 "<rect class=\"%s\" x=\"%.0f\" y=\"%.0f\" width=\"%.0f\" height=\"%.0f\" rx=\"%d\" fill=\"%s\" "
                 "stroke=\"%s\"",
                 group ? "group" : "box", left, top, box->w, box->h, look->round, fill, look->stroke);
  if (*look->dash) ir_text_printf(t, " stroke-dasharray=\"%s\"", look->dash);
  ir_text_puts(t, "/>\n");
  bool titled = box->kind == PICTURE_BLOCK || group;
  for (int i = 0; i < box->line_count; i++)
    put_text(t,
             i == 0 && titled ? "title"
             : i              ? "more"
                              : "op",
             left + PICTURE_PAD, top + 16 + i * PICTURE_LINE, box->lines[i]);
  if (box->repeat > 1) {
    ir_text_printf(t, "<text class=\"repeat\" x=\"%.0f\" y=\"%.0f\">\xc3\x97 %d</text>\n", left + box->w - PICTURE_PAD,
                   top + 16, box->repeat);
  }
  if (group) draw(t, box->inside, left + (box->w - box->inside->w) / 2, top + PICTURE_TITLE, depth + 1);
}

static void draw(ir_text *t, const picture *p, double x, double y, int depth) {
  draw_lines(t, p, x, y);
  for (int i = 0; i < p->box_count; i++) draw_box(t, &p->boxes[i], x, y, depth);
  for (int i = 0; i < p->line_count; i++) {
    const picture_line *line = &p->lines[i];
    const picture_box *from = &p->boxes[line->from];
    if (from->kind != PICTURE_BEND && from->label)
      put_text(t, "label", x + line->x + 5, y + line->top + (from->repeat > 1 ? 17 : 13), from->label);
  }
}

static void open_document(ir_text *t, double width, double height, const char *name) {
  ir_text_printf(t,
                 "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" height=\"%.0f\" "
                 "font-family=\"DejaVu Sans Mono, Menlo, Consolas, monospace\" font-size=\"12\">\n<title>",
                 width, height, width, height);
  put_escaped(t, name);
  ir_text_puts(t,
               "</title>\n<style>.title{font-weight:bold;font-size:13px}.more,.label{fill:#444}.label{font-size:11px}"
               ".repeat{font-weight:bold;font-size:13px;fill:#a04000;text-anchor:end}.edge{fill:none;stroke:#333}"
               ".shadow{fill:#e4e8ec;stroke:#8899a6}</style>\n"
               "<defs><marker id=\"a\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" "
               "orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" fill=\"#333\"/></marker></defs>\n"
               "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n");
}

const char *svg_draw_module(weir_arena *arena, const ir_module *module, const char *entry) {
  picture_drawn drawn = {0};
  picture *whole = WEIR_NEW(arena, picture);
  double x = MARGIN, height = 0;
  for (int i = 0; i < module->function_count; i++) {
    const ir_function *function = module->functions[i];
    bool root = function->kind == IR_FUNCTION_ENTRY || function->kind == IR_FUNCTION_STEP;
    if (!root || (entry && strcmp(function->name, entry))) continue;
    picture_box box = {.kind = PICTURE_GROUP, .repeat = 1, .line_count = 1, .x = x, .y = MARGIN};
    box.lines[0] =
        weir_arena_printf(arena, "%s %s", function->kind == IR_FUNCTION_STEP ? "step" : "entry", function->name);
    box.inside = picture_make(arena, function, &drawn);
    picture_place(arena, box.inside);
    box.w = fmax(box.inside->w + 2 * PICTURE_PAD, picture_text_width(box.lines[0], true) + 2 * PICTURE_PAD);
    box.h = box.inside->h + PICTURE_TITLE + PICTURE_PAD;
    x += box.w + COLUMN;
    height = fmax(height, box.h);
    WEIR_PUSH(arena, whole->boxes, whole->box_count, whole->box_capacity, box);
  }
  ir_text text;
  ir_text_init(&text, arena);
  open_document(&text, x - COLUMN + MARGIN, height + 2 * MARGIN, module->name);
  draw(&text, whole, 0, 0, 0);
  ir_text_puts(&text, "</svg>\n");
  return text.data;
}
