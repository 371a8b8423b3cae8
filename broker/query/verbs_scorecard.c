// SPDX-License-Identifier: Apache-2.0
// scorecard: the fold's cells, added up by what was asked for (hour, channel, tier), in slices;
// then what stands elsewhere and is no cell: quarantined events by source, budget lines. Sums are
// exact; percentiles are those of the fixed buckets (broker/fold/spread.h).
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/policy/holder.h"
#include "broker/query/verbs_all.h"
#include "broker/query/verbs_names.h"
#include "broker/query/verbs_read.h"
#include "broker/query/verbs_scorecard.h"
#include "schemas/base/clock.h"

static void scorecard_free(void *progress) {
    struct scorecard *scorecard = progress;
    for (size_t i = 0; i < scorecard->n_groups; i++) {
        free(scorecard->groups[i]);
    }
    free(scorecard->groups);
    json_decref(scorecard->sources);
    free(scorecard);
}

// ---- what is asked for

static bool read_by(struct call *call, unsigned *ret) {
    static const struct {
        const char *name;
        unsigned by;
    } names[] = {{"hour", BY_HOUR}, {"channel", BY_CHANNEL}, {"tier", BY_TIER}};
    const char *value;
    *ret = 0;
    for (size_t i = 0; (value = call_argument_at(call, "by", i)) != NULL; i++) {
        unsigned by = 0;
        for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
            by |= strcmp(names[k].name, value) == 0 ? names[k].by : 0;
        }
        if (by == 0) {
            call_refuse(call, REASON_BAD_ARGUMENT, "by: hour, channel or tier");
            return false;
        }
        *ret |= by;
    }
    *ret = *ret == 0 ? BY_CHANNEL : *ret;
    return true;
}

static bool read_time(struct call *call, const char *name, int64_t *time_us) {
    const char *value = call_argument(call, name);
    if (value != NULL && clock_parse_rfc3339(value, time_us) != 0) {
        call_refuse(call, REASON_BAD_ARGUMENT, "%s: wants RFC 3339", name);
        return false;
    }
    return true;
}

static int begin(struct call *call) {
    struct scorecard *scorecard = calloc(1, sizeof(*scorecard));
    if (scorecard == NULL) {
        return -ENOMEM;
    }
    call_keep(call, scorecard, scorecard_free);
    scorecard->call = call;
    scorecard->groups = calloc(GROUPS_MAX, sizeof(*scorecard->groups));
    scorecard->sources = json_object();
    scorecard->channel = call_argument(call, "channel");
    scorecard->until_us = INT64_MAX;
    if (scorecard->groups == NULL || scorecard->sources == NULL) {
        return -ENOMEM;
    }
    if (!read_by(call, &scorecard->by) || !read_time(call, "since", &scorecard->since_us) ||
        !read_time(call, "until", &scorecard->until_us)) {
        return 0;
    }
    scorecard->hour_first = scores_hour(scorecard->since_us);
    scorecard->hour_end = scores_hour(
        scorecard->until_us > INT64_MAX - HOUR_US ? INT64_MAX : scorecard->until_us + HOUR_US - 1);
    scores_cell_key(scorecard->hour_first, 0, 0, scorecard->next);
    return VERB_AGAIN;
}

// ---- cells

static int cell_row(void *user, const void *key, size_t key_size, const void *value, size_t size) {
    struct scorecard *scorecard = user;
    struct query_reads *reads = call_reads(scorecard->call);
    uint32_t hour, channel, tier;
    int r = 0;
    if (!scores_cell_parse(key, key_size, &hour, &channel, &tier) || hour >= scorecard->hour_end) {
        scorecard->cells_done = true;
        return 1;
    }
    memcpy(scorecard->next, key, key_size);
    if (call_slice_over(scorecard->slice_us)) {
        return 1;
    }
    if (scorecard->channel != NULL &&
        strcmp(scorecard->channel, names_get(reads->names, scorecard->txn, channel)) != 0) {
        return 0;
    }
    const View__Cell *cell = view__cell__unpack(arena_allocator(reads->arena), size, value);
    struct group *group = cell == NULL ? NULL : scorecard_group(scorecard, hour, channel, tier, &r);
    if (group == NULL) {
        return cell == NULL ? -EBADMSG : r;
    }
    scorecard_add(group, cell);
    return 0;
}

static int cells_slice(struct call *call, struct view_txn *txn) {
    struct scorecard *scorecard = call_progress(call);
    scorecard->txn = txn;
    scorecard->as_of = scorecard->as_of == 0 ? view_applied(txn) : scorecard->as_of;
    int r = view_scan_from(txn, VIEW_SCORES, NULL, 0, scorecard->next, sizeof(scorecard->next),
                           false, cell_row, scorecard);
    scorecard->cells_done = scorecard->cells_done || r == 0;
    return r < 0 ? r : 0;
}

// ---- quarantined, by source

static int quarantine_row(void *user, const void *key, size_t key_size, const void *value,
                          size_t size) {
    struct scorecard *scorecard = user;
    struct quarantine_row row;
    if (key_size != QUARANTINE_KEY_BYTES || quarantine_parse(value, size, &row) != 0) {
        return -EBADMSG;
    }
    if (scorecard->began && memcmp(key, scorecard->last, key_size) == 0) {
        return 0;
    }
    if (call_slice_over(scorecard->slice_us)) {
        return 1;
    }
    memcpy(scorecard->last, key, key_size);
    scorecard->began = true;
    if (row.received_us < scorecard->since_us || row.received_us >= scorecard->until_us) {
        return 0;
    }
    json_t *sources = scorecard->sources;
    bool named =
        json_object_get(sources, row.source) != NULL || json_object_size(sources) < SOURCES_MAX;
    const char *name = named ? row.source : "other";
    json_int_t number = json_integer_value(json_object_get(sources, name));
    return json_object_set_new(sources, name, json_integer(number + 1)) == 0 ? 0 : -ENOMEM;
}

static int quarantine_slice(struct call *call, struct scorecard *scorecard) {
    struct log_reader *log = call_reads(call)->log;
    int r = log_reader_begin(log);
    if (r != 0) {
        return r;
    }
    r = log_reader_scan(log, LOG_QUARANTINE, NULL, 0, scorecard->began ? scorecard->last : NULL,
                        scorecard->began ? sizeof(scorecard->last) : 0, quarantine_row, scorecard);
    log_reader_end(log);
    scorecard->quarantine_done = r == 0;
    return r < 0 ? r : 0;
}

// ---- the answer

// null where it was not asked for.
static json_t *hour_json(const struct call *call, const char *name, uint32_t hour) {
    return call_argument(call, name) == NULL ? json_null() : read_time_json(hour * HOUR_US);
}

static int answer(struct call *call, struct view_txn *txn) {
    struct scorecard *scorecard = call_progress(call);
    const struct policy *policy = policy_take(call_broker(call)->policy);
    json_t *budgets = json_array();
    int r = budgets == NULL ? -ENOMEM : scorecard_budgets(txn, policy, budgets);
    if (r == 0) {
        call_as_of(call, scorecard->as_of);
        r = call_answer(call, json_pack("{s:I, s:s, s:o, s:o, s:O, s:O}", "given",
                                        (json_int_t)scorecard->n_groups, "currency",
                                        policy->organisation.currency, "since",
                                        hour_json(call, "since", scorecard->hour_first), "until",
                                        hour_json(call, "until", scorecard->hour_end),
                                        "quarantined", scorecard->sources, "budgets", budgets));
    }
    json_decref(budgets);
    policy_release(call_broker(call)->policy, policy);
    return r;
}

static int rows_part(struct call *call, struct view_txn *txn) {
    struct scorecard *scorecard = call_progress(call);
    json_t *rows = json_array();
    scorecard->txn = txn;
    while (rows != NULL && scorecard->n_given < scorecard->n_groups &&
           json_array_size(rows) < CALL_ROWS_MAX / 2) {
        json_array_append_new(rows,
                              scorecard_json(scorecard, scorecard->groups[scorecard->n_given++]));
    }
    return rows == NULL ? -ENOMEM : call_part(call, json_pack("{s:o}", "rows", rows));
}

int verb_scorecard(struct call *call) {
    struct scorecard *scorecard = call_progress(call);
    if (scorecard == NULL) {
        return begin(call);
    }
    scorecard->slice_us = clock_monotonic_us();
    if (scorecard->full) {
        return call_refuse(call, REASON_TOO_MANY,
                           "more than %d rows: ask for a shorter time or by "
                           "less",
                           GROUPS_MAX);
    }
    int r = !scorecard->cells_done                     ? read_with_view(call, cells_slice)
            : !scorecard->quarantine_done              ? quarantine_slice(call, scorecard)
            : scorecard->n_given < scorecard->n_groups ? read_with_view(call, rows_part)
                                                       : 1;
    if (r != 1) {
        return r < 0 ? r : VERB_AGAIN;
    }
    return read_with_view(call, answer);
}
