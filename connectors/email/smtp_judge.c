// SPDX-License-Identifier: Apache-2.0
// The tables of what each failure means.
#include <stdio.h>
#include <string.h>

#include "connectors/email/smtp_private.h"

static const char *const step_names[] = {"connect", "login", "mail-from", "rcpt-to", "data", "end"};

static const struct {
    CURLcode code;
    const char *text;
} troubles[] = {
    {CURLE_COULDNT_RESOLVE_HOST, "the host is unknown"},
    {CURLE_COULDNT_CONNECT, "no connection"},
    {CURLE_OPERATION_TIMEDOUT, "the server does not answer in time"},
    {CURLE_SSL_CONNECT_ERROR, "TLS fails"},
    {CURLE_PEER_FAILED_VERIFICATION, "the certificate is not trusted or not this host's"},
    {CURLE_SSL_CACERT_BADFILE, "the ca-file cannot be read"},
    {CURLE_USE_SSL_FAILED, "the server does not offer STARTTLS"},
    {CURLE_LOGIN_DENIED, "the server does not take this user and password"},
    {CURLE_REMOTE_ACCESS_DENIED, "the server refuses us"},
    {CURLE_WEIRD_SERVER_REPLY, "the server's answer is no SMTP, or a refusal"},
    {CURLE_SEND_ERROR, "the connection broke, or a refusal"},
    {CURLE_RECV_ERROR, "the connection broke, or a refusal"},
    {CURLE_GOT_NOTHING, "the connection broke"},
};

static const char *trouble_text(CURLcode code) {
    for (size_t i = 0; i < sizeof(troubles) / sizeof(troubles[0]); i++) {
        if (troubles[i].code == code) {
            return troubles[i].text;
        }
    }
    return "failed";
}

// By step and class of the reply. What is not here is AWAY: nothing is said of this mail.
static const struct {
    enum step step;
    int class;
    enum smtp_outcome outcome;
} classes[] = {
    {STEP_FROM, 4, SMTP_RETRY}, {STEP_FROM, 5, SMTP_REJECTED}, {STEP_TO, 4, SMTP_RETRY},
    {STEP_TO, 5, SMTP_FAILED},  {STEP_DATA, 4, SMTP_RETRY},    {STEP_DATA, 5, SMTP_REJECTED},
    {STEP_END, 4, SMTP_RETRY},  {STEP_END, 5, SMTP_REJECTED},
};
// Codes that mean the same wherever they come (RFC 5321, 4.2.2; RFC 4954, 6).
static const struct {
    int code;
    enum smtp_outcome outcome;
} codes[] = {
    {421, SMTP_AWAY},  // closing
    {452, SMTP_RETRY}, // full
    {530, SMTP_AWAY},  // log in first
    {534, SMTP_AWAY},  {535, SMTP_AWAY},
    {538, SMTP_AWAY},  {552, SMTP_RETRY}, // full: it can be emptied
};

static enum smtp_outcome outcome_of(const struct smtp *smtp) {
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        if (codes[i].code == smtp->code) {
            return codes[i].outcome;
        }
    }
    if (strlen(smtp->status) == 5 && strcmp(smtp->status + 1, ".2.2") == 0) {
        return SMTP_RETRY; // the mailbox is full (RFC 3463, 3.3)
    }
    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
        if (classes[i].step == smtp->step && classes[i].class == smtp->code / 100) {
            return classes[i].outcome;
        }
    }
    return SMTP_AWAY;
}

void smtp_judge(const struct smtp *smtp, CURLcode code, struct smtp_result *ret) {
    if (code == CURLE_OK) {
        ret->outcome = SMTP_SENT;
        return;
    }
    bool refused = smtp->code >= 400 && code != CURLE_OPERATION_TIMEDOUT;
    ret->outcome = refused ? outcome_of(smtp) : SMTP_AWAY;
    ret->uncertain = smtp->step == STEP_END && !refused;
    snprintf(ret->status, sizeof(ret->status), "%s", smtp->status);
    const char *also = smtp->step == STEP_LOGIN ? trouble_text(CURLE_LOGIN_DENIED) : "";
    if (refused) {
        snprintf(ret->why, sizeof(ret->why), "smtp %s: %d%s%s%s%s", step_names[smtp->step],
                 smtp->code, smtp->status[0] != '\0' ? " " : "", smtp->status,
                 also[0] != '\0' ? ": " : "", also);
    } else {
        snprintf(ret->why, sizeof(ret->why), "smtp %s: %s (curl %d)", step_names[smtp->step],
                 trouble_text(code), (int)code);
    }
}
