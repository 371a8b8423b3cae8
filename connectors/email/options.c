// SPDX-License-Identifier: Apache-2.0
#include "connectors/email/options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "connectors/dialect/mail.h"
#include "connectors/email/endpoint.h"
#include "schemas/base/clock.h"

#define MINUTE_US (INT64_C(60) * CLOCK_US_PER_S)
#define DAY_US (INT64_C(1440) * MINUTE_US)

#define TEXT_ROW(option, member, what, text)                                                       \
    {                                                                                              \
        .name = (option), .type = OPTION_STRING, .offset = offsetof(struct email_conf, member),    \
        .argument = (what), .help = (text)                                                         \
    }
#define BOOL_ROW(option, member, text)                                                             \
    {                                                                                              \
        .name = (option), .type = OPTION_BOOL, .offset = offsetof(struct email_conf, member),      \
        .help = (text)                                                                             \
    }
#define TIME_ROW(option, member, preset, least, most, text)                                        \
    {                                                                                              \
        .name = (option), .type = OPTION_DURATION, .offset = offsetof(struct email_conf, member),  \
        .default_text = (preset), .min = (least), .max = (most), .argument = "TIME",               \
        .help = (text)                                                                             \
    }

const struct option_row email_options[EMAIL_N_OPTIONS] = {
    TEXT_ROW("imap", imap, "URL",
             "The mailbox to read: imaps://USER@HOST[:PORT]/MAILBOX (TLS, port 993), or imap:// "
             "(STARTTLS, port 143). An @ in USER is written %40. By default none is read; the "
             "mailbox is INBOX where the URL has none."),
    TEXT_ROW("imap-password-file", imap_password_file, "FILE",
             "Its first line is the password. Only its owner may read it (0600; or 0640 of root). "
             "By default TOUCHBUS_IMAP_PASSWORD of the environment. Read at each connection."),
    TEXT_ROW("smtp", smtp, "URL",
             "The server that sends: smtps://USER@HOST[:PORT] (TLS, port 465), or smtp:// "
             "(STARTTLS, port 587); without USER@ it does not log in. By default nothing is sent, "
             "and approved contacts are left to another connector."),
    TEXT_ROW("smtp-password-file", smtp_password_file, "FILE",
             "As imap-password-file; by default TOUCHBUS_SMTP_PASSWORD of the environment."),
    TEXT_ROW("ca-file", ca_file, "FILE",
             "The certificates that the servers' are checked with, PEM. By default the system's."),
    BOOL_ROW("no-verify", no_verify,
             "Take any certificate, whoever made it and for whatever host: for tests. Passwords "
             "and mails are then anybody's who sits in between."),
    BOOL_ROW("plaintext", plaintext,
             "With imap:// and smtp://: talk without TLS. For servers on this machine only."),
    BOOL_ROW(
        "mark-seen", mark_seen,
        "Set the flag Seen on each mail once the broker has it. By default no flag is touched, "
        "and the mailbox is opened for reading only."),
    TIME_ROW("answer", answer_us, "30s", CLOCK_US_PER_S, 10 * MINUTE_US,
             "How long a server may take for an answer; then the connection is given up, and made "
             "again later. While SMTP is waited for, nothing is read."),
    TIME_ROW("idle", idle_us, "25m", CLOCK_US_PER_S, 28 * MINUTE_US,
             "How long the server is waited for before IDLE is renewed; servers end it after 29 "
             "minutes."),
    TIME_ROW("poll", poll_us, "60s", CLOCK_US_PER_S, 60 * MINUTE_US,
             "How often the mailbox is looked at where the server has no IDLE."),
    TEXT_ROW("sender", sender, "ADDRESS", "Whom our mails are from. Needed with --smtp."),
    TEXT_ROW("sender-name", sender_name, "TEXT", "The name that goes with it."),
    TEXT_ROW("reply-to", reply_to, "ADDRESS", "Where answers go, where that is not the sender."),
    TEXT_ROW("domain", domain, "NAME",
             "The domain of our Message-IDs, by which answers and bounces find their contact. By "
             "default the sender's. Do not change it while answers are expected."),
    TEXT_ROW("contents", contents, "DIR",
             "The texts of contacts that bring none: CONTENT_ID.LANGUAGE.txt, else CONTENT_ID.txt; "
             "the first line is \"Subject: ...\", an empty line follows, {name} is replaced."),
    BOOL_ROW("subject-tag", subject_tag,
             "Put [#CONTACT_ID] behind subjects, where the id is of at most 64 of [A-Za-z0-9._-]: "
             "where a mail program loses References, the answer "
             "has the contact as its tag and thread, though not as contact_id, which would be "
             "anybody's to write."),
    TEXT_ROW("unsubscribe-address", unsubscribe_address, "ADDRESS",
             "An address that ends in the mailbox: it stands in List-Unsubscribe of marketing, and "
             "a mail to it with the subject \"unsubscribe\" withdraws the consent. Marketing needs "
             "this or unsubscribe-url."),
    TEXT_ROW("unsubscribe-url", unsubscribe_url, "URL",
             "An https address, to which the token is appended, for List-Unsubscribe with one "
             "click (RFC 8058): https://www.example.com/unsubscribe/. A proxy passes it on to "
             "touchbus-web, which answers it with token.key as its --unsubscribe-key."),
    {.name = "marketing",
     .type = OPTION_LIST,
     .offset = offsetof(struct email_conf, marketing),
     .argument = "PURPOSE",
     .help = "Purposes that need a way to unsubscribe; the same as contact.marketing of the "
             "broker's policy. May be given several times. By default marketing and newsletter; a "
             "contact of unknown purpose counts as one."},
    TIME_ROW("keep", keep_us, "400d", DAY_US, 36500 * DAY_US,
             "How long attachments and long texts are kept in STATE/email/bodies, and which "
             "contacts were sent is remembered."),
};

const char email_description[] =
    "Each mail of the mailbox becomes an event: message.received, of a bounce message.outcome, of "
    "a request to unsubscribe consent.changed. Where we are is kept as UIDVALIDITY and UID, and "
    "moves on when the broker has everything. contact.requested with channel email is kept until "
    "contact.decided approves it; then the mail is sent, with the contact's id in its Message-ID, "
    "and reported as message.sent. Its text is the request's own (subject, text, in_reply_to, "
    "references: an agent's answer), or the content of that content_id.";

const char email_sections[] =
    "ENVIRONMENT\n"
    "  TOUCHBUS_IMAP_PASSWORD, TOUCHBUS_SMTP_PASSWORD   where no file is given\n"
    "\n"
    "FILES\n"
    "  STATE/email/cursor     UIDVALIDITY and UID of the last mail that is settled\n"
    "  STATE/email/seen       hashes of the mails that were read\n"
    "  STATE/email/bodies     attachments and long texts, by SHA-256\n"
    "  STATE/email/owners     whose they are\n"
    "  STATE/email/contacts   what became of each contact\n"
    "  STATE/email/token.key  seals unsubscribe tokens; touchbus-web gets a copy\n";

const char *email_domain(const struct email_conf *conf) {
    const char *at = conf->sender != NULL ? strrchr(conf->sender, '@') : NULL;
    return conf->domain != NULL ? conf->domain : at != NULL ? at + 1 : "localhost.invalid";
}

// ---- what rows cannot say

static int complain(const char *text, char *error, size_t error_size) {
    snprintf(error, error_size, "%s", text);
    return -EINVAL;
}

static int check_sending(const struct email_conf *conf, char *error, size_t error_size) {
    const struct {
        const char *text, *address;
    } addresses[] = {{"sender: is no e-mail address", conf->sender},
                     {"reply-to: is no e-mail address", conf->reply_to},
                     {"unsubscribe-address: is no e-mail address", conf->unsubscribe_address}};
    if (conf->smtp != NULL && conf->sender == NULL) {
        return complain("smtp needs a sender", error, error_size);
    }
    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        if (addresses[i].address != NULL && !mail_address_ok(addresses[i].address)) {
            return complain(addresses[i].text, error, error_size);
        }
    }
    if (conf->unsubscribe_url != NULL && strncmp(conf->unsubscribe_url, "https://", 8) != 0) {
        return complain("unsubscribe-url: begins with https:// (RFC 8058)", error, error_size);
    }
    // A slash forgotten would be seen by customers alone.
    const char *url = conf->unsubscribe_url;
    if (url != NULL && strchr("/=", url[strlen(url) - 1]) == NULL) {
        return complain("unsubscribe-url: ends with / or =, for the token is appended", error,
                        error_size);
    }
    return 0;
}

int email_check(const void *data, char *error, size_t error_size) {
    const struct email_conf *conf = data;
    struct endpoint endpoint;
    char why[ENDPOINT_WHY_BYTES];
    if (conf->imap == NULL && conf->smtp == NULL) {
        return complain("imap or smtp: give at least one", error, error_size);
    }
    if (conf->imap != NULL && endpoint_parse("imap", conf->imap, &endpoint, why) != 0) {
        return complain(why, error, error_size);
    }
    if (conf->imap != NULL && endpoint.user[0] == '\0') {
        return complain("imap: the URL names no user", error, error_size);
    }
    if (conf->smtp != NULL && endpoint_parse("smtp", conf->smtp, &endpoint, why) != 0) {
        return complain(why, error, error_size);
    }
    if (conf->plaintext && conf->no_verify) {
        return complain("plaintext and no-verify: there is nothing to verify", error, error_size);
    }
    return check_sending(conf, error, error_size);
}
