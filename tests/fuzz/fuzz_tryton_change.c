// SPDX-License-Identifier: Apache-2.0
// Any JSON as rows of an ERP: the first byte chooses the feed. Whatever becomes of it can be
// written as an event, with a time that reads back.
#include <stdlib.h>
#include <string.h>

#include "connectors/dialect/tryton_change.h"
#include "schemas/base/clock.h"
#include "tests/fuzz/fuzz.h"

static void check(json_t *report) {
    const json_t *event = json_object_get(report, "event");
    const char *without = json_string_value(json_object_get(report, "without"));
    int64_t stamp_us = json_integer_value(json_object_get(report, "stamp")), time_us;
    REQUIRE(json_string_length(json_object_get(report, "key")) > 0);
    REQUIRE(json_is_string(json_object_get(report, "value")));
    REQUIRE((event == NULL) == (without != NULL));
    if (event == NULL) {
        return;
    }
    tryton_report_after(report, stamp_us);
    const char *time = json_string_value(json_object_get(event, "time"));
    REQUIRE(time != NULL && clock_parse_rfc3339(time, &time_us) == 0);
    REQUIRE(time_us == stamp_us + 1);
    REQUIRE(json_string_length(json_object_get(event, "id")) > 0);
    char *data = json_dumps(json_object_get(event, "data"), JSON_COMPACT);
    REQUIRE(data != NULL);
    free(data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) {
        return 0;
    }
    enum tryton_feed feed = (enum tryton_feed)(data[0] % TRYTON_FEEDS);
    json_t *rows = json_loadb((const char *)data + 1, size - 1, JSON_DECODE_ANY, NULL);
    const char *model = NULL;
    struct tryton_changes_read read;
    json_t *question = tryton_changes_question_more(feed, rows, 10, &model);
    REQUIRE((question == NULL) == (model == NULL));
    json_decref(question);
    if (tryton_changes_read(feed, rows, size % 2 == 0 ? rows : NULL, &read) == 0) {
        REQUIRE(read.n_nameless <= read.n_rows);
        for (size_t i = 0; i < json_array_size(read.reports); i++) {
            check(json_array_get(read.reports, i));
        }
        question = tryton_changes_question(feed, read.latest_us, read.last_id, 10);
        REQUIRE(question != NULL);
        json_decref(question);
        tryton_changes_read_clear(&read);
    }
    json_decref(rows);
    return 0;
}
