// SPDX-License-Identifier: Apache-2.0
// Lists that the delivery thread answers whole, handed on in parts: one answer has a size limit,
// and ten thousand parked lanes are over it.
#include <errno.h>
#include <stdlib.h>

#include "broker/query/verbs_all.h"

struct rows {
    json_t *list;
    size_t at;
};

static void rows_free(void *progress) {
    struct rows *rows = progress;
    json_decref(rows->list);
    free(rows);
}

static int rows_begin(struct call *call, struct rows **ret) {
    struct rows *rows = calloc(1, sizeof(*rows));
    if (rows == NULL) {
        return -ENOMEM;
    }
    call_keep(call, rows, rows_free);
    json_t *answer = call_answer_borrow(call);
    rows->list = json_incref(json_object_iter_value(json_object_iter(answer)));
    *ret = rows;
    return json_is_array(rows->list) ? 0 : -EBADMSG;
}

int verb_delivery_rows(struct call *call) {
    struct rows *rows = call_progress(call);
    int r = rows == NULL ? rows_begin(call, &rows) : 0;
    json_t *part = r == 0 ? json_array() : NULL;
    if (part == NULL) {
        return r != 0 ? r : -ENOMEM;
    }
    for (size_t i = 0; i < CALL_ROWS_MAX && rows->at < json_array_size(rows->list); i++) {
        json_array_append(part, json_array_get(rows->list, rows->at++));
    }
    if (rows->at < json_array_size(rows->list)) {
        r = call_part(call, json_pack("{s:o}", "rows", part));
        return r != 0 ? r : VERB_AGAIN;
    }
    return call_answer(call, json_pack("{s:o}", "rows", part));
}
