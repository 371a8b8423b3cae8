// SPDX-License-Identifier: Apache-2.0
// Who we are at Tryton: logs in when there is no session, and learns the user's company, without
// which nothing works there. The password is read anew for each login and kept no longer; one that
// was refused is not tried again at once, since Tryton locks a user out who tries too often.
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "connectors/erp/tryton_private.h"
#include "schemas/base/base64.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"

// ---- which Tryton, and as whom

void options_clear_texts(struct tryton *tryton) {
    for (size_t i = 0; i < TRYTON_TEXTS; i++) {
        free(tryton->texts[i]);
        tryton->texts[i] = NULL;
    }
}

static bool is_same(const char *a, const char *b) {
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

int tryton_redirect(struct tryton *tryton, const struct tryton_options *options) {
    const char *const given[TRYTON_TEXTS] = {[TRYTON_URL] = options->url,
                                             [TRYTON_USER] = options->user,
                                             [TRYTON_PASSWORD_FILE] = options->password_file,
                                             [TRYTON_CA_FILE] = options->ca_file};
    char *copies[TRYTON_TEXTS] = {NULL};
    bool fails = false, is_other = false;
    for (size_t i = 0; i < TRYTON_TEXTS; i++) {
        copies[i] = given[i] != NULL ? strdup(given[i]) : NULL;
        fails = fails || (given[i] != NULL && copies[i] == NULL);
        is_other = is_other || (i != TRYTON_CA_FILE && !is_same(given[i], tryton->texts[i]));
    }
    if (!fails) {
        options_clear_texts(tryton);
        memcpy(tryton->texts, copies, sizeof(copies));
        tryton->options = *options;
        tryton->options.url = copies[TRYTON_URL];
        tryton->options.user = copies[TRYTON_USER];
        tryton->options.password_file = copies[TRYTON_PASSWORD_FILE];
        tryton->options.ca_file = copies[TRYTON_CA_FILE];
    }
    for (size_t i = 0; i < TRYTON_TEXTS && fails; i++) {
        free(copies[i]);
    }
    if (!fails && is_other) { // what was refused or failed was another one's
        session_forget(tryton);
        tryton->refused_hash = 0;
        tryton->failed_us = 0;
    }
    return fails ? -ENOMEM : 0;
}

// ---- logging in

static const char *const context_members[] = {"company", "language", "employee"};

// One request of the session itself, waited for. body is taken.
static void ask(struct tryton *tryton, char *body, struct tryton_reply *reply) {
    struct tryton_transfer transfer = {0};
    if (body == NULL || transfer_open(tryton, &transfer, body) < 0) {
        tryton_reply_fail(reply, TRYTON_AWAY, "memory is short");
    } else {
        transfer_read(&transfer, curl_easy_perform(transfer.easy), reply);
    }
    transfer_close(&transfer);
}

static char *dump(json_t *request) {
    char *body = json_dumps(request, JSON_COMPACT);
    json_decref(request);
    return body;
}

// "Authorization: Session base64(user:uid:key)"; "" where it does not fit.
static void authorize(struct tryton *tryton, json_int_t uid, const char *key) {
    char plain[TRYTON_HEADER_BYTES / 2];
    int size = snprintf(plain, sizeof(plain), "%s:%" JSON_INTEGER_FORMAT ":%s",
                        tryton->options.user, uid, key);
    _cleanup_free_ char *base64 =
        size > 0 && (size_t)size < sizeof(plain) ? base64_encode(plain, (size_t)size) : NULL;
    if (base64 != NULL) {
        snprintf(tryton->authorization, sizeof(tryton->authorization), "Authorization: Session %s",
                 base64);
    }
}

void session_forget(struct tryton *tryton) {
    tryton->authorization[0] = '\0';
}

// Whatever it was: nobody can do anything there.
static bool fail(struct tryton *tryton, struct tryton_reply *reply) {
    session_forget(tryton);
    json_decref(reply->result);
    reply->result = NULL;
    reply->class = TRYTON_AWAY;
    tryton->failed_us = clock_monotonic_us();
    memcpy(tryton->failed_words, reply->words, sizeof(tryton->failed_words));
    return false;
}

// A moment ago: calls that start together wait once, not one after another.
static bool has_failed(const struct tryton *tryton) {
    return tryton->failed_us != 0 &&
           clock_monotonic_us() - tryton->failed_us < TRYTON_FAILED_MS * CLOCK_US_PER_MS;
}

// The user's company and language, sent with each call from now on.
static bool learn(struct tryton *tryton, struct tryton_reply *reply) {
    ask(tryton,
        dump(
            json_pack("{s:s, s:[b, {}]}", "method", "model.res.user.get_preferences", "params", 1)),
        reply);
    if (reply->class != TRYTON_DONE) {
        return fail(tryton, reply);
    }
    json_decref(tryton->context);
    tryton->context = json_object();
    for (size_t i = 0; i < sizeof(context_members) / sizeof(context_members[0]); i++) {
        json_t *member = json_object_get(reply->result, context_members[i]);
        if (member != NULL && !json_is_null(member)) {
            json_object_set(tryton->context, context_members[i], member);
        }
    }
    tryton_reply_clear(reply);
    if (!json_is_integer(json_object_get(tryton->context, "company"))) {
        tryton_reply_fail(reply, TRYTON_AWAY, "the ERP's user has no company: set one there");
        return fail(tryton, reply);
    }
    return true;
}

// Whether this password was refused a moment ago.
static bool was_refused(const struct tryton *tryton, uint64_t hash) {
    return GUARD(tryton_refused_password) && tryton->refused_hash == hash &&
           clock_monotonic_us() - tryton->refused_us < TRYTON_LOGIN_WAIT_S * CLOCK_US_PER_S;
}

static void say_refused(struct tryton_reply *reply) {
    tryton_reply_fail(reply, TRYTON_AWAY,
                      "the ERP refuses the user or the password; tried again after %d s, or when "
                      "the password has changed",
                      TRYTON_LOGIN_WAIT_S);
}

static bool login(struct tryton *tryton, const struct kit_secret *password,
                  struct tryton_reply *reply) {
    uint64_t hash = XXH3_64bits(password->text, password->size);
    if (was_refused(tryton, hash)) {
        say_refused(reply);
        return fail(tryton, reply);
    }
    ask(tryton,
        dump(json_pack("{s:s, s:[s, {s:s}]}", "method", "common.db.login", "params",
                       tryton->options.user, "password", password->text)),
        reply);
    json_int_t uid = json_integer_value(json_array_get(reply->result, 0));
    const char *key = json_string_value(json_array_get(reply->result, 1));
    if (reply->class == TRYTON_DONE && key != NULL) {
        authorize(tryton, uid, key);
        tryton->refused_hash = 0;
        tryton->uid = uid;
        tryton->session++;
    } else if (reply->class == TRYTON_LOGIN) {
        say_refused(reply);
        tryton->refused_hash = hash;
        tryton->refused_us = clock_monotonic_us();
    } else if (reply->class == TRYTON_DONE) {
        tryton_reply_clear(reply);
        tryton_reply_fail(reply, TRYTON_AWAY, "the login's answer is not Tryton's");
    }
    tryton_reply_clear(reply);
    return tryton->authorization[0] != '\0' ? learn(tryton, reply) : fail(tryton, reply);
}

bool session_open(struct tryton *tryton, struct tryton_reply *reply) {
    if (tryton->authorization[0] != '\0') {
        return true;
    }
    if (has_failed(tryton)) {
        tryton_reply_fail(reply, TRYTON_AWAY, "%s", tryton->failed_words);
        return false;
    }
    _cleanup_(kit_secret_clear) struct kit_secret password = {0};
    char why[KIT_SECRET_WHY_BYTES];
    int r =
        kit_secret_read(tryton->options.password_file, TRYTON_PASSWORD_VARIABLE, &password, why);
    if (r != 0) {
        tryton_reply_fail(reply, TRYTON_AWAY, "%s",
                          r == KIT_NO_SECRET
                              ? "no password: neither --password-file nor " TRYTON_PASSWORD_VARIABLE
                                " is set"
                              : why);
        return false;
    }
    bool is_open = login(tryton, &password, reply);
    if (is_open) {
        logging_info("tryton=session user=%s session=%" PRIu64, tryton->options.user,
                     tryton->session);
    }
    return is_open;
}

// ---- telling

// Texts that differ in numbers alone: curl tells how long it took.
static bool says_the_same(const char *a, const char *b) {
    static const char digits[] = "0123456789";
    a += strspn(a, digits);
    b += strspn(b, digits);
    while (*a != '\0' && *a == *b) {
        a += 1 + strspn(a + 1, digits);
        b += 1 + strspn(b + 1, digits);
    }
    return *a == *b;
}

void session_note(struct tryton *tryton, const struct tryton_reply *reply) {
    if (reply->class != TRYTON_AWAY) {
        if (tryton->away_words[0] != '\0') {
            logging_info("tryton=back");
        }
        tryton->away_words[0] = '\0';
    } else if (!says_the_same(tryton->away_words, reply->words)) {
        logging_warning("tryton=away error=\"%s\"", reply->words);
        memcpy(tryton->away_words, reply->words, sizeof(tryton->away_words));
    }
}
