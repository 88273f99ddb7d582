/* SPDX-License-Identifier: MIT */
#include "repo/git_run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <godwit/clock.h>

#include "repo/git_helper.h"

#define ENV_MAX    32
#define ARGS_MAX   48
#define GRACE_MS   500 /* between asking and forcing it to end */
#define TEXT_BYTES 512

/* ---- what the child is given -------------------------------------------------------- */

typedef struct words {
    char *items[ENV_MAX > ARGS_MAX ? ENV_MAX : ARGS_MAX];
    size_t n;
    bool is_short; /* of memory, or of room */
} words;

static void add(words *list, const char *text)
{
    char *copy = list->n + 1 < sizeof(list->items) / sizeof(list->items[0]) ? strdup(text) : NULL;
    if (copy == NULL) {
        list->is_short = true;
        return;
    }
    list->items[list->n++] = copy;
}

static void add_pair(words *list, const char *name, const char *value)
{
    char *pair = NULL;
    if (asprintf(&pair, "%s=%s", name, value) < 0) {
        list->is_short = true;
        return;
    }
    add(list, pair);
    free(pair);
}

static void dispose(words *list)
{
    for (size_t i = 0; i < list->n; i++) {
        free(list->items[i]);
    }
}

static const char *protocol_of(const cs_git_access *access)
{
    switch (access == NULL ? CS_GIT_LOCAL : access->scheme) {
    case CS_GIT_HTTP: return "http";
    case CS_GIT_HTTPS: return "https";
    case CS_GIT_SSH: return "ssh";
    case CS_GIT_LOCAL: break;
    }
    return "none";
}

/* What the operator set for all programs, and is no setting of git's. */
static void add_inherited(words *env)
{
    static const char *const names[] = {"PATH",        "TMPDIR",       "http_proxy", "https_proxy",
                                        "HTTPS_PROXY", "all_proxy",    "ALL_PROXY",  "no_proxy",
                                        "NO_PROXY",    "SSL_CERT_FILE"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *value = getenv(names[i]);
        if (value != NULL) {
            add_pair(env, names[i], value);
        }
    }
}

static void add_ssh(words *env, const cs_git_run *run)
{
    const cs_git_access *access = run->access;
    char rules[8];
    size_t n = 0;
    if (run->grants->fds[CS_GIT_GRANT_KEY] >= 0) {
        rules[n++] = CS_GIT_RULE_KEY;
    } else if (getenv("SSH_AUTH_SOCK") != NULL) {
        add_pair(env, "SSH_AUTH_SOCK", getenv("SSH_AUTH_SOCK"));
    }
    if (run->grants->fds[CS_GIT_GRANT_HOSTS] >= 0) {
        rules[n++] = CS_GIT_RULE_HOSTS;
    }
    if (access->any_host_key) {
        rules[n++] = CS_GIT_RULE_ANY_HOST;
    }
    if (access->passphrase != NULL) {
        rules[n++] = CS_GIT_RULE_ASK;
    }
    if (access->password != NULL) {
        rules[n++] = CS_GIT_RULE_PASSWORD;
    }
    rules[n] = '\0';
    char seconds[16];
    snprintf(seconds, sizeof(seconds), "%u", run->timeout_s);
    add_pair(env, CS_GIT_SSH_RULES, rules);
    add_pair(env, CS_GIT_TIMEOUT, seconds);
    add_pair(env, "GIT_SSH_VARIANT", "ssh");
}

static void make_env(words *env, const cs_git_run *run)
{
    static const char *const fixed[] = {
        CS_GIT_ROLE "=start",
        "GIT_CONFIG_NOSYSTEM=1",
        "GIT_CONFIG_GLOBAL=/dev/null",
        "GIT_ATTR_NOSYSTEM=1",
        "GIT_TERMINAL_PROMPT=0",
        "GIT_OPTIONAL_LOCKS=0",
        "LC_ALL=C",
    };
    char pid[16];
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
        add(env, fixed[i]);
    }
    add_pair(env, CS_GIT_PARENT, pid);
    add_pair(env, "GIT_ALLOW_PROTOCOL", protocol_of(run->access));
    add_pair(env, "HOME", run->git_dir); /* of .netrc and the like: there is none */
    add_inherited(env);
    if (run->access != NULL && run->access->scheme == CS_GIT_SSH) {
        add_ssh(env, run);
    }
    env->items[env->n] = NULL;
}

/* What depends on the run; the rest is in the mirror's own configuration. */
static void make_args(words *args, const cs_git_run *run)
{
    add(args, "configserver");
    add(args, "git");
    if (run->access != NULL && run->access->skip_tls_verification) {
        add(args, "-c");
        add(args, "http.sslVerify=false");
    }
    if (run->access != NULL && run->access->ca_file != NULL) {
        add(args, "-c");
        add_pair(args, "http.sslCAInfo", run->access->ca_file);
    }
    add_pair(args, "--git-dir", run->git_dir);
    for (size_t i = 0; run->args[i] != NULL; i++) {
        add(args, run->args[i]);
    }
    args->items[args->n] = NULL;
}

/* ---- starting it --------------------------------------------------------------------- */

/* Descriptors are moved out of the way of their new numbers first. */
static int add_files(posix_spawn_file_actions_t *actions, const cs_git_run *run, int output)
{
    int code = posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0);
    code = code != 0 ? code : posix_spawn_file_actions_adddup2(actions, output, 2);
    code =
        code != 0 ? code : posix_spawn_file_actions_addopen(actions, 1, "/dev/null", O_WRONLY, 0);
    for (int i = 0; i < CS_GIT_N_GRANTS; i++) {
        int fd = run->grants == NULL ? -1 : run->grants->fds[i];
        if (code == 0 && fd >= 0) {
            code = posix_spawn_file_actions_adddup2(actions, fd, CS_GIT_GRANT_FD + i);
        } else if (code == 0) {
            code = posix_spawn_file_actions_addopen(actions, CS_GIT_GRANT_FD + i, "/dev/null",
                                                    O_RDONLY | O_CLOEXEC, 0);
        }
    }
    return code == 0 ? posix_spawn_file_actions_addchdir_np(actions, run->git_dir) : code;
}

/* Signals as they are by default; a session without a terminal, so that nobody can be asked. */
static int set_attributes(posix_spawnattr_t *attr)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int code = posix_spawnattr_setsigmask(attr, &none);
    code = code != 0 ? code : posix_spawnattr_setsigdefault(attr, &all);
    return code != 0
               ? code
               : posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                                    POSIX_SPAWN_SETSID);
}

static int spawn(const cs_git_run *run, int output, words *args, words *env, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    int code = posix_spawn_file_actions_init(&actions);
    if (code != 0) {
        return code;
    }
    code = posix_spawnattr_init(&attr);
    if (code == 0) {
        code = add_files(&actions, run, output);
        code = code != 0 ? code : set_attributes(&attr);
        code = code != 0 ? code
                         : posix_spawn(ret_pid, "/proc/self/exe", &actions, &attr, args->items,
                                       env->items);
        posix_spawnattr_destroy(&attr);
    }
    posix_spawn_file_actions_destroy(&actions);
    return code;
}

/* No descriptor of ours may have one of the numbers that the child's get. */
static int move_up(int fd)
{
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, CS_GIT_GRANT_FD + CS_GIT_N_GRANTS);
    close(fd);
    return moved;
}

static gw_status start(const cs_git_run *run, pid_t *ret_pid, int *ret_output, gw_error *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return gw_error_set_errno(err, errno, "a pipe for git");
    }
    ends[1] = move_up(ends[1]);
    words args = {.n = 0};
    words env = {.n = 0};
    make_args(&args, run);
    make_env(&env, run);
    int code = args.is_short || env.is_short ? ENOMEM : 0;
    code = code != 0 ? code : spawn(run, ends[1], &args, &env, ret_pid);
    dispose(&args);
    dispose(&env);
    close(ends[1]);
    if (code != 0) {
        close(ends[0]);
        return gw_error_set_errno(err, code, "git cannot be run");
    }
    *ret_output = ends[0];
    return GW_OK;
}

/* ---- until it ends ------------------------------------------------------------------- */

typedef struct watch {
    const cs_git_run *run;
    cs_git_result *result;
    int output; /* -1: closed */
    int pid_fd;
    uint64_t end_ms;
    uint64_t silence_end_ms;
} watch;

/* Keep the end of what is said: a bound on the memory, and the reason is what comes last. */
static void keep(cs_git_result *result, const char *bytes, size_t len)
{
    size_t room = sizeof(result->text) - 1;
    if (result->len + len > room) {
        size_t drop = result->len + len - room;
        drop = drop < room / 2 ? room / 2 : drop;
        drop = drop > result->len ? result->len : drop;
        memmove(result->text, result->text + drop, result->len - drop);
        result->len -= drop;
    }
    memcpy(result->text + result->len, bytes, len);
    result->len += len;
    result->text[result->len] = '\0';
}

static unsigned silence_ms(const cs_git_run *run)
{
    return 1000 * (run->silence_s == 0 ? run->timeout_s : run->silence_s);
}

static void read_output(watch *it)
{
    char bytes[TEXT_BYTES];
    ssize_t n = read(it->output, bytes, sizeof(bytes));
    if (n > 0) {
        keep(it->result, bytes, (size_t)n);
        it->silence_end_ms = gw_clock_ms() + silence_ms(it->run);
    } else if (n == 0 || errno != EINTR) {
        close(it->output);
        it->output = -1;
    }
}

static gw_status fail_timeout(const watch *it, gw_error *err)
{
    bool is_silent = it->silence_end_ms < it->end_ms;
    return gw_error_set(err, GW_E_TIMEOUT, 0, "no end within %u s%s",
                        is_silent ? silence_ms(it->run) / 1000 : it->run->timeout_s,
                        is_silent ? " after the last sign of life" : "");
}

/* GW_OK when it has ended. */
static gw_status wait_for_end(watch *it, gw_error *err)
{
    for (;;) {
        uint64_t now_ms = gw_clock_ms();
        uint64_t end_ms = it->silence_end_ms < it->end_ms ? it->silence_end_ms : it->end_ms;
        if (now_ms >= end_ms) {
            return fail_timeout(it, err);
        }
        struct pollfd polls[] = {{.fd = it->pid_fd, .events = POLLIN},
                                 {.fd = it->output, .events = POLLIN},
                                 {.fd = it->run->stop_fd, .events = POLLIN}};
        if (poll(polls, 3, (int)(end_ms - now_ms)) < 0 && errno != EINTR) {
            return gw_error_set_errno(err, errno, "waiting for git");
        }
        if (polls[2].revents != 0) {
            return gw_error_set(err, GW_E_CLOSED, 0, "stopped");
        }
        if (polls[1].revents != 0) {
            read_output(it);
        } else if (polls[0].revents != 0) {
            return GW_OK;
        }
    }
}

/* Ask, so that git removes its lock files, then force. The whole session goes: what git started,
 * and even what that started. */
static void end_session(pid_t pid, int pid_fd)
{
    struct pollfd ended = {.fd = pid_fd, .events = POLLIN};
    kill(-pid, SIGTERM);
    poll(&ended, 1, GRACE_MS);
    kill(-pid, SIGKILL);
}

/* The status of git. As the first process of a container we inherit what git has left behind, too:
 * it is of git's group, has been killed, and would stay a zombie. Elsewhere it is not our child. */
static int reap_session(pid_t pid)
{
    int status = 0, of_git = 0;
    for (;;) {
        pid_t ended = waitpid(-pid, &status, 0);
        if (ended == pid) {
            of_git = status;
        } else if (ended < 0 && errno != EINTR) {
            return of_git;
        }
    }
}

gw_status cs_git_run_wait(const cs_git_run *run, cs_git_result *ret_result, gw_error *err)
{
    pid_t pid = 0;
    watch it = {.run = run, .result = ret_result};
    ret_result->len = 0;
    ret_result->text[0] = '\0';
    gw_status st = start(run, &pid, &it.output, err);
    if (st != GW_OK) {
        return st;
    }
    it.end_ms = gw_clock_ms() + 1000 * (uint64_t)run->timeout_s;
    it.silence_end_ms = gw_clock_ms() + silence_ms(run);
    it.pid_fd = pidfd_open(pid, 0);
    st = it.pid_fd < 0 ? gw_error_set_errno(err, errno, "waiting for git") : wait_for_end(&it, err);
    if (st != GW_OK) {
        end_session(pid, it.pid_fd);
    } else {
        kill(-pid, SIGKILL); /* what it left behind; it is not reaped yet, so the pid is its own */
    }
    int status = reap_session(pid);
    ret_result->exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    if (it.output >= 0) {
        close(it.output);
    }
    if (it.pid_fd >= 0) {
        close(it.pid_fd);
    }
    return st;
}
