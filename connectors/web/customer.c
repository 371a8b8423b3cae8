// SPDX-License-Identifier: Apache-2.0
// GET /v1/customer?KIND=VALUE: one customer.screen at the broker, and of its sheet what the write
// key's role reads. Who is not known gets what a guest gets, with 200: a site greets everybody.
// Nothing is kept: neither for later nor for the next request.
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/web/web.h"
#include "schemas/base/cleanup.h"
#include "schemas/limits.h"
#include "schemas/reasons.h"

static void cleanup_json(json_t **json) {
    json_decref(*json);
}

// ---- the question

struct query_arguments {
    const char *kind, *value;
    const char *min_sequence;
    size_t n_keys;
};

static enum MHD_Result take_argument(void *user, enum MHD_ValueKind kind, const char *name,
                                     const char *value) {
    struct query_arguments *arguments = user;
    (void)kind;
    if (strcmp(name, "min_sequence") == 0) {
        arguments->min_sequence = value != NULL ? value : "";
        return MHD_YES;
    }
    arguments->kind = name;
    arguments->value = value != NULL ? value : "";
    arguments->n_keys++;
    return MHD_YES;
}

static bool read_sequence(const char *text, uint64_t *ret) {
    char *end;
    errno = 0;
    *ret = text == NULL ? 0 : strtoull(text, &end, 10);
    return text == NULL || (errno == 0 && *text >= '0' && *text <= '9' && *end == '\0');
}

// The one key of the query string as KIND=VALUE, or why there is none.
static const char *read_key(struct request *request) {
    struct query_arguments arguments = {.n_keys = 0};
    MHD_get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND, take_argument,
                              &arguments);
    if (arguments.n_keys != 1) {
        return "expected one key, such as ?user_id=u-42";
    }
    if (*arguments.kind == '\0' || strlen(arguments.kind) > NAME_BYTES_MAX ||
        strchr(arguments.kind, '=') != NULL || *arguments.value == '\0' ||
        strlen(arguments.value) > IDENTITY_VALUE_BYTES_MAX) {
        return "the key is too long, or has no kind or value";
    }
    if (!read_sequence(arguments.min_sequence, &request->question.min_sequence)) {
        return "min_sequence: expected a sequence";
    }
    if (asprintf(&request->asked, "%s=%s", arguments.kind, arguments.value) < 0) {
        request->asked = NULL;
        return "out of memory";
    }
    return NULL;
}

static void on_answered(struct question *question) {
    struct request *request = question->user;
    struct MHD_Connection *connection = request->connection; // the request is its thread's now
    atomic_store(&request->answered, true);
    MHD_resume_connection(connection);
}

static void submit(struct request *request) {
    struct question *question = &request->question;
    question->verb = "customer.screen";
    question->arguments[question->n_arguments++] = (touchbus_argument){"key", request->asked};
    question->arguments[question->n_arguments++] =
        (touchbus_argument){"channel", request->web->conf->channel};
    question->arguments[question->n_arguments++] = (touchbus_argument){"guest", "true"};
    if (!web_keys_may_read(request->web->keys, request->key, "name")) {
        question->arguments[question->n_arguments++] = (touchbus_argument){"named", "false"};
    }
    question->done = on_answered;
    question->user = request;
    kit_count(request->web->kit, WEB_QUESTIONS, 1);
    // The answer may come before questions_ask returns: everything is ready for it before.
    request->submitted = true;
    MHD_suspend_connection(request->connection);
    int r = questions_ask(request->web->questions, question);
    if (r != 0) {
        answer_error(request, MHD_HTTP_SERVICE_UNAVAILABLE,
                     r == QUESTIONS_FULL ? "too many questions wait" : "the broker is away");
        MHD_resume_connection(request->connection);
    }
}

void customer_ask(struct request *request) {
    if (!ingest_allowed(request, "", WEB_CUSTOMER)) {
        return;
    }
    const char *why = read_key(request);
    if (why != NULL) {
        answer_error(request, MHD_HTTP_BAD_REQUEST, why);
    } else {
        submit(request);
    }
}

// ---- the answer

// A member of the sheet goes under the name that it has here.
static const char *name_here(const char *name) {
    return strcmp(name, "fitting_offers") == 0 ? "offers" : name;
}

static void copy_readable(struct request *request, const json_t *sheet, json_t *into) {
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)sheet, name, value) {
        const char *here = name_here(name);
        if (strcmp(name, "withheld") != 0 &&
            web_keys_may_read(request->web->keys, request->key, here)) {
            json_object_set(into, here, value);
        }
    }
}

static void answer_json(struct request *request, json_t *json) {
    char *text = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);
    if (text == NULL) {
        answer_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
    } else {
        request->answer = (struct answer){.status = MHD_HTTP_OK, .text = text};
    }
}

// One candidate is the customer. None, or several that share the key: nobody is picked here.
static void answer_sheet(struct request *request, const touchbus_answer *answer) {
    _cleanup_(cleanup_json) json_t *body =
        json_loads(touchbus_answer_json(answer), JSON_REJECT_DUPLICATES, NULL);
    const json_t *candidates = json_object_get(body, "candidates");
    const json_t *guest = json_object_get(body, "guest");
    bool known = json_array_size(candidates) == 1;
    _cleanup_(cleanup_json) json_t *json =
        json_pack("{s:b, s:I}", "known", known, "as_of", (json_int_t)touchbus_answer_as_of(answer));
    if (json != NULL) {
        copy_readable(request, known ? json_array_get(candidates, 0) : guest, json);
    }
    answer_json(request, json);
}

static void answer_refusal(struct request *request, const touchbus_answer *answer) {
    switch (touchbus_answer_code(answer)) {
    case REASON_BAD_ARGUMENT:
        answer_error(request, MHD_HTTP_BAD_REQUEST, touchbus_answer_detail(answer));
        break;
    case REASON_FORBIDDEN:
        answer_error(request, MHD_HTTP_FORBIDDEN, "the connector's own key may not read customers");
        break;
    default:
        answer_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, touchbus_answer_reason(answer));
    }
}

void customer_finish(struct request *request) {
    const struct question *question = &request->question;
    if (question->result == -EACCES) {
        answer_error(request, MHD_HTTP_FORBIDDEN, "the broker refuses the connector's key");
    } else if (question->result != 0) {
        answer_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "the broker does not answer");
    } else if (touchbus_answer_code(question->answer) == REASON_OK) {
        answer_sheet(request, question->answer);
    } else {
        answer_refusal(request, question->answer);
    }
    request->answer.no_store = true;
}
