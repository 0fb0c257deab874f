// Programs of several files: finding them, cycles, names.
#include <sys/stat.h>
#include <unistd.h>

#include "compiler/lang/files.h"
#include "tests/unit/lang/lang_test.h"

// A folder of its own for each test, removed with its files at the end.
typedef struct {
  lang_bench *bench;
  char root[64];
  const char *folders[1];
  lang_search search;
} folder;

static folder *folder_open(void) {
  folder *f = calloc(1, sizeof *f);
  f->bench = bench_open();
  strcpy(f->root, "/tmp/weir_files_XXXXXX");
  cr_assert(mkdtemp(f->root));
  f->folders[0] = weir_arena_printf(&f->bench->arena, "%s/library", f->root);
  f->search = (lang_search){.folders = f->folders, .count = 1};
  return f;
}

static const char *folder_path(folder *f, const char *name) {
  return weir_arena_printf(&f->bench->arena, "%s/%s", f->root, name);
}

static void folder_put(folder *f, const char *name, const char *text) {
  mkdir(folder_path(f, "library"), 0700);
  mkdir(folder_path(f, "library/std"), 0700);
  FILE *file = fopen(folder_path(f, name), "w");
  cr_assert(file);
  fputs(text, file);
  fclose(file);
}

static lang_program *folder_load(folder *f, const char *name) {
  lang_program *program;
  weir_status status = lang_load(&f->bench->arena, folder_path(f, name), &f->search, &f->bench->diags, &program);
  cr_assert(!status, "%s", weir_status_message(status));
  return program;
}

static void folder_close(folder *f) {
  static const char *const names[] = {
      "library/std/nn.weir", "library/std/core.weir", "library/std", "library", "a.weir", "b.weir"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) remove(folder_path(f, names[i]));
  rmdir(f->root);
  bench_close(f->bench);
  free(f);
}

Test(files, library_and_neighbours) {
  folder *f = folder_open();
  folder_put(f, "library/std/nn.weir", "use std.core;\ndim T: seq;\nblock Linear {} { }\n");
  folder_put(f, "library/std/core.weir", "fn id(x: f[...]) -> f[...] { return x; }\n");
  folder_put(
      f, "a.weir",
      "use std.nn;\nuse \"b.weir\";\nuse \"./b.weir\";\ndim T: seq;\nlet x, y = 1;\n"
      "bind hf for A { }\nbind hf for B { }\nplan p for A { }\nplan p for B { }\ntrain p for A { }\ncluster p { }\n");
  folder_put(f, "b.weir", "fn own() { }\n");
  const lang_program *program = folder_load(f, "a.weir");
  cr_assert(program->ok, "%s", lang_diags_render(&f->bench->diags, &f->bench->arena, false));
  cr_expect_eq(program->file_count, 4);
  const lang_file *a = program->files[0], *b = program->files[2];
  cr_expect(lang_program_find(program, a, "Linear") && lang_program_find(program, a, "id") &&
            lang_program_find(program, a, "y"));
  cr_expect(lang_program_find(program, NULL, "own") && lang_program_find(program, b, "own"));
  cr_expect_null(lang_program_find(program, b, "Linear"));
  cr_expect_null(lang_program_find(program, a, "T"));
  cr_expect(lang_program_find_dim(program, a, "T") != lang_program_find_dim(program, program->files[1], "T"));
  cr_expect_null(lang_program_find_dim(program, b, "T"));
  cr_expect(lang_program_find_bind(program, "hf", "A") != lang_program_find_bind(program, "hf", "B"));
  cr_expect_null(lang_program_find_bind(program, "hf", "C"));
  cr_expect(lang_program_find_section(program, LANG_SECTION_PLAN, "p", "B") !=
            lang_program_find_section(program, LANG_SECTION_PLAN, "p", NULL));
  cr_expect(lang_program_find_section(program, LANG_SECTION_CLUSTER, "p", NULL));
  cr_expect_null(lang_program_find_section(program, LANG_SECTION_SEARCH, "p", NULL));
  folder_close(f);
}

Test(files, a_cycle_ends) {
  folder *f = folder_open();
  folder_put(f, "a.weir", "use \"b.weir\";\nuse \"a.weir\";\nfn ga() { }\n");
  folder_put(f, "b.weir", "use \"a.weir\";\nfn gb() { }\n");
  const lang_program *program = folder_load(f, "a.weir");
  cr_expect(program->ok);
  cr_expect_eq(program->file_count, 2);
  cr_expect(lang_program_find(program, program->files[1], "ga"));
  folder_close(f);
}

Test(files, a_missing_file_is_a_diagnostic) {
  folder *f = folder_open();
  folder_put(f, "a.weir", "use std.nm;\nuse \"c.weir\";\nuse \"library\";\nlet x = 1\n");
  const lang_program *program = folder_load(f, "a.weir");
  cr_expect(!program->ok);
  cr_expect_str_eq(bench_codes(f->bench), "W0201 W0201 W0201 W0102");
  cr_expect_eq(f->bench->diags.data[0]->note_count, 1);
  lang_program *none;
  weir_status status = lang_load(&f->bench->arena, folder_path(f, "none.weir"), NULL, &f->bench->diags, &none);
  cr_expect_eq(weir_status_code(status), WEIR_CODE_NOT_FOUND);
  weir_status_release(status);
  folder_close(f);
}

Test(files, a_name_twice) {
  folder *f = folder_open();
  folder_put(f, "b.weir", "block A {} { }\n");
  folder_put(f, "a.weir",
             "use \"b.weir\";\nfn A() { }\nlet A = 1;\ndim T: seq;\ndim T: seq;\nplan p for M { }\nplan p for M { }\n");
  const lang_program *program = folder_load(f, "a.weir");
  cr_expect(!program->ok);
  cr_expect_str_eq(bench_codes(f->bench), "W0202 W0202 W0202 W0202");
  for (int i = 0; i < f->bench->diags.count; i++) cr_expect_eq(f->bench->diags.data[i]->note_count, 1);
  cr_expect(lang_program_find(program, NULL, "A")->item->kind == LANG_ITEM_FN);
  folder_close(f);
}

Test(files, text_in_memory) {
  lang_bench *bench = bench_open();
  lang_program *program;
  const char *text = "let x = 1;";
  cr_assert(!lang_load_text(&bench->arena, "memory.weir", text, strlen(text), NULL, &bench->diags, &program));
  cr_expect(program->ok && lang_program_find(program, NULL, "x"));
  bench_close(bench);
}
