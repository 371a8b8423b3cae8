// SPDX-License-Identifier: Apache-2.0
// Drives the jobs: a call each, whoever is answered goes on. An ERP that is away ends all of them
// without a verdict; they begin again from the state found.
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "connectors/erp/tryton_job.h"
#include "schemas/base/logging.h"

static const struct job_step_row steps[N_STEPS] = {
    [STEP_SALE] = {"sale", "model.sale.sale.search_read", sale_ask, sale_take, NULL},
    [STEP_IDENTIFIER] = {"party", "model.party.identifier.search_read", identifier_ask,
                         identifier_take, NULL},
    [STEP_KEYS] = {"party", "model.party.contact_mechanism.search_read", keys_ask, keys_take, NULL},
    [STEP_CLAIMED] = {"party", "model.party.identifier.search_read", claimed_ask, claimed_take,
                      NULL},
    [STEP_PARTY_MAKE] = {"party", "model.party.party.create", party_make_ask, party_make_take,
                         NULL},
    [STEP_MECHANISMS] = {"party", "model.party.contact_mechanism.search_read", mechanisms_ask,
                         mechanisms_take, NULL},
    [STEP_PARTY_WRITE] = {"party", "model.party.party.write", party_write_ask, party_write_take,
                          NULL},
    [STEP_CURRENCY] = {"currency", "model.currency.currency.search_read", currency_ask,
                       currency_take, NULL},
    [STEP_TERMS] = {"terms", "model.sale.sale.on_change_party", terms_ask, terms_take, NULL},
    [STEP_PRODUCTS] = {"products", "model.product.product.search_read", products_ask, products_take,
                       NULL},
    [STEP_LINE] = {"line", "model.sale.line.on_change_product", line_ask, line_take, NULL},
    [STEP_SALE_MAKE] = {"sale", "model.sale.sale.create", sale_make_ask, sale_button_take, NULL},
    [STEP_LINES_OLD] = {"line", "model.sale.line.search_read", lines_old_ask, lines_old_take, NULL},
    [STEP_SALE_AMEND] = {"sale", "model.sale.sale.write", sale_amend_ask, sale_button_take,
                         sale_timestamp},
    [STEP_QUOTE] = {"quote", "model.sale.sale.quote", sale_button_ask, sale_button_take, NULL},
    [STEP_CONFIRM] = {"confirm", "model.sale.sale.confirm", sale_button_ask, sale_button_take,
                      NULL},
    [STEP_CANCEL] = {"cancel", "model.sale.sale.cancel", sale_button_ask, sale_button_take, NULL},
    [STEP_DRAFT] = {"draft", "model.sale.sale.draft", sale_button_ask, sale_button_take, NULL},
    [STEP_STRAY] = {"cancel", "model.sale.sale.cancel", sale_stray_ask, sale_button_take, NULL},
    [STEP_NOTE] = {"note", "model.sale.sale.write", sale_note_ask, sale_note_take, sale_timestamp},
    [STEP_ERASE] = {"erase", "model.party.identifier.search_read", erase_ask, erase_take,
                    erase_context},
    [STEP_ERASE_PARTY] = {"erase", "model.party.party.search_read", erase_party_ask,
                          erase_party_take, erase_context},
    [STEP_ERASE_WRITE] = {"erase", "model.party.party.write", erase_write_ask, erase_write_take,
                          erase_context},
};

// ---- what the steps use

enum job_step job_end(struct job *job, enum kit_outcome outcome, const char *format, ...) {
    char words[TRYTON_WORDS_BYTES];
    va_list ap;
    va_start(ap, format);
    vsnprintf(words, sizeof(words), format, ap);
    va_end(ap);
    for (size_t i = 0; i < job->n_keys; i++) {
        tryton_words_hide(words, job->keys[i].value);
    }
    kit_result(job->result, outcome, "%s", words);
    return STEP_END;
}

void job_count(const struct job *job, enum tryton_counter counter, uint64_t n) {
    kit_count(job->orders->kit, job->orders->first_counter + counter, n);
}

json_int_t job_integer(const json_t *object, const char *member) {
    return json_integer_value(json_object_get(object, member));
}

json_t *job_search(json_t *domain, const char *const *fields) {
    json_t *names = json_array();
    for (size_t i = 0; fields[i] != NULL; i++) {
        json_array_append_new(names, json_string(fields[i]));
    }
    return json_pack("[o, i, n, [[s, s]], o]", domain, 0, "id", "ASC", names);
}

json_t *job_button(const struct job *job) {
    return json_pack("[[I]]", job_integer(job->sale, "id"));
}

// ---- a job's life

// Which of the keys are verified is said of the identities, as they were published: a key is one of
// them in the same letters, or the only one of its kind.
static bool is_verified(const touchbus_event *event, const char *kind, const char *value) {
    const char *other, *published;
    bool verified, is_same = false, is_any = false;
    size_t n_of_kind = 0;
    for (size_t i = 0; touchbus_event_identity(event, i, &other, &published, &verified); i++) {
        if (strcmp(other, kind) == 0) {
            n_of_kind++;
            is_any = is_any || verified;
            is_same = is_same || (verified && strcasecmp(published, value) == 0);
        }
    }
    return is_same || (n_of_kind == 1 && is_any);
}

static void read_keys(struct job *job) {
    const char *kind, *value;
    for (size_t i = 0;
         job->n_keys < JOB_KEYS_MAX && touchbus_event_key(job->event, i, &kind, &value); i++) {
        if (strcmp(kind, "email") == 0 || strcmp(kind, "phone") == 0) {
            job->keys[job->n_keys++] = (struct job_key){
                .kind = kind, .value = value, .is_verified = is_verified(job->event, kind, value)};
        }
    }
}

static const char *const cancelled[] = {"cancelled", "canceled"};

static enum job_step choose(struct job *job, const char *type, char *why) {
    bool is_placed = strcmp(type, "order.placed") == 0;
    const struct order_event *event = &job->order_event;
    int r = is_placed ? order_parse(event->data, event->data_size, &job->order, why)
                      : order_change_parse(event->data, event->data_size, &job->change, why);
    if (r != 0) {
        return job_end(job, r < 0 ? KIT_RETRY : KIT_REJECT, "%s", r < 0 ? "memory is short" : why);
    }
    job->order_id = is_placed ? job->order->order_id : job->change->order_id;
    job->lines = is_placed                ? &job->order->lines
                 : job->change->has_lines ? &job->change->lines
                                          : NULL;
    job->intent = is_placed ? INTENT_PLACE : INTENT_AMEND;
    for (size_t i = 0; !is_placed && i < sizeof(cancelled) / sizeof(cancelled[0]); i++) {
        job->intent = strcmp(job->change->status, cancelled[i]) == 0 ? INTENT_CANCEL : job->intent;
    }
    if (job->intent == INTENT_AMEND && job->lines == NULL) {
        return job_end(job, KIT_DELIVERED, "%s", ""); // how far others are with it
    }
    if (job->intent != INTENT_CANCEL && job->lines->n_lines > JOB_LINES_MAX) {
        return job_end(job, KIT_REJECT, "the order has more than %d lines", JOB_LINES_MAX);
    }
    return STEP_SALE;
}

static enum job_step open_job(struct job *job) {
    char why[ORDER_WHY_BYTES] = "";
    const char *type = touchbus_event_get(job->event, "type");
    bool is_order = strcmp(type, "order.placed") == 0 || strcmp(type, "order.changed") == 0;
    party_name(job);
    if (touchbus_event_erases(job->event)) {
        job->intent = INTENT_ERASE;
        return STEP_ERASE;
    }
    if (touchbus_event_redacted(job->event) || !is_order ||
        strcmp(touchbus_event_get(job->event, "source"), job->orders->source) == 0) {
        return job_end(job, KIT_DELIVERED, "%s", "");
    }
    read_keys(job);
    const uint8_t *incarnation = kit_incarnation(job->orders->kit);
    if (order_event_read(job->event, incarnation, false, &job->order_event) != 0) {
        return job_end(job, KIT_REJECT, "the event has no data");
    }
    return choose(job, type, why);
}

static void close_job(struct job *job) {
    json_t *const owned[] = {job->missing,    job->terms,       job->products,
                             job->sale_lines, job->old_lines,   job->sale,
                             job->stray,      job->party_found, job->reply.result};
    for (size_t i = 0; i < sizeof(owned) / sizeof(owned[0]); i++) {
        json_decref(owned[i]);
    }
    job->order = order_free(job->order);
    job->change = order_change_free(job->change);
    order_event_clear(&job->order_event);
}

// ---- driving

static void start_step(struct job *job) {
    const struct job_step_row *row = &steps[job->step];
    json_t *context = row->context != NULL ? row->context(job) : NULL;
    job->n_steps++;
    tryton_start(job->orders->tryton, row->method, row->ask(job), context, &job->reply, job);
}

// A record was changed in between: from the state it has now.
static enum job_step begin_again(struct job *job) {
    if (++job->n_stale > JOB_STALE_MAX) {
        return job_end(job, KIT_RETRY, "%s: %s", steps[job->step].name, job->reply.words);
    }
    json_decref(job->sale_lines);
    json_decref(job->old_lines);
    job->sale_lines = job->old_lines = NULL;
    return job->intent == INTENT_ERASE ? STEP_ERASE : STEP_SALE;
}

static enum job_step answer(struct job *job) {
    const struct job_step_row *row = &steps[job->step];
    switch (job->reply.class) {
    case TRYTON_DONE:
        return row->take(job);
    case TRYTON_STALE:
        return begin_again(job);
    case TRYTON_REJECT:
        return job_end(job, KIT_REJECT, "%s: %s", row->name, job->reply.words);
    case TRYTON_RETRY:
        return job_end(job, KIT_RETRY, "%s: %s", row->name, job->reply.words);
    case TRYTON_AWAY:
    case TRYTON_LOGIN:
        break;
    }
    return job_end(job, KIT_AWAY, "tryton: %s", job->reply.words);
}

// The job's next step from its answer. True: it has one.
static bool go_on(struct job *job, bool is_away) {
    size_t n_max = JOB_STEPS_MAX + (job->lines != NULL ? job->lines->n_lines : 0);
    job->step = answer(job);
    tryton_reply_clear(&job->reply);
    if (job->step != STEP_END && is_away) {
        job->step = job_end(job, KIT_AWAY, "tryton: away in the middle of an order");
    } else if (job->step != STEP_END && job->n_steps >= n_max) {
        job->step = job_end(job, KIT_RETRY, "%s: the ERP leads in a circle", steps[job->step].name);
    }
    return job->step != STEP_END;
}

void tryton_orders_deliver(const struct tryton_orders *orders, touchbus_event *const *events,
                           size_t n_events, struct kit_result *results) {
    struct job jobs[TRYTON_ORDERS_MAX];
    bool is_away = false;
    for (size_t i = 0; i < n_events; i++) {
        jobs[i] = (struct job){.orders = orders, .event = events[i], .result = &results[i]};
        jobs[i].step = open_job(&jobs[i]);
        if (jobs[i].step != STEP_END) {
            start_step(&jobs[i]);
        }
    }
    for (struct job *job = tryton_wait(orders->tryton); job != NULL;
         job = tryton_wait(orders->tryton)) {
        bool has_next = go_on(job, is_away);
        is_away = is_away || job->result->outcome == KIT_AWAY;
        if (has_next) {
            start_step(job);
        }
    }
    for (size_t i = 0; i < n_events; i++) {
        close_job(&jobs[i]);
    }
}
