// Attention: softmax(scale q k) v over packed ragged rows, with an online softmax over pieces of the keys (Milakov and
// Gimelshein 2018; Dao et al. 2022). A tile is some rows of one request for one key/value head, with all query heads of
// its group, so that each key and value is read once for the group. Pieces are cut at absolute positions, each is a
// softmax of its own (attend_tile.c), and they are merged in order; a row's arithmetic touches its own visible keys
// only. So its bits depend neither on the other rows of the tile nor on how the sequence was cut into calls.
//
// Two schedules of the same arithmetic:
//   whole  an item is a tile and runs over its pieces, one after the other
//   split  for few rows over many keys an item is one piece; what each gives lies in memory, and who completes the
//          pieces of a head merges them in order
// For a device of thread blocks the inside of an item is that of block/attend.c in both, or of
// block/attend_mma.c, and a second kernel merges.
#include <math.h>

#include "codegen/lower/attend_internal.h"
#include "ir/kernel_block.h"

enum {
  TILE_ROWS = 96,  // of a tile, query heads of the group counted, where a group is not longer
  SPLIT_ROWS = 4,  // up to this many rows of a request the split schedule runs
};

const ir_kexpr *cg_attend_query_row(attend_kernel *a, const ir_kexpr *i) {
  return at_add(a, a->first_row, ir_kb_div(&a->e.b, i, at_int(a, a->group)));
}

const ir_kexpr *cg_attend_query_head(attend_kernel *a, const ir_kexpr *i) {
  return at_local(a, a->head, a->group, ir_kb_mod(&a->e.b, i, at_int(a, a->group)));
}

const ir_kexpr *const *cg_attend_place(attend_kernel *a, const ir_kexpr *row, const ir_kexpr *head, const ir_kexpr *at,
                                       const ir_kexpr **idx) {
  for (int i = 0; i < a->lead; i++) idx[i] = a->lead_idx[i];
  idx[a->lead] = row;
  idx[a->lead + 1] = head;
  idx[a->lead + 2] = at;
  return idx;
}

int64_t cg_attend_part_largest(const attend_kernel *a) { return (a->width + IR_LANES - 1) / IR_LANES * IR_LANES; }
int64_t cg_attend_part(const attend_kernel *a) { return cg_attend_part_largest(a) + IR_LANES; }

// ---- the tile in local memory

static void add_local(attend_kernel *a, int *out, const char *name, int64_t count) {
  *out = ir_kb_add_buffer(&a->e.b, IR_KB_LOCAL, name, at_int(a, ir_ktype_bytes(a->type) * count), -1);
}

static void load_queries(attend_kernel *a) {
  ir_kbuilder *b = &a->e.b;
  add_local(a, &a->lq, "queries", a->tile * a->group * a->depth);
  const ir_kexpr *zero = at_int(a, 0), *i = at_serial(a, "i", zero, a->rows, 1), *idx[IR_MAX_RANK];
  const ir_kexpr *row = cg_attend_query_row(a, i), *head = cg_attend_query_head(a, i);
  const ir_kexpr *d = at_lanes(a, "d", zero, at_int(a, a->depth));
  const ir_kexpr *q = cg_emit_value(&a->e, a->q, cg_attend_place(a, row, head, d, idx));
  at_store(a, a->lq, at_local(a, i, a->depth, d), ir_kb_mul(b, q, at_const(a, a->scale)));
  at_end(a);
  at_end(a);
}

static void clear_outputs(attend_kernel *a) {
  ir_kbuilder *b = &a->e.b;
  add_local(a, &a->lo, "outputs", a->tile * a->group * a->width);
  add_local(a, &a->lm, "sums", a->tile * a->group * 2);
  const ir_kexpr *i = at_serial(a, "i", at_int(a, 0), a->rows, 1);
  const ir_kexpr *d = at_lanes(a, "d", at_int(a, 0), at_int(a, a->width));
  at_store(a, a->lo, at_local(a, i, a->width, d), at_const(a, 0));
  at_end(a);
  const ir_kexpr *m = ir_kb_mul(b, i, at_int(a, 2));
  at_store(a, a->lm, m, at_const(a, -INFINITY));
  at_store(a, a->lm, at_add(a, m, at_int(a, 1)), at_const(a, 0));
  at_end(a);
}

static void store_outputs(attend_kernel *a) {
  ir_kbuilder *b = &a->e.b;
  const ir_kexpr *i = at_serial(a, "i", at_int(a, 0), a->rows, 1);
  const ir_kexpr *l = at_load(a, a->lm, at_add(a, ir_kb_mul(b, i, at_int(a, 2)), at_int(a, 1)));
  // A row that sees no key has the sum 0, and gives 0.
  const ir_kexpr *zero = at_const(a, 0), *none = ir_kb_op(b, IR_K_eq, IR_KT_bool, l, zero, NULL);
  const ir_kexpr *divided = ir_kb_div(b, at_const(a, 1), l);
  const ir_kexpr *inverse = ir_kb_let(b, "inverse", ir_kb_op(b, IR_K_select, a->type, none, zero, divided));
  const ir_kexpr *row = cg_attend_query_row(a, i), *head = cg_attend_query_head(a, i);
  const ir_kexpr *d = at_lanes(a, "d", at_int(a, 0), at_int(a, a->width)), *idx[IR_MAX_RANK];
  cg_emit_store(&a->e, a->root, cg_info(a->fl, a->root)->slot, cg_attend_place(a, row, head, d, idx),
                ir_kb_mul(b, at_load(a, a->lo, at_local(a, i, a->width, d)), inverse));
  at_end(a);
  at_end(a);
}

// ---- items

// Sets what is known of the tile that begins at row |t0| of the current request and has |a->tile| rows at most. Opens
// an `if`: it has rows.
static void bind_tile(attend_kernel *a, const ir_kexpr *t0) {
  emitter *e = &a->e;
  ir_kbuilder *b = &e->b;
  const ir_kexpr *rows = ir_kb_let(b, "length", cg_dim_expr(e, a->q->type.dims[a->lead]));
  // Of rows of this call alone the first is the first; of a history it is where the history begins.
  ir_dim keys = a->k->type.dims[a->lead];
  ir_dim first = ir_dim_first_position(a->fl->low->module->dims, keys);
  a->origin = ir_dim_as_symbol(keys) ? at_int(a, 0) : ir_kb_let(b, "origin", cg_dim_expr(e, first));
  const ir_kexpr *total = ir_kb_let(b, "all_keys", at_add(a, a->origin, cg_dim_expr(e, keys)));
  const ir_kexpr *past = ir_kb_let(b, "earlier", at_sub(a, total, rows));
  ir_kb_if(b, ir_kb_op(b, IR_K_lt, IR_KT_bool, t0, rows, NULL));
  const ir_kexpr *here = a->here = ir_kb_let(b, "here", ir_kb_min(b, at_int(a, a->tile), at_sub(a, rows, t0)));
  a->first_row = t0;
  a->position = ir_kb_let(b, "position", at_add(a, past, t0));
  a->rows = ir_kb_let(b, "rows_here", ir_kb_mul(b, here, at_int(a, a->group)));
  a->key_end = ir_kb_let(b, "key_end", a->causal ? at_add(a, a->position, here) : total);
}

// Where the first piece begins that some row of the tile sees.
static const ir_kexpr *first_piece(attend_kernel *a) {
  ir_kbuilder *b = &a->e.b;
  const ir_kexpr *from = a->origin, *size = at_int(a, ATTEND_PIECE);
  if (a->window) from = at_max(a, at_add(a, a->position, at_int(a, 1 - a->window)), from);
  return ir_kb_let(b, "first_piece", ir_kb_mul(b, ir_kb_div(b, from, size), size));
}

void cg_attend_bind_piece(attend_kernel *a, const ir_kexpr *piece) {
  ir_kbuilder *b = &a->e.b;
  a->piece = piece;
  a->key_lo = at_int(a, 0);
  if (a->origin->op != IR_K_const)
    a->key_lo = ir_kb_let(b, "key_lo", at_max(a, at_sub(a, a->origin, piece), a->key_lo));
  a->keys = ir_kb_let(b, "keys", ir_kb_min(b, at_int(a, ATTEND_PIECE), at_sub(a, a->key_end, piece)));
}

static void add_piece_locals(attend_kernel *a) {
  add_local(a, &a->ls, "scores", (int64_t)ATTEND_ROWS * ATTEND_PIECE);
  if (!a->panels) add_local(a, &a->lk, "keys", a->depth * ATTEND_PIECE);
}

static void begin(attend_kernel *a, const char *schedule, const char *banner) {
  const char *name = weir_arena_printf(
      a->fl->low->arena, "%s%sattend%s%s%s%s_%dx%d", a->block ? "block_" : "", a->matrix ? "mma_" : "", schedule,
      a->bias ? "_bias" : "", a->causal ? "_causal" : "", a->panels ? "_panels" : "", (int)a->group, (int)a->depth);
  cg_emit_begin(&a->e, a->fl, a->root, name, banner);
  if (cg_tail_of(a->fl, a->root)) cg_emit_slot(&a->e, cg_info(a->fl, a->root)->slot, IR_KB_INOUT);
}

// The tile's first row, counted over all requests.
static const ir_kexpr *packed_row(attend_kernel *a) {
  return at_add(a, cg_emit_start(&a->e, a->q->type.dims[a->lead]), a->first_row);
}

// Who has the last heads of the tile's rows goes on with what follows from whole rows.
static void emit_tail(attend_kernel *a) {
  const row_tail *tail = cg_tail_of(a->fl, a->root);
  if (!tail) return;
  const ir_kexpr *first = ir_kb_let(&a->e.b, "packed", packed_row(a));
  cg_emit_arrive(&a->e, tail->counters, first, at_int(a, a->key_heads));
  cg_emit_tail_rows(&a->e, tail, first, at_add(a, first, a->here));
  at_end(a);
}

// The inside of an item, the tile bound: all pieces, or |piece| alone, whose numbers go to |parts|.
static void emit_block(attend_kernel *a, const ir_kexpr *thread, const ir_kexpr *piece, int parts,
                       const ir_kexpr *place) {
  if (a->matrix) {
    if (piece) cg_attend_mma_piece(a, thread, piece, parts, place);
    else cg_attend_mma_whole(a, thread);
    return;
  }
  const int talls[] = {1, 2, cg_block_attend_rows(a) / 4};
  ir_kbuilder *b = &a->e.b;
  block_attend p;
  cg_block_attend_open(&p, a, thread);
  const ir_kexpr *first = piece ? NULL : first_piece(a);
  // Few rows run a text of their own, of fewer registers.
  for (int n = piece ? 0 : 2; n < 3; n++) {
    bool last = n == 2 || talls[n] * 4 >= a->tile * a->group;
    if (!last) ir_kb_if(b, ir_kb_op(b, IR_K_le, IR_KT_bool, a->rows, at_int(a, talls[n] * 4), NULL));
    cg_block_attend_begin(&p, talls[n], !piece);
    cg_attend_bind_piece(a, piece ? piece : at_serial(a, "piece", first, a->key_end, ATTEND_PIECE));
    cg_block_attend_piece(&p);
    if (piece) {
      cg_block_attend_store_part(&p, parts, place);
    } else {
      cg_block_attend_merge(&p);
      at_end(a);
      cg_block_attend_store(&p);
    }
    if (last) {
      for (int open = piece ? n : 0; open; open--) at_end(a);
      return;
    }
    ir_kb_else(b);
  }
}

static const ir_kexpr *set_threads(attend_kernel *a, bool pieces) {
  return ir_kb_set_threads(&a->e.b, "t", a->matrix ? cg_attend_mma_threads(a, pieces) : CG_ATTEND_THREADS, 0);
}

static void emit_pieces_in_order(attend_kernel *a) {
  load_queries(a);
  clear_outputs(a);
  add_piece_locals(a);
  add_local(a, &a->lw, "merge", 2 * ATTEND_ROWS);
  const ir_kexpr *first = first_piece(a);
  cg_attend_bind_piece(a, at_serial(a, "piece", first, a->key_end, ATTEND_PIECE));
  cg_attend_piece(a, -1, NULL);
  at_end(a);
  store_outputs(a);
}

static weir_status emit_whole(attend_kernel *a) {
  emitter *e = &a->e;
  ir_kbuilder *b = &e->b;
  begin(a, "", "attention of a tile of rows and one key head over all keys that they see");
  const ir_kexpr *tile_rows = at_int(a, a->tile), *heads = at_int(a, a->key_heads);
  const ir_kexpr *most = cg_emit_most(e, a->q->type.dims[a->lead]);
  const ir_kexpr *tiles = ir_kb_div(b, at_add(a, most, at_int(a, a->tile - 1)), tile_rows);
  const ir_kexpr *grid = ir_kb_mul(b, ir_kb_mul(b, cg_emit_images(e, a->root, a->lead), heads), tiles);
  const ir_kexpr *n = ir_kb_set_grid(b, grid, "n");
  const ir_kexpr *thread = a->block ? set_threads(a, false) : NULL;
  const ir_kexpr *pair = ir_kb_let(b, "pair", ir_kb_div(b, n, tiles));
  a->head = ir_kb_let(b, "head", ir_kb_mod(b, pair, heads));
  cg_emit_set_image(e, a->root, a->lead, ir_kb_div(b, pair, heads), a->lead_idx);
  const ir_kexpr *tile = ir_kb_mod(b, n, tiles);
  // What has most keys first, so that the last blocks are short.
  if (a->matrix && a->causal) tile = at_sub(a, at_sub(a, tiles, at_int(a, 1)), tile);
  bind_tile(a, ir_kb_let(b, "t0", ir_kb_mul(b, tile, tile_rows)));
  if (a->block) emit_block(a, thread, NULL, -1, NULL);
  else emit_pieces_in_order(a);
  emit_tail(a);
  at_end(a);
  if (a->split) {
    e->item.guarded = true;
    e->item.guard = most;
    e->item.guard_lo = a->few + 1;
    e->item.guard_hi = INT64_MAX;
  }
  return cg_emit_finish(e);
}

// ---- the split schedule

// A row's piece: outputs, maximum, sum. [request][key head][piece, from the first that the request sees][row]
static const ir_kexpr *part_place(attend_kernel *a, const ir_kexpr *pair, const ir_kexpr *slots,
                                  const ir_kexpr *piece) {
  ir_kbuilder *b = &a->e.b;
  return ir_kb_mul(b, at_add(a, ir_kb_mul(b, pair, slots), piece), at_int(a, a->tile * a->group * cg_attend_part(a)));
}

// Pieces of one request at most: they may begin and end within one.
static const ir_kexpr *piece_slots(attend_kernel *a) {
  const ir_kexpr *most = cg_emit_most(&a->e, a->k->type.dims[a->lead]);
  return at_add(a, ir_kb_div(&a->e.b, most, at_int(a, ATTEND_PIECE)), at_int(a, 2));
}

static void guard_few(attend_kernel *a) {
  a->e.item.guarded = true;
  a->e.item.guard = cg_emit_most(&a->e, a->q->type.dims[a->lead]);
  a->e.item.guard_hi = a->few + 1;
}

// Adds the outputs of row |i|'s part at |place| to those of the pieces before.
static void merge_part(attend_kernel *a, const ir_kexpr *i, int parts, const ir_kexpr *place) {
  ir_kbuilder *b = &a->e.b;
  const ir_kexpr *old, *new, *m_at = at_add(a, place, at_int(a, cg_attend_part_largest(a)));
  const ir_kexpr *m = ir_kb_let(b, "m", at_load(a, parts, m_at));
  const ir_kexpr *sum = ir_kb_let(b, "sum", at_load(a, parts, at_add(a, m_at, at_int(a, 1))));
  cg_attend_merge_row(a, i, m, sum, &old, &new);
  const ir_kexpr *d = at_lanes(a, "d", at_int(a, 0), at_int(a, a->width)), *o_at = at_local(a, i, a->width, d);
  const ir_kexpr *kept = at_op(a, IR_K_mul, at_load(a, a->lo, o_at), old);
  const ir_kexpr *part = at_load(a, parts, at_add(a, place, d));
  at_store(a, a->lo, o_at, ir_kb_op(b, IR_K_fma, a->type, part, new, kept));
  at_end(a);
}

// The pieces of all rows from |first| on, merged in order.
static void merge_pieces(attend_kernel *a, int parts, const ir_kexpr *pair, const ir_kexpr *slots,
                         const ir_kexpr *first) {
  ir_kbuilder *b = &a->e.b;
  clear_outputs(a);
  cg_attend_bind_piece(a, at_serial(a, "piece", first, a->key_end, ATTEND_PIECE));
  const ir_kexpr *number = ir_kb_div(b, at_sub(a, a->piece, first), at_int(a, ATTEND_PIECE));
  const ir_kexpr *place = ir_kb_let(b, "place", part_place(a, pair, slots, number)), *from, *to;
  const ir_kexpr *i = at_serial(a, "i", at_int(a, 0), a->rows, 1);
  cg_attend_visible(a, i, &from, &to);
  ir_kb_if(b, ir_kb_op(b, IR_K_gt, IR_KT_bool, to, from, NULL));
  merge_part(a, i, parts, at_local(a, i, cg_attend_part(a), place));
  at_end(a);
  at_end(a);
  at_end(a);
  store_outputs(a);
}

// An item is a piece; who has the last piece of a head merges them, but for thread blocks, which have |counters| -1.
static weir_status emit_pieces(attend_kernel *a, int parts_slot, int counters) {
  emitter *e = &a->e;
  ir_kbuilder *b = &e->b;
  begin(a, "_piece", "attention of the few rows of a request and one key head over one piece of the keys");
  const ir_kexpr *slots = piece_slots(a), *heads = at_int(a, a->key_heads), *size = at_int(a, ATTEND_PIECE);
  const ir_kexpr *requests = cg_emit_images(e, a->root, 0);
  const ir_kexpr *n = ir_kb_set_grid(b, ir_kb_mul(b, ir_kb_mul(b, requests, heads), slots), "n");
  const ir_kexpr *thread = a->block ? set_threads(a, true) : NULL;
  // Heads run fastest: their keys and values stand side by side.
  a->head = ir_kb_let(b, "head", ir_kb_mod(b, n, heads));
  const ir_kexpr *rest = ir_kb_let(b, "rest", ir_kb_div(b, n, heads)),
                 *at = ir_kb_let(b, "at", ir_kb_mod(b, rest, slots));
  const ir_kexpr *request = ir_kb_let(b, "request", ir_kb_div(b, rest, slots));
  const ir_kexpr *pair = ir_kb_let(b, "pair", at_local(a, request, a->key_heads, a->head));
  cg_emit_set_image(e, a->root, 0, request, a->lead_idx);
  bind_tile(a, at_int(a, 0));
  const ir_kexpr *first = first_piece(a);
  const ir_kexpr *pieces = ir_kb_div(b, at_add(a, at_sub(a, a->key_end, first), at_int(a, ATTEND_PIECE - 1)), size);
  // Who merges gives outputs without keys, too.
  if (!a->block) pieces = at_max(a, pieces, at_int(a, 1));
  pieces = ir_kb_let(b, "pieces", pieces);
  ir_kb_if(b, ir_kb_op(b, IR_K_lt, IR_KT_bool, at, pieces, NULL));
  const ir_kexpr *piece = ir_kb_let(b, "piece", at_local(a, at, ATTEND_PIECE, first));
  const ir_kexpr *place = ir_kb_let(b, "place", part_place(a, pair, slots, at));
  int parts = cg_emit_slot(e, parts_slot, a->block ? IR_KB_OUT : IR_KB_INOUT);
  if (a->block) {
    emit_block(a, thread, piece, parts, place);
  } else {
    load_queries(a);
    add_piece_locals(a);
    cg_attend_bind_piece(a, piece);
    cg_attend_piece(a, parts, place);
    cg_emit_arrive(e, counters, at_local(a, packed_row(a), a->key_heads, a->head), pieces);
    merge_pieces(a, parts, pair, slots, first);
    emit_tail(a);
    at_end(a);
  }
  at_end(a);
  at_end(a);
  guard_few(a);
  return cg_emit_finish(e);
}

// For thread blocks: the merge as a kernel.
static weir_status emit_merge(attend_kernel *a, int parts_slot) {
  emitter *e = &a->e;
  ir_kbuilder *b = &e->b;
  begin(a, "_merge", "the pieces of the few rows of a request and one key head, merged in order");
  const ir_kexpr *slots = piece_slots(a), *heads = at_int(a, a->key_heads);
  const ir_kexpr *n = ir_kb_set_grid(b, ir_kb_mul(b, cg_emit_images(e, a->root, 0), heads), "pair");
  a->head = ir_kb_let(b, "head", ir_kb_mod(b, n, heads));
  cg_emit_set_image(e, a->root, 0, ir_kb_div(b, n, heads), a->lead_idx);
  bind_tile(a, at_int(a, 0));
  merge_pieces(a, cg_emit_slot(e, parts_slot, IR_KB_IN), n, slots, first_piece(a));
  at_end(a);
  guard_few(a);
  return cg_emit_finish(e);
}

// Whether there can be few rows and many keys, each request with its own.
static bool splits(const attend_kernel *a) {
  ir_dim rows = a->q->type.dims[a->lead], keys = a->k->type.dims[a->lead];
  int64_t count = cg_const_dim(rows), all = cg_const_dim(keys);
  if (a->lead || rows == keys || cg_info(a->fl, a->root)->cls == CLASS_INVARIANT) return false;
  return ir_dim_role(rows) != IR_ROLE_PLAIN && count < 0 && (all < 0 || all > ATTEND_PIECE) &&
         (!a->window || a->window > ATTEND_PIECE);
}

// Rows of a tile: as many whole groups as make up heights of ATTEND_ROWS.
static int64_t tile_rows(const attend_kernel *a) {
  int64_t step = a->group % 6 == 0 ? 1 : a->group % 3 == 0 ? 2 : a->group % 2 == 0 ? 3 : 6;
  static const int64_t others[] = {48, 72, 144, 192};
  const char *key = weir_arena_printf(a->fl->low->arena, "attend_%lldx%lld_%lldx%lld", (long long)a->key_heads,
                                      (long long)a->group, (long long)a->depth, (long long)a->width);
  int64_t wanted = cg_schedule_choice(a->fl->low, key, "rows", TILE_ROWS, others, 4);
  int64_t rows = wanted / a->group / step * step;
  return rows > 0 ? rows : wanted / a->group > 0 ? wanted / a->group : 1;
}

static void choose_heights(attend_kernel *a) {
  static const int even[] = {6, 4, 2, 1}, threes[] = {6, 3, 1}, fives[] = {5, 1};
  const int *heights = a->group % 3 == 0 ? threes : a->group % 5 == 0 ? fives : even;
  a->height_count = a->group % 3 == 0 ? 3 : a->group % 5 == 0 ? 2 : 4;
  for (int i = 0; i < a->height_count; i++) a->heights[i] = heights[i];
}

static weir_status lower_split(attend_kernel *a) {
  attend_kernel few = *a;
  few.tile = few.few;
  int64_t part = few.tile * few.group * cg_attend_part(&few) * few.key_heads * ir_ktype_bytes(few.type);
  int parts = cg_add_parts(few.fl, few.root, part, few.k->type.dims[few.lead], ATTEND_PIECE);
  if (!few.block)
    return emit_pieces(&few, parts, cg_add_counters(few.fl, few.q->type.dims[few.lead], (int)few.key_heads));
  attend_kernel merge = few;
  merge.block = merge.matrix = false;
  WEIR_TRY(emit_pieces(&few, parts, -1));
  return emit_merge(&merge, parts);
}

weir_status cg_lower_attend(function_lowering *fl, ir_value *root) {
  const ir_node *node = root->def;
  attend_kernel a = {.fl = fl, .root = root, .q = node->operands[0], .k = node->operands[1], .v = node->operands[2]};
  a.bias = node->operand_count > 3 ? node->operands[3] : NULL;
  a.type = cg_compute_type(root->type.dtype);
  a.lead = a.q->type.rank - 3;
  a.depth = cg_const_dim(a.q->type.dims[a.lead + 2]);
  a.width = cg_const_dim(a.v->type.dims[a.lead + 2]);
  a.key_heads = cg_const_dim(a.k->type.dims[a.lead + 1]);
  int64_t heads = cg_const_dim(a.q->type.dims[a.lead + 1]);
  if (a.depth < 0 || a.width < 0 || a.key_heads < 1 || heads < 1)
    return cg_unsupported(fl->function, node->loc, "attend whose heads or sizes are run-time dims has no lowering yet");
  a.group = heads / a.key_heads;
  a.causal = ir_node_attr(node, IR_ATTR_causal)->i != 0;
  a.window = ir_node_attr(node, IR_ATTR_window)->i;
  a.scale = ir_node_attr(node, IR_ATTR_scale)->f;
  a.panels = cg_panel_keys(fl, a.k);
  a.matrix = cg_attend_mma_takes(&a);
  a.block = a.matrix || cg_block_attend_takes(&a);
  a.tile = a.matrix ? cg_attend_mma_tile(&a) : a.block ? cg_block_attend_rows(&a) / a.group : tile_rows(&a);
  a.few = a.matrix ? cg_attend_mma_few(&a, SPLIT_ROWS) : a.block && a.tile < SPLIT_ROWS ? a.tile : SPLIT_ROWS;
  choose_heights(&a);
  a.split = splits(&a);
  attend_kernel whole = a;
  WEIR_TRY(emit_whole(&whole));
  return a.split ? lower_split(&a) : WEIR_OK;
}
