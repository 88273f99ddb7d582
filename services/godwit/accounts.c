/* SPDX-License-Identifier: MIT */
#include "accounts.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "accounts_commands.h"
#include "env_secret.h"

const char *accounts_file(const options *given)
{
    return given->n_words > 0 && strcmp(given->words[0], "-") != 0 ? given->words[0] : NULL;
}

int accounts_format(const options *given, account_format *ret_format, FILE *err)
{
    const char *name = given->config.format;
    const char *path = accounts_file(given);
    *ret_format = ACCOUNT_NDJSON;
    if (name != NULL && !account_format_of_name(name, ret_format)) {
        return tool_fail(err, TOOL_USAGE, "--format '%.64s' is neither ndjson nor csv", name);
    }
    if (name == NULL && path != NULL && !account_format_of_file(path, ret_format)) {
        return tool_fail(err, TOOL_USAGE,
                         "%s ends neither with .ndjson nor with .csv: say --format", path);
    }
    return TOOL_OK;
}

static const char *find_store(const options *given)
{
    const char *where = given->accounts.store;
    where = where != NULL ? where : env_value(OPTIONS_STORE_ENV);
    where = where != NULL ? where : env_value(OPTIONS_STORE_DIR_ENV);
    return where != NULL ? where : ACCOUNTS_STORE_DEFAULT;
}

static int check_exists(const char *where, FILE *err)
{
    char path[4096];
    struct stat info;
    if (account_store_is_database(where)) {
        return TOOL_OK;
    }
    if (snprintf(path, sizeof(path), "%s/data.mdb", where) >= (int)sizeof(path)) {
        errno = ENAMETOOLONG;
    } else if (stat(path, &info) == 0) {
        return TOOL_OK;
    }
    return tool_fail(err, TOOL_FAILED,
                     "there is no account store in %.1000s (%s): name accountservice's store_dir "
                     "with --store",
                     where, strerror(errno));
}

int accounts_open(const options *given, bool must_exist, account_store **ret_store, FILE *err)
{
    const char *where = find_store(given);
    char storage[ENV_SECRET_MAX];
    const char *password = NULL;
    int status = must_exist ? check_exists(where, err) : TOOL_OK;
    if (status == TOOL_OK && account_store_is_database(where)) {
        status = env_secret_read(ACCOUNTS_PASSWORD_ENV, ACCOUNTS_PASSWORD_FILE_ENV, storage,
                                 &password, err);
    }
    if (status != TOOL_OK) {
        return status;
    }
    const account_store_options how = {.where = where, .password = password, .max_connections = 1};
    gw_error why = GW_ERROR_INIT;
    gw_status st = account_store_open(&how, ret_store, &why);
    explicit_bzero(storage, sizeof(storage));
    return st == GW_OK ? TOOL_OK : tool_fail(err, TOOL_FAILED, "%s", why.text);
}

#define STORE_HELP                                                                                 \
    "  --store STORE    a directory or postgresql://user@host/database\n"                          \
    "                   (" ACCOUNTS_STORE_DEFAULT ")\n"                                            \
    "  --format FORMAT  ndjson or csv, when the name of FILE does not tell (ndjson)\n"

static const command commands[] = {
    {.name = "import",
     .options = OPTION_STORE | OPTION_FORMAT | OPTION_IMPORT | OPTION_DRY_RUN | OPTION_JSON,
     .n_words_min = 0,
     .n_words_max = 1,
     .help =
         "godwit accounts import: put accounts of a file into the store\n"
         "\n"
         "usage: godwit accounts import [option]... [FILE|-]\n"
         "\n" STORE_HELP "  --replace        accounts that are there get the name of the file\n"
         "  --batch NUMBER   accounts that are committed together (10000)\n"
         "  --keep-going     leave out lines that are wrong, and report them\n"
         "  --dry-run        check the file, and nothing else\n"
         "  --json           what was done as a JSON object\n"
         "\n"
         "A line is {\"id\":\"10000\",\"name\":\"Person_0\"}; CSV has a header with id and name.\n"
         "Cut off, it can be run again. The service may run, and has them at once. The\n"
         "password of a database: " ACCOUNTS_PASSWORD_ENV "(_FILE).\n"
         "\n"
         "example:\n"
         "  godwit accounts import --store /var/lib/accountservice people.csv\n",
     .run = accounts_import},
    {.name = "export",
     .options = OPTION_STORE | OPTION_FORMAT | OPTION_EXPORT,
     .n_words_min = 0,
     .n_words_max = 1,
     .help = "godwit accounts export: write the accounts of a store, in order of their ids\n"
             "\n"
             "usage: godwit accounts export [option]... [FILE|-]\n"
             "\n" STORE_HELP "  --after ID       only those behind this id\n"
             "  --force          put it in the place of a FILE that is there\n"
             "\n"
             "It is the store at one moment, and the service may run. FILE is there when all\n"
             "of it is. The password of a database: " ACCOUNTS_PASSWORD_ENV "(_FILE).\n"
             "\n"
             "example:\n"
             "  godwit accounts export --store /var/lib/accountservice people.ndjson\n",
     .run = accounts_export},
};

const command_group accounts_group = {
    .name = "accounts",
    .help = "godwit accounts: the accounts of accountservice, from a file and into one\n"
            "\n"
            "usage: godwit accounts COMMAND [option]... [FILE|-]\n"
            "\n"
            "  import FILE  put accounts into the store\n"
            "  export FILE  write those of the store\n"
            "\n"
            "Files are NDJSON or CSV; without FILE standard input or output. The store is\n"
            "that of --store, otherwise of " OPTIONS_STORE_ENV " or " OPTIONS_STORE_DIR_ENV ".\n"
            "'godwit accounts COMMAND --help' has the options.\n"
            "\n"
            "example:\n"
            "  godwit accounts import --store /var/lib/accountservice people.csv\n",
    .commands = commands,
    .n_commands = sizeof(commands) / sizeof(commands[0]),
};
