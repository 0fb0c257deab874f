// Products of two values that are no packed matrix: matmul, and linear whose matrix is computed or not of a float that
// panels hold. One work item is a tile of rows of one image (a place in the leading dims) and a chunk of columns.
//
// Which way runs in lanes follows from how the second operand lies in memory. Where its columns stand side by side, a
// lane is a column and adds k = 0, 1, 2 ... in order, with tiles of rows and columns in registers; columns that fill no
// register do the same in local memory. Where its k stand side by side, each element is a sum over lanes of k. Either
// is decided by the graph alone, so an element's bits depend on nothing but its row and column.
#include "codegen/lower/product_internal.h"

enum {
  CHUNK_ROWS = 384,  // of a work item, and columns of one
  CHUNK_COLUMNS = 64,
  PACK_ROWS = 13,  // from so many rows on the second operand is packed
  SLAB = 256,      // k of a packed slab
  MAX_HEIGHT = 6,
  DOT_TILE = 4,  // side of a tile of sums over lanes
  MAX_WIDTH = CHUNK_COLUMNS / IR_LANES,
  HEIGHTS = 4,
  WIDTHS = 2,
};
// Of the tiles that stay in registers: 6 x 64 elements where there are 32 registers, 6 x 16 where there are fewer.
static const int heights[HEIGHTS] = {MAX_HEIGHT, 4, 2, 1}, widths[WIDTHS] = {MAX_WIDTH, 1};

static const ir_kexpr *integer(product_kernel *p, int64_t value) { return ir_kb_int(&p->e.b, value); }

static const ir_kexpr *pieces(product_kernel *p, const ir_kexpr *all, int64_t size) {
  return ir_kb_div(&p->e.b, ir_kb_add(&p->e.b, all, integer(p, size - 1)), integer(p, size));
}

const ir_kexpr *cg_product_x(product_kernel *p, const ir_kexpr *row, const ir_kexpr *k) {
  const ir_kexpr *idx[IR_MAX_RANK];
  int rank = p->x->type.rank, skip = p->root->type.rank - rank;  // the shorter operand repeats over leading dims
  for (int i = 0; i < rank - 2; i++) idx[i] = p->idx[i + skip];
  if (rank > 1) idx[rank - 2] = row;
  idx[rank - 1] = k;
  return cg_emit_value(&p->e, p->x, idx);
}

const ir_kexpr *cg_product_y(product_kernel *p, const ir_kexpr *k, const ir_kexpr *column) {
  const ir_kexpr *idx[IR_MAX_RANK];
  int rank = p->y->type.rank, skip = p->root->type.rank - rank;
  for (int i = 0; !p->linear && i < rank - 2; i++) idx[i] = p->idx[i + skip];
  idx[rank - 2] = p->linear ? column : k;
  idx[rank - 1] = p->linear ? k : column;
  return cg_emit_value(&p->e, p->y, idx);
}

void cg_product_store(product_kernel *p, const ir_kexpr *row, const ir_kexpr *column, const ir_kexpr *value) {
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

bool cg_product_is_inner(const product_kernel *p, const ir_value *value, int axis) {
  while (value->def && value->def->op == IR_OP_permute && cg_info(p->fl, value)->fate == FATE_INLINE) {
    axis = (int)ir_node_attr(value->def, IR_ATTR_perm)->ints[axis];
    value = value->def->operands[0];
  }
  return axis == inner_axis(cg_info(p->fl, value));
}

// Whether elements that differ in k stand side by side in the memory of y.
static bool depth_is_inner(const product_kernel *p) {
  return cg_product_is_inner(p, p->y, p->linear ? p->y->type.rank - 1 : p->y->type.rank - 2);
}

static void end(product_kernel *p, int count) {
  while (count--) ir_kb_end(&p->e.b);
}

// ---- k in lanes

// |tall| x |wide| sums at once: an element of either operand is loaded once for several of them.
static void dot_tile(product_kernel *p, const ir_kexpr *column, int tall, int wide) {
  ir_kbuilder *b = &p->e.b;
  ir_kvar *dots[DOT_TILE * DOT_TILE];
  const ir_kexpr *y[DOT_TILE];
  for (int n = 0; n < tall * wide; n++)
    dots[n] = ir_kb_reg(b, "dot", p->type, false, 0, NULL, ir_kb_const(b, p->type, 0));
  const ir_kexpr *k = ir_kb_for(b, IR_KR_LANES, "k", integer(p, 0), p->depth, 1);
  for (int j = 0; j < wide; j++) y[j] = ir_kb_let(b, "y", cg_product_y(p, k, ir_kb_add(b, column, integer(p, j))));
  for (int i = 0; i < tall; i++) {
    const ir_kexpr *x = ir_kb_let(b, "x", cg_product_x(p, ir_kb_add(b, p->first, integer(p, i)), k));
    for (int j = 0; j < wide; j++) ir_kb_reduce(b, IR_K_add, dots[i * wide + j], ir_kb_mul(b, x, y[j]));
  }
  end(p, 1);
  for (int n = 0; n < tall * wide; n++)
    cg_product_store(p, ir_kb_add(b, p->first, integer(p, n / wide)), ir_kb_add(b, column, integer(p, n % wide)),
                     ir_kb_read(b, dots[n], NULL, NULL, NULL));
}

static void emit_dots(product_kernel *p) {
  static const int sides[] = {DOT_TILE, 2, 1};
  ir_kbuilder *b = &p->e.b;
  const ir_kexpr *width;
  p->first = ir_kb_tiles(b, "m", p->row_lo, p->row_hi, sides, 3, &p->height);
  const ir_kexpr *column = ir_kb_tiles(b, "n", p->column_lo, p->column_hi, sides, 3, &width);
  for (int n = 0; n < 9; n++) {
    const ir_kexpr *tall = ir_kb_op(b, IR_K_eq, IR_KT_bool, p->height, integer(p, sides[n / 3]), NULL);
    const ir_kexpr *wide = ir_kb_op(b, IR_K_eq, IR_KT_bool, width, integer(p, sides[n % 3]), NULL);
    ir_kb_if(b, ir_kb_op(b, IR_K_and, IR_KT_bool, tall, wide, NULL));
    dot_tile(p, column, sides[n / 3], sides[n % 3]);
    end(p, 1);
  }
  end(p, 2);
}

// ---- columns in lanes: tiles

static const ir_kexpr *vector_at(product_kernel *p, int64_t v) { return integer(p, v * IR_LANES); }

// Opens tiles of rows and inside of them of registers side by side, from 0 to |vectors|. What follows is emitted once
// for each width; a level that has not enough registers for one leaves it out.
static const ir_kexpr *open_tiles(product_kernel *p, const ir_kexpr *vectors) {
  ir_kbuilder *b = &p->e.b;
  const ir_kexpr *width;
  p->first = ir_kb_tiles(b, "m", p->row_lo, p->row_hi, heights, HEIGHTS, &p->height);
  p->vector = ir_kb_tiles(b, "v", integer(p, 0), vectors, widths, WIDTHS, &width);
  return width;
}

static void open_width(product_kernel *p, const ir_kexpr *width, int wide) {
  ir_kbuilder *b = &p->e.b;
  ir_kb_if(b, ir_kb_op(b, IR_K_eq, IR_KT_bool, width, integer(p, wide), NULL));
  p->lane = ir_kb_for(b, IR_KR_LANES, "l", integer(p, 0), integer(p, IR_LANES), 1);
  int dims[2] = {MAX_HEIGHT, wide};
  p->acc = ir_kb_reg(b, "acc", p->type, true, 2, dims, ir_kb_const(b, p->type, 0));
}

static const ir_kexpr *open_unroll(product_kernel *p) {
  return ir_kb_for(&p->e.b, IR_KR_UNROLL, "i", integer(p, 0), p->height, 1);
}

// acc += x[first + i, k] y[v], for the rows of the tile.
static void multiply(product_kernel *p, const ir_kexpr *k, const ir_kexpr *const *y, int wide) {
  ir_kbuilder *b = &p->e.b;
  const ir_kexpr *i = open_unroll(p), *x = ir_kb_let(b, "x", cg_product_x(p, ir_kb_add(b, p->first, i), k));
  for (int v = 0; v < wide; v++) {
    const ir_kexpr *at = integer(p, v), *sum = ir_kb_read(b, p->acc, i, at, NULL);
    ir_kb_set(b, p->acc, ir_kb_op(b, IR_K_fma, p->type, x, y[v], sum), i, at, NULL);
  }
  end(p, 1);
}

static void store_tile(product_kernel *p, const ir_kexpr *column_lo, int wide) {
  ir_kbuilder *b = &p->e.b;
  const ir_kexpr *i = open_unroll(p);
  const ir_kexpr *left = ir_kb_add(b, ir_kb_add(b, column_lo, ir_kb_mul(b, p->vector, integer(p, IR_LANES))), p->lane);
  for (int v = 0; v < wide; v++)
    cg_product_store(p, ir_kb_add(b, p->first, i), ir_kb_add(b, left, vector_at(p, v)),
                     ir_kb_read(b, p->acc, i, integer(p, v), NULL));
  end(p, 1);
}

// ---- few rows: the second operand is read where it lies

// Columns |lo|..|hi|, a multiple of a register.
static void emit_registers(product_kernel *p, const ir_kexpr *lo, const ir_kexpr *hi) {
  ir_kbuilder *b = &p->e.b;
  const ir_kexpr *vectors = ir_kb_div(b, ir_kb_sub(b, hi, lo), integer(p, IR_LANES));
  const ir_kexpr *width = open_tiles(p, vectors), *y[MAX_WIDTH];
  for (int w = 0; w < WIDTHS; w++) {
    open_width(p, width, widths[w]);
    const ir_kexpr *k = ir_kb_for(b, IR_KR_SERIAL, "k", integer(p, 0), p->depth, 1);
    const ir_kexpr *left = ir_kb_add(b, ir_kb_add(b, lo, ir_kb_mul(b, p->vector, integer(p, IR_LANES))), p->lane);
    for (int v = 0; v < widths[w]; v++)
      y[v] = ir_kb_let(b, "y", cg_product_y(p, k, ir_kb_add(b, left, vector_at(p, v))));
    multiply(p, k, y, widths[w]);
    end(p, 1);
    store_tile(p, lo, widths[w]);
    end(p, 2);
  }
  end(p, 2);
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
  const ir_kexpr *x = ir_kb_let(b, "x", cg_product_x(p, row, k));
  j = ir_kb_for(b, IR_KR_LANES, "j", zero, width, 1);
  const ir_kexpr *sum = ir_kb_load(b, p->type, sums, j);
  ir_kb_store(b, p->type, sums, j, ir_kb_op(b, IR_K_fma, p->type, x, cg_product_y(p, k, ir_kb_add(b, lo, j)), sum));
  ir_kb_end(b);
  ir_kb_end(b);
  j = ir_kb_for(b, IR_KR_LANES, "j", zero, width, 1);
  cg_product_store(p, row, ir_kb_add(b, lo, j), ir_kb_load(b, p->type, sums, j));
  for (int end = 0; end < 3; end++) ir_kb_end(b);
}

// ---- many rows: slabs of the second operand, packed

// The slab's element |k| of register |v|, in the current lane. Registers stand one behind the other, a line apart from
// each other's place in the cache.
static const ir_kexpr *slab_at(product_kernel *p, const ir_kexpr *v, const ir_kexpr *k, const ir_kexpr *lane) {
  ir_kbuilder *b = &p->e.b;
  const ir_kexpr *at = ir_kb_mul(b, v, integer(p, (SLAB + 1) * IR_LANES));
  return ir_kb_add(b, ir_kb_add(b, at, ir_kb_mul(b, ir_kb_sub(b, k, p->slab_lo), integer(p, IR_LANES))), lane);
}

static const ir_kexpr *sum_at(product_kernel *p, const ir_kexpr *row, const ir_kexpr *column) {
  ir_kbuilder *b = &p->e.b;
  return ir_kb_add(b, ir_kb_mul(b, ir_kb_sub(b, row, p->row_lo), integer(p, CHUNK_COLUMNS)), column);
}

// Lanes past the last column stay what clear_rest has made them.
static void fill_slab(product_kernel *p, const ir_kexpr *width) {
  ir_kbuilder *b = &p->e.b;
  const ir_kexpr *k = ir_kb_for(b, IR_KR_SERIAL, "k", p->slab_lo, p->slab_hi, 1);
  const ir_kexpr *j = ir_kb_for(b, IR_KR_LANES, "j", integer(p, 0), width, 1);
  const ir_kexpr *v = ir_kb_div(b, j, integer(p, IR_LANES)), *lane = ir_kb_mod(b, j, integer(p, IR_LANES));
  ir_kb_store(b, p->type, p->slab, slab_at(p, v, k, lane), cg_product_y(p, k, ir_kb_add(b, p->column_lo, j)));
  end(p, 2);
}

static void clear_rest(product_kernel *p, const ir_kexpr *width) {
  ir_kbuilder *b = &p->e.b;
  const ir_kexpr *lanes = integer(p, IR_LANES);
  ir_kb_if(b, ir_kb_op(b, IR_K_ne, IR_KT_bool, ir_kb_mod(b, width, lanes), integer(p, 0), NULL));
  const ir_kexpr *first = ir_kb_mul(b, ir_kb_div(b, width, lanes), integer(p, (SLAB + 1) * IR_LANES));
  const ir_kexpr *i = ir_kb_for(b, IR_KR_LANES, "i", integer(p, 0), integer(p, SLAB * IR_LANES), 1);
  ir_kb_store(b, p->type, p->slab, ir_kb_add(b, first, i), ir_kb_const(b, p->type, 0));
  end(p, 2);
}

// Registers to the sums in local memory or from there.
static void spill(product_kernel *p, int wide, bool load) {
  ir_kbuilder *b = &p->e.b;
  const ir_kexpr *i = open_unroll(p);
  const ir_kexpr *left = ir_kb_add(b, ir_kb_mul(b, p->vector, integer(p, IR_LANES)), p->lane);
  for (int v = 0; v < wide; v++) {
    const ir_kexpr *at = sum_at(p, ir_kb_add(b, p->first, i), ir_kb_add(b, left, vector_at(p, v)));
    if (load) ir_kb_set(b, p->acc, ir_kb_load(b, p->type, p->sums, at), i, integer(p, v), NULL);
    else ir_kb_store(b, p->type, p->sums, at, ir_kb_read(b, p->acc, i, integer(p, v), NULL));
  }
  end(p, 1);
}

static void packed_tile(product_kernel *p, int wide, const ir_kexpr *direct) {
  ir_kbuilder *b = &p->e.b;
  const ir_kexpr *y[MAX_WIDTH];
  ir_kb_if(b, ir_kb_op(b, IR_K_gt, IR_KT_bool, p->slab_lo, integer(p, 0), NULL));
  spill(p, wide, true);
  end(p, 1);
  const ir_kexpr *k = ir_kb_for(b, IR_KR_SERIAL, "k", p->slab_lo, p->slab_hi, 1);
  for (int v = 0; v < wide; v++) {
    const ir_kexpr *at = slab_at(p, ir_kb_add(b, p->vector, integer(p, v)), k, p->lane);
    y[v] = ir_kb_let(b, "y", ir_kb_load(b, p->type, p->slab, at));
  }
  multiply(p, k, y, wide);
  end(p, 1);
  ir_kb_if(b, direct);
  store_tile(p, p->column_lo, wide);
  ir_kb_else(b);
  spill(p, wide, false);
  end(p, 1);
}

static void emit_packed(product_kernel *p) {
  ir_kbuilder *b = &p->e.b;
  const ir_kexpr *zero = integer(p, 0), *one = integer(p, 1);
  p->slab = ir_kb_add_buffer(b, IR_KB_LOCAL, "slab", integer(p, 4 * MAX_WIDTH * (SLAB + 1) * IR_LANES), -1);
  p->sums = ir_kb_add_buffer(b, IR_KB_LOCAL, "sums", integer(p, 4 * p->chunk_rows * CHUNK_COLUMNS), -1);
  const ir_kexpr *columns = ir_kb_let(b, "columns", ir_kb_sub(b, p->column_hi, p->column_lo));
  clear_rest(p, columns);
  // Once at least: without any k the sums are zeros.
  const ir_kexpr *most = ir_kb_op(b, IR_K_max, IR_KT_i64, p->depth, one, NULL);
  p->slab_lo = ir_kb_for(b, IR_KR_SERIAL, "ks", zero, most, SLAB);
  p->slab_hi = ir_kb_let(b, "ke", ir_kb_min(b, ir_kb_add(b, p->slab_lo, integer(p, SLAB)), p->depth));
  fill_slab(p, columns);
  const ir_kexpr *whole = ir_kb_op(b, IR_K_eq, IR_KT_bool, ir_kb_mod(b, columns, integer(p, IR_LANES)), zero, NULL);
  const ir_kexpr *last = ir_kb_op(b, IR_K_ge, IR_KT_bool, p->slab_hi, p->depth, NULL);
  const ir_kexpr *direct = ir_kb_let(b, "direct", ir_kb_op(b, IR_K_and, IR_KT_bool, whole, last, NULL));
  const ir_kexpr *width = open_tiles(p, pieces(p, columns, IR_LANES));
  for (int w = 0; w < WIDTHS; w++) {
    open_width(p, width, widths[w]);
    packed_tile(p, widths[w], direct);
    end(p, 2);
  }
  end(p, 3);
  ir_kb_if(b, ir_kb_op(b, IR_K_not, IR_KT_bool, whole, NULL, NULL));
  const ir_kexpr *row = ir_kb_for(b, IR_KR_SERIAL, "m", p->row_lo, p->row_hi, 1);
  const ir_kexpr *j = ir_kb_for(b, IR_KR_LANES, "j", zero, columns, 1);
  cg_product_store(p, row, ir_kb_add(b, p->column_lo, j), ir_kb_load(b, p->type, p->sums, sum_at(p, row, j)));
  end(p, 3);
}

static void emit_narrow(product_kernel *p) {
  ir_kbuilder *b = &p->e.b;
  int64_t columns = cg_const_dim(p->root->type.dims[p->root->type.rank - 1]);
  if (columns >= 0 && columns < IR_LANES) {
    emit_rest(p, p->column_lo, p->column_hi);
    return;
  }
  const ir_kexpr *whole = ir_kb_div(b, ir_kb_sub(b, p->column_hi, p->column_lo), integer(p, IR_LANES));
  const ir_kexpr *middle =
      ir_kb_let(b, "middle", ir_kb_add(b, p->column_lo, ir_kb_mul(b, whole, integer(p, IR_LANES))));
  emit_registers(p, p->column_lo, middle);
  if (columns < 0 || columns % IR_LANES) emit_rest(p, middle, p->column_hi);
}

// Packing pays from some tiles of rows on. Both ways add in one order.
static void emit_columns(product_kernel *p) {
  ir_kbuilder *b = &p->e.b;
  int64_t rows = p->has_rows ? cg_const_dim(p->root->type.dims[p->lead]) : 1;
  if (p->type != IR_KT_f32 || (rows >= 0 && rows < p->pack_rows)) {
    emit_narrow(p);
    return;
  }
  const ir_kexpr *some = integer(p, p->pack_rows);
  ir_kb_if(b, ir_kb_op(b, IR_K_ge, IR_KT_bool, ir_kb_sub(b, p->row_hi, p->row_lo), some, NULL));
  emit_packed(p);
  ir_kb_else(b);
  emit_narrow(p);
  end(p, 1);
}

// Opens the grid and the `if` that the item has something to do.
static void bind_item(product_kernel *p) {
  emitter *e = &p->e;
  ir_kbuilder *b = &e->b;
  const ir_type *type = &p->root->type;
  const ir_kexpr *one = integer(p, 1), *chunk = integer(p, CHUNK_COLUMNS), *tile = one, *tiles = one;
  if (p->has_rows) {
    // Even chunks of whole tiles, and some of them also of fewer rows: threads share them.
    const ir_kexpr *most = cg_emit_most(e, type->dims[p->lead]);
    const ir_kexpr *some = ir_kb_min(b, pieces(p, most, p->chunk_rows / 4), integer(p, 3));
    tile = ir_kb_op(b, IR_K_max, IR_KT_i64, pieces(p, most, p->chunk_rows), some, NULL);
    tile = ir_kb_op(b, IR_K_max, IR_KT_i64, tile, one, NULL);
    tile = ir_kb_div(b, ir_kb_add(b, most, ir_kb_sub(b, tile, one)), tile);
    tile =
        ir_kb_op(b, IR_K_max, IR_KT_i64, ir_kb_mul(b, pieces(p, tile, MAX_HEIGHT), integer(p, MAX_HEIGHT)), one, NULL);
    tiles = ir_kb_div(b, ir_kb_add(b, most, ir_kb_sub(b, tile, one)), tile);
  }
  const ir_kexpr *chunks = pieces(p, cg_emit_most(e, type->dims[type->rank - 1]), CHUNK_COLUMNS);
  const ir_kexpr *images = cg_emit_images(e, p->root, p->lead);
  const ir_kexpr *n = ir_kb_set_grid(b, ir_kb_mul(b, ir_kb_mul(b, images, tiles), chunks), "n");
  const ir_kexpr *rest = ir_kb_let(b, "part", ir_kb_div(b, n, chunks));
  p->column_lo = ir_kb_let(b, "column_lo", ir_kb_mul(b, ir_kb_mod(b, n, chunks), chunk));
  p->row_lo = ir_kb_let(b, "row_lo", ir_kb_mul(b, ir_kb_mod(b, rest, tiles), tile));
  cg_emit_set_image(e, p->root, p->lead, ir_kb_div(b, rest, tiles), p->idx);
  const ir_kexpr *rows = p->has_rows ? cg_dim_expr(e, type->dims[p->lead]) : one;
  p->row_hi = ir_kb_let(b, "row_hi", ir_kb_min(b, ir_kb_add(b, p->row_lo, tile), rows));
  p->column_hi = ir_kb_let(b, "column_hi",
                           ir_kb_min(b, ir_kb_add(b, p->column_lo, chunk), cg_dim_expr(e, type->dims[type->rank - 1])));
  p->depth = ir_kb_let(b, "depth", cg_dim_expr(e, p->x->type.dims[p->x->type.rank - 1]));
  const ir_kexpr *some_rows = ir_kb_op(b, IR_K_lt, IR_KT_bool, p->row_lo, p->row_hi, NULL);
  const ir_kexpr *some_columns = ir_kb_op(b, IR_K_lt, IR_KT_bool, p->column_lo, p->column_hi, NULL);
  ir_kb_if(b, ir_kb_op(b, IR_K_and, IR_KT_bool, some_rows, some_columns, NULL));
}

// -1 in the key: known at run time.
static void choose(product_kernel *p, bool dots) {
  static const int64_t rows[] = {96, 192}, packs[] = {7, 25, 49};
  lowering *low = p->fl->low;
  const ir_type *type = &p->root->type, *x = &p->x->type;
  const char *key = weir_arena_printf(
      low->arena, "product%s_%s_%lldx%lldx%lld", dots ? "_dots" : "", ir_dtype_name(type->dtype),
      (long long)(p->has_rows ? cg_const_dim(type->dims[p->lead]) : 1),
      (long long)cg_const_dim(type->dims[type->rank - 1]), (long long)cg_const_dim(x->dims[x->rank - 1]));
  p->chunk_rows = cg_schedule_choice(low, key, "rows", CHUNK_ROWS, rows, p->has_rows ? 2 : 0);
  p->pack_rows = cg_schedule_choice(low, key, "pack", PACK_ROWS, packs, dots || p->type != IR_KT_f32 ? 0 : 3);
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
  weir_status done;
  if (cg_block_product(&p, &done)) return done;
  weir_arena *arena = fl->low->arena;
  const char *banner = weir_arena_printf(arena, "%s = %s x %s", ir_type_print(arena, &root->type),
                                         ir_type_print(arena, &p.x->type), ir_type_print(arena, &p.y->type));
  bool dots = depth_is_inner(&p);
  cg_emit_begin(&p.e, fl, root, dots ? "product_dots" : "product", banner);
  choose(&p, dots);
  bind_item(&p);
  if (dots) emit_dots(&p);
  else emit_columns(&p);
  ir_kb_end(&p.e.b);
  return cg_emit_finish(&p.e);
}
