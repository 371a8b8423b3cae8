// SPDX-License-Identifier: Apache-2.0
// The data of a follow-up, packed member by member: for the kinds that come with every few events,
// where a JSON value between is most of what they cost. The bytes are those that the same members
// as JSON would give (rules_data).
#pragma once

#include <msgpack.h>
#include <stdbool.h>
#include <stdint.h>

#include "schemas/base/arena.h"
#include "touchbus.pb-c.h"

struct rules_map {
    msgpack_sbuffer buffer;
    msgpack_packer packer;
};

// A map of n_members, which follow. Ends with rules_map_take.
void rules_map_begin(struct rules_map *map, size_t n_members);
void rules_map_text(struct rules_map *map, const char *name, const char *text);
void rules_map_integer(struct rules_map *map, const char *name, int64_t value);
void rules_map_bool(struct rules_map *map, const char *name, bool value);
// A map within, whose members follow.
void rules_map_map(struct rules_map *map, const char *name, size_t n_members);
// What was packed, copied into the arena. 0; -EBADMSG or -E2BIG where it is no event's data;
// -ENOMEM.
int rules_map_take(struct rules_map *map, struct arena *arena, ProtobufCBinaryData *ret);
