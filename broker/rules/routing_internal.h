// SPDX-License-Identifier: Apache-2.0
// What the files of routing share: one interaction on its way to an agent.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/profile/profile.h"
#include "broker/rules/routing.h"
#include "broker/rules/rules_internal.h"
#include "schemas/limits.h"

struct interaction {
    struct judging *judging;
    uint8_t lookup[LOOKUP_BYTES];
    const View__Waiting *row;
    const char *queue;
    const char *skills[ROUTING_SKILLS_MAX]; // the dispensable last
    size_t n_skills;
    uint32_t ring;     // so many of them are left out
    const char *owner; // the customer's agent; NULL: none, or not looked up
    uint8_t owner_lookup[LOOKUP_BYTES];
    bool has_owner;
    int64_t bonus_us;
};

struct agent {
    const char *actor;
    uint8_t lookup[LOOKUP_BYTES];
    ProtobufCBinaryData skills; // a msgpack list
    int64_t since_us;           // of the state
};

// ---- routing_need.c
// Fills in queue, skills, owner and bonus of an interaction that begins, by what the event says and
// the customer's profile. 0; 1: no queue takes it; a negative errno.
int routing_need(struct interaction *interaction);

// ---- routing_agents.c
// The owner if available, else the available agent who has every skill that is asked for and is
// idle longest. 0; 1: nobody; a negative errno.
int routing_find_agent(struct interaction *interaction, struct agent *ret);
// The agent of this name, where available. 0; 1; a negative errno.
int routing_available(struct judging *judging, const char *actor, struct agent *ret);
bool routing_has_skills(const struct agent *agent, const char *const *skills, size_t n);
