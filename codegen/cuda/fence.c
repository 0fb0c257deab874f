// Where the threads of a team must wait for each other.
//
// Item kernels are written for one worker; here a team does them. Statements are walked in order with the sets of
// buffers read and written since the last fence. A statement that reads what was written, or writes what was read or
// written, needs a fence before it; the pattern of indices is not looked at. Loops are walked until nothing changes,
// their end being followed by their start. Items are independent but for local buffers, which the next item uses again.
#include "codegen/cuda/internal.h"

typedef struct {
  uint64_t read, written;
} sets;

typedef struct {
  cg_code *c;
  unsigned walk;
} fences;

// Arguments by their number, as several buffers may share one; then the others.
static uint64_t bit_of(const cg_code *c, int buffer) {
  const ir_kbuffer *b = &c->kernel->buffers[buffer];
  enum { OTHERS = 63 - IR_KERNEL_MAX_ARGS };
  int index = b->arg >= 0 ? b->arg : IR_KERNEL_MAX_ARGS + (buffer < OTHERS ? buffer : OTHERS);
  return UINT64_C(1) << index;
}

static void collect_node(fences *f, cg_node *n, sets *out) {
  if (!n || n->seen == f->walk || !n->once) return;
  n->seen = f->walk;
  if (n->op == IR_K_load && !cg_buffer_is_constant(f->c, n->index)) out->read |= bit_of(f->c, n->index);
  for (int i = 0; i < n->arg_count; i++) collect_node(f, n->args[i], out);
}

// What the statement itself touches, without its bodies.
static sets collect_own(fences *f, const cg_stmt *s) {
  sets r = {0, 0};
  cg_node *const used[] = {s->lo, s->hi, s->value, s->mask, s->index, s->request};
  f->walk++;
  for (size_t i = 0; i < sizeof used / sizeof *used; i++) collect_node(f, used[i], &r);
  for (int i = 0; i < IR_KM_COUNT; i++) collect_node(f, s->at[i], &r);
  if (s->kind == CG_STORE) r.written |= bit_of(f->c, s->buffer);
  if (s->kind == CG_MATDOT) {
    r.read |= bit_of(f->c, s->matdot->a) | bit_of(f->c, s->matdot->b);
    r.written |= bit_of(f->c, s->matdot->c);
  }
  return r;
}

static sets collect_all(fences *f, const cg_stmt *s) {
  sets r = collect_own(f, s);
  const cg_scope *const bodies[] = {s->body, s->body2};
  for (int i = 0; i < 2; i++) {
    for (const cg_stmt *t = bodies[i] ? bodies[i]->first : NULL; t; t = t->next) {
      sets inner = collect_all(f, t);
      r.read |= inner.read, r.written |= inner.written;
    }
  }
  return r;
}

static void unit(cg_stmt *s, const sets *own, sets *state) {
  if (state->written & (own->read | own->written) || state->read & own->written) s->fence = true;
  if (s->fence) *state = (sets){0, 0};
  if (s->kind == CG_STORE && own->read & own->written) {
    s->split = true;
    *state = (sets){0, own->written};
    return;
  }
  state->read |= own->read, state->written |= own->written;
}

static void walk_scope(fences *f, const cg_scope *scope, sets *state);

static void walk_loop(fences *f, const cg_stmt *s, uint64_t carried, sets *state) {
  sets in = *state, at_end;
  for (;;) {
    at_end = in;
    walk_scope(f, s->body, &at_end);
    sets next = {in.read | (at_end.read & carried), in.written | (at_end.written & carried)};
    if (next.read == in.read && next.written == in.written) break;
    in = next;
  }
  *state = (sets){in.read | at_end.read, in.written | at_end.written};
}

static void walk_stmt(fences *f, cg_stmt *s, sets *state) {
  if (s->kind == CG_LANES) {
    sets all = collect_all(f, s);
    unit(s, &all, state);
    return;
  }
  sets own = collect_own(f, s);
  unit(s, &own, state);
  if (s->kind == CG_ITEMS) {
    uint64_t args = (UINT64_C(1) << IR_KERNEL_MAX_ARGS) - 1;
    walk_loop(f, s, ~args, state);
  } else if (s->kind == CG_IF) {
    sets first = *state, second = *state;
    walk_scope(f, s->body, &first);
    if (s->body2) walk_scope(f, s->body2, &second);
    *state = (sets){first.read | second.read, first.written | second.written};
  } else if (s->body) {
    walk_loop(f, s, UINT64_MAX, state);
  } else if (s->kind == CG_ARRIVE || (s->kind == CG_FINISH && f->c->target->team > IR_LANES * 2)) {
    *state = (sets){0, 0};  // its barriers do
  }
}

static void walk_scope(fences *f, const cg_scope *scope, sets *state) {
  for (cg_stmt *s = scope->first; s; s = s->next) walk_stmt(f, s, state);
}

void cg_cuda_fences(cg_code *c) {
  fences f = {.c = c};
  sets state = {0, 0};
  if (c->target->team > 1) walk_scope(&f, c->root, &state);
}
