// SPDX-License-Identifier: Apache-2.0
// The collection of settlement.h: fixed room, filled and emptied.
#include "connectors/client/settlement.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/base/utf8.h"
#include "schemas/limits.h"

static_assert(SETTLEMENT_DELIVERED_MAX + SETTLEMENT_FAILURES_MAX <= SETTLE_MAX,
              "a full settlement is one the broker takes");

bool settlement_empty(const struct settlement *settlement) {
    return settlement_count(settlement) == 0 && settlement->grant == 0;
}

bool settlement_full(const struct settlement *settlement) {
    return settlement->n_delivered == SETTLEMENT_DELIVERED_MAX ||
           settlement->n_failures == SETTLEMENT_FAILURES_MAX;
}

size_t settlement_count(const struct settlement *settlement) {
    return settlement->n_delivered + settlement->n_failures;
}

static void note_time(struct settlement *settlement, int64_t now_us) {
    if (settlement_empty(settlement)) {
        settlement->since_us = now_us;
    }
}

void settlement_add_delivered(struct settlement *settlement, uint64_t sequence, int64_t now_us) {
    assert(!settlement_full(settlement));
    note_time(settlement, now_us);
    settlement->delivered[settlement->n_delivered++] = sequence;
}

// A sink's own words may be anything: what the broker would refuse is cut or replaced.
static char *copy_detail(const char *detail) {
    char *copy = strndup(detail == NULL ? "" : detail, DETAIL_BYTES_MAX);
    size_t length = copy == NULL ? 0 : strlen(copy);
    for (int cut = 0; cut < 4 && length > 0 && !utf8_check_printable(copy, length); cut++) {
        length--; // perhaps in the middle of a character
    }
    if (length > 0 && !utf8_check_printable(copy, length)) {
        length = strlen(copy);
        for (size_t i = 0; i < length; i++) {
            copy[i] = copy[i] >= ' ' && copy[i] < 0x7f ? copy[i] : '?';
        }
    }
    if (copy != NULL) {
        copy[length] = '\0';
    }
    return copy;
}

int settlement_add_failure(struct settlement *settlement, uint64_t sequence, bool reject,
                           const char *detail, int64_t now_us) {
    assert(!settlement_full(settlement));
    char *copy = copy_detail(detail);
    if (copy == NULL) {
        return -ENOMEM;
    }
    note_time(settlement, now_us);
    Touchbus__Failure *failure = &settlement->failures[settlement->n_failures];
    touchbus__failure__init(failure);
    failure->sequence = sequence;
    failure->reject = reject;
    failure->detail = copy;
    settlement->failure_list[settlement->n_failures++] = failure;
    return 0;
}

void settlement_grant(struct settlement *settlement, uint32_t n_events, int64_t now_us) {
    note_time(settlement, now_us);
    settlement->grant += n_events;
}

void settlement_message(struct settlement *settlement, Touchbus__Settle *ret) {
    touchbus__settle__init(ret);
    ret->n_delivered = settlement->n_delivered;
    ret->delivered = settlement->delivered;
    ret->n_failures = settlement->n_failures;
    ret->failures = settlement->failure_list;
    ret->grant = settlement->grant;
}

void settlement_clear(struct settlement *settlement) {
    for (size_t i = 0; i < settlement->n_failures; i++) {
        free(settlement->failures[i].detail);
    }
    settlement->n_delivered = settlement->n_failures = 0;
    settlement->grant = 0;
}
