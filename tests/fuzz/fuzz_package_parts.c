// Fuzzes what is read beside the package's own table: symbol tables of code objects, and keys.
#include <elf.h>

#include "codegen/package/symbols.h"
#include "runtime/package/signature.h"
#include "tests/fuzz/harness.h"

static void symbols_try(const uint8_t *data, size_t size) {
  weir_arena arena;
  cg_symbol *symbols;
  int count;
  weir_arena_init(&arena);
  weir_status status = cg_object_symbols(&arena, data, size, &symbols, &count);
  for (int i = 1; !status && i < count; i++) {
    if (strcmp(symbols[i - 1].name, symbols[i].name) > 0) abort();
  }
  weir_status_release(status);
  weir_arena_deinit(&arena);
}

static void key_try(const uint8_t *data, size_t size) {
  char *text = malloc(size + 1);
  rt_public_key key;
  if (!text) return;
  memcpy(text, data, size);
  text[size] = 0;
  weir_status_release(rt_public_key_parse(text, &key));
  free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  symbols_try(data, size);
  key_try(data, size);
  return 0;
}

static size_t seed_object(uint8_t *buffer) {
  static const char names[] = "\0first\0second";
  Elf64_Ehdr header = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB},
                       .e_shoff = sizeof header,
                       .e_shentsize = sizeof(Elf64_Shdr),
                       .e_shnum = 3};
  size_t at = sizeof header + 3 * sizeof(Elf64_Shdr);
  Elf64_Sym symbols[3] = {{0},
                          {.st_name = 1, .st_info = STT_FUNC, .st_shndx = 1, .st_size = 16},
                          {.st_name = 7, .st_info = STT_FUNC, .st_shndx = 1, .st_size = 32}};
  Elf64_Shdr sections[3] = {{0},
                            {.sh_type = SHT_DYNSYM, .sh_link = 2, .sh_offset = at, .sh_size = sizeof symbols},
                            {.sh_type = SHT_STRTAB, .sh_offset = at + sizeof symbols, .sh_size = sizeof names}};
  memcpy(buffer, &header, sizeof header);
  memcpy(buffer + sizeof header, sections, sizeof sections);
  memcpy(buffer + at, symbols, sizeof symbols);
  memcpy(buffer + at + sizeof symbols, names, sizeof names);
  return at + sizeof symbols + sizeof names;
}

size_t fuzz_seed(int index, uint8_t *buffer, size_t capacity) {
  static const char *const keys[] = {
      "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
      "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC "
      "KEY-----\n"};
  if (capacity < 4096 || index > 2) return 0;
  if (!index) return seed_object(buffer);
  memcpy(buffer, keys[index - 1], strlen(keys[index - 1]));
  return strlen(keys[index - 1]);
}
