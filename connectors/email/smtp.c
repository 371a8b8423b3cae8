// SPDX-License-Identifier: Apache-2.0
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/email/smtp_private.h"
#include "connectors/kit/secret.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/guards.h"

int smtp_new(const struct smtp_conf *conf, struct smtp **ret) {
    struct smtp *smtp = calloc(1, sizeof(*smtp));
    if (smtp == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(smtp);
        return -ENOMEM;
    }
    smtp->conf = conf;
    smtp->curl = curl_easy_init();
    if (smtp->curl == NULL) {
        smtp_free(smtp);
        return -ENOMEM;
    }
    *ret = smtp;
    return 0;
}

struct smtp *smtp_free(struct smtp *smtp) {
    if (smtp != NULL) {
        curl_easy_cleanup(smtp->curl);
        free(smtp);
    }
    return NULL;
}

// ---- what libcurl tells

static size_t give(char *buffer, size_t size, size_t n, void *user) {
    struct smtp *smtp = user;
    size_t room = size * n, left = smtp->size - smtp->done;
    size_t given = left < room ? left : room;
    if (given == 0) { // its end is what goes next
        if (smtp->step != STEP_END && smtp->watch->end(smtp->watch->user) != 0) {
            return CURL_READFUNC_ABORT;
        }
        smtp->step = STEP_END;
        return 0;
    }
    memcpy(buffer, smtp->bytes + smtp->done, given);
    smtp->done += given;
    return given;
}

static int beat(void *user, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d) {
    const struct smtp *smtp = user;
    (void)a, (void)b, (void)c, (void)d;
    smtp->watch->beat(smtp->watch->user);
    return 0;
}

static void note_command(struct smtp *smtp, const char *line, size_t size) {
    static const char quit[] = "QUIT";
    static const struct {
        const char *verb;
        enum step step;
    } verbs[] = {{"AUTH", STEP_LOGIN}, {"MAIL", STEP_FROM}, {"RCPT", STEP_TO}, {"DATA", STEP_DATA}};
    smtp->quitting = size >= 4 && strncasecmp(line, quit, 4) == 0;
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (size >= 4 && strncasecmp(line, verbs[i].verb, 4) == 0) {
            smtp->step = verbs[i].step;
            smtp->code = 0;
            smtp->status[0] = '\0';
        }
    }
}

static bool are_digits(const char *text, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (!isdigit((unsigned char)text[i])) {
            return false;
        }
    }
    return true;
}

// "550 5.1.1 <...> no such user": the numbers alone, the rest may name somebody.
static void note_reply(struct smtp *smtp, const char *line, size_t size) {
    if (smtp->quitting || size < 4 || !are_digits(line, 3)) {
        return;
    }
    smtp->code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + line[2] - '0';
    smtp->status[0] = '\0';
    size_t n = 4;
    while (n < size && n - 4 < sizeof(smtp->status) - 1 &&
           (isdigit((unsigned char)line[n]) || line[n] == '.')) {
        n++;
    }
    if (n - 4 >= 5 && line[5] == '.' && line[4] == line[0]) {
        snprintf(smtp->status, sizeof(smtp->status), "%.*s", (int)(n - 4), line + 4);
    }
}

// Sees passwords, too, and keeps nothing but what the two above take.
static int listen_in(CURL *curl, curl_infotype type, char *data, size_t size, void *user) {
    (void)curl;
    if (type == CURLINFO_HEADER_OUT) {
        note_command(user, data, size);
    } else if (type == CURLINFO_HEADER_IN) {
        note_reply(user, data, size);
    }
    return 0;
}

// ---- sending

static void set_transport(struct smtp *smtp) {
    const struct smtp_conf *conf = smtp->conf;
    CURL *curl = smtp->curl;
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)SMTP_CONNECT_MS_MAX);
    curl_easy_setopt(curl, CURLOPT_SERVER_RESPONSE_TIMEOUT, ((long)conf->answer_ms + 999) / 1000);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)SMTP_SEND_MS_MAX);
    curl_easy_setopt(curl, CURLOPT_USE_SSL,
                     (long)(conf->plaintext        ? CURLUSESSL_NONE
                            : GUARD(smtp_starttls) ? CURLUSESSL_ALL
                                                   : CURLUSESSL_TRY));
    bool verifies = GUARD(smtp_certificate) && !conf->trust.no_verify;
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, verifies ? 1L : 0L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, verifies ? 2L : 0L);
    if (conf->trust.ca_file != NULL) {
        curl_easy_setopt(curl, CURLOPT_CAINFO, conf->trust.ca_file);
        curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
    }
}

static void set_callbacks(struct smtp *smtp) {
    CURL *curl = smtp->curl;
    curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, give);
    curl_easy_setopt(curl, CURLOPT_READDATA, smtp);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, beat);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, smtp);
    curl_easy_setopt(curl, CURLOPT_VERBOSE, 1L);
    curl_easy_setopt(curl, CURLOPT_DEBUGFUNCTION, listen_in);
    curl_easy_setopt(curl, CURLOPT_DEBUGDATA, smtp);
}

static int set_url(struct smtp *smtp) {
    const struct endpoint *endpoint = &smtp->conf->endpoint;
    char url[2 * ENDPOINT_TEXT_BYTES + 32];
    bool v6 = strchr(endpoint->host, ':') != NULL;
    snprintf(url, sizeof(url), "%s://%s%s%s:%s/%s", endpoint->tls ? "smtps" : "smtp", v6 ? "[" : "",
             endpoint->host, v6 ? "]" : "", endpoint->port, smtp->conf->hello);
    return curl_easy_setopt(smtp->curl, CURLOPT_URL, url) == CURLE_OK ? 0 : -ENOMEM;
}

// 0, or after why was set. Read for each mail, so that a password that was put right needs no
// restart; what libcurl copied of it goes with its next reset.
static int set_login(struct smtp *smtp, struct smtp_result *ret) {
    _cleanup_(kit_secret_clear) struct kit_secret password;
    char why[KIT_SECRET_WHY_BYTES];
    if (smtp->conf->endpoint.user[0] == '\0') {
        return 0;
    }
    int r = kit_secret_read(smtp->conf->password_file, SMTP_PASSWORD_VARIABLE, &password, why);
    if (r != 0) {
        ret->outcome = SMTP_AWAY;
        snprintf(ret->why, sizeof(ret->why), "smtp login: %.150s",
                 r == KIT_NO_SECRET ? "there is no password: smtp-password-file" : why);
        return -EACCES;
    }
    curl_easy_setopt(smtp->curl, CURLOPT_USERNAME, smtp->conf->endpoint.user);
    curl_easy_setopt(smtp->curl, CURLOPT_PASSWORD, password.text);
    return 0;
}

// A connection kept for too long may be no more: that says nothing of the server.
static bool was_stale(const struct smtp *smtp, CURLcode code) {
    long connects = 1;
    curl_easy_getinfo(smtp->curl, CURLINFO_NUM_CONNECTS, &connects);
    return (code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR) && connects == 0 &&
           smtp->code == 0 && smtp->step <= STEP_FROM;
}

static CURLcode perform(struct smtp *smtp, const char *from, const char *to) {
    char sender[ENDPOINT_TEXT_BYTES + 8], recipient[ENDPOINT_TEXT_BYTES + 8];
    snprintf(sender, sizeof(sender), "<%s>", from);
    snprintf(recipient, sizeof(recipient), "<%s>", to);
    struct curl_slist *recipients = curl_slist_append(NULL, recipient);
    curl_easy_setopt(smtp->curl, CURLOPT_MAIL_FROM, sender);
    curl_easy_setopt(smtp->curl, CURLOPT_MAIL_RCPT, recipients);
    CURLcode code = recipients == NULL ? CURLE_OUT_OF_MEMORY : curl_easy_perform(smtp->curl);
    if (was_stale(smtp, code)) {
        curl_easy_setopt(smtp->curl, CURLOPT_FRESH_CONNECT, 1L);
        smtp->step = STEP_CONNECT;
        smtp->quitting = false;
        code = curl_easy_perform(smtp->curl);
    }
    curl_easy_setopt(smtp->curl, CURLOPT_MAIL_RCPT, NULL);
    curl_slist_free_all(recipients);
    return code;
}

void smtp_send(struct smtp *smtp, const char *from, const char *to, const char *bytes, size_t size,
               const struct smtp_watch *watch, struct smtp_result *ret) {
    *ret = (struct smtp_result){.outcome = SMTP_AWAY};
    smtp->watch = watch;
    smtp->bytes = bytes;
    smtp->size = size;
    smtp->done = 0;
    smtp->step = STEP_CONNECT;
    smtp->code = 0;
    smtp->quitting = false;
    smtp->status[0] = '\0';
    curl_easy_reset(smtp->curl); // the connection stays
    set_transport(smtp);
    set_callbacks(smtp);
    if (set_url(smtp) != 0) {
        snprintf(ret->why, sizeof(ret->why), "smtp: out of memory");
    } else if (set_login(smtp, ret) == 0) {
        smtp_judge(smtp, perform(smtp, from, to), ret);
        curl_easy_reset(smtp->curl); // and with it its copy of the password
    }
}
