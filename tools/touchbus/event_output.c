// SPDX-License-Identifier: Apache-2.0
// One event on stdout. json: the CloudEvents object; raw: data alone; table: a line that fits most
// terminals, data cut short.
#include "tools/touchbus/event_output.h"

#include <string.h>

#include "schemas/base/cleanup.h"

enum { LINE_DATA_BYTES = 80 };

static const char *or_dash(const char *text) {
    return text != NULL && text[0] != '\0' ? text : "-";
}

static bool print_json(const touchbus_event *event) {
    _cleanup_free_ char *text = touchbus_event_to_json(event);
    if (text == NULL) {
        return false;
    }
    puts(text);
    return true;
}

static bool print_raw(const touchbus_event *event) {
    _cleanup_free_ char *text = touchbus_event_data_json(event);
    puts(text != NULL ? text : "null");
    return true;
}

static bool print_row(const touchbus_event *event) {
    _cleanup_free_ char *data = touchbus_event_data_json(event);
    if (data != NULL && strlen(data) > LINE_DATA_BYTES) {
        size_t end = LINE_DATA_BYTES;
        while (end > 0 && ((unsigned char)data[end] & 0xc0) == 0x80) {
            end--; // not inside a character
        }
        data[end] = '\0';
    }
    const char *time = touchbus_event_get(event, "received");
    printf("%10llu  %-20.19s  %-10s  %-8s  ", (unsigned long long)touchbus_event_sequence(event),
           or_dash(time), or_dash(touchbus_event_get(event, "channel")),
           or_dash(touchbus_event_get(event, "customer")));
    output_text(stdout, or_dash(touchbus_event_get(event, "type")));
    fputs("  ", stdout);
    output_text(stdout, data != NULL ? data : "");
    putchar('\n');
    return true;
}

bool event_print(const struct tool *tool, const touchbus_event *event) {
    bool is_raw = !tool->json && strcmp(tool->globals->output, "raw") == 0;
    bool printed = tool->json ? print_json(event) : is_raw ? print_raw(event) : print_row(event);
    if (!printed) {
        tool_complain("sequence %llu cannot be printed",
                      (unsigned long long)touchbus_event_sequence(event));
    }
    return printed;
}
