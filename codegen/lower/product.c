// Products of two values that are no packed matrix: matmul, and linear whose matrix is computed or not of a float that
// panels hold. One work item is a tile of rows of one image (a place in the leading dims) and a chunk of columns.
//
// Which way runs in lanes follows from how the second operand lies in memory. Where its columns stand side by side, a
// lane is a column and adds k = 0, 1, 2 ... in order, with tiles of rows and columns in registers; columns that fill no
// register do the same in local memory. Where its k stand side by side, each element is a sum over lanes of k. Either
// is decided by the graph alone, so an element's bits depend on nothing but its row and column.
#include "codegen/lower/internal.h"

enum { TILE_ROWS = 24, CHUNK_COLUMNS = 64 };

typedef struct {
  emitter e;
  function_lowering *fl;
  ir_value *root, *x, *y;
  bool linear;  // y: [columns, k], else [..., k, columns]
  ir_ktype type;
  int lead;                          // axes in front of rows and columns
  bool has_rows;                     // false for a linear of one row
  const ir_kexpr *idx[IR_MAX_RANK];  // of the result: the leading axes
  const ir_kexpr *depth;             // k
  const ir_kexpr *row_lo, *row_hi, *column_lo, *column_hi;
} product_kernel;

static const ir_kexpr *integer(product_kernel *p, int64_t value) { return ir_kb_int(&p->e.b, value); }

static const ir_kexpr *x_at(product_kernel *p, const ir_kexpr *row, const ir_kexpr *k) {
  const ir_kexpr *idx[IR_MAX_RANK];
  int rank = p->x->type.rank, skip = p->root->type.rank - rank;  // the shorter operand repeats over leading dims
  for (int i = 0; i < rank - 2; i++) idx[i] = p->idx[i + skip];
  if (rank > 1) idx[rank - 2] = row;
  idx[rank - 1] = k;
  return cg_emit_value(&p->e, p->x, idx);
}

static const ir_kexpr *y_at(product_kernel *p, const ir_kexpr *k, const ir_kexpr *column) {
  const ir_kexpr *idx[IR_MAX_RANK];
  int rank = p->y->type.rank, skip = p->root->type.rank - rank;
  for (int i = 0; !p->linear && i < rank - 2; i++) idx[i] = p->idx[i + skip];
  idx[rank - 2] = p->linear ? column : k;
  idx[rank - 1] = p->linear ? k : column;
  return cg_emit_value(&p->e, p->y, idx);
}

static void store(product_kernel *p, const ir_kexpr *row, const ir_kexpr *column, const ir_kexpr *value) {
  const ir_kexpr *idx[IR_MAX_RANK];
  for (int i = 0; i < p->lead; i++) idx[i] = p->idx[i];
  if (p->has_rows) idx[p->lead] = row;
  idx[p->root->type.rank - 1] = column;
  cg_emit_store(&p->e, p->root, cg_info(p->fl, p->root)->slot, idx, value);
}

// The axis whose elements stand side by side in memory: ragged axes come first there.
static int inner_axis(const value_info *info) {
  const ir_type *type = &info->value->type;
  for (int ragged = 0; ragged < 2; ragged++)
    for (int i = type->rank - 1; i >= 0; i--)
      if ((int)(info->ragged >> i & 1) == ragged && cg_const_dim(type->dims[i]) != 1) return i;
  return type->rank - 1;
}

// Whether elements that differ in k stand side by side in the memory of y.
static bool depth_is_inner(const product_kernel *p) {
  const ir_value *value = p->y;
  int axis = p->linear ? value->type.rank - 1 : value->type.rank - 2;
  while (value->def && value->def->op == IR_OP_permute && cg_info(p->fl, value)->fate == FATE_INLINE) {
    axis = (int)ir_node_attr(value->def, IR_ATTR_perm)->ints[axis];
    value = value->def->operands[0];
  }
  return axis == inner_axis(cg_info(p->fl, value));
}

static void emit_dots(product_kernel *p) {
  ir_kbuilder *b = &p->e.b;
  const ir_kexpr *column = ir_kb_for(b, IR_KR_SERIAL, "n", p->column_lo, p->column_hi, 1);
  const ir_kexpr *row = ir_kb_for(b, IR_KR_SERIAL, "m", p->row_lo, p->row_hi, 1);
  ir_kvar *dot = ir_kb_reg(b, "dot", p->type, false, 0, NULL, ir_kb_const(b, p->type, 0));
  const ir_kexpr *k = ir_kb_for(b, IR_KR_LANES, "k", integer(p, 0), p->depth, 1);
  ir_kb_reduce(b, IR_K_add, dot, ir_kb_mul(b, x_at(p, row, k), y_at(p, k, column)));
  ir_kb_end(b);
  store(p, row, column, ir_kb_read(b, dot, NULL, NULL, NULL));
  ir_kb_end(b);
  ir_kb_end(b);
}

// Columns |lo|..|hi|, a multiple of |vectors| registers.
static void emit_registers(product_kernel *p, int vectors, const ir_kexpr *lo, const ir_kexpr *hi) {
  static const int heights[] = {6, 4, 2, 1};
  ir_kbuilder *b = &p->e.b;
  int dims[2] = {heights[0], vectors};
  const ir_kexpr *group = ir_kb_for(b, IR_KR_SERIAL, "n", lo, hi, (int64_t)vectors * IR_LANES), *size, *y[4];
  const ir_kexpr *first = ir_kb_tiles(b, "m", p->row_lo, p->row_hi, heights, 4, &size);
  const ir_kexpr *lane = ir_kb_for(b, IR_KR_LANES, "l", integer(p, 0), integer(p, IR_LANES), 1);
  ir_kvar *acc = ir_kb_reg(b, "acc", p->type, true, 2, dims, ir_kb_const(b, p->type, 0));
  const ir_kexpr *k = ir_kb_for(b, IR_KR_SERIAL, "k", integer(p, 0), p->depth, 1);
  for (int v = 0; v < vectors; v++)
    y[v] = ir_kb_let(b, "y", y_at(p, k, ir_kb_add(b, ir_kb_add(b, group, integer(p, (int64_t)v * IR_LANES)), lane)));
  const ir_kexpr *i = ir_kb_for(b, IR_KR_UNROLL, "i", integer(p, 0), size, 1);
  const ir_kexpr *x = ir_kb_let(b, "x", x_at(p, ir_kb_add(b, first, i), k));
  for (int v = 0; v < vectors; v++) {
    const ir_kexpr *at = integer(p, v), *sum = ir_kb_read(b, acc, i, at, NULL);
    ir_kb_set(b, acc, ir_kb_op(b, IR_K_fma, p->type, x, y[v], sum), i, at, NULL);
  }
  ir_kb_end(b);
  ir_kb_end(b);
  i = ir_kb_for(b, IR_KR_UNROLL, "i", integer(p, 0), size, 1);
  for (int v = 0; v < vectors; v++) {
    const ir_kexpr *column = ir_kb_add(b, ir_kb_add(b, group, integer(p, (int64_t)v * IR_LANES)), lane);
    store(p, ir_kb_add(b, first, i), column, ir_kb_read(b, acc, i, integer(p, v), NULL));
  }
  for (int i_end = 0; i_end < 4; i_end++) ir_kb_end(b);
}

// The columns |lo|..|hi|, fewer than a chunk.
static void emit_rest(product_kernel *p, const ir_kexpr *lo, const ir_kexpr *hi) {
  ir_kbuilder *b = &p->e.b;
  const ir_kexpr *zero = integer(p, 0), *width = ir_kb_let(b, "width", ir_kb_sub(b, hi, lo));
  int sums = ir_kb_add_buffer(b, IR_KB_LOCAL, "sums", integer(p, (int64_t)CHUNK_COLUMNS * ir_ktype_bytes(p->type)), -1);
  ir_kb_if(b, ir_kb_op(b, IR_K_gt, IR_KT_bool, width, zero, NULL));
  const ir_kexpr *row = ir_kb_for(b, IR_KR_SERIAL, "m", p->row_lo, p->row_hi, 1);
  const ir_kexpr *j = ir_kb_for(b, IR_KR_LANES, "j", zero, width, 1);
  ir_kb_store(b, p->type, sums, j, ir_kb_const(b, p->type, 0));
  ir_kb_end(b);
  const ir_kexpr *k = ir_kb_for(b, IR_KR_SERIAL, "k", zero, p->depth, 1);
  const ir_kexpr *x = ir_kb_let(b, "x", x_at(p, row, k));
  j = ir_kb_for(b, IR_KR_LANES, "j", zero, width, 1);
  const ir_kexpr *sum = ir_kb_load(b, p->type, sums, j);
  ir_kb_store(b, p->type, sums, j, ir_kb_op(b, IR_K_fma, p->type, x, y_at(p, k, ir_kb_add(b, lo, j)), sum));
  ir_kb_end(b);
  ir_kb_end(b);
  j = ir_kb_for(b, IR_KR_LANES, "j", zero, width, 1);
  store(p, row, ir_kb_add(b, lo, j), ir_kb_load(b, p->type, sums, j));
  for (int end = 0; end < 3; end++) ir_kb_end(b);
}

static void emit_columns(product_kernel *p) {
  ir_kbuilder *b = &p->e.b;
  int64_t columns = cg_const_dim(p->root->type.dims[p->root->type.rank - 1]);
  int vectors = columns >= 0 && columns % 64 == 0 ? 4 : columns >= 0 && columns % 32 == 0 ? 2 : 1;
  if (columns >= 0 && columns < IR_LANES) {
    emit_rest(p, p->column_lo, p->column_hi);
    return;
  }
  int64_t step = (int64_t)vectors * IR_LANES;
  const ir_kexpr *whole = ir_kb_div(b, ir_kb_sub(b, p->column_hi, p->column_lo), integer(p, step));
  const ir_kexpr *middle = ir_kb_let(b, "middle", ir_kb_add(b, p->column_lo, ir_kb_mul(b, whole, integer(p, step))));
  emit_registers(p, vectors, p->column_lo, middle);
  if (columns < 0 || columns % step) emit_rest(p, middle, p->column_hi);
}

static const ir_kexpr *pieces(product_kernel *p, const ir_kexpr *all, int64_t size) {
  return ir_kb_div(&p->e.b, ir_kb_add(&p->e.b, all, integer(p, size - 1)), integer(p, size));
}

// Opens the grid and the `if` that the item has something to do.
static void bind_item(product_kernel *p) {
  emitter *e = &p->e;
  ir_kbuilder *b = &e->b;
  const ir_type *type = &p->root->type;
  const ir_kexpr *one = integer(p, 1), *tile = integer(p, TILE_ROWS), *chunk = integer(p, CHUNK_COLUMNS);
  const ir_kexpr *tiles = p->has_rows ? pieces(p, cg_emit_most(e, type->dims[p->lead]), TILE_ROWS) : one;
  const ir_kexpr *chunks = pieces(p, cg_emit_most(e, type->dims[type->rank - 1]), CHUNK_COLUMNS);
  const ir_kexpr *images = cg_emit_images(e, p->root, p->lead);
  const ir_kexpr *n = ir_kb_set_grid(b, ir_kb_mul(b, ir_kb_mul(b, images, chunks), tiles), "n");
  const ir_kexpr *rest = ir_kb_let(b, "part", ir_kb_div(b, n, tiles));
  p->row_lo = ir_kb_let(b, "row_lo", ir_kb_mul(b, ir_kb_mod(b, n, tiles), tile));
  p->column_lo = ir_kb_let(b, "column_lo", ir_kb_mul(b, ir_kb_mod(b, rest, chunks), chunk));
  cg_emit_set_image(e, p->root, p->lead, ir_kb_div(b, rest, chunks), p->idx);
  const ir_kexpr *rows = p->has_rows ? cg_dim_expr(e, type->dims[p->lead]) : one;
  p->row_hi = ir_kb_let(b, "row_hi", ir_kb_min(b, ir_kb_add(b, p->row_lo, tile), rows));
  p->column_hi = ir_kb_let(b, "column_hi",
                           ir_kb_min(b, ir_kb_add(b, p->column_lo, chunk), cg_dim_expr(e, type->dims[type->rank - 1])));
  p->depth = ir_kb_let(b, "depth", cg_dim_expr(e, p->x->type.dims[p->x->type.rank - 1]));
  const ir_kexpr *some_rows = ir_kb_op(b, IR_K_lt, IR_KT_bool, p->row_lo, p->row_hi, NULL);
  const ir_kexpr *some_columns = ir_kb_op(b, IR_K_lt, IR_KT_bool, p->column_lo, p->column_hi, NULL);
  ir_kb_if(b, ir_kb_op(b, IR_K_and, IR_KT_bool, some_rows, some_columns, NULL));
}

weir_status cg_lower_product(function_lowering *fl, ir_value *root) {
  const ir_node *node = root->def;
  if (node->op != IR_OP_linear && node->op != IR_OP_matmul) return cg_lower_rowwise(fl, root);
  int rank = root->type.rank;
  product_kernel p = {.fl = fl,
                      .root = root,
                      .x = node->operands[0],
                      .y = node->operands[1],
                      .linear = node->op == IR_OP_linear,
                      .type = cg_compute_type(root->type.dtype),
                      .lead = rank > 1 ? rank - 2 : 0,
                      .has_rows = rank > 1};
  weir_arena *arena = fl->low->arena;
  const char *banner = weir_arena_printf(arena, "%s = %s x %s", ir_type_print(arena, &root->type),
                                         ir_type_print(arena, &p.x->type), ir_type_print(arena, &p.y->type));
  bool dots = depth_is_inner(&p);
  cg_emit_begin(&p.e, fl, root, dots ? "product_dots" : "product", banner);
  bind_item(&p);
  if (dots) emit_dots(&p);
  else emit_columns(&p);
  ir_kb_end(&p.e.b);
  return cg_emit_finish(&p.e);
}
