// The interpreter of block kernels: what its files share.
//
// kernel_block_code.c turns every statement into vector code: instructions over vectors of 32 values, one for each
// thread of a warp. kernel_block_eval.c runs that code. kernel_block_run.c walks the statements with one explicit stack
// of masks for each warp, so that a warp can stop anywhere and no native stacks are switched. kernel_block_shared.c
// keeps, for every granule of shared memory, who wrote and read it when; kernel_block_async.c has the copies and
// mbarriers, kernel_block_matrix.c the matrix operations.
//
// Time: every warp, and every mbarrier for the copies that signal it, has a clock. A warp knows of every other clock up
// to which value what happened there is ordered before its own next access: a barrier and a completed wait raise that.
#ifndef WEIR_IR_KERNEL_BLOCK_INTERP_H
#define WEIR_IR_KERNEL_BLOCK_INTERP_H

#include "ir/kernel_block.h"
#include "ir/kernel_interp.h"

// ---- code
// A vector: ~ref of the warp's own where it is negative, ref - CONST of the constants from CONST on, else of the
// temporaries.
typedef int32_t ir_kw_ref;
enum { IR_KW_NONE = INT32_MAX, IR_KW_CONST = 1 << 28 };

typedef enum { IR_KW_OP, IR_KW_LOAD, IR_KW_READ, IR_KW_MASK, IR_KW_MASK_NOT, IR_KW_DIM } ir_kw_kind;
typedef struct {
  ir_kw_kind kind;
  int mask;                // number of the mask of threads that take part; 0: those of the statement
  const ir_kexpr *expr;    // OP, LOAD, READ
  ir_kw_ref dst, a, b, c;  // LOAD: index, request. READ: a is the element, b the number of the register's first vector.
                           // MASK: mask |dst| is |mask| where a holds; MASK_NOT: where it does not. DIM: fails unless
                           // 0 <= a < b, a number
} ir_kw_insn;

typedef struct {
  int buffer;
  ir_ktype type;
  ir_kw_ref index, request;
} ir_kw_place;

typedef struct {
  int first;          // vector of the warp; -1: no operand
  ir_kw_ref element;  // what is added to it, by thread; NONE: nothing
} ir_kw_regs;

typedef struct ir_kw_stmt ir_kw_stmt;
struct ir_kw_stmt {
  const ir_kstmt *stmt;
  const ir_kw_insn *code;
  int code_count;
  ir_kw_ref lo, hi;      // FOR
  int limit, tile;       // FOR: vector of the warp that keeps hi; TILES: of the size of the step
  ir_kw_ref value;       // LET REG SET STORE IF; block operations
  ir_kw_ref condition;   // block operations
  ir_kw_place to, from;  // STORE: to
  ir_kw_place signal, shared_a, shared_b;
  ir_kw_regs c, a, b;  // LET, REG, SET: c
  ir_kw_ref coords[IR_KMAP_MAX_RANK];
  const ir_kw_stmt *body, *body2, *next;
};

typedef struct {
  const ir_kw_stmt *first;
  int temp_count, var_count, mask_count;  // vectors; masks
  ir_ki_value *temps, *consts;
  int sizes;         // the first constant of the sizes
  int grid, thread;  // vectors of the warp that hold these
  int granule;       // of shared memory: the least width of an access to it
  bool uses_wgmma;
} ir_kw_code;

// |kernel| is verified. OUT_OF_RANGE if it needs too much.
weir_status ir_kw_compile(weir_arena *arena, const ir_kernel *kernel, ir_kw_code *out_code);

// ---- state
// A granule of shared memory. Threads are numbered over the cluster; from AGENT on stand the mbarriers, for copies.
enum { IR_KW_AGENT = 1 << 14 };
typedef struct {
  uint32_t write_clock, read_clock;
  uint16_t writer, reader;
  uint16_t reading;                     // wgmmas and stores that may still read it
  bool written, atomic, copying, many;  // many: several threads of the reader's warp read it
  uint32_t readers;                     // where unordered warps read it: number of their vector, else 0
} ir_kw_cell;

typedef struct {
  uint32_t clock;
  uint16_t thread;
  bool many;
} ir_kw_reader;

typedef struct {
  bool ready;  // initialised: by |maker| at |made|
  uint16_t maker;
  uint32_t made;
  int64_t count, pending, bytes;
  uint32_t phase;    // how many are complete
  uint32_t clock;    // of the copies that signal it
  uint32_t *clocks;  // what a wait for it orders
} ir_kw_mbarrier;

typedef struct {
  int threads, arrived;  // of whom; 0: nobody came yet
  const ir_kstmt *stmt;
  uint32_t *clocks;
} ir_kw_barrier;

typedef struct {
  uint32_t offset, bytes;  // of shared memory of the block
  int group;
} ir_kw_copy;

typedef struct {
  ir_kw_copy *items;
  int count, capacity, group, done;  // group: the open one; below done all are complete
} ir_kw_copies;

typedef enum {
  IR_KW_READY,
  IR_KW_AT_BARRIER,
  IR_KW_AT_CLUSTER,
  IR_KW_AT_GROUP,
  IR_KW_AT_MBARRIER,
  IR_KW_DONE
} ir_kw_state;

typedef struct {
  const ir_kw_stmt *next, *loop;
  uint32_t mask;    // of the list
  uint32_t active;  // of this iteration
} ir_kw_frame;

typedef struct {
  int block, number;  // of the cluster, of the block
  ir_kw_state state;
  const ir_kw_stmt *at;  // the statement it does or waits in
  uint32_t mask;         // of its threads there
  ir_ki_value *vars;
  ir_kw_frame frames[2 * IR_K_MAX_NEST + 4];
  int depth;
  int barrier;  // number of the one it waits at
  int64_t wait_index[IR_WARP];
  int64_t wait_parity[IR_WARP];
  uint32_t *clocks;
  uint32_t synced;               // accesses up to this clock are ordered for all of its threads
  uint32_t fenced[IR_WARP];      // writes up to this clock are seen by tma_store and wgmma
  ir_kw_copies async[IR_WARP];   // cp.async
  ir_kw_copies stores[IR_WARP];  // tma_store
  ir_kw_copies products;         // wgmma: what they read
  ir_kw_copies results;          // wgmma: vectors of their registers, offset and number
  uint8_t *busy, *dirty;         // by vector: in use by a wgmma (1: result, 2: factor); set since the last fence
} ir_kw_warp;

typedef struct {
  int64_t item;
  char *shared;
  ir_kw_cell *cells;
  ir_kw_mbarrier *mbarriers;             // those of all buffers
  ir_kw_barrier barriers[16], group[8];  // group: what warpgroups do together
} ir_kw_block;

typedef struct {
  const ir_kw_stmt *stmt;
  int block, signal_block;  // where it writes, and the mbarrier stands
  uint32_t offset, mbarrier;
  int64_t bytes;  // of a bulk copy
  const char *from;
  int64_t coords[IR_KMAP_MAX_RANK];
} ir_kw_transfer;

typedef struct {
  const ir_kernel *kernel;
  weir_arena *arena;
  const ir_kinterpret_options *options;
  ir_kw_code code;
  ir_ki_memory *buffers;
  uint32_t *offsets;  // by buffer: bytes in shared memory; of mbarriers: number of the first
  uint32_t shared_bytes;
  int mbarrier_count, warps, blocks, warp_count, clock_count;  // |warps| a block, |warp_count| together
  int64_t map_dims[IR_KB_MAX_MAPS][IR_KMAP_MAX_RANK], map_strides[IR_KB_MAX_MAPS][IR_KMAP_MAX_RANK];
  int64_t map_offset[IR_KB_MAX_MAPS];
  ir_kw_block *block;
  ir_kw_warp *warp;  // of all blocks of the cluster
  uint32_t *masks;
  ir_kw_reader *readers;  // vectors by warp of the cluster
  uint32_t reader_count, reader_capacity;
  ir_kw_transfer *transfers;  // a queue
  int transfer_first, transfer_count, transfer_capacity;
  ir_kw_barrier cluster;
  void *factors;  // room of kernel_block_matrix.c
  uint64_t steps;
  weir_status status;
} ir_kw_machine;

static inline ir_ki_value *ir_kw_vector(const ir_kw_machine *m, const ir_kw_warp *w, ir_kw_ref ref) {
  if (ref < 0) return w->vars + (size_t)~ref * IR_WARP;
  bool is_const = ref >= IR_KW_CONST;
  return (is_const ? m->code.consts : m->code.temps) + (size_t)(is_const ? ref - IR_KW_CONST : ref) * IR_WARP;
}
// The value of register |i| of |r| in thread |lane|.
static inline ir_ki_value *ir_kw_register(const ir_kw_machine *m, const ir_kw_warp *w, const ir_kw_regs *r, int i,
                                          int lane) {
  int64_t at = r->first + i + (r->element == IR_KW_NONE ? 0 : ir_kw_vector(m, w, r->element)[lane].i);
  return w->vars + at * IR_WARP + lane;
}
static inline int ir_kw_thread(const ir_kw_machine *m, const ir_kw_warp *w, int lane) {
  return (w->block * m->warps + w->number) * IR_WARP + lane;
}
static inline bool ir_kw_has(uint32_t mask, int lane) { return mask >> lane & 1; }

// All below give false where the kernel did wrong: m->status says what, once.
bool ir_kw_fail(ir_kw_machine *m, const ir_kw_warp *w, const char *fmt, ...) WEIR_PRINTF(3, 4);
bool ir_kw_steps(ir_kw_machine *m, uint64_t count);  // counts them against the limit

// kernel_block_eval.c: the expressions of w->at.
bool ir_kw_eval(ir_kw_machine *m, ir_kw_warp *w);

// kernel_block_shared.c
typedef enum { IR_KW_READS, IR_KW_WRITES, IR_KW_ATOMIC } ir_kw_access;
// The bytes of |count| elements at |at| for |lane|, aligned to |align| bytes; records the access where they are shared.
bool ir_kw_touch(ir_kw_machine *m, ir_kw_warp *w, const ir_kw_place *at, int lane, int count, int align,
                 ir_kw_access access, char **out);
// The place in the block's shared memory of |bytes| bytes.
bool ir_kw_shared_offset(ir_kw_machine *m, ir_kw_warp *w, const ir_kw_place *at, int lane, int64_t bytes, int align,
                         uint32_t *out);
bool ir_kw_record(ir_kw_machine *m, ir_kw_warp *w, int block, int buffer, uint32_t offset, uint32_t bytes, int lane,
                  ir_kw_access access);
// A copy begins to write there on behalf of |lane|; it is complete, by thread or agent |writer| at |clock|.
bool ir_kw_copy_begins(ir_kw_machine *m, ir_kw_warp *w, int block, int buffer, uint32_t offset, uint32_t bytes,
                       int lane);
void ir_kw_copy_ends(ir_kw_machine *m, int block, uint32_t offset, uint32_t bytes, int writer, uint32_t clock);
// Something reads there from now on, until told otherwise, on behalf of |lane|; without the generic accesses' fence.
bool ir_kw_reading_begins(ir_kw_machine *m, ir_kw_warp *w, int buffer, uint32_t offset, uint32_t bytes, int lane);
bool ir_kw_reading_ends(ir_kw_machine *m, ir_kw_warp *w, uint32_t offset, uint32_t bytes, int lane);
// Whether what |thread| did at |clock| comes before what thread |self| of |w| does now.
bool ir_kw_is_before(const ir_kw_machine *m, const ir_kw_warp *w, int self, int thread, uint32_t clock);
void ir_kw_join(const ir_kw_machine *m, uint32_t *clocks, const uint32_t *other);
void ir_kw_copies_add(weir_arena *arena, ir_kw_copies *c, uint32_t offset, uint32_t bytes);

// kernel_block_async.c
bool ir_kw_async(ir_kw_machine *m, ir_kw_warp *w);
bool ir_kw_async_wait(ir_kw_machine *m, ir_kw_warp *w);
bool ir_kw_mbarrier_op(ir_kw_machine *m, ir_kw_warp *w);     // all but wait
bool ir_kw_mbarrier_wait(ir_kw_machine *m, ir_kw_warp *w);   // sets the state to AT_MBARRIER if it has to
bool ir_kw_mbarrier_poll(ir_kw_machine *m, ir_kw_warp *w);   // whether it may go on
bool ir_kw_transfer_start(ir_kw_machine *m, ir_kw_warp *w);  // TMA, BULK
bool ir_kw_transfer_finish(ir_kw_machine *m);                // the oldest one
bool ir_kw_tma_store(ir_kw_machine *m, ir_kw_warp *w);
bool ir_kw_tma_wait(ir_kw_machine *m, ir_kw_warp *w);

// kernel_block_matrix.c
bool ir_kw_mma(ir_kw_machine *m, ir_kw_warp *w);
bool ir_kw_matrix_move(ir_kw_machine *m, ir_kw_warp *w);
bool ir_kw_wgmma(ir_kw_machine *m, ir_kw_warp *w);
bool ir_kw_wgmma_wait(ir_kw_machine *m, ir_kw_warp *w);
// Whether the warp may read, or set, these vectors now (and that they are set); where |busy| is there.
bool ir_kw_use(ir_kw_machine *m, ir_kw_warp *w, int first, int count, bool sets);
bool ir_kw_use_regs(ir_kw_machine *m, ir_kw_warp *w, const ir_kw_regs *r, int count, bool sets);

// kernel_block_run.c. Like ir_kernel_interpret_options, of a verified block kernel.
weir_status ir_kw_run(weir_arena *arena, const ir_kernel *kernel, void *const *args, const size_t *arg_bytes,
                      const int64_t *sizes, int64_t begin, int64_t end, const ir_kinterpret_options *options);

#endif
