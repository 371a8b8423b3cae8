// SPDX-License-Identifier: Apache-2.0
// A body is walked, never recursed into: the check keeps its open containers on a stack of
// BODY_DEPTH_MAX, and skipping a value counts what is still owed (body_cursor.c). Nothing here
// allocates.
#include "schemas/body.h"

#include <errno.h>
#include <string.h>

#include "schemas/base/guards.h"
#include "schemas/base/utf8.h"
#include "schemas/body_cursor.h"
#include "schemas/limits.h"

// A key of a map that is still open. The print is a cheap filter before the bytes are compared.
struct open_key {
    uint32_t print;
    uint32_t offset;
    uint32_t length;
};

struct level {
    uint32_t left; // values still to come, a map's keys included
    bool is_map;
    uint32_t keys_from; // this map's keys start here in `keys`
};

struct walk {
    const uint8_t *data;
    uint32_t n_keys;
    struct level *top;
    struct level levels[1 + BODY_DEPTH_MAX]; // below the containers the one value that a body is
    struct open_key keys[BODY_OPEN_KEYS_MAX];
};

// What the check asks of a value.
struct item {
    enum body_kind kind;
    const char *text;
    size_t size;     // of the text; of a container the count
    size_t own_size; // header and text
};

static uint32_t key_print(const char *text, size_t length) {
    uint32_t head = 0;
    uint32_t tail = 0;
    if (length >= sizeof(head)) { // most are, and a copy of a known size is no call
        memcpy(&head, text, sizeof(head));
        memcpy(&tail, text + length - sizeof(tail), sizeof(tail));
    } else {
        for (size_t i = 0; i < length; i++) {
            head = head << 8 | (uint8_t)text[i];
        }
    }
    return (head * 31 + tail) * 31 + (uint32_t)length;
}

// Takes a key of the innermost map. A static text where it is no key or stands there twice.
static const char *take_key(struct walk *walk, const struct level *level, const struct item *key) {
    if (key->kind != BODY_TEXT) {
        return "a map key that is not text";
    }
    if (walk->n_keys == BODY_OPEN_KEYS_MAX) {
        return "too many keys in a map";
    }
    struct open_key new = {.print = key_print(key->text, key->size),
                           .offset = (uint32_t)((const uint8_t *)key->text - walk->data),
                           .length = (uint32_t)key->size};
    for (uint32_t i = level->keys_from; GUARD(body_keys) && i < walk->n_keys; i++) {
        const struct open_key *other = &walk->keys[i];
        if (other->print == new.print &&
            other->length ==
                new.length &&memcmp(walk->data + other->offset, key->text, new.length) == 0) {
            return "a key that stands twice in a map";
        }
    }
    walk->keys[walk->n_keys++] = new;
    return NULL;
}

static const char *open_level(struct walk *walk, const struct item *item) {
    if (GUARD(body_depth) && walk->top == &walk->levels[BODY_DEPTH_MAX]) {
        return "nested too deeply";
    }
    bool is_map = item->kind == BODY_MAP;
    *++walk->top = (struct level){.left = (uint32_t)item->size * (is_map ? 2 : 1),
                                  .is_map = is_map,
                                  .keys_from = walk->n_keys};
    return NULL;
}

static const char *check_item(struct walk *walk, const struct item *item) {
    struct level *level = walk->top;
    bool is_key = level->is_map && level->left % 2 == 0;
    const char *why = is_key ? take_key(walk, level, item) : NULL;
    if (why != NULL) {
        return why;
    }
    level->left--;
    if (item->kind == BODY_TEXT) {
        bool fits = !GUARD(body_utf8) || utf8_check(item->text, item->size);
        return fits ? NULL : "text that is not UTF-8, or holds a NUL";
    }
    return item->kind == BODY_LIST || item->kind == BODY_MAP ? open_level(walk, item) : NULL;
}

// A text of at most 31 bytes, as nearly all names and most values are.
static bool read_short_text(const uint8_t *data, size_t size, struct body_value *ret) {
    enum { TAG = 0xa0, TAG_BITS = 0xe0, LENGTH_BITS = 0x1f };
    if (size == 0 || (data[0] & TAG_BITS) != TAG || (data[0] & LENGTH_BITS) >= size) {
        return false;
    }
    size_t length = data[0] & LENGTH_BITS;
    *ret = (struct body_value){.kind = BODY_TEXT,
                               .raw = data,
                               .raw_size = 1 + length,
                               .text = (const char *)data + 1,
                               .text_size = length};
    return true;
}

// Most are texts of at most 255 bytes: those need no table. What leads beyond the end is refused
// with everything else.
static const char *read_item(const uint8_t *data, size_t left, struct item *ret) {
    enum { TEXT_8 = 0xd9, TAG = 0xa0, TAG_BITS = 0xe0, LENGTH_BITS = 0x1f };
    bool is_short = left >= 1 && (data[0] & TAG_BITS) == TAG;
    if (is_short || (left >= 2 && data[0] == TEXT_8)) {
        size_t header = is_short ? 1 : 2;
        size_t length = is_short ? data[0] & LENGTH_BITS : data[1];
        if (length <= left - header) {
            *ret = (struct item){.kind = BODY_TEXT,
                                 .text = (const char *)data + header,
                                 .size = length,
                                 .own_size = header + length};
            return NULL;
        }
    }
    struct body_value value;
    const char *why = body_cursor_read(data, left, &value, &ret->own_size);
    if (why == NULL) {
        ret->kind = value.kind;
        ret->text = value.text;
        ret->size = value.kind == BODY_TEXT ? value.text_size : value.count;
    }
    return why;
}

static const char *walk_body(const uint8_t *data, size_t size, bool must_be_map) {
    struct walk walk; // its arrays are filled as they are used
    walk.data = data;
    walk.n_keys = 0;
    walk.top = walk.levels;
    walk.levels[0] = (struct level){.left = 1};
    size_t at = 0;
    for (size_t n_items = 1;; n_items++) {
        struct item item;
        const char *why = read_item(data + at, size - at, &item);
        if (why != NULL) {
            return why;
        }
        if (GUARD(body_items) && n_items > BODY_ITEMS_MAX) {
            return "too many values";
        }
        if (must_be_map && n_items == 1 && item.kind != BODY_MAP) {
            return "not a map";
        }
        why = check_item(&walk, &item);
        if (why != NULL) {
            return why;
        }
        at += item.own_size;
        for (; walk.top->left == 0; walk.top--) {
            if (walk.top == walk.levels) {
                return at == size ? NULL : "bytes after the value";
            }
            walk.n_keys = walk.top->keys_from;
        }
    }
}

int body_check(const void *data, size_t size, bool must_be_map, const char **ret_why) {
    const char *why = NULL;
    if (size > EVENT_BYTES_MAX) {
        why = "over the size limit";
    } else if (size > 0) {
        why = walk_body(data, size, must_be_map);
    } else if (must_be_map) {
        why = "not a map";
    }
    if (why != NULL && ret_why != NULL) {
        *ret_why = why;
    }
    return why == NULL ? 0 : -EBADMSG;
}

bool body_read(const void *data, size_t size, struct body_value *ret) {
    struct body_value value;
    if (read_short_text(data, size, ret)) {
        return true;
    }
    size_t own_size;
    if (body_cursor_read(data, size, &value, &own_size) != NULL) {
        return false;
    }
    value.raw_size = value.count == 0 ? own_size : body_cursor_span(data, size);
    if (value.raw_size == 0) {
        return false;
    }
    *ret = value;
    return true;
}

bool body_next(const struct body_value *container, size_t *position, struct body_value *ret_name,
               struct body_value *ret) {
    if (container->kind != BODY_LIST && container->kind != BODY_MAP) {
        return false;
    }
    size_t at = *position;
    if (at == 0) {
        struct body_value header;
        if (container->count == 0 ||
            body_cursor_read(container->raw, container->raw_size, &header, &at) != NULL) {
            return false;
        }
    }
    struct body_value name;
    if (container->kind == BODY_MAP) {
        if (!body_read(container->raw + at, container->raw_size - at, &name)) {
            return false;
        }
        at += name.raw_size;
    }
    struct body_value value;
    if (!body_read(container->raw + at, container->raw_size - at, &value)) {
        return false;
    }
    *position = at + value.raw_size;
    *ret = value;
    if (container->kind == BODY_MAP && ret_name != NULL) {
        *ret_name = name;
    }
    return true;
}

bool body_find(const void *data, size_t size, const char *name, struct body_value *ret) {
    struct body_value map;
    size_t length = strlen(name);
    size_t at;
    if (size == 0 || body_cursor_read(data, size, &map, &at) != NULL || map.kind != BODY_MAP) {
        return false;
    }
    map.raw_size = size; // enough to iterate: the walk below stops at the map's own count
    size_t position = 0;
    struct body_value key = {0};
    struct body_value value;
    for (size_t i = 0; i < map.count; i++) {
        if (!body_next(&map, &position, &key, &value)) {
            return false;
        }
        if (key.kind == BODY_TEXT && key.text_size == length &&
            memcmp(key.text, name, length) == 0) {
            *ret = value;
            return true;
        }
    }
    return false;
}

void body_members_read(const void *data, size_t size, struct body_members *ret) {
    struct body_value map, name;
    size_t position = 0;
    ret->data = data;
    ret->size = size;
    ret->n = 0;
    ret->is_map = body_cursor_read(data, size, &map, &position) == NULL && map.kind == BODY_MAP;
    ret->is_large = ret->is_map && map.count > BODY_MEMBERS_MAX;
    map.raw_size = size; // enough to iterate, as in body_find
    while (ret->is_map && !ret->is_large && ret->n < map.count &&
           body_next(&map, &position, &name, &ret->rows[ret->n].value)) {
        ret->rows[ret->n].name = name.kind == BODY_TEXT ? name.text : "";
        ret->rows[ret->n++].name_size = name.kind == BODY_TEXT ? name.text_size : 0;
    }
}

bool body_members_find(const struct body_members *members, const char *name,
                       struct body_value *ret) {
    size_t size = strlen(name);
    if (members->is_large) {
        return body_find(members->data, members->size, name, ret);
    }
    for (size_t i = 0; i < members->n; i++) {
        if (members->rows[i].name_size == size && memcmp(members->rows[i].name, name, size) == 0) {
            *ret = members->rows[i].value;
            return true;
        }
    }
    return false;
}
