// SPDX-License-Identifier: Apache-2.0
// touchbus contact: may this customer be contacted, by which channel, about what? The verdict is
// the policy's, and reserves the contact's place.
#include <errno.h>
#include <string.h>

#include "schemas/base/cleanup.h"
#include "tools/touchbus/groups.h"

enum { CHANNELS_MAX = 32 };

struct contact_conf {
    struct globals globals;
    struct option_list channels;
    char *content, *purpose, *contact_id, *address, *not_after, *source;
    int64_t priority;
};

#define AT(MEMBER) offsetof(struct contact_conf, MEMBER)
static const struct option_row rows[] = {
    {.name = "content",
     .type = OPTION_STRING,
     .offset = AT(content),
     .argument = "ID",
     .help = "What it is about, e.g. summer-offer: nobody gets the same content twice a day, by "
             "whatever channel."},
    {.name = "purpose",
     .type = OPTION_STRING,
     .offset = AT(purpose),
     .argument = "NAME",
     .help = "marketing, service, transactional, legal, or one of the policy's own."},
    {.name = "channel",
     .type = OPTION_LIST,
     .offset = AT(channels),
     .argument = "NAME",
     .help = "May be used; the first that is allowed is, but the customer's preferred one goes "
             "first. May be repeated; without it every channel of the policy."},
    {.name = "contact-id",
     .type = OPTION_STRING,
     .offset = AT(contact_id),
     .argument = "ID",
     .help = "Asked again under the same one, the answer is the same. Without it a new one."},
    {.name = "address",
     .type = OPTION_STRING,
     .offset = AT(address),
     .argument = "TEXT",
     .help = "Where to: consents of other addresses do not count then."},
    {.name = "priority",
     .type = OPTION_INTEGER,
     .offset = AT(priority),
     .default_text = "0",
     .min = -1000,
     .max = 1000,
     .argument = "N",
     .help = "Noted with the contact, for who carries it out."},
    {.name = "not-after",
     .type = OPTION_STRING,
     .offset = AT(not_after),
     .argument = "TIME",
     .help = "RFC 3339: a deferred contact that could only be made later is suppressed."},
    {.name = "source",
     .type = OPTION_STRING,
     .offset = AT(source),
     .default_text = "/touchbus/contact",
     .argument = "SOURCE",
     .help = "CloudEvents source of the contact.requested."},
};

static int verdict_status(const json_t *verdict) {
    static const struct {
        const char *verdict;
        int status;
    } table[] = {
        {"approved", TOOL_DONE},
        {"deferred", TOOL_DEFERRED},
        {"suppressed", TOOL_SUPPRESSED},
    };
    const char *text = json_string_value(json_object_get(verdict, "verdict"));
    for (size_t i = 0; text != NULL && i < sizeof(table) / sizeof(table[0]); i++) {
        if (strcmp(text, table[i].verdict) == 0) {
            return table[i].status;
        }
    }
    return TOOL_NO;
}

static int show(struct tool *tool, const touchbus_answer *answer) {
    if (touchbus_answer_code(answer) != 0) {
        return tool_refused(tool, touchbus_answer_reason(answer), touchbus_answer_detail(answer),
                            touchbus_answer_hint(answer));
    }
    json_t *verdict = json_loads(touchbus_answer_json(answer), 0, NULL);
    tool->json ? output_line(verdict) : output_object(verdict);
    int status = verdict_status(verdict);
    json_decref(verdict);
    return status;
}

static int ask(struct tool *tool, const struct contact_conf *conf,
               const touchbus_contact *contact) {
    const touchbus_publisher_options options = {.broker = tool->globals->broker,
                                                .key = tool->globals->key,
                                                .broker_key = tool->globals->broker_key,
                                                .source = conf->source};
    if (tool_check_keys(tool) != TOOL_DONE) {
        return TOOL_USAGE;
    }
    touchbus_answer *answer = NULL;
    int r = touchbus_contact_ask(&options, contact, tool_timeout_ms(tool), &answer);
    if (r == -EINVAL || r == -E2BIG) {
        tool_complain("an argument is not acceptable: control characters, or too long");
        return TOOL_USAGE;
    }
    if (r == -EACCES) {
        return tool_refused(tool, "forbidden", "the broker refuses this key",
                            "see --role of touchbusd, and the role in the key's certificate");
    }
    if (r == -ETIMEDOUT) {
        tool_refused(tool, "unavailable", "no verdict came",
                     "ask again with the same --contact-id");
        return TOOL_AWAY;
    }
    if (r != 0) {
        tool_complain("cannot ask: %s", strerror(-r));
        return TOOL_NO;
    }
    int status = show(tool, answer);
    touchbus_answer_free(answer);
    return status;
}

static int run(struct tool *tool, const void *conf_data, int argc, char **argv) {
    const struct contact_conf *conf = conf_data;
    touchbus_argument customer = {NULL, NULL};
    const char *channels[CHANNELS_MAX + 1] = {NULL};
    (void)argc;
    if (conf->content == NULL || conf->purpose == NULL) {
        tool_complain("usage: touchbus contact CUSTOMER|KIND=VALUE --content ID --purpose NAME");
        return TOOL_USAGE;
    }
    if (!tool_customer_argument(argv[0], &customer) || conf->channels.n_values > CHANNELS_MAX) {
        return TOOL_USAGE;
    }
    for (size_t i = 0; i < conf->channels.n_values; i++) {
        channels[i] = conf->channels.values[i];
    }
    touchbus_contact contact = {.address = conf->address,
                                .content_id = conf->content,
                                .purpose = conf->purpose,
                                .channels = channels,
                                .contact_id = conf->contact_id,
                                .priority = conf->priority,
                                .not_after = conf->not_after};
    _cleanup_free_ char *kind = NULL;
    if (strcmp(customer.name, "key") == 0) {
        const char *equals = strchr(argv[0], '=');
        kind = strndup(argv[0], (size_t)(equals - argv[0]));
        contact.kind = kind;
        contact.value = equals + 1;
    } else {
        contact.customer = customer.value;
    }
    return ask(tool, conf, &contact);
}

const struct command command_contact = {
    .name = "contact",
    .synopsis = "CUSTOMER|KIND=VALUE --content ID --purpose NAME [--channel NAME]...",
    .description =
        "Ask the contact policy: consents, caps, quiet hours and the rest. The verdict is approved "
        "(with the channel, whose place is reserved until the contact is carried out or lapses), "
        "deferred (with a time) or suppressed, with reasons and the sequences that decided it. The "
        "question and the verdict are events of the log.",
    .after = "       Here 0 is approved; 4 is deferred, 5 suppressed.\n\n"
             "EXAMPLES\n"
             "       touchbus contact c42 --content summer-offer --purpose marketing \\\n"
             "           --channel email --channel letter\n"
             "       touchbus contact email=ana@klant.example --content invoice-17 \\\n"
             "           --purpose transactional -j\n",
    TOOL_ROWS(rows),
    .conf_size = sizeof(struct contact_conf),
    .n_operands_min = 1,
    .n_operands_max = 1,
    .run = run,
};
