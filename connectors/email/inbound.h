// SPDX-License-Identifier: Apache-2.0
// Mails on their way to the broker: parsed, published, and when every event of a mail is acked, the
// mail remembered and the cursor moved. What is no mail, is too large or is refused is put into
// quarantine, whole, before the cursor passes it. On the kit's loop thread.
#pragma once

#include "connectors/dialect/mail.h"
#include "connectors/email/bodies.h"
#include "connectors/email/mailbox.h"

enum {
    INBOUND_MAILS_MAX = 64,            // published and not yet settled
    INBOUND_BYTES_MAX = 96 << 20,      // of them in all; one more than this may be taken
    INBOUND_MAIL_BYTES_MAX = 32 << 20, // one mail; a larger one is put aside
    INBOUND_ASIDE_BYTES_MAX = 1 << 20, // of a mail that is put aside
};

struct inbound_options {
    struct kit *kit;
    struct mailbox_options mailbox;
    const struct mail_conf *mail;
    struct bodies *bodies;
    const char *url; // which mailbox the cursor is of
    bool mark_seen;
    // kit_count
    size_t mails_counter, repeats_counter, bounces_counter, aside_counter;
};

struct inbound;
// options is borrowed.
int inbound_open(const struct inbound_options *options, struct inbound **ret);
struct inbound *inbound_close(struct inbound *inbound); // takes NULL
void inbound_stop(struct inbound *inbound);             // reads no more
// The descriptor's collect. 0 or a negative errno.
int inbound_collect(struct inbound *inbound);
