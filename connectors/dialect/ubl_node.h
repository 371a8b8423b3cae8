// SPDX-License-Identifier: Apache-2.0
// Looking around in a UBL document: the parser with its guards, children by name, texts, dates.
// Only ubl_read.c uses it.
#pragma once

#include <libxml/tree.h>
#include <stdbool.h>
#include <stddef.h>

#include "connectors/dialect/ubl.h"

enum { UBL_TIME_BYTES = 48 };

// 0 and *ret; 1 and why: too large, not well-formed, or with a document type declaration.
int ubl_parse(const void *bytes, size_t size, xmlDoc **ret, char *why);
void ubl_cleanup_doc(xmlDoc **doc);

// The first child element of UBL's component namespaces with that name; NULL in, NULL out.
const xmlNode *ubl_child(const xmlNode *node, const char *name);
// The next sibling of the same name.
const xmlNode *ubl_next(const xmlNode *node);
// The element's own text, trimmed. False, and "", where there is no node, no text, or too much.
bool ubl_text(const xmlNode *node, char ret[static UBL_TEXT_BYTES_MAX]);
// xsd:date and xsd:time ("" midnight) as RFC 3339 in UTC; without a zone they are UTC. 0 or
// -EINVAL.
int ubl_time(const char *date, const char *time, char ret[static UBL_TIME_BYTES]);
// When the goods are to arrive, by the Delivery in the holder's shipment (NULL: in the holder
// itself); "" where it does not say. 0 or -EINVAL.
int ubl_eta(const xmlNode *holder, const char *shipment, char ret[static UBL_TIME_BYTES]);
