// SPDX-License-Identifier: Apache-2.0
// The rules of bodies: what is refused, how values are found, JSON both ways.
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/base/cleanup.h"
#include "schemas/body.h"
#include "schemas/limits.h"
#include "tests/unit/schemas/cmocka_all.h"

static void check_refused(const char *bytes, size_t size, const char *expected) {
    const char *why = NULL;
    assert_int_equal(body_check(bytes, size, false, &why), -EBADMSG);
    assert_string_equal(why, expected);
    json_t *json = NULL;
    assert_int_equal(body_to_json(bytes, size, &json), -EBADMSG);
    assert_null(json);
}

#define REFUSED(bytes, why) check_refused(bytes, sizeof(bytes) - 1, why)

static void test_malformed_bodies_are_refused(void **state) {
    (void)state;
    REFUSED("\x82\xa1"
            "a\x01",
            "a count beyond the end");
    REFUSED("\xdd\xff\xff\xff\xff", "a count beyond the end"); // would ask for 96 GB
    REFUSED("\xdf\xff\xff\xff\xff", "a count beyond the end");
    REFUSED("\xdb\xff\xff\xff\xff"
            "abc",
            "a length beyond the end");
    REFUSED("\xa5"
            "abc",
            "a length beyond the end");
    REFUSED("\xcd\x01", "truncated");
    REFUSED("\x81\xa1"
            "a\xcd",
            "truncated");
    REFUSED("\xc1", "not a msgpack value");
    REFUSED("\xd4\x01\x02", "an extension type");
    REFUSED("\xc7\x01\x05x", "an extension type");
    REFUSED("\x01\x02", "bytes after the value");
    REFUSED("\x81\x01\x02", "a map key that is not text");
    REFUSED("\xa2\xc3\x28", "text that is not UTF-8, or holds a NUL");
    REFUSED("\xa1\x00", "text that is not UTF-8, or holds a NUL");
    REFUSED("\x81\xa1\x00\x01", "text that is not UTF-8, or holds a NUL");
    REFUSED("\x82\xa1"
            "a\x01\xa1"
            "a\x02",
            "a key that stands twice in a map");
    REFUSED("\xcf\x80\x00\x00\x00\x00\x00\x00\x00", "an integer beyond 63 bits");
    REFUSED("\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00", "a number that is not finite");
    REFUSED("\xca\x7f\xc0\x00\x00", "a number that is not finite");
}

static void test_the_same_key_in_two_maps_is_fine(void **state) {
    (void)state;
    static const char bytes[] = "\x82\xa1"
                                "a\x81\xa1"
                                "a\x01\xa1"
                                "b\x81\xa1"
                                "a\x02";
    assert_int_equal(body_check(bytes, sizeof(bytes) - 1, true, NULL), 0);
}

static void test_depth_is_bounded(void **state) {
    (void)state;
    char bytes[BODY_DEPTH_MAX + 2];
    memset(bytes, '\x91', sizeof(bytes));
    bytes[BODY_DEPTH_MAX] = 1;
    assert_int_equal(body_check(bytes, BODY_DEPTH_MAX + 1, false, NULL), 0);
    bytes[BODY_DEPTH_MAX] = '\x91';
    bytes[BODY_DEPTH_MAX + 1] = 1;
    check_refused(bytes, BODY_DEPTH_MAX + 2, "nested too deeply");
}

// The bytes of a header, without the terminator that ends them in the source.
static void put(char *bytes, const char *header, size_t size) {
    for (size_t i = 0; i < size; i++) {
        bytes[i] = header[i];
    }
}

static void test_items_keys_and_size_are_bounded(void **state) {
    (void)state;
    _cleanup_free_ char *bytes = calloc(1, EVENT_BYTES_MAX + 1);
    put(bytes, "\xdd\x00\x01\x00\x00", 5); // a list of 65,536 zeros: one too many with itself
    check_refused(bytes, 5 + 65536, "too many values");
    put(bytes, "\xdd\x00\x00\xff\xff", 5);
    assert_int_equal(body_check(bytes, 5 + 65535, false, NULL), 0);
    check_refused(bytes, EVENT_BYTES_MAX + 1, "over the size limit");

    size_t at = 3;
    put(bytes, "\xde\x08\x01", 3); // 2,049 members
    for (unsigned i = 0; i < BODY_OPEN_KEYS_MAX + 1; i++) {
        bytes[at++] = '\xa3';
        bytes[at++] = (char)('a' + i / 676);
        bytes[at++] = (char)('a' + i / 26 % 26);
        bytes[at++] = (char)('a' + i % 26);
        bytes[at++] = 1;
    }
    check_refused(bytes, at, "too many keys in a map");
    put(bytes, "\xde\x08\x00", 3);
    assert_int_equal(body_check(bytes, at - 5, true, NULL), 0);
}

static void test_a_body_must_be_a_map_where_told(void **state) {
    (void)state;
    const char *why = NULL;
    assert_int_equal(body_check("\x80", 1, true, NULL), 0);
    assert_int_equal(body_check("\x90", 1, true, &why), -EBADMSG);
    assert_string_equal(why, "not a map");
    assert_int_equal(body_check("", 0, true, NULL), -EBADMSG);
    assert_int_equal(body_check("", 0, false, NULL), 0);
}

static void *pack(const char *text, size_t *ret_size) {
    void *bytes = NULL;
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(json);
    assert_int_equal(body_from_json(json, &bytes, ret_size), 0);
    json_decref(json);
    return bytes;
}

static void assert_same_member(const struct body_members *members, const char *name) {
    struct body_value one, other;
    bool found = body_find(members->data, members->size, name, &one);
    assert_int_equal(body_members_find(members, name, &other), found);
    if (found) {
        assert_int_equal(one.kind, other.kind);
        assert_ptr_equal(one.raw, other.raw);
        assert_int_equal(one.raw_size, other.raw_size);
        assert_int_equal(one.integer, other.integer);
        assert_true(one.real == other.real);
        assert_ptr_equal(one.text, other.text);
        assert_int_equal(one.text_size, other.text_size);
        assert_int_equal(one.count, other.count);
    }
}

// Texts of all lengths about those that a header of one byte has room for, and of many members.
static void test_members_read_once_are_those_that_are_found(void **state) {
    (void)state;
    static const char *const values[] = {"1", "-70000", "2.5", "null", "[1,[2],{}]", "{\"a\":{}}"};
    char name[16], text[64];
    for (size_t n = 0; n < BODY_MEMBERS_MAX + 10; n++) {
        json_t *json = json_object();
        for (size_t i = 0; i < n; i++) {
            snprintf(name, sizeof(name), "member-%zu", i);
            snprintf(text, sizeof(text), "%.*s", (int)(n + i),
                     "0123456789012345678901234567890123456789");
            json_object_set_new(json, name,
                                i % 2 == 0 ? json_string(text)
                                           : json_loads(values[i / 2 % 6], JSON_DECODE_ANY, NULL));
        }
        size_t size;
        _cleanup_free_ void *bytes = NULL;
        struct body_members members;
        assert_int_equal(body_from_json(json, &bytes, &size), 0);
        json_decref(json);
        body_members_read(bytes, size, &members);
        assert_true(members.is_map);
        assert_int_equal(members.is_large, n > BODY_MEMBERS_MAX);
        for (size_t i = 0; i <= n; i++) { // the last one is not there
            snprintf(name, sizeof(name), "member-%zu", i);
            assert_same_member(&members, name);
        }
        for (size_t cut = 0; cut < size; cut++) { // whatever is left, nothing behind it is read
            uint8_t *part = malloc(cut + 1);
            assert_non_null(part);
            memcpy(part, bytes, cut);
            uint8_t *exact = realloc(part, cut == 0 ? 1 : cut);
            assert_non_null(exact);
            body_members_read(exact, cut, &members);
            assert_same_member(&members, "member-0");
            free(exact);
        }
    }
    struct body_members members;
    body_members_read("\x01", 1, &members);
    assert_false(members.is_map);
    assert_same_member(&members, "member-0");
    body_members_read("", 0, &members);
    assert_false(members.is_map);
    assert_same_member(&members, "member-0");
}

static void test_members_are_found_without_parsing(void **state) {
    (void)state;
    size_t size;
    _cleanup_free_ void *bytes =
        pack("{\"skip\":{\"order_id\":\"wrong\",\"list\":[[],{},[1,2]]},\"order_id\":\"o-17\","
             "\"lines\":[{\"sku\":\"A\"},{\"sku\":\"B\"}],\"n\":-5,\"r\":2.5,\"t\":true}",
             &size);
    struct body_value value;
    assert_true(body_find(bytes, size, "order_id", &value));
    assert_int_equal(value.kind, BODY_TEXT);
    assert_int_equal(value.text_size, 4);
    assert_memory_equal(value.text, "o-17", 4);
    assert_true(body_find(bytes, size, "n", &value));
    assert_int_equal(value.integer, -5);
    assert_true(body_find(bytes, size, "r", &value));
    assert_true(value.real == 2.5);
    assert_true(body_find(bytes, size, "t", &value));
    assert_true(value.kind == BODY_BOOL && value.integer == 1);
    assert_false(body_find(bytes, size, "order", &value));
    assert_false(body_find("\x90", 1, "order", &value));
    assert_false(body_find("", 0, "order", &value));

    struct body_value line;
    struct body_value sku;
    size_t position = 0;
    assert_true(body_find(bytes, size, "lines", &value));
    assert_int_equal(value.count, 2);
    for (const char *expected = "AB"; *expected != '\0'; expected++) {
        assert_true(body_next(&value, &position, NULL, &line));
        assert_true(body_find(line.raw, line.raw_size, "sku", &sku));
        assert_memory_equal(sku.text, expected, 1);
    }
    assert_false(body_next(&value, &position, NULL, &line));
    assert_false(body_next(&sku, &position, NULL, &line)); // text has no members
}

static void test_map_members_come_in_order_with_names(void **state) {
    (void)state;
    size_t size;
    _cleanup_free_ void *bytes = pack("{\"a\":{\"x\":[1]},\"b\":2}", &size);
    struct body_value map;
    struct body_value name;
    struct body_value value;
    size_t position = 0;
    assert_true(body_read(bytes, size, &map));
    assert_int_equal(map.raw_size, size);
    assert_true(body_next(&map, &position, &name, &value));
    assert_true(name.text_size == 1 && name.text[0] == 'a' && value.kind == BODY_MAP);
    assert_true(body_next(&map, &position, &name, &value));
    assert_true(name.text[0] == 'b' && value.integer == 2);
    assert_false(body_next(&map, &position, &name, &value));
}

static void test_json_round_trips(void **state) {
    (void)state;
    static const char *const texts[] = {
        "null",
        "true",
        "[]",
        "{}",
        "0",
        "-1",
        "9223372036854775807",
        "-9223372036854775808",
        "1.5",
        "\"\"",
        "\"caf\xc3\xa9\"",
        "[[[[1]]],{\"a\":[{}]}]",
        "{\"a\":{\"b\":{\"c\":[1,2.5,null,false,\"x\"]}},\"$binary\":\"Zg==\"}",
        "{\"a\":{\"$binary\":\"Zm9v\"}}",
        "{\"a\":{\"$binary\":\"no base64\"}}",
        "{\"a\":{\"$binary\":5}}",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        size_t size;
        _cleanup_free_ void *bytes = pack(texts[i], &size);
        json_t *before = json_loads(texts[i], JSON_DECODE_ANY, NULL);
        json_t *after = NULL;
        assert_int_equal(body_to_json(bytes, size, &after), 0);
        assert_true(json_equal(before, after));
        json_decref(before);
        json_decref(after);
    }
}

static void test_bytes_have_a_form_in_json(void **state) {
    (void)state;
    static const char bytes[] = "\x81\xa1"
                                "a\xc4\x03"
                                "foo";
    json_t *json = NULL;
    assert_int_equal(body_to_json(bytes, sizeof(bytes) - 1, &json), 0);
    assert_string_equal(json_string_value(json_object_get(json_object_get(json, "a"), "$binary")),
                        "Zm9v");
    _cleanup_free_ void *back = NULL;
    size_t size;
    assert_int_equal(body_from_json(json, &back, &size), 0);
    assert_int_equal(size, sizeof(bytes) - 1);
    assert_memory_equal(back, bytes, size);
    json_decref(json);
}

static void test_json_beyond_the_limits_is_refused(void **state) {
    (void)state;
    void *bytes = NULL;
    size_t size;
    json_t *deep = json_integer(1);
    for (int i = 0; i < BODY_DEPTH_MAX + 1; i++) {
        json_t *outer = json_array();
        json_array_append_new(outer, deep);
        deep = outer;
    }
    assert_int_equal(body_from_json(deep, &bytes, &size), -EBADMSG);
    json_decref(deep);

    _cleanup_free_ char *text = malloc(EVENT_BYTES_MAX + 1);
    memset(text, 'a', EVENT_BYTES_MAX + 1);
    json_t *large = json_stringn(text, EVENT_BYTES_MAX + 1);
    assert_int_equal(body_from_json(large, &bytes, &size), -E2BIG);
    json_decref(large);

    json_t *nul = json_stringn("a\0b", 3);
    assert_int_equal(body_from_json(nul, &bytes, &size), -EBADMSG);
    json_decref(nul);
    assert_null(bytes);
}

static void test_reading_any_bytes_ends(void **state) {
    (void)state;
    uint64_t seed = 42;
    for (int i = 0; i < 200000; i++) {
        uint8_t bytes[24];
        for (size_t k = 0; k < sizeof(bytes); k++) {
            seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407U;
            bytes[k] = (uint8_t)(seed >> 56);
        }
        bytes[0] = (uint8_t)(0x80 + (bytes[0] & 0x1f)); // mostly containers
        struct body_value value;
        struct body_value member;
        size_t position = 0;
        if (body_read(bytes, sizeof(bytes), &value)) {
            assert_true(value.raw_size <= sizeof(bytes));
            while (body_next(&value, &position, NULL, &member)) {
                assert_true(position <= value.raw_size);
            }
        }
        body_find(bytes, sizeof(bytes), "x", &value);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_malformed_bodies_are_refused),
        cmocka_unit_test(test_the_same_key_in_two_maps_is_fine),
        cmocka_unit_test(test_depth_is_bounded),
        cmocka_unit_test(test_items_keys_and_size_are_bounded),
        cmocka_unit_test(test_a_body_must_be_a_map_where_told),
        cmocka_unit_test(test_members_are_found_without_parsing),
        cmocka_unit_test(test_members_read_once_are_those_that_are_found),
        cmocka_unit_test(test_map_members_come_in_order_with_names),
        cmocka_unit_test(test_json_round_trips),
        cmocka_unit_test(test_bytes_have_a_form_in_json),
        cmocka_unit_test(test_json_beyond_the_limits_is_refused),
        cmocka_unit_test(test_reading_any_bytes_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
