// SPDX-License-Identifier: Apache-2.0
// libtouchbus: publish to, subscribe to and query a touchbus broker.
//
// One handle is used by one thread at a time; nothing here starts a thread of ours or blocks beyond
// the time-out it is given. Times are microseconds since 1970 UTC, time-outs milliseconds.
// Functions return 0 or a positive result when they worked, a negative errno when they could not; a
// refusal by the broker is a reason code in an ack or answer. The reason codes are those of
// schemas/reasons.def. Strings are UTF-8, borrowed unless "the caller frees" is said.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TOUCHBUS_EXPORT __attribute__((visibility("default")))

// ---- keys
//
// A broker that has a key talks CURVE (encrypted, both sides known) with those alone whose public
// certificate it has. The options `key` and `broker_key` of the three handles name certificate
// files of `touchbus keygen`: NULL stands for TOUCHBUS_KEY and TOUCHBUS_BROKER_KEY of the
// environment. Both, or none: then it is spoken without keys. Files are read when the handle is
// made; a making fails with -EINVAL where one is missing, -EPERM where others may read the secret,
// -EBADMSG, -ENOENT and the like.

// Judges them beforehand: 0, or the negative errno and one line in why, which names the file.
TOUCHBUS_EXPORT int touchbus_keys_check(const char *key, const char *broker_key, char *why,
                                        size_t why_size);

// ---- events

typedef struct touchbus_event touchbus_event;

// A new event; source and id may be NULL: the publisher then gives its own source and a new id.
// NULL where memory is short.
TOUCHBUS_EXPORT touchbus_event *touchbus_event_new(const char *type, const char *source,
                                                   const char *id);
TOUCHBUS_EXPORT touchbus_event *
touchbus_event_free(touchbus_event *event); // takes NULL; returns NULL
// An attribute by its CloudEvents name: id, source, type (the name inside, e.g. order.placed), time
// (RFC 3339), subject, dataschema, datacontenttype, channel, direction (in, out, decided), actor,
// case, cause, cost, traceparent; any other name of [a-z0-9] is an extension. -EINVAL where the
// name or value is not acceptable, -E2BIG over a limit.
TOUCHBUS_EXPORT int touchbus_event_set(touchbus_event *event, const char *name, const char *value);
// NULL where unset. Also sequence, received, customer (c42) on delivered events, redacted
// ("true": what was personal in it is gone, its person was erased), and scores (what the broker
// added to its scorecard for it: a JSON list as text). Valid until the event changes or is freed.
TOUCHBUS_EXPORT const char *touchbus_event_get(const touchbus_event *event, const char *name);
TOUCHBUS_EXPORT int touchbus_event_add_identity(touchbus_event *event, const char *kind,
                                                const char *value, bool verified);
// The index-th identity; false past the end.
TOUCHBUS_EXPORT bool touchbus_event_identity(const touchbus_event *event, size_t index,
                                             const char **ret_kind, const char **ret_value,
                                             bool *ret_verified);
// The index-th normalised key that the broker attached the event's customer by (delivered events).
TOUCHBUS_EXPORT bool touchbus_event_key(const touchbus_event *event, size_t index,
                                        const char **ret_kind, const char **ret_value);
// data as JSON text (an object), or as the msgpack bytes themselves. -EBADMSG where malformed.
TOUCHBUS_EXPORT int touchbus_event_set_data_json(touchbus_event *event, const char *json,
                                                 size_t size);
TOUCHBUS_EXPORT int touchbus_event_set_data(touchbus_event *event, const void *msgpack,
                                            size_t size);
TOUCHBUS_EXPORT const void *touchbus_event_data(const touchbus_event *event, size_t *ret_size);
TOUCHBUS_EXPORT char *
touchbus_event_data_json(const touchbus_event *event); // the caller frees; NULL where there is none
// CloudEvents 1.0 JSON, one object. from: -EBADMSG with *ret_why (static text, may be NULL).
TOUCHBUS_EXPORT int touchbus_event_from_json(const char *json, size_t size, touchbus_event **ret,
                                             const char **ret_why);
TOUCHBUS_EXPORT char *
touchbus_event_to_json(const touchbus_event *event); // one line, the caller frees
TOUCHBUS_EXPORT int touchbus_event_set_time(touchbus_event *event, int64_t time_us);
TOUCHBUS_EXPORT bool touchbus_event_time(const touchbus_event *event,
                                         int64_t *ret_us); // false: it has none
TOUCHBUS_EXPORT uint64_t touchbus_event_sequence(const touchbus_event *event);
TOUCHBUS_EXPORT int64_t touchbus_event_received(const touchbus_event *event);
TOUCHBUS_EXPORT uint64_t touchbus_event_customer(const touchbus_event *event); // 0: nobody
// The broker's word that this event's customer is erased: whoever keeps anything of the person
// removes it, and settles the event when that is done. No publisher can say so.
TOUCHBUS_EXPORT bool touchbus_event_erases(const touchbus_event *event);
// Whether what was personal in the event is gone: it has no identities, data and subject any more.
TOUCHBUS_EXPORT bool touchbus_event_redacted(const touchbus_event *event);
// The lane a sink keeps its fence by: the first of the event's lanes.
TOUCHBUS_EXPORT uint64_t touchbus_event_lane(const touchbus_event *event);
// The rank that the broker gave its source: between two events that set an attribute the higher
// wins.
TOUCHBUS_EXPORT uint32_t touchbus_event_rank(const touchbus_event *event);
TOUCHBUS_EXPORT uint32_t touchbus_event_attempt(const touchbus_event *event); // 1 the first time
// The serialised wire Event (schemas/touchbus.proto), for spools; parse takes untrusted bytes. The
// caller frees *ret of serialize.
TOUCHBUS_EXPORT int touchbus_event_serialize(const touchbus_event *event, void **ret,
                                             size_t *ret_size);
TOUCHBUS_EXPORT int touchbus_event_parse(const void *bytes, size_t size, touchbus_event **ret);

// ---- publish

typedef struct touchbus_publisher touchbus_publisher;

typedef struct touchbus_ack {
    void *tag;          // as given to publish
    uint32_t code;      // reason code; 0 accepted, 1 duplicate, 2 quarantined
    const char *reason; // its stable name
    const char *detail; // of this refusal, "" where none
    const char *hint;   // what to do, "" where nothing
    bool retryable;
    bool duplicate;             // published before; sequence is the first one's
    uint64_t sequence;          // 0 where it is in no log
    uint64_t customer;          // 0 nobody
    const uint8_t *incarnation; // 16 bytes
    const char *verdict; // what was decided about it: a JSON object, borrowed; NULL: there was
                         // nothing to decide, or it is a duplicate
} touchbus_ack;

typedef struct touchbus_publisher_options {
    const char *broker; // HOST:PORT of the publish endpoint, or ipc://PATH; NULL: TOUCHBUS_BROKER,
                        // else 127.0.0.1:7400
    const char *producer; // stable name, numbers the events; NULL: unnumbered
    uint64_t epoch;     // higher at each start. 0: from the clock, so that a start after the clock
                        // was set back is fenced; who minds that keeps a counter
    const char *source; // for events without one; NULL: "/" and the producer's name
    uint32_t window;    // events in flight or waiting at most; 0: 8192
    void (*on_ack)(const touchbus_ack *ack,
                   void *user); // from within run, flush and publish; may be NULL
    void *user;
    const char *key;        // file of the own secret certificate, and
    const char *broker_key; // of the broker's public one; both or none, see below
} touchbus_publisher_options;

// Options are copied. Connecting happens in the background; -EINVAL where an option is malformed.
TOUCHBUS_EXPORT int touchbus_publisher_new(const touchbus_publisher_options *options,
                                           touchbus_publisher **ret);
// Unacked events are forgotten (flush first). Takes NULL; returns NULL.
TOUCHBUS_EXPORT touchbus_publisher *touchbus_publisher_free(touchbus_publisher *publisher);
// Copies the event into the running batch. 0; TOUCHBUS_FULL where the window is full (run, then
// again); -E2BIG, -EINVAL. What a lost connection had in flight is sent again under the same
// numbers: each event is acked once, and logged once.
#define TOUCHBUS_FULL 1
TOUCHBUS_EXPORT int touchbus_publisher_publish(touchbus_publisher *publisher,
                                               const touchbus_event *event, void *tag);
// Sends what waits, receives acks, up to timeout_ms until something was acked (0: only what is
// there). Returns the number of acks.
TOUCHBUS_EXPORT int touchbus_publisher_run(touchbus_publisher *publisher, int timeout_ms);
// Runs until nothing is pending. 0; -ETIMEDOUT; -EACCES as soon as the broker is known to refuse
// the key (see refusal).
TOUCHBUS_EXPORT int touchbus_publisher_flush(touchbus_publisher *publisher, int timeout_ms);
TOUCHBUS_EXPORT size_t touchbus_publisher_pending(const touchbus_publisher *publisher);
// Whether the broker has answered within the last seconds.
TOUCHBUS_EXPORT bool touchbus_publisher_connected(const touchbus_publisher *publisher);
// Why events wait although the broker answers: the reason code of its last passing refusal (busy)
// since something was acked, 0 where there is none; texts as in an ack, each may be NULL. They are
// sent again by themselves. Or why there is no connection: forbidden, where the broker refuses the
// key, or the producer's name with this key; unavailable, where it ends each handshake.
TOUCHBUS_EXPORT uint32_t touchbus_publisher_refusal(const touchbus_publisher *publisher,
                                                    const char **ret_reason,
                                                    const char **ret_detail, const char **ret_hint);
// The ZeroMQ socket, for zmq_poll beside other sockets; run after it is readable. Borrowed.
TOUCHBUS_EXPORT void *touchbus_publisher_socket(touchbus_publisher *publisher);
// Reads the key files again and connects anew where they hold others (the socket is then another
// one, too); what is in flight is sent again. 0; negative errno, and the old ones stay.
TOUCHBUS_EXPORT int touchbus_publisher_reload_keys(touchbus_publisher *publisher);

// ---- subscribe

typedef struct touchbus_subscriber touchbus_subscriber;

typedef enum touchbus_start {
    TOUCHBUS_START_END,
    TOUCHBUS_START_BEGINNING,
    TOUCHBUS_START_SEQUENCE,
    TOUCHBUS_START_TIME
} touchbus_start;

typedef struct touchbus_subscriber_options {
    const char *broker; // HOST:PORT of the publish endpoint (the subscribe port is the next one);
                        // NULL as above
    const char *name;   // NULL: unnamed, a live tail or replay without acks
    const char *member; // NULL: host and pid
    const char *const *types;    // NULL-terminated globs, NULL: all
    const char *const *channels; // NULL-terminated, NULL: all
    uint64_t customer;           // 0: all
    touchbus_start start; // of a new subscription; an existing named one goes on at its cursor
    uint64_t start_sequence;
    int64_t start_time_us;
    uint64_t until_sequence; // unnamed: 0 go on live
    int64_t until_time_us;   // unnamed: 0 none
    uint32_t credit;         // events held here unsettled at most; 0: 1024, unnamed 8192
    const char *key;         // file of the own secret certificate, and
    const char *broker_key;  // of the broker's public one; both or none, see below
    bool one_a_lane; // named: the broker sends one of a lane (a customer) at a time, and those of
                     // others past it; settlements go out by next, run and free. For a program that
                     // takes many before it settles any: what it says of them travels together
} touchbus_subscriber_options;

typedef struct touchbus_progress {
    uint64_t position, head, blocks_read;
    uint64_t lost_first, lost_last; // what retention removed before it was acked, 0 none
} touchbus_progress;

TOUCHBUS_EXPORT int touchbus_subscriber_new(const touchbus_subscriber_options *options,
                                            touchbus_subscriber **ret);
// Sends the settlements that wait; what was not settled comes again, to another member where there
// is one. Takes NULL; returns NULL.
TOUCHBUS_EXPORT touchbus_subscriber *touchbus_subscriber_free(touchbus_subscriber *subscriber);
// The next event, the caller frees it. 1: *ret is set; 0: time-out; TOUCHBUS_ENDED: until was
// reached; TOUCHBUS_REFUSED: see touchbus_subscriber_refusal. Reconnects by itself; settled events
// in flight at that moment may come again, under a named subscription. An unnamed one goes on
// behind the last event it gave out; where the log has become another one (restored: the
// incarnation changed), at the received time of that event, so that some may come twice and none is
// skipped.
#define TOUCHBUS_ENDED 2
#define TOUCHBUS_REFUSED 3
TOUCHBUS_EXPORT int touchbus_subscriber_next(touchbus_subscriber *subscriber, int timeout_ms,
                                             touchbus_event **ret);
// Named ones settle each event once; the next event of a lane (a customer's) is given out when the
// one before it was said to be delivered, or comes again after one that failed. Sent in batches: at
// once when nothing else waits, by next, and by free.
TOUCHBUS_EXPORT int touchbus_subscriber_delivered(touchbus_subscriber *subscriber,
                                                  const touchbus_event *event);
TOUCHBUS_EXPORT int touchbus_subscriber_retry(touchbus_subscriber *subscriber,
                                              const touchbus_event *event, const char *detail);
TOUCHBUS_EXPORT int touchbus_subscriber_reject(touchbus_subscriber *subscriber,
                                               const touchbus_event *event, const char *detail);
// As of the publisher; what was not settled comes again.
TOUCHBUS_EXPORT int touchbus_subscriber_reload_keys(touchbus_subscriber *subscriber);
// Sends settlements and beats that are due. For callers that work long on one event.
TOUCHBUS_EXPORT int touchbus_subscriber_run(touchbus_subscriber *subscriber);
TOUCHBUS_EXPORT void touchbus_subscriber_progress(const touchbus_subscriber *subscriber,
                                                  touchbus_progress *ret);
// Why it was refused (an unknown key is refused as forbidden), or why there is no connection:
// unavailable, where the broker ends each handshake. It goes on trying then.
TOUCHBUS_EXPORT uint32_t touchbus_subscriber_refusal(const touchbus_subscriber *subscriber,
                                                     const char **ret_reason,
                                                     const char **ret_detail,
                                                     const char **ret_hint);
TOUCHBUS_EXPORT const uint8_t *touchbus_subscriber_incarnation(
    const touchbus_subscriber *subscriber); // 16 bytes, zero until known
TOUCHBUS_EXPORT bool touchbus_subscriber_connected(const touchbus_subscriber *subscriber);
// Events that are here and were not given out: by a poll only what comes anew is told. next gives
// them; of a named subscription an event that waits for an earlier one of its lane when that is
// settled.
TOUCHBUS_EXPORT size_t touchbus_subscriber_pending(const touchbus_subscriber *subscriber);
// The ZeroMQ socket, for zmq_poll; another one after each reconnection, NULL in between, so ask
// again before each poll, and call next at least every second whatever the poll says. Borrowed.
TOUCHBUS_EXPORT void *touchbus_subscriber_socket(touchbus_subscriber *subscriber);

// ---- query

typedef struct touchbus_client touchbus_client;
typedef struct touchbus_answer touchbus_answer;

typedef struct touchbus_argument {
    const char *name, *value;
} touchbus_argument;

typedef struct touchbus_client_options {
    const char *broker; // HOST:PORT of the publish endpoint (the query port is the one after the
                        // next); NULL as above
    const char *key;    // file of the own secret certificate, and
    const char *broker_key; // of the broker's public one; both or none, see below
} touchbus_client_options;

// options may be NULL.
TOUCHBUS_EXPORT int touchbus_client_new(const touchbus_client_options *options,
                                        touchbus_client **ret);
TOUCHBUS_EXPORT touchbus_client *touchbus_client_free(touchbus_client *client);
// Asks a verb of tools/README.md's table and waits. body is JSON text or NULL. 0 and *ret (the
// caller frees), whatever its code; -ETIMEDOUT; -EACCES where the broker refuses the key (see
// refusal). on_part gets the parts before the last one,
// borrowed; it may be NULL.
TOUCHBUS_EXPORT int touchbus_client_query(touchbus_client *client, const char *verb,
                                          const touchbus_argument *arguments, size_t n_arguments,
                                          const char *body, uint64_t min_sequence, int timeout_ms,
                                          void (*on_part)(const touchbus_answer *part, void *user),
                                          void *user, touchbus_answer **ret);
// What somebody who talks to a customer has to see at a glance, out of one snapshot: candidates,
// the likeliest first, each with name, tier, what is open, offers, the greeting and what must not
// be done (`screen` in tools/README.md). customer is c42 or KIND=VALUE ("phone=+31201234567");
// channel is where it is shown, NULL: any. Otherwise as query; -EINVAL: neither of the two.
TOUCHBUS_EXPORT int touchbus_client_screen(touchbus_client *client, const char *customer,
                                           const char *channel, uint64_t min_sequence,
                                           int timeout_ms, touchbus_answer **ret);
// Everything the key may read of a customer (`customer show` there).
TOUCHBUS_EXPORT int touchbus_client_customer(touchbus_client *client, const char *customer,
                                             uint64_t min_sequence, int timeout_ms,
                                             touchbus_answer **ret);
// Why there is no connection: as of the publisher, 0 where nothing is known.
TOUCHBUS_EXPORT uint32_t touchbus_client_refusal(touchbus_client *client, const char **ret_reason,
                                                 const char **ret_detail, const char **ret_hint);
TOUCHBUS_EXPORT int touchbus_client_reload_keys(touchbus_client *client);
TOUCHBUS_EXPORT touchbus_answer *touchbus_answer_free(touchbus_answer *answer);
TOUCHBUS_EXPORT uint32_t touchbus_answer_code(const touchbus_answer *answer);
TOUCHBUS_EXPORT const char *touchbus_answer_reason(const touchbus_answer *answer);
TOUCHBUS_EXPORT const char *touchbus_answer_detail(const touchbus_answer *answer);
TOUCHBUS_EXPORT const char *touchbus_answer_hint(const touchbus_answer *answer);
TOUCHBUS_EXPORT uint64_t touchbus_answer_as_of(const touchbus_answer *answer);
TOUCHBUS_EXPORT const char *touchbus_answer_json(
    const touchbus_answer *answer); // the body as one JSON object, "{}" where there is none

// ---- contact policy
//
// Whether a customer may be contacted now, by which channel, about what. The verdict is a JSON
// object: contact_id, content_id, verdict (approved, deferred, suppressed), channel (approved),
// until (deferred), reasons, decided_by, sequence; tools/README.md describes it. An approved
// contact is reserved: say that it was carried out with message.sent or call.placed and its
// contact_id, or that it failed with message.outcome or call.ended.

typedef struct touchbus_contact {
    const char *customer;     // c42; NULL: told by kind and value, or by the address
    const char *kind, *value; // a key of the customer; NULL: none
    const char *address;      // where to; NULL: any that is the customer's
    const char *content_id, *purpose;
    const char *const *channels; // NULL-terminated, the preferred first; NULL: any
    const char *contact_id;      // asked again, it gets the same answer; NULL: a new one
    int64_t priority;
    const char *not_after; // RFC 3339; NULL: none
} touchbus_contact;

// The contact.requested to publish: the verdict is in its ack. -EINVAL where something is missing
// or not acceptable. The caller frees *ret.
TOUCHBUS_EXPORT int touchbus_contact_event(const touchbus_contact *contact, touchbus_event **ret);
// Publishes it and waits. 0 and *ret (the caller frees): code 0 and the verdict as its JSON, or the
// refusal's code. -ETIMEDOUT: nobody knows whether it was decided; asked again under the same
// contact_id the answer is the same. -EACCES where the broker refuses the key. Of options on_ack
// and user are not looked at; options may be NULL.
TOUCHBUS_EXPORT int touchbus_contact_ask(const touchbus_publisher_options *options,
                                         const touchbus_contact *contact, int timeout_ms,
                                         touchbus_answer **ret);

// The library's version, e.g. "0.1.0".
TOUCHBUS_EXPORT const char *touchbus_version(void);

#ifdef __cplusplus
}
#endif
