// The printer of documents. One pass backwards finds the ends of groups and of the pieces between breaks, prefix sums
// give every flat width at once, and one pass forwards writes: linear in the document, and without recursion.
#include "compiler/lang/doc.h"

#include <string.h>

#include "compiler/lang/text.h"

static lang_doc_op *op_add(lang_doc *doc, lang_doc_kind kind) {
  lang_doc_op op = {.kind = kind, .text = ""};
  LANG_PUSH(doc->arena, &doc->ops, op);
  return &doc->ops.data[doc->ops.count - 1];
}

static void op_text(lang_doc_op *op, const char *text) {
  op->text = text;
  op->bytes = (int)strlen(text);
  for (const char *p = text; *p; p++) op->columns += ((unsigned char)*p & 0xC0) != 0x80;
}

void lang_doc_add(lang_doc *doc, lang_doc_kind kind) { op_add(doc, kind); }
void lang_doc_text(lang_doc *doc, const char *text) { op_text(op_add(doc, LANG_DOC_TEXT), text); }
void lang_doc_if_broken(lang_doc *doc, const char *text) { op_text(op_add(doc, LANG_DOC_IF_BROKEN), text); }
void lang_doc_indent(lang_doc *doc, int amount) { op_add(doc, LANG_DOC_INDENT)->amount = amount; }
void lang_doc_comment(lang_doc *doc, lang_doc_kind kind, const char *text) { op_text(op_add(doc, kind), text); }

static bool is_open(lang_doc_kind kind) { return kind == LANG_DOC_ALL || kind == LANG_DOC_FILL; }
static bool is_break(lang_doc_kind kind) { return kind == LANG_DOC_LINE || kind == LANG_DOC_SOFT; }

static bool is_forced(lang_doc_kind kind) {
  return kind == LANG_DOC_HARD || kind == LANG_DOC_BLANK || kind == LANG_DOC_TRAILING || kind == LANG_DOC_OWN;
}

static int flat_columns(const lang_doc_op *op) {
  switch (op->kind) {
    case LANG_DOC_TEXT:
      return op->columns;
    case LANG_DOC_SPACE:
    case LANG_DOC_LINE:
      return 1;
    default:
      return 0;
  }
}

int lang_doc_width(const lang_doc *doc, int begin, int end) {
  int width = 0;
  for (int i = begin; i < end; i++) {
    if (is_forced(doc->ops.data[i].kind)) return LANG_DOC_TOO_WIDE;
    if (width < LANG_DOC_TOO_WIDE / 2) width += flat_columns(&doc->ops.data[i]);
  }
  return width;
}

typedef struct {
  lang_doc *doc;
  int columns;
  int64_t *width_before;  // flat columns of all ops before each
  int *forced_from;       // the first forced op at or behind each
  lang_doc_kind *modes;   // of the open groups: ALL or FILL when broken, TEXT when flat
  int depth;
  int indent;
  lang_text_out out;
  int column;        // of the text written on this line
  int newlines;      // owed before the next text,
  int owed_indent;   // and how far it is then indented
  bool space, soft;  // a space is owed; the newline owed came from a break, which a comment may take over
  bool after_comment;
} printer;

static void measure(printer *p) {
  lang_doc_op *ops = p->doc->ops.data;
  int count = p->doc->ops.count;
  int *ends =
      WEIR_NEW_ARRAY(p->doc->arena, int, count + 1);  // per open group, from behind: the next break or the close
  int *closes = WEIR_NEW_ARRAY(p->doc->arena, int, count + 1);
  int depth = 0;
  ends[0] = closes[0] = count;
  p->forced_from[count] = count;
  for (int i = count - 1; i >= 0; i--) {
    p->forced_from[i] = is_forced(ops[i].kind) ? i : p->forced_from[i + 1];
    if (ops[i].kind == LANG_DOC_CLOSE) {
      depth++;
      ends[depth] = closes[depth] = i;
    } else if (is_open(ops[i].kind)) {
      ops[i].end = closes[depth--];
    } else if (is_break(ops[i].kind)) {
      ops[i].end = ends[depth];
      ends[depth] = i;
    }
  }
  for (int i = 0; i < count; i++) p->width_before[i + 1] = p->width_before[i] + flat_columns(&ops[i]);
}

// Columns of the text that follows op |from| on its line whatever is chosen: up to the next place where a line may end.
static int64_t tail_columns(const printer *p, int from) {
  const lang_doc_op *ops = p->doc->ops.data;
  int i = from;
  while (i < p->doc->ops.count && !is_break(ops[i].kind) && !is_forced(ops[i].kind) &&
         p->width_before[i] - p->width_before[from] <= p->columns)
    i++;
  return p->width_before[i] - p->width_before[from];
}

static int column_next(const printer *p) { return p->newlines ? p->owed_indent : p->column + p->space; }

// Whether the ops [begin, end) and what must follow them fit on the rest of the line.
static bool fits(const printer *p, int begin, int end) {
  int forced = p->forced_from[begin];
  int64_t width = forced < end ? p->width_before[forced] - p->width_before[begin]
                               : p->width_before[end] - p->width_before[begin] + tail_columns(p, end);
  return column_next(p) + width <= p->columns;
}

static void newline_owe(printer *p, int count, bool soft) {
  if (p->newlines < count) p->newlines = count;
  p->owed_indent = p->indent;
  p->soft = soft;
  p->space = false;
}

// A text may end with a space of its own; before a line's end it goes.
static void trim(printer *p) {
  while (p->out.count && p->out.data[p->out.count - 1] == ' ') p->out.count--;
}

static void text_write(printer *p, const lang_doc_op *op) {
  if (p->newlines) {
    trim(p);
    for (int i = 0; i < p->newlines && p->out.count; i++) lang_text_put(&p->out, '\n');
    for (int i = 0; i < p->owed_indent; i++) lang_text_put(&p->out, ' ');
    p->column = p->owed_indent;
  } else if (p->space) {
    lang_text_put(&p->out, ' ');
    p->column++;
  }
  for (int i = 0; i < op->bytes; i++) lang_text_put(&p->out, op->text[i]);
  p->column += op->columns;
  p->newlines = 0;
  p->space = p->soft = p->after_comment = false;
}

static void comment_write(printer *p, const lang_doc_op *op) {
  bool behind = op->kind == LANG_DOC_TRAILING && !p->after_comment && p->out.count && (!p->newlines || p->soft);
  if (behind) {
    trim(p);
    lang_text_put(&p->out, ' ');
    p->newlines = 0;
    p->space = true;
  } else {
    newline_owe(p, 1, false);
  }
  text_write(p, op);
  newline_owe(p, 1, false);
  p->after_comment = true;
}

static void break_write(printer *p, int at) {
  const lang_doc_op *op = &p->doc->ops.data[at];
  lang_doc_kind mode = p->depth ? p->modes[p->depth - 1] : LANG_DOC_ALL;
  if (p->newlines) {
    p->owed_indent = p->indent;
    return;
  }
  p->space = op->kind == LANG_DOC_LINE;
  bool broken = mode == LANG_DOC_ALL || (mode == LANG_DOC_FILL && !fits(p, at + 1, op->end));
  if (broken) newline_owe(p, 1, true);
}

static void group_open(printer *p, int at) {
  const lang_doc_op *op = &p->doc->ops.data[at];
  bool in_flat = p->depth && p->modes[p->depth - 1] == LANG_DOC_TEXT;
  bool flat = in_flat || (p->forced_from[at] > op->end && fits(p, at, op->end));
  p->modes[p->depth++] = flat ? LANG_DOC_TEXT : op->kind;
}

static void op_print(printer *p, int at) {
  const lang_doc_op *op = &p->doc->ops.data[at];
  switch (op->kind) {
    case LANG_DOC_TEXT:
      text_write(p, op);
      break;
    case LANG_DOC_SPACE:
      p->space = !p->newlines;
      break;
    case LANG_DOC_LINE:
    case LANG_DOC_SOFT:
      break_write(p, at);
      break;
    case LANG_DOC_HARD:
      newline_owe(p, 1, false);
      break;
    case LANG_DOC_BLANK:
      newline_owe(p, 2, false);
      break;
    case LANG_DOC_IF_BROKEN:
      if (p->depth && p->modes[p->depth - 1] != LANG_DOC_TEXT) text_write(p, op);
      break;
    case LANG_DOC_ALL:
    case LANG_DOC_FILL:
      group_open(p, at);
      break;
    case LANG_DOC_CLOSE:
      p->depth--;
      break;
    case LANG_DOC_INDENT:
      p->indent += op->amount;
      break;
    case LANG_DOC_TRAILING:
    case LANG_DOC_OWN:
      comment_write(p, op);
      break;
  }
}

char *lang_doc_print(lang_doc *doc, int columns) {
  int count = doc->ops.count;
  printer p = {.doc = doc, .columns = columns, .out = {.arena = doc->arena}};
  p.width_before = WEIR_NEW_ARRAY(doc->arena, int64_t, count + 1);
  p.forced_from = WEIR_NEW_ARRAY(doc->arena, int, count + 1);
  p.modes = WEIR_NEW_ARRAY(doc->arena, lang_doc_kind, count + 1);
  measure(&p);
  for (int i = 0; i < count; i++) op_print(&p, i);
  if (p.out.count) lang_text_put(&p.out, '\n');
  return lang_text_take(&p.out);
}
