// SPDX-License-Identifier: Apache-2.0
// What tryton_changes.c (asking Tryton) and tryton_changes_page.c (telling the broker) share.
#pragma once

#include <jansson.h>

#include "connectors/erp/tryton_changes.h"
#include "connectors/erp/tryton_memory.h"

enum { CHANGES_SOURCE_BYTES = 256 };

struct tryton_changes {
    struct tryton_changes_options options;
    struct tryton_memory *memory;
    char source[CHANGES_SOURCE_BYTES];

    // The round.
    enum tryton_feed feed;
    json_int_t after_id; // 0: the feed's first page
    int64_t since_us, cursor_us;
    int64_t due_us, away_us; // monotonic; how long is waited while Tryton is away, 0: it is there
    int64_t news_us[TRYTON_FEEDS];
    bool is_refused[TRYTON_FEEDS]; // said so in the log

    // The page that is on its way to the broker.
    json_t *pending;
    json_t **items; // events of pending, one an event
    size_t n_published, n_settled;
    bool must_repeat; // one of them could not be put aside
};

// ---- tryton_changes_page.c

void changes_count(const struct tryton_changes *changes, size_t counter, uint64_t n);
// Sends the pending page. 0: all of it is on its way, or settled already; KIT_FULL; negative errno.
int changes_publish(struct tryton_changes *changes);
// The page is with the broker, or was empty: the cursor moves if it was the feed's last.
int changes_finish_page(struct tryton_changes *changes);

// ---- tryton_changes.c

// The feed was read to its end.
void changes_next_feed(struct tryton_changes *changes);
