// Packages from writer to reader: what is written comes back, equal inputs give equal files, failures leave nothing.
#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>

#include "tests/unit/codegen/package_fixture.h"

static fixture f;

static void setup(void) {
  scratch_make();
  fixture_init(&f);
}

static void teardown(void) {
  fixture_deinit(&f);
  scratch_remove();
}

TestSuite(package, .init = setup, .fini = teardown);

static int files_count(void) {
  int count = 0;
  DIR *dir = opendir(scratch);
  for (struct dirent *entry; (entry = readdir(dir));) count += entry->d_name[0] != '.' || strlen(entry->d_name) > 2;
  closedir(dir);
  return count;
}

Test(package, what_is_written_comes_back) {
  rt_package *package;
  OK(package_write(scratch_path("a.wpk"), &f, NULL, NULL, 0));
  OK(rt_package_open(scratch_path("a.wpk"), NULL, &package));
  cr_assert_str_eq(rt_package_model_name(package), "fixture");
  cr_assert_eq(rt_package_entry_count(package), 3);
  cr_assert_str_eq(rt_package_entry(package, 2), "blocks");
  cr_assert_eq(rt_package_object_count(package), 1);
  cr_assert_str_eq(rt_package_object_at(package, 0)->isa, "portable");
  cr_assert_eq(rt_package_weight_count(package), 2);
  const rt_package_weight *weight = rt_package_weight_find(package, "table");
  cr_assert(weight && weight->bytes == sizeof table && weight->offset == 64);
  cr_assert_str_eq(weight->dims, "10x2");
  cr_assert_arr_eq(rt_package_weight_data(package, weight), table, sizeof table);
  cr_assert_eq((uintptr_t)rt_package_weight_data(package, weight) % 64, 0);
  cr_assert_null(rt_package_weight_find(package, "tabl"));
  cr_assert_eq(rt_package_find(package, "weights")->bytes, 192);
  const rt_section *tokenizer = rt_package_find(package, "tokenizer");
  cr_assert(tokenizer->bytes == 6 && !memcmp(tokenizer->data, "tokens", 6));
  for (int i = 0; i < rt_package_section_count(package); i++) {
    cr_assert_eq(rt_package_section(package, i)->offset % RT_PACKAGE_ALIGNMENT, 0);
  }
  OK(rt_package_verify(package));
  rt_package_close(package);
}

Test(package, equal_inputs_give_equal_files) {
  char *a, *b;
  size_t a_bytes, b_bytes;
  OK(package_write(scratch_path("a.wpk"), &f, NULL, NULL, 0));
  sleep(1);
  OK(package_write(scratch_path("b.wpk"), &f, NULL, NULL, 0));
  OK(weir_file_read(scratch_path("a.wpk"), 1 << 20, &a, &a_bytes));
  OK(weir_file_read(scratch_path("b.wpk"), 1 << 20, &b, &b_bytes));
  cr_assert(a_bytes == b_bytes && !memcmp(a, b, a_bytes));
  free(a);
  free(b);
}

Test(package, pieces_make_a_section) {
  cg_package_writer *w;
  rt_package *package;
  uint64_t bytes;
  weir_hash hash, identity;
  static const char manifest[] = "{\"format\":2,\"model\":\"m\",\"entries\":[],\"objects\":[]}";
  OK(cg_package_create(scratch_path("p.wpk"), &w));
  OK(cg_package_begin(w, "manifest"));
  for (size_t i = 0; i < sizeof manifest - 1; i++) OK(cg_package_append(w, manifest + i, 1));
  OK(cg_package_end(w));
  OK(cg_package_add(w, "golden", "", 0));
  OK(cg_package_commit(w, &bytes, &hash));
  OK(rt_package_open(scratch_path("p.wpk"), NULL, &package));
  identity = rt_package_identity(package);
  cr_assert(weir_hash_equal(&hash, &identity));
  cr_assert_eq(bytes, 8192 + 2 * sizeof(rt_package_record));
  cr_assert_eq(rt_package_find(package, "golden")->bytes, 0);
  OK(rt_package_verify(package));
  rt_package_close(package);
}

Test(package, the_writer_refuses_what_no_reader_takes) {
  static const char *const names[] = {
      "",
      "/a",
      "a/",
      "a//b",
      "../a",
      "a/..",
      "a/./b",
      "a b",
      "a\n",
      "\xc3\xa4",
      "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    cg_package_writer *w;
    OK(cg_package_create(scratch_path("n.wpk"), &w));
    FAILS(cg_package_add(w, names[i], "", 0), WEIR_CODE_INVALID_ARGUMENT, "bad section name");
    // The failure stays.
    FAILS(cg_package_add(w, "fine", "", 0), WEIR_CODE_INVALID_ARGUMENT, "bad section name");
    FAILS(cg_package_commit(w, NULL, NULL), WEIR_CODE_INVALID_ARGUMENT, "bad section name");
  }
  cg_package_writer *w;
  OK(cg_package_create(scratch_path("n.wpk"), &w));
  OK(cg_package_add(w, "a", "", 0));
  FAILS(cg_package_add(w, "a", "", 0), WEIR_CODE_INVALID_ARGUMENT, "twice");
  cg_package_discard(w);
  OK(cg_package_create(scratch_path("n.wpk"), &w));
  OK(cg_package_weights_begin(w));
  OK(cg_package_weight(w, "k", "f32", "plain", "-", "abcd", 4));
  OK(cg_package_weight(w, "k", "f32", "plain", "-", "abcd", 4));
  FAILS(cg_package_weights_end(w), WEIR_CODE_INVALID_ARGUMENT, "a weight twice: 'k'");
  cg_package_discard(w);
  OK(cg_package_create(scratch_path("n.wpk"), &w));
  OK(cg_package_begin(w, "open"));
  FAILS(cg_package_commit(w, NULL, NULL), WEIR_CODE_INVALID_ARGUMENT, "still open");
  cr_assert_eq(files_count(), 0);
}

// A disk that is full after N bytes, for many N: an IO status, and the old file stays.
Test(package, a_full_disk_leaves_nothing_behind) {
  OK(package_write(scratch_path("a.wpk"), &f, NULL, NULL, 0));
  char *old, *now;
  size_t old_bytes, now_bytes;
  OK(weir_file_read(scratch_path("a.wpk"), 1 << 20, &old, &old_bytes));
  signal(SIGXFSZ, SIG_IGN);
  for (rlim_t limit = 1; limit < old_bytes; limit += 1111) {
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &(struct rlimit){limit, RLIM_INFINITY}), 0);
    weir_status status = package_write(scratch_path("a.wpk"), &f, NULL, NULL, 0);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY}), 0);
    cr_assert_eq(weir_status_code(status), WEIR_CODE_IO, "limit %ld: %s", (long)limit, weir_status_message(status));
    weir_status_release(status);
    cr_assert_eq(files_count(), 1);
  }
  OK(weir_file_read(scratch_path("a.wpk"), 1 << 20, &now, &now_bytes));
  cr_assert(now_bytes == old_bytes && !memcmp(now, old, old_bytes));
  free(old);
  free(now);
  FAILS(package_write(scratch_path("none/a.wpk"), &f, NULL, NULL, 0), WEIR_CODE_NOT_FOUND, "none/a.wpk");
}

// The whole way: a package with real code, loaded and run.
Test(package, a_model_is_loaded_and_run) {
  size_t object_bytes;
  char *object = object_build(&object_bytes);
  OK(package_write(scratch_path("m.wpk"), &f, NULL, object, object_bytes));
  free(object);
  weir_model *model, *again;
  weir_executor *executor;
  weir_session *session;
  OK(weir_model_load(scratch_path("m.wpk"), NULL, &model));
  OK(weir_model_load(scratch_path("m.wpk"), &(weir_load_options){.device = "cpu", .isa = "portable"}, &again));
  cr_assert_str_eq(weir_model_name(model), "fixture");
  cr_assert_str_eq(weir_model_isa(model), "portable");
  OK(weir_executor_create(model, NULL, &executor));
  OK(weir_session_open(model, NULL, 0, &session));
  static const int32_t tokens[3] = {1, 2, 3};
  float out[2];
  weir_view input = tokens_view(tokens, 3), output = room_view(out, 2);
  weir_request request = {session, &input, &output};
  OK(weir_run(executor, weir_model_find_entry(model, "next"), &request, 1, NULL));
  cr_assert_eq(out[0], table[2] + table[4] + table[6]);
  cr_assert_eq(out[1], table[3] + table[5] + table[7]);
  // A session's bytes fit another load of the same package.
  uint8_t bytes[1024];
  size_t size;
  weir_session *other;
  OK(weir_session_export(session, bytes, sizeof bytes, &size));
  OK(weir_session_open(again, NULL, 0, &other));
  OK(weir_session_import(other, bytes, size));
  request.session = other;
  FAILS(weir_run(executor, weir_model_find_entry(model, "next"), &request, 1, NULL), WEIR_CODE_INVALID_ARGUMENT,
        "another model's");
  weir_session_close(other);
  weir_session_close(session);
  weir_executor_destroy(executor);
  weir_model_release(again);
  weir_model_release(model);
}

Test(package, what_cannot_be_loaded_says_why) {
  weir_model *model;
  FAILS(weir_model_load(scratch_path("none.wpk"), NULL, &model), WEIR_CODE_NOT_FOUND, "none.wpk");
  OK(package_write(scratch_path("m.wpk"), &f, NULL, NULL, 0));
  FAILS(weir_model_load(scratch_path("m.wpk"), NULL, &model), WEIR_CODE_INVALID_DATA, "code object: 7 bytes");
  FAILS(weir_model_load(scratch_path("m.wpk"), &(weir_load_options){.device = "tpu"}, &model), WEIR_CODE_UNSUPPORTED,
        "device 'tpu'");
  FAILS(weir_model_load(scratch_path("m.wpk"), &(weir_load_options){.isa = "x86-64-v4"}, &model), WEIR_CODE_UNSUPPORTED,
        "the package has portable");
  size_t object_bytes;
  char *object = object_build(&object_bytes);
  object[18] = 99;  // e_machine
  OK(package_write(scratch_path("m.wpk"), &f, NULL, object, object_bytes));
  FAILS(weir_model_load(scratch_path("m.wpk"), NULL, &model), WEIR_CODE_UNSUPPORTED, "made for ELF machine");
  free(object);
  f.programs[0]->weights[0].bytes = 76;
  object = object_build(&object_bytes);
  OK(package_write(scratch_path("m.wpk"), &f, NULL, object, object_bytes));
  FAILS(weir_model_load(scratch_path("m.wpk"), NULL, &model), WEIR_CODE_INVALID_DATA, "80 bytes, the program wants 76");
  f.programs[0]->weights[0].bytes = 80;
  f.programs[0]->kernels[0].symbol = "missing";
  OK(package_write(scratch_path("m.wpk"), &f, NULL, object, object_bytes));
  FAILS(weir_model_load(scratch_path("m.wpk"), NULL, &model), WEIR_CODE_NOT_FOUND, "no kernel 'missing'");
  free(object);
}
