// The language server: answers one client until it says exit or goes away.
#ifndef WEIR_COMPILER_LSP_SERVER_H
#define WEIR_COMPILER_LSP_SERVER_H

#include <stdbool.h>

// Speaks over |in| and |out|. |models|: the folder of the library, or null. True after an orderly shutdown and exit.
bool lsp_serve(int in, int out, const char *models);

#endif
