// SPDX-License-Identifier: Apache-2.0
// Every bound of the kit, in one place. Sizes in bytes, times in milliseconds. What a connector
// must know of them stands in kit.h.
#pragma once

enum {
    SUBMIT_QUEUE_EVENTS_MAX = 32768,   // submitted, not yet taken over by the loop or in flight
    SUBMIT_QUEUE_BYTES_MAX = 64 << 20, // the same, serialised

    SPOOL_SEGMENT_BYTES = 8 << 20, // a segment file is closed when it is over this
    SPOOL_RECORD_BYTES_MAX = 2 << 20,
    SPOOL_SEGMENTS_MAX = 1 << 16, // files looked at when a spool is opened
    SPOOL_WINDOW = 32768,         // records read and not yet acked; a power of two
    SPOOL_CURSOR_RECORDS = 512,   // the cursor file lags behind the acks by less than this
    REPLAY_RECORDS_MAX = 2048,    // spool records at the publisher

    QUARANTINE_BYTES_MAX = 64 << 20,      // of the quarantine file; then KIT_FULL
    QUARANTINE_LINE_BYTES_MAX = 16 << 20, // of a row that is read back
    QUARANTINE_NAMES_MAX = 4096,          // identities looked for in one row; beyond: not checked

    PRIVACY_EVENTS_MAX = 256,   // erasures carried out in one go
    PRIVACY_LOOK_MS = 250,      // the thread looks around at least this often
    PRIVACY_RETRY_MS_MIN = 250, // what could not be cleared is tried again after this, doubled
    PRIVACY_RETRY_MS_MAX = 30000,
    PRIVACY_CHECK_MS = 3600 * 1000, // rows that came since are checked this often
    TOMBSTONED_ANSWER_MS = 2000,

    REPUBLISH_MS_MIN = 100, // a retryable refusal is repeated after this, doubled
    REPUBLISH_MS_MAX = 5000,

    OUTAGE_LANES = 4,    // that many lanes failing in a row: the sink's system is away, not poison
    OUTAGE_MS_MIN = 250, // then everything is held and tried again after this, doubled
    OUTAGE_MS_MAX = 5000,
    RESUBSCRIBE_MS = 2000,

    EXCHANGE_TEND_MS = 3600 * 1000, // what is too old in records and done goes this often

    COLLECT_MS = 1000, // default of collect_every_ms
    COLLECT_FAIL_MS_MAX = 30000,
    LOOP_MS = 250,    // the loop looks around at least this often
    REPORT_MS = 5000, // a health report to the broker this often
    REPORT_ANSWER_MS = 500,
    DRAIN_MS = 1000, // at the end: waiting for acks, then what can be is spooled
};
