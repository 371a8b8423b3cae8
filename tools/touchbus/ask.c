// SPDX-License-Identifier: Apache-2.0
// Asking the broker: one question, its parts, its answer as JSON, its refusal as an exit code. A
// question is asked once; whether the broker is there at all is known before long work is waited
// for.
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "schemas/base/cleanup.h"
#include "schemas/reasons.h"
#include "tools/touchbus/tool.h"

enum { LONG_MS = INT_MAX / 2, WHY_BYTES = 512 };

int tool_timeout_ms(const struct tool *tool) {
    int64_t ms = tool->globals->timeout_us / 1000;
    return ms < INT_MAX / 2 ? (int)ms : INT_MAX / 2;
}

static int away(const struct tool *tool) {
    const char *environment = getenv("TOUCHBUS_BROKER");
    const char *broker = tool->globals->broker != NULL ? tool->globals->broker
                         : environment != NULL         ? environment
                                                       : "127.0.0.1:7400";
    tool_refused(tool, "unavailable", broker, "the broker does not answer; start touchbusd");
    return TOOL_AWAY;
}

int tool_check_keys(const struct tool *tool) {
    char why[WHY_BYTES];
    if (touchbus_keys_check(tool->globals->key, tool->globals->broker_key, why, sizeof(why)) != 0) {
        tool_complain("%s", why);
        return TOOL_USAGE;
    }
    return TOOL_DONE;
}

static int open_client(struct tool *tool) {
    if (tool->client != NULL) {
        return TOOL_DONE;
    }
    if (tool_check_keys(tool) != TOOL_DONE) {
        return TOOL_USAGE;
    }
    const touchbus_client_options options = {.broker = tool->globals->broker,
                                             .key = tool->globals->key,
                                             .broker_key = tool->globals->broker_key};
    int r = touchbus_client_new(&options, &tool->client);
    if (r == -EINVAL) {
        tool_complain("--broker: expected HOST:PORT");
        return TOOL_USAGE;
    }
    if (r != 0) {
        tool_complain("cannot connect: %s", strerror(-r));
        return TOOL_AWAY;
    }
    return TOOL_DONE;
}

struct parts {
    struct tool *tool;
    const struct ask *ask;
};

static void take_part(const touchbus_answer *part, void *user) {
    struct parts *parts = user;
    json_t *json = json_loads(touchbus_answer_json(part), 0, NULL);
    const char *phase = json_string_value(json_object_get(json, "phase"));
    if (phase != NULL) {
        progress_show(phase, (uint64_t)json_integer_value(json_object_get(json, "done")),
                      (uint64_t)json_integer_value(json_object_get(json, "total")));
    } else if (parts->ask->on_part != NULL && json != NULL) {
        parts->ask->on_part(parts->tool, json, parts->ask->user);
    }
    json_decref(json);
}

static int query(struct tool *tool, const struct ask *ask, int timeout_ms, touchbus_answer **ret) {
    struct parts parts = {.tool = tool, .ask = ask};
    int r = touchbus_client_query(tool->client, ask->verb, ask->arguments, ask->n_arguments,
                                  ask->body, (uint64_t)tool->globals->min_sequence, timeout_ms,
                                  take_part, &parts, ret);
    const char *reason, *detail, *hint;
    if ((r == -ETIMEDOUT || r == -EACCES) &&
        touchbus_client_refusal(tool->client, &reason, &detail, &hint) != 0) {
        return tool_refused(tool, reason, detail, hint);
    }
    if (r == -ETIMEDOUT) {
        return away(tool);
    }
    if (r != 0) {
        tool_complain("%s: %s", ask->verb, strerror(-r));
        return r == -EINVAL || r == -E2BIG || r == -EBADMSG ? TOOL_USAGE : TOOL_NO;
    }
    return TOOL_DONE;
}

static int judge(struct tool *tool, const struct ask *ask, const touchbus_answer *answer,
                 json_t **ret) {
    uint32_t code = touchbus_answer_code(answer);
    json_t *json = json_loads(touchbus_answer_json(answer), 0, NULL);
    bool has_body = json_object_size(json) > 0;
    json_object_set_new(json, "as_of", json_integer((json_int_t)touchbus_answer_as_of(answer)));
    if (code == REASON_FORBIDDEN && ask->may_be_forbidden) {
        json_decref(json);
        return TOOL_DONE;
    }
    if (code == 0 && json != NULL) {
        *ret = json;
        return TOOL_DONE;
    }
    tool_refused(tool, touchbus_answer_reason(answer), touchbus_answer_detail(answer),
                 touchbus_answer_hint(answer));
    if (ask->with_refusal && has_body) {
        *ret = json;
    } else {
        json_decref(json);
    }
    return code == REASON_UNAVAILABLE ? TOOL_AWAY : TOOL_NO;
}

int tool_ask(struct tool *tool, const struct ask *ask, json_t **ret) {
    int status = open_client(tool);
    if (status == TOOL_DONE && ask->is_long) {
        status = tool_there(tool);
    }
    if (status != TOOL_DONE) {
        return status;
    }
    touchbus_answer *answer = NULL;
    status = query(tool, ask, ask->is_long ? LONG_MS : tool_timeout_ms(tool), &answer);
    progress_end();
    if (status == TOOL_DONE) {
        status = judge(tool, ask, answer, ret);
    }
    touchbus_answer_free(answer);
    return status;
}

int tool_show(struct tool *tool, const struct ask *ask) {
    json_t *answer = NULL;
    int status = tool_ask(tool, ask, &answer);
    if (answer != NULL) {
        tool->json ? output_line(answer) : output_object(answer);
    }
    json_decref(answer);
    return status;
}

int tool_show_named(struct tool *tool, const char *verb, const char *name) {
    const touchbus_argument argument = {"name", name};
    return tool_show(tool, &(struct ask){.verb = verb, .arguments = &argument, .n_arguments = 1});
}

struct list {
    struct table *table; // NULL: JSON lines
    const struct ask *ask;
};

static void list_rows(struct tool *tool, const json_t *part, void *user) {
    (void)tool;
    const struct list *list = user;
    size_t i;
    const json_t *row;
    json_array_foreach(json_object_get(part, "rows"), i, row) {
        list->table != NULL ? table_add(list->table, row) : output_line(row);
    }
}

int tool_list(struct tool *tool, const struct ask *ask, const char *const *columns) {
    struct list list = {.table = tool->json ? NULL : table_new(columns), .ask = ask};
    struct ask own = *ask;
    own.on_part = list_rows;
    own.user = &list;
    json_t *answer = NULL;
    int status = tool_ask(tool, &own, &answer);
    if (status == TOOL_DONE) {
        list_rows(tool, answer, &list);
    }
    table_free(list.table);
    json_decref(answer);
    return status;
}

// ---- what several commands ask first

int tool_there(struct tool *tool) {
    json_t *answer = NULL;
    int status =
        tool_ask(tool, &(struct ask){.verb = "log.info", .may_be_forbidden = true}, &answer);
    json_decref(answer);
    return status;
}

int tool_head(struct tool *tool, uint64_t *ret) {
    json_t *answer = NULL;
    int status = tool_ask(tool, &(struct ask){.verb = "log.info"}, &answer);
    if (status == TOOL_DONE) {
        *ret = (uint64_t)json_integer_value(json_object_get(answer, "next")) - 1;
    }
    json_decref(answer);
    return status;
}

bool tool_customer_argument(const char *text, touchbus_argument *ret) {
    if (text[0] == 'c' && text[1] != '\0' && strspn(text + 1, "0123456789") == strlen(text + 1)) {
        *ret = (touchbus_argument){"customer", text};
        return true;
    }
    if (strchr(text, '=') != NULL) {
        *ret = (touchbus_argument){"key", text};
        return true;
    }
    tool_complain("CUSTOMER: wants a number such as c42, or KIND=VALUE");
    return false;
}

int tool_find_customer(struct tool *tool, const char *text, uint64_t *ret) {
    touchbus_argument argument;
    if (!tool_customer_argument(text, &argument)) {
        return TOOL_USAGE;
    }
    json_t *answer = NULL;
    const struct ask ask = {.verb = "customer.find", .arguments = &argument, .n_arguments = 1};
    int status = tool_ask(tool, &ask, &answer);
    if (status == TOOL_DONE && json_object_get(answer, "candidates") != NULL) {
        char *list = json_dumps(json_object_get(answer, "candidates"), JSON_COMPACT);
        tool_complain("%s: several customers have it, name one: %s", text, list);
        free(list);
        status = TOOL_USAGE;
    } else if (status == TOOL_DONE) {
        const char *customer = json_string_value(json_object_get(answer, "customer"));
        *ret = customer != NULL && customer[0] == 'c' ? strtoull(customer + 1, NULL, 10) : 0;
    }
    json_decref(answer);
    return status;
}
