// SPDX-License-Identifier: Apache-2.0
// Quarantine: events that broke their schema, kept with their reason until someone repairs or drops
// them. One row of LOG_QUARANTINE an (source, id): the same one again takes its place. The event is
// sealed with the key of the customer it leads to, else with nobody's; reason, type and source are
// readable. Reading is for any thread; fix and drop
// run in a tick job's `write`.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "broker/stores/block.h"
#include "broker/stores/keys.h"
#include "broker/stores/log.h"
#include "broker/tick/tick.h"
#include "broker/tick/whose.h"
#include "schemas/base/arena.h"
#include "touchbus.pb-c.h"

enum { QUARANTINE_KEY_BYTES = BLOCK_ID_HASH_BYTES, QUARANTINE_KEY_TEXT_BYTES = 33 };

// One row as read: pointers into the row's value.
struct quarantine_row {
    int64_t received_us;
    uint64_t customer;                             // whose key seals it; 0 nobody's
    const char *type, *source, *producer, *detail; // producer "" where unnumbered
    const uint8_t *run;                            // BLOCK_RUN_BYTES
    const uint8_t *sealed;
    size_t sealed_size;
};

// 0, or -EBADMSG.
int quarantine_parse(const void *value, size_t size, struct quarantine_row *ret);
// The event as it was published, in the arena. 0; 1: its key is destroyed; -EBADMSG or -ENOMEM.
// reader is between begin and end.
int quarantine_unseal(struct keys_reader *reader, const struct quarantine_row *row,
                      struct arena *arena, Touchbus__Event **ret);
// A key as operators write it: 32 hex digits. parse: 0 or -EINVAL.
char *quarantine_format_key(const uint8_t key[static QUARANTINE_KEY_BYTES],
                            char buffer[static QUARANTINE_KEY_TEXT_BYTES]);
int quarantine_parse_key(const char *text, uint8_t ret[static QUARANTINE_KEY_BYTES]);

// ---- in a tick job's `write`
// Publishes the repaired event and removes the row. 0, REASON_DUPLICATE (the row goes too), or
// another reason code: the row stays. *ret_detail is static or lives as long as the tick.
int quarantine_fix(struct tick *tick, const uint8_t key[static QUARANTINE_KEY_BYTES],
                   const Touchbus__Event *event, uint64_t *ret_sequence, const char **ret_detail);
// 0, or REASON_NOT_FOUND.
int quarantine_drop(struct tick *tick, const uint8_t key[static QUARANTINE_KEY_BYTES]);
// Whether the row is an erased person's: sealed with a destroyed key, or leading to one and to
// nobody living. 0 and *ret, or a negative errno. reader is between begin and end; any thread.
int quarantine_is_erased(const struct whose *whose, const struct catalogue *catalogue,
                         struct keys_reader *reader, const struct quarantine_row *row, bool *ret);
// Rows held now. Any thread.
uint64_t quarantine_count(const struct broker *broker);
