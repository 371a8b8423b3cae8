// SPDX-License-Identifier: Apache-2.0
// The verb customer.why: which event set a field, and whose word lost against it. The field is an
// attribute, a member of an item (LIST.ID.MEMBER), or where the customer stands. It explains what
// the view holds; a leaf's own older values are in the log alone.
#include <errno.h>
#include <string.h>

#include "broker/fold/register.h"
#include "broker/query/verbs_all.h"
#include "broker/query/verbs_profile.h"
#include "schemas/base/money.h"
#include "schemas/cloudevents.h"
#include "schemas/envelope.h"

// What each leaf says of the field, and which of them stands.
struct words {
    const View__Attribute *said[STAMP_LEAVES_MAX]; // by leaf; NULL: nothing
    size_t best;                                   // STAMP_LEAVES_MAX: nobody says anything
};

static void choose(const struct reading *reading, struct words *words) {
    words->best = STAMP_LEAVES_MAX;
    for (size_t i = 0; i < reading->profile.n_leaves; i++) {
        if (words->said[i] != NULL && (words->best == STAMP_LEAVES_MAX ||
                                       register_beats(words->said[i], words->said[words->best]))) {
            words->best = i;
        }
    }
}

static int ask_attribute(const struct reading *reading, const char *name, struct words *ret) {
    for (size_t i = 0; i < reading->profile.n_leaves; i++) {
        const struct profile leaf = profile_leaf_alone(&reading->profile, i);
        ret->said[i] = profile_attribute(&leaf, name);
    }
    return 0;
}

// LIST.ID.MEMBER: the id may have dots of its own. 0; 1: no such field; a negative errno.
static int ask_item(const struct reading *reading, const char *field, struct words *ret) {
    const char *id = strchr(field, '.'), *member = strrchr(field, '.');
    struct arena *arena = reading->profile.arena;
    if (id == NULL || member == id) {
        return 1;
    }
    const char *list = arena_printf(arena, "%.*s", (int)(id - field), field);
    id = arena_printf(arena, "%.*s", (int)(member - id - 1), id + 1);
    if (list == NULL || id == NULL) {
        return -ENOMEM;
    }
    enum item_kind kind = item_kind_of(list);
    int r = kind == 0;
    for (size_t i = 0; r == 0 && i < reading->profile.n_leaves; i++) {
        const struct profile leaf = profile_leaf_alone(&reading->profile, i);
        View__Item *item;
        r = profile_item(&leaf, kind, id, &item);
        ret->said[i] = r == 0 && item != NULL ? profile_member(item, member + 1) : NULL;
    }
    return r;
}

static json_t *word_json(const struct reading *reading, const struct words *words, size_t leaf) {
    const View__Attribute *said = words->said[leaf];
    char number[24];
    json_t *value = attribute_json(said);
    json_t *json = json_pack("{s:o, s:s, s:I, s:I, s:o}", "value",
                             value != NULL ? value : json_null(), "customer",
                             envelope_format_customer(reading->profile.leaves[leaf].number, number),
                             "sequence", (json_int_t)said->sequence, "rank", (json_int_t)said->rank,
                             "time", read_time_json(said->time_us));
    if (said->revision != 0) {
        json_object_set_new(json, "revision", json_integer((json_int_t)said->revision));
    }
    return json;
}

// The event, as far as the log still has it; else why not.
static int add_event(struct call *call, uint64_t sequence, json_t *answer) {
    struct block_head block;
    Touchbus__Event *event;
    int r = log_reader_block(call_reads(call)->log, sequence, &block);
    if (r != 0 || block.first > sequence) {
        bool is_damaged = r == -EBADMSG;
        json_object_set_new(answer, "event_is", json_string(is_damaged ? "damaged" : "trimmed"));
        return r < 0 && !is_damaged ? r : 0;
    }
    r = read_event(call, call_reads(call)->arena, &block, (uint32_t)(sequence - block.first),
                   &event);
    if (r < 0) {
        json_object_set_new(answer, "event_is", json_string("damaged"));
        return r == -EBADMSG ? 0 : r;
    }
    json_t *json = cloudevents_to_json(event);
    return json != NULL && json_object_set_new(answer, "event", json) == 0 ? 0 : -ENOMEM;
}

// With a snapshot of the log that is later than the view's. The keys may be open already, for what
// is sealed in the view.
static int add_event_of_log(struct call *call, uint64_t sequence, json_t *answer) {
    struct query_reads *reads = call_reads(call);
    bool had_keys = keys_reader_reads(reads->keys);
    int r = log_reader_begin(reads->log);
    if (r != 0) {
        return r;
    }
    r = had_keys ? 0 : keys_reader_begin(reads->keys);
    if (r == 0) {
        r = add_event(call, sequence, answer);
        if (!had_keys) {
            keys_reader_end(reads->keys);
        }
    }
    log_reader_end(reads->log);
    return r;
}

static int answer_with(struct reading *reading, const char *field, json_t *word, json_t *lost) {
    struct call *call = reading->call;
    char number[24];
    json_t *answer =
        json_pack("{s:s, s:s}", "customer",
                  envelope_format_customer(reading->profile.customer, number), "field", field);
    uint64_t sequence = (uint64_t)json_integer_value(json_object_get(word, "sequence"));
    json_object_set_new(answer, "stands", word);
    json_object_set_new(answer, "lost", lost);
    int r = add_event_of_log(call, sequence, answer);
    if (r != 0) {
        json_decref(answer);
        return r;
    }
    return call_answer(call, answer);
}

static int answer_words(struct reading *reading, const char *field, struct words *words) {
    choose(reading, words);
    if (words->best == STAMP_LEAVES_MAX) {
        return call_refuse(reading->call, REASON_NOT_FOUND, "nothing is known of this field");
    }
    json_t *lost = json_array();
    for (size_t i = 0; i < reading->profile.n_leaves; i++) {
        if (i != words->best && words->said[i] != NULL) {
            json_array_append_new(lost, word_json(reading, words, i));
        }
    }
    return answer_with(reading, field, word_json(reading, words, words->best), lost);
}

// ---- where they stand: no register, but what standing.changed said last

static json_t *tier_value(const struct reading *reading) {
    return json_string(reading->standing.tier);
}

static json_t *phase_value(const struct reading *reading) {
    return json_string(reading->standing.phase);
}

static json_t *worth_value(const struct reading *reading) {
    char text[MONEY_TEXT_BYTES];
    return json_string(money_format(reading->standing.value_micro, text));
}

static const struct {
    const char *field;
    json_t *(*value)(const struct reading *reading);
} standings[] = {{"tier", tier_value}, {"phase", phase_value}, {"value", worth_value}};

static int answer_standing(struct reading *reading, size_t row) {
    char number[24];
    if (reading->standing.sequence == 0) {
        return call_refuse(reading->call, REASON_NOT_FOUND, "no event has set it");
    }
    json_t *word = json_pack("{s:o, s:s, s:I}", "value", standings[row].value(reading), "customer",
                             envelope_format_customer(reading->profile.customer, number),
                             "sequence", (json_int_t)reading->standing.sequence);
    return answer_with(reading, standings[row].field, word, json_array());
}

static int why(struct reading *reading) {
    static const char attributes[] = "attributes.";
    const char *field = call_argument(reading->call, "field");
    struct words words = {.best = 0};
    for (size_t i = 0; i < sizeof(standings) / sizeof(standings[0]); i++) {
        if (strcmp(field, standings[i].field) == 0) {
            return answer_standing(reading, i);
        }
    }
    int r = ask_item(reading, field, &words);
    if (r > 0) {
        bool is_whole = strncmp(field, attributes, strlen(attributes)) == 0;
        r = ask_attribute(reading, is_whole ? field + strlen(attributes) : field, &words);
    }
    return r != 0 ? r : answer_words(reading, field, &words);
}

int verb_customer_why(struct call *call) {
    return reading_with(call, why);
}
