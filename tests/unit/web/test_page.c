// SPDX-License-Identifier: Apache-2.0
// The pages behind an unsubscribe link: the one that asks posts what RFC 8058 wants, none says
// "done" that must not, whatever a purpose is called it is text, and nothing is loaded or run.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "connectors/web/page.h"
#include "schemas/base/cleanup.h"

static const enum page pages[] = {PAGE_ASK, PAGE_DONE, PAGE_NO_LINK, PAGE_NO_FORM, PAGE_LATER};
enum { N_PAGES = sizeof(pages) / sizeof(pages[0]) };

static void test_only_the_page_that_asks_has_the_button(void **state) {
    (void)state;
    for (size_t i = 0; i < N_PAGES; i++) {
        _cleanup_free_ char *text = page_write(pages[i], "news");
        assert_non_null(text);
        assert_int_equal(strstr(text, "<form") != NULL, pages[i] == PAGE_ASK);
        assert_int_equal(strstr(text, "name=\"List-Unsubscribe\" value=\"One-Click\"") != NULL,
                         pages[i] == PAGE_ASK);
        assert_int_equal(strstr(text, "Done") != NULL, pages[i] == PAGE_DONE);
        assert_int_equal(strstr(text, "Nothing was changed") != NULL,
                         pages[i] == PAGE_NO_LINK || pages[i] == PAGE_NO_FORM);
    }
}

static void test_what_it_is_about_is_named_where_it_is_known(void **state) {
    (void)state;
    for (size_t i = 0; i < N_PAGES; i++) {
        _cleanup_free_ char *text = page_write(pages[i], "spring-news");
        assert_int_equal(strstr(text, "<b>spring-news</b>") != NULL,
                         pages[i] == PAGE_ASK || pages[i] == PAGE_DONE);
    }
}

static void test_a_purpose_is_text_whatever_it_is_called(void **state) {
    (void)state;
    _cleanup_free_ char *text = page_write(PAGE_ASK, "<script>'&\"é</b>");
    assert_non_null(strstr(text, "<b>&lt;script&gt;&#39;&amp;&quot;é&lt;/b&gt;</b>"));
    assert_null(strstr(text, "<script"));
}

static void test_nothing_is_loaded_or_run(void **state) {
    (void)state;
    static const char *const words[] = {"<script", "<style", "<link", "<img",   "<iframe",
                                        "http:",   "https:", " src=", " href=", "action="};
    for (size_t i = 0; i < N_PAGES; i++) {
        _cleanup_free_ char *text = page_write(pages[i], "news");
        for (size_t k = 0; k < sizeof(words) / sizeof(words[0]); k++) {
            assert_null(strstr(text, words[k]));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_the_page_that_asks_has_the_button),
        cmocka_unit_test(test_what_it_is_about_is_named_where_it_is_known),
        cmocka_unit_test(test_a_purpose_is_text_whatever_it_is_called),
        cmocka_unit_test(test_nothing_is_loaded_or_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
