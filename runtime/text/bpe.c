// Byte-pair encoding of one piece: the symbols of its bytes in a doubly linked list, and a heap of pairs that may
// merge.
//
// The pair of lowest rank merges first, the leftmost among equals; pairs that a merge creates join the heap at once.
// This is the order of the tokenizers library. Each merge takes one symbol away and adds two pairs at
// most, so the work is O(n log n) and the memory linear for any piece. A heap entry whose symbols have changed is stale
// and skipped.
#include <stdlib.h>

#include "runtime/text/tokenizer_internal.h"

static const text_merge *find_merge(const text_tokenizer *t, uint32_t left, uint32_t right) {
  uint32_t slot = (uint32_t)text_hash_pair(t->header->merge_seed, left, right);
  for (uint32_t probe = 0; probe < TEXT_PROBE_LIMIT; probe++) {
    const text_merge *merge = &t->merges[(slot + probe) & t->merge_mask];
    if (merge->left == left && merge->right == right) return merge;
    if (merge->left == TEXT_NO_SYMBOL) return NULL;
  }
  return NULL;
}

static bool goes_before(const text_bpe_candidate *a, const text_bpe_candidate *b) {
  return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

static void heap_push(text_scratch *s, text_bpe_candidate item) {
  size_t hole = s->heap_count++;
  while (hole > 0 && goes_before(&item, &s->heap[(hole - 1) / 2])) {
    s->heap[hole] = s->heap[(hole - 1) / 2];
    hole = (hole - 1) / 2;
  }
  s->heap[hole] = item;
}

static text_bpe_candidate heap_pop(text_scratch *s) {
  text_bpe_candidate top = s->heap[0], last = s->heap[--s->heap_count];
  size_t hole = 0;
  for (size_t child; (child = 2 * hole + 1) < s->heap_count; hole = child) {
    if (child + 1 < s->heap_count && goes_before(&s->heap[child + 1], &s->heap[child])) child++;
    if (!goes_before(&s->heap[child], &last)) break;
    s->heap[hole] = s->heap[child];
  }
  s->heap[hole] = last;
  return top;
}

static weir_status reserve(text_scratch *s, size_t size) {
  if (size > INT32_MAX) return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "a piece of %zu bytes is too long", size);
  if (size <= s->node_capacity) return WEIR_OK;
  size_t count = size < 64 ? 64 : size + size / 2;
  text_bpe_node *nodes = realloc(s->nodes, count * sizeof *nodes);
  if (nodes) s->nodes = nodes;
  // size - 1 pairs at the start; each of at most size - 1 merges takes one entry out and puts two in.
  text_bpe_candidate *heap = nodes ? realloc(s->heap, 2 * count * sizeof *heap) : NULL;
  if (!heap) return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for a piece of %zu bytes", size);
  s->heap = heap;
  s->node_capacity = count;
  return WEIR_OK;
}

static void consider(text_scratch *s, int32_t at) {
  if (at < 0 || s->nodes[at].next < 0) return;
  uint32_t left = s->nodes[at].symbol, right = s->nodes[s->nodes[at].next].symbol;
  const text_merge *merge = find_merge(s->tokenizer, left, right);
  if (merge) heap_push(s, (text_bpe_candidate){merge->rank, at, left, right, merge->result});
}

static void merge_all(text_scratch *s) {
  while (s->heap_count) {
    text_bpe_candidate best = heap_pop(s);
    text_bpe_node *left = &s->nodes[best.at];
    if (left->symbol != best.left || left->next < 0 || s->nodes[left->next].symbol != best.right) continue;
    text_bpe_node *right = &s->nodes[left->next];
    left->symbol = best.result;
    right->symbol = TEXT_NO_SYMBOL;
    left->next = right->next;
    if (right->next >= 0) s->nodes[right->next].previous = best.at;
    consider(s, left->previous);
    consider(s, best.at);
  }
}

// Appends the tokens of one final symbol. |after_unknown| carries over from one symbol to the next.
static weir_status emit_symbol(text_scratch *s, uint32_t symbol, bool *after_unknown) {
  const text_tokenizer *t = s->tokenizer;
  if (symbol < t->header->vocab) {
    *after_unknown = false;
    return text_ids_append(s->out, (int32_t)symbol);
  }
  size_t size;
  const char *bytes = text_symbol_bytes(t, symbol, &size);
  for (size_t i = 0; i < size; i++) {
    uint32_t single = t->byte_symbols[(unsigned char)bytes[i]];
    if (single < t->header->vocab) {
      WEIR_TRY(text_ids_append(s->out, (int32_t)single));
      *after_unknown = false;
    } else if (t->header->flags & TEXT_FLAG_BYTE_UNKNOWN) {
      if (!*after_unknown || !(t->header->flags & TEXT_FLAG_FUSE_UNKNOWN))
        WEIR_TRY(text_ids_append(s->out, t->header->unk));
      *after_unknown = true;
    }
  }
  return WEIR_OK;
}

// Lists the symbols of the bytes. A byte without a token is left out before anything merges, as the tokenizers library
// does, unless the model has an unknown token for it.
static int32_t list_symbols(text_scratch *s, const char *piece, size_t size) {
  const text_blob_header *h = s->tokenizer->header;
  int32_t count = 0;
  for (size_t i = 0; i < size; i++) {
    uint32_t symbol = s->tokenizer->byte_symbols[(unsigned char)piece[i]];
    if (symbol >= h->vocab && !(h->flags & TEXT_FLAG_BYTE_UNKNOWN)) continue;
    s->nodes[count] = (text_bpe_node){symbol, count - 1, count + 1};
    count++;
  }
  if (count) s->nodes[count - 1].next = -1;
  return count;
}

weir_status text_bpe_piece(text_scratch *s, const char *piece, size_t size) {
  const text_tokenizer *t = s->tokenizer;
  if (t->header->flags & TEXT_FLAG_IGNORE_MERGES) {
    int32_t whole = text_table_find(t, text_hash_bytes(t->header->text_seed, piece, size), piece, size);
    if (whole >= 0 && text_type_of(t, (uint32_t)whole) == TEXT_TOKEN_NORMAL) return text_ids_append(s->out, whole);
  }
  WEIR_TRY(reserve(s, size));
  int32_t count = list_symbols(s, piece, size);
  s->heap_count = 0;
  for (int32_t i = 0; i + 1 < count; i++) consider(s, i);
  merge_all(s);
  bool after_unknown = false;
  for (int32_t at = count ? 0 : -1; at >= 0; at = s->nodes[at].next)
    WEIR_TRY(emit_symbol(s, s->nodes[at].symbol, &after_unknown));
  return WEIR_OK;
}
