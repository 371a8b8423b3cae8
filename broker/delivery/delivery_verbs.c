// SPDX-License-Identifier: Apache-2.0
// What operators ask of subscriptions and parked lanes, on the delivery thread: a table of verbs.
// What changes something hands its record to the tick before it returns, so that whoever posts to
// the tick after it answers only when it is on disk.
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/delivery/delivery_internal.h"
#include "schemas/base/clock.h"
#include "schemas/envelope.h"
#include "schemas/reasons.h"

enum { PARKED_LISTED_MAX = 10000 };

struct command {
    struct delivery *delivery;
    const struct delivery_argument *arguments;
    size_t n_arguments;
    struct named *named; // of the argument name
    json_t *answer;
    const char *detail;
};

static const char *argument(const struct command *command, const char *name) {
    for (size_t i = 0; i < command->n_arguments; i++)
        if (strcmp(command->arguments[i].name, name) == 0)
            return command->arguments[i].value;
    return NULL;
}

static json_t *json_time(int64_t time_us) {
    char text[CLOCK_TEXT_BYTES];
    return json_string(clock_format_rfc3339(time_us, text));
}

static json_t *json_number(uint64_t number) {
    return json_integer((json_int_t)number);
}

// Monotonic to wall clock.
static json_t *json_since(const struct delivery *delivery, int64_t since_us) {
    return json_time(clock_now_us() - (delivery->now_us - since_us));
}

// A customer's number as c42, another lane as 16 hexadecimal digits.
static json_t *json_lane(uint64_t lane) {
    char text[32];
    if (lane >> 63)
        snprintf(text, sizeof text, "%016" PRIx64, lane);
    else
        envelope_format_customer(lane, text);
    return json_string(text);
}

static bool parse_lane(const char *text, uint64_t *ret) {
    if (envelope_parse_customer(text, ret) == 0)
        return true;
    char *end;
    errno = 0;
    *ret = strtoull(text, &end, 16);
    return errno == 0 && strlen(text) == 16 && *end == 0;
}

static json_t *json_strings(char *const *texts, size_t n) {
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_string(texts[i]));
    return list;
}

// ---- subscriptions

static json_t *subscription_json(const struct delivery *delivery, const struct named *named) {
    const struct subscription *subscription = named->subscription;
    uint64_t cursor = subscription_cursor(subscription),
             head = atomic_load(&delivery->broker->visible);
    json_t *json = json_object();
    json_object_set_new(json, "name", json_string(named->name));
    json_object_set_new(json, "cursor", json_number(cursor));
    json_object_set_new(json, "lag", json_number(head > cursor ? head - cursor : 0));
    json_object_set_new(json, "members", json_number(subscription->n_members));
    json_object_set_new(json, "parked", json_number(subscription->n_parked));
    json_object_set_new(json, "state",
                        json_string(named->damaged ? "damaged" : subscription_state(subscription)));
    return json;
}

static json_t *members_json(const struct delivery *delivery, const struct named *named) {
    json_t *list = json_array();
    for (const struct peer *peer = named->peers; peer; peer = peer->named_next) {
        json_t *json = json_object();
        json_object_set_new(json, "member", json_string(peer->label));
        json_object_set_new(json, "since", json_since(delivery, peer->since_us));
        json_object_set_new(json, "credit", json_number(peer->credit));
        json_object_set_new(json, "held", json_number(peer->member.n_held));
        json_object_set_new(json, "delivered", json_number(peer->member.n_delivered));
        json_object_set_new(json, "failed", json_number(peer->member.n_failed));
        json_object_set_new(json, "silent_ms",
                            json_integer((delivery->now_us - peer->heard_us) / CLOCK_US_PER_MS));
        json_array_append_new(list, json);
    }
    return list;
}

static int subscription_ls(struct command *command) {
    json_t *list = json_array();
    for (const struct named *named = command->delivery->named; named; named = named->next)
        json_array_append_new(list, subscription_json(command->delivery, named));
    command->answer = json_pack("{s:o}", "subscriptions", list);
    return 0;
}

static int subscription_show(struct command *command) {
    const struct named *named = command->named;
    const struct subscription *subscription = named->subscription;
    json_t *json = subscription_json(command->delivery, named);
    json_object_set_new(json, "types", json_strings(named->filter.types, named->filter.n_types));
    json_object_set_new(json, "channels",
                        json_strings(named->filter.channels, named->filter.n_channels));
    if (named->filter.customer)
        json_object_set_new(json, "customer", json_lane(named->filter.customer));
    json_object_set_new(json, "created", json_time(named->created_us));
    json_object_set_new(json, "waiting", json_number(subscription->n_window));
    json_object_set_new(json, "ranges", json_number(subscription_ranges(subscription, NULL, 0)));
    json_object_set_new(json, "settled", json_number(subscription->n_settled));
    json_object_set_new(json, "retried", json_number(subscription->n_retried));
    json_object_set_new(json, "rejected", json_number(subscription->n_rejected));
    json_object_set_new(json, "lost", json_number(subscription->n_lost));
    if (named->damaged)
        json_object_set_new(json, "damaged", json_number(named->damaged));
    if (named->again)
        json_object_set_new(json, "replay",
                            json_pack("{s:I,s:I}", "position",
                                      (json_int_t)subscription_again_done(subscription), "until",
                                      (json_int_t)named->again_until));
    json_object_set_new(json, "member_list", members_json(command->delivery, named));
    command->answer = json;
    return 0;
}

static int answer_subscription(struct command *command) {
    // A record under way does not know of the change: another goes out behind it, before the
    // answer.
    record_abandon(command->named);
    record_tend(command->delivery, command->named, true);
    command->delivery->more = true;
    command->answer = subscription_json(command->delivery, command->named);
    return 0;
}

static int subscription_pause(struct command *command) {
    subscription_set_paused(command->named->subscription, true);
    return answer_subscription(command);
}

static int subscription_resume(struct command *command) {
    subscription_set_paused(command->named->subscription, false);
    return answer_subscription(command);
}

static bool is_forced(const struct command *command) {
    const char *force = argument(command, "force");
    return force && strcmp(force, "true") == 0;
}

static int refuse_in_use(struct command *command) {
    snprintf(command->delivery->detail, sizeof command->delivery->detail, "%zu members",
             command->named->subscription->n_members);
    command->detail = command->delivery->detail;
    return REASON_IN_USE;
}

static int subscription_reset_verb(struct command *command) {
    struct named *named = command->named;
    uint64_t cursor;
    if (named->peers && !is_forced(command))
        return refuse_in_use(command);
    int r = join_parse_position(command->delivery, argument(command, "from"), &cursor,
                                &command->detail);
    if (r != 0)
        return r;
    for (struct peer *peer = named->peers; peer; peer = peer->named_next)
        frame_clear(&peer->frame);
    subscription_reset(named->subscription, cursor);
    named->damaged = 0;
    named->again = false;
    return answer_subscription(command);
}

static int subscription_rm(struct command *command) {
    struct named *named = command->named;
    if (named->peers && !is_forced(command))
        return refuse_in_use(command);
    while (named->peers)
        peer_refuse(command->delivery, named->peers, REASON_NOT_FOUND, 0,
                    "the subscription was removed");
    if (!record_remove(command->delivery, named)) {
        command->detail = "the tick has too much to do";
        return REASON_BUSY;
    }
    command->answer = json_pack("{s:s,s:b}", "name", named->name, "removed", 1);
    named_free(command->delivery, named);
    return 0;
}

// ---- history once more

static size_t arguments_of(const struct command *command, const char *name, char **ret,
                           size_t n_max) {
    size_t n = 0;
    for (size_t i = 0; i < command->n_arguments && n < n_max; i++)
        if (strcmp(command->arguments[i].name, name) == 0)
            ret[n++] = (char *)(uintptr_t)command->arguments[i].value;
    return n;
}

static int subscription_replay(struct command *command) {
    struct named *named = command->named;
    char *types[FILTER_PATTERNS_MAX], *channels[FILTER_PATTERNS_MAX];
    size_t n_types = arguments_of(command, "type", types, FILTER_PATTERNS_MAX);
    size_t n_channels = arguments_of(command, "channel", channels, FILTER_PATTERNS_MAX);
    const char *customer = argument(command, "customer"), *from = argument(command, "from"),
               *until = argument(command, "until"), *rate = argument(command, "rate");
    uint64_t number = 0, cursor = 0, last = subscription_cursor(named->subscription);
    struct filter filter;
    if (named->again) {
        command->detail = "a replay into it is under way";
        return REASON_IN_USE;
    }
    if (customer && *customer && envelope_parse_customer(customer, &number) < 0) {
        command->detail = "customer is written as c42";
        return REASON_BAD_ARGUMENT;
    }
    int r = join_parse_position(command->delivery, from ? from : "beginning", &cursor,
                                &command->detail);
    uint64_t end = last;
    if (r == 0 && until && *until)
        r = join_parse_position(command->delivery, until, &end, &command->detail);
    if (r != 0)
        return r;
    if (until && *until && end < last && strchr(until, '-') == NULL &&
        strcmp(until, "beginning") != 0)
        end++; // a sequence is the last one wanted, a time the first one not wanted
    if (filter_copy(types, n_types, channels, n_channels, number, &filter) < 0)
        return -ENOMEM;
    filter_clear(&named->again_filter);
    filter_names_clear(&named->again_names);
    named->again_filter = filter;
    named->again_until = end < last ? end : last; // what is above the cursor comes anyway
    named->again_rate = rate ? strtoull(rate, NULL, 10) : 0;
    named->again_since_us = 0;
    named->again_sent = 0;
    named->subscription->again_looked = cursor;
    named->subscription->dirty = true;
    named->again = true;
    r = answer_subscription(command);
    json_object_set_new(command->answer, "until", json_number(named->again_until));
    return r;
}

// ---- parked lanes

static const char *const parked_states[] = {
    [PARKED_WAITING] = "parked",
    [PARKED_RELEASED] = "released",
    [PARKED_DRAINING] = "draining",
    [PARKED_GONE] = "released",
};

static json_t *parked_json(const struct delivery *delivery, const struct named *named,
                           const struct parked *parked) {
    json_t *json = json_object();
    json_object_set_new(json, "subscription", json_string(named->name));
    json_object_set_new(json, "lane", json_lane(parked->lane));
    json_object_set_new(json, "state", json_string(parked_states[parked->state]));
    json_object_set_new(json, "first", json_number(parked->first));
    json_object_set_new(json, "last", json_number(parked->last));
    json_object_set_new(json, "waiting", json_number(parked->waiting));
    json_object_set_new(json, "failures", json_integer(parked->failures));
    json_object_set_new(json, "rejected", json_boolean(parked->rejected));
    json_object_set_new(json, "detail", json_string(parked->detail));
    json_object_set_new(json, "since", json_since(delivery, parked->since_us));
    if (parked->behind)
        json_object_set_new(json, "behind", json_lane(parked->behind));
    return json;
}

static int parked_ls(struct command *command) {
    const char *name = argument(command, "name");
    json_t *list = json_array();
    for (const struct named *named = command->delivery->named; named; named = named->next) {
        if (name && *name && strcmp(name, named->name) != 0)
            continue;
        for (const struct parked *parked = named->subscription->parked;
             parked && json_array_size(list) < PARKED_LISTED_MAX; parked = parked->next)
            if (parked->state != PARKED_GONE)
                json_array_append_new(list, parked_json(command->delivery, named, parked));
    }
    command->answer = json_pack("{s:o}", "parked", list);
    return 0;
}

static int find_lane(struct command *command, struct parked **ret) {
    uint64_t lane;
    const char *text = argument(command, "lane");
    if (!text || !parse_lane(text, &lane)) {
        command->detail = "a lane is c42, or 16 hexadecimal digits";
        return REASON_BAD_ARGUMENT;
    }
    *ret = parking_find(command->named->subscription, lane);
    if (*ret)
        return 0;
    command->detail = "the lane is not parked";
    return REASON_NOT_FOUND;
}

static int parked_show(struct command *command) {
    struct parked *parked;
    int r = find_lane(command, &parked);
    if (r == 0)
        command->answer = parked_json(command->delivery, command->named, parked);
    return r;
}

static int parked_retry(struct command *command) {
    struct subscription *subscription = command->named->subscription;
    const char *lane = argument(command, "lane");
    size_t n = 0;
    if (lane && *lane) {
        struct parked *parked;
        int r = find_lane(command, &parked);
        if (r != 0)
            return r;
        n += parking_retry(subscription, parked->lane);
    } else {
        for (struct parked *parked = subscription->parked; parked; parked = parked->next)
            if (parked->state == PARKED_WAITING)
                n += parking_retry(subscription, parked->lane);
    }
    int r = answer_subscription(command);
    json_object_set_new(command->answer, "released", json_number(n));
    return r;
}

static int parked_drop(struct command *command) {
    struct parked *parked;
    const char *all = argument(command, "all");
    int r = find_lane(command, &parked);
    if (r != 0)
        return r;
    uint64_t first, last, n;
    if (!parking_drop(command->named->subscription, parked->lane, all && strcmp(all, "true") == 0,
                      &first, &last, &n)) {
        command->detail = "the lane is being released";
        return REASON_IN_USE;
    }
    r = answer_subscription(command);
    json_object_set_new(command->answer, "first", json_number(first));
    json_object_set_new(command->answer, "last", json_number(last));
    json_object_set_new(command->answer, "dropped", json_number(n));
    return r;
}

static int erasure_connectors(struct command *command) {
    return erased_connectors(command->delivery, argument(command, "customer"), &command->answer);
}

// ---- the table

static const struct {
    const char *name;
    int (*run)(struct command *command);
    bool of_subscription; // name must be there
} verbs[] = {
    {"subscription.ls", subscription_ls, false},
    {"subscription.show", subscription_show, true},
    {"subscription.pause", subscription_pause, true},
    {"subscription.resume", subscription_resume, true},
    {"subscription.reset", subscription_reset_verb, true},
    {"subscription.rm", subscription_rm, true},
    {"subscription.replay", subscription_replay, true},
    {"parked.ls", parked_ls, false},
    {"parked.show", parked_show, true},
    {"parked.retry", parked_retry, true},
    {"parked.drop", parked_drop, true},
    {"erasure.connectors", erasure_connectors, false},
};

int delivery_command(struct delivery *delivery, const char *verb,
                     const struct delivery_argument *arguments, size_t n_arguments, json_t **ret,
                     const char **ret_detail) {
    struct command command = {
        .delivery = delivery, .arguments = arguments, .n_arguments = n_arguments};
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(verbs[i].name, verb) != 0)
            continue;
        if (verbs[i].of_subscription) {
            const char *name = argument(&command, "name");
            command.named = name ? named_find(delivery, name) : NULL;
            if (!command.named) {
                *ret_detail = "there is no such subscription";
                return REASON_NOT_FOUND;
            }
        }
        int r = verbs[i].run(&command);
        if (command.detail)
            *ret_detail = command.detail;
        if (r == 0)
            *ret = command.answer;
        else
            json_decref(command.answer);
        return r;
    }
    return REASON_UNKNOWN_VERB;
}
