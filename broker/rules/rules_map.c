// SPDX-License-Identifier: Apache-2.0
// See rules_map.h. msgpack-c says where memory is short by what it returns; that it was is seen at
// the end, by the check of the whole.
#include "broker/rules/rules_map.h"

#include <errno.h>
#include <string.h>

#include "schemas/body.h"

static void put_text(struct rules_map *map, const char *text) {
    msgpack_pack_str_with_body(&map->packer, text, strlen(text));
}

void rules_map_begin(struct rules_map *map, size_t n_members) {
    msgpack_sbuffer_init(&map->buffer);
    msgpack_packer_init(&map->packer, &map->buffer, msgpack_sbuffer_write);
    msgpack_pack_map(&map->packer, n_members);
}

void rules_map_text(struct rules_map *map, const char *name, const char *text) {
    put_text(map, name);
    put_text(map, text);
}

void rules_map_integer(struct rules_map *map, const char *name, int64_t value) {
    put_text(map, name);
    msgpack_pack_int64(&map->packer, value);
}

void rules_map_bool(struct rules_map *map, const char *name, bool value) {
    put_text(map, name);
    if (value) {
        msgpack_pack_true(&map->packer);
    } else {
        msgpack_pack_false(&map->packer);
    }
}

void rules_map_map(struct rules_map *map, const char *name, size_t n_members) {
    put_text(map, name);
    msgpack_pack_map(&map->packer, n_members);
}

int rules_map_take(struct rules_map *map, struct arena *arena, ProtobufCBinaryData *ret) {
    int r = body_check(map->buffer.data, map->buffer.size, false, NULL);
    if (r == 0) {
        ret->data = arena_copy(arena, map->buffer.data, map->buffer.size);
        ret->len = map->buffer.size;
        r = ret->data == NULL ? -ENOMEM : 0;
    }
    msgpack_sbuffer_destroy(&map->buffer);
    return r;
}
