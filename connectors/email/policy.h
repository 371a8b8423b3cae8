// SPDX-License-Identifier: Apache-2.0
// The contact policy, asked again for a contact whose approval has lapsed.
#pragma once

#include <jansson.h>

#include "connectors/kit/kit.h"

// request: the data of its contact.requested; customer: c42, NULL nobody. Under the same id: an
// approval that stands is answered again, another is decided anew and comes as an event. 0; 1:
// there is no answer.
int policy_ask_again(struct kit *kit, const char *source, const json_t *request,
                     const char *customer);
