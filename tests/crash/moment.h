// SPDX-License-Identifier: Apache-2.0
// Where the power is cut: moments of a recorded history, chosen by kind and seed.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "account.h"
#include "trace.h"

enum kind { KIND_LOG, KIND_RECOVERY, KIND_FIRST, KIND_NAMED, N_KINDS };

enum { HISTORY_LIVES_MAX = 256 };

struct history {
    struct trace *trace;
    struct account *account;
    uint64_t lives[HISTORY_LIVES_MAX]; // the trace's size when they began
    size_t n_lives;
};

struct moment {
    size_t state, n_ops; // its number; how many operations came before the cut
    uint64_t seed;       // of what the cut leaves
};

// The same for the same history, kind, campaign's seed and state.
struct moment moment_choose(const struct history *history, enum kind kind, uint64_t campaign,
                            size_t state);
int moment_compare(const void *a, const void *b); // for qsort, by their place
bool moment_parse_kind(const char *name, enum kind *ret);
const char *moment_kind_name(enum kind kind);
bool moment_with_view(enum kind kind); // whether its states' views are compared
