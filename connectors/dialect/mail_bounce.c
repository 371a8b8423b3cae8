// SPDX-License-Identifier: Apache-2.0
// What became of a message that was sent: delivery status notifications (RFC 3464), and what mail
// servers wrote before and beside them: a mail from nobody that holds, or quotes, what it returns.
// A bounce is believed as far as it names the message: whoever knows a Message-ID can forge one.
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "connectors/dialect/mail_private.h"

enum { STATUS_BYTES_MAX = 15, STATUS_GROUPS_MAX = 256 };

// ---- by the standard

static const char *outcome_of(const char *action) {
    static const struct {
        const char *action, *outcome;
    } rows[] = {{"failed", "bounced"},
                {"delayed", "delayed"},
                {"delivered", "delivered"},
                {"relayed", "delivered"},
                {"expanded", "delivered"}};
    for (size_t i = 0; action != NULL && i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (mail_word_is(action, (const char *const[]){rows[i].action, NULL})) {
            return rows[i].outcome;
        }
    }
    return NULL;
}

// "5.1.1" at the beginning of a text; its size, 0 where there is none (RFC 3463, 2).
static size_t status_size(const char *text) {
    size_t n = strchr("245", text[0]) != NULL && text[0] != '\0' ? 1 : 0;
    for (int i = 0; n > 0 && i < 2; i++) {
        size_t digits = text[n] != '.' ? 0 : strspn(text + n + 1, "0123456789");
        n = digits == 0 || digits > 3 ? 0 : n + 1 + digits;
    }
    return n > 0 && n <= STATUS_BYTES_MAX && text[n] != '.' && !isalnum((unsigned char)text[n]) ? n
                                                                                                : 0;
}

static const char *status_kept(struct mail_parsing *parsing, const char *text) {
    size_t n = text == NULL ? 0 : status_size(text);
    char *status = n == 0 ? NULL : arena_calloc(parsing->arena, 1, n + 1);
    return status == NULL ? "" : memcpy(status, text, n);
}

// "rfc822; user@example.com" -> the address; the first one of several.
static const char *recipient_kept(struct mail_parsing *parsing, const char *value) {
    struct mail_addresses addresses = {0};
    const char *text = value == NULL ? "" : value;
    const char *type = strchr(text, ';');
    _cleanup_gfree_ char *kept = g_strndup(type == NULL ? text : type + 1, MAIL_VALUE_BYTES_MAX);
    int r = mail_addresses_add(parsing, kept, &addresses);
    return r == 0 && addresses.n > 0 ? addresses.list[0].address : "";
}

static void add_report(struct mail_parsing *parsing, const struct mail_report *report) {
    struct mail *mail = parsing->mail;
    if (mail->reports == NULL) {
        mail->reports = arena_calloc(parsing->arena, MAIL_REPORTS_MAX, sizeof(*mail->reports));
    }
    if (mail->reports != NULL && mail->n_reports < MAIL_REPORTS_MAX) {
        mail->reports[mail->n_reports++] = *report;
    }
}

static void read_group(struct mail_parsing *parsing, const char *group, size_t size) {
    _cleanup_gfree_ char *action = mail_field(group, size, "Action");
    _cleanup_gfree_ char *status = mail_field(group, size, "Status");
    _cleanup_gfree_ char *final = mail_field(group, size, "Final-Recipient");
    _cleanup_gfree_ char *original = mail_field(group, size, "Original-Recipient");
    const char *outcome = outcome_of(action);
    if (outcome == NULL) {
        return;
    }
    struct mail_report report = {.outcome = outcome,
                                 .status = status_kept(parsing, status),
                                 .recipient = recipient_kept(parsing, final),
                                 .original_recipient = recipient_kept(parsing, original)};
    add_report(parsing, &report);
}

// The groups of a delivery status are told apart by blank lines.
static void read_status(struct mail_parsing *parsing) {
    const char *at = parsing->status->str, *end = at + parsing->status->len;
    for (size_t i = 0; i < STATUS_GROUPS_MAX && at < end; i++) {
        while (at < end && (*at == '\r' || *at == '\n')) {
            at++;
        }
        read_group(parsing, at, (size_t)(end - at));
        const char *blank = at;
        while (blank < end) {
            const char *next = memchr(blank, '\n', (size_t)(end - blank));
            blank = next == NULL ? end : next + 1;
            if (blank < end && (*blank == '\n' || *blank == '\r')) {
                break;
            }
        }
        at = blank;
    }
}

// ---- beside the standard

// Quoted, or below a line that says so: "> Message-ID: <...>".
static const char *quoted_id(struct mail_parsing *parsing) {
    static const char name[] = "message-id:";
    const char *found = NULL;
    char contact_id[MAIL_ID_BYTES_MAX + 1];
    for (const char *at = parsing->text->str; at != NULL && *at != '\0';) {
        const char *line = at + strspn(at, " \t>");
        if (strncasecmp(line, name, sizeof(name) - 1) == 0) {
            const char *id = mail_id(parsing, line + sizeof(name) - 1);
            if (mail_contact_id(parsing->conf, id, contact_id) == 0) {
                return id; // ours beats what others quote
            }
            found = found != NULL ? found : id;
        }
        at = strchr(line, '\n');
        at = at == NULL ? NULL : at + 1;
    }
    return found;
}

// The first thing in the text that looks like an enhanced status code: "550 5.1.1", "(#5.1.1)".
static const char *quoted_status(struct mail_parsing *parsing) {
    const char *text = parsing->text->str;
    for (const char *at = text; *at != '\0'; at++) {
        bool begins = at == text || strchr(" \t\n#(:-", at[-1]) != NULL;
        if (begins && status_size(at) > 0) {
            return status_kept(parsing, at);
        }
    }
    return "";
}

// Postmasters are persons, too, so that only what is returned makes theirs a bounce.
bool mail_is_daemon(const struct mail *mail, bool postmaster) {
    static const char *const names[] = {"mailer-daemon", "mail-daemon", "postmaster"};
    size_t n = sizeof(names) / sizeof(names[0]) - !postmaster;
    const char *at = strrchr(mail->from.address, '@');
    for (size_t i = 0; at != NULL && i < n; i++) {
        if (strlen(names[i]) == (size_t)(at - mail->from.address) &&
            strncasecmp(names[i], mail->from.address, strlen(names[i])) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_from_nobody(struct mail_parsing *parsing) {
    const char *path = mail_header(parsing, "Return-Path");
    const char *submitted = mail_header(parsing, "Auto-Submitted");
    bool is_null = path != NULL && strstr(path, "<>") != NULL;
    bool is_reply =
        submitted != NULL && mail_word_is(submitted, (const char *const[]){"auto-replied", NULL});
    return mail_is_daemon(parsing->mail, true) || (is_null && !is_reply);
}

static bool is_delay(const char *subject, const char *status) {
    static const char *const words[] = {"delay", "warning", "still being retried"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasestr(subject, words[i]) != NULL) {
            return true;
        }
    }
    return status[0] == '4' && strcasestr(subject, "fail") == NULL;
}

static void read_unusual(struct mail_parsing *parsing) {
    struct mail *mail = parsing->mail;
    const GString *returned = parsing->returned;
    _cleanup_gfree_ char *to =
        returned == NULL ? NULL : mail_field(returned->str, returned->len, "To");
    const char *failed = mail_header(parsing, "X-Failed-Recipients");
    if (mail->original == NULL) {
        mail->original = quoted_id(parsing);
    }
    if (mail->original == NULL) {
        return;
    }
    const char *status = quoted_status(parsing);
    struct mail_report report = {
        .outcome = is_delay(mail->subject, status) ? "delayed" : "bounced",
        .status = status,
        .recipient = recipient_kept(parsing, failed != NULL ? failed : to),
        .original_recipient = "",
    };
    add_report(parsing, &report);
}

int mail_read_bounce(struct mail_parsing *parsing) {
    struct mail *mail = parsing->mail;
    const GString *returned = parsing->returned;
    bool is_unusual = parsing->status == NULL && is_from_nobody(parsing);
    if (parsing->status == NULL && !is_unusual) {
        return 0;
    }
    if (returned != NULL) {
        _cleanup_gfree_ char *id = mail_field(returned->str, returned->len, "Message-ID");
        mail->original = mail_id(parsing, id);
    }
    if (parsing->status != NULL) {
        read_status(parsing);
        if (mail->original == NULL) {
            mail->original = quoted_id(parsing);
        }
    }
    if (mail->n_reports == 0 && is_from_nobody(parsing)) {
        read_unusual(parsing);
    }
    if (mail->n_reports == 0) {
        mail->original = NULL;
        return 0;
    }
    mail->kind = MAIL_BOUNCE;
    return 0;
}
