// SPDX-License-Identifier: Apache-2.0
// The mail dialect: any bytes as a message. What it says is text without control characters, what
// it is published as passes the wire's codec, what is kept has the hash it is named by; and what it
// says can be sent again in its thread, or is refused with a reason.
#include <string.h>

#include "connectors/dialect/mail.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/utf8.h"
#include "tests/fuzz/fuzz.h"

static const uint8_t key[MAIL_KEY_BYTES] = {1};
static const struct mail_conf conf = {
    .domain = "mail.touchbus.example",
    .source = "/email",
    .purpose = "marketing",
    .unsubscribe_address = "unsubscribe@touchbus.example",
    .key = key,
};

static void check_text(const char *text) {
    REQUIRE(text == NULL || utf8_check_printable(text, strlen(text)));
}

static void check_addresses(const struct mail_addresses *addresses) {
    REQUIRE(addresses->n <= MAIL_ADDRESSES_MAX && addresses->n <= addresses->n_named);
    for (size_t i = 0; i < addresses->n; i++) {
        check_text(addresses->list[i].address);
        check_text(addresses->list[i].name);
        REQUIRE(strchr(addresses->list[i].address, '@') != NULL);
    }
}

static void check_body(const struct mail *mail) {
    REQUIRE(strlen(mail->text) == mail->text_size && mail->text_size <= MAIL_TEXT_BYTES_MAX);
    REQUIRE(utf8_check(mail->text, mail->text_size));
    REQUIRE(memchr(mail->text, '\r', mail->text_size) == NULL);
    REQUIRE(memchr(mail->text, '\x1b', mail->text_size) == NULL);
    for (size_t i = 0; i < mail->n_attachments; i++) {
        check_text(mail->attachments[i].name);
        check_text(mail->attachments[i].type);
    }
    struct mail_kept kept;
    for (size_t i = 0; mail_kept(mail, i, &kept); i++) {
        REQUIRE(kept.size > 0 && kept.bytes != NULL && strlen(kept.sha256) == 64);
    }
}

static void check_events(const struct mail *mail) {
    struct mail_events events;
    REQUIRE(mail_events(&conf, mail, "INBOX", 1, &events) == 0);
    REQUIRE(events.n >= 1 && events.n <= MAIL_REPORTS_MAX);
    for (size_t i = 0; i < events.n; i++) {
        _cleanup_free_ void *bytes = NULL;
        size_t size;
        touchbus_event *back = NULL;
        REQUIRE(touchbus_event_serialize(events.list[i], &bytes, &size) == 0);
        REQUIRE(touchbus_event_parse(bytes, size, &back) == 0);
        touchbus_event_free(back);
    }
    mail_events_clear(&events);
}

static void check_answer(const struct mail *mail) {
    struct mail_out out = {.contact_id = "c1",
                           .from = "shop@touchbus.example",
                           .to = mail->from.address,
                           .to_name = mail->from.name,
                           .subject = mail->subject,
                           .text = mail->text,
                           .date_us = 1,
                           .in_reply_to = mail->message_id,
                           .references = mail->references,
                           .n_references = mail->n_references};
    _cleanup_free_ char *bytes = NULL;
    size_t size;
    const char *why = NULL;
    if (mail_compose(&conf, &out, &bytes, &size, &why) != 0) {
        REQUIRE(why != NULL);
        return;
    }
    _cleanup_(cleanup_mail) struct mail *back = NULL;
    REQUIRE(mail_parse(&conf, bytes, size, &back, &why) == 0);
    REQUIRE(strcmp(back->subject, mail->subject) == 0);
    REQUIRE(back->to.n == 1 && strcmp(back->to.list[0].address, out.to) == 0);
    REQUIRE(strcmp(back->message_id, "c1@mail.touchbus.example") == 0);
    REQUIRE(out.in_reply_to == NULL || strcmp(back->in_reply_to, out.in_reply_to) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    _cleanup_(cleanup_mail) struct mail *mail = NULL;
    const char *why = NULL;
    if (mail_parse(&conf, data, size, &mail, &why) != 0) {
        REQUIRE(mail == NULL && why != NULL);
        return 0;
    }
    check_text(mail->subject);
    check_text(mail->from.address);
    check_text(mail->from.name);
    check_text(mail->message_id);
    check_text(mail->thread);
    check_text(mail->contact_id);
    check_text(mail->original);
    check_addresses(&mail->to);
    check_addresses(&mail->cc);
    check_addresses(&mail->delivered_to);
    REQUIRE(mail->kind != MAIL_BOUNCE || mail->n_reports > 0);
    check_body(mail);
    check_events(mail);
    check_answer(mail);
    return 0;
}
