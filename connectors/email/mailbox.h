// SPDX-License-Identifier: Apache-2.0
// The thread that reads the mailbox: connects, hands over every mail above the cursor in the order
// of UIDs, waits for more (IDLE), and when anything breaks tries again, later and later. It says
// once what is wrong, and once that it is over. It knows nothing of events.
#pragma once

#include "connectors/email/cursor.h"
#include "connectors/email/imap.h"
#include "connectors/kit/kit.h"

enum {
    MAILBOX_QUEUE_MAX = 64,             // mails read and not yet taken
    MAILBOX_QUEUE_BYTES_MAX = 96 << 20, // of them in all; one more than this may be read
    MAILBOX_RETRY_MS_MIN = 500,         // after a failure, doubled
    MAILBOX_RETRY_MS_MAX = 30000,
};

struct mailbox_options {
    struct kit *kit;
    const struct imap_conf *imap;
    size_t mail_bytes_max;
    int idle_ms, poll_ms;
    size_t up_counter, failures_counter; // kit_count: 1 while connected; one a failure
};

struct mailbox_mail {
    uint32_t uidvalidity, uid;
    struct imap_mail mail; // one byte more than mail_bytes_max: it is larger than that
};

struct mailbox;
// Goes on behind the cursor, from the first mail on where UIDVALIDITY is another. options is
// borrowed.
int mailbox_start(const struct mailbox_options *options, const struct cursor *cursor,
                  struct mailbox **ret);
struct mailbox *mailbox_stop(struct mailbox *mailbox); // joins; takes NULL
int mailbox_fd(const struct mailbox *mailbox);         // readable: there is something to take
// Makes it unreadable until there is another mail; then take until there is none.
void mailbox_clear(struct mailbox *mailbox);
// True and the next mail, which is the caller's.
bool mailbox_take(struct mailbox *mailbox, struct mailbox_mail *ret);
// To be marked seen as soon as may be; a crash before loses the mark, not the mail.
void mailbox_mark_seen(struct mailbox *mailbox, uint32_t uidvalidity, uint32_t uid);
