// SPDX-License-Identifier: Apache-2.0
// Rows of Tryton as its JSON-RPC writes them: what tryton_change.c (feeds) and tryton_change_read.c
// (what each row becomes) share.
#pragma once

#include <stdbool.h>

#include "connectors/dialect/tryton_change.h"

// A row that is being read.
struct tryton_row {
    const char *model;
    const json_t *json;
    const json_t *more; // answer of the second question
    json_int_t id;
    int64_t stamp_us;
    struct tryton_changes_read *ret;
};

enum tryton_row_result { TRYTON_ROW_READ, TRYTON_ROW_UNREFERENCED, TRYTON_ROW_GARBLED };

// What is below a name that ends in a dot: one object or a list of them.
size_t tryton_below_n(const json_t *row, const char *name);
const json_t *tryton_below(const json_t *row, const char *name, size_t index);
// A text that is not empty; NULL: none.
const char *tryton_text(const json_t *row, const char *name);
// A day as time, "2026-03-01T00:00:00Z"; "" where there is none.
enum { TRYTON_DAY_BYTES = 24 };
const char *tryton_day(const json_t *row, const char *name, char ret[static TRYTON_DAY_BYTES]);
// "1795327787.257541" in microseconds; 0: none.
int64_t tryton_stamp(const json_t *row);

// One more report; about ("status", "4") is the key's last part. Takes data.
void tryton_report(const struct tryton_row *row, const char *about, const char *type,
                   const char *value, json_t *data);

enum tryton_row_result tryton_read_sale(const struct tryton_row *row);
enum tryton_row_result tryton_read_invoice(const struct tryton_row *row);
enum tryton_row_result tryton_read_product(const struct tryton_row *row);
enum tryton_row_result tryton_read_purchase(const struct tryton_row *row);
