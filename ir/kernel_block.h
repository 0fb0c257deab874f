// Block kernels: kernels whose item is one thread block of a GPU, written in the machine's own terms.
//
// A kernel with |threads| > 0 is one. All threads of the block run its body; range variables, values and registers are
// one per thread, and |thread_var| is the thread's number. There are no `lanes` ranges, reductions, matdots and local
// buffers. What the item kernels know (for, unroll, tiles, if, let, reg, set, load, store, prefetch) means the same,
// per thread; below is what comes on top, one statement kind (IR_KS_BLOCK) with an operation of its own.
//
// Meaning (ir_kernel_interpret): the threads of a warp run in lock step under a mask, warps in turns. Errors there:
// - a barrier, shuffle, vote, mma, ldmatrix, wgmma that not all the threads it needs reach together;
// - shared memory read before it is written, or touched by two threads, one of them writing, with nothing between that
//   orders them (a barrier both take part in; within a warp barrier_warp);
// - shared memory read before the copy into it is complete: `wait` not reached, or no barrier behind it where another
//   thread reads; an mbarrier's phase not awaited;
// - registers of a wgmma used before its `wgmma wait`;
// - an access outside of a buffer, or not aligned to its width.
// Shared buffers start at multiples of 1024 bytes. Only lowering for the cuda target makes such kernels.
#ifndef WEIR_IR_KERNEL_BLOCK_H
#define WEIR_IR_KERNEL_BLOCK_H

#include "ir/kernel.h"

enum { IR_WARP = 32, IR_KB_MAX_THREADS = 1024, IR_KB_MAX_SHARED = 232448, IR_KMAP_MAX_RANK = 5, IR_KB_MAX_MAPS = 8 };
enum { IR_KB_MAX_ALGORITHM = 15 };  // of a library

// What the fragments of a matrix operation hold. Thread l of the warp, g = l / 4, q = l % 4; words are u32, the lower
// half (byte) first:
//   bf16, f16  m16n8k16  a[0..3]: A[g + 8 (i % 2)][2q + 8 (i / 2) + 0, 1]     b[0..1]: B[2q + 8 i + 0, 1][g]
//   tf32       m16n8k8   a[0..3]: A[g + 8 (i % 2)][q + 4 (i / 2)]             b[0..1]: B[q + 4 i][g]
//   s8, e4m3   m16n8k32  a[0..3]: A[g + 8 (i % 2)][4q + 16 (i / 2) + 0..3]    b[0..1]: B[4q + 16 i + 0..3][g]
//   all        c[0..3]: C[g + 8 (i / 2)][2q + i % 2], f32 (s8: i32, exact and wrapping)
// C += A B. The sum of one operation is exact, added to C, then rounded to f32; tf32 takes the upper 19 bits of f32.
typedef enum { IR_KMMA_bf16, IR_KMMA_f16, IR_KMMA_tf32, IR_KMMA_s8, IR_KMMA_e4m3, IR_KMMA_COUNT } ir_kmma;

// How long the caches should hold what is read or written: no wish, not at all, as long as they can.
typedef enum { IR_KHINT_NONE, IR_KHINT_STREAM, IR_KHINT_KEEP } ir_khint;

// An element of a buffer, |index| in units of |type|; |request| of tables, else null.
typedef struct {
  int buffer;
  ir_ktype type;
  const ir_kexpr *index, *request;
} ir_kplace;

// Consecutive elements of a register array from this one on (row-major); they stay within its last dim.
typedef struct {
  ir_kvar *var;  // null: none
  int index_count;
  const ir_kexpr *indices[3];
} ir_kregs;

typedef enum {
  // ---- sm_80
  IR_KO_BARRIER,         // barrier            all threads; or `barrier ID, THREADS`: |value| 1..15, |number| threads
  IR_KO_BARRIER_ARRIVE,  // barrier_arrive ID, THREADS    counts as THREADS' part of that barrier without waiting
  IR_KO_BARRIER_WARP,    // barrier_warp       orders the memory accesses of the warp's threads; all of them
  IR_KO_ASYNC,           // async TO = FROM bytes N when C    |number| bytes (4, 8, 16) from global to shared memory;
                         //                    where |condition| (null: true) is false zeros, and FROM may be anywhere
  IR_KO_COMMIT,          // commit             the thread's copies since the last one become a group
  IR_KO_WAIT,            // wait N             until |number| youngest groups of this thread at most are outstanding
  IR_KO_READ,      // read C x N = FROM HINT    |number| elements at once, of 16 bytes together at most, aligned to
                   //                    them all (1, 2, 4, 8 or 16 bytes); registers have the type, f32 for f16,
                   //                    bf16 and the f8
  IR_KO_WRITE,     // write TO = C x N HINT
  IR_KO_LDMATRIX,  // ldmatrix C x N = FROM    |number| (1, 2, 4) 8x8 matrices of 16 bit, shared; thread 8 i + r
                   //                    gives the place of row r of matrix i, 16 bytes, aligned; register i of
                   //                    thread l is the word [l / 4][l % 4] of matrix i. ldmatrix.trans: the
                   //                    halves [2 (l % 4) + 0, 1][l / 4]
  IR_KO_MMA,       // mma KIND C, A, B   see ir_kmma
  IR_KO_ATOMIC,    // atomic add TO = E  |combine| add, min or max; i32 and u32, global or shared.
                   //                    let V: T = atomic_add(TO, E): |var| is what stood there
  IR_KO_FENCE,     // fence              earlier accesses of this thread are seen by the device before later ones
  IR_KO_LAUNCH_DEPENDENTS,  // launch_dependents    the next kernel of the stream may start; no effect when interpreted
  IR_KO_WAIT_DEPENDENCIES,  // wait_dependencies    until the kernels before are complete; likewise
  // ---- sm_90a
  IR_KO_BARRIER_CLUSTER,  // barrier_cluster    all threads of the cluster's blocks
  IR_KO_FENCE_ASYNC,      // fence_async        this thread's writes to shared memory are seen by later tma, tma_store
                          //                    and wgmma (of others: after a barrier)
  IR_KO_STMATRIX,         // stmatrix TO = C x N    the inverse of ldmatrix; stmatrix.trans
  IR_KO_MBARRIER_INIT,    // mbarrier init B, N     |to| is the mbarrier, type i64; N = |value| arrivals a phase
  IR_KO_MBARRIER_EXPECT,  // mbarrier expect B, N   one arrival, and the phase lasts until N = |value| more bytes came
  IR_KO_MBARRIER_ARRIVE,  // mbarrier arrive B      of block |value| of the cluster (`at RANK`); null: the own
  IR_KO_MBARRIER_WAIT,    // mbarrier wait B, P     until the phase of parity P = |value| is complete: the first has 0
  IR_KO_BULK,             // bulk TO = FROM bytes N signal B    N = |value| contiguous bytes, multiple of 16, aligned 16
  IR_KO_TMA,              // tma TO = M[C0, C1 ..] signal B multicast MASK HINT    the box of map |map| at |coords|, see
                          //                    ir_kmap; |signal| the mbarrier; MASK = |value|, bits of the cluster's
                          //                    blocks that get it at the same place of theirs, null: the own alone
  IR_KO_TMA_STORE,        // tma_store M[C0, C1 ..] = FROM    what lies outside of the tensor is left out
  IR_KO_TMA_COMMIT,       // tma_commit         the thread's tma_stores since the last one become a group
  IR_KO_TMA_WAIT,         // tma_wait N         until all but |number| youngest groups have read their shared memory
  IR_KO_WGMMA,            // wgmma KIND n N C adds E = A, B   see ir_kwgmma
  IR_KO_WGMMA_FENCE,      // wgmma fence        registers and shared memory written before are there for later ones
  IR_KO_WGMMA_COMMIT,     // wgmma commit       the wgmmas since the last one become a group
  IR_KO_WGMMA_WAIT,       // wgmma wait N       until |number| youngest groups at most are outstanding
  IR_KO_REGISTERS,        // registers up N, registers down N    |number| registers a thread (24..256, multiple of 8)
                          //                    from here on, for all warps of the warpgroup; |up|
  IR_KO_COUNT
} ir_kblock_op;

// A factor of wgmma in shared memory, as a tma with the same swizzle writes it: rows of |swizzle| bytes (32, 64, 128),
// one behind the other; |at| is the place, before swizzling, of its first element. Rows run along m (or n) and hold k;
// with |trans| (16-bit types only) rows run along k and hold |swizzle| bytes of m (or n), and the next |swizzle| bytes
// of it are |stride| bytes further. Byte address x of shared memory is found at x ^ ((x >> 7 & swizzle / 16 - 1) << 4).
typedef struct {
  ir_kplace at;
  int swizzle;
  bool trans;
  int64_t stride;
} ir_kwgmma;

// C (64 x n) = (E ? C : 0) + A (64 x k) B (k x n), k of 32 bytes, by the four warps of a warpgroup (warp number a
// multiple of 4 and the three behind it). Registers of thread l of its warp w: c[n / 2], c[4 j + i] = C[16 w + l / 4 +
// 8 (i / 2)] [8 j + 2 (l % 4) + i % 2]; A from registers (|a_regs|): the fragment of mma of rows 16 w .. 16 w + 15. n
// is a multiple of 8 (s8: 8, 24 or multiples of 16) up to 256.

// A tensor map: |dims| of |type|, innermost first, at byte |offset| of |buffer|; dim i > 0 is |strides[i]| elements
// apart (null: contiguous). A copy moves a box of |box| elements from coordinates on; what is outside reads as zeros.
// In shared memory the box is contiguous, then swizzled as above, its first dim being |swizzle| bytes long (0: as it
// is, a multiple of 16).
typedef struct ir_kmap {
  const char *name;
  int buffer;
  ir_ktype type;
  int rank;
  const ir_kexpr *offset;  // bytes, or null; in terms of sizes, as |dims| and |strides|
  const ir_kexpr *dims[IR_KMAP_MAX_RANK], *strides[IR_KMAP_MAX_RANK];
  int box[IR_KMAP_MAX_RANK];
  int swizzle;  // 0, 32, 64, 128
} ir_kmap;

typedef struct ir_kblock {
  ir_kblock_op op;
  ir_kmma kind;        // MMA, WGMMA
  ir_khint hint;       // READ, WRITE, ASYNC, TMA
  bool trans;          // LDMATRIX, STMATRIX
  bool up;             // REGISTERS
  int number;          // see above; WGMMA: n
  ir_kplace to, from;  // ASYNC, READ (from), WRITE (to), LDMATRIX (from), STMATRIX (to), ATOMIC (to), BULK, TMA (to),
                       // TMA_STORE (from), MBARRIER_* (to)
  ir_kplace signal;    // BULK, TMA
  ir_kregs c, a, b;    // READ, WRITE, LDMATRIX, STMATRIX: c. MMA. WGMMA: c, and a where the factor is in registers
  ir_kwgmma shared_a, shared_b;              // WGMMA
  const ir_kexpr *value;                     // BARRIER, ATOMIC, MBARRIER_*, BULK, TMA
  const ir_kexpr *condition;                 // ASYNC; WGMMA: E
  ir_kop combine;                            // ATOMIC
  ir_kvar *var;                              // ATOMIC: a value, or null
  int map;                                   // TMA, TMA_STORE
  const ir_kexpr *coords[IR_KMAP_MAX_RANK];  // i64, innermost first
} ir_kblock;

// What a kernel asks of a machine. Bits; 0: an item kernel, or a block kernel that any sm_80 runs.
typedef enum {
  IR_KNEEDS_BLOCK = 1,    // a block kernel
  IR_KNEEDS_SM_89 = 2,    // mma e4m3
  IR_KNEEDS_SM_90A = 4,   // anything of the sm_90a set
  IR_KNEEDS_CLUSTER = 8,  // launched as clusters
  IR_KNEEDS_MAPS = 16,    // tensor maps behind the arguments
  IR_KNEEDS_PDL = 32,     // launch_dependents or wait_dependencies: nothing where a machine lacks them
} ir_kneeds;
unsigned ir_kernel_needs(const ir_kernel *kernel);
// Bytes of all shared buffers and mbarriers, each from a multiple of 1024 (mbarriers: 8) on.
int64_t ir_kernel_shared_bytes(const ir_kernel *kernel);
const char *ir_kblock_word(ir_kblock_op op);  // the word or words that the statement begins with
int ir_kmma_a_regs(ir_kmma kind);             // u32 registers of fragment A a thread; B has 2, C 4
int ir_kmma_k(ir_kmma kind);                  // elements along k
ir_ktype ir_kmma_type(ir_kmma kind);          // of an element in memory
const char *ir_kmma_name(ir_kmma kind);
ir_ktype ir_kregs_type(ir_ktype type);  // of registers that hold elements of |type|
// Every expression of |block| in a fixed order, up to IR_KBLOCK_MAX_EXPRS; returns how many.
enum { IR_KBLOCK_MAX_EXPRS = 40 };
int ir_kblock_exprs(const ir_kblock *block, const ir_kexpr **out_exprs);

// ---- building. Head first; statements go to the end of the open list, as in ir/kernel.h.
// |threads|: a multiple of 32 up to 1024. |resident|: blocks that a multiprocessor should hold at once, 0: no wish.
const ir_kexpr *ir_kb_set_threads(ir_kbuilder *b, const char *name, int threads, int resident);  // returns the thread
void ir_kb_set_library(ir_kbuilder *b, int64_t outs, int64_t cols, int algorithm);               // see ir_kernel
void ir_kb_set_cluster(ir_kbuilder *b, int blocks);  // items in groups of so many run together: 2, 4, 8
int ir_kb_add_shared(ir_kbuilder *b, const char *name, int64_t bytes);
int ir_kb_add_mbarriers(ir_kbuilder *b, const char *name, int count);
int ir_kb_add_map(ir_kbuilder *b, const ir_kmap *map);  // copies; returns its number

ir_kplace ir_kb_place(int buffer, ir_ktype type, const ir_kexpr *index);
ir_kplace ir_kb_place_table(int buffer, ir_ktype type, const ir_kexpr *request, const ir_kexpr *index);
ir_kregs ir_kb_regs(ir_kvar *var, const ir_kexpr *i, const ir_kexpr *j, const ir_kexpr *k);  // indices may be null

const ir_kexpr *ir_kb_shuffle_xor(ir_kbuilder *b, const ir_kexpr *x, int distance);
const ir_kexpr *ir_kb_shuffle_down(ir_kbuilder *b, const ir_kexpr *x, int distance);
const ir_kexpr *ir_kb_shuffle(ir_kbuilder *b, const ir_kexpr *x, const ir_kexpr *lane);
const ir_kexpr *ir_kb_any(ir_kbuilder *b, const ir_kexpr *condition);
const ir_kexpr *ir_kb_all(ir_kbuilder *b, const ir_kexpr *condition);

void ir_kb_barrier(ir_kbuilder *b);
void ir_kb_barrier_named(ir_kbuilder *b, const ir_kexpr *id, int threads);
void ir_kb_barrier_arrive(ir_kbuilder *b, const ir_kexpr *id, int threads);
void ir_kb_barrier_warp(ir_kbuilder *b);
void ir_kb_async(ir_kbuilder *b, ir_kplace to, ir_kplace from, int bytes, const ir_kexpr *condition, ir_khint hint);
void ir_kb_commit(ir_kbuilder *b);
void ir_kb_wait(ir_kbuilder *b, int outstanding);
void ir_kb_read_vector(ir_kbuilder *b, ir_kregs to, int count, ir_kplace from, ir_khint hint);
void ir_kb_write_vector(ir_kbuilder *b, ir_kplace to, ir_kregs from, int count, ir_khint hint);
void ir_kb_ldmatrix(ir_kbuilder *b, ir_kregs to, int matrices, ir_kplace from, bool trans);
void ir_kb_stmatrix(ir_kbuilder *b, ir_kplace to, ir_kregs from, int matrices, bool trans);
void ir_kb_mma(ir_kbuilder *b, ir_kmma kind, ir_kregs c, ir_kregs a, ir_kregs b_regs);
void ir_kb_atomic(ir_kbuilder *b, ir_kop combine, ir_kplace to, const ir_kexpr *value);
const ir_kexpr *ir_kb_atomic_old(ir_kbuilder *b, const char *name, ir_kop combine, ir_kplace to, const ir_kexpr *value);
void ir_kb_fence(ir_kbuilder *b);
void ir_kb_launch_dependents(ir_kbuilder *b);
void ir_kb_wait_dependencies(ir_kbuilder *b);

void ir_kb_barrier_cluster(ir_kbuilder *b);
void ir_kb_fence_async(ir_kbuilder *b);
void ir_kb_mbarrier_init(ir_kbuilder *b, int buffer, const ir_kexpr *index, const ir_kexpr *count);
void ir_kb_mbarrier_expect(ir_kbuilder *b, int buffer, const ir_kexpr *index, const ir_kexpr *bytes);
void ir_kb_mbarrier_arrive(ir_kbuilder *b, int buffer, const ir_kexpr *index,
                           const ir_kexpr *rank);  // rank may be null
void ir_kb_mbarrier_wait(ir_kbuilder *b, int buffer, const ir_kexpr *index, const ir_kexpr *parity);
void ir_kb_bulk(ir_kbuilder *b, ir_kplace to, ir_kplace from, const ir_kexpr *bytes, int signal,
                const ir_kexpr *signal_index);
// |coords|: as many as the map has dims.
void ir_kb_tma(ir_kbuilder *b, ir_kplace to, int map, const ir_kexpr *const *coords, int signal,
               const ir_kexpr *signal_index, const ir_kexpr *multicast, ir_khint hint);
void ir_kb_tma_store(ir_kbuilder *b, int map, const ir_kexpr *const *coords, ir_kplace from);
void ir_kb_tma_commit(ir_kbuilder *b);
void ir_kb_tma_wait(ir_kbuilder *b, int outstanding);
// |adds| null: C is added to. |a_regs| or |a|, the other null.
void ir_kb_wgmma(ir_kbuilder *b, ir_kmma kind, int n, ir_kregs c, const ir_kexpr *adds, const ir_kregs *a_regs,
                 const ir_kwgmma *a, const ir_kwgmma *b_shared);
void ir_kb_wgmma_fence(ir_kbuilder *b);
void ir_kb_wgmma_commit(ir_kbuilder *b);
void ir_kb_wgmma_wait(ir_kbuilder *b, int outstanding);
void ir_kb_registers(ir_kbuilder *b, bool up, int count);

#endif
