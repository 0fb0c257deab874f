// A set of numbers by hash: what finds functions by key and uses by slot, so that work stays linear in the text.
//
// A key may stand for several values; the caller compares what it finds. Nothing is ever taken out.
#include <string.h>

#include "compiler/lang/elab_impl.h"

uint64_t lang_table_hash(const char *text) {
  uint64_t hash = 1469598103934665603u;
  for (; *text; text++) hash = (hash ^ (unsigned char)*text) * 1099511628211u;
  return hash ^ hash >> 29;
}

static void insert(lang_table *table, uint64_t hash, int value) {
  uint64_t at = hash & (uint64_t)(table->capacity - 1);
  while (table->data[at].used) at = (at + 1) & (uint64_t)(table->capacity - 1);
  table->data[at] = (lang_table_entry){hash, value, true};
}

void lang_table_add(weir_arena *arena, lang_table *table, uint64_t hash, int value) {
  if (2 * (table->count + 1) > table->capacity) {
    lang_table old = *table;
    table->capacity = old.capacity ? 2 * old.capacity : 16;
    table->data = WEIR_NEW_ARRAY(arena, lang_table_entry, table->capacity);
    for (int i = 0; i < old.capacity; i++) {
      if (old.data[i].used) insert(table, old.data[i].hash, old.data[i].value);
    }
  }
  table->count++;
  insert(table, hash, value);
}

int lang_table_next(const lang_table *table, uint64_t hash, int *cursor) {
  if (!table->capacity) return -1;
  for (; *cursor < table->capacity; ++*cursor) {
    const lang_table_entry *entry = &table->data[(hash + (uint64_t)*cursor) & (uint64_t)(table->capacity - 1)];
    if (!entry->used) break;
    if (entry->hash != hash) continue;
    ++*cursor;
    return entry->value;
  }
  return -1;
}
