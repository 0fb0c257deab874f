// Fuzzes the package reader. Mutations would end at the table's hash, so every input also gets a second try in which
// the hashes of table and sections are made right, as an attacker would.
#include "runtime/package/package.h"
#include "tests/fuzz/harness.h"

// ---- hashes made right

static void table_rehash(uint8_t *image, size_t size, uint64_t table) {
  weir_hasher hasher;
  weir_hash hash;
  weir_hasher_init(&hasher);
  weir_hasher_add(&hasher, image, offsetof(rt_package_header, table_hash));
  weir_hasher_add(&hasher, image + table, size - table);
  weir_hasher_finish(&hasher, &hash);
  memcpy(image + offsetof(rt_package_header, table_hash), hash.bytes, sizeof hash.bytes);
}

// False if the table is not where it could be.
static int image_rehash(uint8_t *image, size_t size) {
  rt_package_header header;
  if (size < sizeof header) return 0;
  memcpy(&header, image, sizeof header);
  header.file_bytes = size;
  memcpy(image, &header, sizeof header);
  if (header.table_offset > size || header.section_count > (size - header.table_offset) / sizeof(rt_package_record))
    return 0;
  for (uint32_t i = 0; i < header.section_count; i++) {
    uint8_t *place = image + header.table_offset + i * sizeof(rt_package_record);
    rt_package_record record;
    weir_hash hash;
    memcpy(&record, place, sizeof record);
    if (record.offset > size || record.bytes > size - record.offset) continue;
    weir_hash_bytes(image + record.offset, (size_t)record.bytes, &hash);
    memcpy(record.hash, hash.bytes, sizeof record.hash);
    memcpy(place, &record, sizeof record);
  }
  table_rehash(image, size, header.table_offset);
  return 1;
}

// ---- one input

static void package_touch(const rt_package *package) {
  uint64_t sum = 0;
  for (int i = 0; i < rt_package_section_count(package); i++) {
    const rt_section *section = rt_package_section(package, i);
    for (size_t k = 0; k < section->bytes; k++) sum += section->data[k];
    if (rt_package_find(package, section->name) != section) abort();
  }
  for (int i = 0; i < rt_package_weight_count(package); i++) {
    const rt_package_weight *weight = rt_package_weight_at(package, i);
    const uint8_t *data = rt_package_weight_data(package, weight);
    for (int64_t k = 0; k < weight->bytes; k++) sum += data[k];
    if (rt_package_weight_find(package, weight->key) != weight) abort();
  }
  volatile uint64_t sink = sum;
  (void)sink;
  weir_status_release(rt_package_verify(package));
}

static void package_try(const uint8_t *data, size_t size) {
  rt_package *package;
  weir_status status = rt_package_open_memory(data, size, NULL, &package);
  if (!status) {
    package_touch(package);
    rt_package_close(package);
  }
  weir_status_release(status);
}

// The package with a signature behind it, which is made of the input's first bytes.
static void signed_try(const uint8_t *image, size_t size, const uint8_t *data) {
  rt_package_signature signature = {.magic = RT_PACKAGE_SIGNATURE_MAGIC};
  uint8_t *both = malloc(size + sizeof signature);
  if (!both) return;
  size_t taken = size < sizeof signature.key + sizeof signature.signature ? 0 : sizeof signature.key;
  memcpy(signature.key, data, taken);
  if (taken) memcpy(signature.signature, data + taken, sizeof signature.signature);
  memcpy(both, image, size);
  memcpy(both + size, &signature, sizeof signature);
  package_try(both, size + sizeof signature);
  free(both);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  package_try(data, size);
  uint8_t *image = malloc(size ? size : 1);
  if (!image) return 0;
  memcpy(image, data, size);
  if (image_rehash(image, size)) {
    package_try(image, size);
    signed_try(image, size, data);
  }
  free(image);
  return 0;
}

// ---- seeds

typedef struct {
  const char *name, *text;
} seed_section;

static const char program[] =
    "program \"run\" step\n"
    "sizes R, T, T.max, T.all.max\n"
    "symbol T seq 1..64 grows\n"
    "input \"tokens\" i32[T] ragged T bytes 4*T in 0..9\n"
    "output \"sum\" f32[2] bytes 8*R\n"
    "state \"rows\" f32 bytes 8 rows T\n"
    "weight 0 \"a\" bytes 64\n"
    "buffer 0 \"x\" bytes 8*T at (8*T + 63)/64*64\n"
    "kernel 0 \"embed\" args 3 dims 1 scratch 128\n"
    "launch 0 grid T args w0, in0, b0 dims 2 sync when R in 1000..2000 cost 10, 20 note \"embed\"\n"
    "arena (8*T + 63)/64*64*2\n";

static const seed_section small[] = {
    {RT_SECTION_MANIFEST, "{\"format\":2,\"model\":\"m\",\"entries\":[],\"objects\":[]}"}};
static const seed_section whole[] = {
    {RT_SECTION_MANIFEST,
     "{\"format\": 2, \"model\": \"m\", \"entries\": [\"run\"], \"objects\": [{\"isa\": \"portable\", \"features\": "
     "\"avx2\"}]}"},
    {RT_SECTION_SOURCE "m.weir", "model M {}\n"},
    {RT_SECTION_PROGRAM "run", program},
    {RT_SECTION_OBJECT "portable",
     "\x7f"
     "ELF"},
    {RT_SECTION_WEIGHTS, "0123456789012345678901234567890123456789012345678901234567890123abcd"},
    {RT_SECTION_WEIGHTS_INDEX, "weights 2\na f32 plain 4x4 0 64\nb.c q4_1 panel16 - 64 4\n"},
};

static const seed_section apart[] = {
    {RT_SECTION_MANIFEST,
     "{\"format\": 2, \"model\": \"m\", \"entries\": [], \"objects\": [], \"weights\": {\"hash\": "
     "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\", \"bytes\": 64}}"},
    {RT_SECTION_WEIGHTS_INDEX, "weights 1\na f32 plain 4x4 0 64\n"},
};

size_t fuzz_seed(int index, uint8_t *buffer, size_t capacity) {
  const seed_section *sections = index == 2 ? apart : index ? whole : small;
  const int count = index == 2 ? (int)(sizeof apart / sizeof *apart) : index ? (int)(sizeof whole / sizeof *whole) : 1;
  rt_package_record records[8];
  size_t end = RT_PACKAGE_ALIGNMENT;
  if (index > 2 || capacity < 16 * RT_PACKAGE_ALIGNMENT) return 0;
  memset(buffer, 0, capacity);
  memset(records, 0, sizeof records);
  for (int i = 0; i < count; i++) {
    end = (end + RT_PACKAGE_ALIGNMENT - 1) / RT_PACKAGE_ALIGNMENT * RT_PACKAGE_ALIGNMENT;
    strcpy(records[i].name, sections[i].name);
    records[i].offset = end;
    records[i].bytes = strlen(sections[i].text);
    memcpy(buffer + end, sections[i].text, records[i].bytes);
    end += records[i].bytes;
  }
  end = (end + RT_PACKAGE_ALIGNMENT - 1) / RT_PACKAGE_ALIGNMENT * RT_PACKAGE_ALIGNMENT;
  rt_package_header header = {.version = RT_PACKAGE_VERSION, .section_count = (uint32_t)count, .table_offset = end};
  memcpy(header.magic, RT_PACKAGE_MAGIC, sizeof header.magic);
  memcpy(buffer, &header, sizeof header);
  memcpy(buffer + end, records, (size_t)count * sizeof *records);
  end += (size_t)count * sizeof *records;
  return image_rehash(buffer, end) ? end : 0;
}
