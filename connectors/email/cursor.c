// SPDX-License-Identifier: Apache-2.0
#include "connectors/email/cursor.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "connectors/email/durable.h"
#include "schemas/base/cleanup.h"

static uint64_t hash_of(const char *mailbox) {
    return XXH3_64bits(mailbox, strlen(mailbox));
}

int cursor_read(int folder_fd, const char *mailbox, struct cursor *ret) {
    _cleanup_free_ char *text = NULL;
    size_t size;
    uint64_t hash;
    struct cursor cursor;
    char end;
    int r = durable_read(folder_fd, "cursor", &text, &size);
    *ret = (struct cursor){0};
    if (r != 0) {
        return r == -ENOENT ? 0 : r;
    }
    if (sscanf(text, "%16" SCNx64 " %10" SCNu32 " %10" SCNu32 "%c", &hash, &cursor.uidvalidity,
               &cursor.uid, &end) == 4 &&
        end == '\n' && hash == hash_of(mailbox)) {
        *ret = cursor;
    }
    return 0;
}

int cursor_write(int folder_fd, const char *mailbox, const struct cursor *cursor) {
    char text[64];
    int size = snprintf(text, sizeof(text), "%016" PRIx64 " %" PRIu32 " %" PRIu32 "\n",
                        hash_of(mailbox), cursor->uidvalidity, cursor->uid);
    return durable_write(folder_fd, "cursor", text, (size_t)size);
}
