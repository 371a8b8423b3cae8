// SPDX-License-Identifier: Apache-2.0
// What an agent's desk does when the phone rings: shows who calls, and asks the contact policy
// whether an offer may follow by e-mail.
// Usage: screen HOST:PORT KIND=VALUE [ADDRESS], e.g.
// screen 127.0.0.1:7400 phone=+31201234567 ana@klant.example
#include <errno.h>
#include <stdio.h>
#include <touchbus.h>

enum { EXIT_YES = 0, EXIT_NO = 1, EXIT_USAGE = 2, EXIT_AWAY = 3, TIMEOUT_MS = 5000 };

// What came of a question, and the answer freed.
static int print(int r, touchbus_answer *answer) {
    if (r == -EINVAL) {
        fprintf(stderr, "screen: wants c42 or KIND=VALUE\n");
        return EXIT_USAGE;
    }
    if (r != 0) {
        fprintf(stderr, "screen: the broker is not there\n");
        return EXIT_AWAY;
    }
    int status = touchbus_answer_code(answer) == 0 ? EXIT_YES : EXIT_NO;
    if (status == EXIT_YES) {
        printf("%s\n", touchbus_answer_json(answer));
    } else {
        fprintf(stderr, "screen: %s: %s\n", touchbus_answer_reason(answer),
                touchbus_answer_detail(answer));
    }
    touchbus_answer_free(answer);
    return status;
}

static int may_email(const char *broker, const char *address) {
    const char *const channels[] = {"email", NULL};
    const touchbus_publisher_options options = {.broker = broker, .source = "/desk"};
    const touchbus_contact contact = {.kind = "email",
                                      .value = address,
                                      .content_id = "after-call",
                                      .purpose = "service",
                                      .channels = channels};
    touchbus_answer *answer = NULL;
    int r = touchbus_contact_ask(&options, &contact, TIMEOUT_MS, &answer);
    return print(r, answer);
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: screen HOST:PORT KIND=VALUE [ADDRESS]\n");
        return EXIT_USAGE;
    }
    touchbus_client *client;
    if (touchbus_client_new(&(touchbus_client_options){.broker = argv[1]}, &client) != 0) {
        fprintf(stderr, "screen: not an address: %s\n", argv[1]);
        return EXIT_USAGE;
    }
    touchbus_answer *answer = NULL;
    int r = touchbus_client_screen(client, argv[2], "phone", 0, TIMEOUT_MS, &answer);
    int status = print(r, answer);
    touchbus_client_free(client);
    return status == EXIT_YES && argc > 3 ? may_email(argv[1], argv[3]) : status;
}
