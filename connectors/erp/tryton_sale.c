// SPDX-License-Identifier: Apache-2.0
// The sale of an order, found by its id as reference: from the state it is found in follows what is
// to be done. A process that died may have left its create or confirm running in the ERP: so the
// search is made after everything that was done, the sale that is furthest (then the oldest) is the
// order's, and further drafts of ours are cancelled; a person's own copies are left alone.
#include <stdio.h>
#include <string.h>

#include "connectors/erp/tryton_job.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"

// States of sale.sale, and what follows in each for each intent. STEP_END: nothing is left to do,
// or nothing can be done; see finish. A sale found confirmed is confirmed once more, over draft:
// Tryton works on it in a task behind the confirmation, and a trytond that was killed in between
// has forgotten the task.
static const struct state {
    const char *name;
    int rank; // how far the sale is
    enum job_step place, cancel, amend, amended;
} states[] = {
    {"cancelled", 0, STEP_END, STEP_END, STEP_END, STEP_END},
    {"draft", 1, STEP_QUOTE, STEP_CANCEL, STEP_PRODUCTS, STEP_QUOTE},
    {"quotation", 2, STEP_CONFIRM, STEP_CANCEL, STEP_DRAFT, STEP_CONFIRM},
    {"confirmed", 3, STEP_DRAFT, STEP_DRAFT, STEP_DRAFT, STEP_DRAFT},
    {"processing", 4, STEP_END, STEP_NOTE, STEP_NOTE, STEP_END},
    {"done", 4, STEP_END, STEP_NOTE, STEP_NOTE, STEP_END},
};
enum { RANK_CANCELLED = 0, RANK_QUOTATION = 2, RANK_CONFIRMED = 3 };

static const struct state *state_of(const json_t *sale) {
    const char *name = json_string_value(json_object_get(sale, "state"));
    for (size_t i = 0; name != NULL && i < sizeof(states) / sizeof(states[0]); i++) {
        if (strcmp(states[i].name, name) == 0) {
            return &states[i];
        }
    }
    return NULL;
}

// ---- finding it

json_t *sale_ask(struct job *job) {
    static const char *const fields[] = {"state",      "comment",    "party", "currency",
                                         "create_uid", "_timestamp", NULL};
    return job_search(json_pack("[[s, s, s]]", "reference", "=", job->order_id), fields);
}

// The furthest, of equal ones the oldest; further ones that a doubt left behind go to stray.
static int choose_sale(struct job *job) {
    size_t i;
    json_t *sale;
    const struct state *best = NULL;
    size_t n_confirmed = 0;
    json_decref(job->sale);
    json_decref(job->stray);
    job->sale = NULL;
    job->stray = json_array();
    json_array_foreach(job->reply.result, i, sale) {
        const struct state *state = state_of(sale);
        if (state == NULL) {
            job->sale = NULL; // borrowed until the end
            return 1;
        }
        n_confirmed += state->rank >= RANK_CONFIRMED;
        if (best == NULL || state->rank > best->rank) {
            best = state;
            job->sale = sale;
        }
    }
    json_array_foreach(job->reply.result, i, sale) {
        int rank = state_of(sale)->rank;
        bool is_ours = job_integer(sale, "create_uid") == tryton_user(job->orders->tryton);
        if (sale != job->sale && is_ours && rank > RANK_CANCELLED && rank <= RANK_QUOTATION) {
            json_array_append(job->stray, json_object_get(sale, "id"));
        }
    }
    json_incref(job->sale);
    if (n_confirmed > 1) {
        logging_error("tryton=two-sales sequence=%llu n_sales=%zu",
                      (unsigned long long)touchbus_event_sequence(job->event), n_confirmed);
    }
    return 0;
}

static const char *comment_of(const struct job *job) {
    const char *comment = json_string_value(json_object_get(job->sale, "comment"));
    return comment != NULL ? comment : "";
}

static bool is_amended(const struct job *job) {
    char line[JOB_NAME_BYTES];
    if (job->intent != INTENT_AMEND) {
        return false;
    }
    amended_line(job, line);
    return strstr(comment_of(job), line) != NULL;
}

// What this job has not done itself is a repeat.
static enum job_step finish(struct job *job) {
    if (job->intent == INTENT_PLACE) {
        bool is_ours = job->has_done[STEP_CONFIRM];
        job_count(job, is_ours ? TRYTON_SALES_MADE : TRYTON_SALES_REPEATED, 1);
    } else {
        bool is_ours = job->has_done[STEP_CANCEL] || job->has_done[STEP_SALE_AMEND];
        job_count(job, TRYTON_CHANGES, is_ours);
    }
    return job_end(job, KIT_DELIVERED, "%s", "");
}

static enum job_step next_of(const struct job *job, const struct state *state) {
    switch (job->intent) {
    case INTENT_PLACE:
        return state->place;
    case INTENT_CANCEL:
        return state->cancel;
    case INTENT_AMEND:
        return is_amended(job) ? state->amended : state->amend;
    case INTENT_ERASE:
        break;
    }
    return STEP_END;
}

enum job_step sale_take(struct job *job) {
    if (choose_sale(job) != 0) {
        return job_end(job, KIT_REJECT, "sale: the ERP has it in a state that is none of 6.0's");
    }
    bool is_there = job->sale != NULL && (GUARD(tryton_reference) || job->has_done[STEP_SALE_MAKE]);
    if (!is_there && job->intent == INTENT_PLACE) {
        return STEP_IDENTIFIER;
    }
    if (job->sale == NULL) {
        job_count(job, TRYTON_ORDERS_UNKNOWN, 1);
        return job_end(job, KIT_DELIVERED, "%s", "");
    }
    if (GUARD(tryton_stray_sales) && json_array_size(job->stray) > 0 &&
        !job->has_done[STEP_STRAY]) {
        job_count(job, TRYTON_SALES_STRAY, json_array_size(job->stray));
        return STEP_STRAY;
    }
    const struct state *state = state_of(job->sale);
    enum job_step next = next_of(job, state);
    bool is_settled = state->rank == RANK_CONFIRMED &&
                      (!GUARD(tryton_confirmed_anew) || job->has_done[STEP_CONFIRM]);
    if (next == STEP_END || is_settled) { // the ERP works on it when it wants to
        return finish(job);
    }
    // An illegal transition is answered as a legal one: only the state tells that nothing happened.
    if (next != STEP_NOTE && next != STEP_PRODUCTS && job->has_done[next]) {
        return job_end(job, KIT_RETRY, "sale: the ERP leaves it %s", state->name);
    }
    return next;
}

// ---- moving it

json_t *sale_button_ask(struct job *job) {
    return job_button(job);
}

enum job_step sale_button_take(struct job *job) {
    job->has_done[job->step] = true;
    return STEP_SALE;
}

json_t *sale_stray_ask(struct job *job) {
    return json_pack("[O]", job->stray);
}

// The version that was read: a person's change in between is not overwritten (423).
json_t *sale_timestamp(const struct job *job) {
    char name[JOB_NAME_BYTES];
    snprintf(name, sizeof(name), "sale.sale,%" JSON_INTEGER_FORMAT, job_integer(job->sale, "id"));
    return GUARD(tryton_stale) ? json_pack("{s:{s:O}}", "_timestamp", name,
                                           json_object_get(job->sale, "_timestamp"))
                               : json_object();
}

// ---- saying no

static void refused_line(const struct job *job, char text[static JOB_NAME_BYTES]) {
    snprintf(text, JOB_NAME_BYTES,
             "touchbus: revision %" JSON_INTEGER_FORMAT " asked to %s, which came too late",
             (json_int_t)job->change->revision,
             job->intent == INTENT_CANCEL ? "cancel" : "change the lines");
}

// The people who work on the sale read it, too.
json_t *sale_note_ask(struct job *job) {
    char line[JOB_NAME_BYTES];
    refused_line(job, line);
    const char *comment = comment_of(job);
    bool is_known = strstr(comment, line) != NULL;
    json_t *text = is_known ? json_string(comment)
                            : json_sprintf("%s%s%s", comment, comment[0] != '\0' ? "\n" : "", line);
    return json_pack("[[I], {s:o}]", job_integer(job->sale, "id"), "comment", text);
}

// What comes back of the sale (tryton_changes.c) then says it, with the status as it is.
enum job_step sale_note_take(struct job *job) {
    job_count(job, TRYTON_CHANGES_REFUSED, 1);
    return job_end(job, KIT_DELIVERED, "%s", "");
}
