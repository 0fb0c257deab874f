// Blocks and fns that contain themselves, whether anything uses them or not.
//
// The check of names writes down who mentions whom; here a walk over the mentions finds those that lead back to where
// it came from. The walk keeps a stack of its own: a hostile text may chain a hundred thousand fns.
#include "compiler/lang/elab_names.h"

int lang_mention_node(lang_elab *elab) {
  lang_mention_list fresh = {0};
  WEIR_PUSH(elab->arena, elab->mentions, elab->mention_count, elab->mention_capacity, fresh);
  return elab->mention_count - 1;
}

void lang_mention_add(lang_elab *elab, int from, int to, lang_span span, const char *name) {
  if (from >= 0 && to >= 0) LANG_PUSH(elab->arena, &elab->mentions[from], ((lang_mention){to, span, name}));
}

int lang_mention_symbol(const lang_elab *elab, const lang_symbol *symbol) {
  bool expands = symbol->item->kind == LANG_ITEM_FN || symbol->item->kind == LANG_ITEM_BLOCK;
  return expands ? (int)(symbol - elab->program->symbols) : -1;
}

typedef struct {
  int node, next;  // the mention that is followed next
} step;

void lang_mentions_check(lang_elab *elab) {
  enum { UNSEEN, ON_PATH, DONE };
  char *state = WEIR_NEW_ARRAY(elab->arena, char, elab->mention_count + 1);
  step *path = WEIR_NEW_ARRAY(elab->arena, step, elab->mention_count + 1);
  for (int start = 0; start < elab->mention_count; start++) {
    int depth = 0;
    if (state[start] == UNSEEN) path[depth++] = (step){start, 0};
    state[start] = depth ? ON_PATH : state[start];
    while (depth) {
      step *top = &path[depth - 1];
      const lang_mention_list *list = &elab->mentions[top->node];
      if (top->next == list->count) {
        state[top->node] = DONE;
        depth--;
        continue;
      }
      const lang_mention *mention = &list->data[top->next++];
      if (state[mention->node] == ON_PATH) {
        lang_error(elab, LANG_W_CONTAINS_ITSELF, mention->span, mention->name);
      } else if (state[mention->node] == UNSEEN) {
        state[mention->node] = ON_PATH;
        path[depth++] = (step){mention->node, 0};
      }
    }
  }
}
