// SPDX-License-Identifier: Apache-2.0
// A contact that was decided, as a mail: whom to, what it says, in which thread. The text is the
// request's own (an agent's reply) or a content of the folder.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "connectors/client/touchbus.h"
#include "connectors/dialect/mail.h"

enum { LETTER_WHY_BYTES = 200 };

struct letter_options {
    const struct mail_conf *mail;
    const char *sender, *sender_name, *reply_to; // the latter two may be NULL
    const char *contents;                        // folder; NULL none
    const char *const *marketing;                // purposes that need a way to unsubscribe
    size_t n_marketing;
    bool subject_tag;
};

// contact.decided, approved.
struct decision {
    const char *customer; // c42; NULL nobody
    uint64_t sequence;
    int64_t time_us;
    const json_t *data;
};

struct letter {
    char to[MAIL_ADDRESS_BYTES_MAX + 1];
    char ref[MAIL_ID_BYTES_MAX + 1]; // the Message-ID
    char *bytes;                     // owned
    size_t size;
    json_t *sent; // owned: what message.sent will say
};

// request: the data of contact.requested, NULL where it is not known.
// 0; 1 and why: never; -EAGAIN and why: not now; -ENOMEM.
int letter_write(const struct letter_options *options, touchbus_client *client,
                 const json_t *request, const struct decision *decision, struct letter *ret,
                 char why[LETTER_WHY_BYTES]);
void letter_clear(struct letter *letter);
