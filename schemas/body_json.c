// SPDX-License-Identifier: Apache-2.0
// Bodies to and from JSON, both ways on a stack of BODY_DEPTH_MAX open containers. Bytes have no
// form in JSON: they are written as {"$binary": base64}, and read back only where that is what
// would have been written.
#include <errno.h>
#include <msgpack.h>
#include <string.h>

#include "schemas/base/base64.h"
#include "schemas/base/cleanup.h"
#include "schemas/body.h"
#include "schemas/body_cursor.h"
#include "schemas/limits.h"

static const char binary_name[] = "$binary";

static json_t *json_of_binary(const struct body_value *value) {
    _cleanup_free_ char *text = base64_encode(value->text, value->text_size);
    return text == NULL ? NULL : json_pack("{s:s}", binary_name, text);
}

static json_t *json_of_value(const struct body_value *value) {
    switch (value->kind) {
    case BODY_NIL:
        return json_null();
    case BODY_BOOL:
        return json_boolean(value->integer);
    case BODY_INTEGER:
        return json_integer(value->integer);
    case BODY_REAL:
        return json_real(value->real);
    case BODY_TEXT:
        return json_stringn_nocheck(value->text, value->text_size);
    case BODY_BINARY:
        return json_of_binary(value);
    case BODY_LIST:
        return json_array();
    case BODY_MAP:
        return json_object();
    }
    return NULL;
}

struct open_container {
    json_t *json; // borrowed from the one it stands in
    size_t left;  // members still to come
};

// Puts `json` (taken) where it belongs: under `key` or at the end of the list.
static bool attach(const struct open_container *parent, const struct body_value *key,
                   json_t *json) {
    if (json_is_array(parent->json)) {
        return json_array_append_new(parent->json, json) == 0;
    }
    return json_object_setn_new_nocheck(parent->json, key->text, key->text_size, json) == 0;
}

// The body was checked: every read succeeds, depth and counts hold.
static int convert_checked(const uint8_t *data, size_t size, json_t **ret) {
    struct open_container open[BODY_DEPTH_MAX];
    size_t depth = 0;
    json_t *root = NULL;
    size_t at = 0;
    while (at < size) {
        struct body_value key = {0};
        struct body_value value;
        size_t value_size = 0;
        if (depth > 0 && json_is_object(open[depth - 1].json)) {
            body_cursor_read(data + at, size - at, &key, &value_size);
            at += value_size;
        }
        body_cursor_read(data + at, size - at, &value, &value_size);
        at += value_size;
        json_t *json = json_of_value(&value);
        if (json == NULL || (depth > 0 && !attach(&open[depth - 1], &key, json))) {
            json_decref(root);
            return -ENOMEM;
        }
        root = depth == 0 ? json : root;
        if (depth > 0) {
            open[depth - 1].left--;
        }
        if (value.count > 0) {
            open[depth++] = (struct open_container){.json = json, .left = value.count};
        }
        while (depth > 0 && open[depth - 1].left == 0) {
            depth--;
        }
    }
    *ret = root;
    return 0;
}

int body_to_json(const void *data, size_t size, json_t **ret) {
    if (body_check(data, size, false, NULL) != 0) {
        return -EBADMSG;
    }
    if (size == 0) {
        *ret = json_null();
        return 0;
    }
    return convert_checked(data, size, ret);
}

// True and *ret (malloc'ed) where json is what json_of_binary would write for some bytes.
static bool binary_of_json(const json_t *json, uint8_t **ret, size_t *ret_size) {
    const json_t *text = json_object_size(json) == 1 ? json_object_get(json, binary_name) : NULL;
    return json_is_string(text) &&
           base64_decode(json_string_value(text), json_string_length(text), ret, ret_size) == 0;
}

// A container of which members are still to be packed: an object by its iterator, a list by index.
struct pending {
    json_t *json;
    void *iterator;
    size_t index;
};

static bool pending_next(struct pending *pending, msgpack_packer *packer, json_t **ret) {
    if (json_is_array(pending->json)) {
        *ret = json_array_get(pending->json, pending->index++);
        return *ret != NULL;
    }
    pending->iterator = pending->index++ == 0
                            ? json_object_iter(pending->json)
                            : json_object_iter_next(pending->json, pending->iterator);
    if (pending->iterator == NULL) {
        return false;
    }
    const char *key = json_object_iter_key(pending->iterator);
    size_t length = json_object_iter_key_len(pending->iterator);
    msgpack_pack_str_with_body(packer, key, length);
    *ret = json_object_iter_value(pending->iterator);
    return true;
}

// Packs a value, of a container only the header; *ret_open tells that its members follow. Negative
// where memory is short.
static int pack_value(json_t *json, msgpack_packer *packer, bool *ret_open) {
    *ret_open = false;
    switch (json_typeof(json)) {
    case JSON_NULL:
        return msgpack_pack_nil(packer);
    case JSON_TRUE:
        return msgpack_pack_true(packer);
    case JSON_FALSE:
        return msgpack_pack_false(packer);
    case JSON_INTEGER:
        return msgpack_pack_int64(packer, json_integer_value(json));
    case JSON_REAL:
        return msgpack_pack_double(packer, json_real_value(json));
    case JSON_STRING:
        return msgpack_pack_str_with_body(packer, json_string_value(json),
                                          json_string_length(json));
    case JSON_ARRAY:
        *ret_open = true;
        return msgpack_pack_array(packer, json_array_size(json));
    case JSON_OBJECT:
        break;
    }
    _cleanup_free_ uint8_t *bytes = NULL;
    size_t size;
    if (binary_of_json(json, &bytes, &size)) {
        return msgpack_pack_bin_with_body(packer, bytes, size);
    }
    *ret_open = true;
    return msgpack_pack_map(packer, json_object_size(json));
}

static int pack_json(json_t *root, msgpack_sbuffer *buffer) {
    msgpack_packer packer;
    msgpack_packer_init(&packer, buffer, msgpack_sbuffer_write);
    struct pending pending[BODY_DEPTH_MAX];
    size_t depth = 0;
    json_t *json = root;
    for (size_t n_values = 1;; n_values++) {
        bool opens;
        if (pack_value(json, &packer, &opens) < 0) {
            return -ENOMEM;
        }
        if (buffer->size > EVENT_BYTES_MAX) {
            return -E2BIG;
        }
        if (n_values > BODY_ITEMS_MAX || (opens && depth == BODY_DEPTH_MAX)) {
            return -EBADMSG;
        }
        if (opens) {
            pending[depth++] = (struct pending){.json = json};
        }
        while (depth > 0 && !pending_next(&pending[depth - 1], &packer, &json)) {
            depth--;
        }
        if (depth == 0) {
            return 0;
        }
    }
}

int body_from_json(const json_t *json, void **ret, size_t *ret_size) {
    msgpack_sbuffer buffer;
    msgpack_sbuffer_init(&buffer);
    // jansson's iterators want a mutable object, but only read it.
    json_t *root = NULL;
    memcpy(&root, &json, sizeof(root));
    int r = pack_json(root, &buffer);
    if (r == 0) {
        r = body_check(buffer.data, buffer.size, false, NULL);
    }
    if (r != 0) {
        msgpack_sbuffer_destroy(&buffer);
        return r;
    }
    *ret_size = buffer.size;
    *ret = msgpack_sbuffer_release(&buffer);
    return 0;
}

int body_from_bytes(const void *data, size_t size, void **ret, size_t *ret_size) {
    msgpack_sbuffer buffer;
    msgpack_packer packer;
    if (size > EVENT_BYTES_MAX) {
        return -E2BIG;
    }
    msgpack_sbuffer_init(&buffer);
    msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
    if (msgpack_pack_bin_with_body(&packer, data, size) < 0) {
        msgpack_sbuffer_destroy(&buffer);
        return -ENOMEM;
    }
    *ret_size = buffer.size;
    *ret = msgpack_sbuffer_release(&buffer);
    return 0;
}
