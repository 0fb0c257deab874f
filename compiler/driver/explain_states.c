// States of a step, those of one kind together: bytes of a row, and what there is a row for.
#include "compiler/driver/explain_states.h"

#include <string.h>

typedef struct {
  const char *kind, *symbol;
  int64_t last;  // rows that a window keeps; 0: all
  int64_t states, bytes;
} state_group;

static state_group group_of(const rt_program *program, const rt_state *s) {
  state_group g = {.kind = "fixed", .symbol = "", .states = 1, .bytes = s->row_bytes};
  if (!s->rows) return g;
  int volume = s->symbol - program->symbol_count;
  g.kind = s->whole ? "whole" : s->window ? "window" : "rows";
  g.symbol = volume < 0 ? program->symbols[s->symbol].name : program->volumes[volume].name;
  g.last = s->window ? s->window - 1 : 0;
  return g;
}

static int groups_make(cli *c, const rt_program *program, state_group **out) {
  state_group *groups = WEIR_NEW_ARRAY(&c->arena, state_group, program->state_count + 1);
  int count = 0;
  for (int i = 0; i < program->state_count; i++) {
    state_group g = group_of(program, &program->states[i]);
    int k = 0;
    while (k < count &&
           (strcmp(groups[k].kind, g.kind) || strcmp(groups[k].symbol, g.symbol) || groups[k].last != g.last))
      k++;
    if (k == count) {
      groups[count++] = g;
      continue;
    }
    groups[k].states += g.states;
    if (__builtin_add_overflow(groups[k].bytes, g.bytes, &groups[k].bytes)) groups[k].bytes = INT64_MAX;
  }
  *out = groups;
  return count;
}

json_t *cli_explain_states(cli *c, const rt_program *program) {
  state_group *groups;
  json_t *list = json_array();
  int count = groups_make(c, program, &groups);
  for (int i = 0; i < count; i++) {
    const state_group *g = &groups[i];
    json_array_append_new(
        list, json_pack("{s:s,s:s,s:I,s:I,s:I}", "kind", g->kind, "symbol", g->symbol, "last", (json_int_t)g->last,
                        "states", (json_int_t)g->states, "row_bytes", (json_int_t)g->bytes));
    if (c->json) continue;
    printf("  session: %s", cli_bytes(&c->arena, (double)g->bytes));
    if (*g->symbol) printf(" for each row of %s", g->symbol);
    if (g->last) printf(", the last %lld", (long long)g->last);
    if (!strcmp(g->kind, "whole")) printf(", replaced all at once");
    printf(" (%lld state%s)\n", (long long)g->states, g->states == 1 ? "" : "s");
  }
  return list;
}
