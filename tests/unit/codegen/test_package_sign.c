// Signatures, copies in another shape, weights beside, symbols of code objects: from writer to reader.
#include <sys/stat.h>

#include "codegen/package/copy.h"
#include "codegen/package/symbols.h"
#include "tests/unit/codegen/package_fixture.h"

static fixture f;
static weir_arena arena;
static cg_signing_key key;
static rt_public_key public_key;

static void setup(void) {
  scratch_make();
  fixture_init(&f);
  weir_arena_init(&arena);
  OK(package_write(scratch_path("a.wpk"), &f, NULL, NULL, 0));
  OK(cg_signing_key_create(scratch_path("k.pem"), scratch_path("k.pub"), &public_key));
  OK(cg_signing_key_read(scratch_path("k.pem"), &key));
}

static void teardown(void) {
  cg_signing_key_clear(&key);
  weir_arena_deinit(&arena);
  fixture_deinit(&f);
  scratch_remove();
}

TestSuite(package_sign, .init = setup, .fini = teardown);

static cg_copy_result copy(const char *from, const char *to, cg_copy_options options) {
  rt_package *package;
  cg_copy_result result;
  OK(rt_package_open(scratch_path(from), NULL, &package));
  OK(cg_package_copy(&arena, package, scratch_path(to), &options, &result));
  rt_package_close(package);
  return result;
}

static void same_files(const char *a, const char *b) {
  char *x, *y;
  size_t x_bytes, y_bytes;
  OK(weir_file_read(scratch_path(a), 1 << 24, &x, &x_bytes));
  OK(weir_file_read(scratch_path(b), 1 << 24, &y, &y_bytes));
  cr_assert(x_bytes == y_bytes && !memcmp(x, y, x_bytes), "%s and %s", a, b);
  free(x);
  free(y);
}

Test(package_sign, a_copy_is_the_same_file) {
  copy("a.wpk", "b.wpk", (cg_copy_options){0});
  same_files("a.wpk", "b.wpk");
  copy("a.wpk", "signed.wpk", (cg_copy_options){.key = &key});
  copy("signed.wpk", "plain.wpk", (cg_copy_options){0});
  same_files("a.wpk", "plain.wpk");
  copy("a.wpk", "again.wpk", (cg_copy_options){.key = &key});
  same_files("signed.wpk", "again.wpk");
}

Test(package_sign, the_right_key_and_no_other) {
  rt_package *package;
  rt_public_key read, other = public_key;
  copy("a.wpk", "s.wpk", (cg_copy_options){.key = &key});
  OK(rt_public_key_read(scratch_path("k.pub"), &read));
  cr_assert_arr_eq(read.bytes, public_key.bytes, sizeof read.bytes);
  OK(rt_package_open(scratch_path("s.wpk"), NULL, &package));
  OK(rt_signature_check(package, &public_key));
  OK(rt_signature_check(package, NULL));
  OK(rt_package_verify(package));
  other.bytes[31] ^= 1;
  FAILS(rt_signature_check(package, &other), WEIR_CODE_INVALID_DATA, "another key");
  rt_package_close(package);
  OK(rt_package_open(scratch_path("a.wpk"), NULL, &package));
  cr_assert_null(rt_package_signed(package));
  FAILS(rt_signature_check(package, &public_key), WEIR_CODE_INVALID_DATA, "not signed");
  rt_package_close(package);
}

Test(package_sign, every_bit_of_a_signature_counts) {
  char *data;
  size_t bytes;
  copy("a.wpk", "s.wpk", (cg_copy_options){.key = &key});
  OK(weir_file_read(scratch_path("s.wpk"), 1 << 24, &data, &bytes));
  for (size_t bit = 0; bit < 8 * sizeof(rt_package_signature); bit += bit % 3 + 1) {
    uint8_t *at = (uint8_t *)data + bytes - sizeof(rt_package_signature) + bit / 8;
    rt_package *package = NULL;
    *at ^= (uint8_t)(1 << bit % 8);
    weir_status status = rt_package_open_memory(data, bytes, NULL, &package);
    if (!status) status = rt_signature_check(package, &public_key);
    cr_assert(status, "bit %zu", bit);
    weir_status_release(status);
    rt_package_close(package);
    *at ^= (uint8_t)(1 << bit % 8);
  }
  free(data);
}

Test(package_sign, keys_are_refused_that_are_none) {
  rt_public_key none;
  cg_signing_key secret;
  static const char *const texts[] = {"",
                                      "12",
                                      "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n",
                                      "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
                                      "-----BEGIN PUBLIC KEY-----\n!\n",
                                      "-----BEGIN PUBLIC KEY-----"};
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
    FAILS(rt_public_key_parse(texts[i], &none), WEIR_CODE_INVALID_ARGUMENT, "no ed25519 public key");
  FAILS(rt_public_key_read(scratch_path("k.pem"), &none), WEIR_CODE_INVALID_ARGUMENT, "this is a private one");
  FAILS(cg_signing_key_read(scratch_path("k.pub"), &secret), WEIR_CODE_INVALID_ARGUMENT, "it is a public one");
  FAILS(cg_signing_key_create(scratch_path("k.pem"), scratch_path("l.pub"), &none), WEIR_CODE_INVALID_ARGUMENT,
        "not overwritten");
  FAILS(cg_signing_key_create(scratch_path("l.pem"), scratch_path("k.pub"), &none), WEIR_CODE_INVALID_ARGUMENT,
        "not overwritten");
  cr_assert_not(weir_file_exists(scratch_path("l.pem")));  // no half of a pair
  struct stat info;
  cr_assert_eq(stat(scratch_path("k.pem"), &info), 0);
  cr_assert_eq(info.st_mode & 0777, 0600);
}

Test(package_sign, weights_go_beside_and_back) {
  rt_package *package;
  cg_copy_result moved = copy("a.wpk", "b.wpk", (cg_copy_options){.weights = CG_WEIGHTS_BESIDE});
  cr_assert_eq(moved.weights_bytes, 192);
  OK(rt_package_open(scratch_path("b.wpk"), NULL, &package));
  cr_assert_null(rt_package_find(package, "weights"));
  cr_assert_str_eq(rt_package_weights_path(package), moved.weights_path);
  const rt_package_weight *weight = rt_package_weight_find(package, "table");
  cr_assert_arr_eq(rt_package_weight_data(package, weight), table, sizeof table);
  OK(rt_package_verify(package));
  rt_package_close(package);
  copy("b.wpk", "c.wpk", (cg_copy_options){0});  // as they are
  same_files("b.wpk", "c.wpk");
  copy("b.wpk", "d.wpk", (cg_copy_options){.weights = CG_WEIGHTS_INSIDE});
  copy("d.wpk", "e.wpk", (cg_copy_options){.weights = CG_WEIGHTS_BESIDE});
  same_files("b.wpk", "e.wpk");
}

Test(package_sign, weights_that_are_not_there) {
  rt_package *package;
  cg_copy_result moved = copy("a.wpk", "b.wpk", (cg_copy_options){.weights = CG_WEIGHTS_BESIDE});
  const char *elsewhere = weir_arena_strdup(&arena, scratch_path("elsewhere")),
             *base = strrchr(moved.weights_path, '/') + 1;
  cr_assert_eq(mkdir(elsewhere, 0777), 0);
  cr_assert_eq(rename(moved.weights_path, weir_arena_printf(&arena, "%s/%s", elsewhere, base)), 0);
  FAILS(rt_package_open(scratch_path("b.wpk"), NULL, &package), WEIR_CODE_NOT_FOUND, base);
  rt_package_options options = {.weights_folder = elsewhere};
  OK(rt_package_open_with(scratch_path("b.wpk"), &options, &package));
  OK(rt_package_verify(package));
  rt_package_close(package);
  options = (rt_package_options){.without_weights = true};
  OK(rt_package_open_with(scratch_path("b.wpk"), &options, &package));
  cr_assert_null(rt_package_weights(package));
  cr_assert_null(rt_package_weight_data(package, rt_package_weight_find(package, "table")));
  rt_package_close(package);
  cr_assert_eq(truncate(weir_arena_printf(&arena, "%s/%s", elsewhere, base), 100), 0);
  options = (rt_package_options){.weights_folder = elsewhere};
  FAILS(rt_package_open_with(scratch_path("b.wpk"), &options, &package), WEIR_CODE_INVALID_DATA, "100 bytes");
}

Test(package_sign, code_can_be_left_out) {
  rt_package *package;
  copy("a.wpk", "b.wpk", (cg_copy_options){.without_code = true});
  OK(rt_package_open(scratch_path("b.wpk"), NULL, &package));
  cr_assert_eq(rt_package_object_count(package), 0);
  cr_assert_eq(rt_package_entry_count(package), 3);
  OK(rt_package_verify(package));
  rt_package_close(package);
}

Test(package_sign, symbols_of_an_object) {
  size_t bytes;
  char *object = object_build(&bytes);
  cg_symbol *symbols;
  int count;
  OK(cg_object_symbols(&arena, object, bytes, &symbols, &count));
  cr_assert_gt(count, 0);
  for (int i = 0; i < f.programs[0]->kernel_count; i++) {
    bool found = false;
    for (int k = 0; k < count; k++) found |= !strcmp(symbols[k].name, f.programs[0]->kernels[i].symbol);
    cr_assert(found, "%s", f.programs[0]->kernels[i].symbol);
  }
  for (size_t cut = 0; cut < bytes; cut += 97) {
    char *exact = malloc(cut + 1);
    memcpy(exact, object, cut);
    weir_status_release(cg_object_symbols(&arena, exact, cut, &symbols, &count));
    free(exact);
  }
  FAILS(cg_object_symbols(&arena, "no object", 9, &symbols, &count), WEIR_CODE_INVALID_DATA, "too short");
  free(object);
}
