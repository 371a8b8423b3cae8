// SPDX-License-Identifier: Apache-2.0
#include "connectors/email/imap_session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/kit/secret.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/guards.h"

// What libetpan calls it, and what that is to us.
static const struct {
    int code, error;
    const char *text;
} failures[] = {
    {MAILIMAP_ERROR_STREAM, -ECONNRESET, "the connection broke"},
    {MAILIMAP_ERROR_PARSE, -EPROTO, "the server's answer is no IMAP"},
    {MAILIMAP_ERROR_PROTOCOL, -EPROTO, "the server's answer is no IMAP"},
    {MAILIMAP_ERROR_FATAL, -ECONNRESET, "the server says goodbye"},
    {MAILIMAP_ERROR_DONT_ACCEPT_CONNECTION, -ECONNREFUSED, "the server takes no connections"},
    {MAILIMAP_ERROR_MEMORY, -ENOMEM, "out of memory"},
    {MAILIMAP_ERROR_LOGIN, -EACCES, "the server does not take this user and password"},
    {MAILIMAP_ERROR_STARTTLS, -EPERM, "the server does not offer STARTTLS"},
    {MAILIMAP_ERROR_SELECT, -ENODEV, "the mailbox cannot be opened"},
    {MAILIMAP_ERROR_EXAMINE, -ENODEV, "the mailbox cannot be opened"},
};

int imap_fail(struct imap *imap, const char *step, int code) {
    size_t i = 0;
    while (i < sizeof(failures) / sizeof(failures[0]) && failures[i].code != code) {
        i++;
    }
    bool known = i < sizeof(failures) / sizeof(failures[0]);
    const char *stream_says = stream_why(imap->stream);
    if (stream_says[0] != '\0') {
        snprintf(imap->why, sizeof(imap->why), "%s: %s", step, stream_says);
    } else {
        snprintf(imap->why, sizeof(imap->why), "%s: %s (%d)", step,
                 known ? failures[i].text : "the server refuses it", code);
    }
    stream_break(imap->stream);
    return known ? failures[i].error : -EIO;
}

bool imap_went_well(int code) {
    return code == MAILIMAP_NO_ERROR || code == MAILIMAP_NO_ERROR_AUTHENTICATED ||
           code == MAILIMAP_NO_ERROR_NON_AUTHENTICATED;
}

void imap_allow(struct imap *imap) {
    stream_allow(imap->stream, imap->answer_ms, IMAP_ANSWER_BYTES_MAX);
}

// ---- opening

static int ask_capabilities(struct imap *imap) {
    struct mailimap_capability_data *capabilities = NULL;
    imap_allow(imap);
    int code = mailimap_capability(imap->session, &capabilities);
    if (capabilities != NULL) {
        mailimap_capability_data_free(capabilities);
    }
    return imap_went_well(code) ? 0 : imap_fail(imap, "capability", code);
}

static int start_tls(struct imap *imap, const struct imap_conf *conf) {
    imap_allow(imap);
    int code = mailimap_starttls(imap->session);
    // What came in the clear behind that answer would be read as if it had come by TLS
    // (CVE-2020-15953); libetpan refuses it as well, under the name of a server without STARTTLS.
    if (GUARD(mail_injected) && imap->session->imap_stream->read_buffer_len > 0) {
        snprintf(imap->why, sizeof(imap->why),
                 "starttls: more came in the clear with the answer: somebody may be in between");
        stream_break(imap->stream);
        return -EPERM;
    }
    if (!imap_went_well(code)) { // NO, or BAD of who does not know the command
        return imap_fail(imap, "starttls",
                         code == MAILIMAP_ERROR_PROTOCOL ? MAILIMAP_ERROR_STARTTLS : code);
    }
    return stream_start_tls(imap->stream, conf->endpoint.host, &conf->trust, imap->why);
}

static int log_in(struct imap *imap, const struct imap_conf *conf) {
    _cleanup_(kit_secret_clear) struct kit_secret password;
    char why[KIT_SECRET_WHY_BYTES];
    int r = kit_secret_read(conf->password_file, IMAP_PASSWORD_VARIABLE, &password, why);
    if (r != 0) {
        snprintf(imap->why, sizeof(imap->why), "password: %.200s",
                 r == KIT_NO_SECRET ? "there is none: imap-password-file" : why);
        stream_break(imap->stream);
        return r == KIT_NO_SECRET ? -EACCES : r;
    }
    imap_allow(imap);
    int code = mailimap_login(imap->session, conf->endpoint.user, password.text);
    return imap_went_well(code) ? 0 : imap_fail(imap, "login", code);
}

static int open_mailbox(struct imap *imap, const struct imap_conf *conf) {
    const char *mailbox = conf->endpoint.mailbox[0] != '\0' ? conf->endpoint.mailbox : "INBOX";
    imap_allow(imap);
    int code = conf->writable ? mailimap_select(imap->session, mailbox)
                              : mailimap_examine(imap->session, mailbox);
    if (!imap_went_well(code)) {
        return imap_fail(imap, "mailbox", code);
    }
    return imap_uidvalidity(imap) != 0 ? 0 : imap_fail(imap, "mailbox", MAILIMAP_ERROR_PROTOCOL);
}

static int greet(struct imap *imap, const struct imap_conf *conf) {
    mailstream *mail = stream_mail(imap->stream);
    if (mail == NULL) {
        return -ENOMEM;
    }
    imap_allow(imap);
    int code = mailimap_connect(imap->session, mail);
    int r = imap_went_well(code) ? 0 : imap_fail(imap, "greeting", code);
    if (GUARD(imap_starttls) && r == 0 && !conf->endpoint.tls && !conf->plaintext) {
        r = start_tls(imap, conf);
    }
    r = r != 0 || code == MAILIMAP_NO_ERROR_AUTHENTICATED ? r : log_in(imap, conf);
    r = r != 0 ? r : ask_capabilities(imap); // what it can may depend on who we are
    r = r != 0 ? r : open_mailbox(imap, conf);
    imap->idle = r == 0 && mailimap_has_idle(imap->session) != 0;
    return r;
}

int imap_open(const struct imap_conf *conf, int wake_fd, char why[IMAP_WHY_BYTES],
              struct imap **ret) {
    struct imap *imap = calloc(1, sizeof(*imap));
    mailimap *session = imap == NULL ? NULL : mailimap_new(0, NULL);
    if (session == NULL) {
        free(imap);
        snprintf(why, IMAP_WHY_BYTES, "out of memory");
        return -ENOMEM;
    }
    imap->session = session;
    imap->answer_ms = conf->answer_ms;
    int r =
        stream_open(conf->endpoint.host, conf->endpoint.port, wake_fd, imap->why, &imap->stream);
    if (r == 0 && conf->endpoint.tls) {
        r = stream_start_tls(imap->stream, conf->endpoint.host, &conf->trust, imap->why);
    }
    r = r != 0 ? r : greet(imap, conf);
    if (r != 0) {
        snprintf(why, IMAP_WHY_BYTES, "%s", imap->why);
        imap_close(imap);
        return r;
    }
    *ret = imap;
    return 0;
}

struct imap *imap_close(struct imap *imap) {
    if (imap == NULL) {
        return NULL;
    }
    bool has_stream = imap->session->imap_stream != NULL;
    if (imap->stream != NULL) {
        stream_break(imap->stream);
    }
    mailimap_free(imap->session); // and the stream with it, once it was handed over
    if (!has_stream) {
        stream_free(imap->stream);
    }
    free(imap);
    return NULL;
}

uint32_t imap_uidvalidity(const struct imap *imap) {
    const struct mailimap_selection_info *info = imap->session->imap_selection_info;
    return info == NULL ? 0 : info->sel_uidvalidity;
}

uint32_t imap_uidnext(const struct imap *imap) {
    const struct mailimap_selection_info *info = imap->session->imap_selection_info;
    return info == NULL ? 0 : info->sel_uidnext;
}

const char *imap_why(const struct imap *imap) {
    return imap->why;
}

bool imap_has_idle(const struct imap *imap) {
    return imap->idle;
}
