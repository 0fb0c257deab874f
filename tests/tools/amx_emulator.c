// AMX by SIGILL: decodes the VEX forms of tile instructions of palette 1 and performs them on thread-local tiles.
//
// bf16 products follow the manual's operation to the letter: denormals are zeros on the way in and out, even and odd
// elements have sums of their own over a row, fused and rounded to nearest, and the accumulator takes the sum of the
// two.
#include "tests/tools/amx_emulator.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#if defined(__x86_64__)
#include <math.h>
#include <ucontext.h>

enum { TILES = 8, ROWS = 16, ROW_BYTES = 64 };

typedef struct {
  int rows, bytes;
  uint8_t data[ROWS][ROW_BYTES];
} tile;

static _Thread_local tile tiles[TILES];
static _Thread_local int is_open;
static _Atomic int64_t configurations, moves, products;

typedef struct {
  int op, prefix;  // opcode; 0: none, 1: 66, 2: F3, 3: F2
  int mod, reg, rm, third;
  int64_t address, stride;  // of memory operands; the index register is the stride
  int length;
} instruction;

static int64_t register_of(const ucontext_t *context, int number) {
  static const int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
  return context->uc_mcontext.gregs[order[number]];
}

static int64_t displacement(const uint8_t *at, int bytes) {
  int32_t word;
  memcpy(&word, at, sizeof word);
  return bytes == 4 ? word : bytes == 1 ? (int8_t)*at : 0;
}

// Address and length of a memory operand, whose modrm byte is at |at| of the instruction at |code|.
static void decode_memory(const ucontext_t *context, const uint8_t *code, const uint8_t *at, instruction *in) {
  int x = !(code[1] >> 6 & 1), b = !(code[1] >> 5 & 1);
  int bytes = in->mod == 1 ? 1 : in->mod == 2 ? 4 : 0;
  at++;
  if (in->rm == 4) {
    int sib = *at++, index = (sib >> 3 & 7) | x << 3, base = (sib & 7) | b << 3;
    if (index != 4) in->stride = register_of(context, index) << (sib >> 6);
    if ((base & 7) == 5 && in->mod == 0) bytes = 4;
    else in->address = register_of(context, base);
  } else if (in->rm == 5 && in->mod == 0) {
    bytes = 4;
    in->address = (int64_t)(uintptr_t)(at + 4);
  } else {
    in->address = register_of(context, in->rm | b << 3);
  }
  in->address += displacement(at, bytes);
  in->length = (int)(at - code) + bytes;
}

static int decode(const ucontext_t *context, const uint8_t *code, instruction *in) {
  int short_form = code[0] == 0xc5;
  // All are in map 0F38, which the short form cannot say; W and L are 0.
  if (short_form || code[0] != 0xc4 || (code[1] & 0x1f) != 2 || code[2] >> 7 || code[2] >> 2 & 1) return 0;
  const uint8_t *at = code + 4;
  *in = (instruction){.op = code[3], .prefix = code[2] & 3, .mod = *at >> 6, .reg = *at >> 3 & 7, .rm = *at & 7};
  in->third = ~(code[2] >> 3) & 15;
  in->length = 5;
  if (in->mod != 3) decode_memory(context, code, at, in);
  return 1;
}

// ---- what they do

static int configure(const uint8_t *from) {
  if (from[0] == 0) {
    memset(tiles, 0, sizeof tiles);
    is_open = 0;
    return 1;
  }
  if (from[0] != 1 || from[1] != 0) return 0;
  for (int i = 2; i < 64; i++) {
    int used = (i >= 16 && i < 32) || (i >= 48 && i < 56);
    if (!used && from[i]) return 0;
  }
  tile fresh[TILES];
  memset(fresh, 0, sizeof fresh);
  for (int t = 0; t < TILES; t++) {
    uint16_t bytes;
    memcpy(&bytes, from + 16 + 2 * t, 2);
    fresh[t].rows = from[48 + t], fresh[t].bytes = bytes;
    if (fresh[t].rows > ROWS || bytes > ROW_BYTES || !fresh[t].rows != !bytes) return 0;
  }
  memcpy(tiles, fresh, sizeof tiles);
  is_open = 1;
  configurations++;
  return 1;
}

static void move(tile *t, const instruction *in, int store) {
  for (int row = 0; row < t->rows; row++) {
    uint8_t *memory = (uint8_t *)(uintptr_t)(in->address + row * in->stride);
    if (store) memcpy(memory, t->data[row], (size_t)t->bytes);
    else memcpy(t->data[row], memory, (size_t)t->bytes);
  }
  moves++;
}

static float flushed(float x) { return fpclassify(x) == FP_SUBNORMAL ? copysignf(0, x) : x; }

static float half_at(const uint8_t *row, int i) {
  uint32_t bits = (uint32_t)row[2 * i] << 16 | (uint32_t)row[2 * i + 1] << 24;
  float value;
  memcpy(&value, &bits, sizeof value);
  return flushed(value);
}

static void multiply_pairs(tile *c, const tile *a, const tile *b) {
  for (int m = 0; m < c->rows; m++)
    for (int n = 0; n < c->bytes / 4; n++) {
      float even = 0, odd = 0, sum;
      for (int k = 0; k < a->bytes / 4; k++) {
        even = flushed(fmaf(half_at(a->data[m], 2 * k), half_at(b->data[k], 2 * n), even));
        odd = flushed(fmaf(half_at(a->data[m], 2 * k + 1), half_at(b->data[k], 2 * n + 1), odd));
      }
      memcpy(&sum, &c->data[m][4 * n], 4);
      sum = flushed(flushed(sum) + flushed(even + odd));
      memcpy(&c->data[m][4 * n], &sum, 4);
    }
}

static int byte_at(const uint8_t *row, int i, int has_sign) { return has_sign ? (int8_t)row[i] : row[i]; }

static void multiply_bytes(tile *c, const tile *a, const tile *b, int a_sign, int b_sign) {
  for (int m = 0; m < c->rows; m++)
    for (int n = 0; n < c->bytes / 4; n++) {
      uint32_t sum;
      memcpy(&sum, &c->data[m][4 * n], 4);
      for (int k = 0; k < a->bytes; k++)
        sum += (uint32_t)(byte_at(a->data[m], k, a_sign) * byte_at(b->data[k / 4], 4 * n + k % 4, b_sign));
      memcpy(&c->data[m][4 * n], &sum, 4);
    }
}

static int product(const instruction *in) {
  if (in->mod != 3 || in->third >= TILES) return 0;
  tile *c = &tiles[in->reg];
  const tile *a = &tiles[in->rm], *b = &tiles[in->third];
  if (c == a || c == b || a == b || !c->rows || !a->rows || !b->rows) return 0;
  if (c->rows != a->rows || c->bytes != b->bytes || a->bytes % 4 || a->bytes / 4 != b->rows || c->bytes % 4) return 0;
  if (in->op == 0x5c && in->prefix != 2) return 0;  // 0: nothing, 66: none, F2: fp16
  if (in->op == 0x5c) multiply_pairs(c, a, b);
  // F2: both have signs; F3: the first factor; 66: the second; none: neither.
  else multiply_bytes(c, a, b, in->prefix >= 2, in->prefix == 3 || in->prefix == 1);
  products++;
  return 1;
}

static int perform(const instruction *in) {
  if (in->op == 0x49 && in->prefix == 0 && in->mod == 3) {  // tilerelease
    if (in->reg || in->rm) return 0;
    memset(tiles, 0, sizeof tiles);
    is_open = 0;
    return 1;
  }
  if (in->op == 0x49 && in->prefix == 0) return configure((const uint8_t *)(uintptr_t)in->address);  // ldtilecfg
  if (!is_open) return 0;
  if (in->op == 0x49 && in->prefix == 3 && in->mod == 3 && tiles[in->reg].rows) {  // tilezero
    memset(tiles[in->reg].data, 0, sizeof tiles[in->reg].data);
    return 1;
  }
  if (in->op == 0x4b && in->prefix && in->mod != 3 && in->rm == 4 && tiles[in->reg].rows) {  // load, loadt1, store
    move(&tiles[in->reg], in, in->prefix == 2);
    return 1;
  }
  return (in->op == 0x5c || in->op == 0x5e) && product(in);
}

static void trapped(int number, siginfo_t *info, void *user) {
  ucontext_t *context = user;
  const uint8_t *code = (const uint8_t *)(uintptr_t)context->uc_mcontext.gregs[REG_RIP];
  instruction in = {0};
  (void)info;
  if (decode(context, code, &in) && perform(&in)) context->uc_mcontext.gregs[REG_RIP] += in.length;
  else signal(number, SIG_DFL);  // comes back here and ends the process
}

void amx_emulator_install(void) {
  struct sigaction action = {.sa_sigaction = trapped, .sa_flags = SA_SIGINFO};
  sigemptyset(&action.sa_mask);
  sigaction(SIGILL, &action, NULL);
}

amx_emulator_counts amx_emulator_counted(void) { return (amx_emulator_counts){configurations, moves, products}; }
int amx_emulator_is_open(void) { return is_open; }

#else

void amx_emulator_install(void) {}
amx_emulator_counts amx_emulator_counted(void) { return (amx_emulator_counts){0, 0, 0}; }
int amx_emulator_is_open(void) { return 0; }

#endif
