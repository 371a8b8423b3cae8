// SPDX-License-Identifier: Apache-2.0
// touchbus-kit: a connector is one const struct kit_connector at the end of a small file, and
// KIT_MAIN. The kit owns everything but translation: main, options and --help, the configuration
// and its reload, the connection, credit, retries, back-off, the durable spool, quarantine, health,
// metrics, logging, signals and a clean end.
//
// Threads: everything in the descriptor is called on the kit's one loop thread. Only kit_submit,
// kit_quarantine, kit_count, kit_connected, kit_metrics and kit_secret_read may be called from
// other threads. Passwords of other systems: secret.h.
//
// A source has collect and settled, a sink has deliver; a connector may have both. Functions return
// 0 when they worked, a negative errno when they could not, a positive value the caller handles.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connectors/client/touchbus.h"
#include "connectors/kit/secret.h"
#include "schemas/base/options.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    KIT_DETAIL_BYTES_MAX = 256,    // of a result's detail, with its end
    KIT_DELIVER_EVENTS_MAX = 256,  // events in one call of deliver
    KIT_SUBMIT_EVENTS_MAX = 16384, // events in one kit_submit
    KIT_IN_FLIGHT_MAX = 8192,      // events given to the kit and not yet settled
    KIT_COUNTERS_MAX = 32,         // counters of a connector's own
    KIT_TOMBSTONED_MAX = 1000,     // identities in one kit_tombstoned
};

struct kit;

// ---- sinks

enum kit_outcome {
    KIT_RETRY, // not now: it comes again, later and later; then its lane is parked
    KIT_DELIVERED,
    KIT_REJECT, // never: its lane is parked, others flow on
    KIT_AWAY,   // the sink's system is not there (a lock, a full disk): this whole call is held and
                // made again, later and later; no attempt is counted, no lane parked for it
};

// One slot an event; preset to KIT_RETRY, so that a deliver that returns early loses nothing.
struct kit_result {
    enum kit_outcome outcome;
    char detail[KIT_DETAIL_BYTES_MAX]; // the sink's own words, no personal data; for retry, reject
};

// Sets a slot, with a printf-like detail that is cut to fit.
void kit_result(struct kit_result *result, enum kit_outcome outcome, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// ---- sources

// What became of a published event. Texts are borrowed for the call.
struct kit_ack {
    uint32_t code;      // reason code (schemas/reasons.def): 0 accepted, 1 duplicate, 2 quarantined
                        // by the broker; anything else is a refusal
    const char *reason; // its stable name
    const char *detail, *hint;
    bool retryable;      // a refusal that may be over later
    bool spooled;        // on this machine's disk, not yet at the broker: code is 0, sequence 0
    uint64_t sequence;   // 0 where it is in no log (yet)
    uint64_t customer;   // 0 nobody
    const char *verdict; // JSON, of what was decided about it (contact.requested); NULL: none
};

#define KIT_FULL 1 // a bound is reached: stop taking more, try again later

// Publishes from within the loop (open, collect, settled, deliver, tick). Takes the event when 0 is
// returned; KIT_FULL: it stays the caller's. Every taken event that has an item gives one call of
// the descriptor's settled, possibly from within this call's loop round, never from within the call
// itself. Events without id and source get them here. A refusal that is retryable (busy, no broker)
// is repeated by the kit and not shown. Where the descriptor says spools, being safe in the spool
// settles too.
int kit_publish(struct kit *kit, touchbus_event *event, void *item);

enum {
    KIT_NEVER_SPOOL = 1, // an answer is wanted now (a verdict): unavailable instead of spooled
};
// Called once, on the loop thread, with one ack an event of a kit_submit, in its order.
typedef void kit_done(void *user, const struct kit_ack *acks, size_t n_acks);
// Publishes from any thread, for servers with threads of their own (the descriptor must say
// spools): all n_events or none. Takes the events when 0 is returned. KIT_FULL: neither queue nor
// spool has room, tell the caller to come again; -ESHUTDOWN while the connector ends. An ack comes
// within --spool-after and a sync of the disk: either the broker's, or spooled, or a refusal.
// contact.requested is always KIT_NEVER_SPOOL.
int kit_submit(struct kit *kit, touchbus_event *const *events, size_t n_events, unsigned flags,
               kit_done *done, void *user);

// ---- items that cannot become events

struct kit_quarantined {
    const char *id;     // the other side's id, "" where it has none
    const char *reason; // what is wrong: names and lengths, no personal data
    const void *item;   // as it came
    size_t item_size;
};
// Puts items aside in the state folder, synced when it returns; counted and shown in the health
// report, listed by --quarantine ls. For sources (collect or spools); a sink rejects instead:
// -ENOTSUP. Thread-safe. KIT_FULL beyond its bound, negative errno of the disk: the items are not
// safe, do not confirm them to anybody.
int kit_quarantine(struct kit *kit, const struct kit_quarantined *items, size_t n_items);

// ---- persons who were erased

// A sink is told of an erasure as everybody: by an event of type privacy.changed with
// touchbus_event_erases, which the kit adds to its types. It removes what it keeps of
// touchbus_event_customer and says KIT_DELIVERED when that is done: the broker's receipt counts it
// as confirmed then. Events with touchbus_event_redacted are of such persons: nothing personal is
// in them, and nothing should be made of them. Spool and quarantine are the kit's own to clear.

struct kit_identity {
    const char *kind, *value; // as published; the broker normalises
};
// Which of up to KIT_TOMBSTONED_MAX identities belong to somebody who was erased: asks the broker
// and waits. 0 and ret[0..n); -ETIMEDOUT, -EAGAIN: ask later. Thread-safe.
int kit_tombstoned(struct kit *kit, const struct kit_identity *identities, size_t n_identities,
                   bool *ret);
// For a deliver or a collect that works long: keeps the broker from taking the connector for gone.
void kit_beat(struct kit *kit);

// ---- around

// The connector's folder inside --state, made by the kit, its alone (a lock is held): an absolute
// path, as long as the kit.
const char *kit_folder(const struct kit *kit);
// --name: the instance's name, by default the descriptor's.
const char *kit_name(const struct kit *kit);
// --broker as given, and the files of --key and --broker-key (NULL: not given; the client library
// then looks into the environment): for handles of the connector's own.
const char *kit_broker(const struct kit *kit);
const char *kit_key(const struct kit *kit);
const char *kit_broker_key(const struct kit *kit);
// The log's incarnation for fences, 16 bytes, from the subscriber; all zero until it is known,
// which it is in deliver.
const uint8_t *kit_incarnation(const struct kit *kit);
// Whether the broker has answered within the last seconds. Thread-safe.
bool kit_connected(const struct kit *kit);
// Calls collect as soon as fd is readable, beside collect_every_ms. -1: none any more. One at a
// time, on the loop thread; one that is closed is not to be watched when the call ends.
void kit_watch(struct kit *kit, int fd);
// Adds to the connector's counter of that index in descriptor.counters. Thread-safe.
void kit_count(struct kit *kit, size_t index, uint64_t n);
// State and counters as Prometheus text; the caller frees. NULL where memory is short. Thread-safe.
char *kit_metrics(struct kit *kit);
// The same as one JSON object: name, kind, state, counters; refusal (reason, detail, hint) where
// the broker refuses this key or role.
char *kit_health(struct kit *kit);

// ---- the descriptor

struct kit_connector {
    const char *name;        // "web": program touchbus-web, folder web, subscription web
    const char *summary;     // one sentence with its full stop: the NAME line of --help
    const char *description; // further prose for --help, may be NULL
    const char *after;       // further sections of --help, may be NULL

    const struct option_row *options; // offsets into the connector's own conf struct
    size_t n_options;
    size_t conf_size;

    const char *const *types;    // sinks: NULL-terminated globs, unless --type is given; NULL: all
    const char *const *counters; // NULL-terminated names of its own counters, may be NULL
    // How many events deliver gets at a time, and the broker hands out at all: for slow systems, so
    // that the others wait where another member can take them. NULL: KIT_DELIVER_EVENTS_MAX.
    size_t (*deliver_max)(const void *conf);
    bool spools;          // the other side cannot repeat: the kit's spool takes what the broker
                          // cannot; gives --spool-bytes
    int collect_every_ms; // at least this often; 0: 1000

    // Checks what rows cannot say, at start and before a reload is taken over. -EINVAL after
    // writing one clear line to error. May be NULL.
    int (*check)(const void *conf, char *error, size_t error_size);
    // conf is borrowed for the connector's life; its reloadable members change only just before
    // reload is called. Failing ends the program with exit 1, after one logged line.
    int (*open)(struct kit *kit, const void *conf, void **ret_state);
    // conf was reloaded, whole and checked. May be NULL.
    void (*reload)(void *state, const void *conf);
    // Takes what is there and publishes it; returns when there is no more or the kit is full.
    // Negative errno: logged, called again with a back-off.
    int (*collect)(void *state);
    // Whether it publishes at all under this configuration; where not it is a sink alone: collect
    // is not called, and the kit keeps nothing of persons for it. NULL: it does.
    bool (*collects)(const void *conf);
    // The broker has (or refused) what was published with item: mark it seen, move the file. May
    // publish.
    void (*settled)(void *state, void *item, const struct kit_ack *ack);
    // Up to KIT_DELIVER_EVENTS_MAX events, no two of one lane: the next one of a lane comes when
    // this one is delivered, later ones of other lanes may come before it. Borrowed for the call.
    // One transaction for all of them is the idea: results count only after it returns.
    void (*deliver)(void *state, touchbus_event *const *events, size_t n_events,
                    struct kit_result *results);
    // No more of the above follows; what is unsettled will be repeated. Servers stop their threads
    // in drain, which comes before, while submissions are still answered. drain may be NULL.
    void (*drain)(void *state);
    void (*close)(void *state);
};

int kit_main(const struct kit_connector *connector, int argc, char **argv);

#define KIT_MAIN(connector)                                                                        \
    int main(int argc, char **argv) {                                                              \
        return kit_main(&(connector), argc, argv);                                                 \
    }

#ifdef __cplusplus
}
#endif
