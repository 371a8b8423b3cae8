// SPDX-License-Identifier: Apache-2.0
// What we send: whatever goes in comes out when it is read again, no value makes a header, lines
// are legal; Message-IDs and tokens are ours alone.
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

static const uint8_t key[MAIL_KEY_BYTES] = {7};
static const uint8_t other_key[MAIL_KEY_BYTES] = {8};
static const struct mail_conf conf = {
    .domain = "mail.example.com",
    .source = "/email",
    .purpose = "marketing",
    .unsubscribe_address = "unsubscribe@example.com",
    .unsubscribe_url = "https://example.com/u?t=",
    .key = key,
};
static const struct mail_out plain = {
    .contact_id = "c-1",
    .from = "shop@example.com",
    .from_name = "Shop",
    .to = "ana@klant.example",
    .subject = "Your order",
    .text = "Hello\n",
    .date_us = INT64_C(1772438400000000),
};

static char *compose(const struct mail_out *out) {
    char *bytes = NULL;
    size_t size = 0;
    const char *why = NULL;
    int r = mail_compose(&conf, out, &bytes, &size, &why);
    if (r != 0) {
        print_error("%s\n", why);
    }
    assert_int_equal(r, 0);
    assert_int_equal(strlen(bytes), size);
    return bytes;
}

static struct mail *parse(const char *bytes) {
    struct mail *mail = NULL;
    const char *why = NULL;
    assert_int_equal(mail_parse(&conf, bytes, strlen(bytes), &mail, &why), 0);
    return mail;
}

static void assert_legal(const char *bytes) {
    for (const char *at = bytes; *at != '\0';) {
        const char *end = strstr(at, "\r\n");
        assert_non_null(end);
        assert_in_range(end - at, 0, MAIL_LINE_BYTES_MAX);
        for (; at < end; at++) {
            assert_in_range(*at, '\t', '~');
            assert_true(*at != '\r' && *at != '\n');
        }
        at = end + 2;
    }
}

static void assert_back(const struct mail_out *out) {
    _cleanup_free_ char *bytes = compose(out);
    char id[MAIL_ID_BYTES_MAX + 1];
    assert_legal(bytes);
    _cleanup_(cleanup_mail) struct mail *mail = parse(bytes);
    assert_string_equal(mail->from.address, out->from);
    assert_string_equal(mail->from.name, out->from_name == NULL ? "" : out->from_name);
    assert_int_equal(mail->to.n, 1);
    assert_string_equal(mail->to.list[0].address, out->to);
    assert_string_equal(mail->to.list[0].name, out->to_name == NULL ? "" : out->to_name);
    assert_string_equal(mail->subject, out->subject);
    assert_string_equal(mail->text, out->text);
    assert_true(mail->has_date);
    assert_true(mail->date_us == out->date_us);
    assert_int_equal(mail_message_id(&conf, out->contact_id, id), 0);
    assert_string_equal(mail->message_id, id);
    assert_int_equal(mail_contact_id(&conf, mail->message_id, id), 0);
    assert_string_equal(id, out->contact_id);
    assert_string_equal(mail->thread, out->in_reply_to == NULL ? out->contact_id : mail->thread);
    assert_int_equal(mail->n_attachments, 0);
}

static void test_what_is_composed_reads_back(void **state) {
    (void)state;
    static const char *const names[] = {NULL,
                                        "Shop",
                                        "Müller, Jörg \"der\" <x@y>",
                                        "株式会社タッチ",
                                        "=?utf-8?Q?no?=",
                                        "a.b (c)",
                                        "Ærøskøbing Ærøskøbing Ærøskøbing Ærøskøbing Ærøskøbing"};
    static const char *const subjects[] = {
        "Your order",
        "Ihre Bestellung: 3 × Käse für 4,20 €",
        "件名は日本語です、とても長いので折り返されます、とても長いので折り返されます",
        "a subject that has to be folded as it is longer than a header line of 78 characters",
        "=?utf-8?Q?already=20encoded?= or not",
        "😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀",
        "x"};
    static const char *const texts[] = {"Hello\n",
                                        "Grüße\n\n.\n..\nFrom me\n-- \nsig \n",
                                        "日本語の本文。\n二行目\n",
                                        "tab\there  \ntwo  blanks\n",
                                        "=3D is not =\n",
                                        "> quoted\n>> twice\n"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        for (size_t k = 0; k < sizeof(subjects) / sizeof(subjects[0]); k++) {
            struct mail_out out = plain;
            out.from_name = out.to_name = names[i];
            out.subject = subjects[k];
            out.text = texts[(i + k) % (sizeof(texts) / sizeof(texts[0]))];
            assert_back(&out);
        }
    }
}

static uint64_t next_random(uint64_t *seed) { // xorshift: the same on each run
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

// Words of characters of all lengths, between single blanks.
static void random_text(uint64_t *seed, char *ret, size_t size) {
    static const char *const characters[] = {"a",  "Z", "7", ".", ",",  "\"", "<", ">",
                                             "@",  "=", "?", "_", "(",  ")",  ";", ":",
                                             "\\", "é", "ß", "€", "本", "😀",  "-", "'"};
    size_t n = 1 + next_random(seed) % (size - 1);
    bool was_blank = true;
    ret[0] = '\0';
    for (size_t used = 0;;) {
        const char *c = characters[next_random(seed) % 24];
        bool blank = !was_blank && next_random(seed) % 5 == 0;
        size_t length = blank ? 2 : strlen(c); // what follows a blank fits, too
        if (used + length + 4 >= n) {
            ret[used] = '\0';
            if (used > 0 && ret[used - 1] == ' ') {
                ret[used - 1] = '\0';
            }
            return;
        }
        memcpy(ret + used, blank ? " " : c, blank ? 1 : length);
        used += blank ? 1 : length;
        was_blank = blank;
    }
}

static void test_anything_composed_reads_back(void **state) {
    (void)state;
    uint64_t seed = 88172645463325252;
    for (int i = 0; i < 2000; i++) {
        char name[120], subject[400], text[900], id[60];
        random_text(&seed, name, sizeof(name));
        random_text(&seed, subject, sizeof(subject));
        random_text(&seed, text, sizeof(text) - 1);
        random_text(&seed, id, sizeof(id));
        snprintf(text + strlen(text), 2, "\n");
        struct mail_out out = plain;
        out.from_name = out.to_name = name;
        out.subject = subject;
        out.text = text;
        out.contact_id = id[0] == '\0' ? "1" : id;
        assert_back(&out);
    }
}

static void refuse(const struct mail_out *out) {
    char *bytes = NULL;
    size_t size;
    const char *why = NULL;
    assert_int_equal(mail_compose(&conf, out, &bytes, &size, &why), -EINVAL);
    assert_non_null(why);
    assert_null(bytes);
}

static void test_no_value_makes_a_header(void **state) {
    (void)state;
    static const char *const bad[] = {
        "a\r\nBcc: x@y.example", "a\nb", "a\rb", "a\tb", "a\x01", "\xff"};
    const char *const *references = bad;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct mail_out rows[] = {plain, plain, plain, plain, plain, plain,
                                  plain, plain, plain, plain, plain};
        rows[0].contact_id = bad[i];
        rows[1].from = bad[i];
        rows[2].from_name = bad[i];
        rows[3].to = bad[i];
        rows[4].to_name = bad[i];
        rows[5].subject = bad[i];
        rows[6].tag = bad[i];
        rows[7].language = bad[i];
        rows[8].in_reply_to = bad[i];
        rows[9].in_reply_to = "a@b.example";
        rows[9].references = references + i;
        rows[9].n_references = 1;
        rows[10].purpose = bad[i];
        for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
            refuse(&rows[k]);
        }
    }
}

static void test_addresses_that_are_none(void **state) {
    (void)state;
    static const char *const bad[] = {"",        "a",         "@b.c",        "a@",       "a b@c.d",
                                      "a@b c.d", "<a@b.c>",   "a@b.c,d@e.f", "a..b@c.d", ".a@b.c",
                                      "a.@b.c",  "a@.b.c",    "a@b.c.",      "a@b@c.d",  "ü@b.c",
                                      "a@ü.d",   "\"a\"@b.c", "a@b.c>",      "a@b.c\r\n"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(mail_address_ok(bad[i]));
    }
    assert_false(mail_address_ok(NULL));
    assert_true(mail_address_ok("ana+touch@klant.example"));
    assert_true(mail_address_ok("o'neil@x-y.example"));
}

static void test_missing_values_are_refused(void **state) {
    (void)state;
    struct mail_out rows[] = {plain, plain, plain, plain, plain, plain, plain};
    rows[0].contact_id = NULL;
    rows[1].from = NULL;
    rows[2].to = NULL;
    rows[3].subject = NULL;
    rows[4].text = NULL;
    rows[5].date_us = 0;
    rows[6].contact_id = "";
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        refuse(&rows[i]);
    }
    char long_subject[MAIL_SUBJECT_BYTES_MAX + 2] = "";
    memset(long_subject, 'a', sizeof(long_subject) - 1);
    struct mail_out out = plain;
    out.subject = long_subject;
    refuse(&out);
    long_subject[MAIL_SUBJECT_BYTES_MAX] = '\0';
    char *bytes = NULL;
    size_t size;
    const char *why;
    int r = mail_compose(&conf, &out, &bytes, &size, &why);
    assert_true(r == -EINVAL || r == 0); // one word of a line's length: folded, or refused
    if (r == 0) {
        assert_legal(bytes);
    }
    free(bytes);
}

static void test_a_reply_stays_in_its_thread(void **state) {
    (void)state;
    static const char *const references[] = {"m0@klant.example", "r1@mail.example.com"};
    struct mail_out out = plain;
    out.in_reply_to = "m1@klant.example";
    out.references = references;
    out.n_references = 2;
    out.tag = "c-9";
    _cleanup_free_ char *bytes = compose(&out);
    assert_legal(bytes);
    _cleanup_(cleanup_mail) struct mail *mail = parse(bytes);
    assert_string_equal(mail->in_reply_to, "m1@klant.example");
    assert_int_equal(mail->n_references, 3);
    assert_string_equal(mail->references[2], "m1@klant.example");
    assert_string_equal(mail->thread, "m0@klant.example");
    assert_string_equal(mail->contact_id, "r1");
    assert_string_equal(mail->subject, "Your order [#c-9]");
    out.subject = "Re: Your order [#c-9]"; // once is enough
    _cleanup_free_ char *again = compose(&out);
    assert_non_null(strstr(again, "Re: Your order [#c-9]\r\n"));
}

static void test_references_of_a_long_thread_keep_the_first(void **state) {
    (void)state;
    enum { N = 500 };
    static char ids[N][32];
    static const char *references[N];
    for (size_t i = 0; i < N; i++) {
        snprintf(ids[i], sizeof(ids[i]), "%zu@klant.example", i);
        references[i] = ids[i];
    }
    struct mail_out out = plain;
    out.in_reply_to = "last@klant.example";
    out.references = references;
    out.n_references = N;
    _cleanup_free_ char *bytes = compose(&out);
    _cleanup_(cleanup_mail) struct mail *mail = parse(bytes);
    assert_string_equal(mail->thread, "0@klant.example");
    assert_in_range(mail->n_references, 3, 30);
    assert_string_equal(mail->references[mail->n_references - 2], "499@klant.example");
}

static void test_marketing_can_be_unsubscribed(void **state) {
    (void)state;
    struct mail_out out = plain;
    out.purpose = "newsletter";
    out.automatic = true;
    _cleanup_free_ char *bytes = compose(&out);
    assert_legal(bytes);
    assert_non_null(strstr(bytes, "\r\nList-Unsubscribe: <https://example.com/u?t="));
    assert_non_null(strstr(bytes, "\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"));
    assert_non_null(strstr(bytes, "\r\nAuto-Submitted: auto-generated\r\n"));
    const char *mailto = strstr(bytes, "<mailto:unsubscribe@example.com?subject=unsubscribe%20");
    assert_non_null(mailto);
    char token[MAIL_TOKEN_BYTES_MAX];
    const char *begin = strstr(mailto, "%20") + 3;
    snprintf(token, sizeof(token), "%.*s", (int)strcspn(begin, ">"), begin);
    struct mail_token opened;
    assert_int_equal(mail_token_open(&conf, token, &opened), 0);
    assert_string_equal(opened.address, "ana@klant.example");
    assert_string_equal(opened.purpose, "newsletter");

    struct mail_conf bare = conf;
    bare.key = NULL;
    char *none = NULL;
    size_t size;
    const char *why = NULL;
    assert_int_equal(mail_compose(&bare, &out, &none, &size, &why), -EINVAL);
    bare = conf;
    bare.unsubscribe_url = "http://example.com/u?t="; // RFC 8058, 3.1: https
    assert_int_equal(mail_compose(&bare, &out, &none, &size, &why), -EINVAL);
    _cleanup_free_ char *service = compose(&plain);
    assert_null(strstr(service, "List-Unsubscribe"));
    assert_null(strstr(service, "Auto-Submitted"));
}

static void test_tokens_are_ours_alone(void **state) {
    (void)state;
    char token[MAIL_TOKEN_BYTES_MAX], again[MAIL_TOKEN_BYTES_MAX];
    struct mail_token opened;
    struct mail_conf other = conf;
    other.key = other_key;
    assert_int_equal(mail_token_make(&conf, "ana@klant.example", "news", token), 0);
    assert_int_equal(mail_token_make(&conf, "ana@klant.example", "news", again), 0);
    assert_string_equal(token, again);
    assert_int_equal(mail_token_make(&conf, "ana@klant.example", "offers", again), 0);
    assert_string_not_equal(token, again);
    assert_null(strstr(token, "ana"));
    assert_int_equal(mail_token_open(&other, token, &opened), 1);
    assert_false(opened.known);
    for (size_t i = 0; token[i] != '\0'; i++) {
        char c = token[i];
        token[i] = c == 'A' ? 'B' : 'A';
        assert_int_equal(mail_token_open(&conf, token, &opened), 1);
        token[i] = '\0';
        assert_int_equal(mail_token_open(&conf, token, &opened), 1);
        token[i] = c;
    }
    assert_int_equal(mail_token_open(&conf, token, &opened), 0);
    for (size_t i = 0; i < strlen(token); i++) { // nor is one that reads like it
        char c = token[i];
        for (int byte = 0x80; byte <= 0xff; byte++) {
            token[i] = (char)byte;
            assert_int_equal(mail_token_open(&conf, token, &opened), 1);
        }
        token[i] = c;
    }
    char address[MAIL_ADDRESS_BYTES_MAX + 1], purpose[66];
    memset(address, 'a', sizeof(address));
    address[MAIL_ADDRESS_BYTES_MAX] = '\0';
    memset(purpose, 'p', sizeof(purpose));
    purpose[65] = '\0';
    assert_int_equal(mail_token_make(&conf, address, purpose, token), -EINVAL);
    purpose[64] = '\0';
    assert_int_equal(mail_token_make(&conf, address, purpose, token), 0);
    assert_int_equal(mail_token_open(&conf, token, &opened), 0);
    assert_string_equal(opened.address, address);
    assert_string_equal(opened.purpose, purpose);
}

static void test_one_click(void **state) {
    (void)state;
    static const struct {
        const char *type, *body;
        bool is;
    } rows[] = {
        {"application/x-www-form-urlencoded", "List-Unsubscribe=One-Click", true},
        {"application/x-www-form-urlencoded; charset=utf-8", "a=b&List-Unsubscribe=One-Click",
         true},
        {"application/x-www-form-urlencoded", "xList-Unsubscribe=One-Click", false},
        {"application/x-www-form-urlencoded", "List-Unsubscribe=One-Clicks", false},
        {"application/x-www-form-urlencoded", "", false},
        {"text/plain", "List-Unsubscribe=One-Click", false},
        {NULL, "List-Unsubscribe=One-Click", false},
        {"multipart/form-data; boundary=x",
         "--x\r\nContent-Disposition: form-data; "
         "name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--x--",
         true},
        {"application/x-www-form-urlencoded",
         "xList-Unsubscribe=One-Click&List-Unsubscribe=One-Click", true},
        {"multipart/form-data; boundary=x",
         "--x\r\nContent-Disposition: form-data; "
         "name=\"List-Unsubscribe\"\r\n\r\nOne-Clicks\r\n--x--",
         false},
        {"multipart/form-data; boundary=x",
         "--x\r\nContent-Disposition: form-data; name=\"Other\"\r\n\r\nOne-Click\r\n--x--", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(mail_is_one_click(rows[i].type, rows[i].body, strlen(rows[i].body)),
                         rows[i].is);
    }
}

static touchbus_event *click(const char *address, const char *purpose, int64_t received_us) {
    struct mail_token token;
    char text[MAIL_TOKEN_BYTES_MAX];
    touchbus_event *event = NULL;
    assert_int_equal(mail_token_make(&conf, address, purpose, text), 0);
    assert_int_equal(mail_token_open(&conf, text, &token), 0);
    assert_int_equal(mail_token_event(&conf, &token, received_us, &event), 0);
    return event;
}

static bool is_one_event(touchbus_event *one, touchbus_event *other) {
    bool same = strcmp(touchbus_event_get(one, "id"), touchbus_event_get(other, "id")) == 0;
    touchbus_event_free(one);
    touchbus_event_free(other);
    return same;
}

static void test_a_click_is_a_withdrawal_when_it_came(void **state) {
    (void)state;
    int64_t time_us = 0;
    touchbus_event *event = click("ana@klant.example", "news", 1772442000123456);
    assert_string_equal(touchbus_event_get(event, "type"), "consent.changed");
    assert_true(touchbus_event_time(event, &time_us));
    assert_int_equal(time_us, 1772442000123456);
    assert_null(strstr(touchbus_event_get(event, "id"), "ana")); // ids are not sealed
    touchbus_event_free(event);
    struct mail_token unknown = {.known = false};
    assert_int_equal(mail_token_event(&conf, &unknown, 1, &event), -EINVAL);
}

// A sender repeats what he got no answer to; who granted again and withdraws again is heard.
static void test_a_click_repeated_is_the_same_event_for_a_while(void **state) {
    (void)state;
    const char *ana = "ana@klant.example", *ben = "ben@klant.example";
    int64_t at_us = INT64_C(1772442000000000), while_us = MAIL_CLICK_S * INT64_C(1000000);
    assert_true(is_one_event(click(ana, "news", at_us), click(ana, "news", at_us + while_us - 1)));
    assert_false(is_one_event(click(ana, "news", at_us), click(ana, "news", at_us + while_us)));
    assert_false(is_one_event(click(ana, "news", at_us), click(ben, "news", at_us)));
    assert_false(is_one_event(click(ana, "news", at_us), click(ana, "offers", at_us)));
}

static void test_message_ids_are_of_contacts(void **state) {
    (void)state;
    char id[MAIL_ID_BYTES_MAX + 1], back[MAIL_ID_BYTES_MAX + 1], long_id[300];
    static const char *const ids[] = {"c1",  "a.b", ".a",  "a.",  "a..b",
                                      "a b", "50%", "x@y", "é/ü", "<>"};
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        assert_int_equal(mail_message_id(&conf, ids[i], id), 0);
        assert_null(strpbrk(id, " <>"));
        assert_null(strstr(id, ".."));
        assert_int_equal(mail_contact_id(&conf, id, back), 0);
        assert_string_equal(back, ids[i]);
    }
    memset(long_id, 'a', sizeof(long_id) - 1);
    long_id[sizeof(long_id) - 1] = '\0';
    assert_int_equal(mail_message_id(&conf, long_id, id), -E2BIG);
    assert_int_equal(mail_message_id(&conf, "", id), -EINVAL);
    assert_int_equal(mail_message_id(&conf, "a\nb", id), -EINVAL);
    assert_int_equal(mail_contact_id(&conf, "c1@other.example", id), 1);
    assert_int_equal(mail_contact_id(&conf, "c1@sub.mail.example.com", id), 1);
    assert_int_equal(mail_contact_id(&conf, "@mail.example.com", id), 1);
    assert_int_equal(mail_contact_id(&conf, "%@mail.example.com", id), 1);
    assert_int_equal(mail_contact_id(&conf, "%0A@mail.example.com", id), 1);
    assert_int_equal(mail_contact_id(&conf, NULL, id), 1);
    assert_int_equal(mail_contact_id(&conf, "c1@MAIL.example.com", id), 0);
    struct mail_conf bare = {.domain = NULL};
    assert_int_equal(mail_message_id(&bare, "c1", id), -EINVAL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_composed_reads_back),
        cmocka_unit_test(test_anything_composed_reads_back),
        cmocka_unit_test(test_no_value_makes_a_header),
        cmocka_unit_test(test_addresses_that_are_none),
        cmocka_unit_test(test_missing_values_are_refused),
        cmocka_unit_test(test_a_reply_stays_in_its_thread),
        cmocka_unit_test(test_references_of_a_long_thread_keep_the_first),
        cmocka_unit_test(test_marketing_can_be_unsubscribed),
        cmocka_unit_test(test_tokens_are_ours_alone),
        cmocka_unit_test(test_one_click),
        cmocka_unit_test(test_a_click_is_a_withdrawal_when_it_came),
        cmocka_unit_test(test_a_click_repeated_is_the_same_event_for_a_while),
        cmocka_unit_test(test_message_ids_are_of_contacts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
