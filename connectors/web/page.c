// SPDX-License-Identifier: Apache-2.0
#include "connectors/web/page.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/base/cleanup.h"

static const struct {
    const char *title, *text;
    bool purpose, button;
} PAGES[] = {
    [PAGE_ASK] = {"Stop these e-mails?",
                  "Press the button, and we stop sending you e-mails of this kind:", true, true},
    [PAGE_DONE] = {"Done",
                   "You will get no more of these e-mails from us. One that was already on its way "
                   "may still arrive. You have stopped e-mails of this kind:",
                   true, false},
    [PAGE_NO_LINK] = {"This link does not work",
                      "Nothing was changed. Perhaps the link is not complete: please copy all of "
                      "it from the e-mail. Or answer the e-mail, and write that you want no more.",
                      false, false},
    [PAGE_NO_FORM] = {"Please press the button",
                      "Nothing was changed. Please open the link in the e-mail again, and press "
                      "the button on the page.",
                      false, false},
    [PAGE_LATER] = {"Not yet", "We could not write it down just now. Please try again in a minute.",
                    false, false},
};

static const char HEAD[] = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                           "<meta name=\"viewport\" content=\"width=device-width\">\n"
                           "<meta name=\"robots\" content=\"noindex\">\n"
                           "<title>%s</title>\n</head>\n<body>\n<h1>%s</h1>\n<p>%s</p>\n";
// Without an action it posts to the address that it came from.
static const char BUTTON[] =
    "<form method=\"post\">\n<input type=\"hidden\" name=\"List-Unsubscribe\" value=\"One-Click\">"
    "\n<button type=\"submit\">Stop these e-mails</button>\n</form>\n";

static void write_escaped(FILE *out, const char *text) {
    static const struct {
        char character;
        const char *entity;
    } entities[] = {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}, {'\'', "&#39;"}};
    for (; *text != '\0'; text++) {
        size_t i = 0, n = sizeof(entities) / sizeof(entities[0]);
        while (i < n && entities[i].character != *text) {
            i++;
        }
        if (i < n) {
            fputs(entities[i].entity, out);
        } else {
            fputc(*text, out);
        }
    }
}

char *page_write(enum page page, const char *purpose) {
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) {
        return NULL;
    }
    fprintf(out, HEAD, PAGES[page].title, PAGES[page].title, PAGES[page].text);
    if (PAGES[page].purpose) {
        fputs("<p><b>", out);
        write_escaped(out, purpose);
        fputs("</b></p>\n", out);
    }
    if (PAGES[page].button) {
        fputs(BUTTON, out);
    }
    fputs("</body>\n</html>\n", out);
    bool whole = ferror(out) == 0;
    if (fclose(out) != 0 || !whole) {
        free(text);
        return NULL;
    }
    return text;
}
