// SPDX-License-Identifier: Apache-2.0
// The questions that programs ask most, as one call each: who is this, and what is there to know.
// They are queries like any other; what they answer is in tools/README.md.
#include <errno.h>
#include <string.h>

#include "connectors/client/touchbus.h"

// c42 is a number, KIND=VALUE a key.
static int argument_of(const char *customer, touchbus_argument *ret) {
    static const char digits[] = "0123456789";
    bool is_number = customer[0] == 'c' && customer[1] != '\0' &&
                     strspn(customer + 1, digits) == strlen(customer + 1);
    if (!is_number && strchr(customer, '=') == NULL) {
        return -EINVAL;
    }
    *ret = (touchbus_argument){is_number ? "customer" : "key", customer};
    return 0;
}

int touchbus_client_screen(touchbus_client *client, const char *customer, const char *channel,
                           uint64_t min_sequence, int timeout_ms, touchbus_answer **ret) {
    touchbus_argument arguments[2] = {{NULL, NULL}, {"channel", channel}};
    int r = argument_of(customer, &arguments[0]);
    return r != 0 ? r
                  : touchbus_client_query(client, "customer.screen", arguments,
                                          channel != NULL ? 2 : 1, NULL, min_sequence, timeout_ms,
                                          NULL, NULL, ret);
}

int touchbus_client_customer(touchbus_client *client, const char *customer, uint64_t min_sequence,
                             int timeout_ms, touchbus_answer **ret) {
    touchbus_argument argument;
    int r = argument_of(customer, &argument);
    return r != 0 ? r
                  : touchbus_client_query(client, "customer.show", &argument, 1, NULL, min_sequence,
                                          timeout_ms, NULL, NULL, ret);
}
