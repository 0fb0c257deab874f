// The cache of packages: a hash of everything that goes in names what comes out.
#include "compiler/plan/build.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "codegen/cpu/isa.h"
#include "codegen/cpu/process.h"
#include "codegen/cuda/nvrtc.h"
#include "compiler/plan/device.h"
#include "compiler/plan/home.h"
#include "compiler/plan/internal.h"
#include "compiler/plan/version.h"
#include "runtime/device/cpu/features.h"

const char *const *plan_targets_here(void) {
  static const char *const targets[] = {"cpu:native", NULL};
  return targets;
}

// Machines from 2013 and from 2017 on; anything else is asked for by name.
const char *const *plan_targets_anywhere(void) {
#ifdef __x86_64__
  static const char *const targets[] = {"cpu:x86-64-v3", "cpu:x86-64-v4", NULL};
#else
  static const char *const targets[] = {"cpu:native", NULL};
#endif
  return targets;
}

// ---- the key

// The program itself: a newer Weir builds anew.
static void add_program(weir_hasher *hasher) {
  struct stat info;
  weir_hasher_add_text(hasher, WEIR_VERSION);
  if (stat("/proc/self/exe", &info) == 0) {
    weir_hasher_add_u64(hasher, (uint64_t)info.st_size);
    weir_hasher_add_u64(hasher, (uint64_t)info.st_mtim.tv_sec);
    weir_hasher_add_u64(hasher, (uint64_t)info.st_mtim.tv_nsec);
  }
}

static bool add_file_identity(weir_hasher *hasher, const char *path) {
  char *resolved = realpath(path, NULL);
  struct stat info;
  bool found = resolved && stat(resolved, &info) == 0 && S_ISREG(info.st_mode);
  if (found) {
    weir_hasher_add_text(hasher, resolved);
    weir_hasher_add_u64(hasher, (uint64_t)info.st_size);
    weir_hasher_add_u64(hasher, (uint64_t)info.st_mtim.tv_sec);
  }
  free(resolved);
  return found;
}

// NVRTC by its version and its file.
static void add_nvrtc(weir_arena *arena, weir_hasher *hasher) {
  cg_nvrtc library;
  weir_status status = cg_nvrtc_open(arena, &library);
  weir_hasher_add_u64(hasher, status != NULL);
  if (!status) weir_hasher_add_text(hasher, library.version);
  if (!status) add_file_identity(hasher, library.path);
  weir_status_release(status);
}

// The C compilers that would be used, by their files: asking them for their versions costs more than all the rest of
// the key. One that is missing is found out later.
static void add_compilers(weir_arena *arena, weir_hasher *hasher, const char *const *targets, int target_count) {
  for (int i = 0; i < target_count; i++) {
    cg_cpu_isa isa;
    const char **words = NULL;
    int count = 0;
    if (!strncmp(targets[i], "cuda", 4)) {
      add_nvrtc(arena, hasher);
      continue;
    }
    weir_status status = cg_cpu_isa_find(arena, strcmp(targets[i], "sim") ? targets[i] : "cpu", &isa);
    if (!status) status = cg_compiler_find(arena, isa.arch, &words, &count);
    weir_hasher_add_u64(hasher, status != NULL);
    if (!status) add_file_identity(hasher, words[0]);
    for (int k = 1; !status && k < count; k++) weir_hasher_add_text(hasher, words[k]);
    weir_status_release(status);
  }
}

static void add_optional(weir_hasher *hasher, const char *text) {
  weir_hasher_add_u64(hasher, text != NULL);
  weir_hasher_add_text(hasher, text ? text : "");
}

static weir_hash key_of(const plan_unit *unit, const char *const *targets, int target_count) {
  const plan_request *request = unit->request;
  char features[RT_CPU_FEATURES_BYTES];
  weir_hasher hasher;
  weir_hash key;
  weir_hasher_init(&hasher);
  add_program(&hasher);
  add_compilers(unit->arena, &hasher, targets, target_count);
  rt_cpu_features(features, sizeof features);
  weir_hasher_add_text(&hasher, features);
  for (int i = 0; i < unit->program->file_count; i++) {
    const lang_source *source = unit->program->files[i]->source;
    weir_hasher_add_text(&hasher, source->path);
    weir_hasher_add_text(&hasher, source->text);
  }
  for (int i = 0; unit->library && i < unit->library->file_count; i++)
    weir_hasher_add_text(&hasher, unit->library->files[i]->source->text);
  add_optional(&hasher, unit->model_name);
  add_optional(&hasher, request->plan);
  weir_hasher_add_u64(&hasher, request->exact);
  weir_hasher_add_u64(&hasher, request->lines);
  for (int i = 0; i < request->override_count; i++) weir_hasher_add_text(&hasher, request->overrides[i]);
  weir_hasher_add_u64(&hasher, (uint64_t)request->override_count);
  weir_hasher_add_u64(&hasher, unit->checkpoint ? 2 : request->random);
  weir_hasher_add_u64(&hasher, request->random ? request->seed : 0);
  weir_hasher_add(&hasher, unit->weights_hash.bytes, sizeof unit->weights_hash.bytes);
  if (unit->checkpoint && unit->checkpoint->tokenizer_json)
    add_file_identity(&hasher, unit->checkpoint->tokenizer_json);
  for (int i = 0; i < target_count; i++) weir_hasher_add_text(&hasher, targets[i]);
  if (request->tune_seconds > 0) {  // records of the cache have no part in it: what lies there was good on this machine
    add_optional(&hasher, request->tune_machine);
    add_optional(&hasher, request->tune_device);
    weir_hasher_add(&hasher, &request->tune_seconds, sizeof request->tune_seconds);
  }
  weir_hasher_finish(&hasher, &key);
  return key;
}

// ---- targets

// The targets that the plan says, as on the command line; 0 if it says none.
static weir_status plan_line_targets(plan_unit *unit, const char ***out, int *out_count) {
  *out_count = 0;
  const lang_plan_line *line = unit->plan ? lang_plan_get(unit->plan, "target") : NULL;
  if (!line) return WEIR_OK;
  *out = WEIR_NEW_ARRAY(unit->arena, const char *, line->value_count);
  for (int i = 0; i < line->value_count; i++) {
    const lang_setting_value *value = &line->values[i];
    const char *name = value->text ? value->text : "";
    bool level = value->kind == LANG_SETTING_CALL && value->item_count && value->items[0].text;
    if (!strcmp(name, "cuda") || !strcmp(name, "sim")) {
      (*out)[(*out_count)++] = level ? weir_arena_printf(unit->arena, "%s:%s", name, value->items[0].text) : name;
      continue;
    }
    if (strcmp(name, "cpu")) {
      return weir_status_make(WEIR_CODE_UNSUPPORTED,
                              "plan %s: target '%s' is not built by this version; cpu, cuda and "
                              "sim are",
                              unit->plan->name, name);
    }
    (*out)[(*out_count)++] = level ? weir_arena_printf(unit->arena, "cpu:%s", value->items[0].text) : "cpu:native";
  }
  return WEIR_OK;
}

// ---- old packages

typedef struct {
  char *name;
  time_t used;
} old_package;

static int by_use(const void *a, const void *b) {
  const old_package *x = a, *y = b;
  return x->used < y->used ? 1 : x->used > y->used ? -1 : 0;
}

// Keeps the 12 packages used last and all that were used within an hour: an edited model leaves one behind at every
// run.
static void forget_old(const char *folder) {
  enum { KEPT = 12, HOUR = 3600, MOST = 1024 };
  DIR *listing = opendir(folder);
  old_package *found = calloc(MOST, sizeof *found);
  int count = 0;
  for (struct dirent *entry; listing && found && count < MOST && (entry = readdir(listing));) {
    struct stat info;
    if (!strstr(entry->d_name, ".wpk") || fstatat(dirfd(listing), entry->d_name, &info, 0) != 0) continue;
    found[count] = (old_package){strdup(entry->d_name), info.st_mtime};
    count += found[count].name != NULL;
  }
  if (count) qsort(found, (size_t)count, sizeof *found, by_use);
  for (int i = 0; i < count; i++) {
    if (i >= KEPT && found[i].used + HOUR < time(NULL)) unlinkat(dirfd(listing), found[i].name, 0);
    free(found[i].name);
  }
  free(found);
  if (listing) closedir(listing);
}

// Temporary files that killed processes left behind. One that is an hour old belongs to nobody.
static void forget_unfinished(weir_arena *arena) {
  enum { HOUR = 3600 };
  static const char *const folders[] = {"packages", "objects", "tokenizers", "hashes", "tuning"};
  for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
    const char *folder = NULL;
    weir_status status = plan_home_folder(arena, folders[i], &folder);
    DIR *listing = status ? NULL : opendir(folder);
    weir_status_release(status);
    for (struct dirent *entry; listing && (entry = readdir(listing));) {
      struct stat info;
      if (!strstr(entry->d_name, ".tmp-") || fstatat(dirfd(listing), entry->d_name, &info, 0) != 0) continue;
      if (info.st_mtime + HOUR < time(NULL)) unlinkat(dirfd(listing), entry->d_name, 0);
    }
    if (listing) closedir(listing);
  }
}

// ---- building

typedef struct {
  plan_unit unit;
  const char *folder, *path;
  const char **targets;
  int target_count;
} building;

static bool found_in_cache(building *b, plan_result *result) {
  struct stat info;
  if (stat(b->path, &info) != 0) return false;
  result->bytes = info.st_size;
  result->cached = true;
  (void)utimensat(AT_FDCWD, b->path, NULL, 0);  // used now
  return true;
}

static void tell_waiting(void *user) { plan_tell(user, "waiting for another process that builds the same", -1); }

static weir_status build_locked(building *b, plan_result *result) {
  if (found_in_cache(b, result)) return WEIR_OK;
  if (!b->unit.graph) WEIR_TRY(plan_front(&b->unit));
  WEIR_TRY(plan_write_package(&b->unit, b->path, b->targets, b->target_count, result));
  forget_old(b->folder);
  forget_unfinished(b->unit.arena);
  return WEIR_OK;
}

#ifdef __x86_64__
// Whether the plan has products in lower precision.
static bool wants_dots(const plan_unit *unit) {
  for (int i = 0; unit->code && i < unit->code->weight_count; i++)
    if (unit->code->weights[i].format.compute != CG_COMPUTE_F32) return true;
  return false;
}
#endif

static weir_status prepare(building *b, const char *const *targets, int target_count, const char *const *defaults,
                           plan_result *result) {
  weir_arena *arena = b->unit.arena;
  char hex[WEIR_HASH_HEX_BYTES];
  if (b->unit.request->plan) {  // for its targets and for its warnings, which a package of the cache does not repeat
    WEIR_TRY(plan_front(&b->unit));
    if (!target_count) WEIR_TRY(plan_line_targets(&b->unit, &b->targets, &b->target_count));
  }
  if (!b->target_count) {
    while (!target_count && defaults[b->target_count]) b->target_count++;
    if (target_count) b->target_count = target_count;
    b->targets = WEIR_NEW_ARRAY(arena, const char *, b->target_count + 1);
    for (int i = 0; i < b->target_count; i++) b->targets[i] = target_count ? targets[i] : defaults[i];
#ifdef __x86_64__
    // A package for any machine has code with dot products where some are wanted, and does not grow where none are.
    if (!target_count && defaults == plan_targets_anywhere() && wants_dots(&b->unit))
      b->targets[b->target_count++] = "cpu:x86-64-v4-bf16";
#endif
  }
  for (int i = 0; i < b->target_count; i++) {
    cg_cpu_isa isa;
    bool device = plan_is_device_target(b->targets[i]), on_device = b->unit.request->tune_device != NULL;
    if (b->unit.request->tune_seconds > 0 && (device != on_device || (device && b->target_count > 1)))
      return weir_status_make(WEIR_CODE_INVALID_ARGUMENT,
                              "schedules are measured where they run: tuning wants one target, that of --device, or "
                              "one that runs here, as in --target cpu");
    if (device) {
      WEIR_TRY(plan_check_device_target(b->targets[i]));
      continue;
    }
    WEIR_TRY(cg_cpu_isa_find(arena, b->targets[i], &isa));
    b->targets[i] = weir_arena_printf(arena, "cpu:%s", isa.name);  // "cpu" and "cpu:native" are the same
    if (b->unit.request->tune_seconds > 0 && (b->target_count > 1 || !cg_cpu_isa_runs_here(&isa)))
      return weir_status_make(WEIR_CODE_INVALID_ARGUMENT,
                              "schedules are measured on this machine: tuning wants one target that runs here, as in "
                              "--target cpu");
  }
  result->key = key_of(&b->unit, b->targets, b->target_count);
  weir_hash_hex(&result->key, hex);
  hex[24] = 0;
  const char *slash = strrchr(b->unit.request->text, '/'), *stem = slash ? slash + 1 : b->unit.request->text;
  WEIR_TRY(plan_home_folder(arena, "packages", &b->folder));
  b->path = weir_arena_printf(arena, "%s/%.*s-%s.wpk", b->folder, (int)strcspn(stem, "."), stem, hex);
  return WEIR_OK;
}

static weir_status build(building *b, plan_result *result) {
  if (found_in_cache(b, result)) return WEIR_OK;
  char hex[WEIR_HASH_HEX_BYTES];
  weir_hash_hex(&result->key, hex);
  weir_lock lock;
  WEIR_TRY(plan_lock_take(weir_arena_printf(b->unit.arena, "build-%.24s", hex), b->unit.request->cancel, tell_waiting,
                          (void *)(uintptr_t)b->unit.request, &lock));
  weir_status status = build_locked(b, result);
  weir_lock_release(&lock);
  return status;
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

weir_status plan_build(weir_arena *arena, const plan_request *request, const char *const *targets, int target_count,
                       const char *const *defaults, lang_diags *diags, plan_result *out_result) {
  double start = now();
  building b = {0};
  *out_result = (plan_result){0};
  weir_status status = plan_read(arena, request, diags, &b.unit);
  if (!status) status = prepare(&b, targets, target_count, defaults, out_result);
  if (!status) status = build(&b, out_result);
  plan_close(&b.unit);
  out_result->path = b.path;
  out_result->seconds = now() - start;
  return status;
}
