// SIGINT and SIGTERM set a flag that everything long looks at; the command then cleans up and ends with 130.
//
// The one mutable global of the driver: a signal handler has no other way to speak. A second signal while the first is
// still being obeyed changes nothing: what was begun is undone first.
#include <signal.h>
#include <string.h>

#include "compiler/driver/cli.h"

static int cancel_flag;

static void on_signal(int number) {
  (void)number;
  __atomic_store_n(&cancel_flag, 1, __ATOMIC_RELAXED);
}

const int *cli_cancel_install(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  sigemptyset(&action.sa_mask);
  action.sa_handler = on_signal;  // without SA_RESTART: a read from the terminal ends
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  action.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &action, NULL);
  sigaction(SIGXFSZ, &action, NULL);  // a limit on file sizes is a failed write, like a full disk
  return &cancel_flag;
}
