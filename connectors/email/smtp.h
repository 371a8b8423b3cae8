// SPDX-License-Identifier: Apache-2.0
// One mail to one recipient by SMTP, and what its server makes of it. libcurl does the talking;
// here are its bounds and the table of what each failure means.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "connectors/email/endpoint.h"
#include "connectors/email/stream.h"

enum {
    SMTP_CONNECT_MS_MAX = 10000, // TCP and TLS
    SMTP_SEND_MS_MAX = 120000,   // all of it
    SMTP_WHY_BYTES = 200,
};

struct smtp_conf {
    struct endpoint endpoint;
    struct stream_trust trust;
    bool plaintext; // without TLS, by explicit option only
    const char
        *password_file; // NULL: the variable SMTP_PASSWORD_VARIABLE; used where there is a user
    int answer_ms;      // one answer, also the one to the whole mail
    const char *hello;  // who we say we are
};
#define SMTP_PASSWORD_VARIABLE "TOUCHBUS_SMTP_PASSWORD"

enum smtp_outcome {
    SMTP_SENT,     // the server has it
    SMTP_RETRY,    // not now: this recipient, or this mail
    SMTP_FAILED,   // the recipient will never get it: there is no such mailbox
    SMTP_REJECTED, // the server will never take it from us
    SMTP_AWAY, // there is no server, it does not answer, it is no SMTP, or it does not let us in
};

struct smtp_result {
    enum smtp_outcome outcome;
    bool uncertain;           // the whole mail was sent and no answer came: it may have it
    char status[16];          // RFC 3463, "5.1.1"; "" none
    char why[SMTP_WHY_BYTES]; // step and codes, nothing personal
};

// What happens meanwhile. end: everything but the end of the mail was sent, it will be sent next,
// and from then on the server may have it; not 0: break off. beat: time passes.
struct smtp_watch {
    int (*end)(void *user);
    void (*beat)(void *user);
    void *user;
};

struct smtp;
// conf is borrowed. The connection is kept for the next mail.
int smtp_new(const struct smtp_conf *conf, struct smtp **ret);
struct smtp *smtp_free(struct smtp *smtp); // takes NULL
// from, to: addresses without brackets. Waits.
void smtp_send(struct smtp *smtp, const char *from, const char *to, const char *bytes, size_t size,
               const struct smtp_watch *watch, struct smtp_result *ret);
