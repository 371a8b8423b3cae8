// SPDX-License-Identifier: Apache-2.0
// A folder of documents that another system takes: written aside, synced and renamed, so that what
// it sees is whole. Beside it a second folder remembers what was handed over, written only after
// the documents are durable: a repeat finds its record and does nothing, and what was cut off in
// between is written again, the same bytes over the same name.
#pragma once

#include <stddef.h>

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
// Takes note of a record, written by outbox_flush; copied. 0; -ENOMEM, -ENOBUFS.
int outbox_remember(struct outbox *outbox, const char *name, const void *bytes, size_t size);
// The record of that name, flushed or not; malloc'ed. 0; 1: there is none; negative errno.
int outbox_recall(struct outbox *outbox, const char *name, void **ret, size_t *ret_size);
// Makes documents durable, then the records. 0; negative errno: what was noted is forgotten.
int outbox_flush(struct outbox *outbox);
// Drops what was noted and not flushed.
void outbox_forget(struct outbox *outbox);
