// SPDX-License-Identifier: Apache-2.0
// Sending one approved contact, and trying again later where its recipient cannot take it now. A
// refusal for the time being (4xx, a full mailbox) is ours to wait for, as a mail server would: the
// broker's attempts are for seconds. The contact's record then says waiting; the event is done.
#pragma once

#include "connectors/email/outbound.h"
#include "connectors/email/report.h"

enum {
    SENDING_WAIT_MS_MIN = 2000, // between tries for one recipient, doubled
    SENDING_WAIT_MS_MAX = 600000,
    SENDING_WAIT_S_MAX = 3 * 86400, // then it has failed
    SENDING_LOOK_MS = 1000,         // whether one is due
};

struct sending;
// All borrowed but *ret.
int sending_open(const struct outbound_options *options, int records_fd, struct reports *reports,
                 struct sending **ret);
struct sending *sending_close(struct sending *sending); // takes NULL
// Sends it, or says in result why not; the record is written as it changes.
void sending_contact(struct sending *sending, json_t *record, const struct decision *decision,
                     struct kit_result *result);
// From collect: tries what waits and is due. 0 or a negative errno.
int sending_carry_on(struct sending *sending);
