// SPDX-License-Identifier: Apache-2.0
// Asks for a customer by one of its keys and prints the answer.
// Usage: query HOST:PORT KIND=VALUE, e.g. query 127.0.0.1:7400 email=ana@klant.example
#include <stdio.h>
#include <touchbus.h>

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: query HOST:PORT KIND=VALUE\n");
        return 2;
    }
    touchbus_client *client;
    if (touchbus_client_new(&(touchbus_client_options){.broker = argv[1]}, &client) != 0) {
        fprintf(stderr, "query: not an address: %s\n", argv[1]);
        return 2;
    }
    const touchbus_argument arguments[] = {{"key", argv[2]}};
    touchbus_answer *answer;
    int status = 3;
    if (touchbus_client_query(client, "customer.show", arguments, 1, NULL, 0, 5000, NULL, NULL,
                              &answer) != 0) {
        fprintf(stderr, "query: the broker is not there\n");
    } else {
        status = touchbus_answer_code(answer) == 0 ? 0 : 1;
        if (status == 0) {
            printf("%s\n", touchbus_answer_json(answer));
        } else {
            fprintf(stderr, "query: %s: %s\n", touchbus_answer_reason(answer),
                    touchbus_answer_detail(answer));
        }
        touchbus_answer_free(answer);
    }
    touchbus_client_free(client);
    return status;
}
