// SPDX-License-Identifier: Apache-2.0
// A tick's events as they go into a block of the log: packed in two halves, one of them sealed with
// the customer's key.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "broker/stores/block.h"
#include "broker/stores/keys.h"

struct record;

struct sealing {
    struct arena *arena;          // the rows' bytes
    struct block_record *rows;    // TICK_RECORDS_MAX, in order of the tick's records
    size_t n;                     // of them are filled
    uint8_t run[BLOCK_RUN_BYTES]; // of all the tick's blocks: with a sequence it is used once
};

int sealing_new(struct sealing *sealing); // -ENOMEM
void sealing_free(struct sealing *sealing);
void sealing_reset(struct sealing *sealing); // for another tick
// What will be asked of the n records, which are soon added one after the other, is fetched into
// the processor's cache. Within a slice of the keys' reader.
void sealing_ahead(const struct keys_reader *keys, const struct record *records, size_t n);
// Fills the next row. Within a slice of the keys' reader, and every customer has a key. 0, or a
// negative errno.
int sealing_add(struct sealing *sealing, struct keys_reader *keys, const struct record *record);
