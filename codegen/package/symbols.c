// Section headers to the dynamic symbol table to names; every offset is checked against the file.
#include "codegen/package/symbols.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#define BAD(what) weir_status_make(WEIR_CODE_INVALID_DATA, "code object: %s", what)

enum { MAX_SYMBOLS = 1 << 20 };

typedef struct {
  const uint8_t *data;
  size_t bytes;
} file_view;

static bool inside(const file_view *f, uint64_t offset, uint64_t bytes) {
  return offset <= f->bytes && bytes <= f->bytes - offset;
}

static weir_status header_read(const file_view *f, Elf64_Ehdr *out) {
  if (f->bytes < sizeof *out) return BAD("too short for an ELF file");
  memcpy(out, f->data, sizeof *out);
  if (memcmp(out->e_ident, ELFMAG, SELFMAG) || out->e_ident[EI_CLASS] != ELFCLASS64 ||
      out->e_ident[EI_DATA] != ELFDATA2LSB)
    return BAD("no 64-bit little-endian ELF file");
  bool table =
      out->e_shentsize == sizeof(Elf64_Shdr) && inside(f, out->e_shoff, (uint64_t)out->e_shnum * sizeof(Elf64_Shdr));
  return table ? WEIR_OK : BAD("its section headers are not inside it");
}

static Elf64_Shdr section_read(const file_view *f, const Elf64_Ehdr *header, unsigned index) {
  Elf64_Shdr section;
  memcpy(&section, f->data + header->e_shoff + (uint64_t)index * sizeof section, sizeof section);
  return section;
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const cg_symbol *)a)->name, ((const cg_symbol *)b)->name);
}

// |names| ends with a NUL.
static weir_status symbols_read(weir_arena *arena, const file_view *f, const Elf64_Shdr *table, const Elf64_Shdr *names,
                                cg_symbol **out, int *out_count) {
  uint64_t count = table->sh_size / sizeof(Elf64_Sym);
  if (count > MAX_SYMBOLS) return BAD("too many symbols");
  *out = WEIR_NEW_ARRAY(arena, cg_symbol, count + 1);
  for (uint64_t i = 0; i < count; i++) {
    Elf64_Sym symbol;
    memcpy(&symbol, f->data + table->sh_offset + i * sizeof symbol, sizeof symbol);
    if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC || symbol.st_shndx == SHN_UNDEF) continue;
    if (symbol.st_name >= names->sh_size) return BAD("a symbol's name is not inside it");
    const char *name = (const char *)f->data + names->sh_offset + symbol.st_name;
    (*out)[(*out_count)++] = (cg_symbol){weir_arena_strdup(arena, name), symbol.st_size};
  }
  if (*out_count) qsort(*out, (size_t)*out_count, sizeof **out, by_name);
  return WEIR_OK;
}

weir_status cg_object_symbols(weir_arena *arena, const void *data, size_t bytes, cg_symbol **out_symbols,
                              int *out_count) {
  file_view f = {data, bytes};
  Elf64_Ehdr header;
  *out_symbols = NULL;
  *out_count = 0;
  WEIR_TRY(header_read(&f, &header));
  for (unsigned i = 0; i < header.e_shnum; i++) {
    Elf64_Shdr table = section_read(&f, &header, i);
    if (table.sh_type != SHT_DYNSYM) continue;
    if (table.sh_link >= header.e_shnum) return BAD("its symbols have no names");
    Elf64_Shdr names = section_read(&f, &header, table.sh_link);
    if (!inside(&f, table.sh_offset, table.sh_size) || !inside(&f, names.sh_offset, names.sh_size) || !names.sh_size ||
        f.data[names.sh_offset + names.sh_size - 1])
      return BAD("its symbols are not inside it");
    return symbols_read(arena, &f, &table, &names, out_symbols, out_count);
  }
  return BAD("no table of symbols");
}
