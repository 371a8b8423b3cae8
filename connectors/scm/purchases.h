// SPDX-License-Identifier: Apache-2.0
// Orders to suppliers: an order of a customer becomes one UBL Order a supplier, its cancellation
// one UBL OrderCancellation each. The record of an order is its document (order_document.h) with
// the list of suppliers that got one.
#pragma once

#include <stddef.h>

#include "connectors/dialect/order_event.h"
#include "connectors/kit/outbox.h"
#include "connectors/scm/suppliers.h"

struct purchases {
    struct outbox *outbox; // borrowed, as the two below
    const struct suppliers *suppliers;
    const struct ubl_party *buyer;
    size_t n_documents, n_lines_without_supplier, n_unknown_orders; // counted up
};

// The two events. 0; 1 and why (ORDER_WHY_BYTES): refused; negative errno. Durable after
// outbox_flush.
int purchases_place(struct purchases *purchases, const struct order_event *event, char *why);
int purchases_change(struct purchases *purchases, const struct order_event *event, char *why);
