// Statuses, arenas and checked sizes.
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "runtime/base/arena.h"
#include "runtime/base/checked.h"
#include "runtime/base/status.h"

Test(status, null_is_ok) {
  cr_assert_eq(weir_status_code(WEIR_OK), WEIR_CODE_OK);
  cr_assert_str_eq(weir_status_message(WEIR_OK), "ok");
  weir_status_release(WEIR_OK);
}

Test(status, context_is_put_in_front) {
  weir_status status = weir_status_make(WEIR_CODE_INVALID_DATA, "bad magic %d", 7);
  status = weir_status_annotate(status, "file '%s'", "a.gguf");
  cr_assert_eq(weir_status_code(status), WEIR_CODE_INVALID_DATA);
  cr_assert_str_eq(weir_status_message(status), "file 'a.gguf': bad magic 7");
  weir_status_release(status);
}

Test(status, errno_tells_the_reason) {
  weir_status status = weir_status_errno(ENOENT, "cannot open '%s'", "x");
  cr_assert_eq(weir_status_code(status), WEIR_CODE_NOT_FOUND);
  cr_assert_str_eq(weir_status_message(status), "cannot open 'x': No such file or directory");
  weir_status_release(status);
}

Test(arena, memory_is_zeroed_aligned_and_counted) {
  weir_arena arena;
  weir_arena_init(&arena);
  for (size_t bytes = 0; bytes < 5000; bytes += 37) {
    unsigned char *p = weir_arena_alloc(&arena, bytes);
    cr_assert_eq((uintptr_t)p % 16, 0);
    for (size_t i = 0; i < bytes; i++) cr_assert_eq(p[i], 0);
    memset(p, 0xAA, bytes);
  }
  cr_assert_gt(arena.used_bytes, 5000);
  cr_assert_str_eq(weir_arena_printf(&arena, "%s-%d", "x", 3), "x-3");
  weir_arena_deinit(&arena);
}

Test(checked, overflow_is_seen_and_output_left_alone) {
  int64_t out = 5;
  cr_assert(!weir_mul_i64(INT64_MAX, 2, &out));
  cr_assert_eq(out, 5);
  cr_assert(weir_round_up_i64(65, 64, &out));
  cr_assert_eq(out, 128);
  cr_assert(!weir_round_up_i64(INT64_MAX, 64, &out));
}
