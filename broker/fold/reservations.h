// SPDX-License-Identifier: Apache-2.0
// A contact's place in the caps. Their numbers stand in the log and in the view: never renumbered.
#pragma once

enum reservation_state {
    RESERVATION_HELD = 1,     // approved; free again after its lapse
    RESERVATION_HANDED = 2,   // carried out: it counts for good
    RESERVATION_RELEASED = 3, // it failed before it was carried out
};

enum {
    RESERVATIONS_MAX = 64, // of one leaf that are within their window; the oldest gives way
};
