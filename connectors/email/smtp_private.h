// SPDX-License-Identifier: Apache-2.0
// What smtp.c (talking) and smtp_judge.c (what became of it) share.
#pragma once

#include <curl/curl.h>

#include "connectors/email/smtp.h"

enum step { STEP_CONNECT, STEP_LOGIN, STEP_FROM, STEP_TO, STEP_DATA, STEP_END, N_STEPS };

struct smtp {
    const struct smtp_conf *conf;
    CURL *curl;
    // Of the mail on its way.
    const struct smtp_watch *watch;
    const char *bytes;
    size_t size, done;
    enum step step;
    int code; // of the last reply but that to QUIT
    bool quitting;
    char status[16]; // its enhanced status
};

// What the server made of the mail, from what was said and how libcurl ended.
void smtp_judge(const struct smtp *smtp, CURLcode code, struct smtp_result *ret);
