// What the files of the kernel verifier share: kernel_verify.c holds the rules of all kernels, kernel_block_verify.c
// those of the operations of block kernels.
#ifndef WEIR_IR_KERNEL_VERIFY_H
#define WEIR_IR_KERNEL_VERIFY_H

#include "ir/kernel_block.h"
#include "ir/kernel_internal.h"

enum { IR_KV_SEEN = 1024 };

typedef struct {
  const ir_kvar *var;  // null: no variable of this id was declared
  bool visible;
  int lanes_depth;             // of the place where it was declared
  bool is_static;              // tile sizes and unrolled variables: constants in each printed copy
  const ir_kstmt *reduced_in;  // register: the lanes range that reduces into it
  ir_kop combine;              // by which operation
  const ir_kexpr *expr;        // value: what it is, null where it comes from memory
} ir_kvar_state;

typedef struct {
  const ir_kernel *kernel;
  weir_arena *arena;
  ir_kvar_state *vars;  // by id
  int lanes_depth;
  const ir_kstmt *lanes[IR_K_MAX_NEST + 1];  // open lanes ranges
  int if_count;
  const ir_kstmt *ifs[IR_K_MAX_NEST + 2];  // open ifs
  bool in_else[IR_K_MAX_NEST + 2];         // by open if
  const void *mark;
  const ir_kstmt *matdot;            // the first one
  bool sizes_only;                   // in the head: no variables, no loads
  bool of_warp;                      // an expression of this statement needs the whole warp
  int64_t own_bytes;                 // of LOCAL and CONST buffers
  const ir_kexpr *seen[IR_KV_SEEN];  // expressions of this statement that passed
  char complaint[200];
} ir_kchecker;

// All checks say whether it is well; a complaint is kept by the first that fails.
bool ir_kv_bad(ir_kchecker *c, const char *fmt, ...) WEIR_PRINTF(2, 3);
ir_kvar_state *ir_kv_state_of(ir_kchecker *c, const ir_kvar *var);  // null if it was not declared
bool ir_kv_index(ir_kchecker *c, const ir_kexpr *index, const char *what);
bool ir_kv_value(ir_kchecker *c, const ir_kexpr *e, ir_ktype type);
// A read or set of |var| with these indices.
bool ir_kv_var_use(ir_kchecker *c, const ir_kvar *var, const ir_kexpr *const *indices, int count);
// The buffer of a load or store with its element index.
bool ir_kv_access(ir_kchecker *c, int buffer, const ir_kexpr *index, const ir_kexpr *request);
bool ir_kv_declare(ir_kchecker *c, const ir_kvar *var, ir_kvar_kind kind);

// kernel_block_verify.c: a block operation; threads, cluster, maps and shared memory of the head, declaring the thread;
// whether the threads that |ifs| let through are whole groups of |group|, where they can be known.
bool ir_kv_block(ir_kchecker *c, const ir_kstmt *s);
bool ir_kv_block_head(ir_kchecker *c);
bool ir_kv_uniform(ir_kchecker *c, int group, const char *what);

#endif
