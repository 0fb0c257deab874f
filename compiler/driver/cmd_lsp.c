// weir lsp: the language server for editors, over standard input and output.
#include <unistd.h>

#include "compiler/driver/cli.h"
#include "compiler/lsp/server.h"
#include "compiler/plan/home.h"

int cmd_lsp(cli *c) {
  if (!cli_arguments(c, 0, 0)) return CLI_USAGE;
  const char *models = NULL;
  weir_status status = plan_models_folder(&c->arena, &models);
  if (status) {  // texts that use nothing of the library can still be served
    cli_note(c, "%s", weir_status_message(status));
    weir_status_release(status);
  }
  return lsp_serve(STDIN_FILENO, STDOUT_FILENO, models) ? CLI_DONE : CLI_INPUT;
}
