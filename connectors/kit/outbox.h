// SPDX-License-Identifier: Apache-2.0
// A folder of documents that another system takes: written aside, synced and renamed, so that what
// it sees is whole. Beside it a second folder remembers what was handed over, written only after
// the documents are durable: a repeat finds its record and does nothing, and what was cut off in
// between is written again, the same bytes over the same name.
//
// A record belongs to its owner, a customer: beside it stands a link @OWNER@NAME, so that an
// erasure finds the records of a person among any number by their names, and through them the
// documents.
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
    OUTBOX_PART_BYTES = 112,             // an escaped part of a file name, with its end
    OUTBOX_RECORDS_MAX = 256,            // between two flushes
    OUTBOX_DOCUMENT_BYTES_MAX = 8 << 20, // a record that is read back
};

struct outbox;

// Makes and opens both folders, given as paths. 0; negative errno after one logged line.
int outbox_open(const char *documents, const char *records, struct outbox **ret);
struct outbox *outbox_close(struct outbox *outbox); // takes NULL; returns NULL

// Any text as part of a file name: letters, digits, - and _ stay, every other byte becomes %XX, and
// what is too long ends in ~ and its hash; so neither / nor a leading . nor a clash comes through.
char *outbox_escape(const char *text, char ret[static OUTBOX_PART_BYTES]);

// Writes a document. Durable after outbox_flush. 0; negative errno.
int outbox_put(struct outbox *outbox, const char *name, const void *bytes, size_t size);
// Takes note of a record, written by outbox_flush; copied. owner: of letters and digits, NULL
// nobody. 0; -ENOMEM, -ENOBUFS, -EINVAL.
int outbox_remember(struct outbox *outbox, const char *name, const char *owner, const void *bytes,
                    size_t size);
// The record of that name, flushed or not; malloc'ed. 0; 1: there is none; negative errno.
int outbox_recall(struct outbox *outbox, const char *name, void **ret, size_t *ret_size);
// Makes documents durable, then the records. 0; negative errno: what was noted is forgotten.
int outbox_flush(struct outbox *outbox);
// Drops what was noted and not flushed.
void outbox_forget(struct outbox *outbox);
// Tells of each record of an owner. 0; negative errno.
int outbox_each(struct outbox *outbox, const char *owner,
                void (*on_record)(void *user, const void *bytes, size_t size), void *user);
// Removes every record of an owner, durably, and every document whose name begins with a record's
// up to its first dot, that is, of the same thing. Nothing may be waiting for outbox_flush. 0;
// negative errno: do it again.
int outbox_erase(struct outbox *outbox, const char *owner);
// Forgets records that did not change for so long: what comes of them then is taken for new. Looks
// at every name. 0; negative errno.
int outbox_expire(struct outbox *outbox, int64_t age_us);
