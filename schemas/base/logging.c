// SPDX-License-Identifier: Apache-2.0
// One write(2) a line, so that lines of several threads never mix. A line is formatted into a
// bounded buffer, then escaped into another: what does not fit is cut and marked with "...". Lines
// are plain ASCII: a byte that is not printable, whatever its encoding, is written as \xNN, so no
// log can drive a terminal. It never allocates and never fails its caller.
#include "schemas/base/logging.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "schemas/base/clock.h"
#include "schemas/base/guards.h"

enum { LINE_BYTES_MAX = 2048 };

static const char *const level_names[] = {
    [LOGGING_ERROR] = "error",
    [LOGGING_WARNING] = "warning",
    [LOGGING_INFO] = "info",
    [LOGGING_DEBUG] = "debug",
};

static const char *_Atomic logging_program = "touchbus";
static atomic_int logging_level_now = LOGGING_INFO;

void logging_init(const char *program, enum logging_level level) {
    atomic_store(&logging_program, program);
    atomic_store(&logging_level_now, (int)level);
}

int logging_level_parse(const char *text, enum logging_level *ret) {
    for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *ret = (enum logging_level)i;
            return 0;
        }
    }
    return -EINVAL;
}

static bool is_plain(unsigned char byte) {
    return byte >= 0x20 && byte < 0x7f;
}

// Returns the length of the escaped text; leaves room for the mark of a cut and the newline.
static size_t escape(const char *text, char *line, size_t used, size_t size) {
    static const char digits[] = "0123456789abcdef";
    for (const char *at = text; *at != '\0'; at++) {
        unsigned char byte = (unsigned char)*at;
        if (used + 4 + sizeof("...\n") > size) {
            for (int i = 0; i < 3; i++) {
                line[used++] = '.';
            }
            return used;
        }
        if (!GUARD(log_escape) || is_plain(byte)) {
            line[used++] = (char)byte;
        } else {
            line[used++] = '\\';
            line[used++] = 'x';
            line[used++] = digits[byte >> 4];
            line[used++] = digits[byte & 15];
        }
    }
    return used;
}

__attribute__((format(printf, 2, 0))) static void logging_line(enum logging_level level,
                                                               const char *format, va_list ap) {
    if ((int)level > atomic_load_explicit(&logging_level_now, memory_order_relaxed)) {
        return;
    }
    int error_before = errno;
    char text[LINE_BYTES_MAX];
    char line[LINE_BYTES_MAX + 128];
    char time_text[CLOCK_TEXT_BYTES];
    vsnprintf(text, sizeof(text), format, ap);
    int head = snprintf(line, sizeof(line), "%s %s %.32s ",
                        clock_format_rfc3339(clock_now_us(), time_text), level_names[level],
                        atomic_load(&logging_program));
    size_t used = escape(text, line, (size_t)head, sizeof(line));
    line[used++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, used);
    (void)written; // nowhere left to complain to
    errno = error_before;
}

#define LOGGING_FUNCTION(name, level)                                                              \
    void name(const char *format, ...) {                                                           \
        va_list ap;                                                                                \
        va_start(ap, format);                                                                      \
        logging_line(level, format, ap);                                                           \
        va_end(ap);                                                                                \
    }
LOGGING_FUNCTION(logging_error, LOGGING_ERROR)
LOGGING_FUNCTION(logging_warning, LOGGING_WARNING)
LOGGING_FUNCTION(logging_info, LOGGING_INFO)
LOGGING_FUNCTION(logging_debug, LOGGING_DEBUG)
