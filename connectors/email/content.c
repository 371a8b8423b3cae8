// SPDX-License-Identifier: Apache-2.0
#include "connectors/email/content.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/email/durable.h"
#include "schemas/base/cleanup.h"

static const char name_mark[] = "{name}";

// Neither leads elsewhere, nor is hidden.
static bool is_plain(const char *text) {
    return *text != '\0' && *text != '.' && strlen(text) < NAME_MAX / 2 &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
               strlen(text);
}

static int read_text(int folder_fd, const char *content_id, const char *language, char **ret,
                     size_t *ret_size) {
    char file[NAME_MAX + 1];
    int r = -ENOENT;
    for (size_t n = strlen(language); r == -ENOENT && n > 0 && is_plain(language);) {
        snprintf(file, sizeof(file), "%s.%.*s.txt", content_id, (int)n, language);
        r = durable_read(folder_fd, file, ret, ret_size);
        while (n > 0 && language[--n] != '-') { // "pt-BR", then "pt"
        }
    }
    if (r == -ENOENT) {
        snprintf(file, sizeof(file), "%s.txt", content_id);
        r = durable_read(folder_fd, file, ret, ret_size);
    }
    return r;
}

// The name goes where it is marked; without one a blank before the mark goes, too.
static char *put_name(const char *text, const char *name) {
    char *filled = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&filled, &size);
    if (out == NULL) {
        return NULL;
    }
    for (const char *mark; (mark = strstr(text, name_mark)) != NULL;) {
        size_t n = (size_t)(mark - text);
        n -= *name == '\0' && n > 0 && text[n - 1] == ' ';
        fwrite(text, 1, n, out);
        fputs(name, out);
        text = mark + sizeof(name_mark) - 1;
    }
    fputs(text, out);
    if (fclose(out) != 0) {
        free(filled);
        return NULL;
    }
    return filled;
}

static int complain(const char *text, char *why) {
    snprintf(why, CONTENT_WHY_BYTES, "%s", text);
    return 1;
}

static int split(char *text, const char *name, struct content *ret, char *why) {
    static const char header[] = "Subject: ";
    char *end = strchr(text, '\n');
    if (strncmp(text, header, sizeof(header) - 1) != 0 || end == NULL) {
        return complain("the content's first line is not \"Subject: ...\"", why);
    }
    char *body = end + 1 + strspn(end + 1, "\r\n");
    end[end[-1] == '\r' ? -1 : 0] = '\0';
    _cleanup_free_ char *subject = put_name(text + sizeof(header) - 1, name);
    ret->text = put_name(body, name);
    if (subject == NULL || ret->text == NULL) {
        content_clear(ret);
        return -ENOMEM;
    }
    if (strlen(subject) >= sizeof(ret->subject)) {
        content_clear(ret);
        return complain("the content's subject is too long", why);
    }
    snprintf(ret->subject, sizeof(ret->subject), "%s", subject);
    return 0;
}

int content_read(const char *folder, const char *content_id, const char *language, const char *name,
                 struct content *ret, char why[CONTENT_WHY_BYTES]) {
    _cleanup_free_ char *text = NULL;
    size_t size = 0;
    *ret = (struct content){0};
    if (folder == NULL || !is_plain(content_id)) {
        return complain("the contact has neither a text of its own nor a content of that name",
                        why);
    }
    _cleanup_(cleanup_fd) int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = fd < 0 ? -errno : read_text(fd, content_id, language, &text, &size);
    if (r == -ENOENT) {
        return complain("there is no content of that name", why);
    }
    if (r == 0 && (text == NULL || size > CONTENT_BYTES_MAX || strlen(text) != size)) {
        return complain("the content is too long, or no text", why);
    }
    return r != 0 ? r : split(text, name, ret, why);
}

void content_clear(struct content *content) {
    free(content->text);
    *content = (struct content){0};
}
