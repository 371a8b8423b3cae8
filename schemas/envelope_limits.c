// SPDX-License-Identifier: Apache-2.0
// Which field may be how long and stand how often: limits.h as rows, by message and field number.
#include "schemas/envelope_scan.h"
#include "schemas/limits.h"
#include "touchbus.pb-c.h"

#define BYTES(field, max)                                                                          \
    { .name = #field, .bytes_max = (max), .why_not = #field " is too long" }
#define COUNT(field, max)                                                                          \
    { .name = #field, .count_max = (max), .why_not = "too many " #field }
#define BOTH(field, bytes, count)                                                                  \
    {                                                                                              \
        .name = #field, .bytes_max = (bytes), .count_max = (count),                                \
        .why_not = #field ": too many or too long"                                                 \
    }

static const struct field_limit event_fields[] = {
    [1] = BYTES(id, ID_BYTES_MAX),
    [2] = BYTES(source, ID_BYTES_MAX),
    [3] = BYTES(type, ID_BYTES_MAX),
    [6] = BYTES(dataschema, ID_BYTES_MAX),
    [7] = BYTES(channel, NAME_BYTES_MAX),
    [13] = BYTES(traceparent, NAME_BYTES_MAX),
    [14] = COUNT(lanes, EVENT_LANES_MAX),
    [16] = BYTES(subject, ID_BYTES_MAX),
    [17] = COUNT(identities, EVENT_IDENTITIES_MAX),
    [18] = BYTES(actor, ID_BYTES_MAX),
    [19] = BYTES(case_id, ID_BYTES_MAX),
    [20] = BYTES(cost, NAME_BYTES_MAX),
    [21] = BYTES(datacontenttype, ID_BYTES_MAX),
    [23] = COUNT(extensions, EVENT_EXTENSIONS_MAX),
    [24] = COUNT(keys, EVENT_IDENTITIES_MAX),
    [25] = COUNT(references, EVENT_REFERENCES_MAX),
};
static const struct field_limit identity_fields[] = {
    [1] = BYTES(kind, NAME_BYTES_MAX),
    [2] = BYTES(value, IDENTITY_VALUE_BYTES_MAX),
};
static const struct field_limit reference_fields[] = {
    [1] = BYTES(kind, NAME_BYTES_MAX),
    [2] = BYTES(id, IDENTITY_VALUE_BYTES_MAX),
};
static const struct field_limit extension_fields[] = {
    [1] = BYTES(name, NAME_BYTES_MAX),
    [2] = BYTES(text, EXTENSION_TEXT_BYTES_MAX),
};
static const struct field_limit stamp_fields[] = {
    [4] = COUNT(vetoes, STAMP_LEAVES_MAX),  [10] = COUNT(timers, STAMP_TIMERS_MAX),
    [12] = BYTES(tier, NAME_BYTES_MAX),     [13] = BYTES(phase, NAME_BYTES_MAX),
    [20] = COUNT(scores, STAMP_SCORES_MAX),
};
static const struct field_limit score_fields[] = {
    [2] = BYTES(channel, NAME_BYTES_MAX),
    [3] = BYTES(tier, NAME_BYTES_MAX),
    [18] = BOTH(reasons, NAME_BYTES_MAX, SCORE_REASONS_MAX),
};
static const struct field_limit routing_fields[] = {
    [4] = BYTES(tier, NAME_BYTES_MAX),
    [5] = BYTES(queue, NAME_BYTES_MAX),
    [6] = BOTH(skills, NAME_BYTES_MAX, ROUTING_SKILLS_MAX),
};
static const struct field_limit reservation_fields[] = {
    [3] = BYTES(channel, NAME_BYTES_MAX),
    [6] = COUNT(days, RESERVATION_DAYS_MAX),
};
static const struct field_limit publish_request_fields[] = {
    [3] = BYTES(producer, NAME_BYTES_MAX),
    [6] = BOTH(events, FRAME_BYTES_MAX, REQUEST_EVENTS_MAX),
};
static const struct field_limit publish_reply_fields[] = {
    [3] = BYTES(incarnation, INCARNATION_BYTES), [5] = COUNT(sequences, REQUEST_EVENTS_MAX),
    [6] = COUNT(customers, REQUEST_EVENTS_MAX),  [7] = COUNT(outcomes, REQUEST_EVENTS_MAX),
    [11] = BYTES(detail, DETAIL_BYTES_MAX),
};
static const struct field_limit outcome_fields[] = {
    [3] = BYTES(detail, DETAIL_BYTES_MAX),
    [4] = BYTES(verdict, VERDICT_BYTES_MAX),
};
static const struct field_limit filter_fields[] = {
    [1] = BOTH(types, ID_BYTES_MAX, FILTER_PATTERNS_MAX),
    [2] = BOTH(channels, NAME_BYTES_MAX, FILTER_PATTERNS_MAX),
};
static const struct field_limit subscribe_fields[] = {
    [1] = BYTES(name, NAME_BYTES_MAX),
    [2] = BYTES(member, NAME_BYTES_MAX),
};
static const struct field_limit failure_fields[] = {
    [3] = BYTES(detail, DETAIL_BYTES_MAX),
};
static const struct field_limit settle_fields[] = {
    [1] = COUNT(delivered, SETTLE_MAX),
    [2] = COUNT(failures, SETTLE_MAX),
};
static const struct field_limit subscribed_fields[] = {
    [1] = BYTES(name, NAME_BYTES_MAX),
};
static const struct field_limit delivery_fields[] = {
    [1] = BOTH(events, STORED_EVENT_BYTES_MAX, DELIVERY_EVENTS_MAX),
    [2] = COUNT(attempts, DELIVERY_EVENTS_MAX),
};
static const struct field_limit refusal_fields[] = {
    [2] = BYTES(detail, DETAIL_BYTES_MAX),
};
static const struct field_limit broker_message_fields[] = {
    [2] = BYTES(incarnation, INCARNATION_BYTES),
};
static const struct field_limit argument_fields[] = {
    [1] = BYTES(name, NAME_BYTES_MAX),
    [2] = BYTES(value, ARGUMENT_VALUE_BYTES_MAX),
};
static const struct field_limit query_fields[] = {
    [3] = BYTES(verb, NAME_BYTES_MAX),
    [4] = COUNT(arguments, QUERY_ARGUMENTS_MAX),
};
static const struct field_limit answer_fields[] = {
    [3] = BYTES(incarnation, INCARNATION_BYTES),
    [5] = BYTES(detail, DETAIL_BYTES_MAX),
};

#define ROW(message, fields)                                                                       \
    { &touchbus__##message##__descriptor, fields, sizeof(fields) / sizeof((fields)[0]) }
static const struct message_limits rows[] = {
    ROW(event, event_fields), // first: the hot ones
    ROW(identity, identity_fields),
    ROW(extension, extension_fields),
    ROW(reference, reference_fields),
    ROW(stamp, stamp_fields),
    ROW(score, score_fields),
    ROW(routing, routing_fields),
    ROW(reservation, reservation_fields),
    ROW(publish_request, publish_request_fields),
    ROW(publish_reply, publish_reply_fields),
    ROW(outcome, outcome_fields),
    ROW(filter, filter_fields),
    ROW(subscribe, subscribe_fields),
    ROW(failure, failure_fields),
    ROW(settle, settle_fields),
    ROW(subscribed, subscribed_fields),
    ROW(delivery, delivery_fields),
    ROW(refusal, refusal_fields),
    ROW(broker_message, broker_message_fields),
    ROW(argument, argument_fields),
    ROW(query, query_fields),
    ROW(answer, answer_fields),
};

const struct message_limits *envelope_limits(size_t *ret_n) {
    *ret_n = sizeof(rows) / sizeof(rows[0]);
    return rows;
}
