// SPDX-License-Identifier: Apache-2.0
// A base that an older fold wrote becomes one of this version: of version 1 with keys, attributes,
// orders and quotes readable, of version 2 with them sealed, orders and quotes in tables of their
// own, of version 3 without the index of items, up to version 4 with interactions whole. What the
// log has trimmed cannot be folded again, so the rows are carried over. Everything else of an older
// version is rebuilt from base and log.
#pragma once

#include <stddef.h>

#include "broker/stores/keys.h"

// Before base_open. The new base is built beside dir and takes its place at once. 0, also where
// there is nothing to do; a negative errno: dir is as it was.
int base_upgrade(const char *dir, size_t map_bytes, struct keys *keys);
