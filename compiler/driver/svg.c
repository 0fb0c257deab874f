// Layout: entries on the left, each callee one column further right than its furthest caller; functions of a column
// from top to bottom.
#include "compiler/driver/svg.h"

#include <stdlib.h>
#include <string.h>

#include "ir/text_buffer.h"

enum { BOX_WIDTH = 250, COLUMN = 330, LINE = 17, GAP = 28, MARGIN = 24, MOST_OPS = 8 };

typedef struct {
  const ir_function *function;
  int column, x, y, height;
  int op_counts[IR_OP_COUNT];
  int op_kinds;  // different ops, calls left out
} box;

typedef struct {
  box *boxes;
  int count;
  ir_text text;
} drawing;

static box *box_of(const drawing *d, const ir_function *function) {
  for (int i = 0; i < d->count; i++) {
    if (d->boxes[i].function == function) return &d->boxes[i];
  }
  return NULL;
}

// Callees stand before callers in a module: going backwards, every caller is placed before what it calls.
static void place(drawing *d) {
  for (int i = d->count - 1; i >= 0; i--) {
    box *b = &d->boxes[i];
    for (const ir_node *node = b->function->first; node; node = node->next) {
      box *callee = node->op == IR_OP_call ? box_of(d, node->callee) : NULL;
      if (callee && callee->column <= b->column) callee->column = b->column + 1;
      if (!callee) b->op_kinds += b->op_counts[node->op]++ == 0;
    }
  }
  for (int i = 0; i < d->count; i++) {
    box *b = &d->boxes[i];
    int lines = 2 + (b->op_kinds < MOST_OPS ? b->op_kinds : MOST_OPS);
    b->height = lines * LINE + 12;
    b->x = MARGIN + b->column * COLUMN;
    b->y = MARGIN;
    for (int k = 0; k < i; k++) {
      if (d->boxes[k].column == b->column) b->y = d->boxes[k].y + d->boxes[k].height + GAP;
    }
  }
}

static void put_escaped(ir_text *text, const char *words) {
  for (; *words; words++) {
    if (*words == '<') ir_text_puts(text, "&lt;");
    else if (*words == '&') ir_text_puts(text, "&amp;");
    else ir_text_printf(text, "%c", *words);
  }
}

static void draw_box(drawing *d, const box *b) {
  static const char *const fills[] = {"#eef3f8", "#fff3dc", "#e6f5e6"};  // block, entry, step
  ir_text *t = &d->text;
  ir_text_printf(t, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"5\" fill=\"%s\" stroke=\"#555\"/>\n", b->x,
                 b->y, BOX_WIDTH, b->height, fills[b->function->kind]);
  ir_text_printf(t, "<text x=\"%d\" y=\"%d\" font-weight=\"bold\">", b->x + 10, b->y + LINE + 2);
  put_escaped(t, b->function->name);
  ir_text_puts(t, "</text>\n");
  int nodes = 0, shown = 0, y = b->y + 2 * LINE + 2;
  for (int op = 0; op < IR_OP_COUNT; op++) nodes += b->op_counts[op];
  ir_text_printf(t, "<text x=\"%d\" y=\"%d\" fill=\"#666\">%d ops</text>\n", b->x + 10, y, nodes);
  bool taken[IR_OP_COUNT] = {0};
  while (shown < MOST_OPS && shown < b->op_kinds) {  // the most frequent first
    int best = -1;
    for (int op = 0; op < IR_OP_COUNT; op++) {
      if (!taken[op] && b->op_counts[op] && (best < 0 || b->op_counts[op] > b->op_counts[best])) best = op;
    }
    taken[best] = true;
    y += LINE;
    ir_text_printf(t, "<text x=\"%d\" y=\"%d\">%s x %d</text>\n", b->x + 10, y, ir_op_get_info((ir_op)best)->name,
                   b->op_counts[best]);
    shown++;
  }
}

static void draw_calls(drawing *d, const box *b) {
  for (int i = 0; i < d->count; i++) {
    const box *to = &d->boxes[i];
    int calls = 0;
    for (const ir_node *node = b->function->first; node; node = node->next)
      calls += node->op == IR_OP_call && node->callee == to->function;
    if (!calls) continue;
    int x1 = b->x + BOX_WIDTH, y1 = b->y + LINE, x2 = to->x, y2 = to->y + LINE, middle = (x1 + x2) / 2;
    ir_text_printf(&d->text, "<path d=\"M%d %d C%d %d %d %d %d %d\" fill=\"none\" stroke=\"#888\"/>\n", x1, y1, middle,
                   y1, middle, y2, x2, y2);
    ir_text_printf(&d->text, "<text x=\"%d\" y=\"%d\" fill=\"#a33\" text-anchor=\"end\">%d x</text>\n", x2 - 6, y2 - 5,
                   calls);
  }
}

const char *svg_draw_module(weir_arena *arena, const ir_module *module) {
  drawing d = {.boxes = WEIR_NEW_ARRAY(arena, box, module->function_count), .count = module->function_count};
  for (int i = 0; i < d.count; i++) d.boxes[i].function = module->functions[i];
  place(&d);
  int width = 0, height = 0;
  for (int i = 0; i < d.count; i++) {
    const box *b = &d.boxes[i];
    width = b->x + BOX_WIDTH + MARGIN > width ? b->x + BOX_WIDTH + MARGIN : width;
    height = b->y + b->height + MARGIN > height ? b->y + b->height + MARGIN : height;
  }
  ir_text_init(&d.text, arena);
  ir_text_printf(&d.text,
                 "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"monospace\" "
                 "font-size=\"13\">\n",
                 width, height);
  ir_text_puts(&d.text, "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n");
  for (int i = 0; i < d.count; i++) draw_calls(&d, &d.boxes[i]);
  for (int i = 0; i < d.count; i++) draw_box(&d, &d.boxes[i]);
  ir_text_puts(&d.text, "</svg>\n");
  return d.text.data;
}
