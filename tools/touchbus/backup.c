// SPDX-License-Identifier: Apache-2.0
// touchbus backup: the broker copies its stores into a new folder on its machine. touchbus restore:
// that folder becomes the state of a broker that does not run. The copied log carries a mark, and
// whoever opens it first gives it a new incarnation; the view is folded anew at the start.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "schemas/base/cleanup.h"
#include "tools/touchbus/groups.h"

enum { PATH_BYTES_MAX = 4096, COPY_BYTES = 16 << 20, FILES_MAX = 1000 };

struct restore_conf {
    struct globals globals;
    char *from, *state;
};

// ---- backup

static int run_backup(struct tool *tool, const void *conf, int argc, char **argv) {
    (void)conf;
    (void)argc;
    char path[PATH_BYTES_MAX], here[PATH_BYTES_MAX];
    bool is_absolute = argv[0][0] == '/';
    if (!is_absolute && getcwd(here, sizeof(here)) == NULL) {
        tool_complain("the working folder: %s", strerror(errno));
        return TOOL_NO;
    }
    int n = snprintf(path, sizeof(path), "%s%s%s", is_absolute ? "" : here, is_absolute ? "" : "/",
                     argv[0]);
    while (n > 1 && n < PATH_BYTES_MAX && path[n - 1] == '/') {
        path[--n] = '\0';
    }
    const touchbus_argument argument = {"dir", path};
    return tool_show(
        tool,
        &(struct ask){.verb = "backup", .arguments = &argument, .n_arguments = 1, .is_long = true});
}

const struct command command_backup = {
    .name = "backup",
    .synopsis = "DIR",
    .description =
        "Copy log, keys and base into the new folder DIR on the broker's machine, while it "
        "serves. The copy is consistent and compact. It holds the keys: keep it as safe as the "
        "state folder itself.",
    .after = "EXAMPLES\n       touchbus backup /var/backups/touchbus-monday\n"
             "       touchbus restore --from /var/backups/touchbus-monday --state /srv/touchbus\n",
    .n_operands_min = 1,
    .n_operands_max = 1,
    .run = run_backup,
};

// ---- restore

static int copy_bytes(int from, int to) {
    for (;;) {
        ssize_t n = copy_file_range(from, NULL, to, NULL, COPY_BYTES, 0);
        if (n == 0) {
            return fsync(to) == 0 ? 0 : -errno;
        }
        if (n < 0 && errno != EINTR) {
            return -errno;
        }
    }
}

static int copy_file(int from_dir, int to_dir, const char *name) {
    int from = openat(from_dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (from < 0) {
        return -errno;
    }
    int to = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int r = to < 0 ? -errno : copy_bytes(from, to);
    close(from);
    if (to >= 0) {
        close(to);
    }
    return r;
}

static int copy_files(DIR *list, int to) {
    const struct dirent *entry;
    int n = 0;
    while ((entry = readdir(list)) != NULL) {
        if (entry->d_name[0] == '.' || strcmp(entry->d_name, "lock.mdb") == 0) {
            continue;
        }
        int r = ++n > FILES_MAX ? -E2BIG : copy_file(dirfd(list), to, entry->d_name);
        if (r != 0) {
            return r;
        }
    }
    return fsync(to) == 0 ? 0 : -errno;
}

static int copy_folder(const char *from, const char *to, const char *name) {
    char from_path[PATH_BYTES_MAX], to_path[PATH_BYTES_MAX];
    int n_from = snprintf(from_path, sizeof(from_path), "%s/%s", from, name);
    int n_to = snprintf(to_path, sizeof(to_path), "%s/%s", to, name);
    if (n_from >= PATH_BYTES_MAX || n_to >= PATH_BYTES_MAX) {
        return -ENAMETOOLONG;
    }
    DIR *list = opendir(from_path);
    if (list == NULL) {
        return -errno;
    }
    int r = mkdir(to_path, 0700) != 0 ? -errno : 0;
    int fd = r == 0 ? open(to_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (r == 0) {
        r = fd < 0 ? -errno : copy_files(list, fd);
    }
    if (fd >= 0) {
        close(fd);
    }
    closedir(list);
    return r;
}

// Whether path is missing or an empty folder, which is taken away.
static bool is_free(const char *path) {
    return access(path, F_OK) != 0 ? errno == ENOENT : rmdir(path) == 0;
}

static int copy_all(const char *from, const char *part) {
    static const char *const folders[] = {"log", "keys", "base"};
    if (mkdir(part, 0700) != 0) {
        return -errno;
    }
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        int r = copy_folder(from, part, folders[i]);
        if (r != 0) {
            tool_complain("%s/%s: %s", from, folders[i], strerror(-r));
            return r;
        }
    }
    int fd = open(part, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = fd < 0 || fsync(fd) != 0 ? -errno : 0;
    if (fd >= 0) {
        close(fd);
    }
    return r;
}

static int run_restore(struct tool *tool, const void *conf_data, int argc, char **argv) {
    (void)argc;
    (void)argv;
    const struct restore_conf *conf = conf_data;
    _cleanup_free_ char *part = NULL, *mark = NULL;
    if (conf->from == NULL || conf->state == NULL) {
        tool_complain("usage: touchbus restore --from DIR --state DIR");
        return TOOL_USAGE;
    }
    if (asprintf(&part, "%s.part", conf->state) < 0 ||
        asprintf(&mark, "%s/log/copied", conf->from) < 0) {
        return TOOL_NO;
    }
    if (access(mark, F_OK) != 0) {
        tool_complain("%s is no backup: its log has no mark 'copied'", conf->from);
        return TOOL_NO;
    }
    if (!is_free(conf->state)) {
        tool_complain("%s is not empty; a restore never replaces a state", conf->state);
        return TOOL_NO;
    }
    int r = copy_all(conf->from, part);
    if (r == 0 && rename(part, conf->state) != 0) {
        r = -errno;
    }
    if (r != 0) {
        tool_complain("the restore failed, %s stays: %s", part, strerror(-r));
        return TOOL_NO;
    }
    json_t *json = json_pack("{s:s, s:s}", "from", conf->from, "state", conf->state);
    tool->json ? output_line(json) : output_object(json);
    json_decref(json);
    return TOOL_DONE;
}

static const struct option_row restore_rows[] = {
    {.name = "from",
     .type = OPTION_STRING,
     .offset = offsetof(struct restore_conf, from),
     .argument = "DIR",
     .help = "What 'touchbus backup' made."},
    {.name = "state",
     .type = OPTION_STRING,
     .offset = offsetof(struct restore_conf, state),
     .argument = "DIR",
     .help = "The new state folder: missing or empty."},
};

const struct command command_restore = {
    .name = "restore",
    .synopsis = "--from DIR --state DIR",
    .description =
        "Make a new state folder of a backup, without a broker. The log in it becomes another log: "
        "its incarnation is new, so that no sink or client takes positions of before for positions "
        "in it; named subscriptions go on where the backup had them.",
    .after = "EXAMPLES\n"
             "       touchbus restore --from /var/backups/touchbus-monday --state /srv/touchbus\n",
    TOOL_ROWS(restore_rows),
    .conf_size = sizeof(struct restore_conf),
    .run = run_restore,
};
