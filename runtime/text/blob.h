// The packed tokenizer: one header, then sections, each at an 8-byte aligned offset from the start. Internal to
// runtime/text.
//
// "Symbols" are what BPE merges: the tokens, followed by pieces that a merge rule names but the vocabulary lacks, and
// by bytes without a token. Symbols beyond the vocabulary never leave the encoder: at the end each falls apart into the
// tokens of its bytes. A byte without a token vanishes before the merging, or becomes the unknown token behind it.
#ifndef WEIR_RUNTIME_TEXT_BLOB_H
#define WEIR_RUNTIME_TEXT_BLOB_H

#include <stdint.h>
#include <string.h>

#define TEXT_BLOB_MAGIC "WEIRTOK\1"
#define TEXT_NO_SYMBOL 0xFFFFFFFFu
// No lookup looks at more slots than this; the packer changes the seed until it holds.
#define TEXT_PROBE_LIMIT 64u
#define TEXT_VOCAB_LIMIT (1u << 24)
#define TEXT_STEP_LIMIT 16u
#define TEXT_WORD_CHARS_LIMIT 1024u

typedef enum {
  TEXT_SECTION_OFFSETS,  // u32[symbols + 1] into BYTES
  TEXT_SECTION_BYTES,    // what each symbol stands for; WordPiece continuations with ##
  TEXT_SECTION_TYPES,    // u8[vocab]: text_token_type, and the two strip bits
  TEXT_SECTION_TEXTS,    // u32[power of two]: open hash table of id + 1 by bytes, 0 is empty
  TEXT_SECTION_MERGES,   // text_merge[power of two]: open hash table by (left, right); left TEXT_NO_SYMBOL is empty
  TEXT_SECTION_BYTE_SYMBOLS,  // u32[256]: symbol of each byte
  TEXT_SECTION_SPECIALS,      // u32[]: ids matched in raw text, sorted by their bytes
  TEXT_SECTION_STEPS,         // text_step[]: pre-tokenizer
  TEXT_SECTION_PATTERNS,      // the patterns of the steps
  TEXT_SECTION_PREFIX,        // i32[]: ids put in front with add_special
  TEXT_SECTION_SUFFIX,        // i32[]: ids put behind
  TEXT_SECTION_STOPS,         // i32[]
  TEXT_SECTION_TEMPLATE,      // chat template
  TEXT_SECTION_COUNT
} text_section_id;

enum { TEXT_TYPE_MASK = 7, TEXT_STRIP_LEFT = 64, TEXT_STRIP_RIGHT = 128 };

enum {
  TEXT_FLAG_IGNORE_MERGES = 1,   // a piece that is a token as a whole is that token
  TEXT_FLAG_PREFIX_SPACE = 2,    // a space goes before every stretch of text that does not begin with one
  TEXT_FLAG_BYTE_UNKNOWN = 4,    // a byte without a token becomes the unknown token
  TEXT_FLAG_FUSE_UNKNOWN = 8,    // several in a row become one
  TEXT_FLAG_CLEAN = 16,          // normaliser: drop controls, white space becomes U+0020
  TEXT_FLAG_CJK_SPACES = 32,     // spaces around CJK ideographs
  TEXT_FLAG_STRIP_ACCENTS = 64,  // NFD, then drop class Mn
  TEXT_FLAG_LOWERCASE = 128,
  TEXT_FLAG_ALL = 255
};

typedef enum {
  TEXT_FORM_NONE,
  TEXT_FORM_NFC,
  TEXT_FORM_NFD,
  TEXT_FORM_NFKC,
  TEXT_FORM_NFKD,
  TEXT_FORM_COUNT
} text_form;

typedef enum { TEXT_SPLIT_ISOLATED, TEXT_SPLIT_REMOVED, TEXT_SPLIT_CONTIGUOUS, TEXT_SPLIT_COUNT } text_split;

typedef struct {
  uint32_t left, right, rank, result;
} text_merge;

typedef struct {
  uint32_t pattern_offset, pattern_size;
  uint32_t split;   // text_split
  uint32_t invert;  // 1: what lies between matches plays the part of the match
} text_step;

typedef struct {
  uint64_t offset;
  uint64_t count;
} text_section;

typedef struct {
  char magic[8];
  uint64_t size;  // of the whole blob
  uint32_t kind;  // text_kind
  uint32_t flags;
  uint32_t form;  // text_form
  uint32_t vocab, symbols;
  uint32_t max_word_chars;
  int32_t bos, eos, unk, cls, sep, pad, mask;
  uint32_t reserved;
  uint64_t text_seed, merge_seed;
  text_section sections[TEXT_SECTION_COUNT];
} text_blob_header;

static inline uint64_t text_mix(uint64_t h) {  // the finaliser of MurmurHash3
  h ^= h >> 33;
  h *= 0xFF51AFD7ED558CCDull;
  h ^= h >> 33;
  h *= 0xC4CEB9FE1A85EC53ull;
  return h ^ h >> 33;
}

// Byte strings hash by FNV-1a in steps, so that all prefixes of a word cost one pass; text_mix comes last.
static inline uint64_t text_hash_bytes(uint64_t h, const char *bytes, size_t size) {
  for (size_t i = 0; i < size; i++) h = (h ^ (unsigned char)bytes[i]) * 0x100000001B3ull;
  return h;
}

static inline uint64_t text_hash_pair(uint64_t seed, uint32_t left, uint32_t right) {
  return text_mix(((uint64_t)left << 32 | right) ^ seed);
}

#endif
