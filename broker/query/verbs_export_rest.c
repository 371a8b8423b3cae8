// SPDX-License-Identifier: Apache-2.0
// What is held about a customer beside the timeline: items of every kind, events in quarantine that
// lead to it, lanes that are parked. Page by page.
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "broker/query/verbs_export.h"
#include "broker/tick/quarantine.h"
#include "broker/tick/whose.h"
#include "delivery.pb-c.h"
#include "schemas/base/clock.h"
#include "schemas/cloudevents.h"

enum { ROWS_A_PAGE = 64 };

// One at a time, since one alone may be as large as a part.
int export_items(struct call *call, struct export *export, enum item_kind kind, json_t *list) {
    struct reading reading = {.call = call, .now_us = clock_now_us()};
    View__Item **items;
    size_t n = 0;
    arena_reset(export->arena);
    reading.profile = (struct profile){.txn = export->txn,
                                       .arena = export->arena,
                                       .customer = export->customer,
                                       .n_leaves = export->n_leaves};
    for (size_t i = 0; i < export->n_leaves; i++) {
        reading.profile.leaves[i].number = export->leaves[i];
    }
    int r = profile_items_page(&reading.profile, kind, &export->page, 1, &items, &n);
    for (size_t i = 0; r >= 0 && i < n; i++) {
        r = json_array_append_new(list, item_json(&reading, items[i])) == 0 ? r : -ENOMEM;
    }
    if (r == 0) {
        export->page = (struct profile_page){.leaf = 0};
    }
    return r > 0 ? VERB_AGAIN : r;
}

// ---- tables of the log

static bool is_his(const struct export *export, uint64_t customer) {
    for (size_t i = 0; i < export->n_leaves; i++) {
        if (export->leaves[i] == customer) {
            return true;
        }
    }
    return false;
}

struct page {
    struct call *call;
    struct export *export;
    json_t *list;
    int (*add)(struct page *page, const void *key, size_t key_size, const void *value, size_t size);
    size_t n_rows;
    bool more;
};

static int page_row(void *user, const void *key, size_t key_size, const void *value, size_t size) {
    struct page *page = user;
    struct export *export = page->export;
    if (key_size > sizeof(export->last)) {
        return -EBADMSG;
    }
    if (key_size == export->last_size && memcmp(key, export->last, key_size) == 0) {
        return 0;
    }
    if (page->n_rows == ROWS_A_PAGE) {
        page->more = true;
        return 1;
    }
    memcpy(export->last, key, key_size);
    export->last_size = key_size;
    page->n_rows++;
    arena_reset(export->arena);
    return page->add(page, key, key_size, value, size);
}

static int export_page(struct page *page, enum log_table table) {
    struct export *export = page->export;
    bool from = export->last_size > 0;
    int r = log_reader_scan(call_reads(page->call)->log, table, NULL, 0, from ? export->last : NULL,
                            export->last_size, page_row, page);
    if (r < 0 || page->more) {
        return r < 0 ? r : VERB_AGAIN;
    }
    export->last_size = 0;
    return 0;
}

// ---- events in quarantine

static int is_of_customer(const struct page *page, const struct quarantine_row *row,
                          const Touchbus__Event *event, bool *ret) {
    const struct export *export = page->export;
    struct broker *broker = call_broker(page->call);
    struct whose whose = {.keys = broker->keys,
                          .txn = export->txn,
                          .arena = export->arena,
                          .policies = broker->policy};
    uint64_t owner = row->customer;
    bool erased;
    int r = owner != 0 ? 0 : whose_event(&whose, broker->catalogue, event, &owner, &erased);
    *ret = is_his(export, owner);
    return r;
}

static int add_quarantined(struct page *page, const void *key, size_t key_size, const void *value,
                           size_t size) {
    struct quarantine_row row;
    Touchbus__Event *event = NULL;
    bool is_about = false;
    if (key_size != QUARANTINE_KEY_BYTES || quarantine_parse(value, size, &row) != 0 ||
        (row.customer != 0 && !is_his(page->export, row.customer))) {
        return 0;
    }
    int r = quarantine_unseal(call_reads(page->call)->keys, &row, page->export->arena, &event);
    if (r != 0) {
        return r == -ENOMEM ? r : 0; // destroyed, or nobody can read it
    }
    r = is_of_customer(page, &row, event, &is_about);
    if (r != 0 || !is_about) {
        return r;
    }
    char id[QUARANTINE_KEY_TEXT_BYTES];
    page->export->n_quarantined++;
    return json_array_append_new(
        page->list, json_pack("{s:s, s:s, s:o, s:o?}", "id", quarantine_format_key(key, id),
                              "detail", row.detail, "received", read_time_json(row.received_us),
                              "event", cloudevents_to_json(event)));
}

int export_quarantined(struct call *call, struct export *export, json_t *list) {
    struct page page = {.call = call, .export = export, .list = list, .add = add_quarantined};
    return export_page(&page, LOG_QUARANTINE);
}

// ---- parked lanes

static int add_parked(struct page *page, const void *key, size_t key_size, const void *value,
                      size_t size) {
    const char *name = key;
    size_t name_size = strnlen(name, key_size);
    uint64_t lane;
    if (name_size + 1 + sizeof(lane) != key_size) {
        return -EBADMSG;
    }
    memcpy(&lane, name + name_size + 1, sizeof(lane));
    if (!is_his(page->export, be64toh(lane))) {
        return 0;
    }
    const Delivery__ParkedRecord *record =
        delivery__parked_record__unpack(arena_allocator(page->export->arena), size, value);
    if (record == NULL) {
        return -EBADMSG;
    }
    page->export->n_parked++;
    return json_array_append_new(
        page->list, json_pack("{s:s, s:I, s:I, s:I, s:o, s:s}", "subscription", name, "first",
                              (json_int_t)record->first, "last", (json_int_t)record->last,
                              "waiting", (json_int_t)record->waiting, "since",
                              read_time_json(record->since_us), "detail", record->detail));
}

int export_parked(struct call *call, struct export *export, json_t *list) {
    struct page page = {.call = call, .export = export, .list = list, .add = add_parked};
    return export_page(&page, LOG_PARKED);
}
