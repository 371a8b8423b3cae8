// SPDX-License-Identifier: Apache-2.0
// What is given to kit_publish as item: who wants to hear what became of the event. The first
// member of whatever it is of.
#pragma once

#include "connectors/kit/kit.h"

struct item {
    void (*settled)(struct item *item, const struct kit_ack *ack);
    void *owner;
};
