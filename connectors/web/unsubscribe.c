// SPDX-License-Identifier: Apache-2.0
// /unsubscribe/TOKEN, the link in our marketing mails (RFC 8058). The token is the credential: only
// who got the mail has it, so that no write key is asked for. To open the link changes nothing, for
// programs that look for harm open links before people do: a person gets a button. What the button
// and mail programs post becomes consent.changed, and "done" is said once that is durable. Neither
// token nor address is ever logged.
#include "connectors/dialect/mail.h"
#include "connectors/web/page.h"
#include "connectors/web/web.h"
#include "schemas/base/clock.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"
#include "schemas/reasons.h"

static void show(struct request *request, unsigned status, enum page page, const char *purpose) {
    answer_page(request, status, page_write(page, purpose));
}

static bool open_token(struct request *request, struct mail_token *ret) {
    if (mail_token_open(&request->web->mail, request->rest, ret) == 0) {
        return true;
    }
    show(request, MHD_HTTP_NOT_FOUND, PAGE_NO_LINK, "");
    return false;
}

static void take(struct request *request, const struct mail_token *token) {
    touchbus_event *event = NULL;
    int r = mail_token_event(&request->web->mail, token, clock_now_us(), &event);
    if (r != 0) {
        logging_error("unsubscribe=no-event error=%d", -r);
        show(request, MHD_HTTP_SERVICE_UNAVAILABLE, PAGE_LATER, "");
        return;
    }
    submit_one(request, event, 0);
}

void unsubscribe_show(struct request *request) {
    struct mail_token token;
    if (open_token(request, &token)) {
        show(request, MHD_HTTP_OK, PAGE_ASK, token.purpose);
    }
}

void unsubscribe_take(struct request *request) {
    struct mail_token token;
    if (!open_token(request, &token) || !ingest_decode(request)) {
        return;
    }
    if (GUARD(unsubscribe_form) &&
        !mail_is_one_click(request_header(request, "Content-Type"), request->body, request->size)) {
        show(request, MHD_HTTP_BAD_REQUEST, PAGE_NO_FORM, "");
        return;
    }
    take(request, &token);
}

void unsubscribe_finish(struct request *request) {
    const struct kit_ack *ack = &request->acks[0];
    struct mail_token token;
    bool durable = ack->spooled || ack->code == REASON_OK || ack->code == REASON_DUPLICATE;
    if (!open_token(request, &token)) {
        return;
    }
    if (GUARD(unsubscribe_durable) && !durable) {
        logging_warning("unsubscribe=refused reason=%s", ack->reason);
        show(request, MHD_HTTP_SERVICE_UNAVAILABLE, PAGE_LATER, "");
        return;
    }
    kit_count(request->web->kit, WEB_UNSUBSCRIBED, 1);
    show(request, ack->spooled ? MHD_HTTP_ACCEPTED : MHD_HTTP_OK, PAGE_DONE, token.purpose);
}
