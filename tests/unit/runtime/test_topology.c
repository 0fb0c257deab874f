// Processors and nodes as a folder in the shape of /sys says, and where threads are put.
#include <criterion/criterion.h>
#include <linux/mempolicy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/base/topology.h"

static char root[64];

static void put(const char *path, const char *text) {
  char full[256];
  snprintf(full, sizeof full, "%s/%s", root, path);
  for (char *slash = full + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
    *slash = 0;
    (void)mkdir(full, 0755);
    *slash = '/';
  }
  FILE *file = fopen(full, "w");
  cr_assert(file, "%s", full);
  fputs(text, file);
  fclose(file);
}

static void siblings(int cpu, const char *list) {
  char path[128];
  snprintf(path, sizeof path, "devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
  put(path, list);
}

// Two nodes of two cores with two threads each; cores are numbered first, as on most machines.
static void machine_make(void) {
  strcpy(root, "/tmp/weir-topology-XXXXXX");
  cr_assert(mkdtemp(root));
  put("devices/system/node/online", "0-1\n");
  put("devices/system/node/node0/cpulist", "0-1,4-5\n");
  put("devices/system/node/node1/cpulist", "2-3,6-7\n");
  static const char *const lists[] = {"0,4\n", "1,5\n", "2,6\n", "3,7\n"};
  for (int i = 0; i < 8; i++) siblings(i, lists[i % 4]);
}

static void machine_remove(void) {
  char command[128];
  snprintf(command, sizeof command, "rm -r '%s'", root);
  cr_assert(!system(command));
}

static rt_topology topology_of(const char *cpus) {
  bool allowed[RT_CPU_LIMIT] = {0};
  rt_topology t;
  for (const char *c = cpus; *c; c++) allowed[*c - '0'] = true;
  rt_topology_read(root, allowed, &t);
  return t;
}

static void places_are(const rt_topology *t, int threads, const char *expected) {
  char found[32] = "";
  for (int i = 0; i < threads; i++)
    snprintf(found + strlen(found), sizeof found - strlen(found), "%d", t->cpus[rt_topology_place(t, i, threads)].cpu);
  cr_assert_str_eq(found, expected, "%d threads: %s, not %s", threads, found, expected);
}

Test(topology, cores_and_nodes_are_counted, .init = machine_make, .fini = machine_remove) {
  rt_topology t = topology_of("01234567");
  cr_assert(t.cpu_count == 8 && t.core_count == 4 && t.node_count == 2);
  cr_assert(t.cpus[0].cpu == 0 && t.cpus[1].cpu == 4 && t.cpus[1].core == 0 && t.cpus[4].cpu == 2);
  t = topology_of("267");
  cr_assert(t.cpu_count == 3 && t.core_count == 2 && t.node_count == 1 && t.cpus[0].node == 1);
  t = topology_of("");
  cr_assert(t.cpu_count == 0 && rt_topology_place(&t, 0, 4) == 0);
}

Test(topology, threads_are_spread_over_nodes, .init = machine_make, .fini = machine_remove) {
  rt_topology t = topology_of("01234567");
  places_are(&t, 1, "0");
  places_are(&t, 2, "02");
  places_are(&t, 3, "012");
  places_are(&t, 4, "0123");
  places_are(&t, 8, "01012323");
  t = topology_of("0426");
  places_are(&t, 2, "02");
  places_are(&t, 4, "0022");
  t = topology_of("015");  // one node
  places_are(&t, 2, "01");
  places_are(&t, 3, "010");
}

Test(topology, what_files_do_not_say_is_simple) {
  strcpy(root, "/nowhere");
  rt_topology t = topology_of("013");
  cr_assert(t.cpu_count == 3 && t.core_count == 3 && t.node_count == 1);
  places_are(&t, 3, "013");
}

Test(topology, malformed_files_do_no_harm, .init = machine_make, .fini = machine_remove) {
  put("devices/system/node/online", "0-99999999,-5,x");
  put("devices/system/node/node0/cpulist", "5-1,1-,,");
  siblings(0, "-7\n");
  siblings(1, "123456789\n");
  rt_topology t = topology_of("0123");
  cr_assert(t.cpu_count == 4 && t.node_count >= 1);
  for (int i = 0; i < 7; i++) cr_assert(rt_topology_place(&t, i, 7) < 4);
}

Test(topology, this_machine) {
  rt_topology t;
  rt_topology_read("/sys", NULL, &t);
  cr_assert(t.cpu_count >= 1 && t.core_count >= 1 && t.node_count >= 1 && rt_cpu_quota() >= 1);
}

// Laid out as if there were two nodes: where the machine has one, the system refuses and nothing else happens.
Test(topology, pages_are_fetched_and_the_policy_stays, .init = machine_make, .fini = machine_remove) {
  rt_topology t = topology_of("01234567");
  static unsigned char data[3 * 4096 + 5] = {7};
  rt_memory_fetch(&t, data + 3, sizeof data - 3);
  rt_memory_fetch(&t, NULL, 0);
  cr_assert(data[0] == 7);
  int mode = -1;
  if (!syscall(SYS_get_mempolicy, &mode, NULL, 0UL, NULL, 0UL)) cr_assert(mode == MPOL_DEFAULT);
}
