// The byte alphabet: a printable character for each byte, in which byte-level BPE vocabularies are written. Bytes
// that print in Latin-1 stand for themselves, the 68 others are U+0100 + their rank. Internal to runtime/text.
#ifndef WEIR_RUNTIME_TEXT_BYTE_ALPHABET_H
#define WEIR_RUNTIME_TEXT_BYTE_ALPHABET_H

#include <stdbool.h>
#include <stdint.h>

static inline bool text_byte_prints(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
}

// The byte that |code| stands for, or -1.
static inline int text_alphabet_byte(uint32_t code) {
  if (code < 0x100) return text_byte_prints(code) ? (int)code : -1;
  if (code >= 0x144) return -1;
  unsigned rank = code - 0x100;
  if (rank <= 0x20) return (int)rank;                  // 00 .. 20
  if (rank <= 0x42) return (int)(rank - 0x21 + 0x7F);  // 7F .. A0
  return 0xAD;
}

#endif
