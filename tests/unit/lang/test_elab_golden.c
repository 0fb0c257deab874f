// Golden texts of the elaborator. Commands: graph (the graph's text), cached (the same, states kept as the first plan
// says), errors (the diagnostics).
#include "tests/unit/lang/elab_test.h"
#include "tests/unit/lang/golden_texts.h"

static char *command_run(const char *command, const char *program, size_t length) {
  elab_bench *bench = elab_open();
  elab_load_text(bench, program, length);
  elab_run(bench, NULL);
  bool cached = strncmp(command, "cached", 6) == 0;
  if (cached && bench->graph && bench->graph->plan_count) {
    lang_options options = {.float_dtype = IR_f32, .plan = &bench->graph->plans[0]};
    bench->graph = lang_elaborate(&bench->arena, bench->program, &options, &bench->diags);
  }
  const char *graph = "";
  if (bench->graph) {
    weir_status status = ir_verify(bench->graph->module);
    cr_expect(!status, "%s", weir_status_message(status));
    weir_status_release(status);
    if (cached || strncmp(command, "graph", 5) == 0) graph = ir_print_module(&bench->arena, bench->graph->module);
  }
  char *text = strdup(weir_arena_printf(&bench->arena, "%s%s", elab_messages(bench), graph));
  elab_close(bench);
  return text;
}

Test(elab_golden, all) { golden_run_all(WEIR_SOURCE_DIR "/tests/text/elab/*.test", command_run); }
