// weir show: a model at its levels, as text, and its functions as a picture.
#include <stdio.h>
#include <string.h>

#include "codegen/cpu/print.h"
#include "codegen/cuda/print.h"
#include "compiler/driver/model.h"
#include "compiler/driver/svg.h"
#include "runtime/base/io.h"
#include "runtime/device/cuda/device.h"

typedef enum { FORM_GRAPH, FORM_KERNEL, FORM_PROGRAM, FORM_C, FORM_CUDA, FORM_COUNT } show_form;

static const char *const names[FORM_COUNT] = {"graph", "kernel", "program", "c", "cuda"};

static int read_form(cli *c, show_form *out) {
  const char *text = cli_text(c, "form");
  *out = FORM_GRAPH;
  if (!text) return CLI_DONE;
  for (int i = 0; i < FORM_COUNT; i++) {
    if (!strcmp(text, names[i])) {
      *out = (show_form)i;
      return CLI_DONE;
    }
  }
  return cli_usage(c, "the forms are graph, kernel, program, c and cuda; not '%s'", text);
}

static int print(cli *c, show_form form, const char *text) {
  if (c->json)
    return cli_json(c, json_pack("{s:s,s:o}", "form", names[form], "text", cli_json_text(text, strlen(text))));
  cli_write(text, strlen(text));
  return CLI_DONE;
}

static int no_entry(cli *c, const char *entry) { return cli_error(c, "the model has no entry '%s'", entry); }

// ---- packages keep programs and C

static const rt_section *program_of(const rt_package *package, const char *family, const char *entry) {
  char name[RT_PACKAGE_NAME_BYTES + 32];
  snprintf(name, sizeof name, RT_SECTION_PROGRAM "%s%s", family, entry);
  return rt_package_find(package, name);
}

// Whether |section|, program/|*rest|, is what the device that is asked for runs; |*rest| becomes its entry.
static bool is_wanted_program(const cli *c, const rt_package *package, const rt_section *section, const char **rest) {
  const char *isa = cli_text(c, "isa"), *entry;
  bool other = rt_program_family(*rest, &entry) != NULL;
  const rt_section *runs = NULL;
  *rest = entry;
  if (!cli_on_device(c)) return !other;
  if (isa) runs = program_of(package, rt_cuda_family(isa), entry);
  if (!runs) runs = program_of(package, RT_SECTION_DEVICE, entry);
  if (!runs) runs = program_of(package, "", entry);
  return runs == section;
}

static int show_package(cli *c, const char *path, show_form form) {
  if (form == FORM_GRAPH || form == FORM_KERNEL)
    return cli_error(c, "a package keeps programs and C, not graphs and kernels: --form program, c or cuda");
  rt_package *package = NULL;
  int code = cli_fail(c, rt_package_open(path, NULL, &package));
  if (code) return code;
  const char *entry = cli_text(c, "entry"), *prefix = form == FORM_PROGRAM ? RT_SECTION_PROGRAM : RT_SECTION_KERNELS,
             *text = "";
  int found = 0;
  for (int i = 0; i < rt_package_section_count(package) && !code; i++) {
    const rt_section *section = rt_package_section(package, i);
    const char *rest = section->name + strlen(prefix);
    if (strncmp(section->name, prefix, strlen(prefix))) continue;
    if (form != FORM_PROGRAM && strncmp(rest, form == FORM_C ? "cpu" : "cuda", 3)) continue;
    if (form == FORM_PROGRAM && !is_wanted_program(c, package, section, &rest)) continue;
    if (entry && form == FORM_PROGRAM && strcmp(rest, entry)) continue;
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

static weir_status print_cuda(weir_arena *arena, const ir_kernel *const *kernels, int count, const char **out) {
  cg_cuda_print_options options = {.prelude = CG_CUDA_PTX, .with_ir = true};
  cg_cuda_kernel *list = WEIR_NEW_ARRAY(arena, cg_cuda_kernel, count + 1);
  for (int i = 0; i < count; i++) WEIR_TRY(cg_cuda_print(arena, kernels[i], &options, &list[i]));
  *out = cg_cuda_file(arena, CG_CUDA_PTX, list, count);
  return WEIR_OK;
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
  if (form == FORM_CUDA) return print_cuda(arena, kernels, count, out);
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

static int show_text(cli *c, cli_front *front, show_form form) {
  const plan_unit *unit = &front->unit;
  const char *entry = cli_text(c, "entry"), *text = NULL;
  bool known = !entry;
  if (form == FORM_C && cli_on_device(c)) return cli_usage(c, "C is for processors: --form cuda");
  weir_status status = form == FORM_CUDA ? cli_front_device(c, front) : WEIR_OK;
  if (status) return cli_fail(c, status);
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
  if (!code) code = show_text(c, &front, form);
  plan_close(&front.unit);
  return code;
}
