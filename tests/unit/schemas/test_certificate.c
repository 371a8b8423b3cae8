// SPDX-License-Identifier: Apache-2.0
// The rules of certificates: what is read of a file, what is refused and by what name, whose secret
// is believed, and that CZMQ and we read each other's. The keys are those of zmq_curve(7).
#include <czmq.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "schemas/base/certificate.h"
#include "tests/unit/schemas/cmocka_all.h"

#define PUBLIC "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
#define SECRET "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6"
#define OTHER_PUBLIC "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"
#define PUBLIC_LINE "    public-key = \"" PUBLIC "\"\n"
#define SECRET_LINE "    secret-key = \"" SECRET "\"\n"
#define HEAD "#  a comment\n\nmetadata\n    name = \"web-1\"\n    role = \"source\"\ncurve\n"

static char folder[] = "/tmp/test_certificate.XXXXXX";

static int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static void path_of(const char *name, char path[static 256]) {
    snprintf(path, 256, "%s/%s", folder, name);
}

static int remove_folder(void **state) {
    (void)state;
    static const char *const names[] = {"a.key", "a.key_secret", "b.key", "b.key_secret", "large"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[256];
        path_of(names[i], path);
        unlink(path);
    }
    return rmdir(folder);
}

static void write_file(const char *path, const char *text, mode_t mode) {
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static int parse(const char *text, struct certificate *ret, const char **ret_why) {
    return certificate_parse(text, strlen(text), ret, ret_why);
}

static void test_a_public_certificate_is_read(void **state) {
    (void)state;
    struct certificate certificate;
    assert_int_equal(parse(HEAD PUBLIC_LINE, &certificate, NULL), 0);
    assert_string_equal(certificate.name, "web-1");
    assert_string_equal(certificate.role, "source");
    assert_string_equal(certificate.public_key, PUBLIC);
    assert_string_equal(certificate.secret_key, "");
}

static void test_a_secret_certificate_is_read_and_cleared(void **state) {
    (void)state;
    struct certificate certificate;
    struct certificate nothing;
    memset(&nothing, 0, sizeof(nothing));
    assert_int_equal(parse(HEAD PUBLIC_LINE SECRET_LINE, &certificate, NULL), 0);
    assert_string_equal(certificate.secret_key, SECRET);
    certificate_clear(&certificate);
    assert_memory_equal(&certificate, &nothing, sizeof(nothing));
}

static void test_what_is_not_ours_is_passed_over(void **state) {
    (void)state;
    struct certificate certificate;
    assert_int_equal(parse("metadata\r\n    email = 'a@b'\r\n        name = \"deeper\"\r\n"
                           "other   # a comment\n    name = \"other\"\n"
                           "a-section-with-a-long-name\n    role = x\n"
                           "curve\n    public-key = \"" PUBLIC "\"   # ours",
                           &certificate, NULL),
                     0);
    assert_string_equal(certificate.name, "");
    assert_string_equal(certificate.role, "");
    assert_string_equal(certificate.public_key, PUBLIC);
}

static void test_what_is_malformed_is_named(void **state) {
    (void)state;
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"", "there is no curve/public-key"},
        {"metadata\n    name = \"x\"\n", "there is no curve/public-key"},
        {HEAD PUBLIC_LINE PUBLIC_LINE, "curve/public-key stands twice"},
        {"metadata\n    name = a\n    name = b\n", "metadata/name stands twice"},
        {HEAD "    public-key = \"short\"\n", "curve/public-key is not 32 bytes in Z85"},
        {HEAD "    public-key = \"" PUBLIC "7\"\n", "curve/public-key is too long"},
        {HEAD "    public-key = \"~q:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7\"\n",
         "curve/public-key is not 32 bytes in Z85"},
        // a group beyond 32 bits
        {HEAD "    public-key = \"#####>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf77\"\n",
         "curve/public-key is too long"},
        {HEAD "    public-key = \"#####}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7\"\n",
         "curve/public-key is not 32 bytes in Z85"},
        {HEAD "    public-key = \"#####>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7\"\n",
         "curve/public-key is not 32 bytes in Z85"},
        {HEAD PUBLIC_LINE "    secret-key = \"x\"\n", "curve/secret-key is not 32 bytes in Z85"},
        {HEAD "    public-key = \"" OTHER_PUBLIC "\"\n" SECRET_LINE,
         "curve/public-key does not belong to curve/secret-key"},
        {HEAD "    public-key = \"" PUBLIC "\n", "a quote is not closed"},
        {HEAD "    public-key = \"" PUBLIC "\" x\n", "something follows a quoted value"},
        {"curve\n   public-key = x\n", "a line is not indented by four spaces a level"},
        {"curve\n        public-key = x\n", "a line is indented too far"},
        {"curve x\n", "a name is not followed by ="},
        {"=\n", "a line begins with no name"},
        {"metadata\n    name = \"../x\"\n", "a name or role is not of [A-Za-z0-9._-]"},
        {"metadata\n    role = \".x\"\n", "a name or role is not of [A-Za-z0-9._-]"},
        {"metadata\n    name = "
         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n",
         "metadata/name is too long"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct certificate certificate;
        const char *why = NULL;
        assert_int_equal(parse(rows[i].text, &certificate, &why), -EBADMSG);
        assert_string_equal(why, rows[i].why);
        assert_string_equal(certificate.public_key, "");
    }
    struct certificate certificate;
    const char *why = NULL;
    assert_int_equal(certificate_parse("a\0b", 3, &certificate, &why), -EBADMSG);
    assert_string_equal(why, "the file holds a NUL byte");
}

static void test_a_secret_that_others_may_read_is_refused_by_name(void **state) {
    (void)state;
    static const mode_t modes[] = {0644, 0604, 0602, 0666, 0601};
    char path[256];
    char why[CERTIFICATE_WHY_BYTES];
    struct certificate certificate;
    path_of("a.key_secret", path);
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        char mode[8];
        snprintf(mode, sizeof(mode), "%04o", modes[i]);
        write_file(path, HEAD PUBLIC_LINE SECRET_LINE, modes[i]);
        assert_int_equal(certificate_read(path, &certificate, why), -EPERM);
        assert_non_null(strstr(why, path));
        assert_non_null(strstr(why, mode));
        assert_string_equal(certificate.secret_key, "");
    }
    write_file(path, HEAD PUBLIC_LINE SECRET_LINE, 0640); // ours, and our group's
    assert_int_equal(certificate_read(path, &certificate, why), -EPERM);
    write_file(path, HEAD PUBLIC_LINE SECRET_LINE, 0600);
    assert_int_equal(certificate_read_secret(path, &certificate, why), 0);
    assert_string_equal(certificate.secret_key, SECRET);
    certificate_clear(&certificate);
}

static void test_a_public_certificate_may_be_read_by_all_but_is_no_secret(void **state) {
    (void)state;
    char path[256];
    char why[CERTIFICATE_WHY_BYTES];
    struct certificate certificate;
    path_of("a.key", path);
    write_file(path, HEAD PUBLIC_LINE, 0644);
    assert_int_equal(certificate_read(path, &certificate, why), 0);
    assert_int_equal(certificate_read_secret(path, &certificate, why), -EINVAL);
    assert_non_null(strstr(why, "holds no secret key"));
}

static void test_what_is_no_file_or_too_large_is_refused(void **state) {
    (void)state;
    char path[256];
    char why[CERTIFICATE_WHY_BYTES];
    struct certificate certificate;
    path_of("missing", path);
    assert_int_equal(certificate_read(path, &certificate, why), -ENOENT);
    assert_non_null(strstr(why, path));
    assert_int_equal(certificate_read(folder, &certificate, why), -EINVAL);
    path_of("large", path);
    char *large = calloc(1, CERTIFICATE_FILE_BYTES_MAX + 2);
    memset(large, '\n', CERTIFICATE_FILE_BYTES_MAX + 1);
    write_file(path, large, 0644);
    free(large);
    assert_int_equal(certificate_read(path, &certificate, why), -EFBIG);
}

static void test_what_czmq_wrote_is_read(void **state) {
    (void)state;
    char path[256];
    char path_secret[256];
    char why[CERTIFICATE_WHY_BYTES];
    struct certificate certificate;
    path_of("b.key", path);
    path_of("b.key_secret", path_secret);
    for (int i = 0; i < 20; i++) { // keys of all digits, '#' and quotes' neighbours among them
        zcert_t *written = zcert_new();
        zcert_set_meta(written, "name", "crm");
        zcert_set_meta(written, "role", "sink");
        zcert_set_meta(written, "created", "2030-01-01T00:00:00Z");
        unlink(path_secret);
        assert_int_equal(zcert_save(written, path), 0);
        assert_int_equal(certificate_read(path, &certificate, why), 0);
        assert_string_equal(certificate.public_key, zcert_public_txt(written));
        assert_string_equal(certificate.secret_key, "");
        assert_int_equal(certificate_read_secret(path_secret, &certificate, why), 0);
        assert_string_equal(certificate.name, "crm");
        assert_string_equal(certificate.role, "sink");
        assert_string_equal(certificate.secret_key, zcert_secret_txt(written));
        certificate_clear(&certificate);
        zcert_destroy(&written);
    }
}

static void test_czmq_reads_what_we_read(void **state) {
    (void)state;
    char path[256];
    path_of("a.key", path);
    write_file(path, HEAD PUBLIC_LINE, 0644);
    zcert_t *read = zcert_load(path);
    assert_non_null(read);
    assert_string_equal(zcert_public_txt(read), PUBLIC);
    assert_string_equal(zcert_meta(read, "name"), "web-1");
    zcert_destroy(&read);
    path_of("a.key_secret", path);
    write_file(path, HEAD PUBLIC_LINE SECRET_LINE, 0600);
    path_of("a.key", path); // CZMQ looks for the secret one beside it
    read = zcert_load(path);
    assert_non_null(read);
    assert_string_equal(zcert_secret_txt(read), SECRET);
    zcert_destroy(&read);
}

static void test_names_are_safe_as_files(void **state) {
    (void)state;
    assert_true(certificate_name_ok("web-1.eu_x"));
    static const char *const bad[] = {"", ".hidden", "a/b", "a b", "a\n", "\xc3\xa4", "a%n"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(certificate_name_ok(bad[i]));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_public_certificate_is_read),
        cmocka_unit_test(test_a_secret_certificate_is_read_and_cleared),
        cmocka_unit_test(test_what_is_not_ours_is_passed_over),
        cmocka_unit_test(test_what_is_malformed_is_named),
        cmocka_unit_test(test_a_secret_that_others_may_read_is_refused_by_name),
        cmocka_unit_test(test_a_public_certificate_may_be_read_by_all_but_is_no_secret),
        cmocka_unit_test(test_what_is_no_file_or_too_large_is_refused),
        cmocka_unit_test(test_czmq_reads_what_we_read),
        cmocka_unit_test(test_what_czmq_wrote_is_read),
        cmocka_unit_test(test_names_are_safe_as_files),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
