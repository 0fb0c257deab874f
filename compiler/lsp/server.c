// The loop and the dispatch. Texts change faster than they can be checked: a change only marks its text as stale, and
// what is stale is checked and published once no further message is waiting, so the newest text is what counts. A
// request for a stale text has it analysed at once. Texts that are open and use a changed one are checked again too.
#include "compiler/lsp/server.h"

#include <string.h>

#include "compiler/lsp/features.h"
#include "compiler/lsp/rpc.h"
#include "compiler/plan/version.h"

enum {
  PARSE_ERROR = -32700,
  INVALID_REQUEST = -32600,
  METHOD_NOT_FOUND = -32601,
  INVALID_PARAMS = -32602,
  NOT_INITIALIZED = -32002,
  REQUEST_FAILED = -32803
};
enum { QUIET_MILLISECONDS = 40 };

typedef struct {
  lsp_rpc rpc;
  lsp_documents docs;
  const char *models;
  lsp_analysis *analysis;  // of |analysed| as all texts are now; or null
  const lsp_document *analysed;
  bool initialized, shut_down, exited;
} server;

// ---- sending

static void reply(server *s, const json_t *id, json_t *result) {
  lsp_rpc_write(&s->rpc, json_pack("{s:s,s:O,s:o}", "jsonrpc", "2.0", "id", id, "result", result));
}

static void refuse(server *s, const json_t *id, int code, const char *message) {
  json_t *error = json_pack("{s:i,s:s}", "code", code, "message", message);
  lsp_rpc_write(&s->rpc, json_pack("{s:s,s:o,s:o}", "jsonrpc", "2.0", "id", id ? json_deep_copy(id) : json_null(),
                                   "error", error));
}

static void notify(server *s, const char *method, json_t *params) {
  lsp_rpc_write(&s->rpc, json_pack("{s:s,s:s,s:o}", "jsonrpc", "2.0", "method", method, "params", params));
}

// ---- analysing

static void forget(server *s) {
  lsp_analysis_free(s->analysis);
  s->analysis = NULL;
  s->analysed = NULL;
}

static lsp_analysis *analyse(server *s, const lsp_document *doc) {
  if (s->analysed == doc && s->analysis) return s->analysis;
  forget(s);
  s->analysis = lsp_analysis_create(&s->docs, doc, s->models);
  s->analysed = doc;
  return s->analysis;
}

static void publish(server *s, lsp_document *doc) {
  const lsp_analysis *analysis = analyse(s, doc);
  doc->stale = false;
  if (!analysis) return;
  json_t *params = json_pack("{s:s,s:I,s:o}", "uri", doc->uri, "version", (json_int_t)doc->version, "diagnostics",
                             lsp_diagnostics(analysis));
  notify(s, "textDocument/publishDiagnostics", params);
}

static void publish_stale(server *s) {
  for (int i = 0; i < s->docs.count && !lsp_rpc_pending(&s->rpc, i ? 0 : QUIET_MILLISECONDS); i++) {
    if (s->docs.data[i]->stale) publish(s, s->docs.data[i]);
  }
}

static bool any_stale(const server *s) {
  for (int i = 0; i < s->docs.count; i++) {
    if (s->docs.data[i]->stale) return true;
  }
  return false;
}

// All open texts may use the one that changed.
static void changed(server *s) {
  forget(s);
  for (int i = 0; i < s->docs.count; i++) s->docs.data[i]->stale = true;
}

// ---- notifications

static const char *uri_of(const json_t *params) {
  return json_string_value(json_object_get(json_object_get(params, "textDocument"), "uri"));
}

static void did_open(server *s, const json_t *params) {
  const json_t *item = json_object_get(params, "textDocument"), *text = json_object_get(item, "text");
  const char *uri = uri_of(params);
  if (!uri || !json_is_string(text)) return;
  lsp_document *doc = lsp_documents_open(&s->docs, uri, json_string_value(text), json_string_length(text));
  if (doc) doc->version = json_integer_value(json_object_get(item, "version"));
  changed(s);
}

static void did_change(server *s, const json_t *params) {
  lsp_document *doc = lsp_documents_find(&s->docs, uri_of(params));
  if (!doc) return;
  size_t i;
  json_t *change;
  json_array_foreach(json_object_get(params, "contentChanges"), i, change)(void) lsp_document_change(doc, change);
  doc->version = json_integer_value(json_object_get(json_object_get(params, "textDocument"), "version"));
  changed(s);
}

static void did_close(server *s, const json_t *params) {
  const char *uri = uri_of(params);
  if (!lsp_documents_find(&s->docs, uri)) return;
  lsp_documents_close(&s->docs, uri);
  changed(s);
  notify(s, "textDocument/publishDiagnostics", json_pack("{s:s,s:[]}", "uri", uri, "diagnostics"));
}

static void notification(server *s, const char *method, const json_t *params) {
  if (!strcmp(method, "exit")) s->exited = true;
  else if (!strcmp(method, "textDocument/didOpen")) did_open(s, params);
  else if (!strcmp(method, "textDocument/didChange")) did_change(s, params);
  else if (!strcmp(method, "textDocument/didClose")) did_close(s, params);
}

// ---- requests

static json_t *capabilities(void) {
  json_t *c = json_pack("{s:{s:b,s:i,s:b},s:b,s:b,s:b,s:b,s:b,s:b,s:{s:[s]},s:{s:b},s:{s:{s:o,s:[s]},s:b}}",
                        "textDocumentSync", "openClose", 1, "change", 2, "save", 0, "hoverProvider", 1,
                        "definitionProvider", 1, "referencesProvider", 1, "documentHighlightProvider", 1,
                        "documentSymbolProvider", 1, "documentFormattingProvider", 1, "completionProvider",
                        "triggerCharacters", ".", "renameProvider", "prepareProvider", 1, "semanticTokensProvider",
                        "legend", "tokenTypes", lsp_token_types(), "tokenModifiers", "declaration", "full", 1);
  return json_pack("{s:o,s:{s:s,s:s}}", "capabilities", c, "serverInfo", "name", "weir", "version", WEIR_VERSION);
}

// Requests about one text. Null and |*out_error| on failure.
static json_t *ask(server *s, const char *method, const json_t *params, const char **out_error) {
  const lsp_document *doc = lsp_documents_find(&s->docs, uri_of(params));
  *out_error = "the text is not open";
  lsp_analysis *a = doc ? analyse(s, doc) : NULL;
  if (!a) return NULL;
  size_t offset = lsp_offset(doc->text, doc->length, json_object_get(params, "position"));
  if (!strcmp(method, "textDocument/hover")) return lsp_hover(a, offset);
  if (!strcmp(method, "textDocument/definition")) return lsp_definition(a, offset);
  if (!strcmp(method, "textDocument/references")) {
    const json_t *context = json_object_get(params, "context");
    return lsp_references(a, offset, json_is_true(json_object_get(context, "includeDeclaration")));
  }
  if (!strcmp(method, "textDocument/documentHighlight")) return lsp_highlights(a, offset);
  if (!strcmp(method, "textDocument/completion")) return lsp_completion(a, doc, offset);
  if (!strcmp(method, "textDocument/documentSymbol")) return lsp_symbols(a);
  if (!strcmp(method, "textDocument/semanticTokens/full")) return lsp_tokens(a);
  if (!strcmp(method, "textDocument/formatting")) return lsp_formatting(a, doc);
  if (!strcmp(method, "textDocument/prepareRename")) return lsp_prepare_rename(a, offset, s->models);
  const char *name = json_string_value(json_object_get(params, "newName"));
  *out_error = "a new name is missing";
  return name ? lsp_rename(a, offset, name, s->models, out_error) : NULL;
}

static bool is_known(const char *method) {
  static const char *const methods[] = {"hover",         "definition",     "references",          "documentHighlight",
                                        "completion",    "documentSymbol", "semanticTokens/full", "formatting",
                                        "prepareRename", "rename"};
  if (strncmp(method, "textDocument/", 13)) return false;
  for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
    if (!strcmp(method + 13, methods[i])) return true;
  }
  return false;
}

static void request(server *s, const json_t *id, const char *method, const json_t *params) {
  if (!strcmp(method, "initialize")) {
    s->initialized = true;
    reply(s, id, capabilities());
  } else if (!s->initialized) {
    refuse(s, id, NOT_INITIALIZED, "initialize comes first");
  } else if (!strcmp(method, "shutdown")) {
    s->shut_down = true;
    reply(s, id, json_null());
  } else if (s->shut_down) {
    refuse(s, id, INVALID_REQUEST, "the server is shut down");
  } else if (!is_known(method)) {
    refuse(s, id, METHOD_NOT_FOUND, method);
  } else {
    const char *error = NULL;
    json_t *result = ask(s, method, params, &error);
    if (result) reply(s, id, result);
    else refuse(s, id, error ? REQUEST_FAILED : INVALID_PARAMS, error ? error : "this cannot be answered");
  }
}

static void dispatch(server *s, const json_t *message) {
  const char *method = json_string_value(json_object_get(message, "method"));
  const json_t *id = json_object_get(message, "id"), *params = json_object_get(message, "params");
  if (!method) {
    if (id && !json_object_get(message, "result") && !json_object_get(message, "error"))
      refuse(s, id, INVALID_REQUEST, "a request has a method");
  } else if (id) {
    request(s, id, method, params);
  } else if (s->initialized || !strcmp(method, "exit")) {
    notification(s, method, params);
  }
}

bool lsp_serve(int in, int out, const char *models) {
  server s = {.models = models};
  lsp_rpc_init(&s.rpc, in, out);
  while (!s.exited && !s.rpc.failed) {
    if (any_stale(&s)) publish_stale(&s);
    json_t *message;
    lsp_rpc_result result = lsp_rpc_read(&s.rpc, &message);
    if (result == LSP_RPC_END) break;
    if (result == LSP_RPC_MALFORMED) refuse(&s, NULL, PARSE_ERROR, "this is no JSON object");
    else dispatch(&s, message);
    json_decref(message);
  }
  bool orderly = s.exited && s.shut_down;
  forget(&s);
  lsp_documents_deinit(&s.docs);
  lsp_rpc_deinit(&s.rpc);
  return orderly;
}
