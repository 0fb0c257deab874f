// Checkpoints on disk: what a path means (file, folder, index, shards, split) and the files beside it.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "compiler/import/checkpoint.h"
#include "tests/unit/import/make_files.h"

static char folder[64];
static weir_arena arena;
static file_buffer file;

static void start(void) {
  strcpy(folder, "/tmp/weir-checkpoint-XXXXXX");
  cr_assert(mkdtemp(folder));
  weir_arena_init(&arena);
}

static void stop(void) {
  char command[128];
  snprintf(command, sizeof command, "rm -r '%s'", folder);
  cr_assert_eq(system(command), 0);
  weir_arena_deinit(&arena);
}
TestSuite(checkpoint, .init = start, .fini = stop);

static const char *in(const char *name) { return weir_arena_printf(&arena, "%s/%s", folder, name); }

static void save(const char *name, const void *data, size_t size) {
  weir_status status = weir_file_write_atomic(in(name), data, size);
  cr_assert(!status, "%s", weir_status_message(status));
}

// A shard with one U8 tensor.
static void save_shard(const char *name, const char *tensor) {
  make_safetensors(
      &file,
      weir_arena_printf(
          &arena,
          "{\"__metadata__\":{\"format\":\"pt\"},\"%s\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}",
          tensor),
      2);
  save(name, file.data, file.size);
}

static import_checkpoint *opens(const char *path) {
  import_checkpoint *checkpoint = NULL;
  weir_status status = import_checkpoint_open(&arena, path, &checkpoint);
  cr_assert(!status, "%s", weir_status_message(status));
  return checkpoint;
}

static void refused(const char *path, weir_code code, const char *part) {
  import_checkpoint *checkpoint = NULL;
  weir_status status = import_checkpoint_open(&arena, path, &checkpoint);
  cr_assert_eq(weir_status_code(status), code, "%s", weir_status_message(status));
  cr_assert(strstr(weir_status_message(status), part), "'%s' is not in '%s'", part, weir_status_message(status));
  weir_status_release(status);
}

Test(checkpoint, one_file_of_either_format) {
  make_gguf(&file, 3);
  save("any.name", file.data, file.size);
  import_checkpoint *c = opens(in("any.name"));
  cr_assert(c->format == IMPORT_FORMAT_GGUF && c->file_count == 1 && !c->config_json);
  import_checkpoint_close(c);
  save_shard("other.name", "w");
  save("config.json", "{}", 2);
  save("vocab.txt", "a\n", 2);
  c = opens(in("other.name"));
  cr_assert(c->format == IMPORT_FORMAT_SAFETENSORS && c->config_json && c->vocab_txt && !c->tokenizer_json);
  cr_assert_str_eq(c->config_json, in("config.json"));
  weir_hash hash, expected;
  cr_assert(!import_checkpoint_hash(c, &hash) && !weir_hash_file(in("other.name"), &expected));
  cr_assert(weir_hash_equal(&hash, &expected));
  import_checkpoint_close(c);
  import_checkpoint_close(c);
  import_checkpoint_close(NULL);
}

Test(checkpoint, what_is_no_checkpoint) {
  refused(in("none"), WEIR_CODE_NOT_FOUND, "none");
  refused(folder, WEIR_CODE_NOT_FOUND, "holds neither");
  save("empty", "", 0);
  refused(in("empty"), WEIR_CODE_INVALID_DATA, "neither GGUF nor safetensors");
  save("text", "hello, world", 12);
  refused(in("text"), WEIR_CODE_INVALID_DATA, "neither GGUF nor safetensors");
  save("json", " {\"a\": 1}", 9);
  refused(in("json"), WEIR_CODE_INVALID_DATA, "weight_map");
  refused("/dev/null", WEIR_CODE_INVALID_ARGUMENT, "no regular file");
}

Test(checkpoint, shards_without_an_index) {
  save_shard("m-2.safetensors", "b");
  save_shard("m-1.safetensors", "a");
  import_checkpoint *c = opens(folder);
  cr_assert(c->file_count == 2 && c->tensor_count == 2 && c->kv_count == 1);
  cr_assert_eq(import_checkpoint_tensor(c, "b")->file, 1);
  import_checkpoint_close(c);
  save_shard("m-3.safetensors", "a");
  refused(folder, WEIR_CODE_INVALID_DATA, "tensor 'a' is given twice");
}

Test(checkpoint, shards_with_an_index) {
  save_shard("m-1.safetensors", "a");
  save_shard("m-2.safetensors", "b");
  save_shard("stray.safetensors", "a");
  static const char index[] =
      "{\"metadata\":{\"total_size\":4},\"weight_map\":{\"a\":\"m-1.safetensors\",\"b\":\"m-2.safetensors\"}}";
  save("m.safetensors.index.json", index, strlen(index));
  import_checkpoint *c = opens(folder);
  cr_assert(c->file_count == 2 && c->tensor_count == 2);
  import_checkpoint_close(c);
  c = opens(in("m.safetensors.index.json"));
  cr_assert_eq(c->file_count, 2);
  import_checkpoint_close(c);
}

Test(checkpoint, bad_indexes) {
  save_shard("m-1.safetensors", "a");
  static const struct {
    const char *text, *part;
    weir_code code;
  } cases[] = {
      {"{\"weight_map\":{}}", "weight_map is empty", WEIR_CODE_INVALID_DATA},
      {"{\"weight_map\":{\"a\":1}}", "no plain file name", WEIR_CODE_INVALID_DATA},
      {"{\"weight_map\":{\"a\":\"../m-1.safetensors\"}}", "no plain file name", WEIR_CODE_INVALID_DATA},
      {"{\"weight_map\":{\"a\":\"..\"}}", "no plain file name", WEIR_CODE_INVALID_DATA},
      {"{\"weight_map\":{\"a\":\"/etc/passwd\"}}", "no plain file name", WEIR_CODE_INVALID_DATA},
      {"{\"weight_map\":{\"a\":\"m-9.safetensors\"}}", "m-9.safetensors", WEIR_CODE_NOT_FOUND},
      {"{\"weight_map\":{\"x\":\"m-1.safetensors\"}}", "tensor 'x' is not in", WEIR_CODE_INVALID_DATA},
      {"{\"weight_map\":{\"a\":{\"b\":{\"c\":{\"d\":1}}}}}", "nested deeper", WEIR_CODE_INVALID_DATA},
      {"{\"weight_map\":", "JSON at byte", WEIR_CODE_INVALID_DATA},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    save("m.safetensors.index.json", cases[i].text, strlen(cases[i].text));
    refused(folder, cases[i].code, cases[i].part);
  }
}

// A GGUF part with one tensor of its own.
static void save_part(const char *name, uint16_t number, uint16_t count, const char *tensor) {
  file.size = 0;
  put(&file, "GGUF", 4);
  put_u32(&file, 3);
  put_u64(&file, 1);
  put_u64(&file, 2);
  put_kv(&file, "split.no", 2);
  put(&file, &number, 2);
  put_kv(&file, "split.count", 2);
  put(&file, &count, 2);
  put_tensor(&file, tensor, 1, (uint64_t[]){8}, 24, 0);
  pad_to(&file, 32);
  put(&file, "12345678", 8);
  save(name, file.data, file.size);
}

Test(checkpoint, split_gguf) {
  save_part("m-00001-of-00002.gguf", 0, 2, "a");
  save_part("m-00002-of-00002.gguf", 1, 2, "b");
  import_checkpoint *c = opens(folder);
  cr_assert(c->file_count == 2 && c->tensor_count == 2 && c->kv_count == 2);
  import_checkpoint_close(c);
  refused(in("m-00002-of-00002.gguf"), WEIR_CODE_UNSUPPORTED, "part 2 of 2");
  save_part("m-00003.gguf", 0, 1, "c");
  refused(folder, WEIR_CODE_INVALID_DATA, "not the parts of one model");
}
