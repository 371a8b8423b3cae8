// SPDX-License-Identifier: Apache-2.0
// Segment's and RudderStack's tracking calls -> events, by the last section of the catalogue:
// identify, alias, group, page, screen, and track by its event's name; a name that is not known
// becomes a type of its own (track.<name>).
// https://segment.com/docs/connections/spec/ and
// https://www.rudderstack.com/docs/event-spec/standard-events/
//
// userId and anonymousId become the identities user_id and anonymous_id, traits' email and phone
// become email and phone, all unverified: a browser may say anything. An event's time is the
// sender's, moved by how much its clock differs from ours where that is more than a minute.
#pragma once

#include <stdint.h>

#include "connectors/dialect/items.h"

enum {
    SEGMENT_CLOCK_SLACK_S = 60,
    SEGMENT_KEY_BYTES_MAX = 256,
};

struct segment_request {
    const char *call;    // from the path: "track", "identify", ...; "batch": the body says
    const char *source;  // of the events
    const char *channel; // of the events where their type has no other
    int64_t received_us;
};

// Parses a request's body, which must outlive ret. 0; -EBADMSG where the body as a whole cannot be
// read, with *ret_why (static); -E2BIG with more than ITEMS_MAX items; -ENOMEM. write_key: the
// body's own writeKey, "" where it has none.
int segment_parse(const struct segment_request *request, const char *body, size_t size,
                  struct items *ret, char write_key[static SEGMENT_KEY_BYTES_MAX],
                  const char **ret_why);
