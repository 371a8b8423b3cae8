// SPDX-License-Identifier: Apache-2.0
// The guarded XML parser and small steps through the tree. No network, no entities, no document
// type declaration; libxml2's own bounds on depth and names stay on.
#include <errno.h>
#include <libxml/parser.h>
#include <stdio.h>
#include <string.h>

#include "connectors/dialect/ubl_node.h"
#include "schemas/base/clock.h"

#define COMPONENTS "urn:oasis:names:specification:ubl:schema:xsd:Common"

// Stops the parser at a document type declaration: nothing in it is looked at.
static void refuse_doctype(void *context, const xmlChar *name, const xmlChar *external_id,
                           const xmlChar *system_id) {
    (void)name;
    (void)external_id;
    (void)system_id;
    xmlParserCtxt *parser = context;
    *(bool *)parser->_private = true;
    xmlStopParser(parser);
}

int ubl_parse(const void *bytes, size_t size, xmlDoc **ret, char *why) {
    if (size > UBL_BYTES_MAX) {
        snprintf(why, UBL_WHY_BYTES, "over %d bytes", UBL_BYTES_MAX);
        return 1;
    }
    xmlParserCtxt *parser = xmlNewParserCtxt();
    if (parser == NULL) {
        snprintf(why, UBL_WHY_BYTES, "memory is short");
        return 1;
    }
    bool has_doctype = false;
    parser->_private = &has_doctype;
    parser->sax->internalSubset = refuse_doctype;
    xmlDoc *doc = xmlCtxtReadMemory(parser, bytes, (int)size, NULL, NULL,
                                    XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING |
                                        XML_PARSE_NOCDATA | XML_PARSE_COMPACT);
    int line = parser->lastError.line;
    xmlFreeParserCtxt(parser);
    if (has_doctype || doc == NULL) {
        xmlFreeDoc(doc);
        if (has_doctype) {
            snprintf(why, UBL_WHY_BYTES, "a document type declaration is not accepted");
        } else {
            snprintf(why, UBL_WHY_BYTES, "not well-formed XML, line %d", line);
        }
        return 1;
    }
    *ret = doc;
    return 0;
}

void ubl_cleanup_doc(xmlDoc **doc) {
    xmlFreeDoc(*doc);
}

static const xmlNode *seek(const xmlNode *node, const char *name) {
    for (; node != NULL; node = node->next) {
        if (node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, name) == 0 &&
            node->ns != NULL &&
            strncmp((const char *)node->ns->href, COMPONENTS, strlen(COMPONENTS)) == 0) {
            return node;
        }
    }
    return NULL;
}

const xmlNode *ubl_child(const xmlNode *node, const char *name) {
    return node != NULL ? seek(node->children, name) : NULL;
}

const xmlNode *ubl_next(const xmlNode *node) {
    return seek(node->next, (const char *)node->name);
}

bool ubl_text(const xmlNode *node, char ret[static UBL_TEXT_BYTES_MAX]) {
    static const char blanks[] = " \t\r\n";
    char whole[UBL_TEXT_BYTES_MAX];
    size_t size = 0;
    ret[0] = '\0';
    for (const xmlNode *child = node != NULL ? node->children : NULL; child != NULL;
         child = child->next) {
        if (child->type != XML_TEXT_NODE) {
            continue;
        }
        size_t more = strlen((const char *)child->content);
        if (size + more >= sizeof(whole)) {
            return false;
        }
        memcpy(whole + size, child->content, more);
        size += more;
    }
    whole[size] = '\0';
    const char *start = whole + strspn(whole, blanks);
    for (size = strlen(start); size > 0 && strchr(blanks, start[size - 1]) != NULL; size--) {
    }
    memcpy(ret, start, size);
    ret[size] = '\0';
    return size > 0;
}

int ubl_time(const char *date, const char *time, char ret[static UBL_TIME_BYTES]) {
    enum { DATE_BYTES = 10 };
    if (strlen(date) < DATE_BYTES) {
        return -EINVAL;
    }
    const char *clock = time[0] != '\0' ? time : "00:00:00";
    const char *date_zone = date + DATE_BYTES;
    const char *zone = strpbrk(clock, "Z+-") != NULL ? "" : date_zone[0] != '\0' ? date_zone : "Z";
    char text[2 * UBL_TEXT_BYTES_MAX];
    snprintf(text, sizeof(text), "%.*sT%s%s", DATE_BYTES, date, clock, zone);
    int64_t time_us;
    char formatted[CLOCK_TEXT_BYTES];
    if (clock_parse_rfc3339(text, &time_us) != 0) {
        return -EINVAL;
    }
    snprintf(ret, UBL_TIME_BYTES, "%s", clock_format_rfc3339(time_us, formatted));
    return 0;
}

int ubl_eta(const xmlNode *holder, const char *shipment, char ret[static UBL_TIME_BYTES]) {
    // The surest word first; what the buyer asked for is no word of the supplier.
    static const struct {
        const char *period, *date, *time;
    } places[] = {
        {NULL, "ActualDeliveryDate", "ActualDeliveryTime"},
        {"PromisedDeliveryPeriod", "EndDate", "EndTime"},
        {"EstimatedDeliveryPeriod", "EndDate", "EndTime"},
        {NULL, "LatestDeliveryDate", "LatestDeliveryTime"},
        {"PromisedDeliveryPeriod", "StartDate", "StartTime"},
        {"EstimatedDeliveryPeriod", "StartDate", "StartTime"},
    };
    const xmlNode *delivery =
        ubl_child(shipment != NULL ? ubl_child(holder, shipment) : holder, "Delivery");
    ret[0] = '\0';
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        const xmlNode *place =
            places[i].period != NULL ? ubl_child(delivery, places[i].period) : delivery;
        char date[UBL_TEXT_BYTES_MAX], time[UBL_TEXT_BYTES_MAX];
        if (ubl_text(ubl_child(place, places[i].date), date)) {
            ubl_text(ubl_child(place, places[i].time), time);
            return ubl_time(date, time, ret);
        }
    }
    return 0;
}
