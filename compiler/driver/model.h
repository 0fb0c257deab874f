// MODEL on the command line: a .weir file, a package, or a name of the zoo; found, built into the cache if need be,
// loaded.
//
// All functions print what is wrong and return an exit code; CLI_DONE is success.
#ifndef WEIR_COMPILER_DRIVER_MODEL_H
#define WEIR_COMPILER_DRIVER_MODEL_H

#include "compiler/driver/cli.h"
#include "compiler/plan/build.h"
#include "runtime/package/package.h"
#include "runtime/text/tokenizer.h"
#include "runtime/weir.h"

// What the name stands for.
typedef struct {
  const char *package;   // path of a package file; null: it is a text
  plan_request request;  // of a text: everything that the options say
} cli_source;

// With |fetch| the weights of a zoo model are pulled if they are not here.
int cli_locate(cli *c, const char *name, bool fetch, cli_source *out);

// The front half of the pipeline, for commands that look at a text. |out| and |diags| live in |c|;
// plan_close(&out->unit) in any case.
typedef struct {
  cli_source source;
  lang_diags diags;
  plan_unit unit;
} cli_front;
int cli_front_open(cli *c, const char *name, cli_front *out);
// Whether --device names another device than the processor; the unit's code is that of the device then.
bool cli_on_device(const cli *c);
// Makes the unit's code that of a device.
weir_status cli_front_device(cli *c, cli_front *front) WEIR_MUST_USE;

// The model as it is written: read and elaborated, no pass run, no weights looked at. For commands that show a text.
// |out->unit.graph| is set; plan_close(&out->unit) in any case.
int cli_elaborate(cli *c, const char *name, cli_front *out);

// Reports a failure of the pipeline: the diagnostics if the text has errors, else the status, which is taken.
int cli_build_failed(cli *c, lang_diags *diags, weir_status status);

typedef struct {
  const char *path;  // of the package
  weir_model *model;
  weir_executor *executor;
  rt_package *package;        // for its tokenizer
  text_tokenizer *tokenizer;  // null if it has none
  double load_seconds;        // building included
} cli_model;

// |wants_tokenizer|: fails if the package has none. cli_model_close in any case.
int cli_model_open(cli *c, const char *name, bool wants_tokenizer, cli_model *out);
void cli_model_close(cli_model *m);
// The entry called |name|; null: |fallback| (may be null) if there is one of that name, else the only entry.
int cli_entry_find(cli *c, const cli_model *m, const char *name, const char *fallback, const weir_entry **out);

// A text in memory: the argument, or the file of an option (- is standard input).
int cli_read_file(cli *c, const char *path, const char **out_text, size_t *out_size);

#endif
