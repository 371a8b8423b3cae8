// SPDX-License-Identifier: Apache-2.0
// Reason codes as rows, made from reasons.def.
#include "schemas/reasons.h"

#include <stddef.h>

static const struct reason rows[] = {
#define REASON(code, NAME, name, retryable, text, hint) {code, name, retryable, text, hint},
#include "schemas/reasons.def"
#undef REASON
};

const struct reason *reason_find(uint32_t code) {
    static const struct reason unknown = {UINT32_MAX, "unknown", false,
                                          "a reason code this side does not know",
                                          "use a client of this broker's version"};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].code == code) {
            return &rows[i];
        }
    }
    return &unknown;
}

const struct reason *reasons_rows(size_t *ret_n) {
    *ret_n = sizeof(rows) / sizeof(rows[0]);
    return rows;
}
