// Tokenizer: text to token ids and back, by byte-level BPE or WordPiece.
//
// Three forms of the same thing:
//   description  JSON text, readable, the neutral schema of runtime/text/README.md; made from GGUF metadata or from a
//                Hugging Face tokenizer.json (from_gguf, from_hf below), or written by hand
//   blob         one block of bytes with offsets and prebuilt hash tables, what a package carries; position
//                independent, little endian, wants 8-byte alignment
//   tokenizer    an open blob, used in place
// The compiler goes description -> blob; the runtime opens the blob (no parsing, every offset checked).
//
// A text_tokenizer is immutable: any number of threads may use one. All lengths are bytes, no text needs a NUL at its
// end, any byte sequence is accepted as text. Malformed descriptions and blobs are INVALID_DATA, forms of tokenizer we
// do not have are UNSUPPORTED.
#ifndef WEIR_RUNTIME_TEXT_TOKENIZER_H
#define WEIR_RUNTIME_TEXT_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/status.h"
#include "runtime/text/buffer.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct text_tokenizer text_tokenizer;

typedef enum { TEXT_KIND_BPE = 0, TEXT_KIND_WORDPIECE = 1 } text_kind;

typedef enum {
  TEXT_TOKEN_NORMAL = 0,
  TEXT_TOKEN_UNKNOWN,
  TEXT_TOKEN_CONTROL,  // matched in a text only with parse_special; left out of answers
  TEXT_TOKEN_USER,     // always matched in a text, before anything else
  TEXT_TOKEN_BYTE,
  TEXT_TOKEN_UNUSED,
} text_token_type;

// ---- descriptions

// What a GGUF file says about its tokenizer: the values of the keys named here. Absent strings are null, absent ids -1,
// absent arrays null with count 0. Everything is borrowed for the call.
typedef struct {
  const char *bytes;
  size_t size;
} text_view;

typedef struct {
  text_view model;          // tokenizer.ggml.model: a name of models/tokenizers.def
  text_view pre;            // tokenizer.ggml.pre: a name of models/pretokenizers.def
  const text_view *tokens;  // tokenizer.ggml.tokens
  size_t token_count;
  const int32_t *token_types;  // tokenizer.ggml.token_type, |token_count| values or null (all normal)
  const text_view *merges;     // tokenizer.ggml.merges
  size_t merge_count;
  int32_t bos_id, eos_id, eot_id, unk_id, sep_id, cls_id, pad_id, mask_id;  // tokenizer.ggml.*_token_id
  int add_bos, add_eos;     // tokenizer.ggml.add_*_token: 0, 1, or -1 when absent
  text_view chat_template;  // tokenizer.chat_template
} text_gguf_vocab;

// All ids -1, the rest absent.
void text_gguf_vocab_init(text_gguf_vocab *vocab);

// Appends the description (JSON) to |out|.
weir_status text_description_from_gguf(const text_gguf_vocab *vocab, text_buffer *out) WEIR_MUST_USE;

// |json| is a tokenizer.json, |config_json| the tokenizer_config.json beside it (or null): chat template, bos and eos.
// Truncation and padding settings of the file are not taken over.
weir_status text_description_from_hf(const char *json, size_t json_size, const char *config_json, size_t config_size,
                                     text_buffer *out) WEIR_MUST_USE;

// ---- blobs and tokenizers

// Appends the blob of |description| to |out|.
weir_status text_tokenizer_pack(const char *description, size_t size, text_buffer *out) WEIR_MUST_USE;

// Uses |blob| in place: it must stay unchanged and mapped until the last release, at an address divisible by 8.
weir_status text_tokenizer_open(const void *blob, size_t size, text_tokenizer **out) WEIR_MUST_USE;

// Packs and opens: a tokenizer that owns its blob.
weir_status text_tokenizer_create(const char *description, size_t size, text_tokenizer **out) WEIR_MUST_USE;

text_tokenizer *text_tokenizer_retain(text_tokenizer *tokenizer);
void text_tokenizer_release(text_tokenizer *tokenizer);  // null is allowed

// ---- facts

text_kind text_tokenizer_kind(const text_tokenizer *tokenizer);
int32_t text_tokenizer_vocab_size(const text_tokenizer *tokenizer);  // ids are 0 .. size - 1

// The bytes a token stands for (a WordPiece continuation without its ##); empty for an id out of range.
text_view text_tokenizer_token_bytes(const text_tokenizer *tokenizer, int32_t id);
// TEXT_TOKEN_UNUSED for an id out of range.
text_token_type text_tokenizer_token_type(const text_tokenizer *tokenizer, int32_t id);
// The id whose text is exactly this (special tokens by their written form, WordPiece continuations with ##), else -1.
int32_t text_tokenizer_find(const text_tokenizer *tokenizer, const char *text, size_t size);

// -1 where the model has none.
typedef struct {
  int32_t bos, eos, unk, cls, sep, pad, mask;
} text_special_ids;
text_special_ids text_tokenizer_special_ids(const text_tokenizer *tokenizer);
// Ids after which an answer is over.
bool text_tokenizer_is_stop(const text_tokenizer *tokenizer, int32_t id);
const int32_t *text_tokenizer_stop_ids(const text_tokenizer *tokenizer, size_t *out_count);
// The model's Jinja chat template; empty when it has none.
text_view text_tokenizer_chat_template(const text_tokenizer *tokenizer);

// ---- encode

typedef struct {
  bool add_special;    // put what the model wants around a text ([CLS], BOS, ...) around it
  bool parse_special;  // control tokens written in the text become their ids; else they are plain text
  size_t max_ids;      // 0: no limit; else the text is cut so that it and what is put around it fit
} text_encode_options;

// Appends the ids of |text| to |out|, or leaves it as it was. OUT_OF_MEMORY; INVALID_DATA when a pre-tokenizer's
// pattern exceeds its work limit; OUT_OF_RANGE for a piece of 2 GiB or more.
weir_status text_encode(const text_tokenizer *tokenizer, const char *text, size_t size, text_encode_options options,
                        text_ids *out) WEIR_MUST_USE;

// ---- decode

typedef struct {
  bool skip_special;  // leave control and unknown tokens out
} text_decode_options;

// Appends the bytes of |ids|: exactly the concatenated token bytes (BPE); words with single spaces between (WordPiece).
// Bytes need not be UTF-8. Ids out of range are OUT_OF_RANGE, and then nothing is appended.
weir_status text_decode(const text_tokenizer *tokenizer, const int32_t *ids, size_t count, text_decode_options options,
                        text_buffer *out) WEIR_MUST_USE;

// Decodes an answer as it grows. Only whole UTF-8 characters come out; bytes that cannot be part of a character come
// out as U+FFFD (one for each maximal broken piece, as the Unicode standard recommends), an unfinished tail at the end
// also.
typedef struct {
  const text_tokenizer *tokenizer;  // borrowed
  text_decode_options options;
  unsigned char tail[4];  // the first bytes of a character whose rest has not come
  unsigned tail_size;
  bool started;
} text_stream_decoder;

void text_stream_decoder_init(text_stream_decoder *decoder, const text_tokenizer *tokenizer,
                              text_decode_options options);
// Appends the characters that |id| completes, possibly none.
weir_status text_stream_decoder_feed(text_stream_decoder *decoder, int32_t id, text_buffer *out) WEIR_MUST_USE;
// Appends U+FFFD if a character is unfinished; the decoder may be used again.
weir_status text_stream_decoder_finish(text_stream_decoder *decoder, text_buffer *out) WEIR_MUST_USE;

// Appends |bytes| with every broken piece replaced by U+FFFD.
weir_status text_sanitize_utf8(const char *bytes, size_t size, text_buffer *out) WEIR_MUST_USE;

#ifdef __cplusplus
}
#endif
#endif
