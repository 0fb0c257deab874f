// wgmma: products of a warpgroup, 64 rows by n columns by 32 bytes of depth, under way until they are waited for.
//
// The product is computed when the last of the 128 threads issues it, and kept; the accumulators' registers hold a NaN
// until the thread waits, so that a read before is seen in the result and a write before is a fault. Operations in
// flight on the same accumulators go on from each other. Shared memory that an operation reads may not be written until
// a thread of the warpgroup has waited. Layouts and the meaning of swizzles: ir/kernel_block.h.
#include <stdlib.h>
#include <string.h>

#include "runtime/base/half.h"
#include "runtime/device/sim/internal.h"
#include "runtime/device/sim/matrix.h"

enum { WARPGROUP = 128, POISON = -1 };

typedef struct sim_product {
  struct sim_product *next;
  int count;  // of registers
  uint32_t group, line;
  uint32_t *registers[WARPGROUP];
  uint32_t values[WARPGROUP];
} sim_product;

typedef struct sim_reading {
  struct sim_reading *next;
  sim_block *block;
  int warpgroup;  // in the group of blocks
  uint32_t group;
  int count;
  uint32_t places[2 * (64 + 256)];
} sim_reading;

// The operands of an operation, from abi.h's words.
typedef struct {
  int kind, n;
  uint32_t **registers;
  bool adds;
  const uint32_t *a_registers;
  struct factor {
    const uint8_t *at;
    int swizzle;
    bool trans;
    int64_t stride;
  } a, b;
} operands;

static operands operands_of(const int64_t *w) {
  return (operands){.kind = (int)w[0],
                    .n = (int)w[1],
                    .registers = (uint32_t **)(uintptr_t)w[2],
                    .adds = w[3],
                    .a_registers = (const uint32_t *)(uintptr_t)w[5],
                    .a = {(const uint8_t *)(uintptr_t)w[4], (int)w[6], w[7], w[8]},
                    .b = {(const uint8_t *)(uintptr_t)w[9], (int)w[10], w[11], w[12]}};
}

// Where byte |k| of row |row| lies in shared memory; rows are m or n.
static uint32_t place_of(const sim_block *block, const struct factor *f, int row, int k) {
  uint32_t at = (uint32_t)(f->at - block->memory);
  if (f->trans) at += (uint32_t)(2 * row / f->swizzle * f->stride + k / 2 * f->swizzle + 2 * row % f->swizzle);
  else at += (uint32_t)(row * f->swizzle + k);
  return at ^ ((at >> 7 & (uint32_t)(f->swizzle / 16 - 1)) << 4);
}

static void piece(sim_thread *t, sim_reading *reading, uint32_t place, uint32_t line) {
  sim_block *block = reading->block;
  const sim_place where = {block, block->memory + place, place, line};
  const char *name = place < RT_SIM_SHARED_BYTES ? sim_shared_name(block, where.base) : "";
  if (place + 16 > RT_SIM_SHARED_BYTES || !block->owner[place / 16]) {
    sim_fault(t, RT_SIM_bounds, line, name, place, "a factor at byte %u of shared memory, which is no buffer", place);
  }
  for (int k = 0; k < 16 && t->head.checked; k++) {
    uint8_t *state = &block->bytes[place + (uint32_t)k];
    if (*state == BYTE_NEW) {
      sim_fault(t, RT_SIM_uninitialised, line, name, place,
                "a factor at byte %u of shared memory, which nobody has written", place);
    }
    if (*state == BYTE_COPY || *state == BYTE_TENSOR) {
      sim_fault(t, RT_SIM_async_pending, line, name, place,
                "a factor at byte %u of shared memory, which a copy is still to write", place);
    }
  }
  for (int k = 0; k < 4 && t->head.checked; k++)
    sim_touch_async(t, &block->cells[place / 4 + (uint32_t)k], false, &where);
  for (int k = 0; k < 16; k++) {
    uint8_t *state = &block->bytes[place + (uint32_t)k];
    *state = *state < BYTE_READ ? BYTE_READ : *state == 255 ? 255 : (uint8_t)(*state + 1);
  }
  reading->places[reading->count++] = place;
}

static void factor_read(sim_thread *t, sim_reading *reading, const struct factor *f, int rows, int kind,
                        uint32_t line) {
  if (f->swizzle != 32 && f->swizzle != 64 && f->swizzle != 128) {
    sim_fault(t, RT_SIM_argument, line, NULL, 0, "a factor with swizzle %d", f->swizzle);
  }
  if (f->trans && kind > RT_SIM_MMA_F16)
    sim_fault(t, RT_SIM_argument, line, NULL, 0, "a transposed factor of other than 16 bits");
  if (sim_shared_check(t, f->at, 16, 16, line) != t->block) {
    sim_fault(t, RT_SIM_argument, line, NULL, 0, "a factor in another block's shared memory");
  }
  const int step_row = f->trans ? 8 : 1, step_k = f->trans ? 2 : 16;
  for (int row = 0; row < rows; row += step_row) {
    for (int k = 0; k < 32; k += step_k) piece(t, reading, place_of(t->block, f, row, k), line);
  }
}

static void elements(const sim_block *block, const struct factor *f, int rows, int kind, float *out) {
  const int depth = sim_mma_depth(kind), bytes = 32 / depth;
  for (int row = 0; row < rows; row++) {
    for (int k = 0; k < depth; k++) {
      uint32_t word = 0;
      memcpy(&word, block->memory + place_of(block, f, row, k * bytes), (size_t)bytes);
      out[row * depth + k] = (float)sim_mma_element(kind, word, 0);
    }
  }
}

static sim_product *product_of(sim_thread *t, const operands *o, uint32_t line) {
  for (sim_product *p = t->products; p; p = p->next) {
    if (p->registers[0] == o->registers[0]) return p;
  }
  if (!t->product_fenced) {
    sim_fault(t, RT_SIM_matrix_operands, line, NULL, 0, "no fence of wgmma since these accumulators were last used");
  }
  sim_product *p = malloc(sizeof(*p));
  if (!p) sim_fault(t, RT_SIM_argument, line, NULL, 0, "no memory for a product under way");
  p->next = t->products;
  p->count = o->n / 2;
  memcpy(p->registers, o->registers, (size_t)p->count * sizeof(*p->registers));
  for (int i = 0; i < p->count; i++) {
    p->values[i] = *p->registers[i];
    *p->registers[i] = (uint32_t)POISON;
  }
  t->products = p;
  return p;
}

static void accumulate(sim_product *p, const operands *o, const float *a, const float *b, int depth, int warp,
                       int lane) {
  for (int r = 0; r < o->n / 2; r++) {
    const int row = 16 * warp + lane / 4 + 8 * (r % 4 / 2), column = r / 4 * 8 + 2 * (lane % 4) + r % 2;
    double sum = 0;
    for (int k = 0; k < depth; k++) sum += (double)a[row * depth + k] * b[column * depth + k];
    uint32_t c = o->adds ? p->values[r] : 0;
    if (o->kind == RT_SIM_MMA_S8) p->values[r] = c + (uint32_t)(int32_t)sum;
    else p->values[r] = weir_f32_bits((float)((double)weir_f32_from_bits(c) + sum));
  }
}

static void perform(sim_thread *t, sim_thread *first, uint32_t line) {
  sim_worker *w = t->worker;
  const operands o = operands_of(t->data);
  if (o.kind < 0 || o.kind >= RT_SIM_MMA_KINDS || o.n < 8 || o.n > 256 || o.n % 8) {
    sim_fault(t, RT_SIM_argument, line, NULL, 0, "wgmma of kind %d with n %d", o.kind, o.n);
  }
  const int depth = sim_mma_depth(o.kind);
  float a[64 * 32], b[256 * 32];
  sim_reading *reading = calloc(1, sizeof(*reading));
  if (!reading) sim_fault(t, RT_SIM_argument, line, NULL, 0, "no memory for a product under way");
  *reading = (sim_reading){.next = w->readings, .block = t->block, .warpgroup = first->id, .group = t->product_groups};
  w->readings = reading;
  factor_read(t, reading, &o.b, o.n, o.kind, line);
  elements(t->block, &o.b, o.n, o.kind, b);
  if (!o.a_registers) {
    factor_read(t, reading, &o.a, 64, o.kind, line);
    elements(t->block, &o.a, 64, o.kind, a);
  }
  for (int i = 0; o.a_registers && i < WARPGROUP; i++) {
    double part[16 * 32];
    const operands own = operands_of(first[i].data);
    const int parts = 4 / (32 / depth);
    sim_mma_fragment_a(o.kind, own.a_registers, i % SIM_WARP, part, depth);
    for (int word = 0; word < 4; word++) {
      for (int e = 0; e < parts; e++) {
        int row = i % SIM_WARP / 4 + 8 * (word % 2), k = parts * (i % 4) + 4 * parts * (word / 2) + e;
        a[(16 * (i / SIM_WARP) + row) * depth + k] = (float)part[row * depth + k];
      }
    }
  }
  for (int i = 0; i < WARPGROUP; i++) {
    const operands own = operands_of(first[i].data);
    sim_product *p = product_of(&first[i], &own, line);
    p->group = first[i].product_groups;
    p->line = line;
    accumulate(p, &o, a, b, depth, i / SIM_WARP, i % SIM_WARP);
  }
}

static void issue(sim_thread *t, int64_t *args, uint32_t line) {
  sim_block *block = t->block;
  const int begin = (int)t->head.thread / WARPGROUP * WARPGROUP;
  if (begin + WARPGROUP > block->count) {
    sim_fault(t, RT_SIM_divergent_warp, line, NULL, 0, "thread %u is in no whole warpgroup", t->head.thread);
  }
  sim_thread *first = block->threads + begin;
  t->data = args;
  int arrived = 1;
  for (int i = 0; i < WARPGROUP; i++) {
    const sim_thread *o = &first[i];
    if (o == t || o->state != SIM_AT_WGMMA) continue;
    const int64_t *other = o->data;
    bool same = true;
    for (int k = 0; k < 13; k++) same &= k == 2 || k == 5 ? !other[k] == !args[k] : other[k] == args[k];
    if (!same) sim_fault(t, RT_SIM_divergent_warp, line, NULL, 0, "thread %u issues another wgmma", o->head.thread);
    arrived++;
  }
  if (arrived < WARPGROUP) {
    sim_wait(t, SIM_AT_WGMMA, line);
    return;
  }
  t->worker->counters.warp_operations++;
  perform(t, first, line);
  for (int i = 0; i < WARPGROUP; i++) {
    if (&first[i] != t) sim_ready(&first[i]);
  }
}

static void readings_release(sim_thread *t, uint32_t end) {
  const int warpgroup = t->id - (int)t->head.thread % WARPGROUP;
  for (sim_reading **link = &t->worker->readings; *link;) {
    sim_reading *r = *link;
    if (r->block != t->block || r->warpgroup != warpgroup || r->group >= end) {
      link = &r->next;
      continue;
    }
    for (int i = 0; i < r->count; i++) {
      uint8_t *state = r->block->bytes + r->places[i];
      for (int k = 0; k < 16; k++) state[k] = state[k] > BYTE_READ ? (uint8_t)(state[k] - 1) : BYTE_SET;
    }
    *link = r->next;
    free(r);
  }
}

static void wait_for(sim_thread *t, int64_t pending, uint32_t line) {
  uint32_t end = t->product_groups > pending ? t->product_groups - (uint32_t)pending : 0;
  for (sim_product **link = &t->products; *link;) {
    sim_product *p = *link;
    if (p->group >= end) {
      link = &p->next;
      continue;
    }
    for (int i = 0; i < p->count; i++) {
      if (*p->registers[i] != (uint32_t)POISON) {
        sim_fault(t, RT_SIM_matrix_operands, line, NULL, i,
                  "accumulator %d of the wgmma of line %u was written while it was "
                  "under way",
                  i, p->line);
      }
      *p->registers[i] = p->values[i];
    }
    t->product_fenced = false;
    *link = p->next;
    free(p);
  }
  readings_release(t, end);
}

void sim_wgmma_operation(sim_thread *t, uint32_t operation, int64_t *args, uint32_t line) {
  switch (operation) {
    case RT_SIM_WGMMA_FENCE:
      t->product_fenced = true;
      break;
    case RT_SIM_WGMMA_COMMIT:
      t->product_groups++;
      break;
    case RT_SIM_WGMMA_WAIT:
      wait_for(t, args[0], line);
      break;
    default:
      issue(t, args, line);
      break;
  }
}

void sim_wgmma_end(sim_thread *t) {
  if (!t->products) return;
  sim_fault(t, RT_SIM_matrix_operands, t->products->line, NULL, 0,
            "the thread ends, and nobody has waited for the wgmma of line %u", t->products->line);
}

void sim_products_free(sim_thread *t) {
  while (t->products) {
    sim_product *p = t->products;
    t->products = p->next;
    free(p);
  }
}

void sim_readings_free(sim_worker *worker) {
  while (worker->readings) {
    sim_reading *r = worker->readings;
    worker->readings = r->next;
    free(r);
  }
}
