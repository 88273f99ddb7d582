/* SPDX-License-Identifier: MIT */
#include "service/config_server.h"

#include <stdlib.h>
#include <string.h>

#include <godwit/secret.h>

#include "config/parse.h"

#define WATCH_FLAG   "configWatch"
#define WATCH_MIN_MS 1000
#define WATCH_MAX_MS 86400000

const gw_flag gw__config_flags[GW__N_CONFIG_FLAGS] = {
    {"configServerUrl", "GODWIT_CONFIG_SERVER_URL", "URL", "http://configserver:8888",
     "config server, or a list"},
    {"profile", "GODWIT_PROFILE", "NAME", "test", "the Spring profile"},
    {"configBranch", "GODWIT_CONFIG_BRANCH", "LABEL", "main", "branch or tag, or list"},
    {"configCache", "GODWIT_CONFIG_CACHE", "FILE", NULL, "for a start without server"},
    {WATCH_FLAG, "GODWIT_CONFIG_WATCH", "HOW", "auto", "auto, on, off, or 30s"},
};

const char gw__config_secrets_help[] =
    "Secrets are in the environment, or in a file that it names (..._FILE):\n"
    "GODWIT_CONFIG_USER and _PASSWORD, GODWIT_CONFIG_TOKEN, GODWIT_ENCRYPT_KEY.\n";

/* ---- secrets ---------------------------------------------------------------- */

static char *given(const char *variable)
{
    char *value = getenv(variable);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

/* Move the variable's value to `ret_secret` and out of the environment, also out of what
 * /proc/PID/environ shows of it. */
static gw_status take_variable(const char *variable, char *value, char *ret_secret, gw_error *err)
{
    size_t len = strlen(value);
    if (len >= GW__SECRET_SIZE) {
        return gw_error_set(err, GW_E_LIMIT, 0, "%s is longer than %d bytes", variable,
                            GW__SECRET_SIZE - 1);
    }
    memcpy(ret_secret, value, len + 1);
    explicit_bzero(value, len);
    unsetenv(variable);
    return GW_OK;
}

/* From the variable, or the file that a second one names. `*ret` is NULL when there is neither. */
static gw_status take_secret(const char *variable, const char *file_variable, char *secret,
                             const char **ret, gw_error *err)
{
    char *value = given(variable);
    const char *path = given(file_variable);
    if (value != NULL && path != NULL) {
        return gw_error_set(err, GW_E_INVALID, 0, "both %s and %s are set", variable,
                            file_variable);
    }
    gw_status st = GW_OK;
    if (value != NULL) {
        st = take_variable(variable, value, secret, err);
    } else if (path != NULL) {
        st = gw_secret_read(file_variable, path, true, secret, GW__SECRET_SIZE, err);
    }
    *ret = st == GW_OK && (value != NULL || path != NULL) ? secret : NULL;
    return st;
}

static gw_status read_secrets(gw__config_server *server, gw_error *err)
{
    gw_config_options *options = &server->options;
    options->username = given("GODWIT_CONFIG_USER");
    gw_status st = take_secret("GODWIT_CONFIG_PASSWORD", "GODWIT_CONFIG_PASSWORD_FILE",
                               server->password, &options->password, err);
    if (st == GW_OK) {
        st = take_secret("GODWIT_CONFIG_TOKEN", "GODWIT_CONFIG_TOKEN_FILE", server->token,
                         &options->token, err);
    }
    if (st != GW_OK) {
        return st;
    }
    if (options->password != NULL && options->username == NULL) {
        return gw_error_set(err, GW_E_INVALID, 0,
                            "there is a GODWIT_CONFIG_PASSWORD, and no GODWIT_CONFIG_USER");
    }
    char *key = given("GODWIT_ENCRYPT_KEY");
    options->cipher.key_file = given("GODWIT_ENCRYPT_KEY_FILE"); /* read and checked there */
    if (key != NULL && options->cipher.key_file != NULL) {
        return gw_error_set(err, GW_E_INVALID, 0,
                            "both GODWIT_ENCRYPT_KEY and GODWIT_ENCRYPT_KEY_FILE are set");
    }
    if (key != NULL) {
        st = take_variable("GODWIT_ENCRYPT_KEY", key, server->key, err);
        options->cipher.key = server->key;
    }
    return st;
}

/* ---- the watch --------------------------------------------------------------------- */

static gw_status read_interval(const gw__flags *flags, const char *text, unsigned *ret_ms,
                               gw_error *err)
{
    uint64_t ms = 0;
    gw__text interval = {.key = WATCH_FLAG, .value = text, .origin = ""};
    if (gw__text_duration_ms(&interval, WATCH_MIN_MS, WATCH_MAX_MS, &ms, NULL) == GW_OK) {
        *ret_ms = (unsigned)ms;
        return GW_OK;
    }
    char origin[128];
    gw__flags_origin(flags, WATCH_FLAG, origin, sizeof(origin));
    return gw_error_set(err, GW_E_INVALID, 0,
                        "'%.40s' from %s is none of auto, on, off, nor a time from 1s to 24h", text,
                        origin);
}

static gw_status read_watch(const gw__flags *flags, gw_config_options *options, gw_error *err)
{
    static const struct {
        const char *word;
        gw_config_watch_mode mode;
    } words[] = {{"auto", GW_CONFIG_WATCH_AUTO},
                 {"on", GW_CONFIG_WATCH_ALWAYS},
                 {"off", GW_CONFIG_WATCH_NEVER}};
    const char *text = gw__flags_get(flags, WATCH_FLAG);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(text, words[i].word) == 0) {
            options->watch = words[i].mode;
            return GW_OK;
        }
    }
    options->watch = GW_CONFIG_WATCH_ALWAYS;
    return read_interval(flags, text, &options->watch_interval_ms, err);
}

gw_status gw__config_server_read(const gw__flags *flags, const char *app, gw__config_server *server,
                                 gw_error *err)
{
    gw_config_options *options = &server->options;
    *options = (gw_config_options)GW_CONFIG_OPTIONS_INIT;
    options->url = gw__flags_get(flags, "configServerUrl");
    options->app = app;
    options->profile = gw__flags_get(flags, "profile");
    options->label = gw__flags_get(flags, "configBranch");
    options->cache_file = gw__flags_get(flags, "configCache");
    gw_status st = read_watch(flags, options, err);
    return st == GW_OK ? read_secrets(server, err) : st;
}

void gw__config_server_dispose(gw__config_server *server)
{
    explicit_bzero(server, sizeof(*server));
}
