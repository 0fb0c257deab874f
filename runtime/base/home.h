// Where Weir keeps what it can make again or share: $WEIR_HOME, else $XDG_CACHE_HOME/weir, else ~/.cache/weir. Looks at
// the environment alone; makes nothing.
#ifndef WEIR_RUNTIME_BASE_HOME_H
#define WEIR_RUNTIME_BASE_HOME_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

// False if no variable says where, or if |bytes| is too little. |out_path| then is empty.
bool weir_home(char *out_path, size_t bytes);

#ifdef __cplusplus
}
#endif
#endif
