#include "tests/common/lowered_case.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "codegen/lower/taps.h"
#include "ir/program_interp.h"
#include "runtime/base/half.h"
#include "tests/common/random_module.h"

// ---- elements

static double f8_value(ir_dtype dtype, uint8_t byte) {
  return dtype == IR_f8e4m3 ? weir_f8e4m3_to_f32(byte) : weir_f8e5m2_to_f32(byte);
}

// The byte that stands for |value|, which the type has.
static uint8_t f8_byte(ir_dtype dtype, double value) {
  for (int byte = 0; byte < 256; byte++) {
    double x = f8_value(dtype, (uint8_t)byte);
    if ((x == value && signbit(x) == signbit(value)) || (isnan(x) && isnan(value))) return (uint8_t)byte;
  }
  return 0;
}

static void put(ir_dtype dtype, void *to, int64_t i, double value) {
  switch (dtype) {
    case IR_f32:
      ((float *)to)[i] = (float)value;
      break;
    case IR_f64:
      ((double *)to)[i] = value;
      break;
    case IR_f16:
      ((uint16_t *)to)[i] = weir_f32_to_f16((float)value);
      break;
    case IR_bf16:
      ((uint16_t *)to)[i] = weir_f32_to_bf16((float)value);
      break;
    case IR_i8:
      ((int8_t *)to)[i] = (int8_t)value;
      break;
    case IR_u8:
    case IR_bool:
      ((uint8_t *)to)[i] = (uint8_t)value;
      break;
    case IR_i16:
      ((int16_t *)to)[i] = (int16_t)value;
      break;
    case IR_i32:
      ((int32_t *)to)[i] = (int32_t)value;
      break;
    case IR_i64:
      ((int64_t *)to)[i] = (int64_t)value;
      break;
    case IR_f8e4m3:
    case IR_f8e5m2:
      ((uint8_t *)to)[i] = f8_byte(dtype, value);
      break;
    default:
      break;
  }
}

static double get(ir_dtype dtype, const void *from, int64_t i) {
  switch (dtype) {
    case IR_f32:
      return ((const float *)from)[i];
    case IR_f64:
      return ((const double *)from)[i];
    case IR_f16:
      return weir_f16_to_f32(((const uint16_t *)from)[i]);
    case IR_bf16:
      return weir_bf16_to_f32(((const uint16_t *)from)[i]);
    case IR_i8:
      return ((const int8_t *)from)[i];
    case IR_u8:
    case IR_bool:
      return ((const uint8_t *)from)[i];
    case IR_i16:
      return ((const int16_t *)from)[i];
    case IR_i32:
      return ((const int32_t *)from)[i];
    case IR_i64:
      return (double)((const int64_t *)from)[i];
    case IR_f8e4m3:
    case IR_f8e5m2:
      return f8_value(dtype, ((const uint8_t *)from)[i]);
    default:
      return NAN;
  }
}

// 64-byte aligned.
static void *room(weir_arena *arena, int64_t bytes) {
  uintptr_t at = (uintptr_t)weir_arena_alloc(arena, (size_t)bytes + 64);
  return (void *)((at + 63) & ~(uintptr_t)63);
}

static void *elements_of(weir_arena *arena, const ir_tensor *tensor) {
  int64_t count = ir_tensor_elements(tensor);
  void *data = room(arena, count * 8);
  for (int64_t i = 0; i < count; i++) put(tensor->dtype, data, i, tensor->data[i]);
  return data;
}

static int64_t tensor_bytes(const ir_tensor *tensor) {
  return ir_tensor_elements(tensor) * ir_dtype_bytes(tensor->dtype);
}

// ---- making

static weir_storage storage_f32(void *user, const char *path) {
  (void)user;
  (void)path;
  return WEIR_STORAGE_F32;
}

// Rows of a convolution in the order of their kernel.
static void *order_taps(weir_arena *arena, const cg_weight *weight, const ir_tensor *tensor, const void *plain,
                        int64_t *out_cols) {
  if (!cg_taps_cols(weight->format.layout, weight->rank, weight->dims, out_cols)) return NULL;
  int64_t row = ir_tensor_elements(tensor) / weight->dims[0];
  float *out = room(arena, *out_cols * weight->dims[0] * (int64_t)sizeof *out);
  for (int64_t i = 0; i < weight->dims[0]; i++)
    cg_taps_row(weight->format.layout, weight->rank, weight->dims, (const float *)plain + i * row, out + i * *out_cols);
  return out;
}

static void *pack_weight(weir_arena *arena, const cg_weight *weight, const ir_tensor *tensor) {
  ir_tensor stored = *tensor;
  if (weight->format.storage == WEIR_STORAGE_F32) stored.dtype = IR_f32;
  unsigned char *plain = elements_of(arena, &stored);
  if (weight->format.layout == CG_LAYOUT_PLAIN) return plain;
  char *out = room(arena, weight->bytes);
  int64_t cols = weight->dims[1];
  if (cg_is_taps(weight->format)) plain = order_taps(arena, weight, tensor, plain, &cols);
  int64_t panel_bytes = 64 * cols, row_bytes = 4 * cols;
  if (weight->format.layout == CG_LAYOUT_TAPS_PAIRS) {
    uint16_t *halves = room(arena, 2 * cols * weight->dims[0]);
    for (int64_t i = 0; i < cols * weight->dims[0]; i++) halves[i] = weir_f32_to_bf16(((const float *)plain)[i]);
    plain = (unsigned char *)halves, panel_bytes /= 2, row_bytes /= 2;
  }
  for (int64_t first = 0; first < weight->dims[0]; first += IR_LANES) {
    const void *rows[IR_LANES];
    for (int i = 0; i < IR_LANES; i++) rows[i] = first + i < weight->dims[0] ? plain + (first + i) * row_bytes : NULL;
    if (weight->format.layout == CG_LAYOUT_TAPS_PAIRS)
      cg_panel_pack_pairs(rows, cols, out + first / IR_LANES * panel_bytes);
    else cg_panel_pack(weight->format.storage, rows, cols, out + first / IR_LANES * panel_bytes);
  }
  return out;
}

static void *pack_path(lowered_case *c, const cg_weight *weight, const char *path) {
  for (int p = 0; p < c->function->param_count; p++) {
    const ir_param *param = &c->function->params[p];
    if (param->kind == IR_PARAM_WEIGHT && strcmp(param->name, path) == 0)
      return pack_weight(c->arena, weight, &c->args[0][p]);
  }
  return NULL;
}

static void *pack_parts(lowered_case *c, const cg_weight *weight) {
  char *out = room(c->arena, weight->bytes);
  cg_weight part = *weight;
  part.bytes /= weight->part_count;
  for (int i = 0; i + 1 < weight->rank; i++) part.dims[i] = weight->dims[i + 1];
  for (int i = 0; i < weight->part_count; i++)
    memcpy(out + i * part.bytes, pack_path(c, &part, weight->parts[i]), (size_t)part.bytes);
  return out;
}

static void pack_weights(lowered_case *c) {
  c->weights = WEIR_NEW_ARRAY(c->arena, void *, c->program->weight_count);
  for (int w = 0; w < c->program->weight_count; w++) {
    const cg_weight *weight = NULL;
    for (int i = 0; i < c->code->weight_count; i++)
      if (strcmp(c->code->weights[i].key, c->program->weights[w].path) == 0) weight = &c->code->weights[i];
    c->weights[w] = weight->part_count ? pack_parts(c, weight) : pack_path(c, weight, weight->path);
  }
}

// With the rows before the call said: a full window does not tell them.
static weir_status interpret_request(lowered_case *c, int r) {
  const ir_dim_table *dims = c->function->module->dims;
  ir_symbol_value known[8];
  int count = 0;
  for (int i = 0; i < c->program->symbol_count && count < 8; i++) {
    if (!c->program->symbols[i].grows) continue;
    const ir_symbol *past = ir_symbol_find(dims, c->program->symbols[i].name)->past;
    if (past) known[count++] = (ir_symbol_value){past, c->sizes[r][past->index]};
  }
  ir_interpret_options options = {known, count};
  return ir_interpret_with(c->arena, c->function, &options, c->args[r], c->expected[r]);
}

weir_status lowered_case_finish(lowered_case *c) {
  for (int r = 0; r < c->requests; r++) {
    c->expected[r] = WEIR_NEW_ARRAY(c->arena, ir_tensor, c->function->result_count);
    WEIR_TRY_CTX(interpret_request(c, r), "graph interpreter");
  }
  pack_weights(c);
  return WEIR_OK;
}

static void set_initial(const ir_param *param, ir_tensor *tensor) {
  double initial = param->init ? strtod(param->init, NULL) : 0;
  for (int64_t i = 0; i < ir_tensor_elements(tensor); i++) tensor->data[i] = initial;
}

static weir_status make_case(weir_arena *arena, const ir_function *function, uint64_t seed, int requests, bool fresh,
                             bool blocks, lowered_case *out) {
  *out = (lowered_case){.arena = arena, .function = function, .requests = requests};
  const ir_module *module = function->module;
  cg_lower_options options = {.storage_of = storage_f32, .blocks = blocks};
  WEIR_TRY(cg_lower(arena, module, &options, &out->code));
  for (int i = 0; i < out->code->program_count; i++)
    if (strcmp(out->code->programs[i]->name, function->name) == 0) out->program = out->code->programs[i];
  int symbols = ir_symbol_count(module->dims);
  for (int r = 0; r < requests; r++) {
    out->sizes[r] = WEIR_NEW_ARRAY(arena, int64_t, symbols);
    out->args[r] = WEIR_NEW_ARRAY(arena, ir_tensor, function->param_count);
    random_module_sizes(module, seed + 1000 * (uint64_t)r, out->sizes[r]);
    for (int s = 0; s < symbols; s++)
      if (ir_symbol_at(module->dims, s)->role == IR_ROLE_PLAIN) out->sizes[r][s] = out->sizes[0][s];
    for (int s = 0; fresh && s < symbols; s++)
      if (ir_symbol_at(module->dims, s)->past) out->sizes[r][ir_symbol_at(module->dims, s)->past->index] = 0;
    random_module_keep(module, out->sizes[r]);
    random_module_args(arena, function, seed + 1000 * (uint64_t)r, out->sizes[r], out->args[r]);
    for (int p = 0; p < function->param_count; p++)
      if (function->params[p].kind == IR_PARAM_WEIGHT) out->args[r][p] = out->args[0][p];
    for (int p = 0; fresh && p < function->param_count; p++)
      if (function->params[p].kind == IR_PARAM_STATE && !function->params[p].rows && function->params[p].init)
        set_initial(&function->params[p], &out->args[r][p]);
  }
  return lowered_case_finish(out);
}

weir_status lowered_case_make(weir_arena *arena, const ir_function *function, uint64_t seed, int requests, bool fresh,
                              lowered_case *out) {
  return make_case(arena, function, seed, requests, fresh, false, out);
}

weir_status lowered_case_make_blocks(weir_arena *arena, const ir_function *function, uint64_t seed, int requests,
                                     bool fresh, lowered_case *out) {
  return make_case(arena, function, seed, requests, fresh, true, out);
}

// ---- comparing

static const char *differs(lowered_case *c, int r, int result, const void *data, double tolerance) {
  const ir_tensor *expected = &c->expected[r][result];
  if (!ir_dtype_is_float(expected->dtype)) tolerance = 0;
  for (int64_t i = 0; i < ir_tensor_elements(expected); i++) {
    double got = get(expected->dtype, data, i), want = expected->data[i];
    if (c->compare) {
      const char *wrong = c->compare(c, r, result, i, got, want);
      if (wrong) return wrong;
    } else if (!(fabs(got - want) <= tolerance * fmax(1, fabs(want))) && !(isnan(got) && isnan(want)) && got != want)
      return weir_arena_printf(c->arena, "request %d, result %d, element %lld: %.9g instead of %.9g", r, result,
                               (long long)i, got, want);
  }
  return NULL;
}

static int symbol_of(const lowered_case *c, const char *name) {
  return ir_symbol_find(c->function->module->dims, name)->index;
}

static int64_t past_of(const lowered_case *c, int r, const rt_symbol *symbol) {
  const ir_symbol *past =
      ir_symbol_find(c->function->module->dims, weir_arena_printf(c->arena, "%s.past", symbol->name));
  return past && symbol->grows ? c->sizes[r][past->index] : 0;
}

// ---- by the kernel interpreter

// Inputs of all requests one behind the other.
static void **pack_inputs(lowered_case *c, size_t *bytes) {
  void **inputs = WEIR_NEW_ARRAY(c->arena, void *, c->program->input_count);
  for (int p = 0, at = 0; p < c->function->param_count; p++) {
    if (c->function->params[p].kind != IR_PARAM_INPUT) continue;
    int64_t total = 0;
    for (int r = 0; r < c->requests; r++) total += tensor_bytes(&c->args[r][p]);
    char *to = inputs[at] = room(c->arena, total);
    for (int r = 0; r < c->requests; r++) {
      memcpy(to, elements_of(c->arena, &c->args[r][p]), (size_t)tensor_bytes(&c->args[r][p]));
      to += tensor_bytes(&c->args[r][p]);
    }
    bytes[at++] = (size_t)total;
  }
  return inputs;
}

enum { STATE_ROWS = 96 };

// Rows of request |r| that stand in front of the first row in the storage of state |p|, in its panel.
static int64_t panel_lead(const lowered_case *c, int r, int p, const rt_state *state) {
  if (!state->window) return 0;
  int64_t past = past_of(c, r, &c->program->symbols[state->symbol]);
  return (past - c->args[r][p].dims[0]) % RT_PANEL_ROWS;
}

// The rows in panels at |data|, one behind the other; |store|: the other way.
static void panel_rows(const rt_state *state, char *data, int64_t lead, char *rows, bool store) {
  int word = rt_state_word(state->dtype, state->row_bytes);
  for (int64_t row = 0; row < STATE_ROWS - lead; row++) {
    int64_t panel = (lead + row) / RT_PANEL_ROWS, place = (lead + row) % RT_PANEL_ROWS;
    for (int64_t w = 0; w < state->row_bytes / word; w++) {
      char *at = data + panel * RT_PANEL_ROWS * state->row_bytes + (w * RT_PANEL_ROWS + place) * word;
      char *plain = rows + row * state->row_bytes + w * word;
      memcpy(store ? at : plain, store ? plain : at, (size_t)word);
    }
  }
}

// Storage of each state and request, with the rows before and room for those of the call.
static void ***make_states(lowered_case *c, size_t *bytes) {
  void ***states = WEIR_NEW_ARRAY(c->arena, void **, c->program->state_count);
  for (int p = 0, at = 0; p < c->function->param_count; p++) {
    if (c->function->params[p].kind != IR_PARAM_STATE) continue;
    const rt_state *state = &c->program->states[at];
    bytes[at] = (size_t)state->row_bytes * (state->rows ? STATE_ROWS : 1);
    states[at] = WEIR_NEW_ARRAY(c->arena, void *, c->requests);
    for (int r = 0; r < c->requests; r++) {
      states[at][r] = room(c->arena, (int64_t)bytes[at]);
      char *rows = state->panel ? room(c->arena, (int64_t)bytes[at]) : states[at][r];
      memset(rows, 0xFF, bytes[at]);
      memcpy(rows, elements_of(c->arena, &c->args[r][p]), (size_t)tensor_bytes(&c->args[r][p]));
      if (state->panel) panel_rows(state, states[at][r], panel_lead(c, r, p, state), rows, true);
    }
    at++;
  }
  return states;
}

// The rows that a state keeps of all that |data| holds after the call: the last.
static const char *kept_rows(const lowered_case *c, int r, int result, const char *data) {
  const ir_tensor *kept = &c->expected[r][result];
  const ir_param *param = &c->function->params[c->function->results[result].state];
  const ir_dim rows =
      c->function->results[result].value->type.rank ? c->function->results[result].value->type.dims[0] : NULL;
  int64_t all;
  if (!param->window || !kept->dims[0] || !ir_dim_eval(rows, c->sizes[r], &all)) return data;
  return data + (all - kept->dims[0]) * (tensor_bytes(kept) / kept->dims[0]);
}

static const char *check_results(lowered_case *c, void **outputs, void ***states, double tolerance) {
  for (int i = 0, output = 0; i < c->function->result_count; i++) {
    const ir_result *result = &c->function->results[i];
    int state = -1;
    for (int p = 0; result->state >= 0 && p <= result->state; p++)
      state += c->function->params[p].kind == IR_PARAM_STATE;
    const char *from = state < 0 ? outputs[output++] : NULL;
    for (int r = 0; r < c->requests; r++) {
      char *rows = state < 0 ? NULL : states[state][r];
      if (rows && c->program->states[state].panel) {
        const rt_state *s = &c->program->states[state];
        rows = room(c->arena, s->row_bytes * STATE_ROWS);
        panel_rows(s, states[state][r], panel_lead(c, r, result->state, s), rows, false);
      }
      const char *wrong = differs(c, r, i, state < 0 ? from : kept_rows(c, r, i, rows), tolerance);
      if (wrong) return wrong;
      if (from) from += tensor_bytes(&c->expected[r][i]);
    }
  }
  return NULL;
}

const char *lowered_case_check_interpreted(lowered_case *c, double tolerance) {
  const rt_program *program = c->program;
  weir_arena *arena = c->arena;
  int64_t *values = WEIR_NEW_ARRAY(arena, int64_t, c->requests * program->symbol_count),
          *past = WEIR_NEW_ARRAY(arena, int64_t, c->requests * program->symbol_count);
  for (int r = 0; r < c->requests; r++) {
    for (int s = 0; s < program->symbol_count; s++) {
      values[r * program->symbol_count + s] = c->sizes[r][symbol_of(c, program->symbols[s].name)];
      past[r * program->symbol_count + s] = past_of(c, r, &program->symbols[s]);
    }
  }
  size_t *input_bytes = WEIR_NEW_ARRAY(arena, size_t, program->input_count),
         *output_bytes = WEIR_NEW_ARRAY(arena, size_t, program->output_count);
  size_t *state_bytes = WEIR_NEW_ARRAY(arena, size_t, program->state_count);
  void **inputs = pack_inputs(c, input_bytes), **outputs = WEIR_NEW_ARRAY(arena, void *, program->output_count);
  void ***states = make_states(c, state_bytes);
  for (int i = 0, at = 0; i < c->function->result_count; i++) {
    if (c->function->results[i].state >= 0) continue;
    for (int r = 0; r < c->requests; r++) output_bytes[at] += (size_t)tensor_bytes(&c->expected[r][i]);
    outputs[at] = room(arena, (int64_t)output_bytes[at]);
    at++;
  }
  const ir_kernel **kernels = WEIR_NEW_ARRAY(arena, const ir_kernel *, program->kernel_count);
  for (int k = 0; k < program->kernel_count; k++)
    for (int i = 0; i < c->code->kernel_count; i++)
      if (strcmp(c->code->kernels[i]->name, program->kernels[k].symbol) == 0) kernels[k] = c->code->kernels[i];
  ir_program_call call = {.requests = c->requests,
                          .values = values,
                          .past = past,
                          .inputs = (const void *const *)inputs,
                          .input_bytes = input_bytes,
                          .outputs = outputs,
                          .output_bytes = output_bytes,
                          .weights = (const void *const *)c->weights,
                          .states = (void *const *const *)states,
                          .state_bytes = state_bytes,
                          .launch = c->launch,
                          .user = c->launch_user};
  weir_status status = ir_program_interpret(program, kernels, &call, NULL);
  if (status) {
    const char *text = weir_arena_strdup(arena, weir_status_message(status));
    weir_status_release(status);
    return text;
  }
  return check_results(c, outputs, states, tolerance);
}

// ---- by the runtime

static weir_status find_weight(void *context, const char *path, int64_t bytes, const void **out_data) {
  const lowered_case *c = context;
  (void)bytes;
  for (int i = 0; i < c->program->weight_count; i++)
    if (strcmp(c->program->weights[i].path, path) == 0) *out_data = c->weights[i];
  return WEIR_OK;
}

static weir_view view_of(lowered_case *c, const ir_tensor *tensor, bool with_data) {
  weir_view view = {.dtype = (weir_dtype)tensor->dtype, .rank = tensor->rank, .bytes = (size_t)tensor_bytes(tensor)};
  for (int i = 0; i < tensor->rank; i++) view.shape[i] = tensor->dims[i];
  view.data = with_data ? elements_of(c->arena, tensor) : room(c->arena, tensor_bytes(tensor) + 8);
  if (!with_data) memset(view.data, 0xFF, view.bytes);
  return view;
}

// The step that writes what |function| reads of earlier steps, if the module has one: its input "X_now" becomes state
// X.
static const rt_program *step_before(const lowered_case *c) {
  for (int i = 0; c->program->step && i < c->code->program_count; i++)
    if (strcmp(c->code->programs[i]->name, "remember") == 0) return c->code->programs[i];
  return NULL;
}

static weir_status make_input_before(lowered_case *c, const ir_param *param, int r, weir_view *out) {
  ir_tensor tensor = {.dtype = param->value->type.dtype, .rank = param->value->type.rank};
  for (int d = 0; d < tensor.rank; d++) {
    if (!ir_dim_eval(param->value->type.dims[d], c->sizes[r], &tensor.dims[d]))
      return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "a dim of '%s'", param->name);
  }
  tensor.data = WEIR_NEW_ARRAY(c->arena, double, ir_tensor_elements(&tensor) + 1);
  size_t length = strlen(param->name) - strlen("_now");
  for (int p = 0; p < c->function->param_count; p++) {
    const char *name = c->function->params[p].name;
    bool is = strncmp(name, param->name, length) == 0 && (!name[length] || name[length] == '.');
    if (is && c->function->params[p].kind == IR_PARAM_STATE) tensor.data = c->args[r][p].data;
  }
  *out = view_of(c, &tensor, true);
  return WEIR_OK;
}

static weir_status run_before(lowered_case *c, weir_model *model, weir_executor *executor, int r,
                              weir_session *session) {
  if (!step_before(c)) return WEIR_OK;
  const ir_function *before = ir_function_find(c->function->module, "remember");
  weir_view *inputs = WEIR_NEW_ARRAY(c->arena, weir_view, before->param_count + 1);
  int at = 0;
  for (int p = 0; p < before->param_count; p++)
    if (before->params[p].kind == IR_PARAM_INPUT) WEIR_TRY(make_input_before(c, &before->params[p], r, &inputs[at++]));
  weir_request request = {.session = session, .inputs = inputs};
  return weir_status_annotate(weir_run(executor, weir_model_find_entry(model, "remember"), &request, 1, NULL),
                              "the step before");
}

static weir_status make_request(lowered_case *c, weir_model *model, weir_executor *executor, int r, weir_request *out) {
  weir_view *inputs = WEIR_NEW_ARRAY(c->arena, weir_view, c->program->input_count);
  int at = 0;
  for (int p = 0; p < c->function->param_count; p++)
    if (c->function->params[p].kind == IR_PARAM_INPUT) inputs[at++] = view_of(c, &c->args[r][p], true);
  *out = (weir_request){.inputs = inputs, .outputs = WEIR_NEW_ARRAY(c->arena, weir_view, c->program->output_count)};
  at = 0;
  for (int i = 0; i < c->function->result_count; i++)
    if (c->function->results[i].state < 0) out->outputs[at++] = view_of(c, &c->expected[r][i], false);
  if (!c->program->step) return WEIR_OK;
  WEIR_TRY(weir_session_open(model, NULL, 0, &out->session));
  return run_before(c, model, executor, r, out->session);
}

static const char *compare_outputs(lowered_case *c, const weir_request *together, const weir_request *alone, int r,
                                   double tolerance) {
  for (int i = 0, at = 0; i < c->function->result_count; i++) {
    if (c->function->results[i].state >= 0) continue;
    const weir_view *a = &together->outputs[at], *b = &alone->outputs[at];
    at++;
    const char *wrong = differs(c, r, i, a->data, tolerance);
    if (wrong) return wrong;
    if (memcmp(a->data, b->data, (size_t)tensor_bytes(&c->expected[r][i])) != 0)
      return weir_arena_printf(c->arena, "request %d, result %d: other bits alone than in the batch", r, i);
  }
  return NULL;
}

static weir_status run_all(lowered_case *c, weir_model *model, weir_executor *executor, double tolerance,
                           const char **out_wrong) {
  const weir_entry *entry = weir_model_find_entry(model, c->program->name);
  weir_request together[CASE_MAX_REQUESTS], alone[CASE_MAX_REQUESTS];
  for (int r = 0; r < c->requests; r++) {
    WEIR_TRY(make_request(c, model, executor, r, &together[r]));
    WEIR_TRY(make_request(c, model, executor, r, &alone[r]));
  }
  WEIR_TRY_CTX(weir_run(executor, entry, together, c->requests, NULL), "together");
  for (int r = 0; r < c->requests; r++) {
    WEIR_TRY_CTX(weir_run(executor, entry, &alone[r], 1, NULL), "alone");
    if (!*out_wrong) *out_wrong = compare_outputs(c, &together[r], &alone[r], r, tolerance);
    weir_session_close(together[r].session);
    weir_session_close(alone[r].session);
  }
  return WEIR_OK;
}

static weir_status open_model(lowered_case *c, rt_kernel_provider provider, int threads, weir_model **out_model,
                              weir_executor **out_executor) {
  provider.destroy = NULL;
  const rt_program *programs[] = {c->program, step_before(c)};
  rt_model_parts parts = {.name = "case",
                          .isa = "test",
                          .programs = programs,
                          .program_count = programs[1] ? 2 : 1,
                          .provider = provider,
                          .find_weight = find_weight,
                          .weight_context = c};
  weir_executor_options options = {.threads = threads, .no_pin = true};
  WEIR_TRY(rt_model_create(&parts, out_model));
  return weir_executor_create(*out_model, &options, out_executor);
}

const char *lowered_case_check_run(lowered_case *c, rt_kernel_provider provider, int threads, double tolerance) {
  weir_model *model = NULL;
  weir_executor *executor = NULL;
  const char *wrong = NULL;
  weir_status status = open_model(c, provider, threads, &model, &executor);
  if (!status) status = run_all(c, model, executor, tolerance, &wrong);
  weir_executor_destroy(executor);
  weir_model_release(model);
  if (status) {
    wrong = weir_arena_strdup(c->arena, weir_status_message(status));
    weir_status_release(status);
  }
  return wrong;
}

// ---- in pieces

static uint64_t next_number(uint64_t *state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return *state >> 33;
}

// Rows |begin|..|end| of T of what has T in front, else the whole.
static weir_view piece_of(lowered_case *c, const ir_value *value, const weir_view *whole, const ir_symbol *symbol,
                          int64_t begin, int64_t end) {
  weir_view view = *whole;
  if (value->type.rank == 0 || ir_dim_as_symbol(value->type.dims[0]) != symbol) return view;
  size_t row = whole->shape[0] ? whole->bytes / (size_t)whole->shape[0] : 0;
  view.shape[0] = end - begin;
  view.bytes = row * (size_t)(end - begin);
  view.data = room(c->arena, (int64_t)view.bytes + 8);
  if (view.bytes) memcpy(view.data, (const char *)whole->data + row * (size_t)begin, view.bytes);
  return view;
}

// What a piece gave against the whole: its rows, or, of the last piece, all that is no row of T.
static const char *compare_piece(lowered_case *c, const weir_request *whole, const weir_request *piece,
                                 const ir_symbol *symbol, int64_t begin, bool last) {
  for (int i = 0, at = 0; i < c->function->result_count; i++) {
    if (c->function->results[i].state >= 0) continue;
    const ir_type *type = &c->function->results[i].value->type;
    const weir_view *all = &whole->outputs[at], *part = &piece->outputs[at];
    at++;
    bool rows = type->rank > 0 && ir_dim_as_symbol(type->dims[0]) == symbol, inner = false;
    for (int d = rows; d < type->rank; d++) inner |= ir_dim_role(type->dims[d]) != IR_ROLE_PLAIN;
    if (inner || (!rows && !last)) continue;
    size_t bytes = (size_t)rt_dtype_bytes((rt_dtype)part->dtype), row = bytes;
    for (int d = 0; d < part->rank; d++) bytes *= (size_t)part->shape[d], row *= d ? (size_t)part->shape[d] : 1;
    const char *from = (const char *)all->data + (rows ? row * (size_t)begin : 0);
    if (memcmp(from, part->data, bytes) != 0)
      return weir_arena_printf(c->arena, "result %d: other bits in pieces, rows from %lld", i, (long long)begin);
  }
  return NULL;
}

// One request in one call and in random pieces.
static weir_status run_pieces(lowered_case *c, weir_model *model, weir_executor *executor, int r, uint64_t seed,
                              const char **out_wrong) {
  const weir_entry *entry = weir_model_find_entry(model, c->program->name);
  const ir_symbol *symbol = NULL;
  for (int i = 0; i < ir_symbol_count(c->function->module->dims); i++)
    if (ir_symbol_at(c->function->module->dims, i)->past) symbol = ir_symbol_at(c->function->module->dims, i);
  weir_request whole, piece;
  if (!symbol) return WEIR_OK;
  WEIR_TRY(make_request(c, model, executor, r, &whole));
  WEIR_TRY_CTX(weir_run(executor, entry, &whole, 1, NULL), "in one call");
  weir_session_close(whole.session);
  WEIR_TRY(make_request(c, model, executor, r, &piece));
  weir_session *session = piece.session;
  weir_status status = WEIR_OK;
  int64_t rows = c->sizes[r][symbol->index];
  for (int64_t begin = 0, end; begin < rows && !status && !*out_wrong; begin = end) {
    end = begin + 1 + (int64_t)(next_number(&seed) % (uint64_t)(rows - begin));
    WEIR_TRY(make_request(c, model, executor, r, &piece));
    weir_session_close(piece.session);
    piece.session = session;
    int at = 0;
    for (int p = 0; p < c->function->param_count; p++) {
      if (c->function->params[p].kind != IR_PARAM_INPUT) continue;
      weir_view *input = (weir_view *)&piece.inputs[at++];
      *input = piece_of(c, c->function->params[p].value, input, symbol, begin, end);
    }
    status = weir_status_annotate(weir_run(executor, entry, &piece, 1, NULL), "rows %d..%d", (int)begin, (int)end);
    if (!status) *out_wrong = compare_piece(c, &whole, &piece, symbol, begin, end == rows);
  }
  weir_session_close(session);
  return status;
}

const char *lowered_case_check_pieces(lowered_case *c, rt_kernel_provider provider, int threads, uint64_t seed) {
  weir_model *model = NULL;
  weir_executor *executor = NULL;
  const char *wrong = NULL;
  weir_status status = open_model(c, provider, threads, &model, &executor);
  for (int r = 0; r < c->requests && !status && !wrong; r++)
    status = run_pieces(c, model, executor, r, seed + (uint64_t)r, &wrong);
  weir_executor_destroy(executor);
  weir_model_release(model);
  if (status) {
    wrong = weir_arena_strdup(c->arena, weir_status_message(status));
    weir_status_release(status);
  }
  return wrong;
}
