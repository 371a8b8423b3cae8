// SPDX-License-Identifier: Apache-2.0
// Where in the mailbox we are: everything up to a UID under a UIDVALIDITY is settled. It may lag;
// then mails come again under the same ids. It counts for the mailbox it was made of alone.
#pragma once

#include <stdint.h>

struct cursor {
    uint32_t uidvalidity, uid; // 0: nothing was read yet
};

// mailbox: which one, for example imaps://USER@HOST/INBOX; only a hash of it is written. A cursor
// of another one, none, or one that cannot be understood: {0, 0}. Negative errno of the disk.
int cursor_read(int folder_fd, const char *mailbox, struct cursor *ret);
int cursor_write(int folder_fd, const char *mailbox, const struct cursor *cursor);
