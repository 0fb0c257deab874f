// The package file, byte by byte. Little-endian; docs/package.md is the page for people.
//
//   0      rt_package_header, then zeros up to 4096
//   4096   the sections in the order of the table, each at the next multiple of 4096, zeros between
//   end    the section table, at the next multiple of 4096: section_count entries
//   then   nothing, or one rt_package_signature, which the header does not count: a package has the same name signed
//          and unsigned
//
// The table stands at the end so that a writer can stream sections of unknown number and size. One layout is legal for
// given sections: there are no gaps to hide things in, and equal inputs give equal files.
#ifndef WEIR_RUNTIME_PACKAGE_FORMAT_H
#define WEIR_RUNTIME_PACKAGE_FORMAT_H

#include <stdint.h>

#define RT_PACKAGE_MAGIC "\x89WEIRPK\n"

enum {
  RT_PACKAGE_VERSION = 2,
  RT_PACKAGE_OLDEST = 1,  // that `weir upgrade` still reads
  RT_PACKAGE_ALIGNMENT = 4096,
  RT_PACKAGE_MAX_SECTIONS = 4096,
  RT_PACKAGE_NAME_BYTES = 80,  // with the NUL
  RT_PACKAGE_WEIGHT_ALIGNMENT = 64,
  RT_PACKAGE_KEY_BYTES = 32,  // ed25519
  RT_PACKAGE_SIGNATURE_BYTES = 64,
};

typedef struct {
  char magic[8];
  uint32_t version;
  uint32_t section_count;
  uint64_t file_bytes;
  uint64_t table_offset;
  uint8_t table_hash[32];  // BLAKE2b-256 of the 32 bytes before it, then the table
} rt_package_header;

typedef struct {
  char name[RT_PACKAGE_NAME_BYTES];  // [A-Za-z0-9._+-] and single '/' between parts, no part "." or ".."; filled up
                                     // with NULs
  uint64_t offset;
  uint64_t bytes;
  uint8_t hash[32];  // BLAKE2b-256 of the section
} rt_package_record;

typedef struct {
  char magic[8];
  uint8_t key[RT_PACKAGE_KEY_BYTES];              // the public key
  uint8_t signature[RT_PACKAGE_SIGNATURE_BYTES];  // of RT_PACKAGE_SIGNED, with its NUL, then the table hash
  uint8_t zeros[24];
} rt_package_signature;

#define RT_PACKAGE_SIGNATURE_MAGIC "WEIRSIG\n"
#define RT_PACKAGE_SIGNED "weir package"

#ifdef __cplusplus
static_assert(sizeof(rt_package_header) == 64 && sizeof(rt_package_record) == 128, "no padding");
static_assert(sizeof(rt_package_signature) == 128, "no padding");
#else
_Static_assert(sizeof(rt_package_header) == 64 && sizeof(rt_package_record) == 128, "no padding");
_Static_assert(sizeof(rt_package_signature) == 128, "no padding");
#endif

// Names of sections, and prefixes of families.
#define RT_SECTION_MANIFEST "manifest"
#define RT_SECTION_SOURCE "source/"    // + path: resolved model and plan text
#define RT_SECTION_PROGRAM "program/"  // + entry: text of its rt_program
#define RT_SECTION_DEVICE "cuda/"      // behind it: of the program that GPUs and sim run, where it is another
#define RT_SECTION_SM_90A "sm_90a/"    // likewise: of that which GPUs with wgmma run, where it is another than that
#define RT_SECTION_KERNELS "kernels/"  // + isa: emitted C, for readers
#define RT_SECTION_OBJECT "object/"    // + isa: ELF shared object
#define RT_SECTION_WEIGHTS_INDEX "weights.index"
#define RT_SECTION_WEIGHTS "weights"  // absent where they are in a file beside: HASH.weights
#define RT_SECTION_TOKENIZER "tokenizer"
#define RT_SECTION_GOLDEN "golden"
#define RT_SECTION_TUNING "tuning"  // schedules that were tried on the machine that built it, and what they gained

#endif
