// SPDX-License-Identifier: Apache-2.0
#include "connectors/email/inbound.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/email/durable.h"
#include "connectors/email/item.h"
#include "connectors/email/seen.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"

enum { WHY_BYTES = 256, SETTLED_CODE_MAX = 99 /* reasons.def: above it a refusal */ };

// A mail between the mailbox and the cursor.
struct taken {
    struct item item;
    struct mailbox_mail mail; // its bytes until it is settled: it may have to be put aside
    char id[65];              // "" until it was read, and of what is no mail
    struct mail_events events;
    size_t n_events, n_published, n_settled;
    char refused[WHY_BYTES]; // "" not
    bool read, done;
};

struct inbound {
    const struct inbound_options *options;
    int folder_fd;
    struct mailbox *mailbox;
    struct seen *seen;
    struct cursor cursor;
    bool cursor_moved;
    struct taken ring[INBOUND_MAILS_MAX]; // in the order of UIDs
    size_t first, n, n_bytes;
};

static struct taken *taken_at(struct inbound *inbound, size_t index) {
    return &inbound->ring[(inbound->first + index) % INBOUND_MAILS_MAX];
}

static void taken_clear(struct taken *taken) {
    imap_mail_clear(&taken->mail.mail);
    mail_events_clear(&taken->events);
    *taken = (struct taken){0};
}

// ---- aside

// Its beginning: the mail is in the mailbox still, and a few large ones would fill the quarantine,
// after which none is read. 0; KIT_FULL or a negative errno: it waits.
static int put_aside(struct inbound *inbound, struct taken *taken, const char *why) {
    size_t size = taken->mail.mail.size;
    bool cut = GUARD(mail_aside_bytes) && size > INBOUND_ASIDE_BYTES_MAX;
    char id[64];
    snprintf(id, sizeof(id), "%" PRIu32 ".%" PRIu32, taken->mail.uidvalidity, taken->mail.uid);
    struct kit_quarantined row = {.id = id,
                                  .reason = why,
                                  .item = taken->mail.mail.bytes,
                                  .item_size = cut ? INBOUND_ASIDE_BYTES_MAX : size};
    int r = kit_quarantine(inbound->options->kit, &row, 1);
    if (r == 0) {
        logging_warning("uid=%s put-aside reason=\"%s\" bytes=%zu", id, why, size);
        kit_count(inbound->options->kit, inbound->options->aside_counter, 1);
        taken->done = true;
    }
    return r;
}

// ---- reading

// Only what an event tells of: of nothing else it would be known whose it is.
static int keep_bodies(struct inbound *inbound, const struct mail *mail,
                       const struct mail_events *events) {
    struct mail_kept kept;
    int r = 0;
    bool told = events->n > 0 &&
                strcmp(touchbus_event_get(events->list[0], "type"), "message.received") == 0;
    for (size_t i = 0; told && r == 0 && mail_kept(mail, i, &kept); i++) {
        r = bodies_keep(inbound->options->bodies, kept.sha256, kept.bytes, kept.size);
    }
    return r;
}

static int make_events(struct inbound *inbound, struct taken *taken, const struct mail *mail) {
    const struct inbound_options *options = inbound->options;
    snprintf(taken->id, sizeof(taken->id), "%s", mail->id);
    if (GUARD(mail_seen_before) && seen_has(inbound->seen, mail->id)) {
        kit_count(options->kit, options->repeats_counter, 1);
        taken->done = true;
        return 0;
    }
    const char *mailbox = options->mailbox.imap->endpoint.mailbox;
    int r = mail_events(options->mail, mail, mailbox[0] != '\0' ? mailbox : NULL,
                        taken->mail.mail.received_us, &taken->events);
    if (r == -E2BIG) {
        return put_aside(inbound, taken, "the mail makes an event larger than the wire takes");
    }
    r = r != 0 ? r : keep_bodies(inbound, mail, &taken->events);
    if (r != 0) {
        mail_events_clear(&taken->events);
    } else {
        taken->n_events = taken->events.n;
        taken->done = taken->n_events == 0;
        kit_count(options->kit, options->mails_counter, 1);
        kit_count(options->kit, options->bounces_counter, mail->kind == MAIL_BOUNCE);
    }
    return r;
}

// Makes events of it. 0; otherwise it is tried again.
static int read_mail(struct inbound *inbound, struct taken *taken) {
    const struct imap_mail *mail = &taken->mail.mail;
    const char *why = "";
    struct mail *parsed = NULL;
    if (GUARD(mail_size) && mail->size > INBOUND_MAIL_BYTES_MAX) {
        return put_aside(inbound, taken, "the mail is too large");
    }
    int r = mail_parse(inbound->options->mail, mail->bytes, mail->size, &parsed, &why);
    if (r == -E2BIG || r == -EBADMSG) {
        return put_aside(inbound, taken, why);
    }
    r = r != 0 ? r : make_events(inbound, taken, parsed);
    mail_free(parsed);
    return r;
}

// Gives the kit what it takes. 0: all of it is there; KIT_FULL; negative errno.
static int publish(struct inbound *inbound, struct taken *taken) {
    int r = taken->read ? 0 : read_mail(inbound, taken);
    taken->read = taken->read || r == 0;
    while (r == 0 && taken->n_published < taken->n_events) {
        touchbus_event **event = &taken->events.list[taken->n_published];
        r = kit_publish(inbound->options->kit, *event, &taken->item);
        if (r == 0) {
            *event = NULL;
            taken->n_published++;
        }
    }
    return r;
}

// ---- settling

// What was refused is put aside first; a mail that could be read is remembered.
static int finish(struct inbound *inbound, struct taken *taken) {
    if (taken->refused[0] != '\0' && !taken->done) {
        int r = put_aside(inbound, taken, taken->refused);
        if (r != 0) {
            return r;
        }
    }
    taken->done = true;
    return taken->id[0] != '\0' && taken->refused[0] == '\0' ? seen_add(inbound->seen, taken->id)
                                                             : 0;
}

// The cursor goes as far as everything is done.
static int advance(struct inbound *inbound) {
    while (inbound->n > 0) {
        struct taken *taken = taken_at(inbound, 0);
        bool answered =
            taken->read && (!GUARD(mail_settled) || taken->n_settled == taken->n_events);
        int r = answered ? finish(inbound, taken) : 1;
        if (r != 0) {
            return r < 0 ? r : 0;
        }
        if (inbound->options->mark_seen && inbound->mailbox != NULL) {
            mailbox_mark_seen(inbound->mailbox, taken->mail.uidvalidity, taken->mail.uid);
        }
        inbound->cursor = (struct cursor){taken->mail.uidvalidity, taken->mail.uid};
        inbound->cursor_moved = true;
        inbound->n_bytes -= taken->mail.mail.size;
        taken_clear(taken);
        inbound->first = (inbound->first + 1) % INBOUND_MAILS_MAX;
        inbound->n--;
    }
    return 0;
}

static int save_cursor(struct inbound *inbound) {
    int r = inbound->cursor_moved ? seen_sync(inbound->seen) : 0;
    if (r == 0 && inbound->cursor_moved) {
        r = cursor_write(inbound->folder_fd, inbound->options->url, &inbound->cursor);
        inbound->cursor_moved = r != 0;
    }
    return r;
}

// ---- the round

static void settled(struct item *item, const struct kit_ack *ack);

static bool take_one(struct inbound *inbound) {
    struct mailbox_mail mail;
    if (inbound->n == INBOUND_MAILS_MAX || inbound->n_bytes > INBOUND_BYTES_MAX ||
        !mailbox_take(inbound->mailbox, &mail)) {
        return false;
    }
    struct taken *taken = taken_at(inbound, inbound->n);
    taken->item = (struct item){settled, inbound};
    taken->mail = mail;
    inbound->n++;
    inbound->n_bytes += mail.mail.size;
    return true;
}

int inbound_collect(struct inbound *inbound) {
    mailbox_clear(inbound->mailbox);
    int r = advance(inbound);
    for (size_t i = 0; r == 0 && (i < inbound->n || take_one(inbound)); i++) {
        r = publish(inbound, taken_at(inbound, i));
    }
    r = r < 0 ? r : advance(inbound);
    int saved = save_cursor(inbound);
    return r < 0 ? r : saved;
}

static void settled(struct item *item, const struct kit_ack *ack) {
    struct taken *taken = (struct taken *)(void *)item;
    struct inbound *inbound = item->owner;
    taken->n_settled++;
    if (ack->code > SETTLED_CODE_MAX && taken->refused[0] == '\0') {
        snprintf(taken->refused, sizeof(taken->refused), "the broker refuses it: %s %s",
                 ack->reason, ack->detail);
    }
    if (taken->n_settled == taken->n_events && inbound->mailbox != NULL) {
        inbound_collect(inbound); // there is room for another
    }
}

int inbound_open(const struct inbound_options *options, struct inbound **ret) {
    struct inbound *inbound = calloc(1, sizeof(*inbound));
    if (inbound == NULL) {
        return -ENOMEM;
    }
    inbound->options = options;
    inbound->folder_fd = open(kit_folder(options->kit), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = inbound->folder_fd < 0 ? -errno : seen_open(inbound->folder_fd, &inbound->seen);
    r = r != 0 ? r : cursor_read(inbound->folder_fd, options->url, &inbound->cursor);
    r = r != 0 ? r : mailbox_start(&options->mailbox, &inbound->cursor, &inbound->mailbox);
    if (r != 0) {
        inbound_close(inbound);
        return r;
    }
    kit_watch(options->kit, mailbox_fd(inbound->mailbox));
    *ret = inbound;
    return 0;
}

void inbound_stop(struct inbound *inbound) {
    if (inbound != NULL) {
        kit_watch(inbound->options->kit, -1);
        inbound->mailbox = mailbox_stop(inbound->mailbox);
    }
}

struct inbound *inbound_close(struct inbound *inbound) {
    if (inbound == NULL) {
        return NULL;
    }
    mailbox_stop(inbound->mailbox);
    if (inbound->seen != NULL) {
        save_cursor(inbound);
    }
    for (size_t i = 0; i < inbound->n; i++) {
        taken_clear(taken_at(inbound, i));
    }
    seen_close(inbound->seen);
    cleanup_fd(&inbound->folder_fd);
    free(inbound);
    return NULL;
}
