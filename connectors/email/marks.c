// SPDX-License-Identifier: Apache-2.0
#include "connectors/email/marks.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "connectors/email/durable.h"

struct marks {
    int fd;
    pthread_mutex_t lock; // of what follows
    uint32_t uidvalidity, uids[MARKS_MAX];
    size_t n;
};

int marks_new(struct marks **ret) {
    struct marks *marks = calloc(1, sizeof(*marks));
    if (marks == NULL) {
        return -ENOMEM;
    }
    pthread_mutex_init(&marks->lock, NULL);
    marks->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (marks->fd < 0) {
        int r = -errno;
        marks_free(marks);
        return r;
    }
    *ret = marks;
    return 0;
}

struct marks *marks_free(struct marks *marks) {
    if (marks != NULL) {
        cleanup_fd(&marks->fd);
        pthread_mutex_destroy(&marks->lock);
        free(marks);
    }
    return NULL;
}

int marks_fd(const struct marks *marks) {
    return marks->fd;
}

void marks_clear(struct marks *marks) {
    eventfd_t ignored;
    eventfd_read(marks->fd, &ignored);
}

void marks_add(struct marks *marks, uint32_t uidvalidity, uint32_t uid) {
    pthread_mutex_lock(&marks->lock);
    if (marks->uidvalidity != uidvalidity) {
        marks->n = 0;
        marks->uidvalidity = uidvalidity;
    }
    if (marks->n < MARKS_MAX) {
        marks->uids[marks->n++] = uid;
        eventfd_write(marks->fd, 1);
    }
    pthread_mutex_unlock(&marks->lock);
}

bool marks_next(struct marks *marks, uint32_t uidvalidity, uint32_t *ret_uid) {
    pthread_mutex_lock(&marks->lock);
    bool any = marks->n > 0 && marks->uidvalidity == uidvalidity;
    if (any) {
        *ret_uid = marks->uids[marks->n - 1];
    }
    pthread_mutex_unlock(&marks->lock);
    return any;
}

// Others may have come meanwhile: it need not be the last one still.
void marks_forget(struct marks *marks, uint32_t uidvalidity, uint32_t uid) {
    pthread_mutex_lock(&marks->lock);
    size_t i = marks->uidvalidity == uidvalidity ? marks->n : 0;
    while (i > 0 && marks->uids[i - 1] != uid) {
        i--;
    }
    if (i > 0) {
        marks->uids[i - 1] = marks->uids[--marks->n];
    }
    pthread_mutex_unlock(&marks->lock);
}
