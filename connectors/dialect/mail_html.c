// SPDX-License-Identifier: Apache-2.0
// HTML -> its text, by libxml2's parser without a tree: what a block element holds stands on lines
// of its own, blanks run together, scripts and styles are left out. Nothing is loaded.
#include <libxml/HTMLparser.h>
#include <string.h>
#include <strings.h>

#include "connectors/dialect/mail_private.h"
#include "schemas/base/guards.h"

enum element {
    ELEMENT_LINE = 1 << 0,      // stands on lines of its own
    ELEMENT_PARAGRAPH = 1 << 1, // with a blank line around it
    ELEMENT_BREAK = 1 << 2,     // begins a line
    ELEMENT_HIDDEN = 1 << 3,    // what is in it is no text
    ELEMENT_CELL = 1 << 4,
    ELEMENT_ITEM = 1 << 5,
    ELEMENT_KEPT = 1 << 6, // its blanks are kept
};

static const struct {
    const char *name;
    unsigned is;
} ELEMENTS[] = {
    {"address", ELEMENT_LINE},
    {"article", ELEMENT_LINE},
    {"blockquote", ELEMENT_PARAGRAPH},
    {"br", ELEMENT_BREAK},
    {"caption", ELEMENT_LINE},
    {"center", ELEMENT_LINE},
    {"dd", ELEMENT_LINE},
    {"div", ELEMENT_LINE},
    {"dl", ELEMENT_PARAGRAPH},
    {"dt", ELEMENT_LINE},
    {"footer", ELEMENT_LINE},
    {"form", ELEMENT_LINE},
    {"h1", ELEMENT_PARAGRAPH},
    {"h2", ELEMENT_PARAGRAPH},
    {"h3", ELEMENT_PARAGRAPH},
    {"h4", ELEMENT_PARAGRAPH},
    {"h5", ELEMENT_PARAGRAPH},
    {"h6", ELEMENT_PARAGRAPH},
    {"head", ELEMENT_HIDDEN},
    {"header", ELEMENT_LINE},
    {"hr", ELEMENT_LINE},
    {"li", ELEMENT_LINE | ELEMENT_ITEM},
    {"noscript", ELEMENT_HIDDEN},
    {"ol", ELEMENT_PARAGRAPH},
    {"p", ELEMENT_PARAGRAPH},
    {"pre", ELEMENT_PARAGRAPH | ELEMENT_KEPT},
    {"script", ELEMENT_HIDDEN},
    {"section", ELEMENT_LINE},
    {"style", ELEMENT_HIDDEN},
    {"table", ELEMENT_PARAGRAPH},
    {"td", ELEMENT_CELL},
    {"template", ELEMENT_HIDDEN},
    {"th", ELEMENT_CELL},
    {"title", ELEMENT_HIDDEN},
    {"tr", ELEMENT_LINE},
    {"ul", ELEMENT_PARAGRAPH},
};

struct html {
    GString *out;
    size_t begin; // of this document's text in out
    size_t depth, hidden, kept;
    unsigned newlines; // wanted before the next text
    bool blank;        // wanted before the next text
    bool cut;
    htmlParserCtxtPtr parser;
};

static unsigned element_of(const xmlChar *name) {
    for (size_t i = 0; i < sizeof(ELEMENTS) / sizeof(ELEMENTS[0]); i++) {
        if (strcasecmp(ELEMENTS[i].name, (const char *)name) == 0) {
            return ELEMENTS[i].is;
        }
    }
    return 0;
}

static void want_lines(struct html *html, unsigned is) {
    unsigned n = (is & ELEMENT_PARAGRAPH) != 0 ? 2 : (is & ELEMENT_LINE) != 0 ? 1 : 0;
    html->newlines = n > html->newlines ? n : html->newlines;
}

static void append(struct html *html, const char *text, size_t size) {
    bool is_first = html->out->len == html->begin;
    for (unsigned i = 0; i < html->newlines && !is_first; i++) {
        g_string_append_c(html->out, '\n');
    }
    if (html->blank && html->newlines == 0 && !is_first) {
        g_string_append_c(html->out, ' ');
    }
    html->newlines = 0;
    html->blank = false;
    g_string_append_len(html->out, text, (gssize)size);
}

static void on_start(void *user, const xmlChar *name, const xmlChar **attributes) {
    struct html *html = user;
    (void)attributes;
    unsigned is = element_of(name);
    html->depth++;
    if (GUARD(mail_html_depth) && html->depth > MAIL_HTML_DEPTH_MAX) {
        html->cut = true;
        xmlStopParser(html->parser);
        return;
    }
    html->hidden += (is & ELEMENT_HIDDEN) != 0;
    html->kept += (is & ELEMENT_KEPT) != 0;
    want_lines(html, is);
    if ((is & ELEMENT_BREAK) != 0) {
        html->newlines++;
    }
    if ((is & ELEMENT_ITEM) != 0) {
        append(html, "- ", 2);
    }
    html->blank |= (is & ELEMENT_CELL) != 0;
}

static void on_end(void *user, const xmlChar *name) {
    struct html *html = user;
    unsigned is = element_of(name);
    html->depth -= html->depth > 0;
    html->hidden -= (is & ELEMENT_HIDDEN) != 0 && html->hidden > 0;
    html->kept -= (is & ELEMENT_KEPT) != 0 && html->kept > 0;
    want_lines(html, is);
    html->blank |= (is & ELEMENT_CELL) != 0;
}

static size_t blank_at(const char *text, size_t size) {
    if (size >= 2 && memcmp(text, "\xc2\xa0", 2) == 0) {
        return 2;
    }
    return size > 0 && strchr(" \t\r\n\f", text[0]) != NULL ? 1 : 0;
}

static void on_text(void *user, const xmlChar *bytes, int n) {
    struct html *html = user;
    const char *text = (const char *)bytes;
    size_t size = n > 0 ? (size_t)n : 0;
    if (html->hidden > 0) {
        return;
    }
    if (html->kept > 0) {
        append(html, text, size);
        return;
    }
    for (size_t i = 0; i < size;) {
        size_t begin = i, blank = blank_at(text + i, size - i);
        if (blank > 0) {
            html->blank = true;
            i += blank;
            continue;
        }
        while (i < size && blank_at(text + i, size - i) == 0) {
            i++;
        }
        append(html, text + begin, i - begin);
    }
}

bool mail_html_text(GString *out, const char *html_text, size_t size) {
    htmlSAXHandler handler = {.startElement = on_start,
                              .endElement = on_end,
                              .characters = on_text,
                              .ignorableWhitespace = on_text};
    struct html html = {.out = out, .begin = out->len};
    html.parser = htmlNewParserCtxt();
    if (html.parser == NULL || size > MAIL_TEXT_BYTES_MAX || size == 0) {
        htmlFreeParserCtxt(html.parser);
        return size == 0;
    }
    *html.parser->sax = handler;
    html.parser->userData = &html;
    xmlDoc *document =
        htmlCtxtReadMemory(html.parser, html_text, (int)size, NULL, "UTF-8",
                           HTML_PARSE_RECOVER | HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING |
                               HTML_PARSE_NONET | HTML_PARSE_NOIMPLIED);
    xmlFreeDoc(document);
    htmlFreeParserCtxt(html.parser);
    return !html.cut;
}
