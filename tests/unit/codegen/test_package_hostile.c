// Packages that were damaged, or made to harm: an error each time, and never a read outside the file.
#include "tests/unit/codegen/package_fixture.h"

static fixture f;
static uint8_t *image;
static size_t image_bytes;

static void setup(void) {
  char *data;
  scratch_make();
  fixture_init(&f);
  OK(package_write(scratch_path("a.wpk"), &f, NULL, NULL, 0));
  OK(weir_file_read(scratch_path("a.wpk"), 1 << 20, &data, &image_bytes));
  image = (uint8_t *)data;
}

static void teardown(void) {
  free(image);
  fixture_deinit(&f);
  scratch_remove();
}

TestSuite(package_hostile, .init = setup, .fini = teardown);

static weir_status open_bytes(const uint8_t *data, size_t bytes) {
  rt_package *package;
  uint8_t *exact = malloc(bytes ? bytes : 1);  // of its own, so that a read past the end is found
  memcpy(exact, data, bytes);
  weir_status status = rt_package_open_memory(exact, bytes, NULL, &package);
  if (!status) {
    status = rt_package_verify(package);
    rt_package_close(package);
  }
  free(exact);
  return status;
}

static rt_package_header *header(void) { return (rt_package_header *)image; }
static rt_package_record *record(int index) { return (rt_package_record *)(image + header()->table_offset) + index; }

static void table_rehash(void) {
  weir_hasher hasher;
  weir_hash hash;
  weir_hasher_init(&hasher);
  weir_hasher_add(&hasher, image, 32);
  weir_hasher_add(&hasher, image + header()->table_offset, image_bytes - header()->table_offset);
  weir_hasher_finish(&hasher, &hash);
  memcpy(header()->table_hash, hash.bytes, 32);
}

static rt_package_record *record_find(const char *name) {
  for (int i = 0;; i++) {
    if (!strcmp(record(i)->name, name)) return record(i);
  }
}

// Replaces a section's contents by |text|, which is not longer, and corrects the hashes.
static void section_replace(const char *name, const char *text) {
  rt_package_record *r = record_find(name);
  cr_assert_leq(strlen(text), 4096);
  weir_hash hash;
  memset(image + r->offset, 0, r->bytes);
  memcpy(image + r->offset, text, strlen(text));
  r->bytes = strlen(text);
  weir_hash_bytes(text, strlen(text), &hash);
  memcpy(r->hash, hash.bytes, 32);
  table_rehash();
}

Test(package_hostile, truncation_is_seen) {
  OK(open_bytes(image, image_bytes));
  for (size_t bytes = 0; bytes < image_bytes; bytes += 64) {
    weir_status status = open_bytes(image, bytes);
    cr_assert_eq(weir_status_code(status), WEIR_CODE_INVALID_DATA, "%zu bytes", bytes);
    weir_status_release(status);
  }
}

// Every bit of header, table and all sections, and some of the zeros between.
Test(package_hostile, flipped_bits_are_seen) {
  for (size_t byte = 0; byte < image_bytes; byte += image[byte] ? 1 : 61) {
    for (int bit = 0; bit < 8; bit += image[byte] ? 1 : 5) {
      image[byte] ^= (uint8_t)(1 << bit);
      weir_status status = open_bytes(image, image_bytes);
      cr_assert(status, "byte %zu, bit %d", byte, bit);
      weir_status_release(status);
      image[byte] ^= (uint8_t)(1 << bit);
    }
  }
}

// Tables with a right hash and wrong contents.
Test(package_hostile, forged_tables_are_refused) {
  uint8_t *copy = malloc(image_bytes);
  memcpy(copy, image, image_bytes);
#define FORGED(change, text)                                             \
  do {                                                                   \
    change;                                                              \
    table_rehash();                                                      \
    FAILS(open_bytes(image, image_bytes), WEIR_CODE_INVALID_DATA, text); \
    memcpy(image, copy, image_bytes);                                    \
  } while (0)
  FORGED(record(1)->offset += 4096, "wrong place");
  FORGED(record(1)->offset = record(0)->offset, "wrong place");
  FORGED(record(1)->offset += 8, "wrong place");
  FORGED(record(1)->offset = UINT64_MAX - 4095, "wrong place");
  FORGED(record(2)->bytes = UINT64_MAX, "past the end");
  FORGED(record(2)->bytes = (uint64_t)INT64_MAX, "past the end");
  FORGED(memset(record(0)->name, 'a', RT_PACKAGE_NAME_BYTES), "bad name");
  FORGED(memset(record(0)->name, 0, RT_PACKAGE_NAME_BYTES), "bad name");
  FORGED(strcpy(record(0)->name, "../etc"), "bad name");
  FORGED(record(0)->name[70] = 'x', "bytes behind its name");
  FORGED(memmove(record(0)->name, record(1)->name, RT_PACKAGE_NAME_BYTES), "there are two");
  FORGED(strcpy(record(0)->name, "manifesT"), "no section 'manifest'");
  FORGED(strcpy(record_find("weights")->name, "weighty"), "do not come together");
  FORGED(record(0)->hash[0] ^= 1, "wrong hash");
  FORGED(header()->section_count--, "section table: wrong place");
  FORGED(header()->table_offset -= 4096, "section table: wrong place");
  FORGED(image[4096 - 8] = 1, "is not zero");
  header()->section_count = UINT32_MAX;
  FAILS(open_bytes(image, image_bytes), WEIR_CODE_INVALID_DATA, "too large");
  header()->section_count = 1, header()->table_offset = UINT64_MAX - 4095;
  FAILS(open_bytes(image, image_bytes), WEIR_CODE_INVALID_DATA, "wrong place");
  memcpy(image, copy, image_bytes);
  header()->version = 3;
  FAILS(open_bytes(image, image_bytes), WEIR_CODE_UNSUPPORTED, "package version 3, this runtime reads 2");
  header()->version = 1;
  FAILS(open_bytes(image, image_bytes), WEIR_CODE_UNSUPPORTED, "'weir upgrade' makes a current one of it");
  free(copy);
}

#define HASH64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

Test(package_hostile, wrong_manifests_are_refused) {
  static const char *const cases[][2] = {
      {" ", "manifest: line 1"},
      {"[]", "'format' is no number"},
      {"{\"format\": 1.5}", "'format' is no number"},
      {"{\"format\": 2, \"format\": 2}", "duplicate"},
      {"{\"format\": 2, \"model\": 3}", "'model' is no text"},
      {"{\"format\": 2, \"model\": \"m\", \"entries\": 3}", "'entries' is no list"},
      {"{\"format\": 2, \"model\": \"m\", \"entries\": [\"next\"]}", "does not fit the programs"},
      {"{\"format\": 2, \"model\": \"m\", \"entries\": [\"next\", \"next\", \"score\"]}", "names one twice"},
      {"{\"format\": 2, \"model\": \"m\", \"entries\": [\"next\", \"blocks\", \"sco\"]}", "without a program"},
      {"{\"format\": 2, \"model\": \"m\", \"entries\": [\"next\", \"blocks\", 7]}", "without a program"},
      {"{\"format\": 2, \"model\": \"m\", \"entries\": [\"next\", \"blocks\", \"score\"], \"objects\": [7]}",
       "without a name"},
      {"{\"format\": 2, \"model\": \"m\", \"entries\": [\"next\", \"blocks\", \"score\"], \"objects\": [{\"isa\": "
       "\"avx\"}]}",
       "names one that is not there"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    section_replace("manifest", cases[i][0]);
    FAILS(open_bytes(image, image_bytes), WEIR_CODE_INVALID_DATA, cases[i][1]);
  }
  section_replace("manifest", "{\"format\": 1}");
  FAILS(open_bytes(image, image_bytes), WEIR_CODE_UNSUPPORTED, "format 1 in a package of version 2");
  static const char *const beside[][2] = {
      {"7", "'weights' has no hash"},
      {"{\"hash\": \"12\", \"bytes\": 4}", "'weights' has no hash"},
      {"{\"hash\": \"" HASH64 "\"}", "'weights' has no number"},
      {"{\"hash\": \"" HASH64 "\", \"bytes\": -1}", "'weights' has no number"},
      {"{\"hash\": \"" HASH64 "\", \"bytes\": 192}", "do not come together"},  // they are inside too
  };
  for (size_t i = 0; i < sizeof beside / sizeof beside[0]; i++) {
    char text[1024];
    snprintf(
        text, sizeof text,
        "{\"format\": 2, \"model\": \"m\", \"entries\": [\"next\", \"blocks\", \"score\"], \"objects\": [{\"isa\": "
        "\"portable\"}], \"weights\": %s}",
        beside[i][0]);
    section_replace("manifest", text);
    FAILS(open_bytes(image, image_bytes), WEIR_CODE_INVALID_DATA, beside[i][1]);
  }
  char deep[4000];
  memset(deep, '[', sizeof deep - 1);
  deep[sizeof deep - 1] = 0;
  section_replace("manifest", deep);
  FAILS(open_bytes(image, image_bytes), WEIR_CODE_INVALID_DATA, "manifest");
}

Test(package_hostile, wrong_weight_indices_are_refused) {
  static const char *const cases[][2] = {
      {" ", "line 1: not 'weights COUNT'"},
      {"weights 2", "line 1: not 'weights COUNT'"},
      {"weights -1\n", "line 1: not 'weights COUNT'"},
      {"weights 01\n", "line 1: not 'weights COUNT'"},
      {"weights 99999999999999999999\n", "line 1: not 'weights COUNT'"},
      {"weights 9223372036854775807\n", "fewer lines"},
      {"weights 1\n", "fewer lines"},
      {"weights 0\nk f32 plain - 0 4\n", "line 2: more lines"},
      {"weights 1\nk f32 plain - 0 4", "line 2: not six words"},
      {"weights 1\nk f32 plain - 0 4 \n", "line 2: not six words"},
      {"weights 1\nk  f32 plain - 0 4\n", "line 2: not six words"},
      {"weights 1\nk f32 plain - 0\n............\n", "line 2: not six words"},
      {"weights 1\nk f32 plain 2x 0 4\n", "line 2: bad dims"},
      {"weights 1\nk f32 plain - 1 4\n", "line 2: place is not aligned"},
      {"weights 1\nk f32 plain - -64 4\n", "line 2: bad number"},
      {"weights 1\nk f32 plain - 0 193\n", "line 2: reaches past"},
      {"weights 1\nk f32 plain - 9223372036854775744 64\n", "line 2: reaches past"},
      {"weights 1\nk f32 plain - 64 9223372036854775807\n", "line 2: reaches past"},
      {"weights 2\nk f32 plain - 0 65\nl f32 plain - 64 4\n", "line 3: overlaps"},
      {"weights 2\nk f32 plain - 64 4\nl f32 plain - 0 4\n", "line 3: overlaps"},
      {"weights 2\nk f32 plain - 0 4\nk f32 plain - 64 4\n", "line 3: a key twice"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    section_replace("weights.index", cases[i][0]);
    FAILS(open_bytes(image, image_bytes), WEIR_CODE_INVALID_DATA, cases[i][1]);
  }
  section_replace("weights.index", "weights 1\nother f32 plain - 0 4\n");
  FAILS(open_bytes(image, image_bytes), WEIR_CODE_INVALID_DATA, "weight 'table' is not in the package");
}

Test(package_hostile, every_allocation_may_fail) {
  for (long n = 1;; n++) {
    counting c = {.fail_at = n};
    weir_allocator failing = counting_allocator(&c);
    rt_package *package = NULL;
    weir_status status = rt_package_open_memory(image, image_bytes, &failing, &package);
    bool done = !status;
    if (status) cr_assert_eq(weir_status_code(status), WEIR_CODE_OUT_OF_MEMORY);
    weir_status_release(status);
    rt_package_close(package);
    cr_assert_eq(c.live, 0);
    if (done) break;
  }
}
