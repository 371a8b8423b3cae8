// SPDX-License-Identifier: Apache-2.0
// The spool: a durable queue of byte records on disk, for what the broker cannot take now.
// Append-only segment files of records with length and checksum; a record is safe after
// spool_sync. Records are read in order, acked in any order, and removed segment by segment. One
// thread.
//
// A record is numbered from 1, for ever. On disk: segments `spool-<first number>.seg`, `cursor`
// (everything below it is acked; may lag behind, then records come twice), and what could not be
// read in `spool-<first>-<offset>.torn`.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct spool;

enum { SPOOL_FULL = 1, SPOOL_END = 1 };

// Opens or creates the spool in folder (which exists). A damaged end is cut off at the last good
// record and kept aside, after one logged line. Negative errno of the disk.
int spool_open(const char *folder, uint64_t bytes_max, struct spool **ret);
// Writes the cursor; takes NULL; returns NULL.
struct spool *spool_close(struct spool *spool);

// Whether n_records of bytes in all would fit under the bound.
bool spool_has_room(const struct spool *spool, size_t n_records, uint64_t bytes);
// Writes a record; it is not safe before spool_sync. ret_number may be NULL. SPOOL_FULL over the
// bound; negative errno of the disk: what was appended since the last sync is given up,
// and the next spool_sync fails too, once.
int spool_append(struct spool *spool, const void *data, size_t size, uint64_t *ret_number);
// fdatasync of everything appended. A failure gives up what was appended since the last sync.
int spool_sync(struct spool *spool);

// The next synced record after the last one read: *ret is valid until the next call. SPOOL_END
// where there is none now, or where SPOOL_WINDOW records are read and not acked.
int spool_next(struct spool *spool, const void **ret, size_t *ret_size, uint64_t *ret_number);
// Reading goes on behind everything appended up to now: its owner has it already. False, and
// nothing is done, where more than SPOOL_WINDOW records would be read and not acked.
bool spool_skip(struct spool *spool);
// The record was taken for good. Its segment goes once all of its records are.
void spool_ack(struct spool *spool, uint64_t number);

// What comes from here on goes into a new file: the number it begins at.
uint64_t spool_rotate(struct spool *spool);
// Whether no file holds a record below that number any more.
bool spool_is_past(const struct spool *spool, uint64_t number);
// Removes what was put aside as damaged, now or at an earlier start; how many bytes. Negative errno
// of the disk.
int64_t spool_remove_torn(struct spool *spool);

uint64_t spool_records(const struct spool *spool); // not acked
uint64_t spool_bytes(const struct spool *spool);   // on disk
uint64_t spool_torn(const struct spool *spool);    // bytes put aside when it was opened
