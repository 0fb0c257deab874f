// A kernel as text: how many threads do an item, where its scratch lies, the banner.
#include "codegen/cuda/print.h"
#include "codegen/text/scratch.h"

#include <string.h>

#include "codegen/cuda/internal.h"
#include "ir/kernel_block.h"
#include "runtime/base/checked.h"
#include "runtime/device/cuda/abi.h"

// ---- teams
typedef struct {
  bool any, lane_registers, reduces, arrives;
  int64_t longest;  // extent of an innermost `lanes` range; 0 where it is not constant
} lanes_seen;

static int64_t constant_extent(const ir_kstmt *s) {
  if (s->lo->op == IR_K_const && s->hi->op == IR_K_const) return s->hi->i - s->lo->i;
  bool sum = s->hi->op == IR_K_add && s->hi->args[0] == s->lo && s->hi->args[1]->op == IR_K_const;
  return sum ? s->hi->args[1]->i : 0;
}

// Whether |s| and what follows holds a `lanes` range.
static bool look_for_lanes(const ir_kstmt *s, lanes_seen *seen) {
  bool found = false;
  for (; s; s = s->next) {
    bool inner = look_for_lanes(s->body, seen);
    inner |= look_for_lanes(s->body2, seen);
    if (s->kind == IR_KS_REG && s->var->lanes) seen->lane_registers = true;
    if (s->kind == IR_KS_REDUCE) seen->reduces = true;
    if (s->kind == IR_KS_ARRIVE) seen->arrives = true;
    if (s->kind == IR_KS_FOR && s->range == IR_KR_LANES) {
      int64_t extent = constant_extent(s);
      if (!inner && extent > seen->longest) seen->longest = extent;
      inner = seen->any = true;
    }
    if (s->kind == IR_KS_MATDOT) seen->any = true;
    found |= inner;
  }
  return found;
}

// Lane registers are sixteen. Long rows of known length get a block.
static int team_of(const lanes_seen *seen) {
  if (!seen->any) return 1;
  if (seen->lane_registers) return IR_LANES;
  if (seen->longest > 0 && seen->longest <= IR_LANES) return IR_LANES;
  if (seen->longest < 512) return IR_WARP;
  return seen->longest < 2048 ? 64 : seen->longest < 8192 ? 128 : 256;
}

// Threads of a block, items of a block, place of the local buffers.
static weir_status shape_items(cg_cuda_code *k, const ir_kernel *kernel, const lanes_seen *seen, int64_t local) {
  cg_cuda_kernel *o = k->out;
  o->team = team_of(seen);
  k->sums = o->team > IR_WARP && (seen->reduces || seen->arrives);
  // Items that count arrivals have a block each: the simulator knows of no order between teams of a block.
  o->threads = o->team > IR_WARP || seen->arrives ? o->team : 128;
  k->local_shared = local > 0 && local <= CG_CUDA_TEAM_LOCAL;
  // Fewer teams a block rather than a block that fills the multiprocessor's memory.
  while (k->local_shared && o->threads > 32 && o->threads > o->team && local * (o->threads / o->team) > 16 * 1024)
    o->threads /= 2;
  o->items_per_block = o->threads / o->team;
  if (local * o->items_per_block > CG_CUDA_STATIC_SHARED - 2048) k->local_shared = false;
  if (k->local_shared) o->shared_bytes = local * o->items_per_block;
  else o->scratch_bytes = local;
  if (k->sums) o->shared_bytes += 8 * o->team / IR_WARP;
  (void)kernel;
  return WEIR_OK;
}

static weir_status shape_block(cg_cuda_code *k, const ir_kernel *kernel) {
  cg_cuda_kernel *o = k->out;
  o->block = true;
  o->threads = kernel->threads;
  o->team = 0;
  o->items_per_block = 1;
  o->cluster = kernel->cluster;
  o->maps = kernel->map_count;
  k->waits_itself = (o->needs & IR_KNEEDS_PDL) != 0;
  int64_t shared = ir_kernel_shared_bytes(kernel);
  if (shared > IR_KB_MAX_SHARED)
    return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "kernel '%s': %lld bytes of shared memory", kernel->name,
                            (long long)shared);
  if (shared > CG_CUDA_STATIC_SHARED) o->dynamic_bytes = shared;
  else o->shared_bytes = shared;
  return WEIR_OK;
}

// ---- the banner
static void emit_lines(ir_text *out, const char *prefix, const char *text) {
  for (const char *line = text; line && *line;) {
    size_t length = strcspn(line, "\n");
    ir_text_printf(out, "%s%.*s\n", prefix, (int)length, line);
    line += length + (line[length] == '\n');
  }
}

static void emit_banner(weir_arena *arena, ir_text *out, const cg_cuda_kernel *o, const ir_kernel *k, bool with_ir) {
  ir_text_printf(out, "\n// %s\n", k->name);
  emit_lines(out, "// ", k->banner);
  if (o->block) ir_text_printf(out, "//   launch: a block of %d threads an item", o->threads);
  else if (o->items_per_block == 1)
    ir_text_printf(out, "//   launch: blocks of %d threads, one item at a time", o->threads);
  else
    ir_text_printf(out, "//   launch: blocks of %d threads, %d items at a time, %d thread%s an item", o->threads,
                   o->items_per_block, o->team, o->team > 1 ? "s" : "");
  if (o->cluster) ir_text_printf(out, ", clusters of %d", o->cluster);
  int64_t shared = o->shared_bytes + o->dynamic_bytes;
  if (shared) ir_text_printf(out, "; %lld bytes shared", (long long)shared);
  if (o->scratch_bytes) ir_text_printf(out, "; %lld bytes of scratch an item", (long long)o->scratch_bytes);
  ir_text_puts(out, "\n");
  for (int i = 0; i < k->buffer_count; i++) {
    static const char *const kinds[] = {"in",    "out",   "inout",  "table in", "table inout",
                                        "local", "const", "shared", "mbarrier"};
    const ir_kbuffer *b = &k->buffers[i];
    ir_text_printf(out, "//   %s %s", kinds[b->kind], b->name);
    if (b->arg >= 0) ir_text_printf(out, " = p.args[%d]", b->arg);
    ir_text_puts(out, "\n");
  }
  if (with_ir) {
    ir_text_puts(out, "//\n");
    emit_lines(out, "//   ", ir_kernel_print(arena, k));
  }
}

// ---- printing
static void code_init(cg_cuda_code *k, weir_arena *arena, const ir_kernel *kernel) {
  cg_code *c = &k->code;
  c->target = &k->target;
  c->arena = arena;
  c->kernel = kernel;
  c->values = WEIR_NEW_ARRAY(arena, cg_node *, kernel->var_count + 1);
  c->slots = WEIR_NEW_ARRAY(arena, cg_slot *, kernel->var_count + 1);
  c->written = WEIR_NEW_ARRAY(arena, bool, kernel->arg_count + 1);
  c->access = weir_arena_array(arena, (size_t)kernel->buffer_count + 1, sizeof *c->access);
  for (int i = 0; i < kernel->buffer_count; i++) {
    const ir_kbuffer *b = &kernel->buffers[i];
    bool writes = b->kind == IR_KB_OUT || b->kind == IR_KB_INOUT || b->kind == IR_KB_TABLE_INOUT;
    if (writes && b->arg >= 0) c->written[b->arg] = true;
  }
  for (int i = 0; i < kernel->size_count; i++) c->size_names[i] = cg_unique(c, kernel->sizes[i], NULL);
}

static weir_status print_body(cg_cuda_code *k, const ir_kernel *kernel, const cg_cuda_print_options *options) {
  cg_code *c = &k->code;
  cg_expand(c);
  if (c->status) return c->status;
  if (!k->out->block) cg_cuda_fences(c);
  cg_count_uses(c);
  c->emitting = true;
  ir_text text;
  ir_text_init(&text, c->arena);
  emit_banner(c->arena, &text, k->out, kernel, options->with_ir);
  cg_cuda_emit(k, &text);
  if (c->status) return c->status;
  k->out->text = text.data;
  k->out->bytes = text.length;
  return WEIR_OK;
}

weir_status cg_cuda_print(weir_arena *arena, const ir_kernel *kernel, const cg_cuda_print_options *options,
                          cg_cuda_kernel *out) {
  if (strncmp(kernel->name, "k_", 2) || strchr(kernel->name, '.'))
    return weir_status_make(WEIR_CODE_INTERNAL, "kernel '%s': the name is no k_... symbol", kernel->name);
  *out = (cg_cuda_kernel){.name = weir_arena_strdup(arena, kernel->name),
                          .args = kernel->arg_count,
                          .dims = kernel->size_count,
                          .pdl = true,
                          .needs = ir_kernel_needs(kernel)};
  cg_cuda_code *k = WEIR_NEW(arena, cg_cuda_code);
  *k = (cg_cuda_code){.out = out, .prelude = options->prelude};
  lanes_seen seen = {false};
  int64_t local;
  WEIR_TRY(cg_scratch_bytes(kernel, &local));
  look_for_lanes(kernel->body, &seen);
  WEIR_TRY(kernel->threads ? shape_block(k, kernel) : shape_items(k, kernel, &seen, local));
  WEIR_TRY(cg_cuda_map_facts(arena, kernel, &out->map_facts));
  if (kernel->library.outs)
    out->map_facts = weir_arena_printf(arena, " outs=%lld cols=%lld algorithm=%d%s", (long long)kernel->library.outs,
                                       (long long)kernel->library.cols, kernel->library.algorithm, out->map_facts);
  if (rt_cuda_param_bytes(out->args, out->dims, out->maps, NULL) > RT_CUDA_MAX_PARAM_BYTES)
    return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "kernel '%s': too many parameters", kernel->name);
  k->target = (cg_target){.device = true,
                          .team = out->team,
                          .reserved = cg_cuda_reserved,
                          .load = cg_cuda_emit_load,
                          .fence = cg_cuda_emit_fence,
                          .stmt = cg_cuda_emit_stmt};
  code_init(k, arena, kernel);
  return print_body(k, kernel, options);
}

const char *cg_cuda_file(weir_arena *arena, cg_cuda_prelude_kind prelude, const cg_cuda_kernel *kernels, int count) {
  ir_text out;
  ir_text_init(&out, arena);
  cg_cuda_prelude(&out, prelude);
  for (int i = 0; i < count; i++) ir_text_puts(&out, kernels[i].text);
  return out.data;
}
