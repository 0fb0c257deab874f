// Choices at run time: each branch of a cond is a loop that runs once, and only if some request takes it. Then all
// requests compute it, and those that take it keep what came out.
#include <string.h>

#include "codegen/lower/internal.h"

// flags[i][r] says whether request r takes branch i.
static weir_status lower_choice(function_lowering *fl, ir_value *p, ir_value *const *flags) {
  emitter e;
  cg_emit_begin(&e, fl, NULL, "choice", "which requests take which branch");
  ir_kbuilder *b = &e.b;
  cg_emit_set_request(&e, ir_kb_set_grid(b, cg_emit_size(&e, SIZE_REQUESTS, NULL), "n"));
  const ir_kexpr *active = cg_emit_active(&e), *yes = ir_kb_let(b, "p", cg_emit_load(&e, p, NULL));
  const ir_kexpr *value[2] = {yes, ir_kb_op(b, IR_K_not, IR_KT_bool, yes, NULL, NULL)};
  for (int i = 0; i < 2; i++) {
    if (active) value[i] = ir_kb_op(b, IR_K_and, IR_KT_bool, value[i], active, NULL);
    cg_emit_store(&e, flags[i], cg_info(fl, flags[i])->slot, NULL, value[i]);
  }
  return cg_emit_finish(&e);
}

// A branch is a loop that runs once, if a request takes it.
static weir_status lower_branch(function_lowering *fl, ir_node *node, ir_function *region, ir_value *flags) {
  weir_arena *arena = fl->low->arena;
  ir_value **made = WEIR_NEW_ARRAY(arena, ir_value *, node->result_count + 1);
  int *slots = WEIR_NEW_ARRAY(arena, int, node->result_count + 1);
  for (int i = 0; i < node->result_count; i++) {
    made[i] = cg_new_value(fl, node->results[i]->type);
    slots[i] = cg_info(fl, made[i])->slot;
  }
  ir_dim *loops = WEIR_NEW_ARRAY(arena, ir_dim, fl->loop_count + 1);
  if (fl->loop_count) memcpy(loops, fl->loops, sizeof *loops * (size_t)fl->loop_count);
  cg_mark_loop(fl, LOOP_BEGIN, NULL, cg_info(fl, flags)->slot);
  const ir_dim *outer = fl->loops;
  fl->loops = loops;
  fl->loop_count++;
  weir_status status = cg_lower_region(fl, node, region, loops, fl->loop_count, false, NULL, slots);
  if (!status)
    status = cg_lower_commit(fl, flags, made, node->results, node->result_count, node->result_count, "branch");
  fl->loops = outer;
  fl->loop_count--;
  cg_mark_loop(fl, LOOP_END, NULL, -1);
  return status;
}

weir_status cg_lower_cond(function_lowering *fl, ir_node *node) {
  ir_type flag = ir_type_make(IR_bool, 0, NULL);
  ir_value *flags[2] = {cg_new_value(fl, flag), cg_new_value(fl, flag)};
  WEIR_TRY(lower_choice(fl, node->operands[0], flags));
  WEIR_TRY(lower_branch(fl, node, node->callee, flags[0]));
  return lower_branch(fl, node, node->second, flags[1]);
}
