// SPDX-License-Identifier: Apache-2.0
// quarantine.jsonl in the state folder: one JSON object a line with time, id, reason and the item's
// bytes in base64, synced before anybody is told that the item is safe. Bounded; never rewritten.
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "connectors/kit/files.h"
#include "connectors/kit/private.h"
#include "schemas/base/base64.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"

struct quarantine {
    pthread_mutex_t lock;
    int fd;
    uint64_t size;
};

int quarantine_open(const char *folder, struct quarantine **ret) {
    struct quarantine *quarantine = calloc(1, sizeof(*quarantine));
    _cleanup_free_ char *path = NULL;
    struct stat status;
    if (quarantine == NULL || asprintf(&path, "%s/quarantine.jsonl", folder) < 0) {
        free(quarantine);
        return -ENOMEM;
    }
    quarantine->fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    if (quarantine->fd < 0 || fstat(quarantine->fd, &status) != 0) {
        int r = -errno;
        quarantine_close(quarantine);
        return r;
    }
    quarantine->size = (uint64_t)status.st_size;
    pthread_mutex_init(&quarantine->lock, NULL);
    *ret = quarantine;
    return 0;
}

struct quarantine *quarantine_close(struct quarantine *quarantine) {
    if (quarantine != NULL) {
        if (quarantine->fd >= 0) {
            close(quarantine->fd);
        }
        free(quarantine);
    }
    return NULL;
}

// The line, with its newline, malloc'ed; NULL where memory is short.
static char *make_line(const struct kit_quarantined *item, int64_t now_us) {
    char time[CLOCK_TEXT_BYTES];
    _cleanup_free_ char *base64 = base64_encode(item->item, item->item_size);
    if (base64 == NULL) {
        return NULL;
    }
    json_t *json = json_pack("{s:s, s:s, s:s, s:s}", "time", clock_format_rfc3339(now_us, time),
                             "id", item->id, "reason", item->reason, "item", base64);
    _cleanup_free_ char *text = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);
    json_decref(json);
    char *line;
    return text == NULL || asprintf(&line, "%s\n", text) < 0 ? NULL : line;
}

int quarantine_add(struct quarantine *quarantine, const struct kit_quarantined *items,
                   size_t n_items) {
    int r = 0;
    pthread_mutex_lock(&quarantine->lock);
    uint64_t end = quarantine->size;
    for (size_t i = 0; r == 0 && i < n_items; i++) {
        _cleanup_free_ char *line = make_line(&items[i], clock_now_us());
        size_t size = line == NULL ? 0 : strlen(line);
        if (line == NULL) {
            r = -ENOMEM;
        } else if (end + size > QUARANTINE_BYTES_MAX) {
            r = KIT_FULL;
        } else {
            r = files_pwrite(quarantine->fd, line, size, end);
            end += size;
        }
    }
    if (r == 0 && fdatasync(quarantine->fd) != 0) {
        r = -errno;
    }
    if (r == 0) {
        quarantine->size = end;
    } else if (ftruncate(quarantine->fd, (off_t)quarantine->size) != 0) {
        // What stays behind the end is overwritten by the next line.
        r = r > 0 ? -errno : r;
    }
    pthread_mutex_unlock(&quarantine->lock);
    return r;
}
