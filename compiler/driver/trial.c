// Example calls: inputs by the rule of golden answers, results into memory that is thrown away.
#include "compiler/driver/trial.h"

#include <stdlib.h>
#include <string.h>

#include "compiler/plan/example.h"

static int read_size(cli *c, const rt_program *program, const char *text, int64_t *values) {
  const char *equals = strchr(text, '=');
  char *end = NULL;
  long long value = equals ? strtoll(equals + 1, &end, 10) : 0;
  if (!equals || !equals[1] || *end) return cli_usage(c, "--size wants NAME=N, not '%s'", text);
  for (int i = 0; i < program->symbol_count; i++) {
    const rt_symbol *symbol = &program->symbols[i];
    if (strlen(symbol->name) != (size_t)(equals - text) || memcmp(symbol->name, text, (size_t)(equals - text)))
      continue;
    if (value < symbol->lo || value > symbol->hi) {
      return cli_usage(c, "%s is between %lld and %lld", symbol->name, (long long)symbol->lo, (long long)symbol->hi);
    }
    values[i] = value;
  }
  return CLI_DONE;
}

int cli_sizes_read(cli *c, const rt_program *program, int64_t *out_values) {
  for (int i = 0; i < program->symbol_count; i++) {
    const rt_symbol *symbol = &program->symbols[i];
    out_values[i] = symbol->hi < 128 ? symbol->hi : symbol->lo > 128 ? symbol->lo : 128;
    if (symbol->divisor > 1) out_values[i] -= out_values[i] % symbol->divisor;
  }
  int code = CLI_DONE;
  for (int k = 0; k < cli_count(c, "size") && !code; k++)
    code = read_size(c, program, cli_text_at(c, "size", k), out_values);
  return code;
}

static bool has_size(const rt_program *program, const char *text) {
  for (int i = 0; i < program->symbol_count; i++) {
    size_t length = strlen(program->symbols[i].name);
    if (!strncmp(text, program->symbols[i].name, length) && text[length] == '=') return true;
  }
  return false;
}

int cli_sizes_check(const cli *c, const rt_program *const *programs, int count) {
  for (int k = 0; k < cli_count(c, "size"); k++) {
    bool known = false;
    for (int p = 0; p < count; p++) known = known || has_size(programs[p], cli_text_at(c, "size", k));
    if (!known) return cli_usage(c, "no entry has the size of --size %s", cli_text_at(c, "size", k));
  }
  return CLI_DONE;
}

static void free_views(weir_view *views, int count) {
  for (int i = 0; views && i < count; i++) {
    free(views[i].data);
    views[i] = (weir_view){0};
  }
}

static void clear(cli_trial *t) {
  free_views(t->inputs, t->requests * t->info.input_count);
  free_views(t->outputs, t->requests * t->info.output_count);
}

bool cli_entry_grows(const weir_entry *entry) {
  int count = weir_entry_describe(entry).symbol_count;
  for (int i = 0; i < count; i++)
    if (weir_entry_symbol(entry, i).grows) return true;
  return false;
}

// Inputs and room for results at these sizes; sessions are as they are.
static weir_status views_make(cli_trial *t, const int64_t *values) {
  clear(t);
  for (int r = 0; r < t->requests; r++) {
    const int64_t *own = values + r * t->info.symbol_count;
    WEIR_TRY(plan_example_inputs(t->entry, own, t->inputs + r * t->info.input_count));
  }
  WEIR_TRY(weir_output_shapes(t->entry, t->calls, t->requests));
  for (int i = 0; i < t->requests * t->info.output_count; i++) WEIR_TRY(plan_example_room(&t->outputs[i]));
  return WEIR_OK;
}

weir_status cli_trial_resize(cli_trial *t, const int64_t *values) {
  int symbols = t->info.symbol_count;
  for (int i = 0; i < t->requests * symbols; i++) t->values[i] = values[i % symbols];
  return views_make(t, t->values);
}

weir_status cli_trial_begin(cli_trial *t) {
  for (int r = 0; t->info.step && r < t->requests; r++) {
    weir_session **session = &t->calls[r].session;
    if (!*session) WEIR_TRY(plan_steps_open(t->model->model, &t->steps, t->room, session));
    WEIR_TRY(weir_session_truncate(*session, NULL, 0));
    WEIR_TRY(plan_steps_before(t->model->executor, &t->steps, t->wanted, *session));
  }
  if (!t->past) return WEIR_OK;
  WEIR_TRY(views_make(t, t->past_values));
  WEIR_TRY(cli_trial_run(t, NULL));
  return views_make(t, t->values);
}

weir_status cli_trial_open(weir_arena *arena, const cli_model *model, const weir_entry *entry, const int64_t *values,
                           int stride, int requests, int64_t past, int64_t more, cli_trial *out) {
  weir_entry_info info = weir_entry_describe(entry);
  *out = (cli_trial){.model = model, .entry = entry, .info = info, .requests = requests, .past = past};
  out->inputs = WEIR_NEW_ARRAY(arena, weir_view, requests * info.input_count + 1);
  out->outputs = WEIR_NEW_ARRAY(arena, weir_view, requests * info.output_count + 1);
  out->calls = WEIR_NEW_ARRAY(arena, weir_request, requests);
  out->values = WEIR_NEW_ARRAY(arena, int64_t, requests * info.symbol_count + 1);
  out->past_values = WEIR_NEW_ARRAY(arena, int64_t, requests * info.symbol_count + 1);
  for (int r = 0; r < requests; r++) {
    out->calls[r].inputs = out->inputs + r * info.input_count;
    out->calls[r].outputs = out->outputs + r * info.output_count;
  }
  for (int i = 0; i < requests * info.symbol_count; i++) {
    int64_t value = values[i / info.symbol_count * stride + i % info.symbol_count];
    out->values[i] = value;
    out->past_values[i] = weir_entry_symbol(entry, i % info.symbol_count).grows ? past : value;
    out->wanted = value > out->wanted ? value : out->wanted;
  }
  out->room = out->wanted + past + more;
  if (info.step) WEIR_TRY(plan_steps_order(model->model, entry, &out->steps));
  WEIR_TRY(cli_trial_begin(out));
  return past ? WEIR_OK : views_make(out, out->values);
}

weir_status cli_trial_run(cli_trial *t, weir_run_options *options) {
  return weir_run(t->model->executor, t->entry, t->calls, t->requests, options);
}

void cli_trial_close(cli_trial *t) {
  clear(t);
  for (int r = 0; t->calls && r < t->requests; r++) weir_session_close(t->calls[r].session);
  *t = (cli_trial){0};
}
