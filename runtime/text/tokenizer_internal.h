// What the files of the tokenizer share. Internal to runtime/text.
#ifndef WEIR_RUNTIME_TEXT_TOKENIZER_INTERNAL_H
#define WEIR_RUNTIME_TEXT_TOKENIZER_INTERNAL_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdatomic.h>

#include "runtime/text/blob.h"
#include "runtime/text/tokenizer.h"

struct text_tokenizer {
  atomic_uint references;
  void *owned_blob;  // null when the blob is borrowed
  const text_blob_header *header;
  const uint32_t *offsets;
  const char *bytes;
  const uint8_t *types;
  const uint32_t *texts;
  uint32_t text_mask;
  const text_merge *merges;
  uint32_t merge_mask;
  const uint32_t *byte_symbols;
  const uint32_t *specials;
  uint32_t special_count;
  const text_step *steps;
  uint32_t step_count;
  pcre2_code *patterns[TEXT_STEP_LIMIT];
  bool special_start[256];  // bytes with which some special token begins
};

// A borrowed stretch of text on its way through the encoder, and where its ids go.
typedef struct text_scratch text_scratch;
typedef weir_status (*text_piece_fn)(text_scratch *scratch, const char *piece, size_t size);

typedef struct {
  uint32_t symbol;
  int32_t previous, next;  // -1 at the ends; a symbol that was merged away has TEXT_NO_SYMBOL
} text_bpe_node;

typedef struct {
  uint32_t rank;
  int32_t at;  // index of the left node
  uint32_t left, right, result;
} text_bpe_candidate;

// Work space of one encode call.
struct text_scratch {
  const text_tokenizer *tokenizer;
  text_ids *out;
  text_buffer normal, spaced;
  pcre2_match_data *match[TEXT_STEP_LIMIT];
  pcre2_match_context *context;
  pcre2_jit_stack *stack;
  text_bpe_node *nodes;
  text_bpe_candidate *heap;
  size_t node_capacity, heap_count;
};

static inline const char *text_symbol_bytes(const text_tokenizer *t, uint32_t symbol, size_t *out_size) {
  *out_size = t->offsets[symbol + 1] - t->offsets[symbol];
  return t->bytes + t->offsets[symbol];
}

static inline text_token_type text_type_of(const text_tokenizer *t, uint32_t id) {
  return (text_token_type)(t->types[id] & TEXT_TYPE_MASK);
}

// Looks |size| bytes up whose running hash (text_hash_bytes from the text seed) is |hash|; -1 if there is none.
int32_t text_table_find(const text_tokenizer *t, uint64_t hash, const char *bytes, size_t size);

// Compiles a pre-tokenizer pattern for valid UTF-8, \s as the property White_Space. INVALID_DATA tells place and
// reason.
weir_status text_pattern_compile(const char *pattern, size_t size, pcre2_code **out) WEIR_MUST_USE;
// Splits |text| (any bytes) by the steps of the tokenizer and calls |emit| for each piece, in order.
weir_status text_pretokenize(text_scratch *scratch, const char *text, size_t size, text_piece_fn emit) WEIR_MUST_USE;

// True if the token continues the word before it (WordPiece ##). |id| is in range.
bool text_token_joins(const text_tokenizer *t, int32_t id);

// Appends the ids of one piece to scratch->out.
weir_status text_bpe_piece(text_scratch *scratch, const char *piece, size_t size) WEIR_MUST_USE;
// Splits normalised text into words and appends their pieces.
weir_status text_wordpiece_words(text_scratch *scratch, const char *text, size_t size) WEIR_MUST_USE;

// True if the header asks for any change of the text.
bool text_normalizes(const text_blob_header *header);
// Appends the normalised |text| to |out|. Broken UTF-8 is copied (BPE) or becomes U+FFFD before everything else
// (WordPiece).
weir_status text_normalize(const text_blob_header *header, const char *text, size_t size,
                           text_buffer *out) WEIR_MUST_USE;

#endif
