// Builders of patterns. The scanner drops white space, so whether the atoms of a segment touch is seen from their
// places; two stars that touch are one atom.
#include "compiler/lang/build.h"

void lang_build_atom_add(lang_reader *reader, lang_segment *segment, const lang_atom *atom) {
  lang_atom *last = &segment->atoms.data[segment->atoms.count - 1];
  if (segment->span.end != atom->span.begin) lang_diag_add(&reader->diags, LANG_W_ATOMS_APART, atom->span);
  segment->span = lang_span_join(segment->span, atom->span);
  if (atom->kind == LANG_ATOM_STAR && last->kind == LANG_ATOM_STAR) {
    last->kind = LANG_ATOM_STARSTAR;
    last->span = segment->span;
    return;
  }
  LANG_PUSH(reader->arena, &segment->atoms, *atom);
}

void lang_build_check_patterns(lang_reader *reader, const lang_patterns *patterns) {
  for (int i = 0; i < patterns->count; i++) {
    const lang_pattern *pattern = &patterns->data[i];
    for (int j = 0; j < pattern->segments.count; j++) {
      const lang_segment *segment = &pattern->segments.data[j];
      for (int k = 0; k < segment->atoms.count; k++)
        if (segment->atoms.data[k].kind == LANG_ATOM_STARSTAR && segment->atoms.count > 1) {
          lang_diag_add(&reader->diags, LANG_W_BAD_PATTERN, segment->span, "'**' stands alone between dots");
          break;
        }
    }
  }
}

lang_atom lang_build_alternatives(lang_span span, lang_names names) {
  return (lang_atom){.kind = LANG_ATOM_ALTERNATIVES, .names = names, .span = span};
}

// A whole number without a unit, by its digits.
static bool plain(lang_reader *reader, lang_span span, const lang_number *number) {
  if (number->is_int && !*number->suffix) return true;
  lang_diag_add(&reader->diags, LANG_W_BAD_PATTERN, span, "a pattern counts with whole numbers without a unit");
  return false;
}

lang_name lang_build_digits(lang_reader *reader, lang_span span, const lang_number *number) {
  plain(reader, span, number);
  return (lang_name){number->text, span};
}

lang_atom lang_build_pick(lang_reader *reader, lang_span low_span, const lang_number *low, lang_span high_span,
                          const lang_number *high) {
  bool good = plain(reader, low_span, low) && (!high || plain(reader, high_span, high));
  lang_atom atom = {.kind = high ? LANG_ATOM_RANGE : LANG_ATOM_NUMBER, .low = low->i, .high = high ? high->i : 0};
  if (good && high && high->i <= low->i)
    lang_diag_add(&reader->diags, LANG_W_BAD_PATTERN, lang_span_join(low_span, high_span), "this range is empty");
  return atom;
}
