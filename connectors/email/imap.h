// SPDX-License-Identifier: Apache-2.0
// One session with an IMAP server, up to the open mailbox: connect, TLS, log in, open, list, fetch,
// wait. Nothing here remembers anything or decides when to try again; nothing changes a flag but
// imap_mark_seen. For one thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connectors/email/endpoint.h"
#include "connectors/email/stream.h"

enum {
    IMAP_FETCH_MS_MAX = 300000,       // one mail
    IMAP_ANSWER_BYTES_MAX = 32 << 20, // of a command: 4 million UIDs
    IMAP_WHY_BYTES = STREAM_WHY_BYTES,
    IMAP_MAILBOX_MAX = 4 << 20, // mails listed at once; the others later
};

struct imap_conf {
    struct endpoint endpoint;
    struct stream_trust trust;
    bool plaintext;            // without TLS, by explicit option only
    const char *password_file; // NULL: the variable IMAP_PASSWORD_VARIABLE
    int answer_ms;             // one command
    bool writable;             // flags will be set: SELECT, not EXAMINE
};
#define IMAP_PASSWORD_VARIABLE "TOUCHBUS_IMAP_PASSWORD"

struct imap;

// 0; negative errno with one line in why, which has neither password nor personal data: -EACCES the
// server does not take the password, -ENOENT no such host, -EPERM the certificate, -ENODEV no such
// mailbox, -EPROTO what it says is no IMAP, -ECANCELED woken, ...
int imap_open(const struct imap_conf *conf, int wake_fd, char why[IMAP_WHY_BYTES],
              struct imap **ret);
struct imap *imap_close(struct imap *imap); // takes NULL; does not wait for the server
uint32_t imap_uidvalidity(const struct imap *imap);
uint32_t imap_uidnext(const struct imap *imap); // 0: the server does not say
const char *imap_why(const struct imap *imap);  // of the last failure
// The UIDs above `after`, ascending; the caller frees. 0 or a negative errno.
int imap_list(struct imap *imap, uint32_t after, uint32_t **ret, size_t *ret_n);

struct imap_mail {
    char *bytes; // owned; imap_mail_clear
    size_t size;
    int64_t received_us; // INTERNALDATE; 0 unknown
};
// Without marking it seen. 0; 1: it is gone; negative errno. Of a mail over bytes_max one byte more
// than that.
int imap_fetch(struct imap *imap, uint32_t uid, size_t bytes_max, struct imap_mail *ret);
void imap_mail_clear(struct imap_mail *mail);
int imap_mark_seen(struct imap *imap, uint32_t uid); // 1: the server refuses it
// Waits until the mailbox changes or nudge_fd is readable, by IDLE for idle_ms at most, without it
// for poll_ms. 0: look again; -ECANCELED woken; another negative errno.
int imap_wait(struct imap *imap, int idle_ms, int poll_ms, int nudge_fd);
bool imap_has_idle(const struct imap *imap);
