// SPDX-License-Identifier: Apache-2.0
// The pages behind an unsubscribe link, for the person who clicked it: HTML without scripts, styles
// or anything from elsewhere, in words that need no English lessons. Pure.
#pragma once

enum page {
    PAGE_ASK,     // a button, which posts what RFC 8058 wants; opening the page changes nothing
    PAGE_DONE,    // it is noted, durably
    PAGE_NO_LINK, // the token is not ours, or not whole
    PAGE_NO_FORM, // something was posted that did not come from the button
    PAGE_LATER,   // it could not be noted
};

// purpose: what is unsubscribed from, shown by PAGE_ASK and PAGE_DONE; escaped here. malloc'ed;
// NULL where memory is short.
char *page_write(enum page page, const char *purpose);
