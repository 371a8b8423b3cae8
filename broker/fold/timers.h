// SPDX-License-Identifier: Apache-2.0
// What may fall due. Their numbers stand in the log and in keys of the view: never renumbered.
#pragma once

enum timer_kind {
    TIMER_CONTACT = 1,  // a deferred contact is decided again
    TIMER_CHECKOUT = 2, // a cart was left
    TIMER_DEMOTION = 3, // the most valuable tier, below its threshold for too long
    TIMER_ROUTING = 4,  // a waiting interaction's next ring of skills
};
