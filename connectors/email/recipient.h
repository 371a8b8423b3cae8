// SPDX-License-Identifier: Apache-2.0
// Whom a contact goes to: asked of the broker when it is needed, kept nowhere.
#pragma once

#include <stdint.h>

#include "connectors/client/touchbus.h"

enum { RECIPIENT_TEXT_BYTES = 320, RECIPIENT_MS_MAX = 2000 };

struct recipient {
    char address[RECIPIENT_TEXT_BYTES]; // the e-mail key attached last; "" none
    char name[RECIPIENT_TEXT_BYTES];    // "" not known, or not ours to read
    char language[RECIPIENT_TEXT_BYTES];
};

// customer: c42. 0; 1: there is no such customer; -EAGAIN: the broker does not answer, or not yet;
// -EACCES: it does not let us ask.
int recipient_ask(touchbus_client *client, const char *customer, uint64_t sequence,
                  struct recipient *ret);
