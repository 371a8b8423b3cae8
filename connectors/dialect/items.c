// SPDX-License-Identifier: Apache-2.0
#include "connectors/dialect/items.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static char no_id[] = "";

struct item *items_add(struct items *items, const char *raw, size_t raw_size) {
    if (items->n == ITEMS_MAX) {
        return NULL;
    }
    if (items->n == items->n_allocated) {
        size_t n = items->n_allocated == 0 ? 16 : 2 * items->n_allocated;
        struct item *list = reallocarray(items->list, n, sizeof(*list));
        if (list == NULL) {
            return NULL;
        }
        items->list = list;
        items->n_allocated = n;
    }
    struct item *item = &items->list[items->n++];
    *item = (struct item){.id = no_id, .raw = raw, .raw_size = raw_size};
    return item;
}

int item_set_id(struct item *item, const char *id) {
    char *copy = strdup(id);
    if (copy == NULL) {
        return -ENOMEM;
    }
    if (item->id != no_id) {
        free(item->id);
    }
    item->id = copy;
    return 0;
}

void items_clear(struct items *items) {
    for (size_t i = 0; i < items->n; i++) {
        touchbus_event_free(items->list[i].event);
        if (items->list[i].id != no_id) {
            free(items->list[i].id);
        }
    }
    free(items->list);
    *items = (struct items){0};
}
