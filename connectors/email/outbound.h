// SPDX-License-Identifier: Apache-2.0
// Contacts on their way to the mail server: contact.requested is remembered, contact.decided for
// e-mail is sent, and message.sent or message.outcome reported. Nothing leaves that the contact
// policy did not approve, or whose approval has lapsed: that is asked again. On the kit's loop
// thread.
#pragma once

#include "connectors/email/bodies.h"
#include "connectors/email/letter.h"
#include "connectors/email/smtp.h"
#include "connectors/kit/kit.h"

enum {
    OUTBOUND_POLICY_MS_MAX = 5000, // asking the contact policy again
    OUTBOUND_AWAY_MS_MIN = 1000,   // after a failure the server is left alone, doubled
    OUTBOUND_AWAY_MS_MAX = 30000,
};

struct outbound_options {
    struct kit *kit;
    const struct smtp_conf *smtp; // NULL: it sends nothing, contacts are another connector's
    struct letter_options letter;
    struct bodies *bodies;
    const char *source; // of our events: others' message.received are not ours to own
    size_t sent_counter, repeats_counter, uncertain_counter, lapsed_counter, failed_counter,
        waits_counter, away_counter; // kit_count
};

struct outbound;
// options is borrowed. What was handed over and not reported is reported now.
int outbound_open(const struct outbound_options *options, struct outbound **ret);
struct outbound *outbound_close(struct outbound *outbound); // takes NULL
// The descriptor's deliver.
void outbound_deliver(struct outbound *outbound, touchbus_event *const *events, size_t n_events,
                      struct kit_result *results);
// From collect: reports what waits for room.
int outbound_collect(struct outbound *outbound);
// Forgets contacts not changed since.
int outbound_expire(struct outbound *outbound, int64_t before_us);
