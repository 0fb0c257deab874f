// A picture of a model before it is drawn: boxes in boxes, what flows between them, and where everything stands.
//
// picture_make folds what repeats and what is small; picture_place gives every box its place. Neither knows a model:
// blocks become boxes because they are functions of the graph. Everything lives in the arena.
#ifndef WEIR_COMPILER_DRIVER_PICTURE_H
#define WEIR_COMPILER_DRIVER_PICTURE_H

#include "ir/graph.h"

typedef enum {
  PICTURE_INPUT,   // an argument
  PICTURE_RESULT,  // where a value leaves
  PICTURE_OP,
  PICTURE_STATE,  // an op that changes a state
  PICTURE_BLOCK,  // a block that is drawn as one box
  PICTURE_GROUP,  // a block, or a repeated part, with its inside
  PICTURE_BEND,   // where an edge passes a row of boxes; not drawn
} picture_kind;

enum { PICTURE_MAX_LINES = 6 };

typedef struct picture picture;

typedef struct {
  picture_kind kind;
  const char *lines[PICTURE_MAX_LINES];  // the first one is the title
  int line_count;
  int repeat;         // this box stands for so many, one behind the other; 1
  picture *inside;    // of groups
  const char *label;  // what leaves it: "f32[T, 576]"; null for nothing
  int source;         // of bends: the box whose value passes
  int row, order;     // after picture_place: its row, and its place in it
  double x, y, w, h;  // within the picture; a bend has no size
} picture_box;

typedef struct {
  int from, to;
} picture_edge;

// A line from a box down to the boxes of the next row that take its value.
typedef struct {
  int from;
  double x, top, middle;  // from (x, top) down to middle, then sideways,
  int target_count;
  struct {
    double x, bottom;  // and down again
    bool arrow;
  } * targets;
} picture_line;

struct picture {
  picture_box *boxes;
  int box_count, box_capacity;
  picture_edge *edges;
  int edge_count, edge_capacity;
  picture_line *lines;
  int line_count, line_capacity;
  double w, h;
};

// The picture of one function, its blocks inside. |drawn| remembers which functions were drawn in full: the next time
// they are one box. Begin with zeros.
typedef struct {
  const ir_function **data;
  int count, capacity;
} picture_drawn;
picture *picture_make(weir_arena *arena, const ir_function *function, picture_drawn *drawn);

// Rows from top to bottom, edges down and sideways, no box over another one. Insides first.
void picture_place(weir_arena *arena, picture *p);

// Columns of text as they are counted in layouts.
double picture_text_width(const char *text, bool title);
enum { PICTURE_LINE = 16, PICTURE_PAD = 9, PICTURE_TITLE = 26 };

#endif
