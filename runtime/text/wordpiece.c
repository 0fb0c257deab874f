// WordPiece: words end at white space, punctuation characters are words of their own; a word is cut into the longest
// known pieces from its left, each but the first looked up with ## in front. A word without such a cut, or of too many
// characters, is the unknown token.
#include <utf8proc.h>

#include "runtime/text/tokenizer_internal.h"
#include "runtime/text/utf8.h"

enum { WORD_CHARS = TEXT_WORD_CHARS_LIMIT };

static bool is_punctuation(uint32_t c) {
  if (c < 0x80) return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) || (c >= 123 && c <= 126);
  utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
  return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO;
}

// The longest known piece of the word from character |first| on: its id and the index of the character behind it, or
// -1.
static int32_t longest_piece(const text_tokenizer *t, const char *word, const uint32_t *starts, size_t first,
                             size_t chars, size_t *out_next) {
  uint64_t hashes[WORD_CHARS + 1];
  char joined[4 * WORD_CHARS + 2] = "##";
  size_t head = first ? 2 : 0, length = starts[chars] - starts[first];
  memcpy(joined + 2, word + starts[first], length);
  const char *text = joined + 2 - head;
  uint64_t hash = text_hash_bytes(t->header->text_seed, text, head);
  for (size_t i = first; i < chars; i++) {
    hash = text_hash_bytes(hash, word + starts[i], starts[i + 1] - starts[i]);
    hashes[i + 1] = hash;
  }
  for (size_t next = chars; next > first; next--) {
    int32_t id = text_table_find(t, hashes[next], text, head + starts[next] - starts[first]);
    if (id >= 0) {
      *out_next = next;
      return id;
    }
  }
  return -1;
}

static weir_status put_word(text_scratch *s, const char *word, const uint32_t *starts, size_t chars) {
  const text_tokenizer *t = s->tokenizer;
  size_t before = s->out->count;
  for (size_t first = 0; first < chars;) {
    int32_t id = longest_piece(t, word, starts, first, chars, &first);
    if (id < 0) {
      s->out->count = before;
      return text_ids_append(s->out, t->header->unk);
    }
    WEIR_TRY(text_ids_append(s->out, id));
  }
  return WEIR_OK;
}

weir_status text_wordpiece_words(text_scratch *s, const char *text, size_t size) {
  uint32_t starts[WORD_CHARS + 1];
  size_t limit = s->tokenizer->header->max_word_chars;
  for (size_t at = 0; at < size;) {
    size_t word = at, chars = 0;
    bool ends = false;
    while (at < size && !ends) {
      text_char c = text_utf8_next(text + at, size - at);
      bool alone = is_punctuation(c.code);
      if (text_is_white_space(c.code) || (alone && chars)) break;
      if (chars < limit) starts[chars] = (uint32_t)(at - word);
      chars++;
      at += c.size;
      ends = alone;
    }
    if (chars > limit) {
      WEIR_TRY(text_ids_append(s->out, s->tokenizer->header->unk));
    } else if (chars) {
      starts[chars] = (uint32_t)(at - word);
      WEIR_TRY(put_word(s, text + word, starts, chars));
    }
    at += text_skip_space(text + at, size - at);
  }
  return WEIR_OK;
}
