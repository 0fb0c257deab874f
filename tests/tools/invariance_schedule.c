// Cut schedules: the runs of a step advance together, by other numbers of rows in each call, each in a session of its
// own. Between calls a session is forked (and both go on), moved through its bytes into a new one, truncated and played
// again, saved and restored, grown, given other whole states and its own again, refused for want of room, and
// cancelled. In the end outputs and the bytes of the session must be those of the run in one piece.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/tools/invariance.h"

enum { MAX_BRANCHES = 3 * MAX_RUNS, PATIENCE = 8 };

typedef struct {
  size_t bytes[MAX_TENSORS];  // of the outputs with rows
  int64_t rows;
} progress;

typedef struct {
  int number;
  weir_session *session;
  int64_t rows, piece;
  progress done;
  uint8_t *gathered[MAX_TENSORS];  // outputs with rows, room for all
  uint8_t *saved;                  // a session to come back to, with what was done by then
  size_t saved_bytes;
  progress saved_done;
  int patience;  // more happenings until it runs to its end
  bool ended;
} branch;

typedef struct {
  suite *s;
  const weir_entry *entry;
  const char *symbol;
  int64_t bound;                            // rows that a session can have
  bool keeps_all, windows, fixed;           // kinds of states that the entry names
  const weir_entry *siblings[MAX_TENSORS];  // steps that take the same inputs and keep the same
  int sibling_count;
  branch branches[MAX_BRANCHES];
  int count;
} schedule;

// ---- what the entry is like

static bool same_inputs(const weir_entry *a, const weir_entry *b) {
  weir_entry_info ia = weir_entry_describe(a), ib = weir_entry_describe(b);
  bool same = ib.step && ia.input_count == ib.input_count && ia.state_count == ib.state_count;
  for (int i = 0; same && i < ia.input_count; i++) {
    weir_tensor_info x = weir_entry_input(a, i), y = weir_entry_input(b, i);
    same = !strcmp(x.name, y.name) && x.dtype == y.dtype && !strcmp(x.dims, y.dims);
  }
  for (int i = 0; same && i < ia.state_count; i++)
    same = !strcmp(weir_entry_state(a, i).path, weir_entry_state(b, i).path);
  return same;
}

static void look_at(schedule *c) {
  weir_entry_info info = weir_entry_describe(c->entry);
  bool rows = false;
  for (int i = 0; i < info.symbol_count; i++) {
    weir_symbol_info symbol = weir_entry_symbol(c->entry, i);
    if (!strcmp(symbol.name, c->symbol)) c->bound = symbol.hi;
  }
  for (int i = 0; i < info.state_count; i++) {
    weir_state_info state = weir_entry_state(c->entry, i);
    c->fixed |= !state.rows;
    c->windows |= state.window > 0;
    c->keeps_all |= state.rows && !state.whole && !state.window;
  }
  // Only the last piece says something: those before may be another step's.
  for (int i = 0; i < info.output_count; i++) rows |= has_rows(weir_entry_output(c->entry, i), c->symbol);
  for (int e = 0; !rows && e < weir_model_entry_count(c->s->model) && c->sibling_count < MAX_TENSORS; e++) {
    const weir_entry *other = weir_model_entry(c->s->model, e);
    if (other != c->entry && same_inputs(c->entry, other)) c->siblings[c->sibling_count++] = other;
  }
}

static const run *run_of(const schedule *c, const branch *b) { return &c->s->runs[b->number]; }

static int64_t rows_of(const run *r, const char *symbol) {
  for (int i = 0; i < weir_entry_describe(r->main.entry).input_count; i++)
    if (has_rows(weir_entry_input(r->main.entry, i), symbol)) return r->main.inputs[i].shape[0];
  return 0;
}

static branch *add_branch(schedule *c, int number) {
  branch *b = &c->branches[c->count++];
  *b = (branch){.number = number, .patience = PATIENCE};
  for (int i = 0; i < weir_entry_describe(c->entry).output_count; i++)
    b->gathered[i] = malloc(view_bytes(&run_of(c, b)->outputs[i]) + 64);
  return b;
}

// ---- what happens between calls

static void happen_fork(schedule *c, branch *b) {
  if (c->count == MAX_BRANCHES) return;
  branch *copy = add_branch(c, b->number);
  must(weir_session_fork(b->session, &copy->session), "forking");
  copy->rows = b->rows;
  copy->done = b->done;
  copy->patience = --b->patience;
  for (int i = 0; i < MAX_TENSORS; i++)
    if (copy->gathered[i]) memcpy(copy->gathered[i], b->gathered[i], b->done.bytes[i]);
  c->s->forks++;
}

static void happen_move(schedule *c, branch *b) {
  size_t bytes, again;
  uint8_t *data = export_session(b->session, &bytes);
  int64_t room = b->done.rows + below(c->s, 4);
  weir_session *fresh;
  if (room < 1) room = 1;
  weir_capacity capacity = {c->symbol, room < c->bound ? room : c->bound};
  must(weir_session_open(c->s->model, &capacity, 1, &fresh), "opening a session");
  must(weir_session_import(fresh, data, bytes), "importing");
  uint8_t *twice = export_session(fresh, &again);
  if (again != bytes || memcmp(data, twice, bytes)) failure(c->s, b->number, "other bytes after import");
  weir_session_close(b->session);
  b->session = fresh;
  free(data);
  free(twice);
  c->s->moves++;
}

// The session must be as |before|, which is freed.
static void unchanged(schedule *c, const branch *b, uint8_t *before, size_t bytes, const char *what) {
  size_t now;
  uint8_t *after = export_session(b->session, &now);
  if (now != bytes || memcmp(after, before, bytes)) failure(c->s, b->number, what);
  free(before);
  free(after);
}

static void take_back(const schedule *c, branch *b, int64_t rows) {
  const run *r = run_of(c, b);
  for (int i = 0; i < MAX_TENSORS; i++)
    if (b->done.bytes[i]) b->done.bytes[i] = view_bytes(&r->outputs[i]) / (size_t)b->rows * (size_t)rows;
  b->done.rows = rows;
}

// Rows go back whenever nothing else has followed them; windows as long as they have the rows, fixed states never.
static void happen_truncate(schedule *c, branch *b) {
  int64_t rows = below(c->s, b->done.rows + 1);
  size_t bytes;
  uint8_t *before = export_session(b->session, &bytes);
  weir_status status = weir_session_truncate(b->session, c->symbol, rows);
  if (!status) {
    take_back(c, b, rows);
    if (weir_session_rows(b->session, c->symbol) != rows) failure(c->s, b->number, "other rows after truncating");
    free(before);
    c->s->truncations++;
    return;
  }
  weir_code code = weir_status_code(status);
  bool allowed = (code == WEIR_CODE_UNSUPPORTED && c->fixed) || (code == WEIR_CODE_OUT_OF_RANGE && c->windows);
  if (!allowed || rows == b->done.rows) failure(c->s, b->number, weir_status_message(status));
  weir_status_release(status);
  unchanged(c, b, before, bytes, "a refused truncation has changed the session");
  c->s->refusals++;
}

static void happen_save(schedule *c, branch *b) {
  (void)c;
  free(b->saved);
  b->saved = export_session(b->session, &b->saved_bytes);
  b->saved_done = b->done;
}

static void happen_restore(schedule *c, branch *b) {
  if (!b->saved) return;
  must(weir_session_import(b->session, b->saved, b->saved_bytes), "restoring");
  b->done = b->saved_done;
  c->s->restores++;
}

static void grow_to(schedule *c, branch *b, int64_t rows) {
  rows = rows < c->bound ? rows : c->bound;
  must(weir_session_grow(b->session, c->symbol, rows), "growing");
  if (weir_session_capacity(b->session, c->symbol) < rows) failure(c->s, b->number, "no room after growing");
  c->s->growths++;
}

// Whole states of another run of the step, then its own again.
static void happen_before(schedule *c, branch *b) {
  const run *other = &c->s->runs[below(c->s, c->s->run_count)];
  if (!run_of(c, b)->before_count) return;
  if (other->main.entry == c->entry) take_before(c->s, other, b->session);
  take_before(c->s, run_of(c, b), b->session);
}

static void take_piece(const schedule *c, const branch *b, weir_view *inputs) {
  const run *r = run_of(c, b);
  for (int i = 0; i < weir_entry_describe(c->entry).input_count; i++) {
    inputs[i] = r->main.inputs[i];
    if (!has_rows(weir_entry_input(c->entry, i), c->symbol)) continue;
    size_t row = view_bytes(&inputs[i]) / (size_t)inputs[i].shape[0];
    inputs[i].data = (uint8_t *)inputs[i].data + row * (size_t)b->done.rows;
    inputs[i].shape[0] = b->piece;
  }
}

// A call that fails leaves the session as it was: cancelled, or without room.
static void happen_failure(schedule *c, branch *b, weir_code wanted) {
  static const int cancel = 1;
  weir_run_options options = {.cancel = wanted == WEIR_CODE_CANCELLED ? &cancel : NULL};
  weir_view inputs[MAX_TENSORS], outputs[1][MAX_TENSORS];
  weir_request request = {.session = b->session, .inputs = inputs};
  size_t bytes;
  uint8_t *before = export_session(b->session, &bytes);
  take_piece(c, b, inputs);
  make_outputs(c->entry, &request, 1, outputs);
  weir_status status = run_call(c->s, c->entry, &request, 1, &options);
  if (weir_status_code(status) != wanted) failure(c->s, b->number, status ? weir_status_message(status) : "no failure");
  weir_status_release(status);
  free_outputs(c->entry, outputs[0]);
  unchanged(c, b, before, bytes, "a call that failed has changed the session");
}

static void happen_cancel(schedule *c, branch *b) {
  b->piece = b->rows - b->done.rows;
  if (weir_session_capacity(b->session, c->symbol) < b->rows) grow_to(c, b, b->rows);
  happen_failure(c, b, WEIR_CODE_CANCELLED);
  c->s->cancels++;
}

static void happen_growth(schedule *c, branch *b) {
  grow_to(c, b, weir_session_capacity(b->session, c->symbol) + below(c->s, 5));
}

static void happen(schedule *c, branch *b) {
  static void (*const happenings[])(schedule *, branch *) = {
      happen_fork,    happen_move,    happen_truncate, happen_truncate, happen_save,
      happen_restore, happen_restore, happen_growth,   happen_before,   happen_cancel};
  if (b->patience-- > 0) happenings[below(c->s, sizeof happenings / sizeof *happenings)](c, b);
}

// ---- calls

// Keeps rows; compares what has none, and the session, after the last piece.
static void give_piece(schedule *c, branch *b, const weir_view *outputs) {
  bool last = b->done.rows + b->piece == b->rows;
  for (int i = 0; i < weir_entry_describe(c->entry).output_count; i++) {
    size_t bytes = view_bytes(&outputs[i]);
    bool rows = has_rows(weir_entry_output(c->entry, i), c->symbol);
    if (rows) {
      if (b->done.bytes[i] + bytes > view_bytes(&run_of(c, b)->outputs[i])) {
        failure(c->s, b->number, "more rows of an output than in one piece");
        bytes = 0;
      }
      memcpy(b->gathered[i] + b->done.bytes[i], outputs[i].data, bytes);
      b->done.bytes[i] += bytes;
    }
    if (last)
      compare(c->s, b->number, "cut", i, rows ? b->gathered[i] : outputs[i].data, rows ? b->done.bytes[i] : bytes);
  }
  if (last) compare_session(c->s, b->number, "cut", b->session);
}

static void choose_piece(schedule *c, branch *b, bool whole) {
  suite *s = c->s;
  int64_t left = b->rows - b->done.rows - !whole;
  b->piece = 1 + below(s, below(s, 2) ? 3 : b->rows);
  if (b->piece > left) b->piece = left;
  int64_t needed = b->done.rows + b->piece;
  if (weir_session_capacity(b->session, c->symbol) >= needed) return;
  if (c->keeps_all && below(s, 3) == 0) happen_failure(c, b, WEIR_CODE_OUT_OF_RANGE);
  grow_to(c, b, needed + below(s, 4));
}

// One call with some of the branches, by the entry or by a sibling.
static void turn(schedule *c) {
  suite *s = c->s;
  weir_request requests[MAX_BRANCHES];
  static weir_view inputs[MAX_BRANCHES][MAX_TENSORS], outputs[MAX_BRANCHES][MAX_TENSORS];
  branch *taking[MAX_BRANCHES];
  const weir_entry *entry = c->entry;
  int taken = 0;
  if (c->sibling_count && below(s, 3) == 0) entry = c->siblings[below(s, c->sibling_count)];
  for (int i = 0; i < c->count; i++) {
    branch *b = &c->branches[i];
    bool own = entry == c->entry;
    if (b->ended || below(s, 3) == 0 || (!own && b->rows - b->done.rows < 2)) continue;
    choose_piece(c, b, own);
    take_piece(c, b, inputs[taken]);
    requests[taken] = (weir_request){.session = b->session, .inputs = inputs[taken]};
    taking[taken++] = b;
  }
  if (!taken) return;
  make_outputs(entry, requests, taken, outputs);
  must(run_call(s, entry, requests, taken, NULL), "cut");
  for (int i = 0; i < taken; i++) {
    if (entry == c->entry) give_piece(c, taking[i], outputs[i]);
    taking[i]->done.rows += taking[i]->piece;
    taking[i]->ended = taking[i]->done.rows == taking[i]->rows;
    free_outputs(entry, outputs[i]);
  }
}

static bool all_ended(const schedule *c) {
  for (int i = 0; i < c->count; i++)
    if (!c->branches[i].ended) return false;
  return true;
}

void run_cut(suite *s, const weir_entry *entry, const char *symbol) {
  schedule *c = calloc(1, sizeof *c);
  *c = (schedule){.s = s, .entry = entry, .symbol = symbol};
  look_at(c);
  for (int i = 0; i < s->run_count; i++) {
    if (s->runs[i].main.entry != entry) continue;
    int64_t rows = rows_of(&s->runs[i], symbol);
    branch *b = add_branch(c, i);
    b->rows = rows;
    b->session = open_session(s, &s->runs[i], 1 + below(s, rows));
  }
  while (!all_ended(c)) {
    int count = c->count;
    turn(c);
    for (int i = 0; i < count; i++)
      if (!c->branches[i].ended && below(s, 3) == 0) happen(c, &c->branches[i]);
  }
  for (int i = 0; i < c->count; i++) {
    for (int k = 0; k < MAX_TENSORS; k++) free(c->branches[i].gathered[k]);
    free(c->branches[i].saved);
    weir_session_close(c->branches[i].session);
  }
  free(c);
}
