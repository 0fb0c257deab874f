// weir show: a model at its levels, as text, and its functions as a picture.
#include <string.h>

#include "codegen/cpu/print.h"
#include "compiler/driver/model.h"
#include "compiler/driver/svg.h"
#include "runtime/base/io.h"

typedef enum { FORM_GRAPH, FORM_KERNEL, FORM_PROGRAM, FORM_C } show_form;

static int read_form(cli *c, show_form *out) {
  const char *text = cli_text(c, "form");
  static const char *const names[] = {"graph", "kernel", "program", "c"};
  *out = FORM_GRAPH;
  if (!text) return CLI_DONE;
  for (int i = 0; i < 4; i++) {
    if (!strcmp(text, names[i])) {
      *out = (show_form)i;
      return CLI_DONE;
    }
  }
  if (!strcmp(text, "cuda")) return cli_error(c, "form 'cuda': this Weir builds for the processor only");
  return cli_usage(c, "the forms are graph, kernel, program and c; not '%s'", text);
}

static int print(cli *c, show_form form, const char *text) {
  static const char *const names[] = {"graph", "kernel", "program", "c"};
  if (c->json)
    return cli_json(c, json_pack("{s:s,s:o}", "form", names[form], "text", cli_json_text(text, strlen(text))));
  cli_write(text, strlen(text));
  return CLI_DONE;
}

static int no_entry(cli *c, const char *entry) { return cli_error(c, "the model has no entry '%s'", entry); }

// ---- packages keep programs and C

static int show_package(cli *c, const char *path, show_form form) {
  if (form == FORM_GRAPH || form == FORM_KERNEL)
    return cli_error(c, "a package keeps programs and C, not graphs and kernels: --form program or c");
  rt_package *package = NULL;
  int code = cli_fail(c, rt_package_open(path, NULL, &package));
  if (code) return code;
  const char *entry = cli_text(c, "entry"), *prefix = form == FORM_C ? RT_SECTION_KERNELS : RT_SECTION_PROGRAM,
             *text = "";
  int found = 0;
  for (int i = 0; i < rt_package_section_count(package) && !code; i++) {
    const rt_section *section = rt_package_section(package, i);
    if (strncmp(section->name, prefix, strlen(prefix))) continue;
    if (entry && form == FORM_PROGRAM && strcmp(section->name + strlen(prefix), entry)) continue;
    code = cli_fail(c, rt_package_check(package, section));
    if (!code)
      text = weir_arena_printf(&c->arena, "%s%s%.*s", text, found ? "\n" : "", (int)section->bytes,
                               (const char *)section->data);
    found++;
  }
  if (!code && !found && entry) code = no_entry(c, entry);
  if (!code) code = print(c, form, text);
  rt_package_close(package);
  return code;
}

// ---- texts

static bool is_wanted(const rt_program *program, const char *entry) { return !entry || !strcmp(program->name, entry); }

// Whether a program that is asked for launches the kernel.
static bool kernel_wanted(const cg_module *code, const ir_kernel *kernel, const char *entry) {
  for (int p = 0; p < code->program_count; p++) {
    const rt_program *program = code->programs[p];
    for (int i = 0; is_wanted(program, entry) && i < program->kernel_count; i++) {
      if (!strcmp(program->kernels[i].symbol, kernel->name)) return true;
    }
  }
  return false;
}

static weir_status text_of(cli *c, const plan_unit *unit, show_form form, const char *entry, const char **out) {
  weir_arena *arena = &c->arena;
  const cg_module *code = unit->code;
  const char *text = "";
  if (form == FORM_GRAPH) {
    const ir_function *function = entry ? ir_function_find(unit->graph->module, entry) : NULL;
    *out = function ? ir_print_function(arena, function) : ir_print_module(arena, unit->graph->module);
    return WEIR_OK;
  }
  const ir_kernel **kernels = WEIR_NEW_ARRAY(arena, const ir_kernel *, code->kernel_count);
  int count = 0;
  for (int i = 0; i < code->kernel_count; i++) {
    if (kernel_wanted(code, code->kernels[i], entry)) kernels[count++] = code->kernels[i];
  }
  if (form == FORM_C) return cg_cpu_print(arena, kernels, count, out);
  for (int i = 0; form == FORM_KERNEL && i < count; i++) {
    text = weir_arena_printf(arena, "%s%s%s", text, i ? "\n" : "", ir_kernel_print(arena, kernels[i]));
  }
  for (int i = 0; form == FORM_PROGRAM && i < code->program_count; i++) {
    if (is_wanted(code->programs[i], entry))
      text = weir_arena_printf(arena, "%s%s%s", text, *text ? "\n" : "", rt_program_print(arena, code->programs[i]));
  }
  *out = text;
  return WEIR_OK;
}

static int show_text(cli *c, const plan_unit *unit, show_form form) {
  const char *entry = cli_text(c, "entry"), *text = NULL;
  bool known = !entry;
  for (int i = 0; i < unit->code->program_count; i++) known = known || !strcmp(unit->code->programs[i]->name, entry);
  if (!known) return no_entry(c, entry);
  int code = cli_fail(c, text_of(c, unit, form, entry, &text));
  return code ? code : print(c, form, text);
}

// The picture is of the model as it is written: passes would melt its blocks.
static int draw(cli *c, const char *path) {
  cli_front front;
  const char *entry = cli_text(c, "entry");
  int code = cli_check_output(c, path);
  if (!code) code = cli_elaborate(c, c->arguments[0], &front);
  if (code) return code;
  const ir_module *module = front.unit.graph->module;
  if (entry && !ir_function_find(module, entry)) {
    code = no_entry(c, entry);
  } else {
    const char *picture = svg_draw_module(&c->arena, module, entry);
    code = cli_fail(c, weir_file_write_atomic(path, picture, strlen(picture)));
  }
  if (!code) cli_note(c, "the model is drawn in %s", path);
  plan_close(&front.unit);
  return code;
}

int cmd_show(cli *c) {
  if (!cli_arguments(c, 1, 1)) return CLI_USAGE;
  if (cli_has(c, "svg")) {
    if (cli_has(c, "form"))
      return cli_usage(c, "--svg draws the model as it is written; --form prints one of its forms");
    int drawn = draw(c, cli_text(c, "svg"));
    return drawn || !c->json ? drawn : cli_json(c, json_pack("{s:s}", "svg", cli_text(c, "svg")));
  }
  show_form form;
  cli_source source;
  cli_front front;
  int code = read_form(c, &form);
  if (!code) code = cli_locate(c, c->arguments[0], false, &source);
  if (code) return code;
  if (source.package) return show_package(c, source.package, form);
  code = cli_front_open(c, c->arguments[0], &front);
  if (!code) code = show_text(c, &front.unit, form);
  plan_close(&front.unit);
  return code;
}
