// SPDX-License-Identifier: Apache-2.0
// The order document: made by order.placed, brought up to date by order.changed. What it holds
// follows from the events alone, never from a clock.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/dialect/order_document.h"
#include "schemas/base/cleanup.h"

#define FORMAT "touchbus.order.v1"
#define ERASURE_FORMAT "touchbus.erasure.v1"

// Members of order.placed that have a place of their own in the document.
static const char *const known_members[] = {"order_id", "lines", "currency", "quote_id"};

static void set(json_t *document, const char *name, const char *text) {
    if (text != NULL) {
        json_object_set_new(document, name, json_string(text));
    }
}

static const char *get(const json_t *document, const char *name) {
    const char *text = json_string_value(json_object_get(document, name));
    return text != NULL ? text : "";
}

static uint64_t stored_sequence(const json_t *stored) {
    return strtoull(get(stored, "sequence"), NULL, 10);
}

// Sequences of another incarnation mean nothing here: then the event is taken, and the revision
// alone protects what is newer.
static bool is_repeat(const json_t *stored, const struct order_facts *facts) {
    return stored != NULL && strcmp(get(stored, "incarnation"), facts->incarnation) == 0 &&
           facts->sequence <= stored_sequence(stored);
}

static bool is_known(const char *name) {
    for (size_t i = 0; i < sizeof(known_members) / sizeof(known_members[0]); i++) {
        if (strcmp(known_members[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static json_t *lines_json(const struct order_lines *lines) {
    json_t *list = json_array();
    for (size_t i = 0; i < lines->n_lines; i++) {
        const struct order_line *line = &lines->lines[i];
        json_t *one = json_object();
        json_object_set_new(one, "line", json_integer((json_int_t)i + 1));
        set(one, "sku", line->sku);
        set(one, "name", line->name);
        set(one, "quantity", line->quantity);
        set(one, "price", line->price);
        set(one, "amount", line->amount);
        json_array_append_new(list, one);
    }
    return list;
}

static json_t *extra_json(json_t *data) {
    json_t *extra = json_object();
    const char *name;
    json_t *value;
    json_object_foreach(data, name, value) {
        if (!is_known(name)) {
            json_object_set(extra, name, value);
        }
    }
    return extra;
}

static void set_facts(json_t *document, const struct order_facts *facts) {
    char text[24];
    snprintf(text, sizeof(text), "%llu", (unsigned long long)facts->sequence);
    set(document, "incarnation", facts->incarnation);
    set(document, "sequence", text);
}

static void set_lines(json_t *document, const struct order_lines *lines) {
    json_object_set_new(document, "lines", lines_json(lines));
    set(document, "total", lines->total);
}

int order_document_placed(const json_t *stored, const struct order *order,
                          const struct order_facts *facts, json_t **ret) {
    if (is_repeat(stored, facts)) {
        return ORDER_REPEAT;
    }
    bool is_same_log =
        stored != NULL && strcmp(get(stored, "incarnation"), facts->incarnation) == 0;
    if (is_same_log && json_is_true(json_object_get(stored, "complete"))) {
        return ORDER_STALE;
    }
    json_t *document = json_object();
    if (document == NULL) {
        return -ENOMEM;
    }
    json_int_t revision = json_integer_value(json_object_get(stored, "revision"));
    const char *changed = get(stored, "changed");
    set(document, "format", FORMAT);
    set(document, "order_id", order->order_id);
    // A change that came first stays.
    set(document, "status", stored != NULL ? get(stored, "status") : "placed");
    json_object_set_new(document, "revision", json_integer(revision));
    json_object_set_new(document, "complete", json_true());
    set(document, "customer", facts->customer);
    if (facts->keys != NULL) {
        json_object_set(document, "keys", facts->keys);
    }
    set(document, "channel", facts->channel);
    set(document, "placed", facts->time);
    set(document, "changed", changed[0] != '\0' ? changed : NULL);
    set(document, "currency", order->currency);
    set(document, "quote_id", order->quote_id);
    set_lines(document, &order->lines);
    json_object_set_new(document, "extra", extra_json(order->data));
    set_facts(document, facts);
    *ret = document;
    return 0;
}

int order_document_changed(const json_t *stored, const struct order_change *change,
                           const struct order_facts *facts, json_t **ret) {
    if (is_repeat(stored, facts)) {
        return ORDER_REPEAT;
    }
    if (stored != NULL &&
        change->revision < json_integer_value(json_object_get(stored, "revision"))) {
        return ORDER_STALE;
    }
    json_t *document = stored != NULL ? json_deep_copy(stored) : json_object();
    if (document == NULL) {
        return -ENOMEM;
    }
    if (stored == NULL) {
        set(document, "format", FORMAT);
        set(document, "order_id", change->order_id);
    }
    set(document, "status", change->status);
    json_object_set_new(document, "revision", json_integer(change->revision));
    if (stored == NULL) {
        json_object_set_new(document, "complete", json_false());
        set(document, "customer", facts->customer);
    }
    set(document, "changed", facts->time);
    if (change->has_lines) {
        set_lines(document, &change->lines);
    }
    set_facts(document, facts);
    *ret = document;
    return 0;
}

static json_t *without_position(const json_t *document) {
    json_t *copy = json_deep_copy(document);
    json_object_del(copy, "incarnation");
    json_object_del(copy, "sequence");
    return copy;
}

bool order_document_same(const json_t *a, const json_t *b) {
    json_t *left = without_position(a), *right = without_position(b);
    bool same = json_equal(left, right) != 0;
    json_decref(left);
    json_decref(right);
    return same;
}

char *order_document_text(const json_t *document, size_t *ret_size) {
    _cleanup_free_ char *text = json_dumps(document, JSON_INDENT(2));
    size_t size = text != NULL ? strlen(text) : 0;
    char *line = text != NULL ? malloc(size + 2) : NULL;
    if (line == NULL) {
        return NULL;
    }
    memcpy(line, text, size);
    line[size] = '\n';
    line[size + 1] = '\0';
    *ret_size = size + 1;
    return line;
}

char *order_erasure_text(const struct order_facts *facts, size_t *ret_size) {
    json_t *document = json_object();
    if (document == NULL) {
        return NULL;
    }
    set(document, "format", ERASURE_FORMAT);
    set(document, "customer", facts->customer);
    set(document, "erased", facts->time);
    set_facts(document, facts);
    char *text = order_document_text(document, ret_size);
    json_decref(document);
    return text;
}

void order_document_trim(json_t *document) {
    json_object_del(document, "keys");
    json_object_del(document, "extra");
}

int order_document_read(const void *bytes, size_t size, json_t **ret) {
    json_t *document = size <= ORDER_JSON_BYTES_MAX
                           ? json_loadb(bytes, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL)
                           : NULL;
    if (!json_is_object(document) || strcmp(get(document, "format"), FORMAT) != 0) {
        json_decref(document);
        return 1;
    }
    *ret = document;
    return 0;
}

char *order_document_id(const void *bytes, size_t size) {
    json_t *document = NULL;
    if (order_document_read(bytes, size, &document) != 0) {
        return NULL;
    }
    const char *id = get(document, "order_id");
    char *copy = id[0] != '\0' ? strdup(id) : NULL;
    json_decref(document);
    return copy;
}
