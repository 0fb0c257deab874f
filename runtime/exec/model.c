// Making models: each program is verified, what several share is compared, kernels and weights are looked up
// once.
#include "runtime/exec/model.h"

#include <string.h>

#include "runtime/base/checked.h"
#include "runtime/exec/exec_internal.h"

#define BAD(...) weir_status_make(WEIR_CODE_INVALID_DATA, __VA_ARGS__)

enum { DIMS_TEXT_BYTES = 512 };

// ---- one program

static weir_status sizes_note(weir_entry *entry) {
  const rt_program *p = entry->program;
  if (p->symbol_count > RT_MAX_SYMBOLS) {
    return weir_status_make(WEIR_CODE_UNSUPPORTED, "%d symbols: at most %d", p->symbol_count, RT_MAX_SYMBOLS);
  }
  if (p->volume_count > RT_MAX_VOLUMES) {
    return weir_status_make(WEIR_CODE_UNSUPPORTED, "%d volumes: at most %d", p->volume_count, RT_MAX_VOLUMES);
  }
  if (p->size_count > RT_MAX_SIZES) {
    return weir_status_make(WEIR_CODE_UNSUPPORTED, "%d sizes: at most %d", p->size_count, RT_MAX_SIZES);
  }
  for (int i = 0; i < p->size_count; i++) {
    if (!strcmp(p->sizes[i], "R")) entry->size_requests = i;
  }
  return WEIR_OK;
}

static void tables_note(weir_entry *entry) {
  static const unsigned bits[] = {[RT_ARG_STARTS] = RT_TABLE_STARTS,
                                  [RT_ARG_REQUESTS] = RT_TABLE_REQUESTS,
                                  [RT_ARG_POSITIONS] = RT_TABLE_POSITIONS,
                                  [RT_ARG_PAST] = RT_TABLE_PAST};
  const rt_program *p = entry->program;
  for (int i = 0; i < p->launch_count; i++) {
    for (int k = 0; k < p->launches[i].arg_count; k++) {
      rt_arg arg = p->launches[i].args[k];
      if (arg.kind >= RT_ARG_STARTS) entry->tables[arg.index] |= bits[arg.kind];
    }
  }
}

static weir_status kernels_find(weir_entry *entry, const rt_kernel_provider *provider, weir_pool *pool) {
  const rt_program *p = entry->program;
  WEIR_TRY(weir_pool_array(pool, (size_t)p->kernel_count, sizeof *entry->kernels, &entry->kernels));
  for (int i = 0; i < p->kernel_count; i++) {
    if (!provider->lookup) return weir_status_make(WEIR_CODE_NOT_FOUND, "no kernels");
    WEIR_TRY(provider->lookup(provider->context, &p->kernels[i], &entry->kernels[i]));
    int64_t bytes = p->kernels[i].scratch_bytes;
    if (bytes > INT64_C(1) << 40) return BAD("kernel '%s': scratch bytes", p->kernels[i].symbol);
    if (bytes > entry->scratch_bytes) entry->scratch_bytes = bytes;
  }
  return WEIR_OK;
}

static weir_status weights_find(weir_entry *entry, const rt_model_parts *parts, weir_pool *pool) {
  const rt_program *p = entry->program;
  WEIR_TRY(weir_pool_array(pool, (size_t)p->weight_count, sizeof *entry->weights, &entry->weights));
  for (int i = 0; i < p->weight_count; i++) {
    const rt_weight *w = &p->weights[i];
    if (!parts->find_weight) return weir_status_make(WEIR_CODE_NOT_FOUND, "no weights");
    WEIR_TRY_CTX(parts->find_weight(parts->weight_context, w->path, w->bytes, &entry->weights[i]), "weight '%s'",
                 w->path);
    if ((uintptr_t)entry->weights[i] % 64) return BAD("weight '%s' is not aligned", w->path);
    if (!weir_add_i64(entry->weight_bytes, w->bytes, &entry->weight_bytes)) {
      return BAD("weight '%s': bytes", w->path);
    }
  }
  return WEIR_OK;
}

static weir_status dims_note(const rt_program *p, const rt_tensor *tensors, int count, weir_pool *pool,
                             const char ***out) {
  const char **texts;
  WEIR_TRY(weir_pool_array(pool, (size_t)count, sizeof *texts, &texts));
  for (int i = 0; i < count; i++) {
    char text[DIMS_TEXT_BYTES];
    rt_dims_text(p, &tensors[i], text, sizeof text);
    WEIR_TRY(weir_pool_strdup(pool, text, &texts[i]));
  }
  *out = texts;
  return WEIR_OK;
}

// ---- what sessions hold

static void growing_note(weir_model *model, weir_entry *entry) {
  const rt_program *p = entry->program;
  for (int i = 0; i < p->symbol_count; i++) {
    entry->growing[i] = -1;
    if (!p->step || !p->symbols[i].grows) continue;
    int k = 0;
    while (k < model->growing_count && strcmp(model->growing[k].name, p->symbols[i].name)) k++;
    if (k == model->growing_count) {
      model->growing[model->growing_count++] = (rt_growing){p->symbols[i].name, p->symbols[i].hi, false};
    }
    if (p->symbols[i].hi > model->growing[k].hi) model->growing[k].hi = p->symbols[i].hi;
    entry->growing[i] = k;
  }
}

static bool state_equal(const rt_model_state *a, const rt_model_state *b) {
  return a->dtype == b->dtype && a->rows == b->rows && a->whole == b->whole && a->growing == b->growing &&
         a->row_bytes == b->row_bytes && a->panel == b->panel && a->window == b->window && a->unset == b->unset &&
         (a->rows || a->initial == b->initial);
}

static bool grows_any(const weir_entry *entry) {
  for (int i = 0; i < entry->program->symbol_count; i++)
    if (entry->growing[i] >= 0) return true;
  return false;
}

static weir_status state_note(weir_model *model, weir_entry *entry, const rt_state *s, int *out_state) {
  bool grows = s->rows && !s->whole;
  rt_model_state state = {.path = s->path,
                          .dtype = s->dtype,
                          .rows = s->rows,
                          .whole = s->whole,
                          .growing = grows ? entry->growing[s->symbol] : -1,
                          .row_bytes = s->row_bytes,
                          .panel = s->panel,
                          .window = s->window,
                          .initial = s->initial,
                          .unset = s->unset};
  if (grows && state.growing < 0) return BAD("state '%s': rows of a symbol that does not grow", s->path);
  int k = 0;
  while (k < model->state_count && strcmp(model->states[k].path, s->path)) k++;
  if (k == model->state_count) model->states[model->state_count++] = state;
  if (!state_equal(&model->states[k], &state)) return BAD("state '%s': entries disagree on it", s->path);
  if (!s->rows && s->writes && grows_any(entry)) model->states[k].follows = true;
  if (grows && !s->window) model->growing[state.growing].keeps_all = true;
  *out_state = k;
  return WEIR_OK;
}

static weir_status states_note(weir_model *model, weir_entry *entry, weir_pool *pool) {
  const rt_program *p = entry->program;
  WEIR_TRY(weir_pool_array(pool, (size_t)p->state_count, sizeof *entry->states, &entry->states));
  for (int i = 0; i < p->state_count; i++) {
    const rt_state *s = &p->states[i];
    if (s->row_bytes > INT64_C(1) << 40) return BAD("state '%s': %lld bytes", s->path, (long long)s->row_bytes);
    if (s->window > INT64_C(1) << 40) return BAD("state '%s': window %lld", s->path, (long long)s->window);
    if (p->step) WEIR_TRY(state_note(model, entry, s, &entry->states[i]));
  }
  return WEIR_OK;
}

// ---- the model

static weir_status entry_make(weir_model *model, weir_entry *entry, const rt_model_parts *parts) {
  const rt_program *p = entry->program;
  weir_pool *pool = &model->pool;
  WEIR_TRY(rt_program_verify(p));
  for (const weir_entry *other = model->entries; other < entry; other++) {
    if (!strcmp(other->program->name, p->name)) return BAD("there are two of this name");
  }
  entry->model = model;
  WEIR_TRY(sizes_note(entry));
  tables_note(entry);
  WEIR_TRY(kernels_find(entry, &parts->provider, pool));
  WEIR_TRY(weights_find(entry, parts, pool));
  WEIR_TRY(dims_note(p, p->inputs, p->input_count, pool, &entry->input_dims));
  WEIR_TRY(dims_note(p, p->outputs, p->output_count, pool, &entry->output_dims));
  growing_note(model, entry);
  return states_note(model, entry, pool);
}

static weir_status model_fill(weir_model *model, const rt_model_parts *parts) {
  size_t states = 0, symbols = 0;
  for (int i = 0; i < parts->program_count; i++) {
    states += (size_t)parts->programs[i]->state_count;
    symbols += (size_t)parts->programs[i]->symbol_count;
  }
  WEIR_TRY(weir_pool_strdup(&model->pool, parts->name, &model->name));
  WEIR_TRY(weir_pool_strdup(&model->pool, parts->isa, &model->isa));
  WEIR_TRY(weir_pool_array(&model->pool, states, sizeof *model->states, &model->states));
  WEIR_TRY(weir_pool_array(&model->pool, symbols, sizeof *model->growing, &model->growing));
  WEIR_TRY(weir_pool_array(&model->pool, (size_t)parts->program_count, sizeof *model->entries, &model->entries));
  for (int i = 0; i < parts->program_count; i++) {
    model->entries[i].program = parts->programs[i];
    WEIR_TRY_CTX(entry_make(model, &model->entries[i], parts), "entry '%s'", parts->programs[i]->name);
    model->entry_count = i + 1;
  }
  return WEIR_OK;
}

weir_status rt_model_create(const rt_model_parts *parts, weir_model **out_model) {
  const weir_allocator *allocator = parts->allocator ? parts->allocator : weir_allocator_system();
  weir_model *model;
  weir_status status = weir_alloc(allocator, sizeof *model, 64, true, &model);
  if (status) {
    if (parts->provider.destroy) parts->provider.destroy(parts->provider.context);
    if (parts->destroy_weights) parts->destroy_weights(parts->weight_context);
    return status;
  }
  atomic_init(&model->references, 1);
  model->allocator = allocator;
  model->pool.allocator = allocator;
  model->identity = parts->identity;
  model->host = (rt_device){&rt_host_ops, allocator};
  model->device = parts->device ? parts->device : &model->host;
  model->provider = parts->provider;
  model->weight_context = parts->weight_context;
  model->destroy_weights = parts->destroy_weights;
  status = model->device->ops->queue_make(model->device, model, NULL, &model->queue);
  if (!status) status = model_fill(model, parts);
  if (status) {
    weir_model_release(model);
    return status;
  }
  *out_model = model;
  return WEIR_OK;
}

void weir_model_retain(weir_model *model) { atomic_fetch_add_explicit(&model->references, 1, memory_order_relaxed); }

void weir_model_release(weir_model *model) {
  if (!model || atomic_fetch_sub_explicit(&model->references, 1, memory_order_acq_rel) != 1) return;
  if (model->provider.destroy) model->provider.destroy(model->provider.context);
  model->device->ops->queue_free(model->queue);
  weir_pool_deinit(&model->pool);
  // Last: names and programs may be the weights' owner's.
  if (model->destroy_weights) model->destroy_weights(model->weight_context);
  weir_free(model->allocator, model, sizeof *model);
}
