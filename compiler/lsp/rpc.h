// JSON-RPC over two file descriptors, framed as language servers do: a Content-Length header, an empty line, JSON.
#ifndef WEIR_COMPILER_LSP_RPC_H
#define WEIR_COMPILER_LSP_RPC_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "runtime/base/status.h"

typedef struct {
  int in, out;
  char *data;  // read and not yet taken
  size_t count, capacity;
  bool ended;
  bool failed;  // writing failed: nobody listens
} lsp_rpc;

typedef enum {
  LSP_RPC_MESSAGE,
  LSP_RPC_MALFORMED,  // a frame that holds no JSON object: answer with a parse error
  LSP_RPC_END,        // the input has ended, or what comes is no frame
} lsp_rpc_result;

void lsp_rpc_init(lsp_rpc *rpc, int in, int out);
void lsp_rpc_deinit(lsp_rpc *rpc);
// Waits for a message. The caller releases |*out|.
lsp_rpc_result lsp_rpc_read(lsp_rpc *rpc, json_t **out);
// Whether another message has begun to come within |milliseconds|.
bool lsp_rpc_pending(lsp_rpc *rpc, int milliseconds);
// Sends and releases |message|.
void lsp_rpc_write(lsp_rpc *rpc, json_t *message);

#endif
