// SPDX-License-Identifier: Apache-2.0
// Every bound that only the broker needs. Those of the wire are schemas/limits.h.
#pragma once

enum {
    TICK_EVENTS_MAX = 1000, // events in one tick, follow-ups included
    TICK_BYTES_MAX =
        6 << 20, // serialised bytes taken in by one tick; keeps a block under BLOCK_BYTES_MAX
    BLOCK_BYTES_MAX = 8 << 20,
    TICK_ARENA_BYTES_MAX = 64 << 20,
    TICK_BLOCK_ARENA_BYTES_MAX = 128 << 20, // what that holds at most, serialised and sealed
    JOURNAL_RECORD_BYTES_MAX = 256 << 20,   // what a commit of the log changes, twice that
    JOURNAL_TURN_BYTES = 32 << 20,          // of the log's journal, until a point is taken,
    JOURNAL_TURN_RECORDS = 1024, // and records; a start reads up to two files of twice that
    // Records of one tick: the last request taken in may be a full one, each event with follow-ups.
    TICK_RECORDS_MAX = TICK_EVENTS_MAX + 2048 * 9,
    AHEAD_EVENTS_MAX = 8,             // of a request, looked at before their turn (tick/ahead.h)
    AHEAD_EVENT_BYTES_MAX = 4096,     // what is larger is not
    AHEAD_BESIDE_EVENTS_MIN = 64,     // of fewer, waking a thread costs more than it saves
    AHEAD_ARENA_BYTES_MAX = 16 << 20, // of a tick's events that the thread beside has read
    TICK_JOBS_MAX = 1024,             // jobs of other threads in one tick
    FOLD_KEPT_BYTES_MAX = 256 << 20,  // customers a fold keeps decoded
    CUSTOMERS_KEPT_MAX = 1 << 17,     // and how many
    FOLD_ARENA_BYTES_MAX = 64 << 20,  // decoded customers between two flushes of a fold
    FOLD_RECORD_BYTES_MAX = 48 << 20, // records that one transaction of the view rewrites
    FOLLOW_UPS_MAX = 8,               // events one event can cause in decide
    RULE_ARENA_BYTES_MAX = 64 << 20,  // what one rule reads of one customer
    SUPERSEDED_MAX = 16,              // quotes that one quote takes the place of
    QUOTES_OPEN_MAX = 200,            // of a customer; while there are more, a new one is refused
    CASES_OPEN_MAX = 100,      // of a customer; while there are more, no marketing is approved
    CONSENTS_JUDGED_MAX = 256, // of a leaf, of a contact's channels and purpose; else not approved
    INDEX_ROWS_MAX = 1000,     // of one leaf of a merged customer, a part of the index
    TIMERS_A_TICK_MAX = 256,   // due times that become events in one tick

    URGENT_ROOM_US = 20000,    // look-ups may use at once before others go first (query/urgency.h)
    URGENT_LOOK_MS = 100,      // how often that is looked at without a question
    URGENT_ASKED_US = 1000000, // so long after a question other threads make way for the next

    PRODUCERS_MAX = 4096,
    PRODUCERS_OF_A_KEY_MAX = 512, // of them, of one key, used within 7 days
    PRODUCER_RANGES_MAX = 64,     // recent number -> sequence ranges kept a producer
    SUBSCRIPTIONS_MAX = 1024,
    MEMBERS_MAX = 4096,
    PARKED_LANES_MAX = 10000, // a subscription
    ACK_RANGES_MAX = 1024,    // settled spans above the cursor, a subscription
    QUARANTINE_MAX = 100000,
    QUARANTINE_LATE_MAX = 1000, // of one key, while it is more than half full

    CUSTOMER_ATTRIBUTES_MAX = 200,
    ATTRIBUTE_VALUE_BYTES_MAX = 1024,
    CUSTOMER_KEYS_MAX = 200,
    CUSTOMER_COUNTERS_MAX = 512,
    ITEM_VALUE_BYTES_MAX = 4096, // a member of an item; lines may have FOLD_LINES_BYTES_MAX
    INTERESTS_MAX = 100,         // needs and products of one customer
    INTEREST_DAYS_MAX = 30,      // days with any, kept of each
    VISIT_DAYS_MAX = 3,
    WORTH_CURRENCIES_MAX = 16, // that a customer's orders are added up in
    CURRENCY_BYTES_MAX = 16,
    ORDERS_UNITED_MAX = 512,      // of all leaves but the largest; beyond, sums alone are added
    CUSTOMER_VETOES_MAX = 400,    // leaves that one is never merged with
    CUSTOMER_MERGE_DAYS_MAX = 32, // last merges whose day is known
    CONTESTED_CUSTOMERS_MAX = 64, // that one key came with
    MERGES_AT_ONCE_MAX = 5,       // that one event can cause
    CANDIDATES_MAX = 20,          // customers that a contested key is answered with
    LOOKUPS_KEPT = 1 << 20,       // keys and references whose owner a fold knows without a search
    NAMES_MAX = 60000,            // interned types and channels; beyond: counted as "other"
    TIMELINE_RECENT_MAX = 32,     // interactions in the customer's record
    TIMELINE_SPILL = 16,          // of them that go to one run when it is full

    AGENTS_MAX = 1000,         // looked at for one interaction
    ROUTING_WAITING_MAX = 500, // interactions looked at for one agent, the oldest
    ROUTING_HOLD_S = 300,      // who was given one and says nothing counts as busy for so long
    ROUTING_NEED_DAYS = 7,     // a need shown longer ago does not choose the queue

    MAILBOX_JOBS_MAX = 8192,
    READ_SLICE_MS_MAX = 50, // a read transaction's life

    EXIT_FATAL = 70,
};
