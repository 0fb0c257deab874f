// What the files of the kernel IR's printer and of its reader share: kernel_print.c and kernel_parse.c hold the
// language of item kernels and the expressions, kernel_block_print.c and kernel_block_parse.c what block kernels add.
#ifndef WEIR_IR_KERNEL_TEXT_H
#define WEIR_IR_KERNEL_TEXT_H

#include "ir/kernel_block.h"
#include "ir/kernel_internal.h"
#include "ir/text_buffer.h"

// ---- printing
typedef struct {
  const void *what;  // variable, buffer or map; null for a size
  const char *name, *base;
  int number;
} ir_kvisible;

typedef struct {
  weir_arena *arena;
  ir_text text;
  const ir_kernel *kernel;
  ir_kvisible *names;
  int name_count, name_capacity;
  const void *mark;
  const char *complaint;
  size_t mark_start, mark_end;
} ir_kprinter;

// A name for |what| that is new among the visible ones; the name it has.
const char *ir_kp_declare(ir_kprinter *p, const void *what, const char *name);
const char *ir_kp_name_of(const ir_kprinter *p, const void *what, const char *otherwise);
const char *ir_kp_buffer_name(const ir_kprinter *p, int index);
// |level|: operators of this level and below need parentheses.
void ir_kp_expr(ir_kprinter *p, const ir_kexpr *e, int level);
void ir_kp_args(ir_kprinter *p, const ir_kexpr *const *args, int count, const char *open, const char *close);
void ir_kp_element(ir_kprinter *p, int buffer, ir_ktype type, const ir_kexpr *index, const ir_kexpr *request);

// The line of a block operation without its end; the lines of a map, and of threads and cluster.
void ir_kp_block(ir_kprinter *p, const ir_kblock *block);
void ir_kp_map(ir_kprinter *p, const ir_kmap *map);
void ir_kp_threads(ir_kprinter *p);

// ---- reading
typedef enum { IR_KNAME_SIZE, IR_KNAME_BUFFER, IR_KNAME_VAR, IR_KNAME_MAP } ir_kname_kind;
typedef struct {
  const char *name;  // as written, number included
  ir_kname_kind kind;
  int buffer;  // or map
  const ir_kexpr *size;
  ir_kvar *var;
} ir_kentry;

typedef struct {
  weir_arena *arena;
  const char *at, *end;
  int line;        // of the cursor
  int token_line;  // of the last token read
  int failed_line;
  ir_kbuilder b;
  ir_kentry *names;
  int name_count, name_capacity;
  int nest;
  bool failed;
  char message[256];
} ir_kparser;

// Both give false; the first message stays.
bool ir_kr_fail(ir_kparser *p, const char *fmt, ...) WEIR_PRINTF(2, 3);
bool ir_kr_fail_expected(ir_kparser *p, const char *what);  // something else stands at the cursor

bool ir_kr_peek(ir_kparser *p, const char *token);
bool ir_kr_accept(ir_kparser *p, const char *token);
bool ir_kr_expect(ir_kparser *p, const char *token);
bool ir_kr_accept_word(ir_kparser *p, const char *word);
bool ir_kr_word(ir_kparser *p, const char *word);               // expects it
const char *ir_kr_name(ir_kparser *p);                          // null if there is none
const char *ir_kr_plain_name(ir_kparser *p, const char *name);  // without its number
int64_t ir_kr_int(ir_kparser *p, int64_t lo, int64_t hi);
ir_ktype ir_kr_type(ir_kparser *p);
ir_kentry *ir_kr_find(ir_kparser *p, const char *name);
bool ir_kr_declare(ir_kparser *p, ir_kentry e);
bool ir_kr_declare_var(ir_kparser *p, const char *name, ir_kvar *var);
int ir_kr_buffer(ir_kparser *p);
const ir_kexpr *ir_kr_expr(ir_kparser *p, int level);
// "(a, b, c)": the number of arguments.
int ir_kr_args(ir_kparser *p, const ir_kexpr **args, int capacity, const char *open, const char *close);
// "[index]" or "[request; index]" behind a buffer and its type.
void ir_kr_element(ir_kparser *p, const ir_kexpr **out_request, const ir_kexpr **out_index);

// A statement of block kernels whose word stands at the cursor; false without failure if none does. The value of an
// atomic operation behind "let NAME: TYPE =".
bool ir_kr_block(ir_kparser *p);
bool ir_kr_atomic_value(ir_kparser *p, const char *name, ir_ktype type);
// The lines `map ...` behind the word, and `threads ...`, `cluster ...` behind the grid, if they are there.
bool ir_kr_map(ir_kparser *p);
bool ir_kr_threads(ir_kparser *p);

#endif
