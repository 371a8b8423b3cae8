// SPDX-License-Identifier: Apache-2.0
// Which mails were settled, by the ids of their events: a mailbox that was moved or rebuilt has
// other UIDs, and the broker knows ids for some days only. 16 bytes a mail, appended; what a crash
// takes away comes again and is a duplicate at the broker.
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum {
    SEEN_KEY_BYTES = 16,
    SEEN_MAX = 4 << 20, // mails; then the older half is forgotten at the next start
};

struct seen;
int seen_open(int folder_fd, struct seen **ret);
struct seen *seen_close(struct seen *seen); // takes NULL
// id: hex, of which the first 32 digits count.
bool seen_has(const struct seen *seen, const char *id);
// Durable with seen_sync. 0 or a negative errno.
int seen_add(struct seen *seen, const char *id);
int seen_sync(struct seen *seen);
