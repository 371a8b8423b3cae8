// SPDX-License-Identifier: Apache-2.0
// Every bound of the mail dialect, at its edge and beyond it; and any bytes at all: what is
// accepted is text, what is not has a reason.
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
#include "schemas/base/utf8.h"

static const struct mail_conf conf = {.domain = "mail.example.com", .purpose = "marketing"};

struct text {
    char *bytes;
    size_t size, room;
};

static void add(struct text *text, const char *more) {
    size_t n = strlen(more);
    if (text->size + n + 1 > text->room) {
        text->room = 2 * (text->room + n + 1);
        text->bytes = realloc(text->bytes, text->room);
        assert_non_null(text->bytes);
    }
    memcpy(text->bytes + text->size, more, n + 1);
    text->size += n;
}

static void add_times(struct text *text, size_t times, const char *more) {
    for (size_t i = 0; i < times; i++) {
        add(text, more);
    }
}

static struct mail *mail;
static const char *why;

static int parse(struct text *text) {
    mail = mail_free(mail);
    why = NULL;
    int r = mail_parse(&conf, text->bytes, text->size, &mail, &why);
    assert_true(r == 0 ? mail != NULL : mail == NULL && why != NULL);
    free(text->bytes);
    *text = (struct text){0};
    return r;
}

static int teardown(void **state) {
    (void)state;
    mail = mail_free(mail);
    return 0;
}

static void test_size(void **state) {
    (void)state;
    struct text text = {.bytes = calloc(1, MAIL_BYTES_MAX + 1), .size = MAIL_BYTES_MAX + 1};
    assert_non_null(text.bytes);
    assert_int_equal(parse(&text), -E2BIG);
}

static void test_lines_that_could_begin_a_part(void **state) {
    (void)state;
    for (size_t more = 0; more < 2; more++) {
        struct text text = {0};
        add(&text, "Content-Type: text/plain\n\n");
        add_times(&text, MAIL_DASH_LINES_MAX + more, "--a\n");
        assert_int_equal(parse(&text), more == 0 ? 0 : -E2BIG);
    }
}

static void test_lines_that_could_be_a_header(void **state) {
    (void)state;
    for (size_t more = 0; more < 2; more++) {
        struct text text = {0};
        add_times(&text, MAIL_COLON_LINES_MAX + more, "a:\n");
        assert_int_equal(parse(&text), more == 0 ? 0 : -E2BIG);
    }
}

static void test_bytes_of_costly_headers(void **state) {
    (void)state;
    for (size_t more = 0; more < 2; more++) {
        struct text text = {0};
        add(&text, "Subject: x\n");
        add_times(&text, MAIL_HEADER_BYTES_MAX / 64 - 1 + more, // folded
                  " 123456789 123456789 123456789 123456789 123456789 123456789 123\n");
        add(&text, "\n");
        assert_int_equal(parse(&text), more == 0 ? 0 : -E2BIG);
    }
}

static void test_marks_in_address_headers(void **state) {
    (void)state;
    static const char *const pieces[] = {"a@b,\n ", "a:\n ", "a,\n ", ";\n "};
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        for (size_t more = 0; more < 2; more++) {
            struct text text = {0};
            add(&text, i % 2 == 0 ? "To: x@y.example\nCC:" : "To: x@y.example\nDelivered-To:");
            add_times(&text, MAIL_ADDRESS_MARKS_MAX - 2 + more, pieces[i]);
            add(&text, "\n\n");
            assert_int_equal(parse(&text), more == 0 ? 0 : -E2BIG);
        }
    }
}

static void add_multiparts(struct text *text, size_t n) {
    char line[100];
    for (size_t i = 0; i < n; i++) {
        snprintf(line, sizeof(line), "Content-Type: multipart/mixed; boundary=b%zu\n\n--b%zu\n", i,
                 i);
        add(text, line);
    }
    add(text, "\nhello\n");
}

static void test_depth(void **state) {
    (void)state;
    struct text text = {0};
    add_multiparts(&text, MAIL_DEPTH_MAX);
    assert_int_equal(parse(&text), 0);
    assert_string_equal(mail->text, "hello\n");
    add_multiparts(&text, MAIL_DEPTH_MAX + 1);
    assert_int_equal(parse(&text), -E2BIG);
    add_multiparts(&text, 5000);
    assert_int_equal(parse(&text), -E2BIG);
    for (size_t i = 0; i < 5000; i++) {
        add(&text, "Content-Type: message/rfc822\n\n");
    }
    assert_int_equal(parse(&text), 0); // one attachment
    assert_int_equal(mail->n_attachments, 1);
}

static void test_parts(void **state) {
    (void)state;
    for (size_t more = 0; more < 2; more++) {
        struct text text = {0};
        add(&text, "Content-Type: multipart/mixed; boundary=b\n\n");
        add_times(&text, MAIL_PARTS_MAX - 1 + more, "--b\nContent-Type: image/png\n\nx\n");
        add(&text, "--b--\n");
        assert_int_equal(parse(&text), more == 0 ? 0 : -E2BIG);
        assert_true(more == 1 || mail->n_attachments == MAIL_PARTS_MAX - 1);
    }
}

static void test_addresses(void **state) {
    (void)state;
    struct text text = {0};
    add(&text, "To: x@y.example");
    add_times(&text, MAIL_ADDRESSES_MAX, ", a@b.example");
    add(&text, "\n\n");
    assert_int_equal(parse(&text), 0);
    assert_int_equal(mail->to.n, MAIL_ADDRESSES_MAX);
    assert_int_equal(mail->to.n_named, MAIL_ADDRESSES_MAX + 1);
    for (size_t more = 0; more < 2; more++) {
        add(&text, "From: ");
        add_times(&text, MAIL_ADDRESS_BYTES_MAX - 4 + more, "a");
        add(&text, "@b.c\n\n");
        assert_int_equal(parse(&text), 0);
        assert_int_equal(strlen(mail->from.address), more == 0 ? MAIL_ADDRESS_BYTES_MAX : 0);
    }
}

static void test_references(void **state) {
    (void)state;
    struct text text = {0};
    char line[40];
    add(&text, "Message-ID: <own@klant.example>\nReferences:\n");
    for (size_t i = 0; i < MAIL_REFERENCES_MAX + 10; i++) {
        snprintf(line, sizeof(line), " <%zu@klant.example>\n", i);
        add(&text, line);
    }
    add(&text, "\n");
    assert_int_equal(parse(&text), 0);
    assert_int_equal(mail->n_references, MAIL_REFERENCES_MAX);
    assert_string_equal(mail->references[0], "0@klant.example");
    assert_string_equal(mail->references[1], "11@klant.example");
    assert_string_equal(mail->references[MAIL_REFERENCES_MAX - 1], "73@klant.example");
    for (size_t more = 0; more < 2; more++) {
        add(&text, "Message-ID: <");
        add_times(&text, MAIL_ID_BYTES_MAX - 2 + more, "a");
        add(&text, "@b>\n\n");
        assert_int_equal(parse(&text), 0);
        assert_int_equal(mail->message_id == NULL, more);
    }
}

static void test_subject_name_and_tag(void **state) {
    (void)state;
    struct text text = {0};
    add(&text, "Subject: ");
    add_times(&text, MAIL_SUBJECT_BYTES_MAX - 1, "a");
    add(&text, "\xc3\xa9\nFrom: \"");
    add_times(&text, MAIL_NAME_BYTES_MAX + 1, "b");
    add(&text, "\" <a@b.example>\n\n");
    assert_int_equal(parse(&text), 0);
    assert_int_equal(strlen(mail->subject), MAIL_SUBJECT_BYTES_MAX - 1); // not half of the last one
    assert_int_equal(strlen(mail->from.name), MAIL_NAME_BYTES_MAX);
    for (size_t more = 0; more < 2; more++) {
        add(&text, "Subject: [#");
        add_times(&text, MAIL_TAG_BYTES_MAX + more, "t");
        add(&text, "]\n\n");
        assert_int_equal(parse(&text), 0);
        assert_int_equal(mail->tag == NULL, more);
    }
}

static void test_text(void **state) {
    (void)state;
    for (size_t more = 0; more < 2; more++) {
        struct text text = {0};
        add(&text, "Content-Type: multipart/mixed; boundary=b\n\n--b\n\n");
        add_times(&text, MAIL_TEXT_BYTES_MAX / 64 - 1,
                  "123456789 123456789 123456789 123456789 123456789 123456789 123\n");
        add(&text, "\n--b\n\n");
        add_times(&text, 63 + more, "\xc3\xa9");
        add(&text, "\n--b--\n");
        assert_int_equal(parse(&text), 0);
        assert_true(mail->text_size <= MAIL_TEXT_BYTES_MAX);
        assert_true(utf8_check(mail->text, mail->text_size));
        assert_true(mail->text_cut); // 126 bytes do not fit into 64
    }
    struct text text = {0};
    add(&text, "\n");
    add_times(&text, MAIL_TEXT_BYTES_MAX / 8, "1234567\n");
    struct text whole = {0};
    add(&whole, "A: b\n");
    add(&whole, text.bytes);
    free(text.bytes);
    assert_int_equal(parse(&whole), 0);
    assert_int_equal(mail->text_size, MAIL_TEXT_BYTES_MAX);
    assert_false(mail->text_cut);
}

static void test_html_depth(void **state) {
    (void)state;
    for (size_t more = 0; more < 2; more++) {
        struct text text = {0};
        add(&text, "Content-Type: text/html\n\n<b>begin ");
        add_times(&text, MAIL_HTML_DEPTH_MAX - 1 + more, "<div>");
        add(&text, "end");
        assert_int_equal(parse(&text), 0);
        assert_int_equal(mail->text_cut, more);
        assert_string_equal(mail->text, more == 0 ? "begin\nend" : "begin");
    }
}

static void test_reports(void **state) {
    (void)state;
    struct text text = {0};
    add(&text, "Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n"
               "--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; a.example\n");
    add_times(&text, MAIL_REPORTS_MAX + 1,
              "\nFinal-Recipient: rfc822; a@b.example\nAction: failed\nStatus: 5.1.1\n");
    add(&text, "\n--b\nContent-Type: text/rfc822-headers\n\nMessage-ID: <c1@mail.example.com>\n"
               "\n--b--\n");
    assert_int_equal(parse(&text), 0);
    assert_int_equal(mail->kind, MAIL_BOUNCE);
    assert_int_equal(mail->n_reports, MAIL_REPORTS_MAX);
    struct mail_events events;
    assert_int_equal(mail_events(&conf, mail, NULL, 0, &events), 0);
    assert_int_equal(events.n, MAIL_REPORTS_MAX);
    assert_string_not_equal(touchbus_event_get(events.list[0], "id"),
                            touchbus_event_get(events.list[1], "id"));
    mail_events_clear(&events);
}

static void test_what_does_not_fit_into_an_event(void **state) {
    (void)state;
    for (size_t more = 0; more < 2; more++) {
        struct text text = {0};
        add(&text, "From: a@b.example\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\n");
        add_times(&text, MAIL_EVENT_TEXT_BYTES_MAX / 8 - 1 + more, "1234567\n");
        add(&text, "1234567\n\n--b\nContent-Type: image/png\n\nxyz\n--b--\n");
        assert_int_equal(parse(&text), 0);
        assert_int_equal(mail->text_size, MAIL_EVENT_TEXT_BYTES_MAX + 8 * more);
        struct mail_kept kept;
        size_t n = 0;
        while (mail_kept(mail, n, &kept)) {
            n++;
        }
        assert_int_equal(n, 1 + more);
        assert_string_equal(kept.type, "image/png");
        assert_int_equal(kept.size, 3);
        struct mail_events events;
        assert_int_equal(mail_events(&conf, mail, NULL, 0, &events), 0);
        _cleanup_free_ char *data = touchbus_event_data_json(events.list[0]);
        assert_int_equal(strstr(data, mail->text_sha256) != NULL, more);
        assert_int_equal(strstr(data, "1234567") != NULL, !more);
        mail_events_clear(&events);
    }
}

static void test_no_header_is_no_mail(void **state) {
    (void)state;
    static const char *const bad[] = {"", "\n", "hello", "\n\nhello: x", "\x01\x02"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct text text = {0};
        add(&text, bad[i]);
        assert_int_equal(parse(&text), -EBADMSG);
    }
}

static void check_text(const char *text) {
    assert_true(text == NULL || utf8_check_printable(text, strlen(text)));
}

static void test_any_bytes(void **state) {
    (void)state;
    static const char *const pieces[] = {
        "From: ",
        "Subject: ",
        "Content-Type: ",
        "multipart/mixed; boundary=b\n",
        "text/html\n",
        "\n",
        "\n\n",
        "--b\n",
        "--b--\n",
        "=?utf-8?Q?",
        "=?iso-2022-jp?B?GyRC",
        "?=",
        "\x1b$B",
        "\xff\xfe",
        "\xc3",
        "\xed\xa0\x80",
        "a@b.example",
        "<",
        ">",
        "\0",
        "=00=ff=",
        "Content-Transfer-Encoding: base64\n",
        "Content-Transfer-Encoding: quoted-printable\n",
        "charset=utf-16",
        "; filename*0*=utf-8''%00%ff",
        "message/delivery-status\n",
        "Action: failed\n",
        "Final-Recipient: rfc822;",
        "<p>&#0;&#xd800;",
        "Message-ID: ",
        "format=flowed\n",
        "\xc2\x85",
    };
    uint64_t seed = 88172645463325252;
    for (int i = 0; i < 3000; i++) {
        char bytes[600];
        size_t n = 0;
        for (int k = 0; k < 30; k++) {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            const char *piece = pieces[seed % (sizeof(pieces) / sizeof(pieces[0]))];
            size_t size = piece[0] == '\0' ? 1 : strlen(piece);
            if (n + size < sizeof(bytes)) {
                memcpy(bytes + n, piece, size);
                n += size;
            }
        }
        mail = mail_free(mail);
        if (mail_parse(&conf, bytes, n, &mail, &why) != 0) {
            continue;
        }
        check_text(mail->subject);
        check_text(mail->from.address);
        check_text(mail->from.name);
        check_text(mail->thread);
        check_text(mail->message_id);
        assert_true(utf8_check(mail->text, mail->text_size));
        for (size_t k = 0; k < mail->n_attachments; k++) {
            check_text(mail->attachments[k].name);
            check_text(mail->attachments[k].type);
        }
        struct mail_events events;
        assert_int_equal(mail_events(&conf, mail, "INBOX", 1, &events), 0);
        mail_events_clear(&events);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_size),
        cmocka_unit_test(test_lines_that_could_begin_a_part),
        cmocka_unit_test(test_lines_that_could_be_a_header),
        cmocka_unit_test(test_bytes_of_costly_headers),
        cmocka_unit_test(test_marks_in_address_headers),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_subject_name_and_tag),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_html_depth),
        cmocka_unit_test(test_reports),
        cmocka_unit_test(test_what_does_not_fit_into_an_event),
        cmocka_unit_test(test_no_header_is_no_mail),
        cmocka_unit_test(test_any_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
