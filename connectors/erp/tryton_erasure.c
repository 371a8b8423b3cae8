// SPDX-License-Identifier: Apache-2.0
// A person who is erased: their parties lose name, addresses, contact mechanisms and foreign
// identifiers, and are deactivated. The party itself, its sales and invoices stay: the ERP does not
// delete what its books refer to. The touchbus identifier stays as well, it names nobody any more
// and a repeat finds by it that nothing is left to do.
#include <stdio.h>
#include <string.h>

#include "connectors/erp/tryton_job.h"

#define ERASED_NAME "(erased)"

// What is deactivated counts, too.
json_t *erase_context(const struct job *job) {
    (void)job;
    return json_pack("{s:b}", "active_test", 0);
}

json_t *erase_ask(struct job *job) {
    return identifier_ask(job);
}

enum job_step erase_take(struct job *job) {
    size_t i;
    json_t *row;
    job->n_parties = job->party_index = 0;
    if (json_array_size(job->reply.result) > JOB_PARTIES_MAX) {
        return job_end(job, KIT_REJECT, "erase: more than %d parties have %s", JOB_PARTIES_MAX,
                       job->identifier);
    }
    json_array_foreach(job->reply.result, i, row) {
        job->parties[job->n_parties++] = job_integer(row, "party");
    }
    return job->n_parties > 0 ? STEP_ERASE_PARTY : job_end(job, KIT_DELIVERED, "%s", "");
}

json_t *erase_party_ask(struct job *job) {
    static const char *const fields[] = {"name",        "active",           "contact_mechanisms",
                                         "identifiers", "identifiers.code", "addresses",
                                         NULL};
    return job_search(json_pack("[[s, s, I]]", "id", "=", job->parties[job->party_index]), fields);
}

enum job_step erase_party_take(struct job *job) {
    json_decref(job->party_found);
    job->party_found = json_incref(json_array_get(job->reply.result, 0));
    return job->party_found != NULL ? STEP_ERASE_WRITE : erase_write_take(job);
}

// Ids of identifiers that are not ours.
static json_t *foreign_identifiers(const struct job *job) {
    static const char ours[] = "touchbus-";
    size_t i;
    json_t *identifier, *ids = json_array();
    json_array_foreach(json_object_get(job->party_found, "identifiers."), i, identifier) {
        const char *code = json_string_value(json_object_get(identifier, "code"));
        if (code == NULL || strncmp(code, ours, strlen(ours)) != 0) {
            json_array_append(ids, json_object_get(identifier, "id"));
        }
    }
    return ids;
}

json_t *erase_write_ask(struct job *job) {
    static const char *const cleared[] = {"party_name", "name",    "street",     "postal_code",
                                          "city",       "country", "subdivision"};
    json_t *address = json_pack("{s:b}", "active", 0);
    for (size_t i = 0; i < sizeof(cleared) / sizeof(cleared[0]); i++) {
        json_object_set_new(address, cleared[i], json_null());
    }
    json_t *none = json_array();
    json_t *mechanisms = json_object_get(job->party_found, "contact_mechanisms");
    json_t *addresses = json_object_get(job->party_found, "addresses");
    json_t *values = json_pack("{s:s, s:b, s:[[s, O]], s:[[s, O, o]], s:[[s, o]]}", "name",
                               ERASED_NAME, "active", 0, "contact_mechanisms", "delete",
                               mechanisms != NULL ? mechanisms : none, "addresses", "write",
                               addresses != NULL ? addresses : none, address, "identifiers",
                               "delete", foreign_identifiers(job));
    json_decref(none);
    return json_pack("[[I], o]", job->parties[job->party_index], values);
}

enum job_step erase_write_take(struct job *job) {
    job_count(job, TRYTON_ERASED, 1);
    job->party_index++;
    return job->party_index < job->n_parties ? STEP_ERASE_PARTY
                                             : job_end(job, KIT_DELIVERED, "%s", "");
}
