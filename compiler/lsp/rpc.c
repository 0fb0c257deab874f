// Frames are bounded: what a peer announces is not allocated before it comes, and a header that never ends is refused.
#include "compiler/lsp/rpc.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define MAX_HEADER ((size_t)16 << 10)
#define MAX_BODY ((size_t)64 << 20)

void lsp_rpc_init(lsp_rpc *rpc, int in, int out) { *rpc = (lsp_rpc){.in = in, .out = out}; }

void lsp_rpc_deinit(lsp_rpc *rpc) {
  free(rpc->data);
  rpc->data = NULL;
}

// Reads what is there, at least one byte; false at the end.
static bool fill(lsp_rpc *rpc) {
  if (rpc->ended) return false;
  if (rpc->capacity - rpc->count < 4096) {
    size_t capacity = rpc->capacity ? 2 * rpc->capacity : 16384;
    char *data = realloc(rpc->data, capacity);
    if (!data) return !(rpc->ended = true);
    rpc->data = data;
    rpc->capacity = capacity;
  }
  ssize_t got;
  do {
    got = read(rpc->in, rpc->data + rpc->count, rpc->capacity - rpc->count);
  } while (got < 0 && errno == EINTR);
  if (got <= 0) return !(rpc->ended = true);
  rpc->count += (size_t)got;
  return true;
}

static void drop(lsp_rpc *rpc, size_t count) {
  rpc->count -= count;
  memmove(rpc->data, rpc->data + count, rpc->count);
}

// The length of the header with its empty line, and what it says of the body; 0 when it is no header.
static size_t read_header(lsp_rpc *rpc, size_t *out_body) {
  const char *end;
  while (!(end = rpc->count ? memmem(rpc->data, rpc->count, "\r\n\r\n", 4) : NULL)) {
    if (rpc->count > MAX_HEADER || !fill(rpc)) return 0;
  }
  size_t length = (size_t)(end - rpc->data) + 4;
  bool known = false;
  for (const char *line = rpc->data; line < end;) {
    static const char name[] = "Content-Length:";
    if (!strncasecmp(line, name, sizeof name - 1)) {
      unsigned long long body = strtoull(line + sizeof name - 1, NULL, 10);
      if (body > MAX_BODY) return 0;
      *out_body = (size_t)body;
      known = true;
    }
    line = (const char *)memmem(line, (size_t)(end + 2 - line), "\r\n", 2) + 2;
  }
  return known ? length : 0;
}

lsp_rpc_result lsp_rpc_read(lsp_rpc *rpc, json_t **out) {
  size_t body = 0, header = read_header(rpc, &body);
  *out = NULL;
  if (!header) return LSP_RPC_END;
  while (rpc->count < header + body) {
    if (!fill(rpc)) return LSP_RPC_END;
  }
  *out = json_loadb(rpc->data + header, body, JSON_ALLOW_NUL, NULL);
  drop(rpc, header + body);
  if (json_is_object(*out)) return LSP_RPC_MESSAGE;
  json_decref(*out);
  *out = NULL;
  return LSP_RPC_MALFORMED;
}

bool lsp_rpc_pending(lsp_rpc *rpc, int milliseconds) {
  if (rpc->count || rpc->ended) return rpc->count > 0;
  struct pollfd fd = {.fd = rpc->in, .events = POLLIN};
  return poll(&fd, 1, milliseconds) > 0;
}

static bool write_all(int fd, const char *bytes, size_t count) {
  while (count) {
    ssize_t put = write(fd, bytes, count);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    bytes += put;
    count -= (size_t)put;
  }
  return true;
}

void lsp_rpc_write(lsp_rpc *rpc, json_t *message) {
  char *text = message ? json_dumps(message, JSON_COMPACT) : NULL;
  json_decref(message);
  if (!text || rpc->failed) {
    free(text);
    return;
  }
  char header[64];
  size_t length = strlen(text);
  int head = snprintf(header, sizeof header, "Content-Length: %zu\r\n\r\n", length);
  rpc->failed = !write_all(rpc->out, header, (size_t)head) || !write_all(rpc->out, text, length);
  free(text);
}
