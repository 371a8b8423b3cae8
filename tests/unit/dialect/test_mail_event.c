// SPDX-License-Identifier: Apache-2.0
// What is published of a mail, whose it is and by which id; which mails are never answered; which
// unsubscribe. The corpus (mail/) has the shapes, this has the rules.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "connectors/dialect/mail.h"
#include "schemas/base/cleanup.h"

#define RECEIVED_US INT64_C(1772442000000000)

static const uint8_t key[MAIL_KEY_BYTES] = {7};
static const struct mail_conf conf = {
    .domain = "mail.example.com",
    .source = "/email",
    .purpose = "marketing",
    .unsubscribe_address = "unsubscribe@example.com",
    .key = key,
};

static struct mail *mail;
static struct mail_events events;

static void read_mail(const char *bytes) {
    const char *why = NULL;
    mail = mail_free(mail);
    mail_events_clear(&events);
    assert_int_equal(mail_parse(&conf, bytes, strlen(bytes), &mail, &why), 0);
    assert_int_equal(mail_events(&conf, mail, "INBOX", RECEIVED_US, &events), 0);
}

static int teardown(void **state) {
    (void)state;
    mail = mail_free(mail);
    mail_events_clear(&events);
    return 0;
}

static void assert_identity(const touchbus_event *event, const char *address) {
    const char *kind, *value;
    bool verified;
    assert_true(touchbus_event_identity(event, 0, &kind, &value, &verified));
    assert_string_equal(kind, "email");
    assert_string_equal(value, address);
    assert_false(verified); // anybody may write any From
    assert_false(touchbus_event_identity(event, 1, &kind, &value, &verified));
}

static void assert_holds(const touchbus_event *event, const char *json) {
    _cleanup_free_ char *data = touchbus_event_data_json(event);
    if (strstr(data, json) == NULL) {
        print_error("%s\nhas no %s\n", data, json);
    }
    assert_non_null(strstr(data, json));
}

#define assert_attribute(name, value)                                                              \
    assert_string_equal(touchbus_event_get(events.list[0], name), value)

static void test_a_mail_is_its_senders(void **state) {
    (void)state;
    read_mail("From: Ana <Ana@Klant.example>\nTo: shop@example.com\nSubject: Hi\n"
              "Date: Mon, 2 Mar 2026 09:00:00 +0100\nMessage-ID: <m1@klant.example>\n\nHello\n");
    assert_int_equal(events.n, 1);
    assert_attribute("type", "message.received");
    assert_attribute("source", "/email");
    assert_attribute("channel", "email");
    assert_attribute("direction", "in");
    assert_attribute("time", "2026-03-02T09:00:00Z"); // when we received it
    assert_identity(events.list[0], "Ana@Klant.example");
    assert_holds(events.list[0], "\"ref\":\"m1@klant.example\"");
    assert_holds(events.list[0], "\"date\":\"2026-03-02T08:00:00Z\"");
    assert_null(strstr(touchbus_event_get(events.list[0], "id"), "klant")); // ids are not sealed
}

static void test_a_repeat_has_the_same_id(void **state) {
    (void)state;
    static const char *const mails[] = {
        "From: a@b.example\nDate: Mon, 2 Mar 2026 09:00:00 +0100\nMessage-ID: <1@b>\n\nx\n",
        "From: a@b.example\nDate: Mon, 2 Mar 2026 09:00:00 +0100\nMessage-ID: <2@b>\n\nx\n",
        "From: a@b.example\nDate: Mon, 2 Mar 2026 09:00:01 +0100\nMessage-ID: <1@b>\n\nx\n",
        "From: c@b.example\nDate: Mon, 2 Mar 2026 09:00:00 +0100\nMessage-ID: <1@b>\n\nx\n",
        "From: a@b.example\nReceived: by mx id 1\n\nx\n",
        "From: a@b.example\nReceived: by mx id 2\n\nx\n",
    };
    enum { N = sizeof(mails) / sizeof(mails[0]) };
    char ids[N][65];
    for (size_t i = 0; i < N; i++) {
        read_mail(mails[i]);
        snprintf(ids[i], sizeof(ids[i]), "%s", touchbus_event_get(events.list[0], "id"));
        read_mail(mails[i]);
        assert_attribute("id", ids[i]);
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(ids[i], ids[k]);
        }
    }
    // The same mail by another way, to another of our mailboxes.
    read_mail("Received: by mx id 7\nFrom: a@b.example\nDate: Mon, 2 Mar 2026 09:00:00 +0100\n"
              "Message-ID: <1@b>\nDelivered-To: other@example.com\n\nx\n");
    assert_attribute("id", ids[0]);
    read_mail(mails[4]);
    assert_holds(events.list[0], ids[4]); // is its ref, too
}

static void test_who_says_it_is_nobody_is_never_answered(void **state) {
    (void)state;
    static const struct {
        const char *header, *automatic;
    } rows[] = {
        {"Auto-Submitted: auto-replied", "auto-submitted"},
        {"auto-submitted:  AUTO-GENERATED (cron)", "auto-submitted"},
        {"X-Auto-Response-Suppress: All", "suppressed"},
        {"Precedence: Bulk", "precedence"},
        {"Precedence: junk", "precedence"},
        {"Precedence: list", "precedence"},
        {"X-Precedence: auto_reply", "auto-submitted"},
        {"X-Autorespond: Re", "auto-submitted"},
        {"List-Id: <a.example>", "list"},
        {"Return-Path: <>", "null-sender"},
        {"Return-Path:\n <>", "null-sender"},
        {"Content-Type: multipart/report; boundary=b", "report"},
        {"Auto-Submitted: no", NULL},
        {"Precedence: normal", NULL},
        {"Return-Path: <a@b.example>", NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char bytes[300];
        snprintf(bytes, sizeof(bytes), "From: a@b.example\nMessage-ID: <1@b>\n%s\n\nx\n",
                 rows[i].header);
        read_mail(bytes);
        assert_int_equal(mail->kind, MAIL_MESSAGE);
        if (rows[i].automatic == NULL) {
            assert_null(mail->automatic);
        } else {
            assert_non_null(mail->automatic);
            assert_string_equal(mail->automatic, rows[i].automatic);
            assert_holds(events.list[0], "\"automatic\":\"");
        }
    }
}

static void test_what_we_send_by_itself_is_marked(void **state) {
    (void)state;
    struct mail_out out = {.contact_id = "c1",
                           .from = "a@example.com",
                           .to = "b@klant.example",
                           .subject = "x",
                           .text = "y\n",
                           .date_us = 1,
                           .automatic = true};
    _cleanup_free_ char *bytes = NULL;
    size_t size;
    const char *why;
    assert_int_equal(mail_compose(&conf, &out, &bytes, &size, &why), 0);
    read_mail(bytes);
    assert_string_equal(mail->automatic, "auto-submitted"); // two of us do not write for ever
}

static void read_unsubscribe(const char *from, const char *to, const char *subject) {
    char bytes[MAIL_TOKEN_BYTES_MAX + 300];
    snprintf(bytes, sizeof(bytes), "From: %s\nTo: %s\nSubject: %s\nMessage-ID: <1@b>\n\n", from, to,
             subject);
    read_mail(bytes);
}

static void test_a_token_says_who_unsubscribes_from_what(void **state) {
    (void)state;
    char token[MAIL_TOKEN_BYTES_MAX], subject[MAIL_TOKEN_BYTES_MAX + 20];
    assert_int_equal(mail_token_make(&conf, "ana@klant.example", "newsletter", token), 0);
    snprintf(subject, sizeof(subject), "unsubscribe %s", token);
    read_unsubscribe("forwarded@other.example", "unsubscribe@example.com", subject);
    assert_int_equal(mail->kind, MAIL_UNSUBSCRIBE);
    assert_int_equal(events.n, 1);
    assert_attribute("type", "consent.changed");
    assert_identity(events.list[0], "ana@klant.example");
    assert_holds(events.list[0], "\"address\":\"ana@klant.example\"");
    assert_holds(events.list[0], "\"purpose\":\"newsletter\"");
    assert_holds(events.list[0], "\"state\":\"withdrawn\"");
    assert_holds(events.list[0], "\"proof\":\"token\"");

    // A longest token still fits into a subject and back.
    char address[MAIL_ADDRESS_BYTES_MAX + 1], purpose[65];
    memset(address, 'a', sizeof(address));
    memcpy(address + 60, "@b.example", 11);
    memset(purpose, 'p', sizeof(purpose) - 1);
    purpose[64] = '\0';
    assert_int_equal(mail_token_make(&conf, address, purpose, token), 0);
    snprintf(subject, sizeof(subject), "unsubscribe %s", token);
    read_unsubscribe("x@other.example", "unsubscribe@example.com", subject);
    assert_holds(events.list[0], "\"proof\":\"token\"");

    token[5] = token[5] == 'A' ? 'B' : 'A';
    snprintf(subject, sizeof(subject), "unsubscribe %s", token);
    read_unsubscribe("x@other.example", "unsubscribe@example.com", subject);
    assert_holds(events.list[0], "\"proof\":\"sender\"");
    assert_holds(events.list[0], "\"address\":\"x@other.example\"");
    assert_holds(events.list[0], "\"purpose\":\"marketing\"");
}

// A mail server tells whole seconds: a grant within that second was there first.
static void test_a_withdrawal_is_the_last_word_of_its_second(void **state) {
    (void)state;
    int64_t time_us = 0;
    read_unsubscribe("x@other.example", "unsubscribe@example.com", "unsubscribe");
    assert_true(touchbus_event_time(events.list[0], &time_us));
    assert_int_equal(time_us, RECEIVED_US + 999999);
    read_unsubscribe("x@other.example", "desk@example.com", "unsubscribe");
    assert_true(touchbus_event_time(events.list[0], &time_us)); // anything else when it came
    assert_int_equal(time_us, RECEIVED_US);
}

static void test_a_bounce_is_of_whom_we_wrote_to(void **state) {
    (void)state;
    read_mail("Return-Path: <>\nFrom: MAILER-DAEMON@mx.example\nMessage-ID: <d@mx>\n"
              "Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n"
              "--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx\n\n"
              "Original-Recipient: rfc822; ana@klant.example\n"
              "Final-Recipient: rfc822; ana@elsewhere.example\nAction: failed\nStatus: 5.1.1\n\n"
              "--b\nContent-Type: text/rfc822-headers\n\nMessage-ID: <c%2F1@mail.example.com>\n"
              "--b--\n");
    assert_int_equal(mail->kind, MAIL_BOUNCE);
    assert_attribute("type", "message.outcome");
    assert_identity(events.list[0], "ana@klant.example");
    assert_holds(events.list[0], "\"contact_id\":\"c/1\"");
    assert_holds(events.list[0], "\"outcome\":\"bounced\"");
    assert_holds(events.list[0], "\"recipient\":\"ana@elsewhere.example\"");
    assert_string_equal(mail->automatic, "report");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_mail_is_its_senders),
        cmocka_unit_test(test_a_repeat_has_the_same_id),
        cmocka_unit_test(test_who_says_it_is_nobody_is_never_answered),
        cmocka_unit_test(test_what_we_send_by_itself_is_marked),
        cmocka_unit_test(test_a_token_says_who_unsubscribes_from_what),
        cmocka_unit_test(test_a_withdrawal_is_the_last_word_of_its_second),
        cmocka_unit_test(test_a_bounce_is_of_whom_we_wrote_to),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
