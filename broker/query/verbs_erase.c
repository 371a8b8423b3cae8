// SPDX-License-Identifier: Apache-2.0
// The verbs about erased persons: erase one, its receipt, and whether keys lead to one. A person is
// named by number only from here on: what was asked by key goes no further than the look-up, not
// even into the log's admin.acted.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/query/verbs_all.h"
#include "broker/query/verbs_read.h"
#include "broker/tick/erase.h"
#include "broker/tick/whose.h"
#include "schemas/envelope.h"
#include "schemas/limits.h"

enum { TOMBSTONED_MAX = 1000 }; // identities in one question

// The customer of the arguments, living or erased, in place of them. False: the call is refused, or
// *ret_error is set.
static bool name_customer(struct call *call, struct view_txn *txn, uint64_t *ret, int *ret_error) {
    View__Customer *record;
    *ret_error = 0;
    if (!read_customer_argument(call, txn, ret)) {
        return false;
    }
    int r = read_customer_record(call, txn, *ret, &record);
    if (r > 0) {
        call_refuse(call, REASON_NOT_FOUND, "no such customer");
    }
    *ret_error = r < 0 ? r : 0;
    if (r == 0) {
        call_name_customer(call, *ret);
    }
    return r == 0;
}

// ---- erase

struct erasing {
    uint64_t customer, sequence;
};

static int begin_erase(struct call *call, struct view_txn *txn) {
    struct erasing *erasing = calloc(1, sizeof(*erasing));
    if (erasing == NULL) {
        return -ENOMEM;
    }
    call_keep(call, erasing, free);
    int r;
    name_customer(call, txn, &erasing->customer, &r);
    return r;
}

int verb_customer_erase(struct call *call) {
    return read_with_view(call, begin_erase);
}

int verb_customer_erase_write(struct call *call, struct tick *tick) {
    struct erasing *erasing = call_progress(call);
    const char *actor = call_argument(call, "actor");
    return erase_customer(tick, erasing->customer, actor, &erasing->sequence);
}

int verb_customer_erase_then(struct call *call) {
    const struct erasing *erasing = call_progress(call);
    char number[24];
    call_as_of(call, erasing->sequence);
    return call_answer(call, json_pack("{s:s, s:I}", "customer",
                                       envelope_format_customer(erasing->customer, number),
                                       "sequence", (json_int_t)erasing->sequence));
}

// ---- the receipt: joined when it is read, so it needs no keeping

static int begin_receipt(struct call *call, struct view_txn *txn) {
    uint64_t customer;
    int r;
    if (name_customer(call, txn, &customer, &r) &&
        !whose_is_erased(call_broker(call)->keys, customer)) {
        return call_refuse(call, REASON_NOT_FOUND, "this customer was not erased");
    }
    return r;
}

int verb_customer_receipt(struct call *call) {
    return read_with_view(call, begin_receipt);
}

struct when {
    uint64_t customer;
    int64_t time_us;
};

static int note_when(void *user, uint64_t customer, int64_t time_us) {
    struct when *when = user;
    when->time_us = customer == when->customer ? time_us : when->time_us;
    return customer == when->customer;
}

static int is_purged(struct call *call, bool *ret) {
    struct log_reader *log = call_reads(call)->log;
    const void *value;
    size_t size;
    int r = log_reader_begin(log);
    if (r == 0) {
        r = log_reader_get(log, LOG_META, ERASE_MARK, sizeof(ERASE_MARK) - 1, &value, &size);
        log_reader_end(log);
    }
    *ret = r == 1;
    return r < 0 ? r : 0;
}

static bool all_confirmed(const json_t *connectors) {
    size_t i;
    const json_t *row;
    json_array_foreach(connectors, i, row) {
        if (strcmp(json_string_value(json_object_get(row, "state")), "confirmed") != 0) {
            return false;
        }
    }
    return true;
}

int verb_customer_receipt_then(struct call *call) {
    const struct broker *broker = call_broker(call);
    const json_t *found = call_answer_borrow(call);
    json_t *connectors = json_incref(json_object_get(found, "connectors"));
    uint64_t sequence = (uint64_t)json_integer_value(json_object_get(found, "sequence"));
    const char *customer = call_argument(call, "customer");
    struct when when = {.customer = 0};
    bool purged = false;
    int r = envelope_parse_customer(customer, &when.customer);
    r = r == 0 ? keys_each_destroyed(broker->keys, note_when, &when) : r;
    r = r >= 0 ? is_purged(call, &purged) : r;
    if (r < 0) {
        json_decref(connectors);
        return r;
    }
    const struct {
        const char *what;
        bool is_done;
    } steps[] = {
        {"key", true},
        {"view", sequence != 0},
        {"parked", sequence != 0},
        {"quarantine", sequence != 0 && purged},
        {"key-pages", !keys_needs_scrub(broker->keys)},
        {"restore-point", sequence != 0 && view_restorable(broker->view) >= sequence},
    };
    json_t *done = json_array(), *waiting = json_array();
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        json_array_append_new(steps[i].is_done ? done : waiting, json_string(steps[i].what));
    }
    bool all = json_array_size(waiting) == 0 && all_confirmed(connectors);
    return call_answer(call,
                       json_pack("{s:s, s:I, s:o, s:s, s:o, s:o, s:o}", "customer", customer,
                                 "sequence", (json_int_t)sequence, "time",
                                 read_time_json(when.time_us), "state", all ? "done" : "pending",
                                 "done", done, "waiting", waiting, "connectors", connectors));
}

// ---- whether keys lead to an erased person: for connectors, of what they keep themselves

static int tombstoned(struct call *call, struct view_txn *txn) {
    const json_t *identities = json_object_get(call_body(call), "identities");
    struct whose whose = {.keys = call_broker(call)->keys,
                          .txn = txn,
                          .arena = call_reads(call)->arena,
                          .policies = call_broker(call)->policy};
    if (!json_is_array(identities) || json_array_size(identities) > TOMBSTONED_MAX) {
        return call_refuse(call, REASON_BAD_ARGUMENT, "body: expected up to %d identities",
                           TOMBSTONED_MAX);
    }
    json_t *verdicts = json_array();
    size_t i;
    const json_t *row;
    json_array_foreach(identities, i, row) {
        const char *kind = json_string_value(json_object_get(row, "kind"));
        const char *value = json_string_value(json_object_get(row, "value"));
        uint64_t customer = 0;
        if (kind == NULL || value == NULL) {
            json_decref(verdicts);
            return call_refuse(call, REASON_BAD_ARGUMENT,
                               "body: an identity is a kind and a value");
        }
        int r = whose_key(&whose, kind, value, &customer);
        if (r < 0) {
            json_decref(verdicts);
            return r;
        }
        json_array_append_new(verdicts, json_boolean(whose_is_erased(whose.keys, customer)));
    }
    return call_answer(call, json_pack("{s:o}", "tombstoned", verdicts));
}

int verb_customer_tombstoned(struct call *call) {
    return read_with_view(call, tombstoned);
}
