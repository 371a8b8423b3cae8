// SPDX-License-Identifier: Apache-2.0
// Producers' numbers: which one comes next, and which sequences the recent ones got. Held in memory
// (PRODUCERS_MAX), written to LOG_PRODUCERS in the transaction of the events they count, so that a
// number and its event are on disk together or not at all. Tick thread only.
#pragma once

#include <stdint.h>

#include "broker/access.h"
#include "broker/stores/log.h"

struct producers;
struct producer;

enum number_verdict {
    NUMBER_NEXT,   // the one that is expected
    NUMBER_OLD,    // taken before
    NUMBER_GAP,    // beyond the one that is expected
    NUMBER_FENCED, // of an epoch that a newer one has ended
};

// Loads what the log holds. 0, or a negative errno.
int producers_load(struct log_reader *reader, struct producers **ret);
struct producers *producers_free(struct producers *producers); // takes NULL; returns NULL

// NULL where the name is not known.
struct producer *producers_find(struct producers *producers, const char *name);
// As find, but makes it: a full table gives up its longest idle producer where that was idle for 7
// days at now_us. NULL where none may go, or memory is short.
struct producer *producers_get(struct producers *producers, const char *name, int64_t now_us);
// Whether the key may have one more: not where PRODUCERS_OF_A_KEY_MAX of its names were used within
// 7 days.
bool producers_may_add(const struct producers *producers, const struct grant *grant,
                       int64_t now_us);
// Writes what changed. 0, or a negative errno.
int producers_write(struct producers *producers, struct log_txn *txn);

// The number that this epoch is expected to send next; 1 in an epoch that is new.
uint64_t producer_expected(const struct producer *producer, uint64_t epoch);
enum number_verdict producer_check(const struct producer *producer, uint64_t epoch,
                                   uint64_t number);
// Takes the expected number, which got this sequence; 0 where it was settled without one. A newer
// epoch begins with its first number.
void producer_take(struct producers *producers, struct producer *producer, uint64_t epoch,
                   uint64_t sequence, int64_t now_us);
// The sequence a number of the current epoch got; 0 where it is beyond the ranges that are kept.
uint64_t producer_sequence(const struct producer *producer, uint64_t number);
