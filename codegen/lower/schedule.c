// Choices among schedules that give the same bits: how many rows, panels or inputs a piece of work has. Lowering has a
// default for each and asks here; a table, which a search on some machine has found, may answer otherwise. What is
// asked is written down in the module, so that a search knows what there is to try.
//
// Never a choice: anything that changes the order in which an output element is added up. Those whose plan allows it
// (products by a library) ask by cg_inexact_choice.
#include <string.h>

#include "codegen/lower/internal.h"

static bool is_asked(const cg_module *module, const char *key, const char *parameter) {
  for (int i = 0; i < module->question_count; i++)
    if (!strcmp(module->questions[i].key, key) && !strcmp(module->questions[i].parameter, parameter)) return true;
  return false;
}

static int64_t answer(const cg_lower_options *options, const cg_question *question) {
  for (int i = 0; i < options->choice_count; i++) {
    const cg_choice *choice = &options->choices[i];
    if (strcmp(choice->key, question->key) || strcmp(choice->parameter, question->parameter)) continue;
    for (int k = 0; k < question->candidate_count; k++)
      if (question->candidates[k] == choice->value) return choice->value;
  }
  return question->otherwise;
}

int64_t cg_schedule_choice(lowering *low, const char *key, const char *parameter, int64_t otherwise,
                           const int64_t *candidates, int count) {
  cg_module *out = low->out;
  int64_t *others = WEIR_NEW_ARRAY(low->arena, int64_t, count + 1);
  cg_question question = {.key = key, .parameter = parameter, .otherwise = otherwise, .candidates = others};
  for (int i = 0; i < count; i++)
    if (candidates[i] != otherwise) others[question.candidate_count++] = candidates[i];
  low->choice_key = key;
  question.chosen = answer(low->options, &question);
  if (question.candidate_count && !is_asked(out, key, parameter))
    WEIR_PUSH(low->arena, out->questions, out->question_count, out->question_capacity, question);
  return question.chosen;
}

int64_t cg_inexact_choice(lowering *low, const char *key, const char *parameter, int64_t otherwise,
                          const int64_t *candidates, int count) {
  int64_t chosen = cg_schedule_choice(low, key, parameter, otherwise, candidates, count);
  cg_module *out = low->out;
  for (int i = 0; i < out->question_count; i++)
    if (!strcmp(out->questions[i].key, key) && !strcmp(out->questions[i].parameter, parameter))
      out->questions[i].inexact = true;
  return chosen;
}

int64_t cg_schedule_divisor(lowering *low, const char *key, const char *parameter, int64_t otherwise, int64_t all,
                            int64_t most) {
  enum { MOST = 4 };
  int64_t candidates[MOST];
  int count = 0;
  for (int64_t n = 1; n <= most && n <= MOST; n++)
    if (all % n == 0 && n != 3) candidates[count++] = n;
  return cg_schedule_choice(low, key, parameter, otherwise, candidates, count);
}
