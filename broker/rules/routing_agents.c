// SPDX-License-Identifier: Apache-2.0
// Agents, as agent.state said they are (ITEM_AGENT of VIEW_SHARED), less those who were given an
// interaction and have not said anything since. Of two that are idle equally long the lower look-up
// wins, so that the same log gives the same agent.
#include <errno.h>
#include <string.h>

#include "broker/bounds.h"
#include "broker/rules/routing_internal.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/guards.h"
#include "schemas/body.h"

enum { AGENT_KEY_BYTES = 1 + LOOKUP_BYTES, SCRATCH_BYTES = 4 << 20 };

static const View__Attribute *member(const View__Item *item, const char *name) {
    for (size_t i = 0; i < item->n_members; i++) {
        if (strcmp(item->members[i]->name, name) == 0) {
            return item->members[i];
        }
    }
    return NULL;
}

static bool is_text(const View__Attribute *attribute, const char *text) {
    struct body_value value;
    return attribute != NULL && body_read(attribute->value.data, attribute->value.len, &value) &&
           value.kind == BODY_TEXT && value.text_size == strlen(text) &&
           memcmp(value.text, text, value.text_size) == 0;
}

// The agent of a row. 0; 1: is not available; a negative errno.
static int read_agent(const struct judging *judging, struct arena *arena,
                      const uint8_t key[static AGENT_KEY_BYTES], const void *value, size_t size,
                      struct agent *ret) {
    View__Held *held;
    const View__Item *item = item_unpack(arena_allocator(arena), size, value);
    if (item == NULL) {
        return -EBADMSG;
    }
    const View__Attribute *state = member(item, "state"), *skills = member(item, "skills");
    if (!is_text(state, "available")) {
        return 1;
    }
    memcpy(ret->lookup, key + 1, LOOKUP_BYTES);
    ret->actor = item->id;
    ret->since_us = state->time_us;
    ret->skills = skills != NULL ? skills->value : (ProtobufCBinaryData){0};
    int r = waiting_get_held(judging->txn, arena, ret->lookup, &held);
    return r < 0 ? r : GUARD(routing_hold) && r == 0 && held->until_us > judging->now_us;
}

bool routing_has_skills(const struct agent *agent, const char *const *skills, size_t n) {
    struct body_value list, skill;
    bool readable = agent->skills.len > 0 &&
                    body_read(agent->skills.data, agent->skills.len, &list) &&
                    list.kind == BODY_LIST;
    for (size_t i = 0; i < n; i++) {
        size_t position = 0;
        bool found = false;
        while (!found && readable && body_next(&list, &position, NULL, &skill)) {
            found = skill.kind == BODY_TEXT && skill.text_size == strlen(skills[i]) &&
                    memcmp(skill.text, skills[i], skill.text_size) == 0;
        }
        if (!found) {
            return false;
        }
    }
    return true;
}

struct search {
    const struct interaction *interaction;
    struct arena *scratch; // of one row
    struct agent best;
    bool found;
    size_t n;
};

static bool is_better(const struct agent *one, const struct agent *other) {
    return one->since_us != other->since_us ? one->since_us < other->since_us
                                            : memcmp(one->lookup, other->lookup, LOOKUP_BYTES) < 0;
}

static int search_row(void *user, const void *key, size_t key_size, const void *value,
                      size_t size) {
    struct search *search = user;
    const struct interaction *interaction = search->interaction;
    struct agent agent;
    if (key_size != AGENT_KEY_BYTES) {
        return -EBADMSG;
    }
    if (search->n++ == AGENTS_MAX) {
        return 1;
    }
    arena_reset(search->scratch);
    int r = read_agent(interaction->judging, search->scratch, key, value, size, &agent);
    if (r != 0) {
        return r < 0 ? r : 0;
    }
    if (routing_has_skills(&agent, interaction->skills,
                           interaction->n_skills - interaction->ring) &&
        (!search->found || is_better(&agent, &search->best))) {
        search->best = agent;
        search->best.actor = arena_strdup(interaction->judging->arena, agent.actor);
        search->found = true;
        return search->best.actor == NULL ? -ENOMEM : 0;
    }
    return 0;
}

static int get_available(struct judging *judging, const uint8_t lookup[static LOOKUP_BYTES],
                         struct agent *ret) {
    uint8_t key[AGENT_KEY_BYTES] = {ITEM_AGENT};
    const void *value;
    size_t size;
    memcpy(key + 1, lookup, LOOKUP_BYTES);
    int r = view_get(judging->txn, VIEW_SHARED, key, sizeof(key), &value, &size);
    return r != 0 ? r : read_agent(judging, judging->arena, key, value, size, ret);
}

int routing_available(struct judging *judging, const char *actor, struct agent *ret) {
    uint8_t lookup[LOOKUP_BYTES];
    if (!lookup_reference(judging->secret, "agent", actor, lookup)) {
        return 1;
    }
    return get_available(judging, lookup, ret);
}

int routing_find_agent(struct interaction *interaction, struct agent *ret) {
    static const uint8_t prefix[] = {ITEM_AGENT};
    _cleanup_(cleanup_arena) struct arena *scratch = arena_new(SCRATCH_BYTES);
    struct search search = {.interaction = interaction, .scratch = scratch};
    int r = interaction->has_owner
                ? get_available(interaction->judging, interaction->owner_lookup, ret)
                : 1;
    if (r <= 0 || scratch == NULL) {
        return r <= 0 ? r : -ENOMEM;
    }
    r = view_scan(interaction->judging->txn, VIEW_SHARED, prefix, sizeof(prefix), false, search_row,
                  &search);
    if (r < 0 || !search.found) {
        return r < 0 ? r : 1;
    }
    *ret = search.best;
    return 0;
}
