// Language models: one session, one step.
#include "compiler/driver/lm.h"

#include <stdlib.h>
#include <string.h>

enum { PIECE = 512 };  // tokens of one call: bounds the memory of a long prompt

// The step's only input is i32[T] where T grows, its only output f32[V].
static bool fits(const weir_entry *entry) {
  weir_entry_info info = weir_entry_describe(entry);
  if (!info.step || info.input_count != 1 || info.output_count != 1 || info.symbol_count != 1) return false;
  weir_tensor_info input = weir_entry_input(entry, 0), output = weir_entry_output(entry, 0);
  return weir_entry_symbol(entry, 0).grows && input.dtype == WEIR_DTYPE_I32 && input.rank == 1 &&
         output.dtype == WEIR_DTYPE_F32 && output.rank == 1;
}

static const weir_entry *find_step(const weir_model *model) {
  const weir_entry *named = weir_model_find_entry(model, "next");
  if (named && fits(named)) return named;
  for (int i = 0; i < weir_model_entry_count(model); i++) {
    if (fits(weir_model_entry(model, i))) return weir_model_entry(model, i);
  }
  return NULL;
}

bool cli_is_lm(const weir_model *model) { return find_step(model) != NULL; }

int cli_lm_open(cli *c, const cli_model *m, cli_lm *out) {
  *out = (cli_lm){.executor = m->executor, .cancel = c->cancel};
  out->step = find_step(m->model);
  if (!out->step)
    return cli_error(c, "%s is no language model: it has no step from tokens i32[T] to logits f32[V]",
                     weir_model_name(m->model));
  out->bound = weir_entry_symbol(out->step, 0).hi;
  out->vocab = (int32_t)strtol(weir_entry_output(out->step, 0).dims, NULL, 10);
  if (out->vocab < 1) return cli_error(c, "%s: the number of logits is not fixed", weir_model_name(m->model));
  out->logits = calloc((size_t)out->vocab, sizeof *out->logits);
  if (!out->logits) return cli_fail(c, weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for logits"));
  return CLI_DONE;
}

weir_status cli_lm_room(cli_lm *lm, int64_t rows) {
  if (rows > lm->bound) {
    return weir_status_make(WEIR_CODE_INVALID_ARGUMENT, "%lld tokens are more than the model takes: %lld",
                            (long long)rows, (long long)lm->bound);
  }
  const char *symbol = weir_entry_symbol(lm->step, 0).name;
  if (lm->session)
    return rows > weir_session_capacity(lm->session, symbol) ? weir_session_grow(lm->session, symbol, rows) : WEIR_OK;
  return WEIR_OK;
}

static weir_status feed_piece(cli_lm *lm, const int32_t *tokens, int64_t count) {
  weir_view input = {.data = (void *)(uintptr_t)tokens, .dtype = WEIR_DTYPE_I32, .rank = 1, .shape = {count}};
  weir_view output = {.data = lm->logits, .bytes = (size_t)lm->vocab * sizeof *lm->logits};
  weir_request request = {.session = lm->session, .inputs = &input, .outputs = &output};
  weir_run_options options = {.cancel = lm->cancel};
  lm->pick.picked = false;
  if (lm->sampler && rt_can_pick(lm->step) && text_sampler_ask(lm->sampler, &lm->pick))
    return rt_run_pick(lm->executor, lm->step, &request, 1, &options, &lm->pick);
  return weir_run(lm->executor, lm->step, &request, 1, &options);
}

weir_status cli_lm_next(cli_lm *lm, text_sampler *sampler, int32_t *out_id) {
  if (lm->pick.picked) return text_sampler_take(sampler, &lm->pick, out_id);
  return text_sampler_next(sampler, lm->logits, out_id);
}

weir_status cli_lm_feed(cli_lm *lm, const int32_t *tokens, size_t count) {
  for (size_t at = 0; at < count; at += PIECE) {
    WEIR_TRY(feed_piece(lm, tokens + at, (int64_t)(count - at < PIECE ? count - at : PIECE)));
  }
  return WEIR_OK;
}

void cli_lm_close(cli_lm *lm) {
  weir_session_close(lm->session);
  free(lm->logits);
  *lm = (cli_lm){0};
}
