// SPDX-License-Identifier: Apache-2.0
// Asking before something is given up: on a terminal a question, in a script --yes.
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "tools/touchbus/tool.h"

bool tool_confirm(const struct tool *tool, int *ret, const char *format, ...) {
    if (tool->globals->yes) {
        return true;
    }
    char text[512];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    if (!isatty(STDIN_FILENO)) {
        tool_complain("%s needs --yes where nobody can be asked", tool->command);
        *ret = TOOL_USAGE;
        return false;
    }
    char answer[16] = "";
    output_text(stderr, text);
    fputs(" [y/N] ", stderr);
    bool yes = fgets(answer, sizeof(answer), stdin) != NULL &&
               (strcmp(answer, "y\n") == 0 || strcmp(answer, "yes\n") == 0);
    if (!yes) {
        tool_complain("nothing was done");
        *ret = TOOL_NO;
    }
    return yes;
}
