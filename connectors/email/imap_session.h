// SPDX-License-Identifier: Apache-2.0
// What imap.c (opening a session) and imap_mail.c (its mails) share.
#pragma once

#include <libetpan/libetpan.h>

#include "connectors/email/imap.h"

struct imap {
    struct stream *stream; // freed with the session
    mailimap *session;
    bool idle;
    int answer_ms;
    char why[IMAP_WHY_BYTES];
};

bool imap_went_well(int code);
// Names the step, and where the stream knows better what happened, that. The session is over.
int imap_fail(struct imap *imap, const char *step, int code);
void imap_allow(struct imap *imap); // the usual time and size for one command
