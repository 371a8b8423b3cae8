// SPDX-License-Identifier: Apache-2.0
#include "connectors/email/mailbox.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "connectors/email/durable.h"
#include "connectors/email/marks.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"

struct mailbox {
    const struct mailbox_options *options;
    pthread_t thread;
    bool running;
    int stop_fd; // readable: it ends
    int fd;      // readable: there are mails
    struct marks *marks;

    pthread_mutex_t lock; // of what follows
    pthread_cond_t room;
    struct mailbox_mail queue[MAILBOX_QUEUE_MAX];
    size_t first, n, n_bytes;
    bool stop;

    // The thread's own.
    uint32_t uidvalidity, uid; // what was handed over last
    char told[IMAP_WHY_BYTES]; // what was logged last, "" that all is well
    int64_t retry_ms;
    bool mark_refused; // said once
};

static bool is_stopping(struct mailbox *mailbox) {
    pthread_mutex_lock(&mailbox->lock);
    bool stop = mailbox->stop;
    pthread_mutex_unlock(&mailbox->lock);
    return stop;
}

// ---- handing over

// Waits for room. False: it ends, and the mail is the caller's still.
static bool hand_over(struct mailbox *mailbox, const struct mailbox_mail *mail) {
    pthread_mutex_lock(&mailbox->lock);
    while (!mailbox->stop && mailbox->n > 0 &&
           (mailbox->n == MAILBOX_QUEUE_MAX || mailbox->n_bytes > MAILBOX_QUEUE_BYTES_MAX)) {
        pthread_cond_wait(&mailbox->room, &mailbox->lock);
    }
    bool taken = !mailbox->stop;
    if (taken) {
        mailbox->queue[(mailbox->first + mailbox->n) % MAILBOX_QUEUE_MAX] = *mail;
        mailbox->n++;
        mailbox->n_bytes += mail->mail.size;
        eventfd_write(mailbox->fd, 1);
    }
    pthread_mutex_unlock(&mailbox->lock);
    return taken;
}

bool mailbox_take(struct mailbox *mailbox, struct mailbox_mail *ret) {
    pthread_mutex_lock(&mailbox->lock);
    bool any = mailbox->n > 0;
    if (any) {
        *ret = mailbox->queue[mailbox->first];
        mailbox->first = (mailbox->first + 1) % MAILBOX_QUEUE_MAX;
        mailbox->n--;
        mailbox->n_bytes -= ret->mail.size;
        pthread_cond_signal(&mailbox->room);
    }
    pthread_mutex_unlock(&mailbox->lock);
    return any;
}

void mailbox_clear(struct mailbox *mailbox) {
    eventfd_t ignored;
    eventfd_read(mailbox->fd, &ignored);
}

int mailbox_fd(const struct mailbox *mailbox) {
    return mailbox->fd;
}

// ---- flags

void mailbox_mark_seen(struct mailbox *mailbox, uint32_t uidvalidity, uint32_t uid) {
    marks_add(mailbox->marks, uidvalidity, uid);
}

// What the server refuses to mark is given up: mails are read all the same.
static int mark(struct mailbox *mailbox, struct imap *imap) {
    uint32_t uid, uidvalidity = imap_uidvalidity(imap);
    int r = 0;
    marks_clear(mailbox->marks);
    while (r >= 0 && marks_next(mailbox->marks, uidvalidity, &uid)) {
        r = imap_mark_seen(imap, uid);
        if (r >= 0) {
            marks_forget(mailbox->marks, uidvalidity, uid);
        }
        if (r > 0 && !mailbox->mark_refused) {
            logging_warning("imap=mark-seen-refused");
        }
        mailbox->mark_refused = mailbox->mark_refused || r > 0;
    }
    return r < 0 ? r : 0;
}

// ---- reading

static int read_one(struct mailbox *mailbox, struct imap *imap, uint32_t uid) {
    struct mailbox_mail mail = {.uidvalidity = mailbox->uidvalidity, .uid = uid};
    int r = imap_fetch(imap, uid, mailbox->options->mail_bytes_max, &mail.mail);
    if (r == 0 && !hand_over(mailbox, &mail)) {
        imap_mail_clear(&mail.mail);
        r = -ECANCELED;
    }
    if (r >= 0) { // also where it was deleted meanwhile
        mailbox->uid = uid;
        r = 0;
    }
    return r;
}

// All that is new. 1: there was something, there may be more.
static int read_all(struct mailbox *mailbox, struct imap *imap) {
    _cleanup_free_ uint32_t *uids = NULL;
    size_t n = 0;
    int r = imap_list(imap, mailbox->uid, &uids, &n);
    for (size_t i = 0; r == 0 && i < n; i++) {
        r = read_one(mailbox, imap, uids[i]);
    }
    return r != 0 ? r : n > 0;
}

// A mailbox that is another one than it was, or was put back as it was once: its UIDs say nothing.
static void begin_where(struct mailbox *mailbox, const struct imap *imap) {
    uint32_t uidvalidity = imap_uidvalidity(imap), uidnext = imap_uidnext(imap);
    bool other = GUARD(mail_uidvalidity) && uidvalidity != mailbox->uidvalidity;
    bool older = GUARD(mail_uidnext) && uidnext != 0 && uidnext <= mailbox->uid;
    if (other || older) {
        if (mailbox->uidvalidity != 0) {
            logging_warning("imap=mailbox-changed uidvalidity=%" PRIu32 " was=%" PRIu32
                            " uidnext=%" PRIu32 " reading=from-the-first-mail",
                            uidvalidity, mailbox->uidvalidity, uidnext);
        }
        mailbox->uidvalidity = uidvalidity;
        mailbox->uid = 0;
    }
}

// Reads and waits until something breaks.
static int attend(struct mailbox *mailbox, struct imap *imap) {
    const struct mailbox_options *options = mailbox->options;
    int r = 0;
    begin_where(mailbox, imap);
    while (r >= 0) {
        do {
            r = read_all(mailbox, imap);
        } while (r == 1);
        r = r != 0 ? r : mark(mailbox, imap);
        r = r != 0 ? r
                   : imap_wait(imap, options->idle_ms, options->poll_ms, marks_fd(mailbox->marks));
    }
    return r;
}

static void tell(struct mailbox *mailbox, const char *why) {
    if (strcmp(mailbox->told, why) != 0) {
        logging_warning("imap=away reason=\"%s\"", why);
        snprintf(mailbox->told, sizeof(mailbox->told), "%s", why);
    }
}

// One connection, from its beginning to its end.
static void connect_once(struct mailbox *mailbox) {
    const struct mailbox_options *options = mailbox->options;
    char why[IMAP_WHY_BYTES] = "";
    struct imap *imap = NULL;
    int r = imap_open(options->imap, mailbox->stop_fd, why, &imap);
    if (r == 0) {
        logging_info("imap=up idle=%s uidvalidity=%" PRIu32, imap_has_idle(imap) ? "true" : "false",
                     imap_uidvalidity(imap));
        mailbox->told[0] = '\0';
        mailbox->retry_ms = 0;
        kit_count(options->kit, options->up_counter, 1);
        r = attend(mailbox, imap);
        kit_count(options->kit, options->up_counter, UINT64_MAX); // one less
        snprintf(why, sizeof(why), "%s", imap_why(imap));
        imap_close(imap);
    }
    if (r != -ECANCELED) {
        kit_count(options->kit, options->failures_counter, 1);
        tell(mailbox, why);
    }
}

static void back_off(struct mailbox *mailbox) {
    int64_t doubled = mailbox->retry_ms == 0 ? MAILBOX_RETRY_MS_MIN : 2 * mailbox->retry_ms;
    mailbox->retry_ms = doubled < MAILBOX_RETRY_MS_MAX ? doubled : MAILBOX_RETRY_MS_MAX;
    struct pollfd stop = {.fd = mailbox->stop_fd, .events = POLLIN};
    poll(&stop, 1, (int)mailbox->retry_ms);
}

static void *run(void *data) {
    struct mailbox *mailbox = data;
    while (!is_stopping(mailbox)) {
        connect_once(mailbox);
        back_off(mailbox);
    }
    return NULL;
}

// ---- life

int mailbox_start(const struct mailbox_options *options, const struct cursor *cursor,
                  struct mailbox **ret) {
    struct mailbox *mailbox = calloc(1, sizeof(*mailbox));
    if (mailbox == NULL) {
        return -ENOMEM;
    }
    mailbox->options = options;
    mailbox->uidvalidity = cursor->uidvalidity;
    mailbox->uid = cursor->uid;
    pthread_mutex_init(&mailbox->lock, NULL);
    pthread_cond_init(&mailbox->room, NULL);
    mailbox->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    mailbox->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int r = mailbox->stop_fd < 0 || mailbox->fd < 0 ? -errno : marks_new(&mailbox->marks);
    r = r != 0 ? r : -pthread_create(&mailbox->thread, NULL, run, mailbox);
    mailbox->running = r == 0;
    if (r != 0) {
        mailbox_stop(mailbox);
        return r;
    }
    *ret = mailbox;
    return 0;
}

struct mailbox *mailbox_stop(struct mailbox *mailbox) {
    if (mailbox == NULL) {
        return NULL;
    }
    pthread_mutex_lock(&mailbox->lock);
    mailbox->stop = true;
    pthread_cond_broadcast(&mailbox->room);
    pthread_mutex_unlock(&mailbox->lock);
    if (mailbox->running) {
        eventfd_write(mailbox->stop_fd, 1);
        pthread_join(mailbox->thread, NULL);
    }
    for (; mailbox->n > 0; mailbox->n--) {
        imap_mail_clear(&mailbox->queue[mailbox->first].mail);
        mailbox->first = (mailbox->first + 1) % MAILBOX_QUEUE_MAX;
    }
    cleanup_fd(&mailbox->stop_fd);
    marks_free(mailbox->marks);
    cleanup_fd(&mailbox->fd);
    pthread_cond_destroy(&mailbox->room);
    pthread_mutex_destroy(&mailbox->lock);
    free(mailbox);
    return NULL;
}
