// SPDX-License-Identifier: Apache-2.0
// Writes UBL 2.1 Order and OrderCancellation. The order of the calls is the order of the elements
// in the schema; only the elements that an order of ours can fill are there.
#include <errno.h>
#include <libxml/xmlwriter.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/dialect/ubl.h"
#include "schemas/base/cleanup.h"

#define NAMESPACE "urn:oasis:names:specification:ubl:schema:xsd:"
#define UNIT_PIECE "C62"  // UN/ECE recommendation 20: one, a piece
#define SCHEME_GLN "0088" // ISO 6523: global location number

enum { DATE_BYTES = 10, TIME_BYTES_MIN = 20 };

// libxml2's writer gives -1 where memory is short; one flag collects them.
struct writer {
    xmlTextWriter *xml;
    xmlBuffer *buffer;
    bool failed;
};

static void check(struct writer *writer, int r) {
    writer->failed = writer->failed || r < 0;
}

// XML 1.0 has no control characters but three, and no U+FFFE and U+FFFF. The text stays as long as
// it was.
static char *clean(const char *text) {
    char *copy = strdup(text);
    for (unsigned char *at = (unsigned char *)copy; at != NULL && *at != '\0'; at++) {
        if (*at < 0x20 && strchr("\t\n\r", *at) == NULL) {
            *at = ' ';
        } else if (*at == 0xef && at[1] == 0xbf && at[2] >= 0xbe) {
            memcpy(at, "   ", 3);
        }
    }
    return copy;
}

static void begin(struct writer *writer, const char *name) {
    check(writer, xmlTextWriterStartElement(writer->xml, (const xmlChar *)name));
}

static void attribute(struct writer *writer, const char *name, const char *value) {
    _cleanup_free_ char *text = clean(value);
    check(writer, text == NULL ? -1
                               : xmlTextWriterWriteAttribute(writer->xml, (const xmlChar *)name,
                                                             (const xmlChar *)text));
}

static void end(struct writer *writer) {
    check(writer, xmlTextWriterEndElement(writer->xml));
}

// An element with text, and an attribute where its name is not NULL.
static void leaf(struct writer *writer, const char *name, const char *text,
                 const char *attribute_name, const char *attribute_value) {
    _cleanup_free_ char *copy = clean(text);
    begin(writer, name);
    if (attribute_name != NULL) {
        attribute(writer, attribute_name, attribute_value);
    }
    check(writer, copy == NULL ? -1 : xmlTextWriterWriteString(writer->xml, (const xmlChar *)copy));
    end(writer);
}

static void text(struct writer *writer, const char *name, const char *value) {
    leaf(writer, name, value, NULL, NULL);
}

static void amount(struct writer *writer, const char *name, const char *value,
                   const char *currency) {
    leaf(writer, name, value, "currencyID", currency);
}

static void issue_date(struct writer *writer, const char *time) {
    char date[DATE_BYTES + 1] = {0};
    memcpy(date, time, DATE_BYTES);
    text(writer, "cbc:IssueDate", date);
}

static void issue(struct writer *writer, const char *time) {
    issue_date(writer, time);
    text(writer, "cbc:IssueTime", time + DATE_BYTES + 1);
}

static void party(struct writer *writer, const char *role, const struct ubl_party *party) {
    begin(writer, role);
    begin(writer, "cac:Party");
    if (party->gln != NULL) {
        leaf(writer, "cbc:EndpointID", party->gln, "schemeID", SCHEME_GLN);
    }
    begin(writer, "cac:PartyIdentification");
    text(writer, "cbc:ID", party->id);
    end(writer);
    begin(writer, "cac:PartyName");
    text(writer, "cbc:Name", party->name);
    end(writer);
    end(writer);
    end(writer);
}

static void line(struct writer *writer, const struct order_line *line, size_t number,
                 const char *currency) {
    char id[24];
    snprintf(id, sizeof(id), "%zu", number);
    begin(writer, "cac:OrderLine");
    begin(writer, "cac:LineItem");
    text(writer, "cbc:ID", id);
    leaf(writer, "cbc:Quantity", line->quantity, "unitCode", UNIT_PIECE);
    amount(writer, "cbc:LineExtensionAmount", line->amount, currency);
    begin(writer, "cac:Price");
    amount(writer, "cbc:PriceAmount", line->price, currency);
    end(writer);
    begin(writer, "cac:Item");
    text(writer, "cbc:Name", line->name != NULL ? line->name : line->sku);
    begin(writer, "cac:SellersItemIdentification");
    text(writer, "cbc:ID", line->sku);
    end(writer);
    end(writer);
    end(writer);
    end(writer);
}

static int open_document(struct writer *writer, const char *root) {
    char name_space[128];
    snprintf(name_space, sizeof(name_space), NAMESPACE "%s-2", root);
    writer->buffer = xmlBufferCreate();
    writer->xml = writer->buffer != NULL ? xmlNewTextWriterMemory(writer->buffer, 0) : NULL;
    if (writer->xml == NULL) {
        xmlBufferFree(writer->buffer);
        return -ENOMEM;
    }
    check(writer, xmlTextWriterSetIndent(writer->xml, 1));
    check(writer, xmlTextWriterStartDocument(writer->xml, NULL, "UTF-8", NULL));
    begin(writer, root);
    attribute(writer, "xmlns", name_space);
    attribute(writer, "xmlns:cac", NAMESPACE "CommonAggregateComponents-2");
    attribute(writer, "xmlns:cbc", NAMESPACE "CommonBasicComponents-2");
    text(writer, "cbc:UBLVersionID", "2.1");
    return 0;
}

static int close_document(struct writer *writer, char **ret, size_t *ret_size) {
    check(writer, xmlTextWriterEndDocument(writer->xml));
    xmlFreeTextWriter(writer->xml);
    size_t size = (size_t)xmlBufferLength(writer->buffer);
    char *copy = writer->failed ? NULL : malloc(size + 1);
    if (copy != NULL) {
        memcpy(copy, xmlBufferContent(writer->buffer), size);
        copy[size] = '\0';
        *ret = copy;
        *ret_size = size;
    }
    xmlBufferFree(writer->buffer);
    return copy != NULL ? 0 : -ENOMEM;
}

static void total(struct writer *writer, const struct ubl_order *order) {
    struct decimal sum = {0};
    for (size_t i = 0; i < order->n_lines; i++) {
        check(writer, decimal_add(sum, order->lines[i]->amount_exact, &sum));
    }
    char value[DECIMAL_TEXT_BYTES];
    decimal_format(sum, value);
    begin(writer, "cac:AnticipatedMonetaryTotal");
    amount(writer, "cbc:LineExtensionAmount", value, order->currency);
    amount(writer, "cbc:PayableAmount", value, order->currency);
    end(writer);
}

int ubl_write_order(const struct ubl_order *order, char **ret, size_t *ret_size) {
    if (order->n_lines == 0 || strlen(order->time) < TIME_BYTES_MIN) {
        return -EINVAL;
    }
    struct writer writer = {0};
    int r = open_document(&writer, "Order");
    if (r < 0) {
        return r;
    }
    char count[24];
    snprintf(count, sizeof(count), "%zu", order->n_lines);
    text(&writer, "cbc:ID", order->id);
    issue(&writer, order->time);
    text(&writer, "cbc:DocumentCurrencyCode", order->currency);
    text(&writer, "cbc:LineCountNumeric", count);
    if (order->quote_id != NULL) {
        begin(&writer, "cac:QuotationDocumentReference");
        text(&writer, "cbc:ID", order->quote_id);
        end(&writer);
    }
    party(&writer, "cac:BuyerCustomerParty", &order->buyer);
    party(&writer, "cac:SellerSupplierParty", &order->seller);
    total(&writer, order);
    for (size_t i = 0; i < order->n_lines; i++) {
        line(&writer, order->lines[i], i + 1, order->currency);
    }
    return close_document(&writer, ret, ret_size);
}

int ubl_write_cancellation(const struct ubl_cancellation *cancellation, char **ret,
                           size_t *ret_size) {
    if (strlen(cancellation->time) < TIME_BYTES_MIN) {
        return -EINVAL;
    }
    struct writer writer = {0};
    int r = open_document(&writer, "OrderCancellation");
    if (r < 0) {
        return r;
    }
    text(&writer, "cbc:ID", cancellation->order_id);
    issue(&writer, cancellation->time);
    text(&writer, "cbc:CancellationNote", cancellation->note);
    begin(&writer, "cac:OrderReference");
    text(&writer, "cbc:ID", cancellation->order_id);
    if (cancellation->order_time != NULL && strlen(cancellation->order_time) >= TIME_BYTES_MIN) {
        issue_date(&writer, cancellation->order_time);
    }
    end(&writer);
    party(&writer, "cac:BuyerCustomerParty", &cancellation->buyer);
    party(&writer, "cac:SellerSupplierParty", &cancellation->seller);
    return close_document(&writer, ret, ret_size);
}
