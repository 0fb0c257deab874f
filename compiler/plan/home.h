// Where Weir keeps what it can make again: $WEIR_HOME, else $XDG_CACHE_HOME/weir, else ~/.cache/weir.
//
//   models/NAME/       fetched weights            packages/   built packages, by key
//   objects/           compiled kernels           hashes/     content hashes of checkpoints, by path, size and time
//   tokenizers/        packed tokenizers          locks/      advisory locks
//   tuning/            schedules that a search chose on a machine, by kernel and machine
//   rules/             rules that passed their tests, by a hash of the texts
//   weights/           weights beside packages (runtime/package/package.h)
// Deleting any of it, at any time, is safe. Processes may share it.
#ifndef WEIR_COMPILER_PLAN_HOME_H
#define WEIR_COMPILER_PLAN_HOME_H

#include "compiler/import/checkpoint.h"
#include "runtime/base/io.h"

// The folder, made if missing. IO when it cannot be made; INVALID_ARGUMENT when no variable says where.
weir_status plan_home(weir_arena *arena, const char **out_path) WEIR_MUST_USE;
// |folder| of the home, made if missing.
weir_status plan_home_folder(weir_arena *arena, const char *folder, const char **out_path) WEIR_MUST_USE;
// The folder of the zoo and the standard library: $WEIR_MODELS, else beside the program (../models,
// ../share/weir/models).
weir_status plan_models_folder(weir_arena *arena, const char **out_path) WEIR_MUST_USE;

// Waits for the lock |name| of the home, looking at |cancel| (may be null): CANCELLED. |waiting| is called once if it
// has to wait.
weir_status plan_lock_take(const char *name, const int *cancel, void (*waiting)(void *user), void *user,
                           weir_lock *out_lock) WEIR_MUST_USE;

// The content hash of a checkpoint. It is remembered under path, size, time and inode of each file, so that an
// unchanged checkpoint is read once.
weir_status plan_checkpoint_hash(import_checkpoint *checkpoint, weir_hash *out_hash) WEIR_MUST_USE;

static inline bool plan_cancelled(const int *cancel) { return cancel && __atomic_load_n(cancel, __ATOMIC_RELAXED); }

#endif
