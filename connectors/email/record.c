// SPDX-License-Identifier: Apache-2.0
#include "connectors/email/record.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "connectors/email/durable.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"

static void cleanup_json(json_t **json) {
    json_decref(*json);
}

int records_open(int folder_fd) {
    return durable_folder(folder_fd, "contacts");
}

void record_name(const char *contact_id, char ret[static RECORD_NAME_BYTES]) {
    XXH128_hash_t hash = XXH3_128bits(contact_id, strlen(contact_id));
    snprintf(ret, RECORD_NAME_BYTES, "%016" PRIx64 "%016" PRIx64, (uint64_t)hash.high64,
             (uint64_t)hash.low64);
}

static int load(int records_fd, const char *name, json_t **ret) {
    _cleanup_free_ char *text = NULL;
    size_t size;
    int r = durable_read(records_fd, name, &text, &size);
    json_t *json = r == 0 ? json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL) : NULL;
    if (r == 0 && json_is_object(json)) {
        *ret = json;
        return 0;
    }
    json_decref(json);
    return r == 0 || r == -ENOENT ? 1 : r;
}

int record_load(int records_fd, const char *contact_id, json_t **ret) {
    char name[RECORD_NAME_BYTES];
    record_name(contact_id, name);
    int r = load(records_fd, name, ret);
    if (r == 0 && strcmp(record_text(*ret, "contact_id"), contact_id) != 0) {
        json_decref(*ret);
        *ret = NULL;
        return -EEXIST; // two ids of one name: never seen
    }
    return r;
}

int record_save(int records_fd, const json_t *record) {
    char name[RECORD_NAME_BYTES];
    _cleanup_free_ char *text = json_dumps(record, JSON_COMPACT);
    record_name(record_text(record, "contact_id"), name);
    return text == NULL ? -ENOMEM : durable_write(records_fd, name, text, strlen(text));
}

int record_remove(int records_fd, const char *contact_id) {
    char name[RECORD_NAME_BYTES];
    record_name(contact_id, name);
    return durable_remove(records_fd, name);
}

const char *record_text(const json_t *record, const char *member) {
    const char *text = json_string_value(json_object_get(record, member));
    return text != NULL ? text : "";
}

int64_t record_number(const json_t *record, const char *member) {
    return json_integer_value(json_object_get(record, member));
}

bool record_waits(const json_t *record) {
    return json_is_object(json_object_get(record, "waiting")) &&
           (strcmp(record_text(record, "state"), "waiting") == 0 ||
            strcmp(record_text(record, "state"), "handing") == 0);
}

struct walk {
    int records_fd;
    int (*each)(void *user, json_t *record);
    void *user;
    int64_t before_us;
};

static int visit(void *user, const char *name) {
    const struct walk *walk = user;
    _cleanup_(cleanup_json) json_t *record = NULL;
    int r = load(walk->records_fd, name, &record);
    return r == 0 ? walk->each(walk->user, record) : r < 0 ? r : 0;
}

int records_each(int records_fd, int (*each)(void *user, json_t *record), void *user) {
    struct walk walk = {.records_fd = records_fd, .each = each, .user = user};
    return durable_each(records_fd, visit, &walk);
}

struct erasure {
    int records_fd;
    const char *customer;
};

static int erase_theirs(void *user, json_t *record) {
    const struct erasure *erasure = user;
    return strcmp(record_text(record, "owner"), erasure->customer) == 0
               ? record_remove(erasure->records_fd, record_text(record, "contact_id"))
               : 0;
}

int records_erase(int records_fd, const char *customer) {
    struct erasure erasure = {records_fd, customer};
    return records_each(records_fd, erase_theirs, &erasure);
}

static int remove_if_old(void *user, const char *name) {
    const struct walk *walk = user;
    struct stat status;
    return fstatat(walk->records_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                   (int64_t)status.st_mtim.tv_sec * CLOCK_US_PER_S < walk->before_us
               ? durable_remove(walk->records_fd, name)
               : 0;
}

int records_expire(int records_fd, int64_t before_us) {
    struct walk walk = {.records_fd = records_fd, .before_us = before_us};
    return durable_each(records_fd, remove_if_old, &walk);
}
