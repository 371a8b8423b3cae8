// SPDX-License-Identifier: Apache-2.0
// What touchbus-email is told by people: URLs of servers, texts of contents.
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "connectors/email/content.h"
#include "connectors/email/durable.h"
#include "connectors/email/endpoint.h"

static void test_a_url_says_where_and_how(void **data) {
    (void)data;
    static const struct {
        const char *kind, *url, *host, *port, *user, *mailbox;
        bool tls;
    } rows[] = {
        {"imap", "imaps://desk%40example.com@imap.example.com/INBOX", "imap.example.com", "993",
         "desk@example.com", "INBOX", true},
        {"imap", "imap://desk@[::1]:1143/Kunden%20alt/2026", "::1", "1143", "desk",
         "Kunden alt/2026", false},
        {"smtp", "smtp://127.0.0.1", "127.0.0.1", "587", "", "", false},
        {"smtp", "smtps://desk@smtp.example.com:4650/", "smtp.example.com", "4650", "desk", "",
         true},
    };
    struct endpoint endpoint;
    char why[ENDPOINT_WHY_BYTES];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(endpoint_parse(rows[i].kind, rows[i].url, &endpoint, why), 0);
        assert_string_equal(endpoint.host, rows[i].host);
        assert_string_equal(endpoint.port, rows[i].port);
        assert_string_equal(endpoint.user, rows[i].user);
        assert_string_equal(endpoint.mailbox, rows[i].mailbox);
        assert_int_equal(endpoint.tls, rows[i].tls);
    }
}

static void test_a_bad_url_is_refused_and_not_shown(void **data) {
    (void)data;
    static const char *const urls[] = {"",
                                       "imap.example.com",
                                       "https://imap.example.com/",
                                       "smtps://desk@smtp.example.com",
                                       "imaps://desk:geheim@imap.example.com/",
                                       "imaps://desk%0d%0aA1 LOGOUT@imap.example.com/",
                                       "imaps://desk@imap.example.com/IN%0aBOX"};
    struct endpoint endpoint;
    char why[ENDPOINT_WHY_BYTES];
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        assert_int_equal(endpoint_parse("imap", urls[i], &endpoint, why), -EINVAL);
        assert_null(strstr(why, "geheim"));
    }
}

static char folder[512];

static int setup(void **data) {
    (void)data;
    snprintf(folder, sizeof(folder), "%s/touchbus-contents-XXXXXX",
             getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
    return mkdtemp(folder) == NULL;
}

static int remove_each(void *user, const char *name) {
    return unlinkat(*(int *)user, name, 0) != 0 ? -errno : 0;
}

static int teardown(void **data) {
    (void)data;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    durable_each(fd, remove_each, &fd);
    close(fd);
    return rmdir(folder);
}

static void put(const char *name, const char *text) {
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(durable_write(fd, name, text, strlen(text)), 0);
    close(fd);
}

static void test_a_content_speaks_the_recipients_language(void **data) {
    (void)data;
    struct content content;
    char why[CONTENT_WHY_BYTES];
    put("hi.txt", "Subject: Hi {name}!\n\nHello {name}, bye.\n");
    put("hi.pt.txt", "Subject: Oi {name}!\r\n\r\nBom dia {name}.\r\n");
    assert_int_equal(content_read(folder, "hi", "pt-BR", "Ana", &content, why), 0);
    assert_string_equal(content.subject, "Oi Ana!");
    assert_string_equal(content.text, "Bom dia Ana.\r\n");
    content_clear(&content);
    assert_int_equal(content_read(folder, "hi", "de", "", &content, why), 0);
    assert_string_equal(content.subject, "Hi!");
    assert_string_equal(content.text, "Hello, bye.\n");
    content_clear(&content);
}

static void test_a_content_is_a_plain_file_of_that_folder(void **data) {
    (void)data;
    static const char *const ids[] = {"none", "../hi", "a/b", ".hidden", "", "subjectless"};
    struct content content;
    char why[CONTENT_WHY_BYTES];
    put("subjectless.txt", "Hello\n");
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        assert_int_equal(content_read(folder, ids[i], "", "", &content, why), 1);
    }
    assert_int_equal(content_read(NULL, "hi", "", "", &content, why), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_url_says_where_and_how),
        cmocka_unit_test(test_a_bad_url_is_refused_and_not_shown),
        cmocka_unit_test_setup_teardown(test_a_content_speaks_the_recipients_language, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_content_is_a_plain_file_of_that_folder, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
