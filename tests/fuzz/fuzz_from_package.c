// Fuzzes the way back from a package: its texts followed by their `use` lines, its weights taken apart. An input is a
// model text, a zero byte, and a weight index; a package is made around them, with right hashes.
#include "compiler/plan/from_package.h"
#include "tests/fuzz/harness.h"

enum { WEIGHTS = 1 << 14, IMAGE = 1 << 18, SECTIONS = 5 };

typedef struct {
  uint8_t *data;
  size_t end;
  rt_package_record records[SECTIONS];
  int count;
} image;

static void section_put(image *m, const char *name, const void *data, size_t bytes) {
  rt_package_record *record = &m->records[m->count++];
  weir_hash hash;
  m->end = (m->end + RT_PACKAGE_ALIGNMENT - 1) / RT_PACKAGE_ALIGNMENT * RT_PACKAGE_ALIGNMENT;
  strcpy(record->name, name);
  record->offset = m->end;
  record->bytes = bytes;
  if (bytes) memcpy(m->data + m->end, data, bytes);
  weir_hash_bytes(m->data + m->end, bytes, &hash);
  memcpy(record->hash, hash.bytes, sizeof record->hash);
  m->end += bytes;
}

static size_t table_put(image *m) {
  weir_hasher hasher;
  weir_hash hash;
  m->end = (m->end + RT_PACKAGE_ALIGNMENT - 1) / RT_PACKAGE_ALIGNMENT * RT_PACKAGE_ALIGNMENT;
  size_t table = (size_t)m->count * sizeof m->records[0];
  rt_package_header header = {.version = RT_PACKAGE_VERSION, .section_count = (uint32_t)m->count};
  memcpy(header.magic, RT_PACKAGE_MAGIC, sizeof header.magic);
  header.table_offset = m->end;
  header.file_bytes = m->end + table;
  memcpy(m->data + m->end, m->records, table);
  weir_hasher_init(&hasher);
  weir_hasher_add(&hasher, &header, offsetof(rt_package_header, table_hash));
  weir_hasher_add(&hasher, m->records, table);
  weir_hasher_finish(&hasher, &hash);
  memcpy(header.table_hash, hash.bytes, sizeof hash.bytes);
  memcpy(m->data, &header, sizeof header);
  return m->end + table;
}

static void package_try(const rt_package *package) {
  weir_arena arena;
  lang_diags diags;
  plan_request request = {.text = "m", .package = package};
  lang_search search = {0};
  weir_arena_init(&arena);
  lang_diags_init(&diags, &arena);
  plan_unit unit = {.arena = &arena, .request = &request, .diags = &diags};
  weir_status_release(plan_package_texts(&unit, package, &search));
  weir_status_release(plan_package_weights(&unit, package));
  plan_close(&unit);
  weir_arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const char manifest[] = "{\"format\":2,\"model\":\"m\",\"entries\":[],\"objects\":[]}";
  static uint8_t weights[WEIGHTS];
  rt_package *package;
  if (size > IMAGE / 4) return 0;
  image m = {.data = calloc(IMAGE, 1), .end = RT_PACKAGE_ALIGNMENT};
  if (!m.data) return 0;
  const uint8_t *zero = memchr(data, 0, size);
  size_t text = zero ? (size_t)(zero - data) : size;
  section_put(&m, RT_SECTION_MANIFEST, manifest, sizeof manifest - 1);
  section_put(&m, RT_SECTION_SOURCE "0-m.weir", data, text);
  section_put(&m, RT_SECTION_SOURCE "1-n.weir", "let one = 1;\n", 13);
  section_put(&m, RT_SECTION_WEIGHTS, weights, sizeof weights);
  section_put(&m, RT_SECTION_WEIGHTS_INDEX, data + text + (zero != NULL), size - text - (zero != NULL));
  size_t bytes = table_put(&m);
  weir_status status = rt_package_open_memory(m.data, bytes, NULL, &package);
  if (!status) {
    package_try(package);
    rt_package_close(package);
  }
  weir_status_release(status);
  free(m.data);
  return 0;
}

size_t fuzz_seed(int index, uint8_t *buffer, size_t capacity) {
  static const struct {
    const char *text, *index;
  } seeds[] = {
      {"use \"n.weir\";\nmodel m {}\n", "weights 2\na F32 plain 4x4 0 64\nb.c Q4_1 panel 16x32 64 320\n"},
      {"model m {}\n",
       "weights 3\na Q6_K panel 5x256 0 3360\na:panel F16 panel 16x4 3392 128\nb Q8_0 panel 33x32 3520 1632\n"},
      {"use std.nn;\n", "weights 1\nl.0.w.all2-6b3ed6c3 F32 panel 2x16x4 0 512\n"},
      {"", "weights 1\nl[0].w.all2-00000000 F32 plain - 0 4\n"},
  };
  if (index >= (int)(sizeof seeds / sizeof seeds[0]) || capacity < 1024) return 0;
  size_t text = strlen(seeds[index].text), lines = strlen(seeds[index].index);
  memcpy(buffer, seeds[index].text, text + 1);
  memcpy(buffer + text + 1, seeds[index].index, lines);
  return text + 1 + lines;
}
