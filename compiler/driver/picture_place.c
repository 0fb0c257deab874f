// Placing boxes: rows by the longest way from the top, an order within each row that crosses few lines, places that
// keep lines straight (Sugiyama, Tagawa, Toda 1981). An edge over several rows passes each of them through a bend,
// which has a place of its own, so no line runs through a box. Between two rows lines run sideways on tracks of their
// own, below the labels of what leaves the upper row.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/driver/picture.h"

enum { GAP = 22, LABEL = 18, TRACK = 7, DROP = 14, SWEEPS = 12 };

double picture_text_width(const char *text, bool title) {
  int columns = 0;
  for (; *text; text++) columns += ((unsigned char)*text & 0xC0) != 0x80;
  return columns * (title ? 8.1 : 7.3);
}

typedef struct {
  weir_arena *arena;
  picture *p;
  int rows;
  int **row;  // boxes of each row, in order
  int *row_count;
} placer;

// ---- sizes

static void size(weir_arena *arena, picture_box *box) {
  double widest = 0;
  for (int i = 0; i < box->line_count; i++)
    widest = fmax(widest, picture_text_width(box->lines[i], i == 0 && box->kind >= PICTURE_BLOCK));
  double title = box->line_count ? picture_text_width(box->lines[0], box->kind >= PICTURE_BLOCK) : 0;
  if (box->repeat > 1) widest = fmax(widest, title + 62);
  if (box->kind == PICTURE_BEND) return;
  box->w = fmax(44, widest + 2 * PICTURE_PAD);
  box->h = box->line_count * PICTURE_LINE + 9;
  if (box->kind != PICTURE_GROUP) return;
  picture_place(arena, box->inside);
  box->w = fmax(box->w, box->inside->w + 2 * PICTURE_PAD);
  box->h = box->inside->h + PICTURE_TITLE + PICTURE_PAD;
}

// Room that a box takes in its row: its label hangs to the right of its middle.
static double room(const picture_box *box) {
  if (box->kind == PICTURE_BEND) return 10;
  double label = box->label ? 2 * (picture_text_width(box->label, false) + 12) : 0;
  return fmax(box->w, label);
}

// ---- rows

// Edges go from earlier boxes to later ones, but for results that were added last.
static void rows_make(placer *s) {
  picture *p = s->p;
  bool moved = true;
  for (int round = 0; moved && round <= p->box_count; round++) {
    moved = false;
    for (int i = 0; i < p->edge_count; i++) {
      picture_box *from = &p->boxes[p->edges[i].from], *to = &p->boxes[p->edges[i].to];
      if (to->row > from->row) continue;
      to->row = from->row + 1;
      moved = true;
    }
  }
  for (int i = 0; i < p->box_count; i++)  // results stand at the bottom
    if (p->boxes[i].row >= s->rows) s->rows = p->boxes[i].row + 1;
  for (int i = 0; i < p->box_count; i++)
    if (p->boxes[i].kind == PICTURE_RESULT) p->boxes[i].row = s->rows - 1;
}

static void edge_put(placer *s, int from, int to) {
  picture_edge edge = {from, to};
  WEIR_PUSH(s->arena, s->p->edges, s->p->edge_count, s->p->edge_capacity, edge);
}

// Replaces edges over several rows; those of one box share their bends.
static void bends_make(placer *s) {
  picture *p = s->p;
  int boxes = p->box_count, edges = p->edge_count;
  picture_edge *old = p->edges;
  p->edges = NULL;
  p->edge_count = p->edge_capacity = 0;
  for (int from = 0; from < boxes; from++) {
    int last = from, row = p->boxes[from].row;
    for (int to_row = row + 1; to_row < s->rows; to_row++) {
      bool further = false;
      for (int i = 0; i < edges; i++) {
        if (old[i].from != from) continue;
        int wanted = p->boxes[old[i].to].row;
        if (wanted == to_row) edge_put(s, last, old[i].to);
        further = further || wanted > to_row;
      }
      if (!further) break;
      picture_box bend = {.kind = PICTURE_BEND, .source = from, .row = to_row, .repeat = 1};
      WEIR_PUSH(s->arena, p->boxes, p->box_count, p->box_capacity, bend);
      edge_put(s, last, p->box_count - 1);
      last = p->box_count - 1;
    }
  }
}

static void rows_fill(placer *s) {
  s->row = WEIR_NEW_ARRAY(s->arena, int *, s->rows + 1);
  s->row_count = WEIR_NEW_ARRAY(s->arena, int, s->rows + 1);
  for (int i = 0; i < s->p->box_count; i++) s->row_count[s->p->boxes[i].row]++;
  for (int r = 0; r < s->rows; r++) {
    s->row[r] = WEIR_NEW_ARRAY(s->arena, int, s->row_count[r] + 1);
    s->row_count[r] = 0;
  }
  for (int i = 0; i < s->p->box_count; i++) {
    int r = s->p->boxes[i].row;
    s->p->boxes[i].order = s->row_count[r];
    s->row[r][s->row_count[r]++] = i;
  }
}

// ---- order

// The mean place of the neighbours of a box in the row above or below; |fallback| without any.
static double mean_place(const placer *s, int box, bool above, bool by_order, double fallback) {
  double sum = 0;
  int count = 0;
  for (int i = 0; i < s->p->edge_count; i++) {
    const picture_edge *e = &s->p->edges[i];
    if ((above ? e->to : e->from) != box) continue;
    const picture_box *other = &s->p->boxes[above ? e->from : e->to];
    sum += by_order ? other->order : other->x + other->w / 2;
    count++;
  }
  return count ? sum / count : fallback;
}

static void order_row(placer *s, int r, bool above) {
  int n = s->row_count[r], *row = s->row[r];
  double *key = WEIR_NEW_ARRAY(s->arena, double, n + 1);
  for (int i = 0; i < n; i++) key[i] = mean_place(s, row[i], above, true, s->p->boxes[row[i]].order);
  for (int i = 1; i < n; i++) {  // stable; rows are short
    for (int k = i; k > 0 && key[k] < key[k - 1]; k--) {
      double swap_key = key[k];
      int swap_box = row[k];
      key[k] = key[k - 1], row[k] = row[k - 1];
      key[k - 1] = swap_key, row[k - 1] = swap_box;
    }
  }
  for (int i = 0; i < n; i++) s->p->boxes[row[i]].order = i;
}

// ---- places across

typedef struct {
  double sum, weight;
  int count;
} pool;

// Moves the boxes of a row as near to their neighbours as the room between them allows: the least sum of squares under
// an order, by pooling neighbours that are in each other's way.
static void settle_row(placer *s, int r, bool above) {
  int n = s->row_count[r];
  const int *row = s->row[r];
  pool *pools = WEIR_NEW_ARRAY(s->arena, pool, n + 1);
  double *offset = WEIR_NEW_ARRAY(s->arena, double, n + 1);
  int count = 0;
  double taken = 0;
  for (int i = 0; i < n; i++) {
    picture_box *box = &s->p->boxes[row[i]];
    offset[i] = taken + room(box) / 2;  // of its middle
    taken += room(box) + GAP;
    double weight = box->kind == PICTURE_BEND ? 0.25 : 1;
    double wanted = mean_place(s, row[i], above, false, box->x + box->w / 2);
    pools[count++] = (pool){(wanted - offset[i]) * weight, weight, 1};
    while (count > 1 &&
           pools[count - 2].sum / pools[count - 2].weight > pools[count - 1].sum / pools[count - 1].weight) {
      pools[count - 2].sum += pools[count - 1].sum;
      pools[count - 2].weight += pools[count - 1].weight;
      pools[count - 2].count += pools[count - 1].count;
      count--;
    }
  }
  for (int i = 0, at = 0; i < count; i++) {
    for (int k = 0; k < pools[i].count; k++, at++) {
      picture_box *box = &s->p->boxes[row[at]];
      box->x = pools[i].sum / pools[i].weight + offset[at] - box->w / 2;
    }
  }
}

static void across(placer *s) {
  for (int r = 0; r < s->rows; r++) {
    double x = 0;
    for (int i = 0; i < s->row_count[r]; i++) {
      picture_box *box = &s->p->boxes[s->row[r][i]];
      box->x = x + (room(box) - box->w) / 2;
      x += room(box) + GAP;
    }
  }
  for (int sweep = 0; sweep < SWEEPS; sweep++) {
    for (int r = 1; r < s->rows; r++) settle_row(s, r, true);
    for (int r = s->rows - 2; r >= 0; r--) settle_row(s, r, false);
  }
  double least = HUGE_VAL, most = 0;
  for (int i = 0; i < s->p->box_count; i++) {
    const picture_box *box = &s->p->boxes[i];
    least = fmin(least, box->x + box->w / 2 - room(box) / 2);
  }
  for (int i = 0; i < s->p->box_count; i++) {
    picture_box *box = &s->p->boxes[i];
    box->x = round(box->x - least);
    most = fmax(most, box->x + box->w / 2 + room(box) / 2);
  }
  s->p->w = most;
}

// ---- lines

static double middle_of(const picture_box *box) { return box->x + box->w / 2; }

// The place on top of |to| where the line from |from| arrives: arrivals are spread in the order of where they come
// from.
static double port(const placer *s, int from, int to) {
  const picture_box *box = &s->p->boxes[to];
  int count = 0, before = 0;
  for (int i = 0; i < s->p->edge_count; i++) {
    if (s->p->edges[i].to != to) continue;
    count++;
    before += middle_of(&s->p->boxes[s->p->edges[i].from]) < middle_of(&s->p->boxes[from]);
  }
  if (box->kind == PICTURE_BEND || count == 1) return middle_of(box);
  double spread = fmin(box->w, 60.0 * count);
  return round(middle_of(box) - spread / 2 + spread * (before + 0.5) / count);
}

static void line_make(placer *s, int from) {
  picture *p = s->p;
  picture_line line = {.from = from, .x = middle_of(&p->boxes[from])};
  for (int i = 0; i < p->edge_count; i++) line.target_count += p->edges[i].from == from;
  if (!line.target_count) return;
  line.targets = weir_arena_alloc(s->arena, (size_t)line.target_count * sizeof *line.targets);
  line.target_count = 0;
  for (int i = 0; i < p->edge_count; i++) {
    if (p->edges[i].from != from) continue;
    int to = p->edges[i].to, at = line.target_count++;
    line.targets[at].x = port(s, from, to);
    line.targets[at].bottom = 0;
    line.targets[at].arrow = p->boxes[to].kind != PICTURE_BEND;
    if (fabs(line.targets[at].x - line.x) < 4 && line.targets[at].arrow) line.targets[at].x = line.x;
  }
  WEIR_PUSH(s->arena, p->lines, p->line_count, p->line_capacity, line);
}

static void span_of(const picture_line *line, double *left, double *right) {
  *left = *right = line->x;
  for (int i = 0; i < line->target_count; i++) {
    *left = fmin(*left, line->targets[i].x);
    *right = fmax(*right, line->targets[i].x);
  }
}

// Gives each line of a row that runs sideways a track on which no other runs over it; the number of tracks.
static int tracks_make(placer *s, int first, int *track) {
  picture *p = s->p;
  int tracks = 0;
  for (int i = first; i < p->line_count; i++) {
    double left, right;
    span_of(&p->lines[i], &left, &right);
    track[i - first] = -1;
    if (right - left < 1) continue;
    for (int t = 0; track[i - first] < 0; t++) {
      bool free = true;
      for (int k = first; k < i; k++) {
        double l, r;
        span_of(&p->lines[k], &l, &r);
        free = free && (track[k - first] != t || r + 6 < left || right + 6 < l);
      }
      if (free) track[i - first] = t;
    }
    if (track[i - first] >= tracks) tracks = track[i - first] + 1;
  }
  return tracks;
}

// Rows from top to bottom with the lines between them.
static void down(placer *s) {
  picture *p = s->p;
  double y = 0;
  for (int r = 0; r < s->rows; r++) {
    double tallest = 0;
    int first = p->line_count;
    for (int i = 0; i < s->row_count[r]; i++) tallest = fmax(tallest, p->boxes[s->row[r][i]].h);
    for (int i = 0; i < s->row_count[r]; i++) {
      picture_box *box = &p->boxes[s->row[r][i]];
      box->y = y;
      if (box->kind == PICTURE_BEND) box->h = tallest;
      line_make(s, s->row[r][i]);
    }
    int *track = WEIR_NEW_ARRAY(s->arena, int, p->line_count - first + 1);
    int tracks = tracks_make(s, first, track);
    double bottom = y + tallest, next = bottom + LABEL + tracks * TRACK + DROP;
    for (int i = first; i < p->line_count; i++) {
      picture_line *line = &p->lines[i];
      const picture_box *box = &p->boxes[line->from];
      line->top = box->y + box->h;
      line->middle = bottom + LABEL + (track[i - first] < 0 ? 0 : track[i - first]) * TRACK;
      for (int k = 0; k < line->target_count; k++) line->targets[k].bottom = next;
    }
    p->h = bottom;
    y = next;
  }
}

void picture_place(weir_arena *arena, picture *p) {
  placer s = {.arena = arena, .p = p};
  for (int i = 0; i < p->box_count; i++) size(arena, &p->boxes[i]);
  rows_make(&s);
  bends_make(&s);
  rows_fill(&s);
  for (int sweep = 0; sweep < SWEEPS; sweep++) {
    for (int r = 1; r < s.rows; r++) order_row(&s, r, true);
    for (int r = s.rows - 2; r >= 0; r--) order_row(&s, r, false);
  }
  across(&s);
  down(&s);
}
