// The compiler driver: levels, the cache under damage and under two builders at once, refusals, several files.
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/io.h"
#include "runtime/device/cpu/features.h"
#include "tests/unit/codegen/cpu_harness.h"

static ir_kernel *scale_kernel(weir_arena *arena, const char *name, double factor) {
  ir_kbuilder b;
  ir_kb_init(&b, arena, name, "y = x * factor");
  const ir_kexpr *n = ir_kb_add_size(&b, "T.max"), *bytes = ir_kb_mul(&b, n, ir_kb_int(&b, 4));
  int x = ir_kb_add_buffer(&b, IR_KB_IN, "x", bytes, -1), y = ir_kb_add_buffer(&b, IR_KB_OUT, "y", bytes, -1);
  ir_kb_set_grid(&b, ir_kb_int(&b, 1), "item");
  const ir_kexpr *i = ir_kb_for(&b, IR_KR_LANES, "i", ir_kb_int(&b, 0), n, 1);
  const ir_kexpr *v = ir_kb_mul(&b, ir_kb_load(&b, IR_KT_f32, x, i), ir_kb_const(&b, IR_KT_f32, factor));
  ir_kb_store(&b, IR_KT_f32, y, i, v);
  ir_kb_end(&b);
  return ir_kb_finish(&b);
}

// With a cache of its own, empty.
static void cold_rig_init(cpu_rig *rig) {
  cpu_rig_init(rig);
  scratch_make(rig->cache);
}

static void cold_rig_deinit(cpu_rig *rig) {
  scratch_remove(rig->cache);
  cpu_rig_deinit(rig);
}

static void compile(cpu_rig *rig, const ir_kernel *const *kernels, int count, cg_cpu_object *object) {
  cg_cpu_options options = {.cache_dir = rig->cache, .jobs = 3};
  cpu_must(cg_cpu_compile(&rig->arena, kernels, count, rig->levels, 1, &options, object));
}

// How many files there are whose names end in |suffix|.
static int files_in(const char *folder, const char *suffix) {
  char command[256];
  int count = 0;
  snprintf(command, sizeof command, "ls '%s' | grep '%s$'", folder, suffix);
  FILE *pipe = popen(command, "r");
  for (char line[256]; fgets(line, sizeof line, pipe);) count++;
  pclose(pipe);
  return count;
}

Test(cpu_compile, levels_are_found_and_unknown_ones_listed) {
  weir_arena arena;
  weir_arena_init(&arena);
  cg_cpu_isa isa;
  cpu_must(cg_cpu_isa_find(&arena, "cpu", &isa));
  cr_assert_str_eq(isa.name, "native");
  cr_assert(cg_cpu_isa_runs_here(&isa));
  cpu_must(cg_cpu_isa_find(&arena, "cpu:x86-64-v3", &isa));
  cr_assert(strstr(isa.features, "avx2") && strstr(isa.flags, "-march=x86-64-v3"));
  // The runtime and the table agree on what a level needs.
  for (const char *const *name = cg_cpu_isa_names(); *name; name++) {
    cpu_must(cg_cpu_isa_find(&arena, weir_arena_printf(&arena, "cpu:%s", *name), &isa));
    if (strcmp(*name, "native")) cr_assert_eq(cg_cpu_isa_runs_here(&isa), rt_cpu_has_level(*name), "%s", *name);
  }
  weir_status status = cg_cpu_isa_find(&arena, "cpu:x86-64-v9", &isa);
  cr_assert_eq(weir_status_code(status), WEIR_CODE_INVALID_ARGUMENT);
  cr_assert(strstr(weir_status_message(status), "x86-64-v4"));
  weir_status_release(status);
  cpu_must(cg_cpu_isa_find(&arena, "cpu:aarch64", &isa));
  cr_assert_eq(cg_cpu_isa_runs_here(&isa), !strcmp(cg_cpu_arch_here(), "aarch64"));
  // Tiles are asked of processor and system; neither may be taken for granted.
  char why[256];
  rt_cpu_why_not("amx-tile,avx2,no-such-thing", why, sizeof why);
  cr_assert(strstr(why, "no-such-thing: unknown here"), "%s", why);
  cpu_must(cg_cpu_isa_find(&arena, "cpu:amx", &isa));
  rt_cpu_why_not(isa.features, why, sizeof why);
  cr_assert_eq(cg_cpu_isa_runs_here(&isa), !*why, "%s", why);
  weir_arena_deinit(&arena);
}

enum { MANY = 24 };

static void many_kernels(cpu_rig *rig, const ir_kernel *k[MANY]) {
  for (int i = 0; i < MANY; i++) k[i] = scale_kernel(&rig->arena, weir_arena_printf(&rig->arena, "k_scale_%02d", i), i);
}

static char *content(const char *path, size_t *size) {
  char *data;
  cpu_must(weir_file_read(path, 1 << 26, &data, size));
  return data;
}

Test(cpu_compile, second_time_comes_from_the_cache_and_damage_is_repaired) {
  cpu_rig rig;
  cold_rig_init(&rig);
  const ir_kernel *k[MANY];
  many_kernels(&rig, k);
  cg_cpu_object first, again;
  compile(&rig, k, MANY, &first);
  cr_assert(!first.cached && first.compiled > 1 && first.compiled < MANY, "%d files", first.compiled);
  compile(&rig, k, MANY, &again);
  cr_assert(again.cached && !again.compiled);
  cr_assert_str_eq(first.path, again.path);
  cr_assert_eq(first.bytes, again.bytes);
  cr_assert_eq(files_in(rig.cache, ".so"), 1);
  cr_assert_eq(files_in(rig.cache, ""), 1 + first.compiled, "something is left behind in the cache");
  // One changed byte, a cut file, an empty one.
  for (int damage = 0; damage < 3; damage++) {
    size_t size;
    char *data = content(first.path, &size);
    data[size / 2] ^= 1;
    cpu_must(weir_file_write_atomic(first.path, data, damage == 0 ? size : damage == 1 ? size / 3 : 0));
    free(data);
    compile(&rig, k, MANY, &again);
    cr_assert(!again.cached && !again.compiled, "damage %d was not seen", damage);
    compile(&rig, k, MANY, &again);
    cr_assert(again.cached);
  }
  void *object = dlopen(again.path, RTLD_NOW | RTLD_LOCAL);
  cr_assert(object != NULL, "%s", dlerror());
  for (int i = 0; i < MANY; i++) cr_assert(dlsym(object, k[i]->name) != NULL);
  dlclose(object);
  cold_rig_deinit(&rig);
}

Test(cpu_compile, a_changed_kernel_costs_its_own_file) {
  cpu_rig rig;
  cold_rig_init(&rig);
  const ir_kernel *k[MANY];
  cg_cpu_object first, again;
  many_kernels(&rig, k);
  compile(&rig, k, MANY, &first);
  k[3] = scale_kernel(&rig.arena, "k_scale_03", 3.5);
  compile(&rig, k, MANY, &again);
  cr_assert(!again.cached && strcmp(first.path, again.path));
  cr_assert_leq(again.compiled, 2, "%d of %d files", again.compiled, first.compiled);  // its text may end a file anew
  cold_rig_deinit(&rig);
}

// The bytes depend on the kernels alone: not on their order, on what is cached, on how many compilers run.
Test(cpu_compile, objects_are_the_same_bit_for_bit) {
  cpu_rig rig, other;
  cold_rig_init(&rig);
  cold_rig_init(&other);
  const ir_kernel *k[MANY], *reverse[MANY];
  many_kernels(&rig, k);
  for (int i = 0; i < MANY; i++) reverse[i] = k[MANY - 1 - i];
  cg_cpu_object first, part, whole;
  compile(&rig, k, MANY, &first);
  compile(&other, k, MANY / 2, &part);
  cg_cpu_options options = {.cache_dir = other.cache, .jobs = 1, .want_parts = true};
  cpu_must(cg_cpu_compile(&other.arena, reverse, MANY, other.levels, 1, &options, &whole));
  cr_assert_lt(whole.compiled, whole.part_count, "half was there");
  size_t x, y;
  char *a = content(first.path, &x), *b = content(whole.path, &y);
  cr_assert(x == y && !memcmp(a, b, x));
  free(a), free(b);
  // The parts come back without being linked anew.
  cpu_must(weir_file_write_atomic(whole.parts[0], "", 0));
  cpu_must(cg_cpu_compile(&other.arena, reverse, MANY, other.levels, 1, &options, &whole));
  cr_assert(whole.cached && whole.compiled == 1);
  cold_rig_deinit(&rig);
  cold_rig_deinit(&other);
}

Test(cpu_compile, the_cache_forgets_what_was_used_longest_ago) {
  cpu_rig rig;
  cold_rig_init(&rig);
  const ir_kernel *k[MANY];
  many_kernels(&rig, k);
  cg_cpu_object object;
  compile(&rig, k, MANY, &object);
  char command[256];
  snprintf(command, sizeof command, "touch -d '2 hours ago' '%s'/*.o", rig.cache);
  cr_assert_eq(system(command), 0);
  k[0] = scale_kernel(&rig.arena, "k_scale_00", 7.5);
  cg_cpu_options options = {.cache_dir = rig.cache, .cache_bytes = 1};
  cpu_must(cg_cpu_compile(&rig.arena, k, MANY, rig.levels, 1, &options, &object));
  // All that is linked now counts as used now, and what is in use stays.
  compile(&rig, k, MANY, &object);
  cr_assert(object.cached);
  cr_assert_eq(files_in(rig.cache, ".so"), 2);
  snprintf(command, sizeof command, "touch -d '2 hours ago' '%s'/*", rig.cache);
  cr_assert_eq(system(command), 0);
  k[0] = scale_kernel(&rig.arena, "k_scale_00", 8.5);
  cpu_must(cg_cpu_compile(&rig.arena, k, 1, rig.levels, 1, &options, &object));
  cr_assert_eq(files_in(rig.cache, ""), 2, "one part and one object");
  cold_rig_deinit(&rig);
}

static void count_files(void *user, const char *kernel, int done, int total) {
  int *last = user;
  cr_assert(!strncmp(kernel, "k_scale_", 8) && done == last[0] + 1 && done <= total);
  last[0] = done, last[1] = total;
}

Test(cpu_compile, progress_is_told_and_sources_are_kept_on_request) {
  cpu_rig rig;
  cold_rig_init(&rig);
  const ir_kernel *k[MANY];
  many_kernels(&rig, k);
  int told[2] = {0};
  cg_cpu_object plain, object;
  compile(&rig, k, MANY, &plain);
  cg_cpu_options options = {.cache_dir = rig.cache, .progress = count_files, .user = told};
  options.source_dir = weir_arena_printf(&rig.arena, "%s/sources", rig.cache);
  cpu_must(cg_cpu_compile(&rig.arena, k, MANY, rig.levels, 1, &options, &object));
  cr_assert(told[0] == object.compiled && told[1] == object.compiled);
  cr_assert_eq(files_in(options.source_dir, ".c"), object.compiled);
  cr_assert(strcmp(plain.path, object.path) && object.bytes > plain.bytes);
  cold_rig_deinit(&rig);
}

Test(cpu_compile, no_kernels_make_an_empty_object) {
  cpu_rig rig;
  cold_rig_init(&rig);
  cg_cpu_object object;
  compile(&rig, NULL, 0, &object);
  void *handle = dlopen(object.path, RTLD_NOW | RTLD_LOCAL);
  cr_assert(handle != NULL, "%s", dlerror());
  dlclose(handle);
  cold_rig_deinit(&rig);
}

Test(cpu_compile, two_processes_at_once) {
  cpu_rig rig;
  cold_rig_init(&rig);
  const ir_kernel *k[] = {scale_kernel(&rig.arena, "k_scale", 2)};
  pid_t children[3];
  for (int i = 0; i < 3; i++) {
    children[i] = fork();
    if (children[i]) continue;
    cg_cpu_object object;
    cg_cpu_options options = {.cache_dir = rig.cache, .jobs = 1};
    weir_status status = cg_cpu_compile(&rig.arena, k, 1, rig.levels, 1, &options, &object);
    _exit(status ? 1 : 0);
  }
  for (int i = 0; i < 3; i++) {
    int state;
    cr_assert_eq(waitpid(children[i], &state, 0), children[i]);
    cr_assert(WIFEXITED(state) && WEXITSTATUS(state) == 0);
  }
  cg_cpu_object object;
  compile(&rig, k, 1, &object);
  cr_assert(object.cached);
  cr_assert_eq(files_in(rig.cache, ""), 2);
  cold_rig_deinit(&rig);
}

static void expect(cpu_rig *rig, const char *cc, weir_code code, const char *words) {
  setenv("CC", cc, 1);
  const ir_kernel *k[] = {scale_kernel(&rig->arena, "k_scale", 2)};
  cg_cpu_object object;
  cg_cpu_options options = {.cache_dir = rig->cache};
  weir_status status = cg_cpu_compile(&rig->arena, k, 1, rig->levels, 1, &options, &object);
  cr_assert_eq(weir_status_code(status), code, "%s: %s", cc, weir_status_message(status));
  cr_assert(strstr(weir_status_message(status), words), "%s", weir_status_message(status));
  weir_status_release(status);
  unsetenv("CC");
}

Test(cpu_compile, refusals_say_why) {
  cpu_rig rig;
  cold_rig_init(&rig);
  expect(&rig, "/nonexistent/cc", WEIR_CODE_UNSUPPORTED, "/nonexistent/cc");
  expect(&rig, "false", WEIR_CODE_UNSUPPORTED, "--version");
  cr_assert_eq(files_in(rig.cache, ""), 0);
  // A compiler that takes no kernels: the source is kept for whoever looks into it.
  expect(&rig, "cc -Dvector_size=nonsense", WEIR_CODE_INTERNAL, "refused-");
  cr_assert_eq(files_in(rig.cache, ""), 1);
  char *blocked = weir_arena_printf(&rig.arena, "%s/file", rig.cache);
  cpu_must(weir_file_write_atomic(blocked, "x", 1));
  cg_cpu_object object;
  cg_cpu_options options = {.cache_dir = weir_arena_printf(&rig.arena, "%s/below", blocked)};
  weir_status status = cg_cpu_compile(&rig.arena, NULL, 0, rig.levels, 1, &options, &object);
  cr_assert_eq(weir_status_code(status), WEIR_CODE_IO);
  weir_status_release(status);
  cold_rig_deinit(&rig);
}

Test(cpu_compile, other_compilers_give_the_same_answers) {
  cpu_rig rig;
  cold_rig_init(&rig);
  if (system("clang --version >/dev/null 2>&1") != 0) cr_skip("clang is not installed");
  setenv("CC", "clang", 1);
  const ir_kernel *k[] = {scale_kernel(&rig.arena, "k_scale", 2)};
  cpu_rig_compile(&rig, k, 1);
  for (int level = 0; level < rig.level_count; level++) {
    float x[19], y[19];
    for (int i = 0; i < 19; i++) x[i] = (float)i;
    void *args[] = {x, y};
    int64_t dims[] = {19};
    cpu_run(&rig, level, k[0], args, dims, 0, 1);
    for (int i = 0; i < 19; i++) cr_assert_eq(y[i], (float)(2 * i));
  }
  unsetenv("CC");
  cold_rig_deinit(&rig);
}

Test(cpu_print, source_is_stable_and_needs_no_headers) {
  weir_arena a, b;
  weir_arena_init(&a);
  weir_arena_init(&b);
  const char *first, *second;
  const ir_kernel *x[] = {scale_kernel(&a, "k_scale", 2)}, *y[] = {scale_kernel(&b, "k_scale", 2)};
  cpu_must(cg_cpu_print(&a, x, 1, &first));
  cpu_must(cg_cpu_print(&b, y, 1, &second));
  cr_assert_str_eq(first, second);
  cr_assert(!strstr(first, "#include"));
  cr_assert(strstr(first, "// k_scale\n// y = x * factor\n"));
  weir_arena_deinit(&a);
  weir_arena_deinit(&b);
}

Test(cpu_print, unrolling_without_end_is_refused) {
  weir_arena arena;
  weir_arena_init(&arena);
  ir_kbuilder b;
  ir_kb_init(&b, &arena, "k_many", "a billion stores");
  int y = ir_kb_add_buffer(&b, IR_KB_OUT, "y", ir_kb_int(&b, 4), -1);
  ir_kb_set_grid(&b, ir_kb_int(&b, 1), "item");
  for (int i = 0; i < 3; i++) ir_kb_for(&b, IR_KR_UNROLL, "i", ir_kb_int(&b, 0), ir_kb_int(&b, 1000), 1);
  ir_kb_store(&b, IR_KT_f32, y, ir_kb_int(&b, 0), ir_kb_const(&b, IR_KT_f32, 1));
  for (int i = 0; i < 3; i++) ir_kb_end(&b);
  const ir_kernel *k[] = {ir_kb_finish(&b)};
  const char *source;
  weir_status status = cg_cpu_print(&arena, k, 1, &source);
  cr_assert_eq(weir_status_code(status), WEIR_CODE_OUT_OF_RANGE);
  cr_assert(strstr(weir_status_message(status), "k_many"));
  weir_status_release(status);
  weir_arena_deinit(&arena);
}
