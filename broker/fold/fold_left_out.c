// SPDX-License-Identifier: Apache-2.0
// A test can have one row of the fold's tables left out, to see that something notices. Nothing of
// it is in a release.
#include "broker/fold/fold_internal.h"

#ifdef TOUCHBUS_FAULTPOINTS
#include <string.h>

static struct {
    const char *type;
    int row, met;
    uint64_t sequence; // of the event whose rows are being counted
} left_out;

void fold_leave_out(const char *type, int row) {
    left_out.type = type;
    left_out.row = row;
    left_out.met = 0;
    left_out.sequence = 0;
}

int fold_rows_met(void) {
    return left_out.met;
}

static bool concerns(const struct fold_step *step) {
    return left_out.type != NULL && strcmp(step->event->type, left_out.type) == 0;
}

bool fold_left_out(const struct fold_step *step) {
    if (!concerns(step)) {
        return false;
    }
    if (left_out.sequence != step->event->sequence) {
        left_out.sequence = step->event->sequence;
        left_out.met = 0;
    }
    return left_out.met++ == left_out.row;
}

bool fold_timeline_left_out(const struct fold_step *step) {
    return concerns(step) && left_out.row == FOLD_LEAVE_TIMELINE;
}
#endif
