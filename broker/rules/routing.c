// SPDX-License-Identifier: Apache-2.0
// Who gets a live interaction: judged when it begins, when the time of one of its skills is over,
// and when an agent becomes available. The verdict is interaction.routed, with an actor where there
// is one; what it stamps is folded before the next event is judged, so that one agent is never
// given to two.
#include "broker/rules/routing.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "broker/bounds.h"
#include "broker/rules/routing_internal.h"
#include "broker/rules/rules_internal.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/guards.h"

#define MINUTE_US 6e7

// Whose key is gone is routed no more: nothing can be logged of them.
static bool is_erased(const struct judging *judging, uint64_t customer) {
    return GUARD(routing_erased) && judging->keys != NULL && customer != 0 &&
           keys_is_destroyed(judging->keys, customer);
}

// ---- the verdict

// Minutes waiting and the tier's bonus, to a tenth.
static double priority(const struct interaction *interaction) {
    int64_t waited_us = interaction->judging->now_us - interaction->row->since_us;
    waited_us = waited_us < 0 ? 0 : waited_us;
    return floor((double)(waited_us + interaction->bonus_us) / MINUTE_US * 10) / 10;
}

// The skills that are asked for, one behind the other.
static const char *skills_text(const struct interaction *interaction) {
    const char *text = "";
    for (size_t i = 0; text != NULL && i < interaction->n_skills - interaction->ring; i++) {
        text = arena_printf(interaction->judging->arena, "%s%s%s", text, i > 0 ? "," : "",
                            interaction->skills[i]);
    }
    return text;
}

// What a touchpoint calls the interaction: nobody's stands in its row, a customer's in theirs.
static int find_id(struct interaction *interaction, const char **ret) {
    struct judging *judging = interaction->judging;
    const View__Waiting *row = interaction->row;
    _cleanup_(cleanup_arena) struct arena *arena = NULL;
    struct profile profile;
    View__Item *item = NULL;
    *ret = row->id;
    if (row->customer == 0 || row->kind == 0) {
        return 0;
    }
    int r = rules_profile(judging, row->customer, &arena, &profile);
    r = r != 0 ? r : profile_item_at(&profile, row->kind, interaction->lookup, &item);
    if (r == 0 && item != NULL) {
        *ret = arena_strdup(judging->arena, item->id);
        r = *ret == NULL ? -ENOMEM : 0;
    }
    return r < 0 ? r : 0;
}

static json_t *verdict_json(const struct interaction *interaction, const struct agent *agent,
                            const char *id) {
    const View__Waiting *row = interaction->row;
    json_t *json = json_pack("{s:s, s:s, s:f, s:I}", "queue", interaction->queue, "skill",
                             skills_text(interaction), "priority", priority(interaction), "began",
                             (json_int_t)row->sequence);
    if (json != NULL && agent != NULL) {
        json_object_set_new(json, "actor", json_string(agent->actor));
    }
    if (json != NULL && *id != '\0') {
        json_object_set_new(json, row->kind == ITEM_CALL ? "call_id" : "conversation_id",
                            json_string(id));
    }
    return json;
}

static int copy_lookup(struct arena *arena, const uint8_t lookup[static LOOKUP_BYTES],
                       ProtobufCBinaryData *ret) {
    ret->data = arena_copy(arena, lookup, LOOKUP_BYTES);
    ret->len = ret->data == NULL ? 0 : LOOKUP_BYTES;
    return ret->data == NULL ? -ENOMEM : 0;
}

static int stamp_verdict(const struct interaction *interaction, const struct agent *agent,
                         Touchbus__Event *event) {
    struct judging own = *interaction->judging;
    struct arena *arena = own.arena;
    own.event = event;
    Touchbus__Stamp *stamp = rules_make_stamp(&own);
    Touchbus__Routing *routing = stamp == NULL ? NULL : arena_alloc(arena, sizeof(*routing));
    if (routing == NULL) {
        return -ENOMEM;
    }
    touchbus__routing__init(routing);
    stamp->routing = routing;
    routing->state = agent != NULL ? WAITING_ROUTED : WAITING_QUEUED;
    routing->kind = interaction->row->kind;
    routing->tier = interaction->row->tier;
    routing->queue = arena_strdup(arena, interaction->queue);
    routing->n_skills = interaction->n_skills;
    routing->skills = arena_calloc(arena, interaction->n_skills + 1, sizeof(char *));
    routing->bonus_us = interaction->bonus_us;
    routing->ring = interaction->ring;
    if (routing->queue == NULL || routing->skills == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < interaction->n_skills; i++) {
        routing->skills[i] = arena_strdup(arena, interaction->skills[i]);
        if (routing->skills[i] == NULL) {
            return -ENOMEM;
        }
    }
    int r = copy_lookup(arena, interaction->lookup, &routing->interaction);
    if (r == 0 && agent != NULL) {
        r = copy_lookup(arena, agent->lookup, &routing->agent);
        routing->until_us = own.now_us + ROUTING_HOLD_S * INT64_C(1000000);
    } else if (r == 0 && interaction->has_owner) {
        r = copy_lookup(arena, interaction->owner_lookup, &routing->agent);
    }
    return r;
}

// Due when the next skill is given up; off where none is left, or an agent was found.
static int arm_ring(const struct interaction *interaction, bool found, Touchbus__Event *event) {
    const struct judging *judging = interaction->judging;
    const struct policy_routing *routing = &judging->policy->routing;
    bool more = !found && routing->ring_us > 0 && interaction->ring < routing->rings &&
                interaction->ring < interaction->n_skills;
    bool armed = interaction->row->state == WAITING_QUEUED;
    return !more && !armed ? 0
                           : rules_arm(judging->arena, event, TIMER_ROUTING, interaction->lookup,
                                       more ? judging->timer_us + routing->ring_us : 0);
}

// The follow-up, and the same as the verdict where the interaction's own event is being judged.
static int say(struct interaction *interaction, const struct agent *agent, bool is_own) {
    struct judging *judging = interaction->judging;
    Touchbus__Event *event;
    const char *id = "";
    int r = find_id(interaction, &id);
    if (r != 0) {
        return r;
    }
    r = rules_follow_up(judging, "routed", "interaction.routed",
                        verdict_json(interaction, agent, id), interaction->row->customer, &event);
    if (r != 0) {
        return r < 0 ? r : 0;
    }
    event->channel = interaction->row->channel;
    r = stamp_verdict(interaction, agent, event);
    r = r != 0 ? r : arm_ring(interaction, agent != NULL, event);
    if (r == 0 && is_own) {
        json_t *verdict = verdict_json(interaction, agent, id);
        json_object_set_new(verdict, "verdict", json_string(agent != NULL ? "routed" : "queued"));
        r = rules_verdict(judging, verdict);
    }
    return r;
}

// ---- an interaction begins

static int begin(struct interaction *interaction, bool is_own) {
    struct agent agent;
    int r = routing_need(interaction);
    if (r != 0) {
        return r < 0 ? r : 0;
    }
    r = routing_find_agent(interaction, &agent);
    return r < 0 ? r : say(interaction, r == 0 ? &agent : NULL, is_own);
}

int routing_follow(struct judging *judging) {
    const Touchbus__Stamp *stamp = judging->event->stamp;
    const Touchbus__Routing *routing = stamp == NULL ? NULL : stamp->routing;
    struct interaction interaction = {.judging = judging};
    View__Waiting *row;
    if (judging->policy == NULL || routing == NULL || routing->state != WAITING_ARRIVED) {
        return 0;
    }
    const struct policy_channel *channel = policy_channel(judging->policy, judging->event->channel);
    if (routing->kind != 0 && (channel == NULL || !channel->live)) {
        return 0; // nobody waits
    }
    memcpy(interaction.lookup, routing->interaction.data, LOOKUP_BYTES);
    int r = waiting_get(judging->txn, judging->arena, interaction.lookup, &row);
    if (r != 0) {
        return r < 0 ? r : 0;
    }
    interaction.row = row;
    return begin(&interaction, true);
}

int routing_callback_due(struct judging *judging, const struct timer_due *due) {
    static char phone[] = "phone";
    struct interaction interaction = {.judging = judging};
    View__Waiting row;
    view__waiting__init(&row);
    const char *tier;
    int r = judging->policy == NULL ? 0 : rules_tier(judging, &tier);
    if (judging->policy == NULL || r != 0) {
        return r;
    }
    row.customer = due->customer;
    row.channel = phone;
    row.tier = arena_strdup(judging->arena, tier);
    row.since_us = judging->now_us;
    row.state = WAITING_ARRIVED;
    memcpy(interaction.lookup, due->id, LOOKUP_BYTES);
    interaction.row = &row;
    return row.tier == NULL ? -ENOMEM : begin(&interaction, false);
}

// ---- it waits

// What was found out about it when it began.
static void recall(struct interaction *interaction, const View__Waiting *row) {
    interaction->row = row;
    interaction->queue = row->queue;
    interaction->n_skills = row->n_skills < ROUTING_SKILLS_MAX ? row->n_skills : ROUTING_SKILLS_MAX;
    for (size_t i = 0; i < interaction->n_skills; i++) {
        interaction->skills[i] = row->skills[i];
    }
    interaction->ring =
        row->ring < interaction->n_skills ? row->ring : (uint32_t)interaction->n_skills;
    interaction->bonus_us = row->bonus_us;
    interaction->has_owner = row->agent.len == LOOKUP_BYTES;
    if (interaction->has_owner) {
        memcpy(interaction->owner_lookup, row->agent.data, LOOKUP_BYTES);
    }
}

int routing_due(struct judging *judging, const struct timer_due *due) {
    struct interaction interaction = {.judging = judging};
    struct agent agent;
    View__Waiting *row;
    int r = judging->policy == NULL ? 1 : waiting_get(judging->txn, judging->arena, due->id, &row);
    if (r != 0 || row->state != WAITING_QUEUED) {
        return r < 0 ? r : 0;
    }
    memcpy(interaction.lookup, due->id, LOOKUP_BYTES);
    recall(&interaction, row);
    interaction.ring += interaction.ring < interaction.n_skills;
    r = fold_flush(judging->fold, judging->txn);
    r = r != 0 ? r : routing_find_agent(&interaction, &agent);
    return r < 0 ? r : say(&interaction, r == 0 ? &agent : NULL, false);
}

// ---- an agent becomes available

struct turn {
    struct judging *judging;
    const struct agent *agent;
    struct arena *scratch; // of one row
    uint8_t best[LOOKUP_BYTES];
    int64_t best_us; // what it has waited, with the bonus
    bool found;
    size_t n;
};

static int turn_row(void *user, const void *key, size_t key_size, const void *value, size_t size) {
    struct turn *turn = user;
    struct interaction interaction = {.judging = turn->judging};
    View__Waiting *row;
    (void)key;
    if (key_size != WAITING_PLACE_BYTES || size != LOOKUP_BYTES) {
        return -EBADMSG;
    }
    if (turn->n++ == ROUTING_WAITING_MAX) {
        return 1;
    }
    memcpy(interaction.lookup, value, size);
    arena_reset(turn->scratch);
    int r = waiting_get(turn->judging->txn, turn->scratch, interaction.lookup, &row);
    if (r != 0) {
        return r < 0 ? r : 0;
    }
    if (is_erased(turn->judging, row->customer)) {
        return 0;
    }
    recall(&interaction, row);
    int64_t waited_us = turn->judging->now_us - row->since_us + row->bonus_us;
    bool fits = (interaction.has_owner &&
                 memcmp(interaction.owner_lookup, turn->agent->lookup, LOOKUP_BYTES) == 0) ||
                routing_has_skills(turn->agent, interaction.skills,
                                   interaction.n_skills - interaction.ring);
    if (fits && (!turn->found || waited_us > turn->best_us)) {
        memcpy(turn->best, interaction.lookup, LOOKUP_BYTES);
        turn->best_us = waited_us;
        turn->found = true;
    }
    return 0;
}

static int give(struct judging *judging, const struct agent *agent,
                const uint8_t lookup[static LOOKUP_BYTES]) {
    struct interaction interaction = {.judging = judging};
    View__Waiting *row;
    memcpy(interaction.lookup, lookup, LOOKUP_BYTES);
    int r = waiting_get(judging->txn, judging->arena, lookup, &row);
    if (r != 0) {
        return r < 0 ? r : 0;
    }
    recall(&interaction, row);
    return say(&interaction, agent, false);
}

int routing_follow_agent(struct judging *judging) {
    enum { SCRATCH_BYTES = 1 << 20 };
    struct agent agent;
    const char *actor = rules_text(judging, "actor");
    int r = judging->policy == NULL || actor == NULL ? 1 : fold_flush(judging->fold, judging->txn);
    r = r != 0 ? r : routing_available(judging, actor, &agent);
    if (r != 0) {
        return r < 0 ? r : 0;
    }
    _cleanup_(cleanup_arena) struct arena *scratch = arena_new(SCRATCH_BYTES);
    struct turn turn = {.judging = judging, .agent = &agent, .scratch = scratch};
    if (scratch == NULL) {
        return -ENOMEM;
    }
    r = view_scan(judging->txn, VIEW_WAITING, "q", 1, false, turn_row, &turn);
    return r < 0 || !turn.found ? (r < 0 ? r : 0) : give(judging, &agent, turn.best);
}
