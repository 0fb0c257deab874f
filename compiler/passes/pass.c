// The gate.
#include "compiler/passes/pass.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "ir/text_buffer.h"

static const struct {
  const char *name, *meaning;
  bool (*run)(ir_module *module);
} passes[] = {
#define PASS(name, meaning) {#name, meaning, pass_##name},
#include "compiler/passes/passes.def"
#undef PASS
};

const char *pass_get_name(pass_id id) { return passes[id].name; }

void pass_context_init(pass_context *context, const pass_options *options) {
  *context = (pass_context){.options = options};
}

// ---- flags

bool pass_options_set(pass_options *options, const char *flag, size_t length) {
  if (length == 6 && !strncmp(flag, "verify", length)) {
    options->verify = true;
    return true;
  }
  for (int i = 0; i < PASS_COUNT; i++) {
    size_t name = strlen(passes[i].name);
    if (length != name + 5 || strncmp(flag, "skip-", 5) || strncmp(flag + 5, passes[i].name, name)) continue;
    options->skip[i] = true;
    return true;
  }
  return false;
}

static weir_status unknown_flag(const char *flag, size_t length) {
  char known[512] = "verify";
  for (int i = 0; i < PASS_COUNT; i++) {
    size_t used = strlen(known);
    snprintf(known + used, sizeof known - used, ", skip-%s", passes[i].name);
  }
  return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "unknown flag '%.*s' in WEIR_DEBUG; there are: %s", (int)length,
                          flag, known);
}

const char *pass_flags_print(weir_arena *arena) {
  const char *text = "help                    this list\nverify                  check the graph after each pass\n";
  for (int i = 0; i < PASS_COUNT; i++)
    text = weir_arena_printf(arena, "%sskip-%-18s leave the pass out: %s\n", text, passes[i].name, passes[i].meaning);
  return text;
}

weir_status pass_options_init(pass_options *options, const char *dump, const char *debug) {
  *options = (pass_options){.dump_dir = dump && *dump ? dump : NULL};
  for (const char *flag = debug; flag && *flag;) {
    size_t length = strcspn(flag, ", ");
    if (length && !pass_options_set(options, flag, length)) return unknown_flag(flag, length);
    flag += length + (flag[length] != 0);
  }
  return WEIR_OK;
}

// ---- running

static int count_nodes(const ir_module *module) {
  int count = 0;
  for (int i = 0; i < module->function_count; i++) {
    for (const ir_node *node = module->functions[i]->first; node; node = node->next) count++;
  }
  return count;
}

static int64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static weir_status dump(pass_context *context, const ir_module *module, const char *name) {
  const char *dir = context->options->dump_dir;
  char path[4096];
  if (!dir) return WEIR_OK;
  if (mkdir(dir, 0777) && errno != EEXIST) return weir_status_errno(errno, "cannot make the folder '%s'", dir);
  if (snprintf(path, sizeof path, "%s/%03d-%s.ir", dir, context->dump_count++, name) >= (int)sizeof path) {
    return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "the dump folder's name is too long");
  }
  weir_arena scratch;
  weir_arena_init(&scratch);
  const char *text = ir_print_module(&scratch, module);
  FILE *file = fopen(path, "w");
  bool written = file && fputs(text, file) >= 0;
  if (file && fclose(file)) written = false;
  weir_arena_deinit(&scratch);
  return written ? WEIR_OK : weir_status_errno(errno, "cannot write '%s'", path);
}

static weir_status verify(const pass_context *context, const ir_module *module, const char *after) {
#ifdef NDEBUG
  if (!context->options->verify) return WEIR_OK;
#else
  (void)context;
#endif
  weir_status broken = ir_verify(module);
  if (!broken) return WEIR_OK;
  weir_status status = weir_status_make(WEIR_CODE_INTERNAL, "after pass '%s': %s", after, weir_status_message(broken));
  weir_status_release(broken);
  return status;
}

weir_status pass_run(pass_context *context, ir_module *module, pass_id id) {
  pass_record record = {.id = id, .skipped = context->options->skip[id], .nodes_before = count_nodes(module)};
  if (!record.skipped) {
    int64_t start = now_ns();
    record.progress = passes[id].run(module);
    record.time_ns = now_ns() - start;
    ir_module_drop_regions(module);
    for (int i = 0; i < module->function_count; i++) ir_function_renumber(module->functions[i]);
  }
  record.nodes_after = count_nodes(module);
  WEIR_PUSH(module->arena, context->records, context->record_count, context->record_capacity, record);
  if (record.skipped) return WEIR_OK;
  WEIR_TRY(dump(context, module, passes[id].name));
  return verify(context, module, passes[id].name);
}

weir_status pass_pipeline(pass_context *context, ir_module *module) {
  WEIR_TRY(dump(context, module, "input"));
  for (int i = 0; i < PASS_COUNT; i++) WEIR_TRY(pass_run(context, module, (pass_id)i));
  return WEIR_OK;
}

const char *pass_print_records(weir_arena *arena, const pass_context *context) {
  ir_text text;
  ir_text_init(&text, arena);
  for (int i = 0; i < context->record_count; i++) {
    const pass_record *record = &context->records[i];
    ir_text_printf(&text, "%-14s", passes[record->id].name);
    if (record->skipped) ir_text_puts(&text, " skipped\n");
    else
      ir_text_printf(&text, " %8.2f ms %6d -> %d nodes\n", (double)record->time_ns / 1e6, record->nodes_before,
                     record->nodes_after);
  }
  return text.data;
}
