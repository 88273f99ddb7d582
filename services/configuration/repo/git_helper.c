/* SPDX-License-Identifier: MIT */
#include "repo/git_helper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files/bounds.h"
#include "repo/git_access.h"

#define PROGRAM_FD   (CS_GIT_GRANT_FD + CS_GIT_N_GRANTS)
#define ANSWERS_MAX  ((size_t)64 << 10)
#define SSH_ARGS_MAX 64

#define N_OF(array)  (sizeof(array) / sizeof((array)[0]))

/* ---- starting git ------------------------------------------------------------------ */

static void limit(__rlimit_resource_t resource, rlim_t max)
{
    struct rlimit now = {max, max};
    setrlimit(resource, &now);
}

/* Name what git inherits, by a path: what git starts may close what it inherits. */
static void export_paths(void)
{
    char fds[64], program[96];
    snprintf(fds, sizeof(fds), "/proc/%d/fd", (int)getpid());
    snprintf(program, sizeof(program), "%s/%d", fds, PROGRAM_FD);
    setenv(CS_GIT_FDS, fds, 1);
    setenv("GIT_SSH", program, 1);
    if (fcntl(CS_GIT_GRANT_FD + CS_GIT_GRANT_ANSWERS, F_GETFD) >= 0) {
        setenv("GIT_ASKPASS", program, 1);
        setenv("SSH_ASKPASS", program, 1);
        setenv("SSH_ASKPASS_REQUIRE", "force", 1);
    }
}

/* Become git, which ends with the thread that started us. */
static int start_git(char **argv)
{
    const char *parent = getenv(CS_GIT_PARENT);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (parent == NULL || getppid() != (pid_t)strtol(parent, NULL, 10)) {
        return 1;
    }
    limit(RLIMIT_FSIZE, CS_MIRROR_FILE_BYTES_MAX);
    limit(RLIMIT_CORE, 0);
    int program = open("/proc/self/exe", O_PATH);
    if (program < 0 || dup2(program, PROGRAM_FD) < 0) {
        return 1;
    }
    close_range(PROGRAM_FD + 1, ~0u, 0);
    unsetenv(CS_GIT_PARENT);
    setenv(CS_GIT_ROLE, "answer", 1);
    export_paths();
    execvp(argv[1], argv + 1);
    dprintf(2, "fatal: %s cannot be run: %s\n", argv[1], strerror(errno));
    return 127;
}

/* ---- answering --------------------------------------------------------------------- */

typedef struct answers {
    char bytes[ANSWERS_MAX];
    const char *host;
    const char *username;
    const char *password;
    const char *passphrase;
} answers;

static bool read_answers(answers *known)
{
    const char *dir = getenv(CS_GIT_FDS);
    char path[96];
    if (dir == NULL) {
        return false;
    }
    snprintf(path, sizeof(path), "%s/%d", dir, CS_GIT_GRANT_FD + CS_GIT_GRANT_ANSWERS);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : pread(fd, known->bytes, sizeof(known->bytes) - 1, 0);
    if (fd >= 0) {
        close(fd);
    }
    if (n <= 0) {
        return false;
    }
    const char *end = known->bytes + n;
    const char **fields[] = {&known->host, &known->username, &known->password, &known->passphrase};
    const char *p = known->bytes;
    for (size_t i = 0; i < N_OF(fields); i++) {
        if (p >= end) {
            return false;
        }
        *fields[i] = p;
        p += strlen(p) + 1;
    }
    return true;
}

/* Whether "... for 'https://user@host:port': " is about our server. */
static bool is_for_host(const char *prompt, const char *host)
{
    const char *from = strstr(prompt, "://");
    const char *to = from == NULL ? NULL : strrchr(from, '\'');
    if (to == NULL) {
        return false;
    }
    from += 3;
    const char *at = memrchr(from, '@', (size_t)(to - from));
    from = at == NULL ? from : at + 1;
    return (size_t)(to - from) == strlen(host) && strncasecmp(from, host, strlen(host)) == 0;
}

/* NULL for what we are not asked. The prompts are git's, credential.c, and ssh's, sshconnect2.c. */
static const char *answer_to(const answers *known, const char *prompt)
{
    if (strncmp(prompt, "Username for '", 14) == 0) {
        return is_for_host(prompt, known->host) ? known->username : NULL;
    }
    if (strncmp(prompt, "Password for '", 14) == 0) {
        return is_for_host(prompt, known->host) ? known->password : NULL;
    }
    if (strstr(prompt, "passphrase for key") != NULL) {
        return known->passphrase;
    }
    return strcasestr(prompt, "password:") != NULL ? known->password : NULL;
}

static int answer(const char *prompt)
{
    answers known;
    int code = 1;
    if (read_answers(&known)) {
        const char *text = answer_to(&known, prompt);
        if (text != NULL && text[0] != '\0') {
            code = dprintf(1, "%s\n", text) > 0 ? 0 : 1;
        }
    }
    explicit_bzero(&known, sizeof(known));
    return code;
}

/* ---- ssh ---------------------------------------------------------------------------- */

typedef struct ssh_args {
    char *argv[SSH_ARGS_MAX];
    size_t n;
} ssh_args;

static void add(ssh_args *args, const char *arg)
{
    if (args->n + 1 < N_OF(args->argv)) {
        args->argv[args->n++] = (char *)(uintptr_t)arg;
    }
}

static void add_option(ssh_args *args, const char *option)
{
    add(args, "-o");
    add(args, option);
}

static bool has_rule(char rule)
{
    const char *rules = getenv(CS_GIT_SSH_RULES);
    return rules != NULL && strchr(rules, rule) != NULL;
}

/* "name=/proc/<pid>/fd/<n>" */
static const char *grant_option(const char *name, cs_git_grant_kind kind, char *buf, size_t size)
{
    const char *dir = getenv(CS_GIT_FDS);
    snprintf(buf, size, "%s=%s/%d", name, dir == NULL ? "" : dir, CS_GIT_GRANT_FD + (int)kind);
    return buf;
}

static void add_host_rules(ssh_args *args, char *buf, size_t size)
{
    if (has_rule(CS_GIT_RULE_ANY_HOST)) {
        add_option(args, "StrictHostKeyChecking=no");
        add_option(args, "UserKnownHostsFile=/dev/null");
        add_option(args, "GlobalKnownHostsFile=/dev/null");
        return;
    }
    add_option(args, "StrictHostKeyChecking=yes");
    if (has_rule(CS_GIT_RULE_HOSTS)) {
        add_option(args, grant_option("UserKnownHostsFile", CS_GIT_GRANT_HOSTS, buf, size));
        add_option(args, "GlobalKnownHostsFile=/dev/null");
    }
}

static void add_user_rules(ssh_args *args, char *buf, size_t size)
{
    bool has_password = has_rule(CS_GIT_RULE_PASSWORD);
    if (has_rule(CS_GIT_RULE_KEY)) {
        add_option(args, grant_option("IdentityFile", CS_GIT_GRANT_KEY, buf, size));
        add_option(args, "IdentitiesOnly=yes");
        add_option(args, "IdentityAgent=none");
    }
    add_option(args, has_rule(CS_GIT_RULE_ASK) || has_password ? "BatchMode=no" : "BatchMode=yes");
    add_option(args, has_password
                         ? "PreferredAuthentications=publickey,password,keyboard-interactive"
                         : "PreferredAuthentications=publickey");
    add_option(args, "NumberOfPasswordPrompts=1");
}

/* None of the user's configuration, nothing but git's conversation. */
static int run_ssh(int argc, char **argv)
{
    static const char *const fixed[] = {
        "LogLevel=ERROR",         "UpdateHostKeys=no",     "ClearAllForwardings=yes",
        "ForwardAgent=no",        "PermitLocalCommand=no", "ControlPath=none",
        "ServerAliveInterval=10", "RequestTTY=no",         "CanonicalizeHostname=no",
        "VerifyHostKeyDNS=no",
    };
    char timeout[64], hosts[128], key[128];
    ssh_args args = {.n = 0};
    add(&args, "ssh");
    add(&args, "-F");
    add(&args, "none");
    for (size_t i = 0; i < N_OF(fixed); i++) {
        add_option(&args, fixed[i]);
    }
    const char *seconds = getenv(CS_GIT_TIMEOUT);
    snprintf(timeout, sizeof(timeout), "ConnectTimeout=%s", seconds == NULL ? "20" : seconds);
    add_option(&args, timeout);
    add_host_rules(&args, hosts, sizeof(hosts));
    add_user_rules(&args, key, sizeof(key));
    if (args.n + (size_t)argc > N_OF(args.argv)) {
        return 1;
    }
    for (int i = 1; i < argc; i++) {
        add(&args, argv[i]);
    }
    args.argv[args.n] = NULL;
    execvp("ssh", args.argv);
    dprintf(2, "fatal: ssh cannot be run: %s\n", strerror(errno));
    return 127;
}

int cs_git_helper(int argc, char **argv)
{
    const char *role = getenv(CS_GIT_ROLE);
    if (role == NULL) {
        return -1;
    }
    if (strcmp(role, "start") == 0 && argc >= 2) {
        return start_git(argv);
    }
    if (strcmp(role, "answer") == 0 && argc >= 2) {
        /* A prompt is one argument; git gives ssh at least a host and a command. */
        return argc == 2 ? answer(argv[1]) : run_ssh(argc, argv);
    }
    return 1;
}
