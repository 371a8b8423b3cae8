// SPDX-License-Identifier: Apache-2.0
// Orders and their changes out of an event's data. Checks what the documents rely on and nothing
// else: the broker has checked the rest against the catalogue.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/dialect/order_document.h"
#include "schemas/base/cleanup.h"

static int complain(char *why, const char *text) {
    snprintf(why, ORDER_WHY_BYTES, "%s", text);
    return 1;
}

static int complain_line(char *why, size_t index, const char *text) {
    snprintf(why, ORDER_WHY_BYTES, "lines[%zu]: %s", index, text);
    return 1;
}

// Whole numbers, reals and decimal strings are quantities; money is a decimal string only.
static int read_decimal(const json_t *json, bool money, struct decimal *ret) {
    if (json_is_string(json)) {
        return decimal_parse(json_string_value(json), ret);
    }
    if (!money && json_is_integer(json)) {
        char text[DECIMAL_TEXT_BYTES];
        snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT, json_integer_value(json));
        return decimal_parse(text, ret);
    }
    return !money && json_is_real(json) ? decimal_from_double(json_real_value(json), ret) : -EINVAL;
}

static int parse_line(const json_t *json, struct order_line *line, struct decimal *total,
                      size_t index, char *why) {
    line->sku = json_string_value(json_object_get(json, "sku"));
    line->name = json_string_value(json_object_get(json, "name"));
    struct decimal quantity, price, amount;
    if (line->sku == NULL || line->sku[0] == '\0') {
        return complain_line(why, index, "sku is missing");
    }
    if (read_decimal(json_object_get(json, "quantity"), false, &quantity) != 0) {
        return complain_line(why, index, "quantity is no number");
    }
    if (read_decimal(json_object_get(json, "price"), true, &price) != 0) {
        return complain_line(why, index, "price is no decimal string");
    }
    if (decimal_multiply(quantity, price, &amount) != 0 ||
        decimal_add(*total, amount, total) != 0) {
        return complain_line(why, index, "the amount is out of range");
    }
    decimal_format(quantity, line->quantity);
    decimal_format(price, line->price);
    decimal_format(amount, line->amount);
    line->amount_exact = amount;
    return 0;
}

int order_lines_parse(const json_t *json, struct order_lines *ret, char *why) {
    size_t n_lines = json_array_size(json);
    if (!json_is_array(json) || n_lines > ORDER_LINES_MAX) {
        return complain(why, "lines is no list, or too long");
    }
    struct order_lines lines = {.lines = calloc(n_lines + 1, sizeof(*lines.lines))};
    if (lines.lines == NULL) {
        return -ENOMEM;
    }
    struct decimal total = {0};
    for (; lines.n_lines < n_lines; lines.n_lines++) {
        size_t i = lines.n_lines;
        if (parse_line(json_array_get(json, i), &lines.lines[i], &total, i, why) != 0) {
            order_lines_clear(&lines);
            return 1;
        }
    }
    decimal_format(total, lines.total);
    *ret = lines;
    return 0;
}

void order_lines_clear(struct order_lines *lines) {
    free(lines->lines);
    *lines = (struct order_lines){0};
}

// A member that is a text of a usable length; NULL otherwise.
static const char *text_member(const json_t *data, const char *name) {
    const json_t *member = json_object_get(data, name);
    size_t size = json_string_length(member);
    return size > 0 && size <= ORDER_ID_BYTES_MAX ? json_string_value(member) : NULL;
}

static int load(const char *json, size_t size, json_t **ret, char *why) {
    json_t *data = json_loadb(json, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    if (!json_is_object(data)) {
        json_decref(data);
        return complain(why, "data is no JSON object");
    }
    *ret = data;
    return 0;
}

int order_parse(const char *json, size_t size, struct order **ret, char *why) {
    _cleanup_(cleanup_order) struct order *order = calloc(1, sizeof(*order));
    if (order == NULL) {
        return -ENOMEM;
    }
    int r = load(json, size, &order->data, why);
    if (r != 0) {
        return r;
    }
    order->order_id = text_member(order->data, "order_id");
    order->currency = text_member(order->data, "currency");
    order->quote_id = text_member(order->data, "quote_id");
    if (order->order_id == NULL || order->currency == NULL) {
        return complain(why, "order_id or currency is missing");
    }
    r = order_lines_parse(json_object_get(order->data, "lines"), &order->lines, why);
    if (r != 0) {
        return r;
    }
    *ret = STEAL(order);
    return 0;
}

struct order *order_free(struct order *order) {
    if (order != NULL) {
        order_lines_clear(&order->lines);
        json_decref(order->data);
        free(order);
    }
    return NULL;
}

void cleanup_order(struct order **order) {
    *order = order_free(*order);
}

int order_change_parse(const char *json, size_t size, struct order_change **ret, char *why) {
    _cleanup_(cleanup_order_change) struct order_change *change = calloc(1, sizeof(*change));
    if (change == NULL) {
        return -ENOMEM;
    }
    int r = load(json, size, &change->data, why);
    if (r != 0) {
        return r;
    }
    const json_t *revision = json_object_get(change->data, "revision");
    change->order_id = text_member(change->data, "order_id");
    change->status = text_member(change->data, "status");
    change->revision = json_integer_value(revision);
    if (change->order_id == NULL || change->status == NULL || !json_is_integer(revision)) {
        return complain(why, "order_id, status or revision is missing");
    }
    const json_t *lines = json_object_get(change->data, "lines");
    change->has_lines = lines != NULL && !json_is_null(lines);
    r = change->has_lines ? order_lines_parse(lines, &change->lines, why) : 0;
    if (r != 0) {
        return r;
    }
    *ret = STEAL(change);
    return 0;
}

struct order_change *order_change_free(struct order_change *change) {
    if (change != NULL) {
        order_lines_clear(&change->lines);
        json_decref(change->data);
        free(change);
    }
    return NULL;
}

void cleanup_order_change(struct order_change **change) {
    *change = order_change_free(*change);
}
