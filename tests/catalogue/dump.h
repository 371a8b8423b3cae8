// SPDX-License-Identifier: Apache-2.0
// A customer's part of the view as JSON without anything that depends on the order of arrival: no
// sequences, lists sorted. Two histories of the same events give the same text.
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "broker/fold/fold.h"
#include "schemas/base/arena.h"

// A new reference. After fold_flush; members that are empty are not there. `shared` holds what is
// nobody's.
json_t *dump_customer(struct fold *fold, struct view_txn *txn, struct arena *arena,
                      uint64_t customer);
