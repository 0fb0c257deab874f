// Convolutions in bf16: the matrix units' product of mma.c, whose rows are windows of an image of words of two
// channels. A kernel rounds the image once, channels last whatever they were, so that what windows share is read as
// half as many bytes; eight channels of a tap are one copy.
#include "codegen/lower/block/window.h"

enum { THREADS = 256 };

// The image of words that |x| becomes.
static ir_value *words_of(function_lowering *fl, const ir_value *x, int spatial) {
  ir_type type = x->type;
  int channel = type.rank - spatial - 1;
  type.dtype = IR_i32;
  type.dims[channel] = ir_dim_const(fl->low->module->dims, cg_const_dim(type.dims[channel]) / 2);
  ir_value *made = cg_new_value(fl, type);
  fl->out->slots[cg_info(fl, made)->slot].first = cg_image_axes(&type, spatial);
  return made;
}

// Values of two neighbouring channels, with one access where they are neighbours in memory.
static void read_both(ir_kbuilder *b, const ir_kexpr **values) {
  int two = 2;
  ir_kplace place;
  if (!cg_block_run(b, values[0], values[1], 2, &place)) {
    for (int h = 0; h < 2; h++) values[h] = ir_kb_let(b, "x", values[h]);
    return;
  }
  ir_kvar *both = ir_kb_reg(b, "x", IR_KT_f32, false, 1, &two, bk_zero(b));
  ir_kb_read_vector(b, ir_kb_regs(both, bk_int(b, 0), NULL, NULL), 2, place, IR_KHINT_NONE);
  for (int h = 0; h < 2; h++) values[h] = ir_kb_read(b, both, bk_int(b, h), NULL, NULL);
}

static weir_status round_image(function_lowering *fl, ir_value *x, ir_value *words, int spatial) {
  weir_arena *arena = fl->low->arena;
  emitter e;
  int lead = x->type.rank - spatial - 1;
  int64_t width = cg_const_dim(words->type.dims[lead]), inner = width;
  cg_emit_begin(&e, fl, NULL, "pack_image_bf16",
                weir_arena_printf(arena, "%s as words of bf16, for convolutions", ir_type_print(arena, &x->type)));
  ir_kbuilder *b = &e.b;
  for (int i = lead + 1; i < x->type.rank; i++) inner *= cg_const_dim(x->type.dims[i]);
  const ir_kexpr *all = bk_scaled(b, cg_emit_images(&e, words, lead), inner), *idx[IR_MAX_RANK], *halves[2];
  const ir_kexpr *n = ir_kb_set_grid(b, bk_div(b, bk_plus(b, all, THREADS - 1), THREADS), "n");
  const ir_kexpr *t = ir_kb_set_threads(b, "t", THREADS, 0);
  const ir_kexpr *rest = ir_kb_let(b, "own", ir_kb_add(b, bk_scaled(b, n, THREADS), t));
  ir_kb_if(b, bk_less(b, rest, all));
  const ir_kexpr *word = ir_kb_let(b, "word", bk_mod(b, rest, width));
  rest = bk_div(b, rest, width);
  for (int i = x->type.rank - 1; i > lead; i--) {
    idx[i] = bk_mod(b, rest, cg_const_dim(x->type.dims[i]));
    rest = bk_div(b, rest, cg_const_dim(x->type.dims[i]));
  }
  cg_emit_set_image(&e, words, lead, rest, idx);
  for (int h = 0; h < 2; h++) {
    idx[lead] = bk_plus(b, bk_scaled(b, word, 2), h);
    halves[h] = cg_emit_value(&e, x, idx);
  }
  read_both(b, halves);
  idx[lead] = word;
  ir_kb_store(b, IR_KT_u32, cg_emit_slot(&e, cg_info(fl, words)->slot, IR_KB_OUT), cg_emit_place_of(&e, words, idx),
              ir_kb_op(b, IR_K_pack2, IR_KT_u32, halves[0], halves[1], NULL));
  ir_kb_end(b);
  return cg_emit_finish(&e);
}

static weir_status pack_image(function_lowering *fl, ir_value *x, int spatial, packed_rows *out) {
  for (int i = 0; i < fl->packed_count; i++) {
    *out = fl->packed[i];
    if (out->x == x && out->image) return WEIR_OK;
  }
  *out = (packed_rows){.x = x, .compute = CG_COMPUTE_BF16, .image = true, .codes = words_of(fl, x, spatial)};
  WEIR_TRY(round_image(fl, x, out->codes, spatial));
  WEIR_PUSH(fl->low->arena, fl->packed, fl->packed_count, fl->packed_capacity, *out);
  return WEIR_OK;
}

weir_status cg_block_conv_mma(block_linear *p) {
  struct cg_windows *w = p->windows;
  packed_rows x;
  WEIR_TRY(pack_image(p->k.fl, p->x, w->g.spatial, &x));
  p->x = x.codes;
  w->g.channels /= 2;
  w->type = IR_KT_i32, w->cols = p->k.cols / 2, w->slab = CG_BLOCK_SLAB / 2;
  return cg_block_mma_many(p, &x, 0);
}
