// SPDX-License-Identifier: Apache-2.0
// The interned names of the view (types, channels) as the query thread knows them. A name never
// changes its number while the process runs, so what was read once is kept.
#pragma once

#include <stdint.h>

#include "broker/stores/view.h"

struct names;

struct names *names_new(void);
struct names *names_free(struct names *names);
// "other" for 0 and numbers that txn does not know. Valid as long as names.
const char *names_get(struct names *names, struct view_txn *txn, uint32_t number);
