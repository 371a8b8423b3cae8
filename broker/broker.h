// SPDX-License-Identifier: Apache-2.0
// What the broker's threads share: configuration (read-only), the stores, the visible sequence,
// mailboxes and counters. Made by main.c, borrowed by everyone.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "broker/configuration.h"
#include "broker/mailbox.h"
#include "broker/stores/keys.h"
#include "broker/stores/log.h"
#include "broker/stores/view.h"
#include "schemas/catalogue.h"

struct access;
struct delivery;
struct guard;
struct policy_holder;

struct broker_counters {
    atomic_uint_fast64_t events, duplicates, refused, quarantined, nobody, redacted, ticks,
        bad_frames, quarantine_rows, delivered, retried, parked, lost, handshakes_failed;
};

struct broker {
    struct configuration configuration;
    int argc; // as main got them, for a reload
    char **argv;
    struct catalogue *catalogue;
    struct policy_holder *policy; // what the enterprise decided: policy/holder.h
    struct log *log;
    struct keys *keys;
    struct view *view;
    struct view *base;
    void *zmq;                     // the ZeroMQ context
    atomic_uint_fast64_t visible;  // the last sequence readers may see
    atomic_uint_fast64_t erasures; // persons erased since the start, as far as visible
    atomic_bool stop;              // SIGTERM: finish and leave
    atomic_bool trim_paused;       // a verify or a backup reads what it would take away
    atomic_uint_fast64_t copy_done, copy_total; // bytes of the backup under way
    atomic_bool disk_low;           // below the reserve: publishing is answered busy (upkeep.c)
    bool disk_was_low, map_was_low; // state_is_low's own, for what it says on the log
    int lock;                       // descriptor of STATE/lock, -1
    int64_t started_us;
    struct delivery *delivery;
    struct access *access; // keys and roles; NULL or without keys: everything is allowed
    struct guard *guard;   // of every endpoint's connections
    struct mailbox *to_tick, *to_delivery, *to_query, *to_upkeep;
    struct broker_counters counters;
};

// A commit or sync failed: says so and exits EXIT_FATAL without touching anything. Never returns.
void broker_fatal(const char *what, int error) __attribute__((noreturn));
