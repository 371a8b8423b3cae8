// SPDX-License-Identifier: Apache-2.0
// Every bound that both sides of the wire share, in one place. Sizes in bytes, times in
// milliseconds. A bound that only the broker needs stands in broker/bounds.h.
#pragma once

enum {
    WIRE_VERSION = 1,

    EVENT_BYTES_MAX = 1 << 20,                             // one serialised event
    STORED_EVENT_BYTES_MAX = EVENT_BYTES_MAX + (32 << 10), // with what the broker stamps into it
    FRAME_BYTES_MAX = 4 << 20,                             // one wire message, either way
    REQUEST_EVENTS_MAX = 2048,                             // events in one PublishRequest
    DELIVERY_EVENTS_MAX = 1024,                            // events in one Delivery
    SETTLE_MAX = 4096,                                     // outcomes in one Settle
    PUBLISH_CREDIT = 8192,        // events one connection may have in flight towards the broker
    SUBSCRIBE_CREDIT_MAX = 16384, // events that may be in flight to one member
    LANE_AHEAD_MAX = 256,         // of them of one lane; see Subscribe.lane_ahead

    ID_BYTES_MAX = 256,  // id, source, type, dataschema, subject: each
    NAME_BYTES_MAX = 64, // producer, subscription, member, channel, kinds, attribute names
    IDENTITY_VALUE_BYTES_MAX = 256,
    EVENT_IDENTITIES_MAX = 16,
    EVENT_REFERENCES_MAX = 16,
    EVENT_LANES_MAX = 64,
    EVENT_EXTENSIONS_MAX = 32,
    STAMP_LEAVES_MAX = 20, // leaves of one customer
    STAMP_TIMERS_MAX = 4,
    STAMP_SCORES_MAX = 4,
    SCORE_REASONS_MAX = 16,   // for which one contact is suppressed
    ROUTING_SKILLS_MAX = 16,  // that one interaction needs
    RESERVATION_DAYS_MAX = 2, // of sending and of arriving
    VERDICT_BYTES_MAX = 8192,
    EXTENSION_TEXT_BYTES_MAX = 2048,
    FILTER_PATTERNS_MAX = 32,
    QUERY_ARGUMENTS_MAX = 32,
    ARGUMENT_VALUE_BYTES_MAX = 4096,
    DETAIL_BYTES_MAX = 512,

    BODY_DEPTH_MAX = 16,       // nesting of a msgpack or JSON body
    BODY_ITEMS_MAX = 65536,    // values in one body, map keys included
    BODY_OPEN_KEYS_MAX = 2048, // keys of one map and of the maps it stands in
    WIRE_UNKNOWN_MAX = 16,     // unknown fields in one frame: each takes 50 bytes for 2 of wire
    WIRE_DEPTH_MAX = 16,       // nesting of protobuf messages

    INCARNATION_BYTES = 16,

    BEAT_MS = 1000,          // an idle member and the broker each say so this often
    MEMBER_LAPSE_MS = 10000, // a silent member's events go to the others after this
    RECONNECT_MS_MIN = 50,   // ZeroMQ's reconnection back-off
    RECONNECT_MS_MAX = 2000,

    PORT_DEFAULT = 7400, // publish; +1 subscribe, +2 query
};
