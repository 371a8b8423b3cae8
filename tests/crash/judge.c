// SPDX-License-Identifier: Apache-2.0
// See judge.h. It links the broker's library and reads the stores through it; a fault here ends the
// process by an assertion, which is a verdict too.
#include "judge.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/stores/ticks.h"
#include "broker/stores/rebuild.h"
#include "broker/stores/state.h"
#include "broker/stores/store.h"
#include "broker/tick/quarantine.h"
#include "broker/tick/whose.h"
#include "schemas/base/arena.h"

enum {
    MAP_BYTES = 1 << 28,
    GO_ON_TICKS = 3,
    GO_ON_EVENTS = 3,
    ARENA_BYTES = 8 << 20,
    LIVES = 2,
    UNSAID_MAX = 64
};

struct judge {
    const struct account *account;
    uint64_t offset;
    struct broker *broker;
    struct log_reader *log;
    struct keys_reader *keys;
    struct arena *arena;
    uint64_t *sequences; // of a publisher's number: where it lies in the log, 0 nowhere
    bool *quarantined;   // of a publisher's number
};

static int wrong(struct judge *judge, const char *what, uint64_t number) {
    fprintf(stderr, "%s (%" PRIu64 "; log %" PRIu64 " to %" PRIu64 ")\n", what, number,
            log_first(judge->broker->log), log_next(judge->broker->log) - 1);
    return 1;
}

static size_t index_of(const struct judge *judge, unsigned name, uint64_t number) {
    return (size_t)name * (judge->account->number_max + 2) + number;
}

// ---- what is there

// The event's sealed half, readable. 0; 1: its customer was erased; -EBADMSG: it is not what was
// sealed.
static int unseal(struct judge *judge, const struct block_head *block,
                  const struct block_entry *entry, const uint8_t **ret, size_t *ret_size) {
    uint64_t key = block_entry_key(entry);
    if (keys_is_destroyed(judge->broker->keys, key)) {
        return 1;
    }
    if (entry->sealed_size < KEYS_SEAL_OVERHEAD) {
        return -EBADMSG;
    }
    *ret_size = entry->sealed_size - KEYS_SEAL_OVERHEAD;
    uint8_t *plain = arena_alloc(judge->arena, *ret_size + 1);
    int r = plain == NULL ? -ENOMEM
                          : keys_unseal(judge->keys, key, block->run, entry->sequence,
                                        entry->sealed, entry->sealed_size, plain);
    *ret = plain;
    return r == 0 ? 0 : -EBADMSG;
}

// One event: whole, and where it is a publisher's, with the body that its id says.
static int read_entry(struct judge *judge, const struct block_head *block,
                      const struct block_entry *entry) {
    size_t size = 0;
    Touchbus__Event *event = touchbus__event__unpack(NULL, entry->open_size, entry->open);
    if (event == NULL || event->sequence != entry->sequence) {
        return wrong(judge, "an event's open half is not its own", entry->sequence);
    }
    unsigned name = 0;
    uint64_t number = 0;
    const uint8_t *plain = NULL;
    int sealed = unseal(judge, block, entry, &plain, &size), r = 0;
    bool bodiless = sealed == 1 || event->redacted;
    if (sealed < 0) {
        r = wrong(judge, "an event cannot be unsealed", entry->sequence);
    } else if (account_parse_id(judge->account, event->id, &name, &number) &&
               number <= judge->account->number_max) {
        uint64_t *sequence = &judge->sequences[index_of(judge, name, number)];
        if (!bodiless && memmem(plain, size, event->id, strlen(event->id)) == NULL) {
            r = wrong(judge, "an event has another's body", entry->sequence);
        } else if (*sequence != 0) {
            r = wrong(judge, "an event is in the log twice", entry->sequence);
        }
        *sequence = entry->sequence;
    }
    touchbus__event__free_unpacked(event, NULL);
    arena_reset(judge->arena);
    return r;
}

static int read_log(struct judge *judge) {
    uint64_t at = log_first(judge->broker->log), end = log_next(judge->broker->log);
    int r = 0;
    while (r == 0 && at < end) {
        struct block_head block = {.first = 0};
        if (log_reader_block(judge->log, at, &block) != 0 || block.first != at) {
            return wrong(judge, "a block is damaged or missing", at);
        }
        for (uint32_t i = 0; r == 0 && i < block.n_events; i++, at++) {
            struct block_entry entry;
            if (block_entry_get(&block, i, &entry) != 0 || entry.sequence != at) {
                return wrong(judge, "an entry is damaged", at);
            }
            r = read_entry(judge, &block, &entry);
        }
    }
    return r;
}

static int read_quarantined(void *user, const void *key, size_t key_size, const void *value,
                            size_t size) {
    struct judge *judge = user;
    struct quarantine_row row;
    Touchbus__Event *event = NULL;
    unsigned name = 0;
    uint64_t number = 0;
    (void)key, (void)key_size;
    if (quarantine_parse(value, size, &row) != 0 ||
        quarantine_unseal(judge->keys, &row, judge->arena, &event) != 0) {
        return wrong(judge, "a quarantined event is damaged", 0);
    }
    if (account_parse_id(judge->account, event->id, &name, &number) &&
        number <= judge->account->number_max) {
        judge->quarantined[index_of(judge, name, number)] = true;
    }
    arena_reset(judge->arena);
    return 0;
}

// ---- what must be there

// Nothing of the person can be read again, and the log and the view say so.
static int check_erased(struct judge *judge, uint64_t customer) {
    struct view_txn *txn = NULL;
    uint64_t sequence = 0;
    if (!keys_is_destroyed(judge->broker->keys, customer)) {
        return wrong(judge, "an erased customer has a key again", customer);
    }
    if (view_begin(judge->broker->view, false, &txn) != 0) {
        abort();
    }
    int r = whose_erased_sequence(txn, customer, &sequence);
    view_abort(txn);
    return r == 0 && sequence != 0 ? 0 : wrong(judge, "an erased customer is there", customer);
}

static int check_line(struct judge *judge, const struct account_line *line) {
    const char *name = judge->account->names[line->name];
    size_t index = index_of(judge, line->name, line->number);
    const void *value = NULL;
    size_t size = 0;
    switch (line->kind) {
    case ACCOUNT_LOGGED:
        if (line->sequence >= log_first(judge->broker->log) &&
            judge->sequences[index] != line->sequence) {
            return wrong(judge, "an acked event is not where it was acked", line->sequence);
        }
        break;
    case ACCOUNT_QUARANTINED:
        if (!judge->quarantined[index]) {
            return wrong(judge, "an event acked as quarantined is not there", line->number);
        }
        break;
    case ACCOUNT_JOINED:
        if (log_reader_get(judge->log, LOG_SUBSCRIPTIONS, name, strlen(name), &value, &size) != 0) {
            return wrong(judge, "a subscription is gone", line->number);
        }
        break;
    case ACCOUNT_ERASED:
        return check_erased(judge, line->sequence);
    case ACCOUNT_OTHER:
        break;
    }
    return 0;
}

static int check_account(struct judge *judge) {
    int r = 0;
    for (size_t i = 0; r == 0 && i < judge->account->n_lines; i++) {
        if (judge->account->lines[i].offset > judge->offset) {
            break;
        }
        r = check_line(judge, &judge->account->lines[i]);
    }
    return r;
}

// ---- erasures that were cut between the key and the event: the tick says what is not said yet
// (erase.c), here it is said in its place

struct unsaid {
    struct judge *judge;
    uint64_t customers[UNSAID_MAX];
    size_t n;
};

static int note_unsaid(void *user, uint64_t customer, int64_t time_us) {
    struct unsaid *unsaid = user;
    struct view_txn *txn = NULL;
    uint64_t sequence = 0;
    (void)time_us;
    if (view_begin(unsaid->judge->broker->view, false, &txn) != 0 || unsaid->n == UNSAID_MAX) {
        abort();
    }
    int r = whose_erased_sequence(txn, customer, &sequence);
    view_abort(txn);
    if (r == 0 && sequence == 0) {
        unsaid->customers[unsaid->n++] = customer;
    }
    return r;
}

static int say_unsaid(struct judge *judge) {
    struct unsaid unsaid = {.judge = judge};
    if (keys_each_destroyed(judge->broker->keys, note_unsaid, &unsaid) != 0) {
        return wrong(judge, "the destroyed keys cannot be read", 0);
    }
    for (size_t i = 0; i < unsaid.n; i++) {
        ticks_erase(judge->broker, unsaid.customers[i]);
    }
    return 0;
}

static int check_log(struct judge *judge) {
    if (log_reader_begin(judge->log) != 0 || keys_reader_begin(judge->keys) != 0) {
        abort();
    }
    int r = read_log(judge);
    r = r != 0 ? r
               : log_reader_scan(judge->log, LOG_QUARANTINE, NULL, 0, NULL, 0, read_quarantined,
                                 judge);
    r = r != 0 ? r : check_account(judge);
    keys_reader_end(judge->keys);
    log_reader_end(judge->log);
    return r;
}

// ---- the view

static int check_applied(struct judge *judge) {
    struct view_txn *txn = NULL;
    if (view_begin(judge->broker->view, false, &txn) != 0) {
        abort();
    }
    uint64_t applied = view_applied(txn);
    view_abort(txn);
    return applied == log_next(judge->broker->log) - 1
               ? 0
               : wrong(judge, "the view is not up to the log", applied);
}

static int fold_all(struct judge *judge, struct view *view) {
    struct rebuild *rebuild = NULL;
    uint64_t applied = 0;
    int r = rebuild_new(judge->broker->log, judge->broker->keys, view, &rebuild);
    for (r = r == 0 ? 1 : r; r == 1;) {
        r = rebuild_step(rebuild, log_next(judge->broker->log) - 1, &applied);
    }
    rebuild_free(rebuild);
    return r;
}

// The view against a scratch copy built from base and log, table by table, byte by byte.
static int check_view(struct judge *judge) {
    struct broker *broker = judge->broker;
    char live[65], rebuilt[65], dir[4096];
    struct view *scratch = NULL;
    ticks_hash(broker->view, live);
    snprintf(dir, sizeof(dir), "%s/scratch", broker->configuration.state);
    if (view_copy(broker->base, dir) != 0 ||
        view_open(dir, VIEW_SCRATCH, MAP_BYTES, false, &scratch) != 0 ||
        fold_all(judge, scratch) != 0) {
        return wrong(judge, "no view can be built from base and log", 0);
    }
    ticks_hash(scratch, rebuilt);
    view_close(scratch);
    store_remove_folder(dir);
    return strcmp(live, rebuilt) == 0 ? 0
                                      : wrong(judge, "the view is not the fold of base and log", 0);
}

// ---- a life

static struct broker *open_state(const char *state) {
    struct broker *broker = calloc(1, sizeof(*broker));
    if (broker == NULL) {
        abort();
    }
    broker->configuration.state = strdup(state);
    broker->configuration.log_map_bytes = MAP_BYTES;
    broker->configuration.view_map_bytes = MAP_BYTES;
    if (state_open(broker) < 0) {
        fprintf(stderr, "the state does not open\n");
        exit(1);
    }
    return broker;
}

static void close_state(struct broker *broker) {
    state_close(broker, false); // as a kill would: no last restore point
    free(broker->configuration.state);
    free(broker);
}

static void open_readers(struct judge *judge) {
    size_t n = ACCOUNT_NAMES_MAX * (judge->account->number_max + 2);
    judge->sequences = calloc(n, sizeof(*judge->sequences));
    judge->quarantined = calloc(n, sizeof(*judge->quarantined));
    judge->arena = arena_new(ARENA_BYTES);
    if (judge->sequences == NULL || judge->quarantined == NULL || judge->arena == NULL ||
        log_reader_new(judge->broker->log, &judge->log) != 0 ||
        keys_reader_new(judge->broker->keys, &judge->keys) != 0) {
        abort();
    }
}

static void close_readers(struct judge *judge) {
    keys_reader_free(judge->keys);
    log_reader_free(judge->log);
    arena_free(judge->arena);
    free(judge->sequences);
    free(judge->quarantined);
}

static void go_on(struct broker *broker) {
    for (int i = 0; i < GO_ON_TICKS; i++) {
        ticks_one(broker, GO_ON_EVENTS);
        if (i == GO_ON_TICKS / 2) {
            ticks_point(broker);
        }
    }
}

int judge_state(const char *state, const struct account *account, uint64_t offset, bool with_view) {
    struct judge judge = {.account = account, .offset = offset};
    uint64_t next = 0;
    int r = 0;
    for (int life = 0; r == 0 && life < LIVES; life++) {
        judge.broker = open_state(state);
        open_readers(&judge);
        if (next != 0 && log_next(judge.broker->log) != next) {
            r = wrong(&judge, "what was logged after the cut is not there", next);
        }
        r = r != 0 ? r : check_log(&judge);
        r = r != 0 ? r : check_applied(&judge);
        r = r != 0 ? r : say_unsaid(&judge);
        r = r != 0 || !with_view ? r : check_view(&judge);
        close_readers(&judge);
        if (r == 0) {
            go_on(judge.broker);
        }
        next = log_next(judge.broker->log);
        close_state(judge.broker);
    }
    return r;
}
