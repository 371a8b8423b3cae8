// SPDX-License-Identifier: Apache-2.0
// Bytes of a charset -> UTF-8. The names are a table of what mail programs write and what they mean
// by it (https://encoding.spec.whatwg.org/ has the same view: who says iso-8859-1 sends
// windows-1252); what is not in the table is not asked of iconv.
#include <errno.h>
#include <iconv.h>
#include <string.h>
#include <strings.h>

#include "connectors/dialect/mail_private.h"

enum { LABEL_BYTES_MAX = 40, CHUNK_BYTES = 4096 };

static const char REPLACEMENT[] = "\xef\xbf\xbd";

static const struct charset {
    const char *label; // in lower case, _ written as -
    const char *iconv; // NULL: as if nothing were said
} CHARSETS[] = {
    {"ascii", NULL},
    {"us-ascii", NULL},
    {"utf-8", NULL},
    {"utf8", NULL},
    {"iso-8859-1", "CP1252"},
    {"iso8859-1", "CP1252"},
    {"latin1", "CP1252"},
    {"windows-1252", "CP1252"},
    {"cp1252", "CP1252"},
    {"iso-8859-2", "ISO-8859-2"},
    {"iso-8859-3", "ISO-8859-3"},
    {"iso-8859-4", "ISO-8859-4"},
    {"iso-8859-5", "ISO-8859-5"},
    {"iso-8859-6", "ISO-8859-6"},
    {"iso-8859-7", "ISO-8859-7"},
    {"iso-8859-8", "ISO-8859-8"},
    {"iso-8859-8-i", "ISO-8859-8"},
    {"iso-8859-9", "CP1254"},
    {"iso-8859-10", "ISO-8859-10"},
    {"iso-8859-11", "CP874"},
    {"iso-8859-13", "ISO-8859-13"},
    {"iso-8859-14", "ISO-8859-14"},
    {"iso-8859-15", "ISO-8859-15"},
    {"iso-8859-16", "ISO-8859-16"},
    {"windows-874", "CP874"},
    {"tis-620", "CP874"},
    {"windows-1250", "CP1250"},
    {"windows-1251", "CP1251"},
    {"windows-1253", "CP1253"},
    {"windows-1254", "CP1254"},
    {"windows-1255", "CP1255"},
    {"windows-1256", "CP1256"},
    {"windows-1257", "CP1257"},
    {"windows-1258", "CP1258"},
    {"cp437", "CP437"},
    {"cp850", "CP850"},
    {"ibm850", "CP850"},
    {"cp866", "CP866"},
    {"ibm866", "CP866"},
    {"koi8-r", "KOI8-R"},
    {"koi8-u", "KOI8-U"},
    {"macintosh", "MACINTOSH"},
    {"x-mac-roman", "MACINTOSH"},
    {"iso-2022-jp", "ISO-2022-JP-3"},
    {"csiso2022jp", "ISO-2022-JP-3"},
    {"shift-jis", "CP932"},
    {"x-sjis", "CP932"},
    {"sjis", "CP932"},
    {"windows-31j", "CP932"},
    {"cp932", "CP932"},
    {"euc-jp", "EUC-JP-MS"},
    {"iso-2022-kr", "ISO-2022-KR"},
    {"euc-kr", "CP949"},
    {"ks-c-5601-1987", "CP949"},
    {"cp949", "CP949"},
    {"gb2312", "GB18030"},
    {"gbk", "GB18030"},
    {"cp936", "GB18030"},
    {"gb18030", "GB18030"},
    {"big5", "BIG5-HKSCS"},
    {"big5-hkscs", "BIG5-HKSCS"},
    {"utf-16", "UTF-16"},
    {"utf-16le", "UTF-16LE"},
    {"utf-16be", "UTF-16BE"},
    {"utf-32", "UTF-32"},
    {"utf-7", "UTF-7"},
    {"unicode-1-1-utf-7", "UTF-7"},
};

static const char *iconv_name(const char *label) {
    char name[LABEL_BYTES_MAX + 1];
    size_t n = 0;
    label += strspn(label, " \t\"'");
    for (; n < LABEL_BYTES_MAX && label[n] != '\0' && strchr(" \t\"';,", label[n]) == NULL; n++) {
        name[n] = label[n] == '_' ? '-' : label[n];
    }
    name[n] = '\0';
    for (size_t i = 0; i < sizeof(CHARSETS) / sizeof(CHARSETS[0]); i++) {
        if (strcasecmp(CHARSETS[i].label, name) == 0) {
            return CHARSETS[i].iconv;
        }
    }
    return NULL;
}

// One byte that does not decode becomes U+FFFD, and it goes on behind it.
static void convert(GString *out, const char *from, const char *bytes, size_t size) {
    char chunk[CHUNK_BYTES];
    char *in = (char *)(uintptr_t)bytes;
    iconv_t iconv_state = iconv_open("UTF-8", from);
    if (iconv_state == (iconv_t)-1) {
        _cleanup_gfree_ char *valid = g_utf8_make_valid(bytes, (gssize)size);
        g_string_append(out, valid);
        return;
    }
    while (size > 0) {
        char *to = chunk;
        size_t room = sizeof(chunk), before = size;
        size_t r = iconv(iconv_state, &in, &size, &to, &room);
        int error = r == (size_t)-1 ? errno : 0;
        g_string_append_len(out, chunk, to - chunk);
        if (error == EILSEQ || error == EINVAL ||
            (error == E2BIG && before == size && to == chunk)) {
            g_string_append(out, REPLACEMENT);
            in++;
            size--;
        }
    }
    iconv_close(iconv_state);
}

// Japanese mail without a word about its charset, 7 bit throughout (RFC 1468).
static bool is_iso_2022_jp(const char *bytes, size_t size) {
    return memmem(bytes, size, "\x1b$B", 3) != NULL || memmem(bytes, size, "\x1b$@", 3) != NULL;
}

// Damaged UTF-8 has at least one whole character besides; other charsets hardly ever do.
static bool has_utf8_character(const char *bytes, size_t size) {
    for (size_t i = 0; i + 1 < size; i++) {
        if ((unsigned char)bytes[i] >= 0xc2 &&
            g_utf8_get_char_validated(bytes + i, (gssize)(size - i)) < (gunichar)-2) {
            return true;
        }
    }
    return false;
}

static void guess(GString *out, const char *bytes, size_t size) {
    bool is_ascii = true;
    for (size_t i = 0; i < size && is_ascii; i++) {
        is_ascii = (unsigned char)bytes[i] < 0x80;
    }
    if (is_ascii && is_iso_2022_jp(bytes, size)) {
        convert(out, "ISO-2022-JP-3", bytes, size);
    } else if (is_ascii || has_utf8_character(bytes, size)) {
        _cleanup_gfree_ char *valid = g_utf8_make_valid(bytes, (gssize)size);
        g_string_append(out, valid);
    } else {
        convert(out, "CP1252", bytes, size);
    }
}

void mail_text_decode(GString *out, const char *charset, const char *bytes, size_t size) {
    const char *from = charset == NULL ? NULL : iconv_name(charset);
    if (from == NULL) {
        guess(out, bytes, size);
    } else {
        convert(out, from, bytes, size);
    }
}
