/* SPDX-License-Identifier: MIT */
#include "bus_words.h"

#include <string.h>

bus_words bus_words_read(const options *given, int n_rest)
{
    bus_words words = {.dir = BUS_DIR_DEFAULT};
    int at = 0;
    if (given->n_words > n_rest) {
        words.dir = given->words[at++];
    }
    while (at < given->n_words && words.n_rest < 2) {
        words.rest[words.n_rest++] = given->words[at++];
    }
    return words;
}

bool bus_words_is_dir(const char *word)
{
    return strncmp(word, "bus:", 4) == 0 || strchr(word, '/') != NULL;
}

int bus_words_fail(const char *dir, gw_status st, const gw_error *why, FILE *err)
{
    switch (st) {
    case GW_E_PROTOCOL:
        return strstr(why->text, "godwit bus recover") != NULL
                   ? tool_fail(err, TOOL_FAILED, "%s", why->text)
                   : tool_fail(err, TOOL_FAILED,
                               "%s; 'godwit bus recover %s' saves what can be read", why->text,
                               dir);
    case GW_E_NOT_FOUND:
        return tool_fail(err, TOOL_FAILED, "%s%s", why->text,
                         strstr(why->text, "no queue") != NULL
                             ? ": 'godwit bus list' shows those there are"
                             : "");
    default: return tool_fail(err, TOOL_FAILED, "%s", why->text);
    }
}

int bus_words_open(const char *dir, gw_bus_mode mode, gw_bus **ret_bus, FILE *err)
{
    gw_error why = GW_ERROR_INIT;
    gw_status st = gw_bus_open(dir, mode, ret_bus, &why);
    if (st == GW_E_NOT_FOUND && strcmp(dir, BUS_DIR_DEFAULT) == 0) {
        return tool_fail(err, TOOL_FAILED,
                         "%s: name its directory, DIR or bus:DIR, or run this where '%s' is",
                         why.text, BUS_DIR_DEFAULT);
    }
    return st == GW_OK ? TOOL_OK : bus_words_fail(dir, st, &why, err);
}
