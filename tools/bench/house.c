// SPDX-License-Identifier: Apache-2.0
// Starting, asking and ending the broker of house.h.
#include "tools/bench/house.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <jansson.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "schemas/base/cleanup.h"
#include "schemas/limits.h"

enum {
    PORT_TRIES_MAX = 100,
    N_PORTS = 3,
    ASK_MS = 10000,
    STOP_S_MAX = 60,
    STOP_STEP_US = 20000,
    REMOVE_DESCRIPTORS = 16,
};

// ---- ports

// Binds port (0: any) on loopback; the socket keeps it. Returns the port, or 0.
static int hold_port(int port, int *ret_socket) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    socklen_t size = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *ret_socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*ret_socket < 0 || bind(*ret_socket, (struct sockaddr *)&address, size) != 0 ||
        getsockname(*ret_socket, (struct sockaddr *)&address, &size) != 0) {
        return 0;
    }
    return ntohs(address.sin_port);
}

// The first of three neighbouring free ports, or 0.
static int find_ports(void) {
    for (int try = 0; try < PORT_TRIES_MAX; try++) {
        int sockets[N_PORTS] = {-1, -1, -1};
        int first = hold_port(0, &sockets[0]);
        int n = first != 0 && first <= 65535 - N_PORTS ? 1 : 0;
        while (n > 0 && n < N_PORTS && hold_port(first + n, &sockets[n]) != 0) {
            n++;
        }
        for (int i = 0; i < N_PORTS; i++) {
            if (sockets[i] >= 0) {
                close(sockets[i]);
            }
        }
        if (n == N_PORTS) {
            return first;
        }
    }
    return 0;
}

// ---- a broker of our own

static void find_program(char *path, size_t size) {
    ssize_t n = readlink("/proc/self/exe", path, size - 1);
    path[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(path, '/');
    size_t used = slash == NULL ? 0 : (size_t)(slash + 1 - path);
    snprintf(path + used, size - used, "touchbusd");
}

static volatile sig_atomic_t spawned;

// A bench that is told to end takes its broker along; its state folder stays for a look.
static void end_together(int number) {
    kill((pid_t)spawned, SIGTERM);
    raise(number); // SA_RESETHAND: the default now
}

static void watch_signals(pid_t pid) {
    static const int SIGNALS[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = end_together, .sa_flags = SA_RESETHAND | SA_NODEFER};
    spawned = (sig_atomic_t)pid;
    for (size_t i = 0; i < sizeof(SIGNALS) / sizeof(SIGNALS[0]); i++) {
        sigaction(SIGNALS[i], &action, NULL);
    }
}

static int spawn_broker(struct house *house, char *program, int port) {
    char text[16];
    char words[][24] = {"--state", "--port", "--retention-bytes", "64G"};
    snprintf(text, sizeof(text), "%d", port);
    char *arguments[] = {program, words[0], house->state, words[1], text, words[2], words[3], NULL};
    unsetenv("TOUCHBUS_KEY"); // they are another broker's: this one has none
    unsetenv("TOUCHBUS_BROKER_KEY");
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    int r = posix_spawnp(&house->pid, program, &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (r != 0) {
        house->pid = 0;
        fprintf(stderr, "touchbus bench: cannot start %s: %s\n", program, strerror(r));
    } else {
        watch_signals(house->pid);
    }
    return -r;
}

int house_start(struct house *house, const char *program, const char *folder) {
    char path[HOUSE_PATH_MAX];
    if (program != NULL) {
        snprintf(path, sizeof(path), "%s", program);
    } else {
        find_program(path, sizeof(path));
    }
    int n = snprintf(house->state, sizeof(house->state), "%s/touchbus-bench-XXXXXX", folder);
    if (n < 0 || (size_t)n >= sizeof(house->state) || mkdtemp(house->state) == NULL) {
        fprintf(stderr, "touchbus bench: no state folder below %s: %s\n", folder, strerror(errno));
        house->state[0] = '\0';
        return -EIO;
    }
    int port = find_ports();
    if (port == 0) {
        fprintf(stderr, "touchbus bench: no free ports\n");
        return -EADDRINUSE;
    }
    int r = spawn_broker(house, path, port);
    if (r == 0) {
        snprintf(house->broker, sizeof(house->broker), "127.0.0.1:%d", port);
        r = touchbus_client_new(&(touchbus_client_options){.broker = house->broker},
                                &house->client);
    }
    return r;
}

int house_use(struct house *house, const char *broker) {
    const char *known = broker != NULL ? broker : getenv("TOUCHBUS_BROKER");
    snprintf(house->broker, sizeof(house->broker), "%s", known != NULL ? known : "127.0.0.1:7400");
    return touchbus_client_new(&(touchbus_client_options){.broker = house->broker}, &house->client);
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place) {
    (void)status;
    (void)kind;
    (void)place;
    return remove(path);
}

void house_close(struct house *house) {
    house->client = touchbus_client_free(house->client);
    if (house->pid != 0) {
        kill(house->pid, SIGTERM);
        int step = 0;
        while (waitpid(house->pid, NULL, WNOHANG) == 0 &&
               step++ < STOP_S_MAX * (1000000 / STOP_STEP_US)) {
            usleep(STOP_STEP_US);
        }
        if (waitpid(house->pid, NULL, WNOHANG) == 0) {
            kill(house->pid, SIGKILL);
            waitpid(house->pid, NULL, 0);
        }
        house->pid = 0;
    }
    if (house->state[0] != '\0') {
        nftw(house->state, remove_one, REMOVE_DESCRIPTORS, FTW_DEPTH | FTW_PHYS);
    }
}

// ---- questions

int64_t house_number(struct house *house, const char *verb, const char *path) {
    touchbus_answer *answer;
    int64_t number = -1;
    if (touchbus_client_query(house->client, verb, NULL, 0, NULL, 0, ASK_MS, NULL, NULL, &answer) !=
        0) {
        return -1;
    }
    json_t *root = json_loads(touchbus_answer_json(answer), 0, NULL), *at = root;
    char names[64], *rest = names, *name;
    snprintf(names, sizeof(names), "%s", path);
    while ((name = strsep(&rest, ".")) != NULL) {
        at = json_object_get(at, name);
    }
    if (touchbus_answer_code(answer) == 0 && json_is_integer(at)) {
        number = json_integer_value(at);
    }
    json_decref(root);
    touchbus_answer_free(answer);
    return number;
}

void house_remove_subscription(struct house *house, const char *name) {
    const touchbus_argument arguments[] = {{"name", name}, {"actor", "bench"}};
    touchbus_answer *answer;
    if (touchbus_client_query(house->client, "subscription.rm", arguments, 2, NULL, 0, ASK_MS, NULL,
                              NULL, &answer) == 0) {
        touchbus_answer_free(answer);
    }
}
