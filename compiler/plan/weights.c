// Packing weights: each is brought into the layout that its kernels read, all together in one mapping, and from there
// into the package.
//
// Rows of a matrix are taken from the checkpoint as they are when the format stays the same, else they are decoded to
// float32 and encoded again; then 16 rows at a time become a panel. A weight without a tensor gets its initial value,
// or random numbers where those are asked for. All threads of a team pack panels of one weight together; the bytes
// depend on nothing but the input.
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "codegen/lower/taps.h"
#include "compiler/plan/home.h"
#include "compiler/plan/internal.h"
#include "runtime/base/checked.h"
#include "runtime/base/team.h"

typedef struct {
  plan_unit *unit;
  rt_team *team;
} packer;

// ---- values without a tensor

#define RANDOM_STEP UINT64_C(0x9E3779B97F4A7C15)

static uint64_t next_random(uint64_t *state) {  // splitmix64
  uint64_t z = *state += RANDOM_STEP;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ z >> 27) * 0x94D049BB133111EBull;
  return z ^ z >> 31;
}

static float next_normal(uint64_t *state) {  // Box and Muller
  double u = ((double)(next_random(state) >> 11) + 1) * 0x1p-53, v = (double)(next_random(state) >> 11) * 0x1p-53;
  return (float)(sqrt(-2 * log(u)) * cos(6.283185307179586 * v));
}

static uint64_t seed_of(uint64_t seed, const char *path) {
  weir_hasher hasher;
  weir_hash hash;
  weir_hasher_init(&hasher);
  weir_hasher_add_u64(&hasher, seed);
  weir_hasher_add_text(&hasher, path);
  weir_hasher_finish(&hasher, &hash);
  uint64_t state;
  memcpy(&state, hash.bytes, sizeof state);
  return state;
}

// How elements are drawn: base + reach * (standard normal, or uniform in -1..1).
typedef struct {
  double base, reach;
  bool uniform;
} init_draw;

static int64_t dim_of(const lang_weight *weight, int axis) {
  int64_t size = 1;
  if (weight->type.rank > axis) ir_dim_is_const(weight->type.dims[axis], &size);
  return size > 0 ? size : 1;
}

// Rows are outputs; an output has all other dims as inputs.
static double fan_in(const lang_weight *weight) {
  double inputs = 1;
  for (int i = 1; i < weight->type.rank; i++) inputs *= (double)dim_of(weight, i);
  return inputs;
}

// What the initial value of the text says. A param without one must come from a checkpoint; random weights draw it as
// if it were a matrix after kaiming(), which keeps activations near 1.
static init_draw draw_of(const lang_weight *weight) {
  const char *init = weight->init ? weight->init : "kaiming()", *open = strchr(init, '(');
  double argument = open ? strtod(open + 1, NULL) : strtod(init, NULL);
  size_t name = open ? (size_t)(open - init) : 0;
  if (!open) return (init_draw){argument, 0, false};
  if (!strncmp(init, "zeros", name)) return (init_draw){0, 0, false};
  if (!strncmp(init, "ones", name)) return (init_draw){1, 0, false};
  if (!strncmp(init, "normal", name)) return (init_draw){0, argument, false};
  if (!strncmp(init, "uniform", name)) return (init_draw){0, argument, true};
  if (!strncmp(init, "glorot", name))
    return (init_draw){0, sqrt(6 / (fan_in(weight) + (double)dim_of(weight, 0))), true};
  return (init_draw){0, sqrt(1 / fan_in(weight)), false};
}

static float next_uniform(uint64_t *state) { return (float)(2 * ((double)(next_random(state) >> 11) * 0x1p-53) - 1); }

typedef struct {
  init_draw draw;
  uint64_t seed;
  bool integer;
  int64_t count;
  float *out;
} draw_job;

// A share of the elements. The generator's state is a sum, so the draws before need not be made.
static void draw_share(void *context, int thread, int thread_count) {
  const draw_job *job = context;
  int64_t from = job->count / thread_count * thread, to = job->count / thread_count * (thread + 1);
  if (thread + 1 == thread_count) to = job->count;
  init_draw draw = job->draw;
  uint64_t state = job->seed + (uint64_t)from * (draw.uniform ? 1 : 2) * RANDOM_STEP;
  for (int64_t i = from; i < to; i++) {
    float drawn = draw.reach == 0 ? 0 : draw.uniform ? next_uniform(&state) : next_normal(&state);
    float value = (float)draw.base + (float)draw.reach * drawn;
    job->out[i] = job->integer ? rintf(value) : value;
  }
}

static weir_status random_values(const packer *p, const lang_weight *weight, int64_t count, float **out) {
  if (count > INT64_MAX / 8) return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "weight '%s' is too large", weight->path);
  *out = malloc((size_t)(count ? count : 1) * sizeof **out);
  if (!*out) return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory for weight '%s'", weight->path);
  draw_job job = {.draw = draw_of(weight),
                  .seed = seed_of(p->unit->request->seed, weight->path),
                  .integer = !ir_dtype_is_float(weight->type.dtype),
                  .count = count,
                  .out = *out};
  rt_team_split(p->team, draw_share, &job);
  return WEIR_OK;
}

// ---- packing

typedef struct {
  const cg_weight *weight;
  const import_checkpoint *checkpoint;
  const lang_tensor_source *source;  // raw rows come from here
  const float *values;               // null: raw
  int64_t rows, cols, panel_bytes, row_bytes;
  uint8_t *out;
  uint8_t *encoded;       // 16 rows for each thread; null where rows are raw or float32
  weir_status *failures;  // one for each thread
} panel_job;

static weir_status row_bytes_at(const panel_job *job, int thread, int lane, int64_t row, const void **out) {
  if (!job->values) {
    *out = plan_source_row(job->checkpoint, job->source, row);
    return WEIR_OK;
  }
  const float *values = job->values + row * job->cols;
  if (!job->encoded) {
    *out = values;
    return WEIR_OK;
  }
  uint8_t *place = job->encoded + ((int64_t)thread * IR_LANES + lane) * job->row_bytes;
  *out = place;
  return weir_storage_encode(job->weight->format.storage, values, job->cols, place);
}

static void pack_panels(void *context, int thread, int thread_count) {
  panel_job *job = context;
  int64_t panels = (job->rows + IR_LANES - 1) / IR_LANES;
  int64_t from = panels * thread / thread_count, to = panels * (thread + 1) / thread_count;
  for (int64_t p = from; p < to && !job->failures[thread]; p++) {
    const void *rows[IR_LANES] = {0};
    for (int lane = 0; lane < IR_LANES && !job->failures[thread]; lane++) {
      int64_t row = p * IR_LANES + lane;
      if (row < job->rows) job->failures[thread] = row_bytes_at(job, thread, lane, row, &rows[lane]);
    }
    if (job->failures[thread]) return;
    uint8_t *out = job->out + p * job->panel_bytes;
    cg_layout layout = job->weight->format.layout;
    if (layout == CG_LAYOUT_PAIRS || layout == CG_LAYOUT_TAPS_PAIRS) cg_panel_pack_pairs(rows, job->cols, out);
    else cg_panel_pack(job->weight->format.storage, rows, job->cols, out);
  }
}

static weir_status run_panels(packer *p, panel_job *job) {
  int threads = rt_team_thread_count(p->team);
  weir_storage storage = job->weight->format.storage;
  WEIR_TRY(weir_storage_row_bytes(storage, job->cols, &job->row_bytes));
  job->panel_bytes = job->row_bytes * IR_LANES;
  job->failures = calloc((size_t)threads, sizeof *job->failures);
  bool encode = job->values && storage != WEIR_STORAGE_F32;
  if (encode) job->encoded = malloc((size_t)(threads * IR_LANES * job->row_bytes));
  weir_status status = WEIR_OK;
  if (!job->failures || (encode && !job->encoded)) {
    status = weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory to pack '%s'", job->weight->path);
  } else {
    rt_team_split(p->team, pack_panels, job);
    for (int i = 0; i < threads; i++) {
      if (status) weir_status_release(job->failures[i]);
      else status = job->failures[i];
    }
  }
  free(job->encoded);
  free(job->failures);
  return status;
}

// Rows of a convolution in the order of their kernel, which then become panels.
static weir_status pack_taps(packer *p, const cg_weight *weight, int64_t elements, const float *values, uint8_t *out) {
  int64_t cols, bytes, row = weight->dims[0] ? elements / weight->dims[0] : 0;
  bool fits = cg_taps_cols(weight->format.layout, weight->rank, weight->dims, &cols) &&
              weir_mul_i64(cols, weight->dims[0], &bytes) && weir_mul_i64(bytes, (int64_t)sizeof *values, &bytes);
  float *ordered = fits ? malloc((size_t)bytes + 1) : NULL;
  if (!ordered) return weir_status_make(WEIR_CODE_OUT_OF_MEMORY, "no memory to pack '%s'", weight->path);
  for (int64_t i = 0; i < weight->dims[0]; i++)
    cg_taps_row(weight->format.layout, weight->rank, weight->dims, values + i * row, ordered + i * cols);
  panel_job job = {.weight = weight, .values = ordered, .rows = weight->dims[0], .cols = cols, .out = out};
  weir_status status = run_panels(p, &job);
  free(ordered);
  return status;
}

static weir_status pack_plain(const cg_weight *weight, int64_t elements, const import_checkpoint *checkpoint,
                              const lang_tensor_source *source, const plan_source_shape *shape, const float *values,
                              uint8_t *out) {
  weir_storage storage = weight->format.storage;
  if (!values && shape->raw && shape->storage == storage) {
    int64_t cols = shape->rank ? shape->dims[shape->rank - 1] : 1, rows = cols ? elements / cols : 0, row_bytes;
    WEIR_TRY(weir_storage_row_bytes(storage, cols, &row_bytes));
    for (int64_t i = 0; i < rows; i++)
      memcpy(out + i * row_bytes, plan_source_row(checkpoint, source, i), (size_t)row_bytes);
    return WEIR_OK;
  }
  if (storage == WEIR_STORAGE_F32) {
    memcpy(out, values, (size_t)elements * sizeof *values);
    return WEIR_OK;
  }
  return weir_storage_encode(storage, values, elements, out);
}

static const lang_weight *find_weight(const plan_unit *unit, const char *path, const lang_tensor_source **out_source) {
  for (int i = 0; i < unit->graph->weight_count; i++) {
    if (strcmp(unit->graph->weights[i].path, path)) continue;
    *out_source = unit->sources ? unit->sources[i] : NULL;
    return &unit->graph->weights[i];
  }
  return NULL;
}

// Whether the rows of |source| may be packed as they are.
static bool keeps_bytes(const plan_source_shape *shape, const cg_weight *weight) {
  return shape->raw && shape->storage == weight->format.storage && !cg_is_taps(weight->format);
}

static weir_status pack(packer *p, const cg_weight *weight, uint8_t *out);

static weir_status pack_parts(packer *p, const cg_weight *weight, uint8_t *out) {
  cg_weight part = *weight;
  part.part_count = 0;
  part.rank--;
  part.bytes /= weight->part_count;
  for (int i = 0; i < part.rank; i++) part.dims[i] = weight->dims[i + 1];
  for (int i = 0; i < weight->part_count; i++) {
    part.path = weight->parts[i];
    WEIR_TRY_CTX(pack(p, &part, out + i * part.bytes), "part '%s'", part.path);
  }
  return WEIR_OK;
}

static weir_status pack(packer *p, const cg_weight *weight, uint8_t *out) {
  plan_unit *unit = p->unit;
  if (weight->part_count) return pack_parts(p, weight, out);
  const lang_tensor_source *source = NULL;
  const lang_weight *known = find_weight(unit, weight->path, &source);
  if (!known) return weir_status_make(WEIR_CODE_INTERNAL, "no such weight in the model");
  int64_t elements = 1;
  for (int i = 0; i < weight->rank; i++) elements *= weight->dims[i];
  plan_source_shape shape = {0};
  float *values = NULL;
  if (source) WEIR_TRY(plan_source_inspect(unit->checkpoint, source, &shape));
  if (!source) WEIR_TRY(random_values(p, known, elements, &values));
  else if (!keeps_bytes(&shape, weight)) WEIR_TRY(plan_source_decode(unit->checkpoint, source, &values));
  weir_status status;
  if (cg_is_taps(weight->format)) {
    status = pack_taps(p, weight, elements, values, out);
  } else if (cg_is_panel(weight->format)) {
    panel_job job = {.weight = weight,
                     .checkpoint = unit->checkpoint,
                     .source = source,
                     .values = values,
                     .rows = weight->dims[0],
                     .cols = weight->dims[1],
                     .out = out};
    status = run_panels(p, &job);
  } else {
    status = pack_plain(weight, elements, unit->checkpoint, source, &shape, values, out);
  }
  free(values);
  return status;
}

static const char *dims_text(weir_arena *arena, const cg_weight *weight) {
  if (!weight->rank) return "-";
  const char *text = weir_arena_printf(arena, "%lld", (long long)weight->dims[0]);
  for (int i = 1; i < weight->rank; i++) text = weir_arena_printf(arena, "%sx%lld", text, (long long)weight->dims[i]);
  return text;
}

// ---- all of them

static bool is_same_format(const cg_weight *a, const cg_weight *b) {
  return a->format.storage == b->format.storage && a->format.layout == b->format.layout && a->bytes == b->bytes;
}

// Programs of |code| call the weight |old| by another name.
static void key_change(cg_module *code, const char *old, const char *key) {
  for (int p = 0; p < code->program_count; p++)
    for (int i = 0; i < code->programs[p]->weight_count; i++)
      if (!strcmp(code->programs[p]->weights[i].path, old)) code->programs[p]->weights[i].path = key;
}

// Under its own key, or one that ends like a family of devices: the first that names it as it lies, or nothing yet.
static void list_add(plan_unit *unit, cg_module *code, cg_weight *weight, plan_packed *out, cg_weight *list) {
  static const char *const suffixes[] = {"", ":cuda", ":sm_90a"};
  for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
    const char *key = weir_arena_printf(unit->arena, "%s%s", weight->key, suffixes[i]);
    int at = 0;
    while (at < out->count && strcmp(list[at].key, key)) at++;
    if (at < out->count && !is_same_format(&list[at], weight)) continue;
    if (i) key_change(code, weight->key, key);
    if (i) weight->key = key;
    if (at == out->count) list[out->count++] = *weight;
    return;
  }
}

// Those of all modules: one that lies alike in several is there once.
static void list_weights(plan_unit *unit, plan_packed *out) {
  cg_module *const devices[] = {unit->device_code, unit->sm_90a_code};
  const cg_module *code = unit->code;
  int most = code->weight_count;
  for (int m = 0; m < 2; m++) most += devices[m] ? devices[m]->weight_count : 0;
  cg_weight *list = WEIR_NEW_ARRAY(unit->arena, cg_weight, most + 1);
  out->count = code->weight_count;
  for (int i = 0; i < out->count; i++) list[i] = code->weights[i];
  for (int m = 0; m < 2; m++)
    for (int k = 0; devices[m] && k < devices[m]->weight_count; k++)
      list_add(unit, devices[m], &devices[m]->weights[k], out, list);
  out->weights = list;
}

static weir_status place_weights(plan_unit *unit, plan_packed *out) {
  int64_t total = 0;
  out->offsets = WEIR_NEW_ARRAY(unit->arena, int64_t, out->count + 1);
  for (int i = 0; i < out->count; i++) {
    if (!weir_round_up_i64(total, 64, &total) || out->weights[i].bytes < 0) total = -1;
    out->offsets[i] = total;
    if (total < 0 || !weir_add_i64(total, out->weights[i].bytes, &total)) {
      return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "the weights together are too large");
    }
  }
  out->bytes = (size_t)total;
  return WEIR_OK;
}

// Room on disk is taken before anything is written: a full disk is a status, not a signal.
static weir_status map_room(plan_unit *unit, plan_packed *out) {
  const char *folder = NULL;
  if (!out->bytes) return WEIR_OK;
  WEIR_TRY(plan_home_folder(unit->arena, "packages", &folder));
  char *path = weir_arena_printf(unit->arena, "%s/packing-XXXXXX", folder);
  int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd < 0) {  // a file system without unnamed files
    fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0) return weir_status_errno(errno, "cannot make a file in '%s'", folder);
    unlink(path);
  }
  int error = posix_fallocate(fd, 0, (off_t)out->bytes);
  void *data = error ? MAP_FAILED : mmap(NULL, out->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (!error && data == MAP_FAILED) error = errno;
  close(fd);
  if (error) return weir_status_errno(error, "no room in '%s' for %zu bytes of weights", folder, out->bytes);
  out->data = data;
  return WEIR_OK;
}

weir_status plan_pack_weights(plan_unit *unit, plan_packed *out_packed) {
  *out_packed = (plan_packed){0};
  packer p = {.unit = unit};
  list_weights(unit, out_packed);
  WEIR_TRY(place_weights(unit, out_packed));
  WEIR_TRY(map_room(unit, out_packed));
  WEIR_TRY(rt_team_create(0, false, weir_allocator_system(), &p.team));
  weir_status status = WEIR_OK;
  for (int i = 0; i < out_packed->count && !status; i++) {
    const cg_weight *weight = &out_packed->weights[i];
    plan_tell(unit->request, "packing weights", (double)out_packed->offsets[i] / (double)(out_packed->bytes + 1));
    status = plan_check_cancel(unit->request);
    if (status) break;
    status =
        weir_status_annotate(pack(&p, weight, out_packed->data + out_packed->offsets[i]), "weight '%s'", weight->path);
  }
  rt_team_destroy(p.team);
  return status;
}

weir_status plan_write_weights(const plan_unit *unit, const plan_packed *packed, cg_package_writer *writer) {
  WEIR_TRY(cg_package_weights_begin(writer));
  for (int i = 0; i < packed->count; i++) {
    const cg_weight *weight = &packed->weights[i];
    plan_tell(unit->request, "writing the package", (double)packed->offsets[i] / (double)(packed->bytes + 1));
    WEIR_TRY(plan_check_cancel(unit->request));
    WEIR_TRY(cg_package_weight(writer, weight->key, weir_storage_name(weight->format.storage),
                               cg_layout_name(weight->format.layout), dims_text(unit->arena, weight),
                               packed->data + packed->offsets[i], (size_t)weight->bytes));
  }
  return cg_package_weights_end(writer);
}

weir_status plan_packed_find(void *context, const char *key, int64_t bytes, const void **out_data) {
  const plan_weights_of *w = context;
  for (int i = 0; i < w->code->weight_count; i++) {
    if (strcmp(w->code->weights[i].key, key) || w->code->weights[i].bytes != bytes) continue;
    *out_data = w->packed->data + w->packed->offsets[i];
    return WEIR_OK;
  }
  return weir_status_make(WEIR_CODE_INTERNAL, "weight '%s' was not packed", key);
}

void plan_packed_release(plan_packed *packed) {
  if (packed->data) munmap(packed->data, packed->bytes);
  *packed = (plan_packed){0};
}
