// SPDX-License-Identifier: Apache-2.0
// One event on its way into Tryton, and the steps it may take. A step's ask gives the arguments of
// its call, its take reads the result and names the next step. tryton_orders.c drives them;
// tryton_sale.c, tryton_lines.c, tryton_party.c and tryton_erasure.c are the steps.
#pragma once

#include "connectors/dialect/order_event.h"
#include "connectors/erp/tryton_orders.h"

enum {
    JOB_LINES_MAX = 200,      // each costs the ERP a call; a larger order is for a person
    JOB_STEPS_MAX = 64,       // besides one a line: more is a circle
    JOB_STALE_MAX = 3,        // records changed under our hands, then later again
    JOB_KEYS_MAX = 16,        // phones and e-mail addresses of a customer
    JOB_PARTIES_MAX = 16,     // of one identifier, or of one person's keys
    JOB_NAME_BYTES = 128,     // touchbus-0123456789ab-c42, and what to call a nameless party
    JOB_COMMENT_BYTES = 8192, // our lines of a sale's comment
};

enum job_step {
    STEP_SALE,
    STEP_IDENTIFIER,
    STEP_KEYS,
    STEP_CLAIMED,
    STEP_PARTY_MAKE,
    STEP_MECHANISMS,
    STEP_PARTY_WRITE,
    STEP_CURRENCY,
    STEP_TERMS,
    STEP_PRODUCTS,
    STEP_LINE,
    STEP_SALE_MAKE,
    STEP_LINES_OLD,
    STEP_SALE_AMEND,
    STEP_QUOTE,
    STEP_CONFIRM,
    STEP_CANCEL,
    STEP_DRAFT,
    STEP_STRAY,
    STEP_NOTE,
    STEP_ERASE,
    STEP_ERASE_PARTY,
    STEP_ERASE_WRITE,
    N_STEPS,
    STEP_END, // the job has its result
};

enum job_intent { INTENT_PLACE, INTENT_CANCEL, INTENT_AMEND, INTENT_ERASE };

struct job_key {
    const char *kind, *value; // borrowed of the event
    bool is_verified;
};

struct job {
    const struct tryton_orders *orders;
    const touchbus_event *event;
    struct kit_result *result;
    enum job_intent intent;
    enum job_step step;
    size_t n_steps, n_stale;
    struct tryton_reply reply;

    struct order_event order_event;
    struct order *order;         // INTENT_PLACE
    struct order_change *change; // INTENT_CANCEL, INTENT_AMEND
    const char *order_id;
    const struct order_lines *lines; // of either; NULL: none

    char identifier[JOB_NAME_BYTES];
    struct job_key keys[JOB_KEYS_MAX];
    size_t n_keys;

    json_int_t party, currency;
    bool has_made_party, is_claimed_by_key;
    json_t *missing;    // contact mechanisms that the party lacks
    json_t *terms;      // what the ERP proposes for this party: addresses, payment term
    json_t *products;   // sku -> id
    json_t *sale_lines; // as they will be created; its size is how far we are
    json_t *old_lines;
    char comment[JOB_COMMENT_BYTES];

    json_t *sale;  // as found
    json_t *stray; // ids of further drafts of the same order
    bool has_done[N_STEPS];

    json_int_t parties[JOB_PARTIES_MAX]; // candidates; or to be anonymised
    size_t n_parties, party_index;
    json_t *party_found;
};

struct job_step_row {
    const char *name; // for the details of results
    const char *method;
    json_t *(*ask)(struct job *job); // the arguments, a new list; NULL: memory is short
    enum job_step (*take)(struct job *job);
    json_t *(*context)(const struct job *job); // members beside the user's; may be NULL
};

// The job's last words. Returns STEP_END. For KIT_REJECT and KIT_RETRY what is personal is hidden.
enum job_step job_end(struct job *job, enum kit_outcome outcome, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void job_count(const struct job *job, enum tryton_counter counter, uint64_t n);
// Integer member of an object of the result, 0 where there is none.
json_int_t job_integer(const json_t *object, const char *member);
// A search_read's arguments: takes the domain; fields end with NULL. By id.
json_t *job_search(json_t *domain, const char *const *fields);
// [[id]], a button's arguments.
json_t *job_button(const struct job *job);

// ---- tryton_sale.c
json_t *sale_ask(struct job *job);
enum job_step sale_take(struct job *job);
json_t *sale_button_ask(struct job *job);
enum job_step sale_button_take(struct job *job);
json_t *sale_stray_ask(struct job *job);
json_t *sale_note_ask(struct job *job);
enum job_step sale_note_take(struct job *job);
json_t *sale_timestamp(const struct job *job);

// ---- tryton_lines.c
json_t *currency_ask(struct job *job);
enum job_step currency_take(struct job *job);
json_t *terms_ask(struct job *job);
enum job_step terms_take(struct job *job);
json_t *products_ask(struct job *job);
enum job_step products_take(struct job *job);
json_t *line_ask(struct job *job);
enum job_step line_take(struct job *job);
json_t *sale_make_ask(struct job *job);
json_t *lines_old_ask(struct job *job);
enum job_step lines_old_take(struct job *job);
json_t *sale_amend_ask(struct job *job);
// What our comment says of the change in hand once it is carried out.
void amended_line(const struct job *job, char text[static JOB_NAME_BYTES]);

// ---- tryton_party.c
void party_name(struct job *job);
json_t *identifier_ask(struct job *job);
enum job_step identifier_take(struct job *job);
json_t *keys_ask(struct job *job);
enum job_step keys_take(struct job *job);
json_t *claimed_ask(struct job *job);
enum job_step claimed_take(struct job *job);
json_t *party_make_ask(struct job *job);
enum job_step party_make_take(struct job *job);
json_t *mechanisms_ask(struct job *job);
enum job_step mechanisms_take(struct job *job);
json_t *party_write_ask(struct job *job);
enum job_step party_write_take(struct job *job);

// ---- tryton_erasure.c
json_t *erase_ask(struct job *job);
enum job_step erase_take(struct job *job);
json_t *erase_party_ask(struct job *job);
enum job_step erase_party_take(struct job *job);
json_t *erase_write_ask(struct job *job);
enum job_step erase_write_take(struct job *job);
json_t *erase_context(const struct job *job);
