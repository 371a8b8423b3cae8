// SPDX-License-Identifier: Apache-2.0
// The HTTP binding of CloudEvents 1.0: structured, batched and binary content -> events.
// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
#pragma once

#include "connectors/dialect/items.h"

enum { CLOUDEVENTS_ATTRIBUTES_MAX = 64 };

struct cloudevents_header {
    const char *name, *value;
};

struct cloudevents_request {
    const char *content_type;                 // NULL: none
    const struct cloudevents_header *headers; // all of them, or only those that start with ce-
    size_t n_headers;
    const char *channel; // of events that name none; NULL: they stay without
};

// The body must outlive ret. 0; -EBADMSG where the body as a whole cannot be read, -EPROTO where it
// is no CloudEvent at all, both with *ret_why (static); -E2BIG with more than ITEMS_MAX items;
// -ENOMEM. A single event that cannot be read is the whole body; one of a batch is an item with
// why.
int cloudevents_http_parse(const struct cloudevents_request *request, const char *body, size_t size,
                           struct items *ret, const char **ret_why);
