// The kernel that chooses tokens, launched behind a step whose logits are on the device (pick.h).
#include "runtime/exec/pick.h"

#include <string.h>

#include "runtime/exec/exec_internal.h"

static const rt_kernel_entry *pick_kernel(const weir_entry *entry) {
  const rt_program *p = entry->program;
  for (int i = 0; i < p->kernel_count; i++) {
    const rt_kernel *k = &p->kernels[i];
    bool fits = k->arg_count == 3 && k->dim_count == 2 && p->output_count == 1 && p->outputs[0].dtype == RT_DTYPE_f32;
    if (fits && !strncmp(k->symbol, RT_PICK_SYMBOL, strlen(RT_PICK_SYMBOL))) return &entry->kernels[i];
  }
  return NULL;
}

bool rt_can_pick(const weir_entry *entry) {
  const rt_device_ops *ops = entry->model->device->ops;
  return ops->apart && ops->fire && pick_kernel(entry);
}

// Params of all requests, then their results, in the device's memory and the process's.
weir_status rt_pick_launch(weir_executor *x, const weir_entry *entry, int count, rt_pick *picks) {
  const rt_device_ops *device = x->model->device->ops;
  size_t params = sizeof picks->params * (size_t)count, results = sizeof picks->results * (size_t)count;
  WEIR_TRY_CTX(rt_block_grow(x, &x->picks, (int64_t)(params + results), true), "choices of tokens");
  for (int r = 0; r < count; r++)
    memcpy(x->picks.host + (size_t)r * sizeof picks->params, picks[r].params, sizeof picks->params);
  WEIR_TRY(device->send(x->queue, x->picks.data, x->picks.host, params));
  void *logits = x->packing.data + ((uint8_t *)x->outputs[0] - x->packing.host);
  void *args[] = {logits, x->picks.data, x->picks.data + params};
  int64_t dims[] = {count, x->output_bytes[0] / (int64_t)sizeof(float) / count};
  WEIR_TRY(device->fire(x->queue, pick_kernel(entry), args, 3, dims, 2, count));
  WEIR_TRY(device->receive(x->queue, x->picks.host + params, x->picks.data + params, results));
  WEIR_TRY(device->wait(x->queue));
  for (int r = 0; r < count; r++) {
    memcpy(picks[r].results, x->picks.host + params + (size_t)r * sizeof picks->results, sizeof picks->results);
    picks[r].picked = picks[r].results[RT_PICK_ID] != RT_PICK_OPEN;
  }
  return WEIR_OK;
}
