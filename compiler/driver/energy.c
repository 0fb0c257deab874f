// Reading energy counters. Both ways are the kernel's; nothing is set up, so a machine that forbids them is left as it
// is.
#include "compiler/driver/energy.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define POWERCAP "/sys/class/powercap"
#define PERF_POWER "/sys/bus/event_source/devices/power"

static bool read_text(const char *path, char *out, size_t bytes) {
  FILE *file = fopen(path, "r");
  if (!file) return false;
  bool ok = fgets(out, (int)bytes, file) != NULL;
  fclose(file);
  return ok;
}

static bool read_number(const char *path, double *out) {
  char text[64];
  return read_text(path, text, sizeof text) && sscanf(text, "%lf", out) == 1;
}

// One zone for each package; zones inside of them count the same energy again.
static void open_powercap(weir_arena *arena, cli_energy *e) {
  for (int i = 0; i < CLI_MAX_PACKAGES; i++) {
    const char *zone = weir_arena_printf(arena, POWERCAP "/intel-rapl:%d", i);
    char name[64];
    if (!read_text(weir_arena_printf(arena, "%s/name", zone), name, sizeof name)) break;
    const char *path = weir_arena_printf(arena, "%s/energy_uj", zone);
    if (strncmp(name, "package", 7) || !read_number(path, &e->last[e->count])) continue;
    if (!read_number(weir_arena_printf(arena, "%s/max_energy_range_uj", zone), &e->ranges[e->count])) continue;
    e->paths[e->count++] = path;
  }
  if (e->count) e->source = "powercap";
  else
    e->why =
        access(POWERCAP "/intel-rapl:0/energy_uj", F_OK) ? "this system shows no counter" : "only root may read it";
}

static void open_perf(cli_energy *e) {
  char text[64];
  unsigned event = 0;
  double type = 0;
  if (!read_number(PERF_POWER "/type", &type) || !read_text(PERF_POWER "/events/energy-pkg", text, sizeof text) ||
      sscanf(text, "event=%x", &event) != 1 || !read_number(PERF_POWER "/events/energy-pkg.scale", &e->scale))
    return;
  struct perf_event_attr attr = {.type = (unsigned)type, .size = sizeof attr, .config = event};
  e->counter = (int)syscall(SYS_perf_event_open, &attr, -1, 0, -1, 0);
  if (e->counter >= 0) e->source = "perf";
  else e->why = strerror(errno);
}

void cli_energy_open(weir_arena *arena, cli_energy *out) {
  *out = (cli_energy){.counter = -1};
  open_powercap(arena, out);
  if (!out->source) open_perf(out);
}

double cli_energy_joules(cli_energy *e) {
  if (!e->source) return -1;
  if (e->counter >= 0) {
    uint64_t count = 0;
    return read(e->counter, &count, sizeof count) == sizeof count ? (double)count * e->scale : -1;
  }
  for (int i = 0; i < e->count; i++) {
    double now;
    if (!read_number(e->paths[i], &now)) return -1;
    e->joules += 1e-6 * (now >= e->last[i] ? now - e->last[i] : now + e->ranges[i] - e->last[i]);
    e->last[i] = now;
  }
  return e->joules;
}

void cli_energy_close(cli_energy *e) {
  if (e->counter >= 0) close(e->counter);
  *e = (cli_energy){.counter = -1};
}
