// Sessions as the executor sees them: storage of the model's states, and how many rows are in use.
//
// A row state is one contiguous block of |capacity| rows, row p for position p of its symbol; a fixed state is one
// block. A step writes new rows behind the committed ones, where nobody reads them, and fixed states in place after a
// copy was put aside; so nothing has happened until rt_session_commit, and rt_session_revert undoes the rest. A state
// with a window keeps its old rows: the window limits what kernels read.
#ifndef WEIR_RUNTIME_STATE_SESSION_H
#define WEIR_RUNTIME_STATE_SESSION_H

#include "runtime/exec/exec_internal.h"

typedef struct {
  void *memory;  // as allocated
  size_t memory_bytes;
  uint8_t *data;  // first row, or the block
} rt_state_storage;

struct weir_session {
  weir_model *model;
  weir_pool pool;  // everything but this struct and the storage of row states
  atomic_int busy;
  int64_t *rows;      // committed, of each growing symbol
  int64_t *new_rows;  // of the step under way
  int64_t *capacity;
  rt_state_storage *storage;  // of each state of the model
  uint8_t *fixed, *saved;     // all fixed states together, and their copy
  size_t fixed_bytes;
};

// False if a call is using the session.
bool rt_session_claim(weir_session *session);

// Rows before this call of each symbol of the entry's program; zeros for a null session.
void rt_session_past(const weir_session *session, const weir_entry *entry, int64_t *out_past);
// OUT_OF_RANGE if there is no room for |values| more rows.
weir_status rt_session_room(const weir_session *session, const weir_entry *entry, int index,
                            const int64_t *values) WEIR_MUST_USE;
// Storage of state |state| of the model.
void *rt_session_state(const weir_session *session, int state);
// Of the states that the entry names, with the committed rows.
int64_t rt_session_bytes(const weir_session *session, const weir_entry *entry);

// Around a step, on a claimed session. |values|: rows of the step, of each symbol of the entry's program.
void rt_session_begin(weir_session *session, const weir_entry *entry, const int64_t *values);
void rt_session_revert(weir_session *session);
void rt_session_commit(weir_session *session);

// Writes |bytes| of elements with the value |initial|.
void rt_state_fill(void *data, int64_t bytes, rt_dtype dtype, double initial);

#endif
