// weir embed: texts to vectors. Texts are packed ragged into calls, without padding; a vector's bits do not depend on
// its neighbours.
#include <stdlib.h>
#include <string.h>

#include "compiler/driver/model.h"
#include "runtime/base/npy.h"

enum { BATCH_TEXTS = 64, BATCH_TOKENS = 4096 };

typedef struct {
  const char *bytes;
  size_t size;
} text_line;

typedef struct {
  cli *c;
  cli_model model;
  const weir_entry *entry;
  int64_t bound, width;
  text_line *texts;
  int count, capacity;
  text_ids *ids;   // of each text
  float *vectors;  // count * width
  int cut;         // texts that were too long
  int64_t tokens;
  double seconds;
} embedding;

static bool fits(const weir_entry *entry) {
  weir_entry_info info = weir_entry_describe(entry);
  if (info.step || info.input_count != 1 || info.output_count != 1 || info.symbol_count != 1) return false;
  weir_tensor_info input = weir_entry_input(entry, 0), output = weir_entry_output(entry, 0);
  return input.dtype == WEIR_DTYPE_I32 && input.rank == 1 && output.dtype == WEIR_DTYPE_F32 && output.rank == 1;
}

static int find_entry(embedding *e) {
  const char *name = cli_text(e->c, "entry");
  e->entry = weir_model_find_entry(e->model.model, name ? name : "embed");
  for (int i = 0; !name && !e->entry && i < weir_model_entry_count(e->model.model); i++) {
    const weir_entry *entry = weir_model_entry(e->model.model, i);
    if (fits(entry)) e->entry = entry;
  }
  if (!e->entry || !fits(e->entry)) {
    return cli_error(e->c, "%s has no entry%s%s that gives a vector f32[D] for tokens i32[T]",
                     weir_model_name(e->model.model), name ? " " : "", name ? name : "");
  }
  e->bound = weir_entry_symbol(e->entry, 0).hi;
  e->width = strtoll(weir_entry_output(e->entry, 0).dims, NULL, 10);
  return e->width > 0 ? CLI_DONE : cli_error(e->c, "the length of the vectors is not fixed");
}

static void add_text(embedding *e, const char *bytes, size_t size) {
  text_line line = {bytes, size};
  WEIR_PUSH(&e->c->arena, e->texts, e->count, e->capacity, line);
}

// One text a line; the end of the last line may be missing.
static int read_texts(embedding *e) {
  cli *c = e->c;
  for (int i = 1; i < c->argument_count; i++) add_text(e, c->arguments[i], strlen(c->arguments[i]));
  const char *file = cli_text(c, "file"), *text;
  if (file) {
    size_t size;
    int code = cli_read_file(c, file, &text, &size);
    if (code) return code;
    for (size_t at = 0; at < size;) {
      const char *end = memchr(text + at, '\n', size - at);
      size_t length = end ? (size_t)(end - text) - at : size - at, kept = length;
      if (kept && text[at + kept - 1] == '\r') kept--;
      add_text(e, text + at, kept);
      at += length + 1;
    }
  }
  return e->count ? CLI_DONE : cli_usage(c, "it needs texts, as arguments or in a file with -f");
}

static int encode_texts(embedding *e) {
  cli *c = e->c;
  e->ids = WEIR_NEW_ARRAY(&c->arena, text_ids, e->count);
  text_encode_options options = {.add_special = true, .parse_special = true};
  for (int i = 0; i < e->count; i++) {
    int code = cli_fail(c, text_encode(e->model.tokenizer, e->texts[i].bytes, e->texts[i].size, options, &e->ids[i]));
    if (code) return code;
    if (!e->ids[i].count) return cli_error(c, "text %d is empty, and this model puts nothing around a text", i + 1);
    if ((int64_t)e->ids[i].count <= e->bound) continue;
    if (cli_has(c, "strict"))
      return cli_error(c, "text %d has %zu tokens, the model takes %lld", i + 1, e->ids[i].count, (long long)e->bound);
    cli_note(c, "text %d has %zu tokens and is cut to %lld", i + 1, e->ids[i].count, (long long)e->bound);
    e->cut++;
    text_ids_clear(&e->ids[i]);
    text_encode_options cut = options;
    cut.max_ids = (size_t)e->bound;
    code = cli_fail(c, text_encode(e->model.tokenizer, e->texts[i].bytes, e->texts[i].size, cut, &e->ids[i]));
    if (code) return code;
  }
  return CLI_DONE;
}

static weir_status run_batch(embedding *e, int from, int to) {
  weir_view inputs[BATCH_TEXTS], outputs[BATCH_TEXTS];
  weir_request requests[BATCH_TEXTS];
  for (int i = from; i < to; i++) {
    int k = i - from;
    inputs[k] =
        (weir_view){.data = e->ids[i].data, .dtype = WEIR_DTYPE_I32, .rank = 1, .shape = {(int64_t)e->ids[i].count}};
    outputs[k] = (weir_view){.data = e->vectors + i * e->width, .bytes = (size_t)e->width * sizeof(float)};
    requests[k] = (weir_request){.inputs = &inputs[k], .outputs = &outputs[k]};
    e->tokens += (int64_t)e->ids[i].count;
  }
  weir_run_options options = {.cancel = e->c->cancel};
  return weir_run(e->model.executor, e->entry, requests, to - from, &options);
}

static weir_status run_all(embedding *e) {
  e->vectors = calloc((size_t)e->count * (size_t)e->width, sizeof *e->vectors);
  if (!e->vectors) return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for %d vectors", e->count);
  double start = cli_now();
  for (int from = 0; from < e->count;) {
    int to = from;
    size_t tokens = 0;
    while (to < e->count && to - from < BATCH_TEXTS && (to == from || tokens + e->ids[to].count <= BATCH_TOKENS))
      tokens += e->ids[to++].count;
    WEIR_TRY(run_batch(e, from, to));
    from = to;
    cli_progress(e->c, "embedding", (double)from / e->count);
  }
  e->seconds = cli_now() - start;
  return WEIR_OK;
}

static json_t *vectors_json(const embedding *e) {
  json_t *list = json_array();
  for (int i = 0; i < e->count; i++) {
    json_t *vector = json_array();
    for (int64_t d = 0; d < e->width; d++)
      json_array_append_new(vector, json_real((double)e->vectors[i * e->width + d]));
    json_array_append_new(list, vector);
  }
  return list;
}

static int finish(embedding *e) {
  cli *c = e->c;
  const char *output = cli_text(c, "output");
  if (output) {
    int64_t dims[] = {e->count, e->width};
    int code = cli_fail(c, weir_npy_write(output, WEIR_STORAGE_F32, 2, dims, e->vectors));
    if (code) return code;
  }
  if (c->json) {
    json_t *document = json_pack("{s:o,s:I,s:I,s:i,s:{s:f,s:f}}", "embeddings", vectors_json(e), "dims",
                                 (json_int_t)e->width, "tokens", (json_int_t)e->tokens, "cut", e->cut, "timings",
                                 "load_s", e->model.load_seconds, "run_s", e->seconds);
    return cli_json(c, document);
  }
  for (int i = 0; !output && i < e->count; i++) {
    for (int64_t d = 0; d < e->width; d++) printf("%s%.9g", d ? " " : "", (double)e->vectors[i * e->width + d]);
    printf("\n");
  }
  cli_detail(c, "%d texts, %lld tokens in %.3f s", e->count, (long long)e->tokens, e->seconds);
  return CLI_DONE;
}

int cmd_embed(cli *c) {
  if (!cli_arguments(c, 1, -1)) return CLI_USAGE;
  embedding e = {.c = c};
  const char *output = cli_text(c, "output");
  int code = output ? cli_check_output(c, output) : CLI_DONE;
  if (!code) code = read_texts(&e);
  if (!code) code = cli_model_open(c, c->arguments[0], true, &e.model);
  if (!code) code = find_entry(&e);
  if (!code) code = encode_texts(&e);
  if (!code) code = cli_fail(c, run_all(&e));
  cli_progress_end(c);
  if (!code) code = finish(&e);
  for (int i = 0; e.ids && i < e.count; i++) text_ids_deinit(&e.ids[i]);
  free(e.vectors);
  cli_model_close(&e.model);
  return code;
}
