// SPDX-License-Identifier: Apache-2.0
// The connectors that have reported to this broker since it started: name, kind, state and metrics
// as the kit sends them. In memory only, bounded; a connector that is silent is shown as lost and
// gives its place up when another needs it.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/access.h"

enum {
    REGISTRY_CONNECTORS_MAX = 256,
    REGISTRY_OF_A_KEY_MAX = 32,            // of them, of one key
    REGISTRY_METRICS_BYTES_MAX = 16 << 10, // one connector's, as JSON text
    REGISTRY_LOST_US = 30 * 1000000,       // silent for longer: shown as lost
};

struct registry;

struct registry *registry_new(void);
struct registry *registry_free(struct registry *registry);
// Whether the key may report under one more name, where this one is new.
// Those that are lost do not count.
bool registry_may_add(const struct registry *registry, const struct grant *grant, const char *name,
                      int64_t now_us);
// What a connector says of itself; metrics may be NULL (reference taken otherwise). *ret_reload:
// an operator asked it to reload, told once. 0 or a reason code.
uint32_t registry_report(struct registry *registry, const char *name, const char *kind,
                         const char *state, const char *instance, json_t *metrics, int64_t now_us,
                         bool *ret_reload);
// 0 or REASON_NOT_FOUND.
uint32_t registry_reload(struct registry *registry, const char *name);
// A new reference; NULL where there is none.
json_t *registry_show(const struct registry *registry, const char *name, int64_t now_us);
// A new array, in order of names.
json_t *registry_list(const struct registry *registry, int64_t now_us);
