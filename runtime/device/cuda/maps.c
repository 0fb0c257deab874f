// Words of facts as maps, and maps as the driver has them. Expressions are postfix: numbers, $N for size N, + - * / %,
// < and > for the smaller and the larger, with commas between.
#include "runtime/device/cuda/maps.h"

#include <string.h>

static bool take(const char **at, const char *end, char what) {
  if (*at == end || **at != what) return false;
  ++*at;
  return true;
}

static bool number(const char **at, const char *end, int64_t most, int64_t *out) {
  const char *digits = *at;
  int64_t value = 0;
  for (; *at < end && **at >= '0' && **at <= '9'; ++*at)
    if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, **at - '0', &value)) return false;
  *out = value;
  return *at > digits && value <= most;
}

static bool token(const char **at, const char *end, rt_size_op *out) {
  static const char signs[] = "+-*/%<>";
  static const rt_size_code codes[] = {RT_SIZE_ADD, RT_SIZE_SUB, RT_SIZE_MUL, RT_SIZE_DIV,
                                       RT_SIZE_MOD, RT_SIZE_MIN, RT_SIZE_MAX};
  const char *sign = *at < end && **at ? strchr(signs, **at) : NULL;
  if (sign) {
    ++*at;
    *out = (rt_size_op){.code = codes[sign - signs]};
    return true;
  }
  bool size = take(at, end, '$');
  out->code = size ? RT_SIZE_VAR : RT_SIZE_CONST;
  return number(at, end, size ? RT_MAX_DIMS - 1 : INT64_MAX, &out->value);
}

// |*at| stands behind a colon. What is read leaves one value.
static bool expression(const char **at, const char *end, rt_cuda_map *map, rt_expr *out) {
  int depth = 0, first = map->op_count;
  do {
    if (map->op_count == RT_CUDA_MAP_OPS) return false;
    rt_size_op *op = &map->ops[map->op_count++];
    if (!token(at, end, op)) return false;
    depth += op->code == RT_SIZE_CONST || op->code == RT_SIZE_VAR ? 1 : -1;
    if (depth < 1) return false;
  } while (take(at, end, ','));
  *out = (rt_expr){map->op_count - first, map->ops + first};
  return depth == 1;
}

bool rt_cuda_map_parse(const char **at, const char *end, rt_cuda_map *map) {
  static const char word[] = " map=";
  int64_t head[3], box;
  memset(map, 0, sizeof *map);
  if (end - *at < (ptrdiff_t)sizeof word || memcmp(*at, word, sizeof word - 1)) return false;
  *at += sizeof word - 1;
  for (int i = 0; i < 3; i++)
    if (!number(at, end, 255, &head[i]) || !take(at, end, ':')) return false;
  map->arg = (int)head[0];
  map->element_bytes = (int)head[1];
  map->swizzle = (int)head[2];
  do {
    if (map->rank == RT_CUDA_MAP_RANK || !number(at, end, 256, &box)) return false;
    map->box[map->rank++] = (uint32_t)box;
  } while (take(at, end, ','));
  if (!take(at, end, ':') || !expression(at, end, map, &map->offset)) return false;
  for (int i = 0; i < map->rank; i++)
    if (!take(at, end, ':') || !expression(at, end, map, &map->dims[i])) return false;
  for (int i = 1; i < map->rank; i++)
    if (!take(at, end, ':') || !expression(at, end, map, &map->strides[i])) return false;
  return true;
}

bool rt_cuda_map_fits(const rt_cuda_map *map, int args, int dims) {
  for (int i = 0; i < map->op_count; i++)
    if (map->ops[i].code == RT_SIZE_VAR && map->ops[i].value >= dims) return false;
  bool swizzles = !map->swizzle || map->swizzle == 32 || map->swizzle == 64 || map->swizzle == 128;
  int bytes = map->element_bytes;
  return map->arg < args && swizzles && (bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8);
}

weir_status rt_cuda_map_encode(const rt_cuda_driver *driver, const rt_cuda_map *map, void *const *args,
                               const int64_t *dims, void *out, int *out_code) {
  // Types of the driver by their width: copies do not look at values.
  static const int types[] = {[1] = 0, [2] = 1, [4] = 2, [8] = 4};
  static const uint32_t steps[RT_CUDA_MAP_RANK] = {1, 1, 1, 1, 1};
  enum { PROMOTED = 3 };  // the second cache reads 256 bytes at a time
  uint64_t sizes[RT_CUDA_MAP_RANK], strides[RT_CUDA_MAP_RANK] = {0};
  int64_t offset, value;
  bool good = rt_expr_eval(map->offset, dims, &offset) && offset >= 0;
  for (int i = 0; good && i < map->rank; i++) {
    good = rt_expr_eval(map->dims[i], dims, &value) && value > 0;
    sizes[i] = (uint64_t)value;
    if (!good || !i) continue;
    good = rt_expr_eval(map->strides[i], dims, &value) && value > 0 &&
           !__builtin_mul_overflow(value, map->element_bytes, &value);
    strides[i - 1] = (uint64_t)value;
  }
  if (!good) return weir_status_make(WEIR_CODE_OUT_OF_RANGE, "a tensor map of a size that there is not");
  uint8_t *address = (uint8_t *)args[map->arg] + offset;
  int swizzle = map->swizzle ? __builtin_ctz((unsigned)map->swizzle) - 4 : 0;
  *out_code = driver->map_encode(out, types[map->element_bytes], (unsigned)map->rank, address, sizes, strides, map->box,
                                 steps, 0, swizzle, PROMOTED, 0);
  return WEIR_OK;
}
