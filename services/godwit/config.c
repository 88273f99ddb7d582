/* SPDX-License-Identifier: MIT */
/* The commands of "godwit config": their names and their help. */
#include "config.h"

#include "config_commands.h"

#define SERVER_HELP                                                                                \
    "  --url URL         of the server (" OPTIONS_SERVER_ENV ", else\n"                            \
    "                      http://configserver:8888)\n"                                            \
    "  --token-file FILE  with a token that the server asks for\n"
#define KEYS_HELP                                                                                  \
    "  --key-file FILE   with a shared key or an RSA key in PEM (or " OPTIONS_KEY_ENV "\n"         \
    "                      in the environment)\n"                                                  \
    "  --keystore FILE   PKCS#12 instead; --keystore-password-file FILE, --alias NAME\n"           \
    "  --salt HEX, --oaep   as the server has them\n"
#define KEYS_SHORT_HELP                                                                            \
    "  --key-file FILE, --keystore FILE, --keystore-password-file FILE, --alias NAME,\n"           \
    "  --salt HEX, --oaep   the key of {cipher} values: see 'godwit config decrypt'\n"

static const command commands[] = {
    {.name = "get",
     .options =
         OPTION_SERVER | OPTION_FORMAT | OPTION_PROPERTY | OPTION_SHOW_SECRETS | OPTION_TIMEOUT,
     .n_words_min = 1,
     .n_words_max = 1,
     .help = "godwit config get: what a server gives an application\n"
             "\n"
             "usage: godwit config get [option]... APP/PROFILE[/LABEL]\n"
             "\n" SERVER_HELP "  --key KEY         the value of this key alone, as it is\n"
             "  --format FORMAT   table (without the option), yaml, json, properties\n"
             "  --show-secrets    in the table, where they are *** otherwise\n"
             "  --timeout TIME    give up after TIME (" OPTIONS_TIMEOUT_TEXT "), such as 3s\n"
             "\n"
             "PROFILE and APP may be lists, with commas. The table shows values as the files\n"
             "have them; in the other formats ${placeholders} are resolved.\n"
             "\n"
             "example:\n"
             "  godwit config get accountservice/test --url http://127.0.0.1:8888\n",
     .run = config_get},
    {.name = "explain",
     .options = OPTION_SERVER | OPTION_REPO | OPTION_SHOW_SECRETS | OPTION_JSON | OPTION_TIMEOUT,
     .n_words_min = 1,
     .n_words_max = 2,
     .help = "godwit config explain: which file each value comes from, and what it hides\n"
             "\n"
             "usage: godwit config explain [option]... APP/PROFILE[/LABEL] [KEY]\n"
             "\n" SERVER_HELP
             "  --repo DIR        what a server would give of the files in DIR, without one;\n"
             "                      with LABEL of that commit\n"
             "  --show-secrets    which are *** otherwise\n"
             "  --json            the answer as it is\n"
             "  --timeout TIME    give up after TIME (" OPTIONS_TIMEOUT_TEXT "), such as 3s\n"
             "\n"
             "With KEY only the keys that hold this text.\n"
             "\n"
             "example:\n"
             "  godwit config explain accountservice/test server_port --repo .\n",
     .run = config_explain},
    {.name = "encrypt",
     .options = OPTION_KEYS,
     .n_words_min = 0,
     .n_words_max = 1,
     .help = "godwit config encrypt: a {cipher} value for a configuration file\n"
             "\n"
             "usage: godwit config encrypt [option]... [TEXT|-]\n"
             "\n" KEYS_HELP "\n"
             "Without TEXT, or with -, it is read from standard input; a line break at its end\n"
             "does not count. Others on this machine can read TEXT in the list of processes.\n"
             "'{key:NAME}' in front of the text picks a key of the keystore.\n"
             "\n"
             "example:\n"
             "  godwit config encrypt --key-file /etc/godwit/config.key < password.txt\n",
     .run = config_encrypt},
    {.name = "decrypt",
     .options = OPTION_KEYS,
     .n_words_min = 0,
     .n_words_max = 1,
     .help = "godwit config decrypt: the text of a {cipher} value\n"
             "\n"
             "usage: godwit config decrypt [option]... [TEXT|-]\n"
             "\n" KEYS_HELP "\n"
             "Without TEXT, or with -, it is read from standard input. '{cipher}' in front may\n"
             "be there or not.\n"
             "\n"
             "example:\n"
             "  godwit config decrypt --key-file /etc/godwit/config.key '{cipher}682b...'\n",
     .run = config_decrypt},
    {.name = "lint",
     .options = OPTION_LABEL | OPTION_JSON | OPTION_KEYS | OPTION_UTF8,
     .n_words_min = 1,
     .n_words_max = 1,
     .help = "godwit config lint: faults of a repository, before it is pushed\n"
             "\n"
             "usage: godwit config lint [option]... DIR\n"
             "\n"
             "  --label LABEL     the commit of a branch, tag or id of the git repository DIR,\n"
             "                      instead of the files that lie in DIR\n"
             "  --utf8-properties   .properties are UTF-8, as the server reads them then\n"
             "  --json            a JSON object\n" KEYS_SHORT_HELP "\n"
             "file:line: error: what a server would refuse, or what no service could get;\n"
             "warning: what is hardly meant, such as a password that is not encrypted; note:\n"
             "what may surprise. Exit status 1 if there is an error.\n"
             "\n"
             "example:\n"
             "  godwit config lint --key-file /etc/godwit/config.key .\n",
     .run = config_lint},
};

const command_group config_group = {
    .name = "config",
    .help = "godwit config: configuration that services get, and the files behind it\n"
            "\n"
            "usage: godwit config COMMAND [option]... [argument]...\n"
            "\n"
            "  get APP/PROFILE              what a server gives an application\n"
            "  explain APP/PROFILE [KEY]    which file each value comes from\n"
            "  encrypt [TEXT]               a {cipher} value\n"
            "  decrypt [TEXT]               and what is in it\n"
            "  lint DIR                     faults of a repository\n"
            "\n"
            "Each has a --help of its own.\n"
            "\n"
            "example:\n"
            "  godwit config lint .\n",
    .commands = commands,
    .n_commands = sizeof(commands) / sizeof(commands[0]),
};
