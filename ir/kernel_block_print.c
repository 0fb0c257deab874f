// Printer of what block kernels add to the text of kernels: head lines and statements.
#include "ir/kernel_text.h"

static const char *const shapes[] = {[IR_KO_BARRIER] = "barrier",
                                     [IR_KO_BARRIER_ARRIVE] = "barrier_arrive",
                                     [IR_KO_BARRIER_WARP] = "barrier_warp",
                                     [IR_KO_ASYNC] = "async",
                                     [IR_KO_COMMIT] = "commit",
                                     [IR_KO_WAIT] = "wait",
                                     [IR_KO_READ] = "read",
                                     [IR_KO_WRITE] = "write",
                                     [IR_KO_LDMATRIX] = "ldmatrix",
                                     [IR_KO_MMA] = "mma",
                                     [IR_KO_ATOMIC] = "atomic",
                                     [IR_KO_FENCE] = "fence",
                                     [IR_KO_LAUNCH_DEPENDENTS] = "launch_dependents",
                                     [IR_KO_WAIT_DEPENDENCIES] = "wait_dependencies",
                                     [IR_KO_BARRIER_CLUSTER] = "barrier_cluster",
                                     [IR_KO_FENCE_ASYNC] = "fence_async",
                                     [IR_KO_STMATRIX] = "stmatrix",
                                     [IR_KO_MBARRIER_INIT] = "mbarrier init",
                                     [IR_KO_MBARRIER_EXPECT] = "mbarrier expect",
                                     [IR_KO_MBARRIER_ARRIVE] = "mbarrier arrive",
                                     [IR_KO_MBARRIER_WAIT] = "mbarrier wait",
                                     [IR_KO_BULK] = "bulk",
                                     [IR_KO_TMA] = "tma",
                                     [IR_KO_TMA_STORE] = "tma_store",
                                     [IR_KO_TMA_COMMIT] = "tma_commit",
                                     [IR_KO_TMA_WAIT] = "tma_wait",
                                     [IR_KO_WGMMA] = "wgmma",
                                     [IR_KO_WGMMA_FENCE] = "wgmma fence",
                                     [IR_KO_WGMMA_COMMIT] = "wgmma commit",
                                     [IR_KO_WGMMA_WAIT] = "wgmma wait",
                                     [IR_KO_REGISTERS] = "registers"};

const char *ir_kblock_word(ir_kblock_op op) { return (unsigned)op < IR_KO_COUNT ? shapes[op] : "?"; }

static void print_regs(ir_kprinter *p, const ir_kregs *r) {
  ir_text_puts(&p->text, r->var ? ir_kp_name_of(p, r->var, r->var->name) : "?");
  if (r->index_count) ir_kp_args(p, r->indices, r->index_count, "[", "]");
}

static void print_place(ir_kprinter *p, const ir_kplace *at) {
  ir_kp_element(p, at->buffer, at->type, at->index, at->request);
}

static void print_mbarrier(ir_kprinter *p, const ir_kplace *at) {
  ir_text_puts(&p->text, ir_kp_buffer_name(p, at->buffer));
  ir_kp_args(p, &at->index, 1, "[", "]");
}

static void print_hint(ir_kprinter *p, ir_khint hint) {
  if (hint != IR_KHINT_NONE) ir_text_puts(&p->text, hint == IR_KHINT_STREAM ? " stream" : " keep");
}

static void print_after(ir_kprinter *p, const char *word, const ir_kexpr *e) {
  if (!e) return;
  ir_text_puts(&p->text, word);
  ir_kp_expr(p, e, 0);
}

static void print_box(ir_kprinter *p, const ir_kblock *b) {
  bool known = b->map >= 0 && b->map < p->kernel->map_count;
  const ir_kmap *map = known ? &p->kernel->maps[b->map] : NULL;
  ir_text_puts(&p->text, known ? ir_kp_name_of(p, map, map->name) : "?");
  ir_kp_args(p, b->coords, known && map->rank <= IR_KMAP_MAX_RANK ? map->rank : 0, "[", "]");
}

static void print_factor(ir_kprinter *p, const ir_kwgmma *f) {
  print_place(p, &f->at);
  ir_text_printf(&p->text, " swizzle %d", f->swizzle);
  if (f->trans) ir_text_printf(&p->text, " trans %lld", (long long)f->stride);
}

static void print_atomic(ir_kprinter *p, const ir_kblock *b) {
  const char *op = ir_kop_name(b->combine);
  if (!b->var) {
    ir_text_printf(&p->text, "atomic %s ", op);
    print_place(p, &b->to);
    print_after(p, " = ", b->value);
    return;
  }
  const char *name = ir_kp_declare(p, b->var, b->var->name);
  ir_text_printf(&p->text, "let %s: %s = atomic_%s(", name, ir_ktype_name(b->var->type), op);
  print_place(p, &b->to);
  print_after(p, ", ", b->value);
  ir_text_puts(&p->text, ")");
}

static void print_wgmma(ir_kprinter *p, const ir_kblock *b) {
  ir_text_printf(&p->text, " %s n %d ", ir_kmma_name(b->kind), b->number);
  print_regs(p, &b->c);
  print_after(p, " adds ", b->condition);
  ir_text_puts(&p->text, " = ");
  if (b->a.var) print_regs(p, &b->a);
  else print_factor(p, &b->shared_a);
  ir_text_puts(&p->text, ", ");
  print_factor(p, &b->shared_b);
}

static void print_registers(ir_kprinter *p, const ir_kblock *b) {
  bool loads = b->op == IR_KO_READ || b->op == IR_KO_LDMATRIX;
  if ((b->op == IR_KO_LDMATRIX || b->op == IR_KO_STMATRIX) && b->trans) ir_text_puts(&p->text, ".trans");
  ir_text_puts(&p->text, " ");
  if (!loads) {
    print_place(p, &b->to);
    ir_text_puts(&p->text, " = ");
  }
  print_regs(p, &b->c);
  ir_text_printf(&p->text, " x %d", b->number);
  if (loads) {
    ir_text_puts(&p->text, " = ");
    print_place(p, &b->from);
  }
  print_hint(p, b->hint);
}

static void print_copy(ir_kprinter *p, const ir_kblock *b) {
  ir_text_puts(&p->text, " ");
  if (b->op == IR_KO_TMA_STORE) print_box(p, b);
  else print_place(p, &b->to);
  ir_text_puts(&p->text, " = ");
  if (b->op == IR_KO_TMA) print_box(p, b);
  else print_place(p, &b->from);
  if (b->op == IR_KO_TMA_STORE) return;
  if (b->op == IR_KO_ASYNC) {
    ir_text_printf(&p->text, " bytes %d", b->number);
    print_after(p, " when ", b->condition);
  } else {
    if (b->op == IR_KO_BULK) print_after(p, " bytes ", b->value);
    ir_text_puts(&p->text, " signal ");
    print_mbarrier(p, &b->signal);
    if (b->op == IR_KO_TMA) print_after(p, " multicast ", b->value);
  }
  print_hint(p, b->hint);
}

void ir_kp_block(ir_kprinter *p, const ir_kblock *b) {
  if (!b || b->op == IR_KO_ATOMIC) {
    if (b) print_atomic(p, b);
    return;
  }
  ir_text_puts(&p->text, b->op == IR_KO_BARRIER && b->value ? "barrier_named" : ir_kblock_word(b->op));
  switch (b->op) {
    case IR_KO_BARRIER:
    case IR_KO_BARRIER_ARRIVE:
      print_after(p, " ", b->value);
      if (b->value) ir_text_printf(&p->text, ", %d", b->number);
      break;
    case IR_KO_ASYNC:
    case IR_KO_BULK:
    case IR_KO_TMA:
    case IR_KO_TMA_STORE:
      print_copy(p, b);
      break;
    case IR_KO_WAIT:
    case IR_KO_TMA_WAIT:
    case IR_KO_WGMMA_WAIT:
      ir_text_printf(&p->text, " %d", b->number);
      break;
    case IR_KO_READ:
    case IR_KO_WRITE:
    case IR_KO_LDMATRIX:
    case IR_KO_STMATRIX:
      print_registers(p, b);
      break;
    case IR_KO_MMA: {
      const ir_kregs *const operands[] = {&b->c, &b->a, &b->b};
      ir_text_printf(&p->text, " %s", ir_kmma_name(b->kind));
      for (int i = 0; i < 3; i++) {
        ir_text_puts(&p->text, i ? ", " : " ");
        print_regs(p, operands[i]);
      }
      break;
    }
    case IR_KO_MBARRIER_INIT:
    case IR_KO_MBARRIER_EXPECT:
    case IR_KO_MBARRIER_ARRIVE:
    case IR_KO_MBARRIER_WAIT:
      ir_text_puts(&p->text, " ");
      print_mbarrier(p, &b->to);
      print_after(p, b->op == IR_KO_MBARRIER_ARRIVE ? " at " : ", ", b->value);
      break;
    case IR_KO_WGMMA:
      print_wgmma(p, b);
      break;
    case IR_KO_REGISTERS:
      ir_text_printf(&p->text, " %s %d", b->up ? "up" : "down", b->number);
      break;
    default:
      break;
  }
}

// ---- the head
static void print_dims(ir_kprinter *p, const char *word, const ir_kexpr *const *dims, int count) {
  ir_text_puts(&p->text, word);
  for (int i = 0; i < count; i++) {
    if (i) ir_text_puts(&p->text, ", ");
    ir_kp_expr(p, dims[i], 0);
  }
}

void ir_kp_map(ir_kprinter *p, const ir_kmap *map) {
  int rank = map->rank < 0 ? 0 : map->rank < IR_KMAP_MAX_RANK ? map->rank : IR_KMAP_MAX_RANK;
  ir_text_printf(&p->text, "map %s: ", ir_kp_declare(p, map, map->name));
  ir_text_printf(&p->text, "%s:%s", ir_kp_buffer_name(p, map->buffer), ir_ktype_name(map->type));
  print_after(p, " at ", map->offset);
  print_dims(p, " dims ", map->dims, rank);
  if (rank > 1 && map->strides[1]) print_dims(p, " strides ", map->strides + 1, rank - 1);
  for (int i = 0; i < rank; i++) ir_text_printf(&p->text, "%s%d", i ? ", " : " box ", map->box[i]);
  if (map->swizzle) ir_text_printf(&p->text, " swizzle %d", map->swizzle);
  ir_text_puts(&p->text, "\n");
}

void ir_kp_threads(ir_kprinter *p) {
  const ir_kernel *k = p->kernel;
  const char *name = k->thread_var ? ir_kp_declare(p, k->thread_var, k->thread_var->name) : "?";
  ir_text_printf(&p->text, "threads %s: %d", name, k->threads);
  if (k->resident) ir_text_printf(&p->text, " resident %d", k->resident);
  ir_text_puts(&p->text, "\n");
  if (k->cluster) ir_text_printf(&p->text, "cluster %d\n", k->cluster);
  if (k->library.outs)
    ir_text_printf(&p->text, "library %lld, %lld algorithm %d\n", (long long)k->library.outs,
                   (long long)k->library.cols, k->library.algorithm);
}
