// SPDX-License-Identifier: Apache-2.0
// A sorted array of connectors. Reports come every few seconds from each, so a linear array is
// plenty. Never written to disk: a broker that restarts learns it anew within one report.
#include "broker/query/registry.h"

#include <stdlib.h>
#include <string.h>

#include "schemas/base/clock.h"
#include "schemas/base/guards.h"
#include "schemas/limits.h"
#include "schemas/reasons.h"

struct connector {
    char name[NAME_BYTES_MAX + 1], kind[NAME_BYTES_MAX + 1], state[NAME_BYTES_MAX + 1],
        instance[NAME_BYTES_MAX + 1];
    json_t *metrics;
    int64_t first_us, seen_us; // wall clock, first since the broker started
    bool reload;
};

struct registry {
    struct connector *connectors[REGISTRY_CONNECTORS_MAX];
    size_t n_connectors;
};

struct registry *registry_new(void) {
    return calloc(1, sizeof(struct registry));
}

static struct connector *connector_free(struct connector *connector) {
    if (connector != NULL) {
        json_decref(connector->metrics);
        free(connector);
    }
    return NULL;
}

struct registry *registry_free(struct registry *registry) {
    for (size_t i = 0; registry != NULL && i < registry->n_connectors; i++) {
        connector_free(registry->connectors[i]);
    }
    free(registry);
    return NULL;
}

// The place of a name, or where it belongs.
static size_t place(const struct registry *registry, const char *name) {
    size_t i = 0;
    while (i < registry->n_connectors && strcmp(registry->connectors[i]->name, name) < 0) {
        i++;
    }
    return i;
}

static struct connector *find(const struct registry *registry, const char *name) {
    size_t i = place(registry, name);
    bool found = i < registry->n_connectors && strcmp(registry->connectors[i]->name, name) == 0;
    return found ? registry->connectors[i] : NULL;
}

bool registry_may_add(const struct registry *registry, const struct grant *grant, const char *name,
                      int64_t now_us) {
    size_t n = 0;
    if (grant->local || find(registry, name) != NULL || !GUARD(key_reports)) {
        return true;
    }
    for (size_t i = 0; i < registry->n_connectors; i++) {
        const struct connector *connector = registry->connectors[i];
        n += now_us - connector->seen_us <= REGISTRY_LOST_US && grant_owns(grant, connector->name);
    }
    return n < REGISTRY_OF_A_KEY_MAX;
}

static void drop_lost(struct registry *registry, int64_t now_us) {
    size_t n = 0;
    for (size_t i = 0; i < registry->n_connectors; i++) {
        struct connector *connector = registry->connectors[i];
        if (now_us - connector->seen_us > REGISTRY_LOST_US) {
            connector_free(connector);
        } else {
            registry->connectors[n++] = connector;
        }
    }
    registry->n_connectors = n;
}

static struct connector *add(struct registry *registry, const char *name, int64_t now_us) {
    if (registry->n_connectors == REGISTRY_CONNECTORS_MAX) {
        drop_lost(registry, now_us);
    }
    if (registry->n_connectors == REGISTRY_CONNECTORS_MAX) {
        return NULL;
    }
    struct connector *connector = calloc(1, sizeof(*connector));
    if (connector == NULL) {
        return NULL;
    }
    memcpy(connector->name, name, strlen(name) + 1);
    connector->first_us = now_us;
    size_t at = place(registry, name);
    memmove(registry->connectors + at + 1, registry->connectors + at,
            (registry->n_connectors - at) * sizeof(registry->connectors[0]));
    registry->connectors[at] = connector;
    registry->n_connectors++;
    return connector;
}

static bool fits(const char *text) {
    return strlen(text) <= NAME_BYTES_MAX;
}

static bool metrics_fit(const json_t *metrics) {
    return metrics == NULL ||
           json_dumpb(metrics, NULL, 0, JSON_COMPACT) <= REGISTRY_METRICS_BYTES_MAX;
}

uint32_t registry_report(struct registry *registry, const char *name, const char *kind,
                         const char *state, const char *instance, json_t *metrics, int64_t now_us,
                         bool *ret_reload) {
    bool valid = *name != '\0' && fits(name) && fits(kind) && fits(state) && fits(instance) &&
                 metrics_fit(metrics);
    struct connector *connector = valid ? find(registry, name) : NULL;
    if (valid && connector == NULL) {
        connector = add(registry, name, now_us);
    }
    if (connector == NULL) {
        json_decref(metrics);
        return valid ? REASON_TOO_MANY : REASON_BAD_ARGUMENT;
    }
    memcpy(connector->kind, kind, strlen(kind) + 1);
    memcpy(connector->state, state, strlen(state) + 1);
    memcpy(connector->instance, instance, strlen(instance) + 1);
    json_decref(connector->metrics);
    connector->metrics = metrics;
    connector->seen_us = now_us;
    *ret_reload = connector->reload;
    connector->reload = false;
    return REASON_OK;
}

uint32_t registry_reload(struct registry *registry, const char *name) {
    struct connector *connector = find(registry, name);
    if (connector == NULL) {
        return REASON_NOT_FOUND;
    }
    connector->reload = true;
    return REASON_OK;
}

static json_t *show(const struct connector *connector, int64_t now_us) {
    char first[CLOCK_TEXT_BYTES], seen[CLOCK_TEXT_BYTES];
    bool lost = now_us - connector->seen_us > REGISTRY_LOST_US;
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:O?}", "name", connector->name, "kind",
                     connector->kind, "state", lost ? "lost" : connector->state, "instance",
                     connector->instance, "first_seen",
                     clock_format_rfc3339(connector->first_us, first), "last_seen",
                     clock_format_rfc3339(connector->seen_us, seen), "reload_pending",
                     connector->reload, "metrics", connector->metrics);
}

json_t *registry_show(const struct registry *registry, const char *name, int64_t now_us) {
    const struct connector *connector = find(registry, name);
    return connector != NULL ? show(connector, now_us) : NULL;
}

json_t *registry_list(const struct registry *registry, int64_t now_us) {
    json_t *list = json_array();
    for (size_t i = 0; list != NULL && i < registry->n_connectors; i++) {
        json_array_append_new(list, show(registry->connectors[i], now_us));
    }
    return list;
}
