// SPDX-License-Identifier: Apache-2.0
// Subscribe: a peer joins a named subscription, makes a new one, or gets a stream of its own. A new
// named one is answered only once it is on disk.
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/delivery/delivery_internal.h"
#include "schemas/base/clock.h"
#include "schemas/base/guards.h"
#include "schemas/base/utf8.h"
#include "schemas/reasons.h"

enum { CREDIT_DEFAULT = 1024 };

// ---- where to start

// Inside a slice: the cursor for the first sequence to deliver. 0 or a reason code.
static int cursor_of_sequence(struct delivery *delivery, uint64_t sequence, uint64_t *ret) {
    if (GUARD(cursor_beyond_head) && (sequence == 0 || sequence > feed_visible(delivery->feed) + 1))
        return REASON_BAD_CURSOR;
    if (GUARD(cursor_trimmed) && sequence < feed_first(delivery->feed))
        return REASON_TRIMMED;
    *ret = sequence - 1;
    return 0;
}

static int cursor_of_time(struct delivery *delivery, int64_t time_us, uint64_t *ret) {
    uint64_t sequence;
    int r = feed_find_time(delivery->feed, time_us, &sequence);
    if (r < 0)
        return REASON_DAMAGED;
    uint64_t end = feed_visible(delivery->feed) + 1;
    *ret = (sequence < end ? sequence : end) - 1;
    return 0;
}

static int cursor_of_start(struct delivery *delivery, const Touchbus__Start *start, uint64_t *ret) {
    int r = feed_begin(delivery->feed);
    if (r < 0)
        return REASON_INTERNAL;
    switch (start ? start->from_case : TOUCHBUS__START__FROM__NOT_SET) {
    case TOUCHBUS__START__FROM_BEGINNING:
        *ret = feed_first(delivery->feed) - 1;
        break;
    case TOUCHBUS__START__FROM_SEQUENCE:
        r = cursor_of_sequence(delivery, start->sequence, ret);
        break;
    case TOUCHBUS__START__FROM_TIME_US:
        r = cursor_of_time(delivery, start->time_us, ret);
        break;
    case TOUCHBUS__START__FROM_END:
    case TOUCHBUS__START__FROM__NOT_SET:
    case _TOUCHBUS__START__FROM__CASE_IS_INT_SIZE:
    default:
        *ret = feed_visible(delivery->feed);
        break;
    }
    feed_end(delivery->feed);
    return r;
}

int join_parse_position(struct delivery *delivery, const char *text, uint64_t *ret_cursor,
                        const char **ret_detail) {
    Touchbus__Start start;
    touchbus__start__init(&start);
    char *end;
    errno = 0;
    uint64_t sequence = strtoull(text, &end, 10);
    if (strcmp(text, "beginning") == 0) {
        start.from_case = TOUCHBUS__START__FROM_BEGINNING;
    } else if (strcmp(text, "end") == 0) {
        start.from_case = TOUCHBUS__START__FROM_END;
    } else if (text[0] >= '0' && text[0] <= '9' && *end == 0 && errno == 0) {
        start.from_case = TOUCHBUS__START__FROM_SEQUENCE;
        start.sequence = sequence;
    } else if (clock_parse_rfc3339(text, &start.time_us) == 0) {
        start.from_case = TOUCHBUS__START__FROM_TIME_US;
    } else {
        *ret_detail = "a position is beginning, end, a sequence or an RFC 3339 time";
        return REASON_BAD_ARGUMENT;
    }
    int r = cursor_of_start(delivery, &start, ret_cursor);
    if (r == REASON_TRIMMED) {
        snprintf(delivery->detail, sizeof delivery->detail, "the floor is %" PRIu64,
                 log_first(delivery->broker->log));
        *ret_detail = delivery->detail;
    }
    return r;
}

static void refuse_start(struct delivery *delivery, struct peer *peer, int code) {
    uint64_t floor = log_first(delivery->broker->log);
    if (code == REASON_TRIMMED)
        snprintf(delivery->detail, sizeof delivery->detail, "the floor is %" PRIu64, floor);
    else
        snprintf(delivery->detail, sizeof delivery->detail, "the head is %" PRIu64,
                 (uint64_t)atomic_load(&delivery->broker->visible));
    peer_refuse(delivery, peer, (uint32_t)code, code == REASON_TRIMMED ? floor : 0,
                delivery->detail);
}

// ---- rights

// NULL: the key may; else why not.
static const char *judge(const struct grant *grant, const char *name, char *const *types,
                         size_t n_types) {
    return name[0] && !grant_may_subscribe(grant, name) ? "subscribe: not this subscription"
           : !grant_may_receive(grant, types, n_types)  ? "receive: not all of these types"
                                                        : NULL;
}

// By the filter it was made with.
static const char *judge_named(const struct grant *grant, const struct named *named) {
    return judge(grant, named->name, named->filter.types, named->filter.n_types);
}

// grant is NULL where the key is gone.
static void refuse_right(struct delivery *delivery, struct peer *peer, const struct grant *grant,
                         const char *why) {
    if (grant)
        grant_count_forbidden(grant);
    frame_clear(&peer->frame); // what was built for it stays here
    peer_refuse(delivery, peer, REASON_FORBIDDEN, 0, why);
}

static bool may_have_members(const struct delivery *delivery, const struct peer *peer) {
    size_t n = 0;
    for (const struct peer *other = delivery->peers; other && peer->owner[0]; other = other->next)
        n += !other->gone && strcmp(other->owner, peer->owner) == 0;
    return n <= ACCESS_MEMBERS_MAX;
}

static bool may_make_subscription(const struct delivery *delivery, const struct peer *peer) {
    size_t n = 0;
    for (const struct named *named = delivery->named; named && peer->owner[0]; named = named->next)
        n += strcmp(named->owner, peer->owner) == 0;
    return !GUARD(key_subscriptions) || n < ACCESS_SUBSCRIPTIONS_MAX;
}

// ---- joining

static int copy_filter(const Touchbus__Filter *filter, struct filter *ret) {
    if (!filter) {
        *ret = (struct filter){0};
        return 0;
    }
    return filter_copy(filter->types, filter->n_types, filter->channels, filter->n_channels,
                       filter->customer, ret);
}

static void join_stream(struct delivery *delivery, struct peer *peer,
                        const Touchbus__Subscribe *subscribe) {
    uint64_t cursor = 0;
    int code = cursor_of_start(delivery, subscribe->start, &cursor);
    if (code != 0) {
        refuse_start(delivery, peer, code);
        return;
    }
    struct stream *stream = calloc(1, sizeof *stream);
    if (!stream || copy_filter(subscribe->filter, &stream->filter) < 0) {
        free(stream);
        peer_refuse(delivery, peer, REASON_INTERNAL, 0, "out of memory");
        return;
    }
    stream->position = stream->told = cursor;
    stream->until_sequence = subscribe->until_sequence;
    stream->until_us = subscribe->until_us;
    stream->credit = peer->credit;
    stream->by_index = stream->filter.customer != 0;
    peer->stream = stream;
    peer_subscribed(delivery, peer, cursor, false);
}

static void join_existing(struct delivery *delivery, struct peer *peer, struct named *named,
                          const Touchbus__Subscribe *subscribe) {
    struct filter filter;
    if (copy_filter(subscribe->filter, &filter) < 0) {
        peer_refuse(delivery, peer, REASON_INTERNAL, 0, "out of memory");
        return;
    }
    // An empty filter claims nothing: it takes the subscription as it is.
    bool fits = filter_is_empty(&filter) || filter_equal(&filter, &named->filter);
    filter_clear(&filter);
    if (!fits) {
        peer_refuse(delivery, peer, REASON_EXISTS, 0,
                    "the subscription was made with another filter, which is fixed: leave the "
                    "filter out, take another name, or remove the subscription first");
        return;
    }
    if (named->subscription->n_members >= SUBSCRIPTION_MEMBERS_MAX) {
        peer_refuse(delivery, peer, REASON_TOO_MANY, 0, "members of one subscription");
        return;
    }
    if (named_stands_at_damage(named)) {
        snprintf(delivery->detail, sizeof delivery->detail, "the log is damaged at %" PRIu64,
                 named->damaged);
        peer_refuse(delivery, peer, REASON_DAMAGED, 0, delivery->detail);
        return;
    }
    named_add_peer(named, peer);
    if (named->creating)
        peer->waits = true;
    else
        peer_subscribed(delivery, peer, subscription_cursor(named->subscription), false);
}

static void join_new(struct delivery *delivery, struct peer *peer,
                     const Touchbus__Subscribe *subscribe) {
    uint64_t cursor = 0;
    struct filter filter = {0};
    if (GUARD(subscriptions_cap) && delivery->n_named >= SUBSCRIPTIONS_MAX) {
        peer_refuse(delivery, peer, REASON_TOO_MANY, 0, "subscriptions");
        return;
    }
    if (!may_make_subscription(delivery, peer)) {
        peer_refuse(delivery, peer, REASON_TOO_MANY, 0, "subscriptions of one key");
        return;
    }
    int code = cursor_of_start(delivery, subscribe->start, &cursor);
    if (code != 0) {
        refuse_start(delivery, peer, code);
        return;
    }
    struct named *named = copy_filter(subscribe->filter, &filter) == 0
                              ? named_new(delivery, subscribe->name, &filter)
                              : NULL;
    if (!named) {
        peer_refuse(delivery, peer, REASON_INTERNAL, 0, "out of memory");
        return;
    }
    if (subscription_make(delivery, cursor, NULL, 0, &named->subscription) < 0) {
        named_free(delivery, named);
        peer_refuse(delivery, peer, REASON_INTERNAL, 0, "out of memory");
        return;
    }
    named->floor = cursor + 1;
    memcpy(named->owner, peer->owner, sizeof named->owner);
    named_add_peer(named, peer);
    peer->waits = peer->created = true;
    record_tend(delivery, named, true);
}

void join_subscribe(struct delivery *delivery, struct peer *peer, const struct grant *grant,
                    const Touchbus__Subscribe *subscribe) {
    if (!utf8_check_printable(subscribe->name, strlen(subscribe->name)) ||
        !utf8_check_printable(subscribe->member, strlen(subscribe->member)) ||
        strlen(subscribe->name) > NAME_BYTES_MAX || strlen(subscribe->member) > NAME_BYTES_MAX) {
        peer_refuse(delivery, peer, REASON_BAD_ARGUMENT, 0, "name or member");
        return;
    }
    if (subscribe->name[0] && (subscribe->until_sequence || subscribe->until_us)) {
        peer_refuse(delivery, peer, REASON_BAD_ARGUMENT, 0, "until is for unnamed ones only");
        return;
    }
    snprintf(peer->label, sizeof peer->label, "%s", subscribe->member);
    memcpy(peer->user, grant->public_key, sizeof peer->user);
    if (!grant->local)
        memcpy(peer->owner, grant->name, sizeof peer->owner);
    if (!may_have_members(delivery, peer)) {
        peer_refuse(delivery, peer, REASON_TOO_MANY, 0, "members of one key");
        return;
    }
    peer->credit = subscribe->credit ? subscribe->credit : CREDIT_DEFAULT;
    if (peer->credit > SUBSCRIBE_CREDIT_MAX)
        peer->credit = SUBSCRIBE_CREDIT_MAX;
    peer->member.lane_ahead =
        subscribe->lane_ahead < LANE_AHEAD_MAX ? subscribe->lane_ahead : LANE_AHEAD_MAX;
    peer->member.any_lane = subscribe->any_lane;
    struct named *named = subscribe->name[0] ? named_find(delivery, subscribe->name) : NULL;
    const Touchbus__Filter *filter = subscribe->filter;
    const char *why = named ? judge_named(grant, named)
                            : judge(grant, subscribe->name, filter ? filter->types : NULL,
                                    filter ? filter->n_types : 0);
    if (why)
        refuse_right(delivery, peer, grant, why);
    else if (!subscribe->name[0])
        join_stream(delivery, peer, subscribe);
    else if (named)
        join_existing(delivery, peer, named, subscribe);
    else
        join_new(delivery, peer, subscribe);
}

void join_judge_anew(struct delivery *delivery) {
    for (struct peer *peer = delivery->peers; peer; peer = peer->next) {
        if (peer->gone)
            continue;
        const struct grant *grant = access_find(&delivery->access, peer->user);
        const char *why = !grant         ? "the key is not known any more"
                          : peer->named  ? judge_named(grant, peer->named)
                          : peer->stream ? judge(grant, "", peer->stream->filter.types,
                                                 peer->stream->filter.n_types)
                                         : NULL;
        if (why && GUARD(access_revoked))
            refuse_right(delivery, peer, grant, why);
    }
}
