// SPDX-License-Identifier: Apache-2.0
#include "broker/fold/register.h"

#include <string.h>

#include "schemas/base/guards.h"

bool register_beats(const View__Attribute *one, const View__Attribute *other) {
    if (GUARD(register_revision) && one->revision != other->revision) {
        return one->revision > other->revision;
    }
    if (GUARD(register_rank) && one->rank != other->rank) {
        return one->rank > other->rank;
    }
    if (GUARD(register_time) && one->time_us != other->time_us) {
        return one->time_us > other->time_us;
    }
    int order = strcmp(one->id, other->id);
    if (order != 0) {
        return order > 0;
    }
    // Two sources may use one id: the bytes decide.
    size_t size = one->value.len < other->value.len ? one->value.len : other->value.len;
    order = size == 0 ? 0 : memcmp(one->value.data, other->value.data, size);
    return order != 0 ? order > 0 : one->value.len > other->value.len;
}
