/* SPDX-License-Identifier: MIT */
#include "service/flags.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define TERMINAL_WIDTH 80

void gw__flags_add(gw__flags *flags, const gw_flag *table, size_t n_flags)
{
    for (size_t i = 0; i < n_flags; i++) {
        assert(flags->n_flags < GW__FLAGS_MAX);
        flags->table[flags->n_flags++] = &table[i];
    }
}

/* The place of a flag in the table; n_flags if it has none. `name` need not end after `len` bytes.
 */
static size_t find(const gw__flags *flags, const char *name, size_t len)
{
    size_t i = 0;
    while (i < flags->n_flags && (strlen(flags->table[i]->name) != len ||
                                  strncmp(flags->table[i]->name, name, len) != 0)) {
        i++;
    }
    return i;
}

static gw_status check_value(const char *what, const char *value, gw_error *err)
{
    if (strnlen(value, GW__FLAG_VALUE_MAX + 1) > GW__FLAG_VALUE_MAX) {
        return gw_error_set(err, GW_E_LIMIT, 0, "%s is longer than %d bytes", what,
                            GW__FLAG_VALUE_MAX);
    }
    for (const char *p = value; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f) {
            return gw_error_set(err, GW_E_INVALID, 0, "%s holds a control character", what);
        }
    }
    return GW_OK;
}

static gw_status read_environment(gw__flags *flags, gw_error *err)
{
    for (size_t i = 0; i < flags->n_flags; i++) {
        const char *env = flags->table[i]->env;
        const char *value = env != NULL ? getenv(env) : NULL;
        if (value == NULL || value[0] == '\0' || flags->given[i]) {
            continue;
        }
        gw_status st = check_value(env, value, err);
        if (st != GW_OK) {
            return st;
        }
        flags->values[i] = value;
    }
    return GW_OK;
}

/* One of the flags that every program has and that take no value. */
static bool take_switch(gw__flags *flags, const char *name)
{
    if (strcmp(name, "help") == 0 || strcmp(name, "h") == 0) {
        return flags->help = true;
    }
    if (strcmp(name, "version") == 0) {
        return flags->version = true;
    }
    if (strcmp(name, "keys") == 0) {
        return flags->keys = true;
    }
    return false;
}

gw_status gw__flags_parse(gw__flags *flags, int argc, char **argv, gw_error *err)
{
    gw_status st = GW_OK;
    for (int i = 1; st == GW_OK && i < argc; i++) {
        const char *word = argv[i];
        if (word[0] != '-' || word[1] == '\0' || strcmp(word, "--") == 0) {
            return gw_error_set(err, GW_E_INVALID, 0, "'%s' is not a flag (see --help)", word);
        }
        const char *name = word + (word[1] == '-' ? 2 : 1);
        if (take_switch(flags, name)) {
            continue;
        }
        size_t len = strcspn(name, "=");
        size_t found = find(flags, name, len);
        if (found == flags->n_flags) {
            return gw_error_set(err, GW_E_INVALID, 0, "there is no flag -%.*s (see --help)",
                                len > 100 ? 100 : (int)len, name);
        }
        if (name[len] == '\0' && i + 1 == argc) {
            return gw_error_set(err, GW_E_INVALID, 0, "the flag -%s needs a value: -%s %s", name,
                                name, flags->table[found]->value_name);
        }
        const char *value = name[len] == '=' ? name + len + 1 : argv[++i];
        char what[GW_ERROR_TEXT_MAX];
        snprintf(what, sizeof(what), "the value of the flag -%s", flags->table[found]->name);
        st = check_value(what, value, err);
        flags->values[found] = value;
        flags->given[found] = true;
    }
    if (st == GW_OK && !flags->help && !flags->version && !flags->keys) {
        st = read_environment(flags, err);
    }
    return st;
}

const char *gw__flags_get(const gw__flags *flags, const char *name)
{
    size_t i = find(flags, name, strlen(name));
    if (i == flags->n_flags) {
        return NULL;
    }
    return flags->values[i] != NULL ? flags->values[i] : flags->table[i]->fallback;
}

bool gw__flags_is_given(const gw__flags *flags, const char *name)
{
    size_t i = find(flags, name, strlen(name));
    return i < flags->n_flags && flags->values[i] != NULL;
}

void gw__flags_origin(const gw__flags *flags, const char *name, char *ret_origin, size_t size)
{
    size_t i = find(flags, name, strlen(name));
    bool given = i < flags->n_flags && flags->given[i];
    snprintf(ret_origin, size, "%s%s", given ? "the flag -" : "environment variable ",
             given                ? name
             : i < flags->n_flags ? flags->table[i]->env
                                  : "");
}

/* With its variable behind it, or below when the line would be longer than a terminal's. */
static void print_flag(const gw_flag *flag, FILE *out)
{
    char left[64];
    bool has_fallback = flag->fallback != NULL && flag->fallback[0] != '\0';
    snprintf(left, sizeof(left), "-%s %s", flag->name, flag->value_name);
    int width = fprintf(out, "  %-24s %s", left, flag->help);
    if (has_fallback) {
        width += fprintf(out, " (%s)", flag->fallback);
    }
    if (flag->env != NULL) {
        bool fits = width + (int)strlen(" []") + (int)strlen(flag->env) <= TERMINAL_WIDTH;
        fprintf(out, "%s[%s]", fits ? " " : "\n                             ", flag->env);
    }
    fprintf(out, "\n");
}

void gw__flags_print_help(const gw__flags *flags, const gw_service_spec *spec, FILE *out)
{
    fprintf(out, "%s: %s\n\nusage: %s [-flag value]...\n\n", spec->name, spec->summary, spec->name);
    for (size_t i = 0; i < flags->n_flags; i++) {
        print_flag(flags->table[i], out);
    }
    fprintf(out, "  %-24s print this, the version, or the configuration keys\n",
            "--help --version --keys");
    fprintf(out, "\nA flag takes one dash or two, its value follows after a blank or '='. Flags "
                 "win\nover the environment, where each configuration key (--keys) can be set, "
                 "too:\nserver_port as GODWIT_SERVER_PORT.\n");
    if (flags->notes != NULL) {
        fprintf(out, "\n%s", flags->notes);
    }
    fprintf(out, "\nexample: %s\n", spec->example);
}
