// Random modules: verified, printed and parsed to the same bytes, interpreted to finite numbers, costed.
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "tests/common/random_module.h"

static void check_text(weir_arena *arena, const ir_module *module) {
  ir_module *again;
  const char *text = ir_print_module(arena, module);
  weir_status status = ir_parse_module(arena, text, strlen(text), &again);
  cr_assert(!status, "%s\n%s", weir_status_message(status), text);
  cr_assert_str_eq(ir_print_module(arena, again), text);
}

static void check_run(weir_arena *arena, const ir_function *main, uint64_t seed) {
  int64_t sizes[8];
  ir_tensor *args = WEIR_NEW_ARRAY(arena, ir_tensor, main->param_count);
  ir_tensor *results = WEIR_NEW_ARRAY(arena, ir_tensor, main->result_count);
  random_module_sizes(main->module, seed, sizes);
  random_module_args(arena, main, seed, sizes, args);
  weir_status status = ir_interpret(arena, main, args, results);
  cr_assert(!status, "seed %llu: %s", (unsigned long long)seed, weir_status_message(status));
  for (int i = 0; i < main->result_count; i++) {
    for (int64_t j = 0; j < ir_tensor_elements(&results[i]); j++) {
      cr_assert(fabs(results[i].data[j]) < 1e6, "seed %llu, result %d: %g\n%s", (unsigned long long)seed, i,
                results[i].data[j], ir_print_function(arena, main));
    }
  }
  for (const ir_node *node = main->first; node; node = node->next) {
    double flops, bytes;
    ir_node_cost(node, sizes, &flops, &bytes);
    cr_assert(flops >= 0 && bytes >= 0);
  }
}

Test(random, modules_are_sound) {
  int seen[IR_OP_COUNT] = {0}, steps = 0;
  for (uint64_t seed = 0; seed < 300; seed++) {
    weir_arena arena;
    weir_arena_init(&arena);
    ir_module *module = ir_module_create(&arena, "Random");
    ir_function *main = random_module_create(module, seed, 10 + (int)seed % 40);
    weir_status status = ir_verify(module);
    cr_assert(!status, "seed %llu: %s", (unsigned long long)seed, weir_status_message(status));
    check_text(&arena, module);
    check_run(&arena, main, seed);
    steps += main->kind == IR_FUNCTION_STEP;
    for (int i = 0; i < module->function_count; i++) {
      for (const ir_node *node = module->functions[i]->first; node; node = node->next) seen[node->op]++;
    }
    weir_arena_deinit(&arena);
  }
  for (int op = 0; op < IR_OP_COUNT; op++)
    cr_expect(seen[op] > 0 || !random_module_makes((ir_op)op), "no module uses '%s'", ir_op_get_info((ir_op)op)->name);
  cr_assert(steps > 40 && steps < 200);
}

Test(random, one_seed_is_one_module) {
  weir_arena arena;
  weir_arena_init(&arena);
  const char *texts[2];
  for (int i = 0; i < 2; i++) {
    ir_module *module = ir_module_create(&arena, "Random");
    random_module_create(module, 7, 30);
    texts[i] = ir_print_module(&arena, module);
  }
  cr_assert_str_eq(texts[0], texts[1]);
  weir_arena_deinit(&arena);
}
