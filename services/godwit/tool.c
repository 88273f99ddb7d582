/* SPDX-License-Identifier: MIT */
#include "tool.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include <godwit/buf.h>
#include <godwit/log.h>
#include <godwit/version.h>

#include "accounts.h"
#include "bus.h"
#include "commit/commit.h"
#include "config.h"
#include "dead.h"
#include "outbox.h"
#include "text.h"

#define MESSAGE_MAX 2048

static const command_group *const groups[] = {&accounts_group, &bus_group, &config_group,
                                              &dead_group, &outbox_group};

static const char help[] =
    "godwit: messages and configuration of services, by hand\n"
    "\n"
    "usage: godwit GROUP COMMAND [option]... [argument]...\n"
    "\n"
    "  accounts  accounts of accountservice: import, export\n"
    "  bus       the embedded bus: status, list, peek, publish, consume, backup, ...\n"
    "  config    configuration: get, explain, encrypt, decrypt, lint\n"
    "  dead      messages that a service gave up: list, show, putback, drop, export\n"
    "  outbox    messages that it has not delivered: list, show, resend, drop, export\n"
    "\n"
    "  --help    print this, or after GROUP or COMMAND more about it\n"
    "  --version\n"
    "\n"
    "Options take one dash or two, a value follows after a blank or '='.\n"
    "Exit status: 0 done, 1 failed, 2 wrong arguments.\n"
    "\n"
    "example:\n"
    "  godwit dead list vip_queue\n";

int tool_fail(FILE *err, int status, const char *format, ...)
{
    char text[MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    gw_buf safe;
    gw_buf_init(&safe, 0);
    text_add_safe(&safe, text, strlen(text), TEXT_LINE);
    fprintf(err, "godwit: %s\n", safe.data != NULL ? safe.data : "out of memory");
    gw_buf_dispose(&safe);
    return status;
}

int tool_flush(FILE *out, FILE *err)
{
    if (fflush(out) == 0 && ferror(out) == 0) {
        return TOOL_OK;
    }
    return tool_fail(err, TOOL_FAILED, "standard output cannot be written: %s", strerror(errno));
}

static int print(const char *text, FILE *out, FILE *err)
{
    fputs(text, out);
    return tool_flush(out, err);
}

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-help") == 0 || strcmp(word, "-h") == 0 ||
           strcmp(word, "--h") == 0;
}

static int run_command(const command_group *group, const command *found, int argc,
                       const char **argv, FILE *out, FILE *err)
{
    options given;
    char fault[OPTIONS_FAULT_MAX];
    if (!options_read(found->options, argc, argv, &given, fault)) {
        return tool_fail(err, TOOL_USAGE, "%s (see godwit %s %s --help)", fault, group->name,
                         found->name);
    }
    if (given.help) {
        return print(found->help, out, err);
    }
    if (given.n_words < found->n_words_min ||
        (found->n_words_max >= 0 && given.n_words > found->n_words_max)) {
        const char *usage = strstr(found->help, "usage: ");
        return tool_fail(err, TOOL_USAGE, "%.*s (see --help)", (int)strcspn(usage, "\n"), usage);
    }
    gw_log_set_level(GW_LOG_OFF); /* what fails is told in one line at the end */
    return found->run(&given, out, err);
}

static int run_group(const command_group *group, int argc, const char **argv, FILE *out, FILE *err)
{
    if (argc == 0) {
        return tool_fail(err, TOOL_USAGE, "godwit %s needs a command (see godwit %s --help)",
                         group->name, group->name);
    }
    if (is_help(argv[0])) {
        return print(group->help, out, err);
    }
    for (size_t i = 0; i < group->n_commands; i++) {
        if (strcmp(group->commands[i].name, argv[0]) == 0) {
            return run_command(group, &group->commands[i], argc - 1, argv + 1, out, err);
        }
    }
    return tool_fail(err, TOOL_USAGE, "godwit %s has no command '%.64s' (see godwit %s --help)",
                     group->name, argv[0], group->name);
}

int tool_run(int argc, char **argv, FILE *out, FILE *err)
{
    const char **words = (const char **)argv;
    if (argc < 2) {
        return tool_fail(err, TOOL_USAGE, "what is to be done? (see godwit --help)");
    }
    if (is_help(words[1])) {
        return print(help, out, err);
    }
    if (strcmp(words[1], "--version") == 0 || strcmp(words[1], "-version") == 0) {
        fprintf(out, "godwit %s (commit %s)\n", GW_VERSION, program_commit);
        return tool_flush(out, err);
    }
    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
        if (strcmp(groups[i]->name, words[1]) == 0) {
            return run_group(groups[i], argc - 2, words + 2, out, err);
        }
    }
    return tool_fail(err, TOOL_USAGE, "there is no command '%.64s' (see godwit --help)", words[1]);
}
