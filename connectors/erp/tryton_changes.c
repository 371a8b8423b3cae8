// SPDX-License-Identifier: Apache-2.0
// Rounds over the feeds of dialect/tryton_change.h, a page at a time, by id. A page goes into the
// memory, then to the broker; the next one is asked for when all of it is acknowledged. The cursor
// after a round is the latest stamp of its first page: what changed later than that is either seen
// in this round or stands behind the cursor.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/erp/tryton_changes_private.h"
#include "schemas/base/clock.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"

enum { NOTHING_TO_ASK = 1, METHOD_BYTES = 64 };

static void note(struct tryton_changes *changes, const json_t *news) {
    for (size_t i = 0; i < json_array_size(news); i++) {
        const json_t *report = json_array_get(news, i);
        const char *without = json_string_value(json_object_get(report, "without"));
        if (without == NULL) {
            changes_count(changes, CHANGES_NEWS, 1);
        } else if (strcmp(without, "reference") == 0) {
            changes_count(changes, CHANGES_UNREFERENCED, 1);
        } else {
            changes_count(changes, CHANGES_UNREADABLE, 1);
            logging_warning("tryton_row=%s cannot be read",
                            json_string_value(json_object_get(report, "key")));
        }
    }
}

void changes_next_feed(struct tryton_changes *changes) {
    changes->after_id = 0;
    changes->since_us = -1;
    changes->feed = (enum tryton_feed)((changes->feed + 1) % TRYTON_FEEDS);
    if (changes->feed == TRYTON_SALES) {
        changes_count(changes, CHANGES_ROUNDS, 1);
        changes->due_us = clock_monotonic_us() + changes->options.every_us;
    }
}

static void begin_feed(struct tryton_changes *changes) {
    int64_t cursor_us = tryton_memory_cursor(changes->memory, changes->feed);
    int64_t quiet_us = clock_monotonic_us() - changes->news_us[changes->feed];
    int64_t overlap_us = !GUARD(tryton_overlap) || quiet_us > CHANGES_QUIET_S * CLOCK_US_PER_S
                             ? -1
                             : CHANGES_OVERLAP_S * CLOCK_US_PER_S;
    changes->since_us = cursor_us > overlap_us ? cursor_us - overlap_us : 0;
    changes->cursor_us = cursor_us;
}

// Whether the call worked; where Tryton is away the round waits, else the feed does.
static bool is_answered(struct tryton_changes *changes, const struct tryton_reply *reply) {
    if (reply->class == TRYTON_DONE) {
        changes->away_us = 0;
        changes->is_refused[changes->feed] = false;
        return true;
    }
    changes_count(changes, CHANGES_FAILURES, 1);
    if (reply->class == TRYTON_AWAY) {
        int64_t most_us = CHANGES_AWAY_S_MAX * CLOCK_US_PER_S;
        changes->away_us = changes->away_us == 0 ? CLOCK_US_PER_S : 2 * changes->away_us;
        changes->away_us = changes->away_us > most_us ? most_us : changes->away_us;
        changes->due_us = clock_monotonic_us() + changes->away_us;
        changes->after_id = 0;
        changes->since_us = -1;
        return false;
    }
    if (!changes->is_refused[changes->feed]) {
        logging_warning("tryton_feed=%s error=\"%s\"", tryton_feed_model(changes->feed),
                        reply->words);
        changes->is_refused[changes->feed] = true;
    }
    changes_next_feed(changes);
    return false;
}

// 0 and the answer; NOTHING_TO_ASK where it failed, or params is NULL.
static int ask(struct tryton_changes *changes, const char *model, json_t *params, json_t **ret) {
    struct tryton_reply reply = {0};
    char method[METHOD_BYTES];
    if (params == NULL) {
        return NOTHING_TO_ASK;
    }
    snprintf(method, sizeof(method), "model.%s.search_read", model);
    tryton_call(changes->options.tryton, method, params, NULL, &reply);
    if (!is_answered(changes, &reply)) {
        tryton_reply_clear(&reply);
        return NOTHING_TO_ASK;
    }
    *ret = reply.result;
    return 0;
}

static int take_page(struct tryton_changes *changes, const json_t *rows, const json_t *more) {
    struct tryton_changes_read read;
    json_t *news = NULL;
    int r = tryton_changes_read(changes->feed, rows, more, &read);
    if (r == -EBADMSG) {
        logging_warning("tryton_feed=%s error=\"no rows in the answer\"",
                        tryton_feed_model(changes->feed));
        changes_next_feed(changes);
        return 0;
    }
    r = r != 0 ? r : tryton_memory_keep(changes->memory, read.reports, &news);
    if (r == 0) {
        bool is_first = changes->after_id == 0;
        changes_count(changes, CHANGES_UNREADABLE, read.n_nameless);
        note(changes, news);
        changes->cursor_us =
            is_first && read.latest_us > changes->cursor_us ? read.latest_us : changes->cursor_us;
        changes->after_id = read.n_rows == CHANGES_PAGE_ROWS ? read.last_id : 0;
        if (json_array_size(news) > 0) {
            changes->news_us[changes->feed] = clock_monotonic_us();
        }
        r = tryton_memory_pending(changes->memory, &changes->pending);
    }
    json_decref(news);
    tryton_changes_read_clear(&read);
    return r;
}

// One page of one feed.
static int step(struct tryton_changes *changes) {
    json_t *rows = NULL, *more = NULL;
    if (changes->since_us < 0) {
        begin_feed(changes);
    }
    int r = ask(changes, tryton_feed_model(changes->feed),
                tryton_changes_question(changes->feed, changes->since_us, changes->after_id,
                                        CHANGES_PAGE_ROWS),
                &rows);
    if (r == NOTHING_TO_ASK) {
        return 0;
    }
    const char *model = NULL;
    json_t *question = tryton_changes_question_more(changes->feed, rows, CHANGES_MORE_ROWS, &model);
    if (question != NULL && ask(changes, model, question, &more) == NOTHING_TO_ASK) {
        json_decref(rows);
        return 0;
    }
    if (json_array_size(more) == CHANGES_MORE_ROWS) { // perhaps not all: rather say nothing
        json_decref(more);
        more = NULL;
    }
    r = take_page(changes, rows, more);
    json_decref(rows);
    json_decref(more);
    if (r != 0 || changes->pending == NULL) {
        return r;
    }
    return json_array_size(changes->pending) == 0 ? changes_finish_page(changes)
                                                  : changes_publish(changes);
}

int tryton_changes_collect(struct tryton_changes *changes) {
    int64_t now_us = clock_monotonic_us(), end_us = now_us + CHANGES_BUSY_MS * CLOCK_US_PER_MS;
    int r = changes->pending != NULL ? changes_publish(changes) : 0;
    while (r == 0 && changes->pending == NULL && now_us >= changes->due_us && now_us < end_us &&
           tryton_under_way(changes->options.tryton) == 0) {
        r = step(changes);
        now_us = clock_monotonic_us();
    }
    return r < 0 ? r : 0; // KIT_FULL: the rest another time
}

void tryton_changes_hurry(struct tryton_changes *changes, int64_t every_us) {
    changes->options.every_us = every_us;
    changes->due_us = 0;
}

// ---- life

int tryton_changes_open(const struct tryton_changes_options *options, struct tryton_changes **ret) {
    struct tryton_changes *changes = calloc(1, sizeof(*changes));
    if (changes == NULL) {
        return -ENOMEM;
    }
    int64_t start_us = clock_now_us() - CHANGES_FIRST_S * CLOCK_US_PER_S;
    changes->options = *options;
    changes->since_us = -1;
    for (size_t i = 0; i < TRYTON_FEEDS; i++) {
        changes->news_us[i] = clock_monotonic_us();
    }
    snprintf(changes->source, sizeof(changes->source), "/%s", kit_name(options->kit));
    int r = tryton_memory_open(kit_folder(options->kit), start_us, &changes->memory);
    r = r == 0 ? tryton_memory_pending(changes->memory, &changes->pending) : r;
    if (r == 0 && json_array_size(changes->pending) == 0) {
        json_decref(changes->pending);
        changes->pending = NULL;
    }
    if (r != 0) {
        tryton_changes_close(changes);
        return r;
    }
    *ret = changes;
    return 0;
}

struct tryton_changes *tryton_changes_close(struct tryton_changes *changes) {
    if (changes != NULL) {
        tryton_memory_close(changes->memory);
        json_decref(changes->pending);
        free(changes->items);
        free(changes);
    }
    return NULL;
}
