// What a model says about itself: names, entries, types, and dims as text.
#include <stdio.h>
#include <string.h>

#include "runtime/exec/exec_internal.h"

_Static_assert((int)WEIR_DTYPE_BOOL == (int)RT_DTYPE_bool && (int)WEIR_DTYPE_BOOL + 1 == RT_DTYPE_COUNT,
               "one numbering of types");
_Static_assert((int)WEIR_ROLE_SEQ == (int)RT_ROLE_SEQ && (int)WEIR_ROLE_BATCH == (int)RT_ROLE_BATCH,
               "one numbering of roles");

const char *weir_dtype_name(weir_dtype dtype) { return rt_dtype_name((rt_dtype)dtype); }
size_t weir_dtype_bytes(weir_dtype dtype) { return (size_t)rt_dtype_bytes((rt_dtype)dtype); }

const char *weir_model_name(const weir_model *model) { return model->name; }
const char *weir_model_isa(const weir_model *model) { return model->isa; }
int weir_model_entry_count(const weir_model *model) { return model->entry_count; }
const weir_entry *weir_model_entry(const weir_model *model, int index) { return &model->entries[index]; }

const weir_entry *weir_model_find_entry(const weir_model *model, const char *name) {
  for (int i = 0; i < model->entry_count; i++) {
    if (!strcmp(model->entries[i].program->name, name)) return &model->entries[i];
  }
  return NULL;
}

const rt_program *rt_entry_program(const weir_entry *entry) { return entry->program; }
int weir_entry_launch_count(const weir_entry *entry) { return entry->program->launch_count; }

weir_entry_info weir_entry_describe(const weir_entry *entry) {
  const rt_program *p = entry->program;
  return (weir_entry_info){p->name, p->step, p->symbol_count, p->input_count, p->output_count, p->state_count};
}

weir_symbol_info weir_entry_symbol(const weir_entry *entry, int index) {
  const rt_symbol *s = &entry->program->symbols[index];
  return (weir_symbol_info){s->name, (weir_role)s->role, s->lo, s->hi, s->divisor, s->grows, s->stored};
}

static weir_tensor_info tensor_describe(const rt_tensor *t, const char *dims) {
  return (weir_tensor_info){t->name, (weir_dtype)t->dtype, t->rank, dims, t->lo, t->hi};
}

weir_tensor_info weir_entry_input(const weir_entry *entry, int index) {
  return tensor_describe(&entry->program->inputs[index], entry->input_dims[index]);
}

weir_tensor_info weir_entry_output(const weir_entry *entry, int index) {
  return tensor_describe(&entry->program->outputs[index], entry->output_dims[index]);
}

weir_state_info weir_entry_state(const weir_entry *entry, int index) {
  const rt_state *s = &entry->program->states[index];
  bool named = s->rows && s->symbol < entry->program->symbol_count;
  const char *symbol = named ? entry->program->symbols[s->symbol].name : NULL;
  return (weir_state_info){.path = s->path,
                           .dtype = (weir_dtype)s->dtype,
                           .rows = s->rows,
                           .symbol = symbol,
                           .row_bytes = s->row_bytes,
                           .window = s->window,
                           .whole = s->whole,
                           .unset = s->unset || s->whole};
}

// ---- dims as text

typedef struct {
  const rt_program *program;
  char *buffer;
  size_t bytes, used;
} writer;

static void put(writer *w, const char *text) {
  size_t length = strlen(text);
  if (w->used + length >= w->bytes) {
    // Full: the last three characters say so, and nothing follows.
    memcpy(w->buffer + w->bytes - 4, "...", 4);
    w->used = w->bytes;
    return;
  }
  memcpy(w->buffer + w->used, text, length + 1);
  w->used += length;
}

// Binding strength of infix operators.
static int strength(rt_size_code code) { return code == RT_SIZE_ADD || code == RT_SIZE_SUB ? 1 : 2; }

// First op of the operand that ends with op |end|.
static int operand_start(rt_expr e, int end) {
  int missing = 1;
  for (int i = end;; i--) {
    missing += e.ops[i].code <= RT_SIZE_VAR ? -1 : 1;  // a leaf fills one place, an operator asks for one more
    if (!missing) return i;
  }
}

// Writes the operand that ends with op |end|. |depth| bounds the recursion: long chains are cut short.
static void operand_put(writer *w, rt_expr e, int end, int outer, int depth) {
  static const char *const signs[] = {
      [RT_SIZE_ADD] = " + ", [RT_SIZE_SUB] = " - ", [RT_SIZE_MUL] = " * ", [RT_SIZE_DIV] = " / ",
      [RT_SIZE_MOD] = " % ", [RT_SIZE_MIN] = ", ",  [RT_SIZE_MAX] = ", "};
  rt_size_op op = e.ops[end];
  char number[32];
  if (depth > 24 || w->used >= w->bytes) {
    put(w, "...");
  } else if (op.code == RT_SIZE_CONST) {
    snprintf(number, sizeof number, "%lld", (long long)op.value);
    put(w, number);
  } else if (op.code == RT_SIZE_VAR) {
    int symbols = w->program->symbol_count;
    put(w, w->program->symbols[op.value % symbols].name);
    if (op.value >= symbols) put(w, ".past");
  } else {
    bool call = op.code == RT_SIZE_MIN || op.code == RT_SIZE_MAX;
    int own = call ? 0 : strength(op.code), left = operand_start(e, end - 1) - 1;
    if (call) put(w, op.code == RT_SIZE_MIN ? "min" : "max");
    if (call || own < outer) put(w, "(");
    operand_put(w, e, left, own, depth + 1);
    put(w, signs[op.code]);
    operand_put(w, e, end - 1, call ? 0 : own + 1, depth + 1);
    if (call || own < outer) put(w, ")");
  }
}

void rt_dims_text(const rt_program *program, const rt_tensor *tensor, char *buffer, size_t bytes) {
  writer w = {program, buffer, bytes, 0};
  buffer[0] = 0;
  for (int i = 0; i < tensor->rank; i++) {
    if (i) put(&w, ", ");
    operand_put(&w, tensor->dims[i], tensor->dims[i].op_count - 1, 0, 0);
  }
}
