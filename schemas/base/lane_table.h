// SPDX-License-Identifier: Apache-2.0
// A table from 64-bit numbers to pointers: lanes by their number, held slots by their sequence.
// Open addressing, doubled when half full; it owns none of what it points to.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct lane_table {
    struct lane_table_cell {
        uint64_t key;
        void *value; // NULL: free
    } * cells;
    size_t n_cells, n_used;
};

// Room for one more, so that the next put cannot fail. 0 or -ENOMEM.
int lane_table_reserve(struct lane_table *table);
// The key must not be there yet, and lane_table_reserve must have made room.
void lane_table_put(struct lane_table *table, uint64_t key, void *value);
void *lane_table_get(const struct lane_table *table, uint64_t key); // NULL: not there
void *lane_table_remove(struct lane_table *table, uint64_t key);    // what was there, or NULL
void lane_table_clear(struct lane_table *table);                    // frees its cells
