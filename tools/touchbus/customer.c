// SPDX-License-Identifier: Apache-2.0
// touchbus customer: what the view knows of one customer.
#include <stdlib.h>
#include <string.h>

#include "tools/touchbus/groups.h"

struct customer_conf {
    struct globals globals;
    int64_t limit, before;
};

static int run_show(struct tool *tool, const void *conf, int argc, char **argv) {
    (void)conf;
    (void)argc;
    touchbus_argument argument;
    if (!tool_customer_argument(argv[0], &argument)) {
        return TOOL_USAGE;
    }
    return tool_show(
        tool, &(struct ask){.verb = "customer.show", .arguments = &argument, .n_arguments = 1});
}

const struct command command_customer_show = {
    .name = "customer show",
    .synopsis = "KIND=VALUE | CUSTOMER",
    .description =
        "Show a customer, everything that was merged into it joined. Keys, attributes with "
        "the sequence that set each, tier, phase, value, preferences, needs, counters, "
        "the last interactions, and all that has an id: orders, quotes, cases, calls, "
        "consents and the like.",
    .after = "EXAMPLES\n       touchbus customer show email=ana@klant.example\n"
             "       touchbus -j customer show c42 --min-seq 1000\n",
    .n_operands_min = 1,
    .n_operands_max = 1,
    .run = run_show,
};

static int run_why(struct tool *tool, const void *conf, int argc, char **argv) {
    (void)conf;
    (void)argc;
    touchbus_argument arguments[2];
    if (!tool_customer_argument(argv[0], &arguments[0])) {
        return TOOL_USAGE;
    }
    arguments[1] = (touchbus_argument){"field", argv[1]};
    return tool_show(
        tool, &(struct ask){.verb = "customer.why", .arguments = arguments, .n_arguments = 2});
}

const struct command command_customer_why = {
    .name = "customer why",
    .synopsis = "KIND=VALUE | CUSTOMER  FIELD",
    .description = "Say which event set a field, with its source's rank and its time, and whose "
                   "values lost against it. FIELD is an attribute, a member such as "
                   "orders.o-17.status, or tier, phase, value.",
    .after = "EXAMPLES\n"
             "       touchbus customer why email=ana@klant.example name\n"
             "       touchbus -j customer why c42 orders.o-17.status\n",
    .n_operands_min = 2,
    .n_operands_max = 2,
    .run = run_why,
};

static int run_timeline(struct tool *tool, const void *conf_data, int argc, char **argv) {
    static const char *const columns[] = {"sequence", "SEQUENCE", "time",    "TIME", "type",
                                          "TYPE",     "channel",  "CHANNEL", NULL};
    (void)argc;
    const struct customer_conf *conf = conf_data;
    touchbus_argument arguments[3];
    char limit[24], before[24];
    if (!tool_customer_argument(argv[0], &arguments[0])) {
        return TOOL_USAGE;
    }
    snprintf(limit, sizeof(limit), "%lld", (long long)conf->limit);
    snprintf(before, sizeof(before), "%lld", (long long)conf->before);
    arguments[1] = (touchbus_argument){"limit", limit};
    arguments[2] = (touchbus_argument){"before", before};
    return tool_list(
        tool, &(struct ask){.verb = "customer.timeline", .arguments = arguments, .n_arguments = 3},
        columns);
}

static const struct option_row timeline_rows[] = {
    {.name = "limit",
     .short_name = 'n',
     .type = OPTION_INTEGER,
     .offset = offsetof(struct customer_conf, limit),
     .default_text = "50",
     .min = 1,
     .max = 1000,
     .argument = "N",
     .help = "So many interactions."},
    {.name = "before",
     .type = OPTION_INTEGER,
     .offset = offsetof(struct customer_conf, before),
     .default_text = "0",
     .min = 0,
     .max = INT64_MAX,
     .argument = "SEQUENCE",
     .help = "Only older ones; 0: from the newest on."},
};

const struct command command_customer_timeline = {
    .name = "customer timeline",
    .synopsis = "KIND=VALUE | CUSTOMER [--limit N] [--before SEQUENCE]",
    .description = "List a customer's interactions over all channels, newest first.",
    .after = "EXAMPLES\n"
             "       touchbus customer timeline phone=+31612345678\n"
             "       touchbus customer timeline c42 -n 10 --before 8000\n",
    TOOL_ROWS(timeline_rows),
    .conf_size = sizeof(struct customer_conf),
    .n_operands_min = 1,
    .n_operands_max = 1,
    .run = run_timeline,
};

// ---- export: with -j a JSON object a line; else one JSON document for a person, as it comes

// What a part's list holds, and how an item of it stands alone on a line (NULL: as it is).
static const struct {
    const char *list, *alone;
} lists[] = {{"orders", "order"},
             {"quotes", "quote"},
             {"cases", "case"},
             {"calls", "call"},
             {"chats", "chat"},
             {"carts", "cart"},
             {"promises", "promise"},
             {"answers", "answer"},
             {"consents", "consent"},
             {"contacts", "contact"},
             {"contents", "content"},
             {"offers", "offer"},
             {"leads", "lead"},
             {"opportunities", "opportunity"},
             {"credits", "credit"},
             {"invoices", "invoice"},
             {"assets", "asset"},
             {"groups", "group"},
             {"messages", "message"},
             {"restrictions", "restriction"},
             {"events", NULL},
             {"interactions", "interaction"},
             {"quarantined", "quarantined"},
             {"parked", "parked"}};

struct export {
    const char *open; // the list that is being printed
    bool first;       // its first item is still to come
};

static void print_document(const json_t *value, int depth) {
    enum { INDENT = 2 };
    char *text = json_dumps(value, JSON_INDENT(INDENT) | JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    for (char *line = text, *next; line != NULL; line = next) {
        next = strchr(line, '\n');
        if (next != NULL) {
            *next++ = '\0';
        }
        printf("%s%*s%s", line == text ? "" : "\n", line == text ? 0 : depth * INDENT, "", line);
    }
    free(text);
}

static void close_list(struct export *export) {
    if (export->open != NULL) {
        printf(export->first ? "]" : "\n  ]");
        export->open = NULL;
    }
}

static void print_item(struct tool *tool, struct export *export, size_t list, json_t *item) {
    if (tool->json) {
        json_t *line = lists[list].alone != NULL ? json_pack("{s:O}", lists[list].alone, item)
                                                 : json_incref(item);
        output_line(line);
        json_decref(line);
        return;
    }
    if (export->open != lists[list].list) {
        close_list(export);
        printf(",\n  \"%s\": [", lists[list].list);
        export->open = lists[list].list;
        export->first = true;
    }
    printf("%s\n    ", export->first ? "" : ",");
    export->first = false;
    print_document(item, 2);
}

static void print_part(struct tool *tool, const json_t *part, void *user) {
    struct export *export = user;
    json_t *profile = json_object_get(part, "profile");
    if (profile != NULL && tool->json) {
        output_line(profile);
    } else if (profile != NULL) {
        json_t *about = json_incref(json_object_get(profile, "about"));
        json_object_del(profile, "about");
        printf("{\n  \"about\": ");
        print_document(about, 1);
        printf(",\n  \"profile\": ");
        print_document(profile, 1);
        json_decref(about);
    }
    for (size_t list = 0; list < sizeof(lists) / sizeof(lists[0]); list++) {
        size_t i;
        json_t *item;
        json_array_foreach(json_object_get(part, lists[list].list), i, item) {
            print_item(tool, export, list, item);
        }
    }
}

static int run_export(struct tool *tool, const void *conf, int argc, char **argv) {
    (void)conf;
    (void)argc;
    touchbus_argument argument;
    struct export export = {.open = NULL};
    if (!tool_customer_argument(argv[0], &argument)) {
        return TOOL_USAGE;
    }
    json_t *answer = NULL;
    int status = tool_ask(tool,
                          &(struct ask){.verb = "customer.export",
                                        .arguments = &argument,
                                        .n_arguments = 1,
                                        .is_long = true,
                                        .on_part = print_part,
                                        .user = &export},
                          &answer);
    if (status == TOOL_DONE && tool->json) {
        output_line(answer);
    } else if (status == TOOL_DONE) {
        close_list(&export);
        printf(",\n  \"counts\": ");
        print_document(answer, 1);
        printf("\n}\n");
    }
    json_decref(answer);
    return status;
}

const struct command command_customer_export = {
    .name = "customer export",
    .synopsis = "KIND=VALUE | CUSTOMER",
    .description =
        "Print everything held about a customer, as one JSON document that a person can read. What "
        "it is, profile, orders, quotes, cases, consents and all else that has an id, every event "
        "the log still has, older interactions, "
        "malformed events in quarantine, parked lanes. With -j a line each: the profile, events as "
        "CloudEvents, the others named by what they are, at the end a line that counts them.",
    .after = "EXAMPLES\n"
             "       touchbus customer export email=ana@klant.example >ana.json\n",
    .n_operands_min = 1,
    .n_operands_max = 1,
    .run = run_export,
};
