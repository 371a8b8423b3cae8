// SPDX-License-Identifier: Apache-2.0
#include "connectors/email/sending.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/email/policy.h"
#include "connectors/email/record.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"

enum { SENDING_DOUBLINGS_MAX = 20 };

struct sending {
    const struct outbound_options *options;
    int records_fd;
    struct reports *reports;
    struct smtp *smtp;
    touchbus_client *client;
    int64_t away_ms, away_until_us; // the server is left alone; 0 not
    char away[SMTP_WHY_BYTES];      // why; "" all is well
    json_t *handing;                // the record of the mail on its way
    int64_t look_us;
    bool waits; // some record may be waiting
};

static void cleanup_letter(struct letter *letter) {
    letter_clear(letter);
}

static bool is(const char *a, const char *b) {
    return strcmp(a, b) == 0;
}

static int set_state(struct sending *sending, json_t *record, const char *state) {
    return json_object_set_new(record, "state", json_string(state)) != 0
               ? -ENOMEM
               : record_save(sending->records_fd, record);
}

// Before the mail's end goes out it is on disk that it may have arrived.
static int at_end(void *user) {
    struct sending *sending = user;
    int r = GUARD(mail_handing) ? set_state(sending, sending->handing, "handing") : 0;
    if (r < 0) {
        logging_error("contact-record cannot be written error=\"%s\"", strerror(-r));
    }
    return r;
}

static void at_beat(void *user) {
    const struct sending *sending = user;
    kit_beat(sending->options->kit);
}

static void note_server(struct sending *sending, const struct smtp_result *sent) {
    if (sent->outcome != SMTP_AWAY) {
        if (sending->away[0] != '\0') {
            logging_info("smtp=up");
        }
        sending->away[0] = '\0';
        sending->away_ms = sending->away_until_us = 0;
        return;
    }
    if (!is(sending->away, sent->why)) {
        logging_warning("smtp=away reason=\"%s\"", sent->why);
        snprintf(sending->away, sizeof(sending->away), "%s", sent->why);
    }
    int64_t doubled = sending->away_ms == 0 ? OUTBOUND_AWAY_MS_MIN : 2 * sending->away_ms;
    sending->away_ms = doubled < OUTBOUND_AWAY_MS_MAX ? doubled : OUTBOUND_AWAY_MS_MAX;
    sending->away_until_us = clock_monotonic_us() + sending->away_ms * CLOCK_US_PER_MS;
    kit_count(sending->options->kit, sending->options->away_counter, 1);
}

static int note_failed(struct sending *sending, json_t *record, const char *ref,
                       const char *status) {
    json_t *outcome = json_pack("{s:s, s:s, s:s, s:s}", "outcome", "failed", "contact_id",
                                record_text(record, "contact_id"), "ref", ref, "status", status);
    return outcome == NULL || json_object_set_new(record, "outcome", outcome) != 0
               ? -ENOMEM
               : set_state(sending, record, "failed");
}

// The recipient cannot take it now: what it takes to try again is kept. 1: that has gone on for too
// long.
static int note_waiting(struct sending *sending, json_t *record, const struct decision *decision) {
    int64_t now_us = clock_now_us(), since_us = record_number(record, "since_us");
    int64_t tries = record_number(record, "tries");
    since_us = since_us != 0 ? since_us : now_us;
    if (now_us - since_us > SENDING_WAIT_S_MAX * CLOCK_US_PER_S) {
        return 1;
    }
    int64_t wait_ms =
        tries < SENDING_DOUBLINGS_MAX ? (int64_t)SENDING_WAIT_MS_MIN << tries : SENDING_WAIT_MS_MAX;
    wait_ms = wait_ms < SENDING_WAIT_MS_MAX ? wait_ms : SENDING_WAIT_MS_MAX;
    int64_t next_us = now_us + wait_ms * CLOCK_US_PER_MS;
    json_t *waiting =
        json_pack("{s:s, s:I, s:I, s:I, s:O}", "customer",
                  decision->customer != NULL ? decision->customer : "", "sequence",
                  (json_int_t)decision->sequence, "time_us", (json_int_t)decision->time_us,
                  "next_us", (json_int_t)next_us, "data", decision->data);
    kit_count(sending->options->kit, sending->options->waits_counter, 1);
    return waiting == NULL || json_object_set_new(record, "waiting", waiting) != 0 ||
                   json_object_set_new(record, "since_us", json_integer(since_us)) != 0 ||
                   json_object_set_new(record, "tries", json_integer(tries + 1)) != 0
               ? -ENOMEM
               : set_state(sending, record, "waiting");
}

static void conclude(struct sending *sending, json_t *record, const struct decision *decision,
                     const struct letter *letter, const struct smtp_result *sent,
                     struct kit_result *result) {
    static const enum kit_outcome outcomes[] = {
        [SMTP_SENT] = KIT_DELIVERED,  [SMTP_RETRY] = KIT_DELIVERED, [SMTP_FAILED] = KIT_DELIVERED,
        [SMTP_REJECTED] = KIT_REJECT, [SMTP_AWAY] = KIT_AWAY,
    };
    const struct outbound_options *options = sending->options;
    int r = 0;
    note_server(sending, sent);
    kit_result(result, outcomes[sent->outcome], "%s", sent->why);
    json_object_set_new(record, "time_us", json_integer(clock_now_us()));
    if (sent->outcome == SMTP_SENT) {
        kit_count(options->kit, options->sent_counter, 1);
        r = set_state(sending, record, "handed");
    } else if (sent->outcome == SMTP_RETRY) {
        logging_info("contact=waits reason=\"%s\"", sent->why);
        sending->waits = true;
        r = note_waiting(sending, record, decision);
    }
    bool refused = !sent->uncertain && is(record_text(record, "state"), "handing");
    if (refused && (sent->outcome == SMTP_REJECTED || sent->outcome == SMTP_AWAY)) {
        r = set_state(sending, record, record_waits(record) ? "waiting" : "asked");
    }
    if (r == 1 || sent->outcome == SMTP_FAILED) {
        kit_count(options->kit, options->failed_counter, 1);
        r = note_failed(sending, record, letter->ref, sent->status);
    }
    r = r < 0 ? r : reports_publish(sending->reports, record);
    if (r < 0) {
        kit_result(result, KIT_AWAY, "state folder: %s", strerror(-r));
    }
}

static void send_letter(struct sending *sending, json_t *record, const struct decision *decision,
                        struct letter *letter, struct kit_result *result) {
    const struct outbound_options *options = sending->options;
    struct smtp_watch watch = {.end = at_end, .beat = at_beat, .user = sending};
    struct smtp_result sent;
    if (is(record_text(record, "state"), "handing")) { // it may have been taken before
        logging_warning("contact=repeated reason=\"the server's answer was never seen\"");
        kit_count(options->kit, options->uncertain_counter, 1);
    }
    if (json_object_set(record, "sent", letter->sent) != 0) {
        kit_result(result, KIT_AWAY, "no memory");
        return;
    }
    sending->handing = record;
    smtp_send(sending->smtp, options->letter.sender, letter->to, letter->bytes, letter->size,
              &watch, &sent);
    sending->handing = NULL;
    conclude(sending, record, decision, letter, &sent, result);
}

// ---- whether to

static bool has_lapsed(const json_t *data) {
    int64_t until_us;
    const char *until = record_text(data, "until");
    return GUARD(mail_lapsed) && *until != '\0' && clock_parse_rfc3339(until, &until_us) == 0 &&
           clock_now_us() > until_us;
}

// An approval comes as a contact.decided of its own.
static void ask_again(struct sending *sending, json_t *record, const struct decision *decision,
                      struct kit_result *result) {
    const struct outbound_options *options = sending->options;
    int r = policy_ask_again(options->kit, options->source, json_object_get(record, "request"),
                             decision->customer);
    if (r != 0) {
        kit_result(result, KIT_RETRY, "the approval has lapsed, and the policy does not answer");
        return;
    }
    kit_count(options->kit, options->lapsed_counter, 1);
    json_object_del(record, "waiting");
    r = set_state(sending, record, "asked");
    kit_result(result, r == 0 ? KIT_DELIVERED : KIT_AWAY, "%s", "");
}

void sending_contact(struct sending *sending, json_t *record, const struct decision *decision,
                     struct kit_result *result) {
    const json_t *request = json_object_get(record, "request");
    _cleanup_(cleanup_letter) struct letter letter = {0};
    char why[LETTER_WHY_BYTES] = "";
    if (clock_monotonic_us() < sending->away_until_us) {
        kit_result(result, KIT_AWAY, "%s", sending->away);
        return;
    }
    if (has_lapsed(decision->data)) {
        if (request == NULL) {
            kit_result(result, KIT_REJECT,
                       "the approval has lapsed, and nothing is known of the "
                       "request to ask again with");
        } else {
            ask_again(sending, record, decision, result);
        }
        return;
    }
    int r =
        letter_write(&sending->options->letter, sending->client, request, decision, &letter, why);
    if (r == 0) {
        send_letter(sending, record, decision, &letter, result);
    } else {
        kit_result(result, r > 0 ? KIT_REJECT : KIT_RETRY, "%s", r == -ENOMEM ? "no memory" : why);
    }
}

// ---- what waits

// Refused for good now, or still without a text: nobody is there to be told but the broker.
static int give_up(struct sending *sending, json_t *record) {
    char ref[MAIL_ID_BYTES_MAX + 1] = "";
    mail_message_id(sending->options->letter.mail, record_text(record, "contact_id"), ref);
    kit_count(sending->options->kit, sending->options->failed_counter, 1);
    int r = note_failed(sending, record, ref, "");
    return r != 0 ? r : reports_publish(sending->reports, record);
}

static int try_again(void *user, json_t *record) {
    struct sending *sending = user;
    const json_t *waiting = json_object_get(record, "waiting");
    struct decision decision = {.customer = record_text(waiting, "customer"),
                                .sequence = (uint64_t)record_number(waiting, "sequence"),
                                .time_us = record_number(waiting, "time_us"),
                                .data = json_object_get(waiting, "data")};
    struct kit_result result = {.outcome = KIT_RETRY};
    if (!record_waits(record) || sending->away_until_us != 0) {
        sending->waits = sending->waits || record_waits(record);
        return 0;
    }
    sending->waits = true;
    if (is(record_text(record, "state"), "waiting") &&
        record_number(waiting, "next_us") > clock_now_us()) {
        return 0;
    }
    sending_contact(sending, record, &decision, &result);
    int r = result.outcome == KIT_REJECT ? give_up(sending, record) : 0;
    return r < 0 ? r : 0;
}

int sending_carry_on(struct sending *sending) {
    int64_t now_us = clock_monotonic_us();
    if (!sending->waits || now_us < sending->look_us || now_us < sending->away_until_us) {
        return 0;
    }
    sending->look_us = now_us + SENDING_LOOK_MS * CLOCK_US_PER_MS;
    sending->away_until_us = 0;
    sending->waits = false;
    return records_each(sending->records_fd, try_again, sending);
}

// ---- life

int sending_open(const struct outbound_options *options, int records_fd, struct reports *reports,
                 struct sending **ret) {
    struct sending *sending = calloc(1, sizeof(*sending));
    if (sending == NULL) {
        return -ENOMEM;
    }
    *sending = (struct sending){
        .options = options, .records_fd = records_fd, .reports = reports, .waits = true};
    touchbus_client_options client = {.broker = kit_broker(options->kit),
                                      .key = kit_key(options->kit),
                                      .broker_key = kit_broker_key(options->kit)};
    int r = touchbus_client_new(&client, &sending->client);
    r = r != 0 ? r : smtp_new(options->smtp, &sending->smtp);
    if (r != 0) {
        sending_close(sending);
        return r;
    }
    *ret = sending;
    return 0;
}

struct sending *sending_close(struct sending *sending) {
    if (sending != NULL) {
        touchbus_client_free(sending->client);
        smtp_free(sending->smtp);
        free(sending);
    }
    return NULL;
}
