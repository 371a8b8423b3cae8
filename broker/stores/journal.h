// SPDX-License-Identifier: Apache-2.0
// A journal: two files that take records in turn, each on disk when journal_append returns, with
// one write and nothing else. A record is what one commit of the log changes; it names its journal
// and its number, so that neither another journal's nor an older one is ever taken for it. Beside
// the records each file has a slot for a point: bytes of the owner's, which say up to which number
// the records are needed no more. journal.md says how the log uses it. It knows files and bytes,
// not LMDB.
//
// Errors: negative errno. One caller at a time, but for journal_write_point and journal_wipe, which
// may run beside journal_append.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    JOURNAL_ID_BYTES = 16,
    JOURNAL_PAGE_BYTES = 4096, // a record begins and ends at one, so that none is written twice
    JOURNAL_POINT_BYTES_MAX = 1024,
};

enum journal_kind { JOURNAL_PUT = 1, JOURNAL_APPEND, JOURNAL_DELETE };

struct journal_change {
    enum journal_kind kind;
    unsigned table; // below 256
    const void *key, *value;
    size_t key_size, size;
};

typedef int (*journal_each)(void *user, const struct journal_change *change);

// ---- one commit's changes, in their order
struct journal_record;

int journal_record_new(struct journal_record **ret);
struct journal_record *journal_record_free(struct journal_record *record); // takes NULL
void journal_record_clear(struct journal_record *record);
bool journal_record_is_empty(const struct journal_record *record);
// -E2BIG where the record were larger than JOURNAL_RECORD_BYTES_MAX (bounds.h).
int journal_record_add(struct journal_record *record, const struct journal_change *change);
// The same without its value, for which *ret is the room: it is to be written there before anything
// else is asked of the record.
int journal_record_room(struct journal_record *record, const struct journal_change *change,
                        void **ret);
// What the record does with that key last; 0: nothing.
int journal_record_find(const struct journal_record *record, unsigned table, const void *key,
                        size_t key_size);
// Calls each for every change until it returns other than 0; returns that.
int journal_record_each(const struct journal_record *record, journal_each each, void *user);

// ---- the files
struct journal;

// Makes both files in dir, empty, or opens those that are there (-ENOENT where one is missing).
int journal_open(const char *dir, const uint8_t id[static JOURNAL_ID_BYTES], bool create,
                 struct journal **ret);
struct journal *journal_close(struct journal *journal); // takes NULL
// Overwrites the files of dir with zeros and removes them. What is not there is fine.
int journal_remove(const char *dir);

// The newest point that is whole. 0; 1: neither is.
int journal_read_point(struct journal *journal, uint8_t ret[static JOURNAL_POINT_BYTES_MAX],
                       size_t *ret_size);
// Over the older one, on disk when it returns; records up to `number` are needed no more.
int journal_write_point(struct journal *journal, uint64_t number, const void *bytes, size_t size);

// Calls each for every change of every record behind `after`, the number of the point, record by
// record: done at the end of each. A torn record at the end was never acknowledged: it is cut off.
// Anything else that is missing is -EBADMSG, said on the log. Before the first append; afterwards
// it goes on behind the last.
int journal_replay(struct journal *journal, uint64_t after, journal_each each,
                   int (*done)(void *user), void *user);
// Makes sure that what was read is on disk.
int journal_sync(struct journal *journal);

// 0: on disk, as a whole. -ENOSPC: nothing was written. Anything else: unknown.
int journal_append(struct journal *journal, const struct journal_record *record);
uint64_t journal_number(const struct journal *journal); // of the last record
uint64_t journal_used(const struct journal *journal);   // bytes of the file that is written to
// Whether the other file has nothing that is still needed.
bool journal_can_turn(const struct journal *journal);
void journal_turn(struct journal *journal); // the next record goes to the other file's beginning
// Whether files that are not needed hold anything but zeros.
bool journal_has_remains(const struct journal *journal);
// Zeroes the file that is not written to, where nothing in it is needed; behind_used: only what its
// last use has not overwritten.
int journal_wipe(struct journal *journal, bool behind_used);
