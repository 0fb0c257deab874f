// Facts about block kernels: what they need of a machine, the shapes of matrix operations, their expressions.
#include "ir/kernel_block.h"

#include "ir/kernel_internal.h"

static const struct {
  const char *name;
  int a_regs, k;
  ir_ktype type;
} kinds[IR_KMMA_COUNT] = {
    [IR_KMMA_bf16] = {"bf16", 4, 16, IR_KT_bf16},   [IR_KMMA_f16] = {"f16", 4, 16, IR_KT_f16},
    [IR_KMMA_tf32] = {"tf32", 4, 8, IR_KT_f32},     [IR_KMMA_s8] = {"s8", 4, 32, IR_KT_i8},
    [IR_KMMA_e4m3] = {"e4m3", 4, 32, IR_KT_f8e4m3},
};

const char *ir_kmma_name(ir_kmma kind) { return (unsigned)kind < IR_KMMA_COUNT ? kinds[kind].name : "?"; }
int ir_kmma_a_regs(ir_kmma kind) { return (unsigned)kind < IR_KMMA_COUNT ? kinds[kind].a_regs : 0; }
int ir_kmma_k(ir_kmma kind) { return (unsigned)kind < IR_KMMA_COUNT ? kinds[kind].k : 0; }
ir_ktype ir_kmma_type(ir_kmma kind) { return (unsigned)kind < IR_KMMA_COUNT ? kinds[kind].type : IR_KT_f32; }

ir_ktype ir_kregs_type(ir_ktype type) { return ir_ktype_is_float(type) && type != IR_KT_f64 ? IR_KT_f32 : type; }

static unsigned needs_of(const ir_kblock *b) {
  if (b->op == IR_KO_LAUNCH_DEPENDENTS || b->op == IR_KO_WAIT_DEPENDENCIES) return IR_KNEEDS_PDL;
  if (b->op == IR_KO_MMA && b->kind == IR_KMMA_e4m3) return IR_KNEEDS_SM_89;
  return b->op >= IR_KO_BARRIER_CLUSTER ? IR_KNEEDS_SM_90A : 0;
}

static unsigned needs_of_list(const ir_kstmt *s) {
  unsigned needs = 0;
  for (; s; s = s->next) {
    if (s->kind == IR_KS_BLOCK) needs |= needs_of(s->block);
    needs |= needs_of_list(s->body) | needs_of_list(s->body2);
  }
  return needs;
}

unsigned ir_kernel_needs(const ir_kernel *kernel) {
  if (!kernel->threads) return 0;
  unsigned needs = IR_KNEEDS_BLOCK | needs_of_list(kernel->body);
  if (kernel->map_count) needs |= IR_KNEEDS_MAPS | IR_KNEEDS_SM_90A;
  if (kernel->cluster) needs |= IR_KNEEDS_CLUSTER | IR_KNEEDS_SM_90A;
  return needs;
}

int64_t ir_kernel_shared_bytes(const ir_kernel *kernel) {
  int64_t total = 0;
  for (int i = 0; i < kernel->buffer_count; i++) {
    const ir_kbuffer *b = &kernel->buffers[i];
    if (b->kind != IR_KB_SHARED && b->kind != IR_KB_MBARRIER) continue;
    int64_t align = b->kind == IR_KB_SHARED ? 1024 : 8;
    total = (total + align - 1) / align * align + b->bytes->i;
  }
  return total;
}

static int add_place(const ir_kexpr **out, int count, const ir_kplace *at) {
  if (at->request) out[count++] = at->request;
  if (at->index) out[count++] = at->index;
  return count;
}

static int add_regs(const ir_kexpr **out, int count, const ir_kregs *r) {
  for (int i = 0; i < r->index_count && i < 3; i++) out[count++] = r->indices[i];
  return count;
}

int ir_kblock_exprs(const ir_kblock *b, const ir_kexpr **out) {
  const ir_kplace *const places[] = {&b->to, &b->from, &b->signal, &b->shared_a.at, &b->shared_b.at};
  const ir_kregs *const regs[] = {&b->c, &b->a, &b->b};
  int count = 0;
  for (int i = 0; i < 5; i++) count = add_place(out, count, places[i]);
  for (int i = 0; i < 3; i++) count = add_regs(out, count, regs[i]);
  if (b->value) out[count++] = b->value;
  if (b->condition) out[count++] = b->condition;
  for (int i = 0; i < IR_KMAP_MAX_RANK; i++)
    if (b->coords[i]) out[count++] = b->coords[i];
  return count;
}
