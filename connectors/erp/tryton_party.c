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

// The one party that all mechanisms of a kind lead to; 0: none, -1: several.
static json_int_t party_by(const struct job *job, bool is_email) {
    size_t i;
    json_t *mechanism;
    json_int_t party = 0;
    json_array_foreach(job->reply.result, i, mechanism) {
        const char *type = json_string_value(json_object_get(mechanism, "type"));
        if (type != NULL && (strcmp(type, "email") == 0) == is_email) {
            json_int_t one = job_integer(mechanism, "party");
            party = party == 0 || party == one ? one : -1;
        }
    }
    return party;
}

enum job_step keys_take(struct job *job) {
    json_int_t party = party_by(job, false);
    party = party == 0 ? party_by(job, true) : party;
    job->party = party;
    return party > 0 ? STEP_CLAIMED : STEP_PARTY_MAKE;
}

json_t *claimed_ask(struct job *job) {
    static const char *const fields[] = {"code", NULL};
    char pattern[JOB_NAME_BYTES + 1];
    prefix_of(job, pattern);
    size_t n = strlen(pattern);
    pattern[n] = '%';
    pattern[n + 1] = '\0';
    return job_search(
        json_pack("[[s, s, I], [s, s, s]]", "party", "=", job->party, "code", "like", pattern),
        fields);
}

enum job_step claimed_take(struct job *job) {
    if (json_array_size(job->reply.result) > 0) {
        return STEP_PARTY_MAKE; // another customer's
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
