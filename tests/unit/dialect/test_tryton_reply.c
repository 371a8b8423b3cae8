// SPDX-License-Identifier: Apache-2.0
// Tryton's answers as a real 6.0 gave them: results, and failures with the ERP's own words.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "connectors/dialect/tryton_reply.h"

#define PAGE(text)                                                                                 \
    "<!doctype html>\n<html lang=en>\n<title>x</title>\n<h1>x</h1>\n<p>" text "</p>\n"

static struct tryton_reply read_reply(long status, const char *bytes) {
    struct tryton_reply reply;
    tryton_reply_read(status, bytes, strlen(bytes), &reply);
    return reply;
}

static void test_result_is_any_json(void **ignored) {
    struct tryton_reply reply = read_reply(200, "null");
    (void)ignored;
    assert_int_equal(reply.class, TRYTON_DONE);
    assert_true(json_is_null(reply.result));
    json_decref(reply.result);
    reply = read_reply(200, "[{\"id\": 1}]");
    assert_int_equal(reply.class, TRYTON_DONE);
    assert_int_equal(json_array_size(reply.result), 1);
    json_decref(reply.result);
}

static void test_answer_that_is_no_json_is_not_the_erp(void **ignored) {
    (void)ignored;
    assert_int_equal(read_reply(200, "<html>").class, TRYTON_AWAY);
    assert_int_equal(read_reply(200, "").class, TRYTON_AWAY);
    assert_null(read_reply(200, "{").result);
}

static void test_each_status_has_its_class(void **ignored) {
    static const struct {
        long status;
        enum tryton_class class;
    } rows[] = {{400, TRYTON_REJECT}, {401, TRYTON_LOGIN},  {403, TRYTON_REJECT},
                {404, TRYTON_AWAY},   {409, TRYTON_REJECT}, {423, TRYTON_STALE},
                {429, TRYTON_AWAY},   {500, TRYTON_RETRY},  {502, TRYTON_AWAY},
                {302, TRYTON_AWAY},   {204, TRYTON_AWAY},   {0, TRYTON_AWAY}};
    (void)ignored;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct tryton_reply reply = read_reply(rows[i].status, "");
        assert_int_equal(reply.class, rows[i].class);
        assert_true(reply.words[0] != '\0');
    }
}

static void test_words_are_the_erp_s_own(void **ignored) {
    (void)ignored;
    struct tryton_reply reply = read_reply(
        400, PAGE("A value is required for field &#34;Unit&#34; in &#34;Sale Line&#34;. - "));
    assert_string_equal(reply.words, "A value is required for field \"Unit\" in \"Sale Line\".");
    reply = read_reply(400, PAGE("a &lt;b&gt; &amp; c\nd"));
    assert_string_equal(reply.words, "a <b> & c d");
    reply = read_reply(400, PAGE("Der Wert f\xc3\xbcr &#39;Menge&#39;"));
    assert_string_equal(reply.words, "Der Wert f\xc3\xbcr 'Menge'");
}

static void test_words_are_cut_between_characters(void **ignored) {
    char page[1200] = "<p>";
    (void)ignored;
    for (size_t i = 0; i < 300; i++) {
        strncat(page, "\xe2\x82\xac", 4);
    }
    strncat(page, "</p>", 5);
    struct tryton_reply reply = read_reply(400, page);
    assert_int_equal(strlen(reply.words), 255);
    reply = read_reply(400, "<p>x"); // no end: not words
    assert_string_equal(reply.words, "the ERP answers 400 without words");
    page[3] = 'y';
    page[4] = 'z';
    page[5] = 'y';
    page[6] = 'z'; // one byte on: 255 falls into a character
    memmove(page + 7, page + 9, strlen(page + 9) + 1);
    reply = read_reply(400, page);
    json_t *text = json_string(reply.words); // jansson takes whole UTF-8 only
    assert_non_null(text);
    json_decref(text);
}

// An empty paragraph, spaces, half a character: somebody has to read something.
static void test_a_page_without_words_has_those_of_its_status(void **ignored) {
    static const char *const pages[] = {"<p></p>", "<p> - </p>", "<p>\n</p>", "<p>\xc3</p>"};
    (void)ignored;
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
        struct tryton_reply reply = read_reply(500, pages[i]);
        assert_int_equal(reply.class, TRYTON_RETRY);
        assert_string_equal(reply.words, "the ERP answers 500 without words");
    }
}

static void test_lost_database_is_an_outage(void **ignored) {
    (void)ignored;
    assert_int_equal(read_reply(500, PAGE("server closed the connection unexpectedly")).class,
                     TRYTON_AWAY);
    assert_int_equal(read_reply(500, PAGE("&#39;nofield&#39;")).class, TRYTON_RETRY);
}

static void test_what_we_sent_of_a_person_is_hidden(void **ignored) {
    char words[TRYTON_WORDS_BYTES] = "ana@klant.example is no e-mail, nor is ana@klant.example";
    (void)ignored;
    tryton_words_hide(words, "ana@klant.example");
    assert_string_equal(words, "... is no e-mail, nor is ...");
    tryton_words_hide(words, "is"); // too short to be anybody's
    tryton_words_hide(words, NULL);
    assert_string_equal(words, "... is no e-mail, nor is ...");
}

static void test_decimals_are_texts(void **ignored) {
    json_t *value = tryton_decimal("19.90");
    (void)ignored;
    assert_string_equal(tryton_decimal_text(value), "19.90");
    json_decref(value);
    assert_null(tryton_decimal_text(NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_result_is_any_json),
        cmocka_unit_test(test_answer_that_is_no_json_is_not_the_erp),
        cmocka_unit_test(test_each_status_has_its_class),
        cmocka_unit_test(test_words_are_the_erp_s_own),
        cmocka_unit_test(test_words_are_cut_between_characters),
        cmocka_unit_test(test_a_page_without_words_has_those_of_its_status),
        cmocka_unit_test(test_lost_database_is_an_outage),
        cmocka_unit_test(test_what_we_sent_of_a_person_is_hidden),
        cmocka_unit_test(test_decimals_are_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
