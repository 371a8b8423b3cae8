// SPDX-License-Identifier: Apache-2.0
// Linear probing with deletion by shifting back, so that no tombstones pile up under a steady
// stream of lanes that come and go. Keys are spread by a multiplication, in groups of eight:
// sequences and customer numbers are dense, hashed lanes are not, and nobody outside chooses the
// cells worth attacking. Sequences are put, found and removed one after the other, so that a group
// is two lines of the processor's cache instead of eight.
#include "schemas/base/lane_table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LANE_TABLE_CELLS_MIN = 64, GROUP_BITS = 3, LINE_BYTES = 64 };

static size_t lane_table_home(const struct lane_table *table, uint64_t key) {
    uint64_t spread = (key >> GROUP_BITS) * UINT64_C(0x9E3779B97F4A7C15);
    // The highest bits, as many as there are groups.
    int shift = __builtin_clzll(table->n_cells) + 1 + GROUP_BITS;
    return (size_t)(spread >> shift) << GROUP_BITS | (size_t)(key & ((1 << GROUP_BITS) - 1));
}

static size_t lane_table_find(const struct lane_table *table, uint64_t key) {
    size_t i = lane_table_home(table, key);
    while (table->cells[i].value && table->cells[i].key != key)
        i = (i + 1) & (table->n_cells - 1);
    return i;
}

int lane_table_reserve(struct lane_table *table) {
    if (table->n_cells && (table->n_used + 1) * 2 <= table->n_cells)
        return 0;
    struct lane_table wider = {.n_cells =
                                   table->n_cells ? table->n_cells * 2 : LANE_TABLE_CELLS_MIN};
    wider.cells = aligned_alloc(LINE_BYTES, wider.n_cells * sizeof *wider.cells);
    if (!wider.cells)
        return -ENOMEM;
    memset(wider.cells, 0, wider.n_cells * sizeof *wider.cells);
    for (size_t i = 0; i < table->n_cells; i++)
        if (table->cells[i].value)
            lane_table_put(&wider, table->cells[i].key, table->cells[i].value);
    free(table->cells);
    *table = wider;
    return 0;
}

void lane_table_put(struct lane_table *table, uint64_t key, void *value) {
    assert(value && (table->n_used + 1) * 2 <= table->n_cells);
    size_t i = lane_table_find(table, key);
    assert(!table->cells[i].value);
    table->cells[i] = (struct lane_table_cell){key, value};
    table->n_used++;
}

void *lane_table_get(const struct lane_table *table, uint64_t key) {
    return table->n_cells ? table->cells[lane_table_find(table, key)].value : NULL;
}

void *lane_table_remove(struct lane_table *table, uint64_t key) {
    if (!table->n_cells)
        return NULL;
    size_t mask = table->n_cells - 1, hole = lane_table_find(table, key);
    void *value = table->cells[hole].value;
    if (!value)
        return NULL;
    for (size_t i = (hole + 1) & mask; table->cells[i].value; i = (i + 1) & mask) {
        size_t home = lane_table_home(table, table->cells[i].key);
        if (((i - home) & mask) < ((i - hole) & mask))
            continue; // it would end up before its home
        table->cells[hole] = table->cells[i];
        hole = i;
    }
    table->cells[hole].value = NULL;
    table->n_used--;
    return value;
}

void lane_table_clear(struct lane_table *table) {
    free(table->cells);
    *table = (struct lane_table){0};
}
