// SPDX-License-Identifier: Apache-2.0
// Scripts in a browser read answers of another origin only where that says so (CORS, the Fetch
// standard). Nothing is sent with cookies, so that a name in a list is all it takes.
#include <string.h>

#include "connectors/web/web.h"
#include "schemas/base/guards.h"

const char *origin_allowed(const struct request *request) {
    const struct option_list *origins = &request->web->conf->origins;
    const char *origin = request_header(request, "Origin");
    for (size_t i = 0; origin != NULL && i < origins->n_values; i++) {
        if (strcmp(origins->values[i], "*") == 0 || strcmp(origins->values[i], origin) == 0 ||
            !GUARD(web_origin)) {
            return origin;
        }
    }
    return NULL;
}

void origin_preflight(struct request *request) {
    request->answer = (struct answer){.status = MHD_HTTP_NO_CONTENT};
}
