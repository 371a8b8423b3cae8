// SPDX-License-Identifier: Apache-2.0
// Whose order it is: the party that has this customer's touchbus identifier; else the one party
// that has a verified phone or e-mail address of theirs, and no identifier of another customer;
// else a new one. It errs towards a new one: two parties of one person can be merged in the ERP,
// two persons in one party cannot be told apart any more.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "connectors/erp/tryton_job.h"
#include "schemas/base/guards.h"

enum { LOG_BYTES = 6 }; // of the incarnation: customers are numbered anew in another log

static void prefix_of(const struct job *job, char text[static JOB_NAME_BYTES]) {
    const uint8_t *incarnation = kit_incarnation(job->orders->kit);
    size_t n = (size_t)snprintf(text, JOB_NAME_BYTES, "touchbus-");
    for (size_t i = 0; i < LOG_BYTES; i++) {
        n += (size_t)snprintf(text + n, JOB_NAME_BYTES - n, "%02x", incarnation[i]);
    }
    snprintf(text + n, JOB_NAME_BYTES - n, "-c");
}

void party_name(struct job *job) {
    prefix_of(job, job->identifier);
    size_t n = strlen(job->identifier);
    snprintf(job->identifier + n, sizeof(job->identifier) - n, "%" PRIu64,
             touchbus_event_customer(job->event));
}

// ---- finding it

json_t *identifier_ask(struct job *job) {
    static const char *const fields[] = {"party", NULL};
    return job_search(json_pack("[[s, s, s]]", "code", "=", job->identifier), fields);
}

static bool has_verified(const struct job *job) {
    size_t i = 0;
    while (i < job->n_keys && !job->keys[i].is_verified) {
        i++;
    }
    return i < job->n_keys;
}

enum job_step identifier_take(struct job *job) {
    job->party = job_integer(json_array_get(job->reply.result, 0), "party");
    if (touchbus_event_customer(job->event) == 0) {
        return job_end(job, KIT_REJECT, "party: the order is nobody's");
    }
    if (job->party != 0) {
        return job->n_keys > 0 && !job->has_made_party ? STEP_MECHANISMS : STEP_CURRENCY;
    }
    return has_verified(job) ? STEP_KEYS : STEP_PARTY_MAKE;
}

json_t *keys_ask(struct job *job) {
    static const char *const fields[] = {"party", "type", "value_compact", NULL};
    json_t *values = json_array();
    for (size_t i = 0; i < job->n_keys; i++) {
        if (!GUARD(tryton_verified_keys) || job->keys[i].is_verified) {
            json_array_append_new(values, json_string(job->keys[i].value));
        }
    }
    return job_search(json_pack("[[s, s, [s, s, s]], [s, s, o]]", "type", "in", "phone", "mobile",
                                "email", "value_compact", "in", values),
                      fields);
}

static void add_candidate(struct job *job, json_int_t party) {
    size_t i = 0;
    while (i < job->n_parties && job->parties[i] != party) {
        i++;
    }
    if (i == job->n_parties && i < JOB_PARTIES_MAX) {
        job->parties[job->n_parties++] = party;
    }
}

// The parties that mechanisms of a kind lead to.
static void find_candidates(struct job *job, bool is_email) {
    size_t i;
    json_t *mechanism;
    json_array_foreach(job->reply.result, i, mechanism) {
        const char *type = json_string_value(json_object_get(mechanism, "type"));
        if (type != NULL && (strcmp(type, "email") == 0) == is_email) {
            add_candidate(job, job_integer(mechanism, "party"));
        }
    }
}

enum job_step keys_take(struct job *job) {
    job->n_parties = 0;
    find_candidates(job, false);
    if (job->n_parties == 0) {
        find_candidates(job, true);
    }
    return job->n_parties > 0 ? STEP_CLAIMED : STEP_PARTY_MAKE;
}

json_t *claimed_ask(struct job *job) {
    static const char *const fields[] = {"party", NULL};
    char pattern[JOB_NAME_BYTES + 1];
    json_t *parties = json_array();
    prefix_of(job, pattern);
    size_t n = strlen(pattern);
    pattern[n] = '%';
    pattern[n + 1] = '\0';
    for (size_t i = 0; i < job->n_parties; i++) {
        json_array_append_new(parties, json_integer(job->parties[i]));
    }
    return job_search(
        json_pack("[[s, s, o], [s, s, s]]", "party", "in", parties, "code", "like", pattern),
        fields);
}

static bool is_claimed(const struct job *job, json_int_t party) {
    size_t i;
    json_t *identifier;
    json_array_foreach(job->reply.result, i, identifier) {
        if (job_integer(identifier, "party") == party) {
            return true;
        }
    }
    return false;
}

// Another customer's party may have an address that is theirs: who gave it was not asked to prove
// it. Of what is left it must be one.
enum job_step claimed_take(struct job *job) {
    size_t n = 0;
    for (size_t i = 0; i < job->n_parties; i++) {
        if (!is_claimed(job, job->parties[i])) {
            job->party = job->parties[i];
            n++;
        }
    }
    if (n != 1) {
        return STEP_PARTY_MAKE;
    }
    job->is_claimed_by_key = true;
    return STEP_MECHANISMS;
}

// ---- making it, completing it

static json_t *mechanism_of(const struct job_key *key) {
    return json_pack("{s:s, s:s}", "type", strcmp(key->kind, "email") == 0 ? "email" : "phone",
                     "value", key->value);
}

static json_t *identifiers_of(const struct job *job) {
    return json_pack("[[s, [{s:s}]]]", "create", "code", job->identifier);
}

json_t *party_make_ask(struct job *job) {
    json_t *mechanisms = json_array();
    const char *name = json_string_value(json_object_get(job->order->data, "name"));
    for (size_t i = 0; i < job->n_keys; i++) {
        json_array_append_new(mechanisms, mechanism_of(&job->keys[i]));
    }
    json_t *party = json_pack("{s:s, s:o, s:[[s, [{}]]], s:[[s, o]]}", "name",
                              name != NULL && name[0] != '\0' ? name : job->identifier,
                              "identifiers", identifiers_of(job), "addresses", "create",
                              "contact_mechanisms", "create", mechanisms);
    return json_pack("[[o]]", party);
}

// By the identifier: a process that died may have made one just before, the oldest counts.
enum job_step party_make_take(struct job *job) {
    if (!job->has_made_party) {
        job_count(job, TRYTON_PARTIES, 1);
    }
    job->has_made_party = true;
    return STEP_IDENTIFIER;
}

json_t *mechanisms_ask(struct job *job) {
    static const char *const fields[] = {"value_compact", NULL};
    return job_search(json_pack("[[s, s, I]]", "party", "=", job->party), fields);
}

static bool has_mechanism(const json_t *mechanisms, const char *value) {
    size_t i;
    json_t *mechanism;
    json_array_foreach(mechanisms, i, mechanism) {
        const char *known = json_string_value(json_object_get(mechanism, "value_compact"));
        if (known != NULL && strcmp(known, value) == 0) {
            return true;
        }
    }
    return false;
}

enum job_step mechanisms_take(struct job *job) {
    json_decref(job->missing);
    job->missing = json_array();
    for (size_t i = 0; i < job->n_keys; i++) {
        if (!has_mechanism(job->reply.result, job->keys[i].value)) {
            json_array_append_new(job->missing, mechanism_of(&job->keys[i]));
        }
    }
    bool is_complete = json_array_size(job->missing) == 0 && !job->is_claimed_by_key;
    return is_complete ? STEP_CURRENCY : STEP_PARTY_WRITE;
}

json_t *party_write_ask(struct job *job) {
    json_t *values = json_object();
    if (json_array_size(job->missing) > 0) {
        json_object_set_new(values, "contact_mechanisms",
                            json_pack("[[s, O]]", "create", job->missing));
    }
    if (job->is_claimed_by_key) {
        json_object_set_new(values, "identifiers", identifiers_of(job));
    }
    return json_pack("[[I], o]", job->party, values);
}

enum job_step party_write_take(struct job *job) {
    (void)job;
    return STEP_CURRENCY;
}
