// SPDX-License-Identifier: Apache-2.0
// touchbus keygen: a CURVE certificate for one program, in CZMQ's own format, which CZMQ writes.
// The files are made in a folder that nobody else may enter and moved to their place whole, so that
// the secret is nobody else's from its first byte on, and no file of an older mode is written into.
#include <czmq.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "schemas/base/certificate.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"
#include "tools/touchbus/groups.h"

struct keygen_conf {
    struct globals globals;
    char *role, *dir;
    bool force;
};

#define AT(MEMBER) offsetof(struct keygen_conf, MEMBER)
static const struct option_row rows[] = {
    {.name = "role",
     .type = OPTION_STRING,
     .offset = AT(role),
     .argument = "ROLE",
     .help = "What the key may do: admin, connector, source, sink, viewer, monitor, or a --role of "
             "touchbusd. The broker's own key has the role broker."},
    {.name = "dir",
     .type = OPTION_STRING,
     .offset = AT(dir),
     .default_text = ".",
     .argument = "DIR",
     .help = "Where the two files go."},
    {.name = "force",
     .type = OPTION_BOOL,
     .offset = AT(force),
     .help = "Replace files of that name. Who used the old key is shut out as soon as touchbusd "
             "reloads."},
};

// The two files: where they are made and where they belong.
struct pair {
    char *folder; // ours alone; NULL: not made
    char *made[2], *path[2];
    char public_key[CERTIFICATE_KEY_CHARS + 1];
};
enum { PUBLIC, SECRET };
static const char *const suffixes[] = {[PUBLIC] = ".key", [SECRET] = ".key_secret"};
static const mode_t modes[] = {[PUBLIC] = 0644, [SECRET] = 0600};

// NULL where memory is short.
static char *path_of(const char *folder, const char *name, const char *suffix) {
    char *path;
    return asprintf(&path, "%s/%s%s", folder, name, suffix) < 0 ? NULL : path;
}

// False, said on stderr: it could not be made.
static bool make_folder(struct pair *pair, const char *dir, const char *name) {
    char *folder = path_of(dir, ".keygen", ".XXXXXX");
    if (folder == NULL || mkdtemp(folder) == NULL) {
        tool_complain("%s: %s", dir, strerror(folder == NULL ? ENOMEM : errno));
        free(folder);
        return false;
    }
    pair->folder = folder;
    for (size_t i = 0; i < 2; i++) {
        pair->made[i] = path_of(folder, name, suffixes[i]);
        pair->path[i] = path_of(dir, name, suffixes[i]);
        if (pair->made[i] == NULL || pair->path[i] == NULL) {
            tool_complain("out of memory");
            return false;
        }
    }
    return true;
}

static void pair_clear(struct pair *pair) {
    for (size_t i = 0; i < 2; i++) {
        if (pair->made[i] != NULL) {
            unlink(pair->made[i]);
        }
        free(pair->made[i]);
        free(pair->path[i]);
    }
    if (pair->folder != NULL) {
        rmdir(pair->folder);
    }
    free(pair->folder);
}

static int finish_file(const char *path, mode_t mode) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    int r = fchmod(fd, mode) != 0 || fsync(fd) != 0 ? -errno : 0;
    close(fd);
    return r;
}

static int write_pair(struct pair *pair, const char *name, const char *role) {
    char created[CLOCK_TEXT_BYTES];
    mode_t before = umask(077);
    zcert_t *certificate = zcert_new();
    if (certificate == NULL) {
        umask(before);
        return -ENOMEM;
    }
    zcert_set_meta(certificate, "name", "%s", name);
    zcert_set_meta(certificate, "role", "%s", role);
    zcert_set_meta(certificate, "created", "%s", clock_format_rfc3339(clock_now_us(), created));
    snprintf(pair->public_key, sizeof(pair->public_key), "%s", zcert_public_txt(certificate));
    int r = zcert_save(certificate, pair->made[PUBLIC]) != 0 ? -EIO : 0; // and *_secret beside it
    zcert_destroy(&certificate);
    umask(before);
    for (size_t i = 0; r == 0 && i < 2; i++) {
        r = finish_file(pair->made[i], modes[i]);
    }
    return r;
}

// The secret one first: a public certificate without it would let nobody in.
static int place_pair(struct pair *pair, const char *dir, bool force) {
    unsigned flags = force ? 0 : RENAME_NOREPLACE;
    for (int i = SECRET; i >= PUBLIC; i--) {
        if (renameat2(AT_FDCWD, pair->made[i], AT_FDCWD, pair->path[i], flags) != 0) {
            int error = errno;
            if (i == PUBLIC && !force) {
                unlink(pair->path[SECRET]);
            }
            tool_complain("%s: %s", pair->path[i],
                          error == EEXIST ? "is there already; --force replaces it"
                                          : strerror(error));
            return -error;
        }
    }
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = fd < 0 || fsync(fd) != 0 ? -errno : 0;
    if (r != 0) {
        tool_complain("%s: %s", dir, strerror(-r));
    }
    if (fd >= 0) {
        close(fd);
    }
    return r;
}

static bool is_there(const struct pair *pair) {
    for (size_t i = 0; i < 2; i++) {
        if (access(pair->path[i], F_OK) == 0) {
            tool_complain("%s: is there already; --force replaces it", pair->path[i]);
            return true;
        }
    }
    return false;
}

// False, said on stderr: nothing was made.
static bool generate(struct pair *pair, const struct keygen_conf *conf, const char *name) {
    if (!make_folder(pair, conf->dir, name) || (!conf->force && is_there(pair))) {
        return false;
    }
    int r = write_pair(pair, name, conf->role);
    if (r != 0) {
        tool_complain("%s: %s", conf->dir, strerror(-r));
        return false;
    }
    return place_pair(pair, conf->dir, conf->force) == 0;
}

static int run(struct tool *tool, const void *conf_data, int argc, char **argv) {
    (void)argc;
    const struct keygen_conf *conf = conf_data;
    const char *name = argv[0];
    if (conf->role == NULL) {
        tool_complain("--role ROLE is missing; see 'touchbus keygen --help'");
        return TOOL_USAGE;
    }
    if (!certificate_name_ok(name) || !certificate_name_ok(conf->role)) {
        tool_complain("a name and a role are letters, digits, '.', '_' and '-', at most %d",
                      NAME_BYTES_MAX);
        return TOOL_USAGE;
    }
    struct pair pair = {.folder = NULL};
    int status = generate(&pair, conf, name) ? TOOL_DONE : TOOL_NO;
    if (status == TOOL_DONE) {
        json_t *json =
            json_pack("{s:s, s:s, s:s, s:s, s:s}", "name", name, "role", conf->role, "public_key",
                      pair.public_key, "public", pair.path[PUBLIC], "secret", pair.path[SECRET]);
        tool->json ? output_line(json) : output_object(json);
        json_decref(json);
    }
    pair_clear(&pair);
    return status;
}

const struct command command_keygen = {
    .name = "keygen",
    .synopsis = "NAME --role ROLE [--dir DIR] [--force]",
    .description =
        "Make a key for one program: NAME.key, which may be given to anybody, and NAME.key_secret, "
        "which stays with the program. Both are certificates in CZMQ's format. NAME is who the "
        "program is: its producer names, sources, subscription and reports belong to it.",
    .after =
        "SETTING UP\n"
        "       With keys every connection is encrypted, and only known keys get in; a broker "
        "that\n"
        "       listens beyond loopback insists on them.\n"
        "\n"
        "       1. A key for the broker, on its machine:\n"
        "              touchbus keygen broker --role broker --dir /etc/touchbus/keys\n"
        "          and in touchbusd.conf:\n"
        "              key = /etc/touchbus/keys/broker.key_secret\n"
        "              clients = /etc/touchbus/clients\n"
        "       2. A key for each connector, best on the machine it runs on, so that the secret\n"
        "          never travels. A connector's key has the connector's --name:\n"
        "              touchbus keygen crm --role sink --dir /etc/touchbus/keys\n"
        "          and in its configuration:\n"
        "              key = /etc/touchbus/keys/crm.key_secret\n"
        "              broker-key = /etc/touchbus/keys/broker.key\n"
        "       3. Carry crm.key to the broker's folder clients, and broker.key to the "
        "connector's\n"
        "          machine; both are public. In clients there is nothing but public certificates.\n"
        "       4. systemctl reload touchbusd (or SIGHUP): the broker reads clients anew.\n"
        "       5. A key for yourself: --role admin, or viewer; then TOUCHBUS_KEY and\n"
        "          TOUCHBUS_BROKER_KEY in your environment, or --key and --broker-key.\n"
        "\n"
        "       Secrets are the user's that runs the program, mode 0600, or root's and its "
        "group's,\n"
        "       0640. A secret that others may read is refused by name.\n"
        "\n"
        "ROTATION\n"
        "       A name may have several certificates. Make the new one in another folder\n"
        "       (keygen crm --role sink --dir new), put new/crm.key as crm-2.key beside the old\n"
        "       one in clients, reload touchbusd; put new/crm.key_secret in the place of the old\n"
        "       secret and reload the connector (SIGHUP); remove the old certificate from "
        "clients,\n"
        "       reload touchbusd. Nothing is interrupted. The broker's own key is rotated with a\n"
        "       restart: every client needs the new broker.key.\n"
        "\n"
        "REVOCATION\n"
        "       Remove the certificate from clients and reload touchbusd: the key is refused from\n"
        "       then on, and what it had open is ended.\n"
        "\n"
        "EXAMPLES\n"
        "       touchbus keygen web --role source --dir /etc/touchbus/keys\n"
        "       touchbus keygen anna --role admin --dir ~/.touchbus\n",
    TOOL_ROWS(rows),
    .conf_size = sizeof(struct keygen_conf),
    .n_operands_min = 1,
    .n_operands_max = 1,
    .run = run,
};
