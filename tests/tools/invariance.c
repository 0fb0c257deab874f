// Runs a package's entries and steps alone, packed together and cut into calls at random, and compares bits.
//
//   invariance PACKAGE SEED CUTS [SPEC FOLDER]
//
// Without a SPEC every entry gets requests with random inputs of random sizes within its bounds. A SPEC names the
// requests, one line each, whose files lie in FOLDER: `run ENTRY NAME=FILE...`, before it any number of `before ENTRY
// NAME=FILE...`: steps that the session of the next run takes first. Outputs of the runs are then written to FOLDER as
// got.N.NAME.npy. Exit status 0: all bits agree; 1: they do not, or a run failed, with a line for each.
//
// Between the calls of a cut sequence its session is forked, moved as bytes, taken back, grown, refused and cancelled
// (invariance_schedule.c); before every run the memory it will take is predicted, and compared afterwards.
//
// INVARIANCE_DEVICE=sim in the environment: on another device than the processor.
//
// It knows the public C API and .npy files only: what it checks holds for any model.
#include "tests/tools/invariance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/npy.h"

// ---- requests of a file

static weir_dtype dtype_of(weir_storage storage) {
  for (int d = 0; d <= WEIR_DTYPE_BOOL; d++) {
    weir_storage found;
    if (weir_storage_from_name(weir_dtype_name((weir_dtype)d), &found) && found == storage) return (weir_dtype)d;
  }
  die("a .npy file of a type that no tensor has", NULL);
  return WEIR_DTYPE_F32;
}

static void read_input(call *c, const char *folder, char *word) {
  char path[1024], *file = strchr(word, '=');
  if (!file) die(word, NULL);
  *file++ = 0;
  for (int i = 0; i < weir_entry_describe(c->entry).input_count; i++) {
    if (strcmp(weir_entry_input(c->entry, i).name, word)) continue;
    weir_npy array;
    snprintf(path, sizeof path, "%s/%s", folder, file);
    must(weir_npy_read(path, &array), path);
    weir_view *v = &c->inputs[i];
    v->dtype = dtype_of(array.storage);
    v->rank = array.rank;
    for (int d = 0; d < v->rank; d++) v->shape[d] = array.dims[d];
    v->data = malloc(array.data_bytes + 64);
    memcpy(v->data, array.data, array.data_bytes);
    weir_npy_release(&array);
    return;
  }
  die(word, NULL);
}

static void read_runs(suite *s, const char *spec, const char *folder) {
  char line[4096];
  FILE *file = fopen(spec, "r");
  if (!file) die(spec, NULL);
  run next = {0};
  while (fgets(line, sizeof line, file)) {
    char *save, *kind = strtok_r(line, " \n", &save), *name = strtok_r(NULL, " \n", &save), *word;
    if (!name || s->run_count == MAX_RUNS) die("a line of the specification", NULL);
    bool before = !strcmp(kind, "before");
    call *c = before ? &next.before[next.before_count++] : &next.main;
    c->entry = weir_model_find_entry(s->model, name);
    if (!c->entry || next.before_count == MAX_BEFORE) die(name, NULL);
    while ((word = strtok_r(NULL, " \n", &save))) read_input(c, folder, word);
    if (before) continue;
    s->runs[s->run_count++] = next;
    next = (run){0};
  }
  fclose(file);
}

static void write_outputs(const suite *s, const char *folder) {
  for (int r = 0; r < s->run_count; r++) {
    for (int i = 0; i < weir_entry_describe(s->runs[r].main.entry).output_count; i++) {
      const weir_view *v = &s->runs[r].outputs[i];
      char path[1024];
      weir_storage storage;
      snprintf(path, sizeof path, "%s/got.%d.%s.npy", folder, r, weir_entry_output(s->runs[r].main.entry, i).name);
      if (!weir_storage_from_name(weir_dtype_name(v->dtype), &storage)) die(path, NULL);
      must(weir_npy_write(path, storage, v->rank, v->shape, v->data), path);
    }
  }
}

int main(int argc, char **argv) {
  if (argc != 4 && argc != 6) die("usage: invariance PACKAGE SEED CUTS [SPEC FOLDER]", NULL);
  suite *s = calloc(1, sizeof *s);
  open_suite(s, argv[1], strtoull(argv[2], NULL, 10));
  if (argc == 6) read_runs(s, argv[4], argv[5]);
  else random_runs(s);
  int schedules = run_all(s, atoi(argv[3]));
  if (argc == 6) write_outputs(s, argv[5]);
  if (schedules)
    printf("%d forks, %d moves, %d truncations, %d refused, %d restored, %d growths, %d cancelled\n", s->forks,
           s->moves, s->truncations, s->refusals, s->restores, s->growths, s->cancels);
  printf("%d calls with the memory that was predicted\n", s->predictions);
  printf("%d runs alone and packed, %d schedules of cuts, %d differences\n", s->run_count, schedules, s->failures);
  bool agree = !s->failures;
  close_suite(s);
  free(s);
  return agree ? 0 : 1;
}
