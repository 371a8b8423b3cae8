// SPDX-License-Identifier: Apache-2.0
// touchbus screen: the sheet that somebody who talks to a customer reads at a glance. One answer of
// the broker, one snapshot; a block of lines a candidate, nothing where there is nothing to say.
#include <stdlib.h>
#include <string.h>

#include "schemas/base/cleanup.h"
#include "tools/touchbus/groups.h"

struct screen_conf {
    struct globals globals;
    char *channel;
};

static const char *text_of(const json_t *object, const char *name) {
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "";
}

// ---- a row of a list: its members in this order, those that it has

struct list_form {
    const char *list, *heading;
    const char *members[8];
};
static const struct list_form forms[] = {
    {"calls", "Calls", {"call_id", "state", "from", "to", "actor", "began"}},
    {"cases", "Cases", {"case_id", "kind", "severity", "channel", "opened"}},
    {"orders", "Orders", {"order_id", "status", "total", "currency", "eta", "placed"}},
    {"quotes", "Quotes", {"quote_id", "total", "currency", "valid_until", "channel"}},
    {"promises", "Promises", {"promise_id", "text", "due"}},
    {"carts", "Carts", {"cart_id", "total", "currency", "began"}},
    {"answers", "Answers", {"question", "answer"}},
    {"fitting_offers", "Offers", {"offer_id", "text"}},
    {"recent", "Last", {"time", "channel", "type"}},
    {"must_not", "Do not", {"what", "why", "channels"}},
};
enum { HEADING_WIDTH = 10 };

static void print_value(const json_t *value) {
    _cleanup_free_ char *dumped = NULL;
    size_t i;
    const json_t *member;
    if (json_is_string(value)) {
        output_text(stdout, json_string_value(value));
    } else if (json_is_array(value)) {
        json_array_foreach(value, i, member) {
            fputs(i > 0 ? ", " : "", stdout);
            print_value(member);
        }
    } else if (value != NULL) {
        dumped = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        output_text(stdout, dumped != NULL ? dumped : "");
    }
}

static void print_heading(const char *heading) {
    printf("  %-*s", HEADING_WIDTH, heading);
}

static void print_row(const struct list_form *form, const json_t *row) {
    bool is_first = true;
    for (size_t i = 0; form->members[i] != NULL; i++) {
        const json_t *value = json_object_get(row, form->members[i]);
        if (value != NULL && json_string_length(value) + json_array_size(value) +
                                     (size_t)(!json_is_string(value) && !json_is_array(value)) >
                                 0) {
            fputs(is_first ? "" : "  ", stdout);
            print_value(value);
            is_first = false;
        }
    }
    putchar('\n');
}

static void print_list(const struct list_form *form, const json_t *sheet) {
    size_t i;
    const json_t *row;
    json_array_foreach(json_object_get(sheet, form->list), i, row) {
        print_heading(i == 0 ? form->heading : "");
        print_row(form, row);
    }
}

// ---- who it is

static void print_text(const char *heading, const char *text) {
    if (*text != '\0') {
        print_heading(heading);
        output_text(stdout, text);
        putchar('\n');
    }
}

static void print_person(const json_t *sheet) {
    const json_t *value = json_object_get(sheet, "value");
    output_text(stdout, text_of(sheet, "customer"));
    if (*text_of(sheet, "name") != '\0') {
        fputs("  ", stdout);
        output_text(stdout, text_of(sheet, "name"));
    }
    printf("  [%s, %s]", text_of(sheet, "tier"), text_of(sheet, "phase"));
    if (value != NULL) {
        printf("  worth %s %s", text_of(value, "amount"), text_of(value, "currency"));
    }
    putchar('\n');
    print_text("Say", text_of(json_object_get(sheet, "greeting"), "text"));
    print_text("Language", text_of(sheet, "language"));
    print_text("Reach by", text_of(json_object_get(sheet, "preferences"), "channel"));
    print_text("Owner", text_of(sheet, "owner"));
}

static void print_screen(const json_t *answer) {
    const json_t *candidates = json_object_get(answer, "candidates");
    size_t i;
    const json_t *sheet;
    if (json_array_size(candidates) > 1) {
        printf("%zu customers may be meant, the likeliest first. Ask who it is.\n\n",
               json_array_size(candidates));
    }
    json_array_foreach(candidates, i, sheet) {
        print_person(sheet);
        for (size_t form = 0; form < sizeof(forms) / sizeof(forms[0]); form++) {
            print_list(&forms[form], sheet);
        }
        putchar('\n');
    }
    printf("as of %lld\n", (long long)json_integer_value(json_object_get(answer, "as_of")));
}

static int run(struct tool *tool, const void *conf_data, int argc, char **argv) {
    const struct screen_conf *conf = conf_data;
    touchbus_argument arguments[2];
    json_t *answer = NULL;
    (void)argc;
    if (!tool_customer_argument(argv[0], &arguments[0])) {
        return TOOL_USAGE;
    }
    arguments[1] = (touchbus_argument){"channel", conf->channel != NULL ? conf->channel : ""};
    int status = tool_ask(
        tool, &(struct ask){.verb = "customer.screen", .arguments = arguments, .n_arguments = 2},
        &answer);
    if (status == TOOL_DONE) {
        tool->json ? output_line(answer) : print_screen(answer);
    }
    json_decref(answer);
    return status;
}

static const struct option_row rows[] = {
    {.name = "channel",
     .type = OPTION_STRING,
     .offset = offsetof(struct screen_conf, channel),
     .argument = "NAME",
     .help = "Where you are talking, e.g. phone: offers of other channels alone are left out."},
};

const struct command command_screen = {
    .name = "screen",
    .synopsis = "KIND=VALUE | CUSTOMER [--channel NAME]",
    .description =
        "Show what an agent has to see of who is calling. Who it may be, tier, phase, owner, "
        "preferred channel and language, open calls, cases and carts, orders with their status, "
        "open quotes, promises due, answers given, the last ten interactions, offers that fit, the "
        "greeting to use, and what must not be done. All of one snapshot.",
    .after = "EXAMPLES\n"
             "       touchbus screen phone=+4930123456 --channel phone\n"
             "       touchbus -j screen c42\n",
    TOOL_ROWS(rows),
    .conf_size = sizeof(struct screen_conf),
    .n_operands_min = 1,
    .n_operands_max = 1,
    .run = run,
};
