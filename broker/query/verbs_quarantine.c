// SPDX-License-Identifier: Apache-2.0
// The verbs about quarantined events: ls and show read here, fix and drop write in the tick.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/query/verbs_all.h"
#include "broker/query/verbs_read.h"
#include "broker/tick/quarantine.h"
#include "schemas/base/cleanup.h"
#include "schemas/body.h"
#include "schemas/cloudevents.h"

enum { EVENT_ARENA_BYTES = 8 << 20 };

// ---- ls: in parts of CALL_ROWS_MAX rows, from the last key on

struct list {
    uint8_t last[QUARANTINE_KEY_BYTES];
    bool began;
    json_t *rows;
    bool full;
    uint64_t n_rows;
};

static json_t *row_json(const uint8_t *key, const struct quarantine_row *row) {
    char id[QUARANTINE_KEY_TEXT_BYTES];
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:o}", "id", quarantine_format_key(key, id), "type",
                     row->type, "source", row->source, "producer", row->producer, "detail",
                     row->detail, "received", read_time_json(row->received_us));
}

static int list_row(void *user, const void *key, size_t key_size, const void *value, size_t size) {
    struct list *list = user;
    struct quarantine_row row;
    if (key_size != QUARANTINE_KEY_BYTES || quarantine_parse(value, size, &row) != 0) {
        return -EBADMSG;
    }
    if (list->began && memcmp(key, list->last, key_size) == 0) {
        return 0;
    }
    if (json_array_size(list->rows) == CALL_ROWS_MAX) {
        list->full = true;
        return 1;
    }
    memcpy(list->last, key, key_size);
    list->n_rows++;
    return json_array_append_new(list->rows, row_json(key, &row)) == 0 ? 0 : -ENOMEM;
}

static int list_part(struct call *call, struct list *list) {
    struct log_reader *log = call_reads(call)->log;
    list->full = false;
    list->rows = json_array();
    int r = list->rows != NULL ? log_reader_begin(log) : -ENOMEM;
    if (r == 0) {
        r = log_reader_scan(log, LOG_QUARANTINE, NULL, 0, list->began ? list->last : NULL,
                            list->began ? sizeof(list->last) : 0, list_row, list);
        log_reader_end(log);
    }
    list->began = list->began || json_array_size(list->rows) > 0;
    json_t *part = r >= 0 ? json_pack("{s:o}", "rows", STEAL(list->rows)) : NULL;
    json_decref(list->rows);
    list->rows = NULL;
    return r < 0 ? r : call_part(call, part);
}

int verb_quarantine_ls(struct call *call) {
    struct list *list = call_progress(call);
    if (list == NULL) {
        list = calloc(1, sizeof(*list));
        if (list == NULL) {
            return -ENOMEM;
        }
        call_keep(call, list, free);
    }
    int r = list_part(call, list);
    if (r != 0 || list->full) {
        return r != 0 ? r : VERB_AGAIN;
    }
    return call_answer(call, json_pack("{s:I}", "quarantined", (json_int_t)list->n_rows));
}

// ---- one event

struct one {
    uint8_t key[QUARANTINE_KEY_BYTES];
    struct arena *arena;
    Touchbus__Event *event; // in the arena
    uint64_t sequence;
    uint32_t outcome;
};

static void one_free(void *progress) {
    struct one *one = progress;
    arena_free(one->arena);
    free(one);
}

static int one_new(struct call *call, struct one **ret) {
    struct one *one = calloc(1, sizeof(*one));
    if (one == NULL) {
        return -ENOMEM;
    }
    call_keep(call, one, one_free);
    one->arena = arena_new(EVENT_ARENA_BYTES);
    *ret = one;
    return one->arena != NULL ? 0 : -ENOMEM;
}

static bool one_key(struct call *call, struct one *one) {
    if (quarantine_parse_key(call_argument(call, "id"), one->key) != 0) {
        call_refuse(call, REASON_BAD_ARGUMENT, "id: expected 32 hex digits");
        return false;
    }
    return true;
}

// Reads the row between read_begin and read_end, and what it holds.
static int one_read(struct call *call, struct one *one, json_t **ret_row) {
    const void *value;
    size_t size;
    int r = log_reader_get(call_reads(call)->log, LOG_QUARANTINE, one->key, sizeof(one->key),
                           &value, &size);
    if (r == 1) {
        return call_refuse(call, REASON_NOT_FOUND, "no such event in quarantine");
    }
    struct quarantine_row row;
    r = r == 0 ? quarantine_parse(value, size, &row) : r;
    r = r == 0 ? quarantine_unseal(call_reads(call)->keys, &row, one->arena, &one->event) : r;
    if (r == 1) {
        return call_refuse(call, REASON_ERASED, "it goes in a moment");
    }
    if (r == 0 && ret_row != NULL) {
        *ret_row = row_json(one->key, &row);
    }
    return r;
}

// The row's event; the call is refused or a negative errno returned where there is none.
static int one_open(struct call *call, struct one *one, json_t **ret_row) {
    if (!one_key(call, one)) {
        return 0;
    }
    int r = read_begin(call);
    if (r == 0) {
        r = one_read(call, one, ret_row);
        read_end(call);
    }
    return r;
}

int verb_quarantine_show(struct call *call) {
    struct one *one;
    json_t *row = NULL;
    int r = one_new(call, &one);
    r = r == 0 ? one_open(call, one, &row) : r;
    r = r == 0 && one->event != NULL ? read_drop_erased(call, one->arena, one->event) : r;
    if (r != 0 || call_code(call) != REASON_OK) {
        json_decref(row);
        return r;
    }
    json_object_set_new(row, "event", cloudevents_to_json(one->event));
    return call_answer(call, row);
}

// ---- fix

// A body of {"data": {...}} alone replaces the data; anything else is the whole repaired event as
// CloudEvents JSON.
static int replace(struct call *call, struct one *one, const json_t *body) {
    const json_t *data = json_object_get(body, "data");
    if (data != NULL && json_object_size(body) == 1) {
        _cleanup_free_ void *packed = NULL;
        size_t size;
        int r = body_from_json(data, &packed, &size);
        void *copy = r == 0 ? arena_copy(one->arena, packed, size) : NULL;
        if (copy == NULL) {
            return r != 0 ? r : -ENOMEM;
        }
        one->event->data = (ProtobufCBinaryData){.data = copy, .len = size};
        return 0;
    }
    const char *why = "";
    int r = cloudevents_from_json(body, false, one->arena, &one->event, &why);
    return r > 0 ? call_refuse(call, REASON_BAD_ARGUMENT, "the event: %s", why) : r;
}

int verb_quarantine_fix(struct call *call) {
    struct one *one;
    int r = one_new(call, &one);
    r = r == 0 ? one_open(call, one, NULL) : r;
    if (r == 0 && call_code(call) == REASON_OK && call_body(call) != NULL) {
        r = replace(call, one, call_body(call));
    }
    return r;
}

int verb_quarantine_fix_write(struct call *call, struct tick *tick) {
    struct one *one = call_progress(call);
    const char *detail = "";
    int r = quarantine_fix(tick, one->key, one->event, &one->sequence, &detail);
    if (r > REASON_DUPLICATE) {
        call_refuse(call, (uint32_t)r, "%s", detail != NULL ? detail : "");
        return r;
    }
    one->outcome = r >= 0 ? (uint32_t)r : 0;
    return r > 0 ? 0 : r;
}

int verb_quarantine_fix_then(struct call *call) {
    const struct one *one = call_progress(call);
    return call_answer(call, json_pack("{s:s, s:I, s:b}", "id", call_argument(call, "id"),
                                       "sequence", (json_int_t)one->sequence, "duplicate",
                                       one->outcome == REASON_DUPLICATE));
}

// ---- drop

int verb_quarantine_drop(struct call *call) {
    struct one *one;
    int r = one_new(call, &one);
    if (r == 0) {
        one_key(call, one);
    }
    return r;
}

int verb_quarantine_drop_write(struct call *call, struct tick *tick) {
    const struct one *one = call_progress(call);
    return quarantine_drop(tick, one->key);
}

int verb_quarantine_drop_then(struct call *call) {
    return call_answer(call,
                       json_pack("{s:s, s:b}", "id", call_argument(call, "id"), "dropped", 1));
}
