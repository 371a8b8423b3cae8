// SPDX-License-Identifier: Apache-2.0
// Which keys a handle uses. Half a pair is refused: who named a key does not want to speak without.
#include "connectors/client/keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/client/touchbus.h"
#include "schemas/base/guards.h"

static const char *path_of(const char *path, const char *variable) {
    if (path == NULL || path[0] == '\0') {
        path = getenv(variable);
    }
    return path == NULL || path[0] == '\0' ? NULL : path;
}

static int read_both(const char *key, const char *broker_key, struct keys *ret, char *why) {
    struct certificate broker;
    int r = certificate_read_secret(key, &ret->own, why);
    r = r != 0 ? r : certificate_read(broker_key, &broker, why);
    if (r == 0) {
        memcpy(ret->server, broker.public_key, sizeof(ret->server));
        certificate_clear(&broker);
    } else {
        certificate_clear(&ret->own);
    }
    return r;
}

int keys_load(struct keys *keys, const char *key, const char *broker_key,
              char why[static CERTIFICATE_WHY_BYTES]) {
    key = path_of(key, "TOUCHBUS_KEY");
    broker_key = path_of(broker_key, "TOUCHBUS_BROKER_KEY");
    *keys = (struct keys){0};
    if (key == NULL && broker_key == NULL) {
        return 0;
    }
    if (GUARD(both_keys) && (key == NULL || broker_key == NULL)) {
        snprintf(why, CERTIFICATE_WHY_BYTES,
                 "%s, but no %s: both are needed, key (TOUCHBUS_KEY) and broker-key "
                 "(TOUCHBUS_BROKER_KEY)",
                 key != NULL ? "there is a key" : "there is a broker-key",
                 key != NULL ? "broker-key" : "key");
        return -EINVAL;
    }
    int r = read_both(key, broker_key, keys, why);
    if (r == 0) {
        keys->key = strdup(key);
        keys->broker_key = strdup(broker_key);
        r = keys->key == NULL || keys->broker_key == NULL ? -ENOMEM : 0;
    }
    if (r != 0) {
        keys_clear(keys);
    }
    return r;
}

int keys_reload(struct keys *keys, char why[static CERTIFICATE_WHY_BYTES]) {
    if (!keys_present(keys)) {
        return 0;
    }
    struct keys fresh = {0};
    int r = read_both(keys->key, keys->broker_key, &fresh, why);
    if (r == 0) {
        r = strcmp(fresh.own.public_key, keys->own.public_key) != 0 ||
            strcmp(fresh.server, keys->server) != 0;
        keys->own = fresh.own;
        memcpy(keys->server, fresh.server, sizeof(keys->server));
    }
    certificate_clear(&fresh.own);
    return r;
}

void keys_clear(struct keys *keys) {
    free(keys->key);
    free(keys->broker_key);
    certificate_clear(&keys->own);
    *keys = (struct keys){0};
}

int touchbus_keys_check(const char *key, const char *broker_key, char *why, size_t why_size) {
    char text[CERTIFICATE_WHY_BYTES] = "out of memory";
    struct keys keys;
    int r = keys_load(&keys, key, broker_key, text);
    if (r != 0 && why != NULL && why_size > 0) {
        snprintf(why, why_size, "%s", text);
    }
    keys_clear(&keys);
    return r;
}
