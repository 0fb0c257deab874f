// A language model as the driver uses it: a session that takes tokens and gives the logits after the last of them.
#ifndef WEIR_COMPILER_DRIVER_LM_H
#define WEIR_COMPILER_DRIVER_LM_H

#include "compiler/driver/model.h"
#include "runtime/text/sampler.h"

typedef struct {
  const weir_entry *step;  // takes tokens i32[T], gives f32[V]
  weir_session *session;
  weir_executor *executor;
  const int *cancel;
  int64_t bound;  // most tokens of a sequence
  int32_t vocab;
  float *logits;                // [vocab], after the last token fed, unless
  const text_sampler *sampler;  // is set and its choice was made on the device:
  rt_pick pick;
} cli_lm;

// Whether it has such a step.
bool cli_is_lm(const weir_model *model);
// The step that a conversation uses: `next`, or the only one of its form. Prints what is wrong.
int cli_lm_open(cli *c, const cli_model *m, cli_lm *out);
// Makes room for |rows| tokens in all. INVALID_ARGUMENT past the bound.
weir_status cli_lm_room(cli_lm *lm, int64_t rows) WEIR_MUST_USE;
// Feeds tokens, long inputs in pieces (answers do not depend on the cut). CANCELLED on SIGINT.
weir_status cli_lm_feed(cli_lm *lm, const int32_t *tokens, size_t count) WEIR_MUST_USE;
// The token that |sampler|, the one that is set or any other, chooses behind what was fed.
weir_status cli_lm_next(cli_lm *lm, text_sampler *sampler, int32_t *out_id) WEIR_MUST_USE;
void cli_lm_close(cli_lm *lm);

#endif
