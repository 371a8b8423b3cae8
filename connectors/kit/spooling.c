// SPDX-License-Identifier: Apache-2.0
// Between publishing and the spool: what goes there and why, and how it comes back. Whatever is
// answered as spooled has been synced; whatever could not be is answered as a refusal that may be
// repeated. Runs on the loop thread.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/kit/publishing.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"
#include "schemas/reasons.h"

bool spooling_active(const struct publishing *publishing) {
    return publishing->spool != NULL && spool_records(publishing->spool) > 0;
}

static bool may_spool(const struct entry *entry) {
    return !entry->never_spool && !entry->answered && entry->record == 0;
}

// Appends what waits for an answer; how many. Stops at the first that does not go.
static size_t append(struct publishing *publishing, struct entry_list *list, int *ret_r) {
    size_t n = 0;
    for (struct entry *entry = list->first; *ret_r == 0 && entry != NULL; entry = entry->next) {
        if (may_spool(entry)) {
            *ret_r = spool_append(publishing->spool, entry->bytes, entry->size, &entry->record);
            entry->unsynced = *ret_r == 0;
            n += entry->unsynced;
        }
    }
    return n;
}

static bool sync_appended(struct publishing *publishing, int r, size_t n) {
    int synced = spool_sync(publishing->spool);
    if (r < 0 || synced != 0) {
        logging_error("spool=write error=%s", strerror(r < 0 ? -r : -synced));
        return false;
    }
    metric_add(&publishing->kit->metrics, METRIC_SPOOLED, n);
    return true;
}

static void answer_appended(struct publishing *publishing, struct entry_list *list, bool safe,
                            bool tracked) {
    struct kit_ack spooled = {.reason = "ok", .detail = "", .hint = "", .spooled = true};
    for (struct entry *entry = list->first; entry != NULL; entry = entry->next) {
        if (entry->unsynced) {
            entry->unsynced = false;
            entry->record = safe && tracked ? entry->record : 0;
            if (safe) {
                publishing_answer(publishing, entry, &spooled);
            }
        }
    }
}

// The publisher has these besides: where the spool holds nothing that is still to be read, it reads
// on behind them. Else they will be read, and the broker knows them.
void spooling_catch(struct publishing *publishing) {
    bool tracked = spool_records(publishing->spool) == publishing->n_replaying;
    int r = 0;
    size_t n = append(publishing, &publishing->flying, &r);
    n += append(publishing, &publishing->waiting, &r);
    bool safe = sync_appended(publishing, r, n);
    // At the end all that was submitted comes at once, which may be more than the spool tells
    // apart.
    tracked = safe && tracked && spool_skip(publishing->spool);
    if (tracked) {
        publishing->n_replaying += n;
    }
    answer_appended(publishing, &publishing->flying, safe, tracked);
    answer_appended(publishing, &publishing->waiting, safe, tracked);
}

// While the spool holds older events, what comes goes there too; what finds no room goes back.
void spooling_route(struct publishing *publishing) {
    if (!spooling_active(publishing)) {
        return;
    }
    struct entry_list list = {0};
    for (struct entry *entry = publishing->waiting.first, *next; entry != NULL; entry = next) {
        next = entry->next;
        if (may_spool(entry)) {
            entries_remove(&publishing->waiting, entry);
            entries_push(&list, entry);
        }
    }
    if (list.n == 0) {
        return;
    }
    int r = 0;
    size_t n = append(publishing, &list, &r);
    bool safe = sync_appended(publishing, r, n);
    answer_appended(publishing, &list, safe, false);
    struct kit_ack busy = publishing_refusal(REASON_BUSY);
    for (struct entry *entry; (entry = list.first) != NULL;) {
        entries_remove(&list, entry);
        if (!entry->answered) {
            metric_add(&publishing->kit->metrics, METRIC_BUSY, 1);
            publishing_answer(publishing, entry, &busy);
        }
        entry_free(entry);
    }
}

// A record that reads well and is no event any more: another version's, or damage with luck.
static void set_aside_record(struct publishing *publishing, const void *bytes, size_t size,
                             uint64_t record) {
    struct entry entry = {0};
    struct kit_ack ack = publishing_refusal(REASON_BAD_FRAME);
    entry.bytes = malloc(size + 1);
    if (entry.bytes != NULL) {
        memcpy(entry.bytes, bytes, size);
        entry.size = size;
        publishing_set_aside(publishing, &entry, &ack);
        free(entry.bytes);
        spool_ack(publishing->spool, record);
    }
}

// The broker redacts what it is handed of persons who were erased, so everything goes the usual
// way; here is only that the files of before go too, and what could not be read in them.
void spooling_flush(struct publishing *publishing) {
    uint64_t asked = atomic_load(&publishing->flush_asked);
    if (asked == atomic_load(&publishing->flush_done)) {
        return;
    }
    struct spool *spool = publishing->spool;
    if (spool != NULL && publishing->flush_seen != asked) {
        publishing->flush_number = spool_rotate(spool);
        publishing->flush_seen = asked;
    }
    if (spool != NULL && GUARD(spool_purge) && !spool_is_past(spool, publishing->flush_number)) {
        return;
    }
    int64_t torn = spool == NULL ? 0 : spool_remove_torn(spool);
    if (torn < 0) {
        logging_warning("spool=torn error=%s", strerror((int)-torn));
        return; // the next round tries again
    }
    if (torn > 0) {
        logging_warning("spool=torn removed_bytes=%lld reason=erasure", (long long)torn);
    }
    atomic_store(&publishing->flush_done, asked);
}

void spooling_replay(struct publishing *publishing) {
    const void *bytes;
    size_t size;
    uint64_t record;
    while (publishing->n_replaying < REPLAY_RECORDS_MAX &&
           spool_next(publishing->spool, &bytes, &size, &record) == 0) {
        touchbus_event *event;
        struct entry *entry;
        if (touchbus_event_parse(bytes, size, &event) != 0) {
            set_aside_record(publishing, bytes, size, record);
            continue;
        }
        if (entry_new(publishing, event, &entry) != 0) {
            touchbus_event_free(event);
            return; // short of memory: it comes again at the next start
        }
        entry->record = record;
        publishing->n_replaying++;
        if (!publishing_publish(publishing, entry)) {
            return;
        }
    }
}
