// SPDX-License-Identifier: Apache-2.0
// Reason codes: what every refusal on the wire carries. The rows are reasons.def.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum reason_code {
#define REASON(code, NAME, name, retryable, text, hint) REASON_##NAME = (code),
#include "schemas/reasons.def"
#undef REASON
};

struct reason {
    uint32_t code;
    const char *name; // stable, for scripts: "number-gap"
    bool retryable;   // the same request may succeed later
    const char *text; // what happened
    const char *hint; // what to do, "" where nothing
};

// The row of a code. Static; an unknown code gives a row that says so, never NULL.
const struct reason *reason_find(uint32_t code);
// All rows, in the order of their codes.
const struct reason *reasons_rows(size_t *ret_n);
