// SPDX-License-Identifier: Apache-2.0
// What a batch of events writes, noted before anything is sent: statements with their parameters as
// text, in the order of the events. An event that turns out to be none leaves nothing here, and one
// that the warehouse has already is left out when it is sent.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connectors/crm/sql.h"

enum {
    BATCH_VALUES_MAX = 16,      // parameters of a statement
    BATCH_BYTES_MAX = 32 << 20, // noted at most, beyond it is sent in parts
    BATCH_NO_MEMORY = 1,        // code of run
};

struct batch_row {
    int statement;
    int n_values;
    size_t event, first; // of which event, its first value
};

struct batch {
    struct sql sql; // first: effects write through it
    struct batch_row *rows;
    size_t n_rows, rows_size;
    size_t *values; // places in text, BATCH_NULL for NULL
    size_t n_values, values_size;
    char *text;
    size_t text_used, text_size;
    size_t event; // whose rows are noted now
};

#define BATCH_NULL SIZE_MAX

void batch_init(struct batch *batch);
void batch_clear(struct batch *batch); // forgets the rows, keeps the room
void batch_free(struct batch *batch);

// Begins the rows of an event; undo forgets those noted since.
void batch_event(struct batch *batch, size_t event);
void batch_undo(struct batch *batch);

// The value-th parameter of a row, NULL for NULL; valid until the next row is noted.
const char *batch_value(const struct batch *batch, const struct batch_row *row, int value);
// The value-th parameter of all rows of a statement as one array ({"a",NULL}), without the rows of
// events in skip. The caller frees *ret; *ret_n rows. 0 or a negative errno.
int batch_array(const struct batch *batch, int statement, int value, const bool *skip, char **ret,
                size_t *ret_n);
// PostgreSQL's texts cannot hold a NUL, nor its JSON the escape of one: a copy of the JSON text
// with U+FFFD in its place, which the caller frees. NULL where memory is short.
char *batch_without_nul(const char *json);
