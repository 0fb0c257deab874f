// Choosing tokens where the logits are: a kernel that the compiler adds to the programs of devices whose steps give a
// row of logits for each request, launched behind the step, so that a few numbers come back instead of the logits.
//
// The kernel's symbol begins with RT_PICK_SYMBOL; it is among the program's kernels and in none of its launches. Its
// arguments are logits f32[R, V], params f64[R, RT_PICK_PARAMS] and results f64[R, RT_PICK_RESULTS], its sizes R and V,
// its items the requests. It does what text_sampler_next does without biases and penalties, bit for bit; the draw is
// the caller's. What it cannot decide (more than RT_PICK_MOST tokens would have to be put in order) it leaves open:
// then the logits come too, and the caller decides.
#ifndef WEIR_RUNTIME_EXEC_PICK_H
#define WEIR_RUNTIME_EXEC_PICK_H

#include "runtime/weir.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RT_PICK_SYMBOL "k_pick_logits_"

enum {
  RT_PICK_PIECE = 64,       // sums over ids are made of sums of so many neighbours, each in order
  RT_PICK_MOST = 1024,      // tokens that the kernel puts in order
  RT_PICK_PARAMS = 6,       // of a request: f64 each
  RT_PICK_TEMPERATURE = 0,  // 0: the likeliest, the first of equals; the rest does not count
  RT_PICK_TOP_P = 1,        // 1: off
  RT_PICK_MIN_P = 2,        // 0: off
  RT_PICK_TOP_K = 3,        // 0: off
  RT_PICK_DRAW = 4,         // in [0, 1)
  RT_PICK_SUMS = 5,         // not 0: RT_PICK_SUM is wanted
  RT_PICK_RESULTS = 4,
  RT_PICK_ID = 0,     // or one of the two below
  RT_PICK_LOGIT = 1,  // of the id
  RT_PICK_TOP = 2,    // the largest logit
  RT_PICK_SUM = 3,    // sum of exp(logit - largest) of all; 0 where it was not wanted, or cannot be had
  RT_PICK_NONE = -1,  // all logits are -inf or NaN
  RT_PICK_OPEN = -2,  // not decided
};

typedef struct {
  double params[RT_PICK_PARAMS];    // given
  double results[RT_PICK_RESULTS];  // made
  bool picked;                      // false: the logits are in the request's output
} rt_pick;

// Whether the model's device picks behind steps of |entry|.
bool rt_can_pick(const weir_entry *entry);
// As weir_run with a choice for each request. Where any of them stays open, or |picks| is null, outputs are filled as
// ever; else their memory is left as it was. Only for entries of which rt_can_pick holds. Takes 80
// bytes for each request beside what weir_memory counts, also from an executor that is not to grow.
weir_status rt_run_pick(weir_executor *executor, const weir_entry *entry, weir_request *requests, int request_count,
                        weir_run_options *options, rt_pick *picks) WEIR_MUST_USE;

#ifdef __cplusplus
}
#endif
#endif
