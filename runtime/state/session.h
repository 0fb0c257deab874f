// Sessions as the executor sees them: storage of the model's states, and how many rows are in use.
//
// Of a state with all its rows row p of the storage is position p of its symbol; where rows lie in panels, storage is
// whole panels, and begins at a multiple of their rows. One with a window keeps the last window - 1 rows: they lie
// somewhere in a longer block and move to its front only when they have come far, so that a step costs what its own
// rows cost. A fixed state is one block. A state that is replaced as a whole has two blocks: what is read and what a
// step writes.
//
// States lie where the model's device has its memory: bytes move by queues (runtime/exec/device.h), those of a step on
// the executor's, others on the model's. Where memory costs something before it is written, storage of growing rows
// begins small and doubles in the step that needs it.
//
// A step writes new rows behind the committed ones, where nobody reads them, fixed states in place after a copy was put
// aside, and whole ones into the other block; so nothing has happened until rt_session_commit, and rt_session_revert
// undoes the rest.
#ifndef WEIR_RUNTIME_STATE_SESSION_H
#define WEIR_RUNTIME_STATE_SESSION_H

#include "runtime/exec/exec_internal.h"

typedef struct {
  uint8_t *memory;  // as allocated
  size_t memory_bytes;
  uint8_t *data;  // first row, or the block
  int64_t room;   // rows that it has memory for
  int64_t base;   // with a window: position of the first row; panels: it stands in the first one
  int64_t held;   // whole: rows; fixed: 1; -1: nobody has written it yet
} rt_state_storage;

struct weir_session {
  weir_model *model;
  weir_pool pool;  // everything but this struct and the storage of states of rows
  atomic_int busy;
  int64_t *rows;      // committed, of each growing symbol
  int64_t *new_rows;  // of the step under way
  int64_t *capacity;
  rt_state_storage *storage;  // of each state of the model
  rt_state_storage *other;    // whole states: where the step under way writes, and how many rows
  bool *written;              // by the step under way: whole states, and fixed ones without an initial value
  uint8_t *fixed, *saved;     // all fixed states together, and their copy
  size_t fixed_bytes;         // of |saved|; |fixed| has slack behind it
};

// False if a call is using the session.
bool rt_session_claim(weir_session *session);

// Rows before this call of each symbol of the entry's program; of a stored symbol its value, -1 if it has none. Zeros
// for a null session.
void rt_session_past(const weir_session *session, const weir_entry *entry, int64_t *out_past);
// rt_session_past for a session that a caller names without running it. INVALID_ARGUMENT: another model's, no step
// goes on with it, or it lacks what the entry reads; null where only a session says the value of a symbol.
weir_status rt_session_look(const weir_session *session, const weir_entry *entry, int index,
                            int64_t *out_past) WEIR_MUST_USE;
// INVALID_ARGUMENT if the entry reads a state that no step has written yet, or whose rows are not what the values say
// (RT_MAX_VALUES of them; null: not asked).
weir_status rt_session_ready(const weir_session *session, const weir_entry *entry, int index,
                             const int64_t *values) WEIR_MUST_USE;
// OUT_OF_RANGE if there is no room for |values| more rows.
weir_status rt_session_room(const weir_session *session, const weir_entry *entry, int index,
                            const int64_t *values) WEIR_MUST_USE;
// Rows (or 1) of a state of the program that a call needs memory for: those before and its own, to whole panels.
// |values| as above. False on overflow.
bool rt_state_rows(const rt_program *program, const rt_state *state, const int64_t *values, int64_t *out_rows);
// Without a session the rows of all requests stand in one block: where those of request |requests| begin, |rows| before
// it. Panels are of one request alone: rows / RT_PANEL_ROWS + requests of them never reach into the next.
int64_t rt_state_packed(const rt_state *state, int64_t rows, int64_t requests);
// Where a launch finds state |state| of the entry's program.
void *rt_session_state(const weir_session *session, const weir_entry *entry, int state);
// Of the states that the entry names, as rt_state_rows counts, after a step with |values| rows. Before the commit.
int64_t rt_session_bytes(const weir_session *session, const weir_entry *entry);

// Around a step, on a claimed session. |values|: of each symbol of the entry's program, and the rows before.
// OUT_OF_MEMORY, with nothing begun, where a state needs more room.
weir_status rt_session_begin(weir_session *session, const weir_entry *entry, const int64_t *values,
                             rt_queue *queue) WEIR_MUST_USE;
// Done once the queue has been waited for. What fails there has lost the device, and every session on it.
void rt_session_revert(weir_session *session, rt_queue *queue);
void rt_session_commit(weir_session *session, rt_queue *queue);

// ---- storage.c
// Writes |bytes| of elements with the value |initial|.
weir_status rt_state_fill(rt_queue *queue, void *data, int64_t bytes, rt_dtype dtype, double initial) WEIR_MUST_USE;
// Memory for |rows| rows of state |state|; the caller frees it.
weir_status rt_storage_make(const weir_model *model, int state, int64_t rows, rt_state_storage *out) WEIR_MUST_USE;
void rt_storage_free(const weir_model *model, rt_state_storage *storage);
// Rows that storage needs room for when its symbol has room for |capacity|.
int64_t rt_storage_room(const rt_model_state *state, int64_t capacity);
// The same of storage that is made now, and may grow later.
int64_t rt_storage_first_room(const weir_model *model, const rt_model_state *state, int64_t capacity);
// Makes room for |need| rows from the storage's first one on, keeping what |rows| rows so far have left in it; |most|:
// never more room than this, if |need| is not.
weir_status rt_storage_grow(const weir_model *model, rt_queue *queue, int state, int64_t rows, int64_t need,
                            int64_t most, rt_state_storage *storage) WEIR_MUST_USE;
// Rows from the storage's first one to the last of |rows| so far.
int64_t rt_storage_reach(const rt_model_state *state, const rt_state_storage *storage, int64_t rows);
// Of |rows| so far those that the state keeps.
int64_t rt_state_kept(const rt_model_state *state, int64_t rows);
// The rows of the panels around |count| of them from position |first| on; |count| where there are none.
int64_t rt_state_span(const rt_model_state *state, int64_t first, int64_t count);
// The first kept row, or its panel.
uint8_t *rt_storage_kept(const rt_model_state *state, const rt_state_storage *storage, int64_t rows);
// Moves the kept rows to the front.
weir_status rt_storage_pack(rt_queue *queue, const rt_model_state *state, rt_state_storage *storage,
                            int64_t rows) WEIR_MUST_USE;
// The rows in use (or the block) one behind the other, whatever they lie in; and back, |held| of them. |out| and |data|
// are the process's memory; they are in use until the queue has been waited for.
weir_status rt_storage_export(rt_queue *queue, const rt_model_state *state, const rt_state_storage *storage,
                              int64_t rows, uint8_t *out) WEIR_MUST_USE;
weir_status rt_storage_import(rt_queue *queue, const rt_model_state *state, const uint8_t *data, int64_t rows,
                              int64_t held, rt_state_storage *storage) WEIR_MUST_USE;
// Bytes in use, and a copy into |to|, which has room.
int64_t rt_storage_bytes(const rt_model_state *state, const rt_state_storage *storage, int64_t rows);
weir_status rt_storage_copy(rt_queue *queue, const rt_model_state *state, const rt_state_storage *from, int64_t rows,
                            rt_state_storage *to) WEIR_MUST_USE;
// Makes room for |rows| rows of a whole state, whose contents are lost where it has to grow.
weir_status rt_storage_whole(const weir_model *model, int state, int64_t rows, rt_state_storage *storage) WEIR_MUST_USE;

#endif
