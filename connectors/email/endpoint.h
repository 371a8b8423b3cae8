// SPDX-License-Identifier: Apache-2.0
// Where a mail server is, out of a URL: imaps://USER@HOST[:PORT]/MAILBOX, smtps://USER@HOST[:PORT].
// imap:// and smtp:// begin in the clear and must change to TLS (STARTTLS). A password in it is
// refused: command lines are everybody's to read.
#pragma once

#include <stdbool.h>

enum { ENDPOINT_TEXT_BYTES = 256, ENDPOINT_PORT_BYTES = 8, ENDPOINT_WHY_BYTES = 160 };

struct endpoint {
    bool tls; // from the first byte on; else STARTTLS
    char host[ENDPOINT_TEXT_BYTES], port[ENDPOINT_PORT_BYTES];
    char user[ENDPOINT_TEXT_BYTES];    // decoded; "" none
    char mailbox[ENDPOINT_TEXT_BYTES]; // decoded; "" none
};

// kind: "imap" or "smtp". 0; -EINVAL with why, which does not show the URL.
int endpoint_parse(const char *kind, const char *url, struct endpoint *ret,
                   char why[ENDPOINT_WHY_BYTES]);
