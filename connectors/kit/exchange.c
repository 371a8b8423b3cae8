// SPDX-License-Identifier: Apache-2.0
#include "connectors/kit/exchange.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/kit/bounds.h"
#include "schemas/base/clock.h"
#include "schemas/base/logging.h"

struct ids {
    char *(*id_of)(const void *record, size_t size);
    char **list;
    size_t n, n_allocated;
    bool failed;
};

static void on_record(void *user, const void *bytes, size_t size) {
    struct ids *ids = user;
    if (ids->n == ids->n_allocated) {
        size_t wanted = ids->n_allocated == 0 ? 16 : 2 * ids->n_allocated;
        char **list = reallocarray(ids->list, wanted, sizeof(*list));
        if (list == NULL) {
            ids->failed = true;
            return;
        }
        ids->list = list;
        ids->n_allocated = wanted;
    }
    char *id = ids->id_of(bytes, size);
    if (id != NULL) {
        ids->list[ids->n++] = id;
    }
}

// The reports first: which they are is told by the records, and those go last.
static int erase(struct outbox *outbox, struct inbox *inbox, const char *owner, struct ids *ids) {
    int r = outbox_each(outbox, owner, on_record, ids);
    if (r == 0 && ids->failed) {
        r = -ENOMEM;
    }
    union {
        char **from;
        const char *const *to;
    } list = {.from = ids->list};
    r = r == 0 ? inbox_erase(inbox, list.to, ids->n) : r;
    return r == 0 ? outbox_erase(outbox, owner) : r;
}

int exchange_erase(struct outbox *outbox, struct inbox *inbox, const char *owner,
                   char *(*id_of)(const void *record, size_t size)) {
    struct ids ids = {.id_of = id_of};
    int r = outbox_flush(outbox);
    r = r == 0 ? erase(outbox, inbox, owner, &ids) : r;
    for (size_t i = 0; i < ids.n; i++) {
        free(ids.list[i]);
    }
    free(ids.list);
    return r;
}

void exchange_tend(struct outbox *outbox, struct inbox *inbox, int64_t keep_us, int64_t *due_us) {
    int64_t now_us = clock_monotonic_us();
    if (now_us < *due_us) {
        return;
    }
    *due_us = now_us + EXCHANGE_TEND_MS * CLOCK_US_PER_MS;
    int r = outbox_expire(outbox, keep_us);
    r = r == 0 ? inbox_expire(inbox, keep_us) : r;
    if (r < 0) {
        logging_warning("keep=failed error=%s", strerror(-r));
    }
}
