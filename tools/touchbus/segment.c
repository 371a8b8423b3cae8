// SPDX-License-Identifier: Apache-2.0
// touchbus segment: who is in one of the policy's segments, and a contact asked for each. Whether a
// contact may be made is the policy's verdict alone, one by one; asked again it is the same one,
// since the contact's id says segment, content and customer.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/limits.h"
#include "tools/touchbus/groups.h"

enum { CHANNELS_MAX = 32, CONTACT_ID_BYTES = 512, VERDICTS_MAX = 16 };

struct segment_conf {
    struct globals globals;
    char *contact, *purpose;
    struct option_list channels;
};

// ---- the list

static const char *const segment_columns[] = {"name", "SEGMENT", "text", "WHO", NULL};
static const char *const customer_columns[] = {"customer", "CUSTOMER", "tier",  "TIER",
                                               "phase",    "PHASE",    "value", "VALUE",
                                               "name",     "NAME",     NULL};

struct members {
    char **customers;
    size_t n, n_allocated;
    bool failed; // memory was short
};

static void members_free(struct members *members) {
    for (size_t i = 0; i < members->n; i++) {
        free(members->customers[i]);
    }
    free(members->customers);
}

static void keep(struct members *members, const char *customer) {
    if (members->n == members->n_allocated) {
        size_t n_allocated = 2 * members->n_allocated + 256;
        char **grown = reallocarray(members->customers, n_allocated, sizeof(*grown));
        if (grown == NULL) {
            members->failed = true;
            return;
        }
        members->customers = grown;
        members->n_allocated = n_allocated;
    }
    members->customers[members->n] = strdup(customer);
    members->failed = members->failed || members->customers[members->n] == NULL;
    members->n += members->customers[members->n] != NULL;
}

static void keep_rows(struct tool *tool, const json_t *part, void *user) {
    (void)tool;
    size_t i;
    const json_t *row;
    json_array_foreach(json_object_get(part, "rows"), i, row) {
        keep(user, json_string_value(json_object_get(row, "customer")));
    }
}

// ---- contacts

struct verdicts {
    struct {
        char name[NAME_BYTES_MAX + 1];
        size_t n;
    } rows[VERDICTS_MAX];
    size_t n_rows, n_refused;
};

static void count(struct verdicts *verdicts, const char *name) {
    size_t i = 0;
    while (i < verdicts->n_rows && strcmp(verdicts->rows[i].name, name) != 0) {
        i++;
    }
    if (i == VERDICTS_MAX) {
        return;
    }
    if (i == verdicts->n_rows) {
        snprintf(verdicts->rows[i].name, sizeof(verdicts->rows[i].name), "%s", name);
        verdicts->n_rows++;
    }
    verdicts->rows[i].n++;
}

static void take_ack(const touchbus_ack *ack, void *user) {
    struct verdicts *verdicts = user;
    json_t *verdict = ack->verdict != NULL ? json_loads(ack->verdict, 0, NULL) : NULL;
    const char *name = json_string_value(json_object_get(verdict, "verdict"));
    if (name != NULL) {
        count(verdicts, name);
    } else if (ack->code == 0 || ack->duplicate) {
        count(verdicts, "asked before");
    } else {
        count(verdicts, ack->reason);
        verdicts->n_refused++;
    }
    json_decref(verdict);
}

static int publish(struct tool *tool, touchbus_publisher *publisher, const touchbus_event *event) {
    int r = touchbus_publisher_publish(publisher, event, NULL);
    while (r == TOUCHBUS_FULL) {
        if (touchbus_publisher_run(publisher, tool_timeout_ms(tool)) == 0) {
            return -ETIMEDOUT;
        }
        r = touchbus_publisher_publish(publisher, event, NULL);
    }
    return r;
}

static int ask_one(struct tool *tool, touchbus_publisher *publisher,
                   const struct segment_conf *conf, const char *segment, const char *customer) {
    const char *channels[CHANNELS_MAX + 1] = {NULL};
    char contact_id[CONTACT_ID_BYTES];
    for (size_t i = 0; i < conf->channels.n_values && i < CHANNELS_MAX; i++) {
        channels[i] = conf->channels.values[i];
    }
    snprintf(contact_id, sizeof(contact_id), "%s-%s-%s", segment, conf->contact, customer);
    const touchbus_contact contact = {.customer = customer,
                                      .content_id = conf->contact,
                                      .purpose = conf->purpose,
                                      .channels = channels,
                                      .contact_id = contact_id};
    touchbus_event *event = NULL;
    int r = touchbus_contact_event(&contact, &event);
    r = r == 0 ? publish(tool, publisher, event) : r;
    touchbus_event_free(event);
    return r;
}

static int ask_all(struct tool *tool, const struct segment_conf *conf, const char *segment,
                   const struct members *members, struct verdicts *verdicts) {
    const touchbus_publisher_options options = {.broker = tool->globals->broker,
                                                .key = tool->globals->key,
                                                .broker_key = tool->globals->broker_key,
                                                .source = "/touchbus/segment",
                                                .on_ack = take_ack,
                                                .user = verdicts};
    touchbus_publisher *publisher = NULL;
    int r = touchbus_publisher_new(&options, &publisher);
    for (size_t i = 0; r == 0 && i < members->n; i++) {
        r = ask_one(tool, publisher, conf, segment, members->customers[i]);
        progress_show("contacts", i + 1, members->n);
    }
    r = r == 0 ? touchbus_publisher_flush(publisher, tool_timeout_ms(tool)) : r;
    progress_end();
    touchbus_publisher_free(publisher);
    return r;
}

static void print_verdicts(const struct tool *tool, const char *segment,
                           const struct members *members, const struct verdicts *verdicts) {
    json_t *counts = json_object();
    for (size_t i = 0; i < verdicts->n_rows; i++) {
        json_object_set_new(counts, verdicts->rows[i].name,
                            json_integer((json_int_t)verdicts->rows[i].n));
    }
    json_t *answer = json_pack("{s:s, s:I, s:o}", "segment", segment, "asked",
                               (json_int_t)members->n, "verdicts", counts);
    tool->json ? output_line(answer) : output_object(answer);
    json_decref(answer);
}

static int contact_all(struct tool *tool, const struct segment_conf *conf, const char *segment,
                       const struct members *members) {
    struct verdicts verdicts = {.n_rows = 0};
    int status;
    if (!tool_confirm(tool, &status, "Ask for a contact about '%s' with %zu customers of '%s'?",
                      conf->contact, members->n, segment)) {
        return status;
    }
    int r = ask_all(tool, conf, segment, members, &verdicts);
    print_verdicts(tool, segment, members, &verdicts);
    if (r == -ETIMEDOUT) {
        return tool_refused(tool, "unavailable", "not every verdict came",
                            "ask again: who was asked gets the same verdict");
    }
    if (r != 0) {
        tool_complain("cannot ask: %s", strerror(-r));
        return r == -EINVAL ? TOOL_USAGE : TOOL_NO;
    }
    return verdicts.n_refused == 0 ? TOOL_DONE : TOOL_NO;
}

// ---- the command

static int run_contact(struct tool *tool, const struct segment_conf *conf, const char *segment) {
    const touchbus_argument argument = {"name", segment};
    struct members members = {.n = 0};
    json_t *answer = NULL;
    if (conf->purpose == NULL || conf->channels.n_values > CHANNELS_MAX) {
        tool_complain("usage: touchbus segment NAME --contact CONTENT --purpose NAME");
        return TOOL_USAGE;
    }
    int status = tool_ask(tool,
                          &(struct ask){.verb = "segment.ls",
                                        .arguments = &argument,
                                        .n_arguments = 1,
                                        .is_long = true,
                                        .on_part = keep_rows,
                                        .user = &members},
                          &answer);
    if (status == TOOL_DONE && members.failed) {
        tool_complain("too little memory for so many customers");
        status = TOOL_NO;
    }
    status = status == TOOL_DONE ? contact_all(tool, conf, segment, &members) : status;
    json_decref(answer);
    members_free(&members);
    return status;
}

static int run(struct tool *tool, const void *conf_data, int argc, char **argv) {
    const struct segment_conf *conf = conf_data;
    const touchbus_argument argument = {"name", argc > 0 ? argv[0] : ""};
    if (conf->contact != NULL) {
        if (argc == 0) {
            tool_complain("--contact: of which segment?");
            return TOOL_USAGE;
        }
        return run_contact(tool, conf, argv[0]);
    }
    return tool_list(
        tool,
        &(struct ask){
            .verb = "segment.ls", .arguments = &argument, .n_arguments = 1, .is_long = true},
        argc > 0 ? customer_columns : segment_columns);
}

#define AT(MEMBER) offsetof(struct segment_conf, MEMBER)
static const struct option_row rows[] = {
    {.name = "contact",
     .type = OPTION_STRING,
     .offset = AT(contact),
     .argument = "CONTENT",
     .help = "Ask for a contact about this content with each of them."},
    {.name = "purpose",
     .type = OPTION_STRING,
     .offset = AT(purpose),
     .argument = "NAME",
     .help = "With --contact: marketing, service, or one of the policy's own."},
    {.name = "channel",
     .type = OPTION_LIST,
     .offset = AT(channels),
     .argument = "NAME",
     .help = "With --contact: may be used. May be repeated; without it every channel."},
};

const struct command command_segment = {
    .name = "segment",
    .synopsis = "[NAME [--contact CONTENT --purpose NAME [--channel NAME]...]]",
    .description =
        "List the policy's segments, or who is in one. With --contact ask for a contact with each "
        "of them and count the verdicts: every one is the contact policy's, and the same when "
        "asked again.",
    .after =
        "EXAMPLES\n"
        "       touchbus segment\n"
        "       touchbus segment win-back\n"
        "       touchbus --yes segment win-back --contact spring-offer --purpose marketing \\\n"
        "           --channel email\n",
    TOOL_ROWS(rows),
    .conf_size = sizeof(struct segment_conf),
    .n_operands_max = 1,
    .run = run,
};
