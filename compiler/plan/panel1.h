// Panels as packages of format 1 have them, back to rows. Frozen: later formats lay panels out in their own way, and
// what is read here never changes.
#ifndef WEIR_COMPILER_PLAN_PANEL1_H
#define WEIR_COMPILER_PLAN_PANEL1_H

#include "runtime/base/blocks.h"

// Whether format 1 had panels of |storage|.
bool plan_panel1_supports(weir_storage storage);
// |panels| holds |rows| rows of |cols| elements, 16 rows to a panel; |out| has room for the rows, one behind the other,
// in the blocks of |storage|. |cols| must be a multiple of the block. Bits that no row has are dropped.
void plan_panel1_unpack(weir_storage storage, const uint8_t *panels, int64_t rows, int64_t cols, uint8_t *out);

#endif
