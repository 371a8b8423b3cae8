// SPDX-License-Identifier: Apache-2.0
// touchbus pub: one event from the command line, or a file of CloudEvents. Ends when the broker has
// acked: on disk and in the customer view.
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"
#include "tools/touchbus/groups.h"

enum { REASON_CODE_DUPLICATE = 1, DATA_BYTES_MAX = 1 << 20 };

struct pub_conf {
    struct globals globals;
    struct option_list identities, attributes;
    char *data, *id, *source, *channel, *from, *producer;
    bool acks;
};

#define AT(MEMBER) offsetof(struct pub_conf, MEMBER)
static const struct option_row rows[] = {
    {.name = "identity",
     .short_name = 'i',
     .type = OPTION_LIST,
     .offset = AT(identities),
     .argument = "KIND=VALUE",
     .help = "A key of the customer, e.g. email=ana@klant.example; KIND!=VALUE says that the "
             "source verified it. May be repeated."},
    {.name = "attr",
     .short_name = 'a',
     .type = OPTION_LIST,
     .offset = AT(attributes),
     .argument = "NAME=VALUE",
     .help = "An attribute of the event: time (now, where it is not said), subject, dataschema, "
             "datacontenttype, direction, "
             "actor, case, cause, cost, traceparent, channel. Any other NAME is a member of its "
             "data, as text; NAME:=JSON gives a number, list or map. May be repeated."},
    {.name = "data",
     .short_name = 'd',
     .type = OPTION_STRING,
     .offset = AT(data),
     .argument = "JSON",
     .help = "The event's data, a JSON object; - reads it from stdin."},
    {.name = "id",
     .type = OPTION_STRING,
     .offset = AT(id),
     .argument = "ID",
     .help = "Unique within the source; the same one twice is one event. Without it a new one."},
    {.name = "source",
     .type = OPTION_STRING,
     .offset = AT(source),
     .default_text = "/touchbus/pub",
     .argument = "SOURCE",
     .help = "CloudEvents source. Events of --from have their own."},
    {.name = "channel",
     .type = OPTION_STRING,
     .offset = AT(channel),
     .argument = "NAME",
     .help = "The touchpoint, e.g. web, phone, shop."},
    {.name = "from",
     .type = OPTION_STRING,
     .offset = AT(from),
     .argument = "FILE",
     .help = "Publish the CloudEvents JSON lines of FILE, - for stdin, instead of one event."},
    {.name = "producer",
     .type = OPTION_STRING,
     .offset = AT(producer),
     .argument = "NAME",
     .help = "Number the events under this name, one process a name. Without it only source and id "
             "protect from doubles."},
    {.name = "acks",
     .type = OPTION_BOOL,
     .offset = AT(acks),
     .help = "With --from: print the ack of each event."},
};

// ---- building the event

static bool split(char *text, const char *what, char **ret_value) {
    char *equals = strchr(text, '=');
    if (equals == NULL || equals == text) {
        // What was typed may be somebody's address: complaints end in logs, so none quotes a value.
        tool_complain("%s: wants NAME=VALUE", what);
        return false;
    }
    *equals = '\0';
    *ret_value = equals + 1;
    return true;
}

static bool add_identity(touchbus_event *event, const char *text) {
    _cleanup_free_ char *kind = strdup(text);
    char *value;
    if (kind == NULL || !split(kind, "--identity", &value)) {
        return false;
    }
    size_t length = strlen(kind);
    bool verified = kind[length - 1] == '!';
    kind[length - verified] = '\0';
    if (touchbus_event_add_identity(event, kind, value, verified) != 0) {
        tool_complain("--identity: this %s is not acceptable", kind);
        return false;
    }
    return true;
}

static bool is_attribute(const char *name) {
    static const char *const names[] = {
        "id",      "source",    "type",  "time", "subject", "dataschema", "datacontenttype",
        "channel", "direction", "actor", "case", "cause",   "cost",       "traceparent"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

// A member of data: NAME=TEXT, or NAME:=JSON.
static bool add_member(json_t *data, char *name, const char *value) {
    size_t length = strlen(name);
    json_t *json;
    if (name[length - 1] == ':') {
        name[length - 1] = '\0';
        json = json_loads(value, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
    } else {
        json = json_string(value);
    }
    if (json == NULL || name[0] == '\0') {
        json_decref(json);
        tool_complain("--attr: the value of '%s' is not JSON or not UTF-8", name);
        return false;
    }
    return json_object_set_new(data, name, json) == 0;
}

static bool add_attribute(touchbus_event *event, json_t *data, const char *text) {
    _cleanup_free_ char *name = strdup(text);
    char *value;
    if (name == NULL || !split(name, "--attr", &value)) {
        return false;
    }
    if (!is_attribute(name)) {
        return add_member(data, name, value);
    }
    if (touchbus_event_set(event, name, value) != 0) {
        tool_complain("--attr: the value of %s is not acceptable", name);
        return false;
    }
    return true;
}

static json_t *load_data(const char *text) {
    json_error_t error = {.text = ""};
    json_t *json;
    if (text == NULL) {
        json = json_object();
    } else if (strcmp(text, "-") == 0) {
        json = json_loadf(stdin, JSON_REJECT_DUPLICATES, &error);
    } else {
        json = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    }
    if (!json_is_object(json)) {
        tool_complain_json("--data", json == NULL, &error);
        json_decref(json);
        return NULL;
    }
    return json;
}

static bool set_data(touchbus_event *event, const json_t *data) {
    _cleanup_free_ char *text = json_dumps(data, JSON_COMPACT);
    if (text == NULL || touchbus_event_set_data_json(event, text, strlen(text)) != 0) {
        tool_complain("the data is over a limit (see schemas/limits.h)");
        return false;
    }
    return true;
}

static bool fill(touchbus_event *event, const struct pub_conf *conf) {
    json_t *data = load_data(conf->data);
    bool filled = data != NULL;
    for (size_t i = 0; filled && i < conf->identities.n_values; i++) {
        filled = add_identity(event, conf->identities.values[i]);
    }
    for (size_t i = 0; filled && i < conf->attributes.n_values; i++) {
        filled = add_attribute(event, data, conf->attributes.values[i]);
    }
    if (filled && conf->channel != NULL &&
        touchbus_event_set(event, "channel", conf->channel) != 0) {
        tool_complain("--channel: '%s' is not acceptable", conf->channel);
        filled = false;
    }
    int64_t time_us;
    if (filled && !touchbus_event_time(event, &time_us)) {
        filled = touchbus_event_set_time(event, clock_now_us()) == 0; // it happens now
    }
    filled = filled && set_data(event, data);
    json_decref(data);
    return filled;
}

// ---- publishing it

struct acked {
    bool arrived;
    uint32_t code;
    json_t *json;
    char reason[64], detail[512], hint[512];
};

json_t *ack_json(const touchbus_ack *ack, const char *type) {
    char customer[24];
    snprintf(customer, sizeof(customer), "c%llu", (unsigned long long)ack->customer);
    json_t *json = json_pack("{s:I, s:b}", "sequence", (json_int_t)ack->sequence, "duplicate",
                             (int)ack->duplicate);
    json_object_set_new(json, "customer", ack->customer != 0 ? json_string(customer) : json_null());
    json_object_set_new(json, "type", json_string(type));
    if (ack->verdict != NULL) {
        json_object_set_new(json, "verdict", json_loads(ack->verdict, 0, NULL));
    }
    if (ack->code > REASON_CODE_DUPLICATE) {
        json_object_set_new(json, "error", json_string(ack->reason));
        json_object_set_new(json, "detail", json_string(ack->detail));
    }
    return json;
}

static void on_ack(const touchbus_ack *ack, void *user) {
    struct acked *acked = user;
    acked->arrived = true;
    acked->code = ack->code;
    acked->json = ack_json(ack, ack->tag);
    snprintf(acked->reason, sizeof(acked->reason), "%s", ack->reason);
    snprintf(acked->detail, sizeof(acked->detail), "%s", ack->detail);
    snprintf(acked->hint, sizeof(acked->hint), "%s", ack->hint);
}

static int publish(struct tool *tool, const struct pub_conf *conf, touchbus_event *event,
                   char *type) {
    struct acked acked = {0};
    const touchbus_publisher_options options = {.broker = tool->globals->broker,
                                                .key = tool->globals->key,
                                                .broker_key = tool->globals->broker_key,
                                                .producer = conf->producer,
                                                .source = conf->source,
                                                .on_ack = on_ack,
                                                .user = &acked};
    touchbus_publisher *publisher = NULL;
    if (tool_check_keys(tool) != TOOL_DONE) {
        return TOOL_USAGE;
    }
    int r = touchbus_publisher_new(&options, &publisher);
    r = r == 0 ? touchbus_publisher_publish(publisher, event, type) : r;
    r = r == 0 ? touchbus_publisher_flush(publisher, tool_timeout_ms(tool)) : r;
    const char *reason, *detail, *hint;
    int status = TOOL_DONE;
    if ((r == -ETIMEDOUT || r == -EACCES) &&
        touchbus_publisher_refusal(publisher, &reason, &detail, &hint) != 0) {
        status = tool_refused(tool, reason, detail, hint);
    } else if (r == -ETIMEDOUT) {
        tool_refused(tool, "unavailable", "no ack came",
                     "the broker does not answer; the event may or may not be in its log: publish "
                     "it again under the same --id");
        status = TOOL_AWAY;
    } else if (r != 0) {
        tool_complain("cannot publish: %s", strerror(-r));
        status = r == -EINVAL || r == -E2BIG ? TOOL_USAGE : TOOL_NO;
    } else if (acked.code > REASON_CODE_DUPLICATE) {
        const json_t *verdict = json_object_get(acked.json, "verdict");
        if (verdict != NULL) { // what speaks against it
            tool->json ? output_line(acked.json) : output_object(verdict);
        }
        status = tool_refused(tool, acked.reason, acked.detail, acked.hint);
    } else {
        tool->json ? output_line(acked.json) : output_object(acked.json);
    }
    touchbus_publisher_free(publisher);
    json_decref(acked.json);
    return status;
}

static int run(struct tool *tool, const void *conf_data, int argc, char **argv) {
    const struct pub_conf *conf = conf_data;
    if ((conf->from != NULL) == (argc > 0)) {
        tool_complain("usage: touchbus pub TYPE ..., or touchbus pub --from FILE");
        return TOOL_USAGE;
    }
    if (conf->from != NULL) {
        return publish_file(tool, &(struct publish_file){.path = conf->from,
                                                         .producer = conf->producer,
                                                         .source = conf->source,
                                                         .acks = conf->acks});
    }
    touchbus_event *event = touchbus_event_new(argv[0], conf->source, conf->id);
    if (event == NULL) {
        tool_complain("'%s' is no type, or --source or --id are not acceptable", argv[0]);
        return TOOL_USAGE;
    }
    int status = fill(event, conf) ? publish(tool, conf, event, argv[0]) : TOOL_USAGE;
    touchbus_event_free(event);
    return status;
}

const struct command command_pub = {
    .name = "pub",
    .synopsis =
        "TYPE [--identity KIND=VALUE]... [--attr NAME=VALUE]... [--data JSON] | --from FILE",
    .description =
        "Publish one event, or a file of CloudEvents JSON lines. Ends when the broker has acked: "
        "the event is on disk and in the customer view. Publishing the same source and id again is "
        "harmless, and answered with the first sequence.",
    .after = "EXAMPLES\n"
             "       touchbus pub order.placed --identity user_id=u-42 --channel web \\\n"
             "           --attr order_id=o-17 --attr currency=EUR \\\n"
             "           --attr 'lines:=[{\"sku\":\"s1\",\"quantity\":1,\"price\":\"9.90\"}]'\n"
             "       touchbus pub --from events.jsonl\n"
             "       touchbus sub -o json | jq -c 'select(.customer==\"c7\")' | "
             "touchbus -b other:7400 pub --from -\n",
    TOOL_ROWS(rows),
    .conf_size = sizeof(struct pub_conf),
    .n_operands_max = 1,
    .run = run,
};
