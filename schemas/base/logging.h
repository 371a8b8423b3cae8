// SPDX-License-Identifier: Apache-2.0
// Diagnostics on stderr: one line an occurrence, `time level program key=value ...`. Logged once,
// where an error is handled. Never a customer's data: ids, sequences and lengths only. Control
// characters are escaped.
#pragma once

enum logging_level { LOGGING_ERROR, LOGGING_WARNING, LOGGING_INFO, LOGGING_DEBUG };

// program is borrowed for the life of the process. Default level: info.
void logging_init(const char *program, enum logging_level level);
// "error", "warning", "info", "debug" -> 0 and the level; -EINVAL otherwise.
int logging_level_parse(const char *text, enum logging_level *ret);

void logging_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void logging_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void logging_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void logging_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
