// SPDX-License-Identifier: Apache-2.0
// touchbus-email: the mails of a mailbox become events, and contacts that were approved for e-mail
// become mails. Here is how it is set up; what comes in is inbound.h, what goes out outbound.h.
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "connectors/email/durable.h"
#include "connectors/email/inbound.h"
#include "connectors/email/item.h"
#include "connectors/email/options.h"
#include "connectors/email/outbound.h"
#include "connectors/email/token_key.h"
#include "schemas/base/clock.h"

enum { TEND_MS = 3600 * 1000 };

struct email {
    struct kit *kit;
    const struct email_conf *conf;
    char source[ENDPOINT_TEXT_BYTES]; // of our events
    uint8_t key[MAIL_KEY_BYTES];
    struct mail_conf mail;
    struct imap_conf imap;
    struct smtp_conf smtp;
    struct inbound_options inbound_options;
    struct outbound_options outbound_options;
    struct bodies *bodies;
    struct inbound *inbound; // NULL: it only sends
    struct outbound *outbound;
    int64_t tend_us;
};

enum counter {
    MAILS,
    REPEATS,
    BOUNCES,
    PUT_ASIDE,
    IMAP_UP,
    IMAP_FAILURES,
    SENT,
    SENT_BEFORE,
    SENT_UNCERTAIN,
    LAPSED,
    UNDELIVERABLE,
    WAITS,
    SMTP_FAILURES,
};
static const char *const counters[] = {
    [MAILS] = "mails",
    [REPEATS] = "mails_known",
    [BOUNCES] = "bounces",
    [PUT_ASIDE] = "mails_put_aside",
    [IMAP_UP] = "imap_up",
    [IMAP_FAILURES] = "imap_failures",
    [SENT] = "sent",
    [SENT_BEFORE] = "sent_before",
    [SENT_UNCERTAIN] = "sent_uncertain",
    [LAPSED] = "lapsed",
    [UNDELIVERABLE] = "undeliverable",
    [WAITS] = "waits",
    [SMTP_FAILURES] = "smtp_failures",
    NULL,
};

// ---- setting up

static void set_mail(struct email *email) {
    const struct email_conf *conf = email->conf;
    snprintf(email->source, sizeof(email->source), "/%s", kit_name(email->kit));
    email->mail = (struct mail_conf){.domain = email_domain(conf),
                                     .source = email->source,
                                     .purpose = "marketing",
                                     .unsubscribe_address = conf->unsubscribe_address,
                                     .unsubscribe_url = conf->unsubscribe_url,
                                     .key = email->key};
}

static int set_inbound(struct email *email) {
    const struct email_conf *conf = email->conf;
    char why[ENDPOINT_WHY_BYTES];
    if (conf->imap == NULL) {
        return 0;
    }
    email->imap = (struct imap_conf){.trust = {conf->ca_file, conf->no_verify},
                                     .plaintext = conf->plaintext,
                                     .password_file = conf->imap_password_file,
                                     .answer_ms = (int)(conf->answer_us / CLOCK_US_PER_MS),
                                     .writable = conf->mark_seen};
    email->inbound_options = (struct inbound_options){
        .kit = email->kit,
        .mailbox = {.kit = email->kit,
                    .imap = &email->imap,
                    .mail_bytes_max = INBOUND_MAIL_BYTES_MAX,
                    .idle_ms = (int)(conf->idle_us / CLOCK_US_PER_MS),
                    .poll_ms = (int)(conf->poll_us / CLOCK_US_PER_MS),
                    .up_counter = IMAP_UP,
                    .failures_counter = IMAP_FAILURES},
        .mail = &email->mail,
        .bodies = email->bodies,
        .url = conf->imap,
        .mark_seen = conf->mark_seen,
        .mails_counter = MAILS,
        .repeats_counter = REPEATS,
        .bounces_counter = BOUNCES,
        .aside_counter = PUT_ASIDE,
    };
    int r = endpoint_parse("imap", conf->imap, &email->imap.endpoint, why);
    return r != 0 ? r : inbound_open(&email->inbound_options, &email->inbound);
}

static int set_outbound(struct email *email) {
    static const char *const marketing[] = {"marketing", "newsletter"}; // the policy's
    const struct email_conf *conf = email->conf;
    char why[ENDPOINT_WHY_BYTES];
    bool given = conf->marketing.n_values > 0;
    email->smtp = (struct smtp_conf){.trust = {conf->ca_file, conf->no_verify},
                                     .plaintext = conf->plaintext,
                                     .password_file = conf->smtp_password_file,
                                     .answer_ms = (int)(conf->answer_us / CLOCK_US_PER_MS),
                                     .hello = email->mail.domain};
    email->outbound_options = (struct outbound_options){
        .kit = email->kit,
        .smtp = conf->smtp != NULL ? &email->smtp : NULL,
        .letter = {.mail = &email->mail,
                   .sender = conf->sender,
                   .sender_name = conf->sender_name,
                   .reply_to = conf->reply_to,
                   .contents = conf->contents,
                   .marketing = given ? (const char *const *)conf->marketing.values : marketing,
                   .n_marketing =
                       given ? conf->marketing.n_values : sizeof(marketing) / sizeof(marketing[0]),
                   .subject_tag = conf->subject_tag},
        .bodies = email->bodies,
        .source = email->source,
        .sent_counter = SENT,
        .repeats_counter = SENT_BEFORE,
        .uncertain_counter = SENT_UNCERTAIN,
        .lapsed_counter = LAPSED,
        .failed_counter = UNDELIVERABLE,
        .waits_counter = WAITS,
        .away_counter = SMTP_FAILURES,
    };
    int r = conf->smtp == NULL ? 0 : endpoint_parse("smtp", conf->smtp, &email->smtp.endpoint, why);
    return r != 0 ? r : outbound_open(&email->outbound_options, &email->outbound);
}

static int set_stores(struct email *email) {
    int fd = open(kit_folder(email->kit), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = fd < 0 ? -errno : token_key_load(fd, email->key);
    r = r != 0 ? r : bodies_open(fd, &email->bodies);
    cleanup_fd(&fd);
    return r;
}

static void email_close(void *state) {
    struct email *email = state;
    inbound_close(email->inbound);
    outbound_close(email->outbound);
    bodies_close(email->bodies);
    explicit_bzero(email->key, sizeof(email->key));
    free(email);
}

static int email_open(struct kit *kit, const void *conf, void **ret_state) {
    struct email *email = calloc(1, sizeof(*email));
    if (email == NULL) {
        return -ENOMEM;
    }
    email->kit = kit;
    email->conf = conf;
    set_mail(email);
    int r = set_stores(email);
    r = r != 0 ? r : set_outbound(email);
    r = r != 0 ? r : set_inbound(email);
    if (r != 0) {
        email_close(email);
        return r;
    }
    *ret_state = email;
    return 0;
}

// ---- running

static int tend(struct email *email) {
    int64_t now_us = clock_monotonic_us(), before_us = clock_now_us() - email->conf->keep_us;
    if (now_us < email->tend_us) {
        return 0;
    }
    email->tend_us = now_us + TEND_MS * CLOCK_US_PER_MS;
    int r = bodies_expire(email->bodies, before_us);
    return r != 0 ? r : outbound_expire(email->outbound, before_us);
}

static int email_collect(void *state) {
    struct email *email = state;
    int r = email->inbound != NULL ? inbound_collect(email->inbound) : 0;
    r = r != 0 ? r : outbound_collect(email->outbound);
    return r != 0 ? r : tend(email);
}

static void email_settled(void *state, void *user, const struct kit_ack *ack) {
    struct item *item = user;
    (void)state;
    item->settled(item, ack);
}

static void email_deliver(void *state, touchbus_event *const *events, size_t n_events,
                          struct kit_result *results) {
    struct email *email = state;
    outbound_deliver(email->outbound, events, n_events, results);
}

static void email_drain(void *state) {
    struct email *email = state;
    inbound_stop(email->inbound);
}

// ---- the descriptor

static const char *const types[] = {"contact.requested", "contact.decided", "message.received",
                                    "privacy.changed", NULL};

static const struct kit_connector connector = {
    .name = "email",
    .summary = "Reads a mailbox (IMAP), and sends what the contact policy approved (SMTP).",
    .description = email_description,
    .after = email_sections,
    .options = email_options,
    .n_options = EMAIL_N_OPTIONS,
    .conf_size = sizeof(struct email_conf),
    .types = types,
    .counters = counters,
    .collect_every_ms = 500,
    .check = email_check,
    .open = email_open,
    .collect = email_collect,
    .settled = email_settled,
    .deliver = email_deliver,
    .drain = email_drain,
    .close = email_close,
};

KIT_MAIN(connector)
