/* SPDX-License-Identifier: MIT */
#include "settings_inside.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "files/bounds.h"

#define SERVER   "spring.cloud.config.server"
#define MONITOR  SERVER ".monitor"
#define N(array) (sizeof(array) / sizeof((array)[0]))

/* ---- what the server decides ----------------------------------------------------------- */

typedef struct switches {
    bool refuse_empty;
    bool refuse_unknown;
    bool skip_failing_labels;
    bool keep_ciphers;
    bool encrypt_plain_text;
    bool is_quiet;
    const char *prefix;
    const char *encoding;
} switches;

#define SWITCH(key, kind, field) CS_SETTING_ROW(switches, key, kind, field)

/* "\{" and "\${" become "{" and "${": so a placeholder is kept from the server. */
static cs_text unescape(const cs_settings_reader *r, const char *text)
{
    char *out = cs_arena_alloc(r->arena, strlen(text) + 1);
    size_t n = 0;
    for (const char *p = text; out != NULL && *p != '\0'; p++) {
        bool is_escape = p[0] == '\\' && (p[1] == '{' || (p[1] == '$' && p[2] == '{'));
        if (!is_escape) {
            out[n++] = *p;
        }
    }
    return (cs_text){out, n};
}

static gw_status read_overrides(const cs_settings_reader *r)
{
    cs_rules *rules = &r->settings->rules;
    cs_property *items = NULL;
    size_t n = 0;
    const char *rest;
    cs_setting setting;
    while (cs_settings_below(r->file, SERVER ".overrides", n, &rest, &setting)) {
        n++;
    }
    items = cs_arena_alloc(r->arena, (n + 1) * sizeof(*items));
    if (items == NULL) {
        return cs_settings_no_memory(r);
    }
    for (size_t i = 0; i < n; i++) {
        cs_settings_below(r->file, SERVER ".overrides", i, &rest, &setting);
        items[i] = (cs_property){.key = {rest, strlen(rest)},
                                 .value = unescape(r, setting.value),
                                 .kind = CS_VALUE_TEXT};
    }
    rules->overrides = items;
    rules->n_overrides = n;
    return cs_arena_status(r->arena) == GW_OK ? GW_OK : cs_settings_no_memory(r);
}

static gw_status check_prefix(const cs_settings_reader *r, const char *prefix)
{
    size_t len = strlen(prefix);
    if (len == 0) {
        return GW_OK;
    }
    if (prefix[0] != '/' || prefix[len - 1] == '/' || strpbrk(prefix, "{}?#% ") != NULL) {
        return gw_error_set(r->err, GW_E_INVALID, 0,
                            "'" SERVER ".prefix' must begin with '/', must not end with it, and "
                            "holds no {}?#%%");
    }
    return GW_OK;
}

static gw_status read_switches(const cs_settings_reader *r)
{
    static const cs_setting_row rows[] = {
        SWITCH(SERVER ".accept-empty", NOT_FLAG, refuse_empty),
        SWITCH(SERVER ".continue-on-multiple-label-failure", FLAG, skip_failing_labels),
        SWITCH(SERVER ".encrypt.enabled", NOT_FLAG, keep_ciphers),
        SWITCH(SERVER ".encrypt.plain-text-encrypt", FLAG, encrypt_plain_text),
        SWITCH(SERVER ".prefix", TEXT, prefix),
        SWITCH("godwit.properties-encoding", TEXT, encoding),
        SWITCH("godwit.events-on-change", NOT_FLAG, is_quiet),
        SWITCH("godwit.refuse-unknown-applications", FLAG, refuse_unknown),
        CS_SETTING_WITHOUT(SERVER ".strip-document-from-yaml", REFUSED_IF_FALSE),
        CS_SETTING_WITHOUT(SERVER ".bootstrap", IGNORED),
        CS_SETTING_WITHOUT(SERVER ".health.enabled", IGNORED),
    };
    switches found = {.prefix = "", .encoding = "iso-8859-1"};
    gw_status st = GW_OK;
    for (size_t i = 0; st == GW_OK && i < N(rows); i++) {
        cs_setting setting;
        if (cs_settings_find(r->file, rows[i].key, &setting)) {
            st = cs_settings_value(r, &rows[i], &setting, &found);
        }
    }
    if (st == GW_OK) {
        st = check_prefix(r, found.prefix);
    }
    bool is_utf8 = strcasecmp(found.encoding, "utf-8") == 0;
    if (st == GW_OK && !is_utf8 && strcasecmp(found.encoding, "iso-8859-1") != 0) {
        st = gw_error_set(r->err, GW_E_INVALID, 0,
                          "'godwit.properties-encoding' is neither utf-8 nor iso-8859-1");
    }
    cs_settings *settings = r->settings;
    settings->prefix = found.prefix;
    settings->keep_ciphers = found.keep_ciphers;
    settings->encrypt_plain_text = found.encrypt_plain_text;
    settings->is_quiet = found.is_quiet;
    settings->rules.refuse_empty = found.refuse_empty;
    settings->rules.refuse_unknown = found.refuse_unknown;
    settings->rules.skip_failing_labels = found.skip_failing_labels;
    settings->rules.is_utf8_properties = is_utf8;
    return st == GW_OK ? read_overrides(r) : st;
}

/* Spring's own server.port and server.address. */
static void read_listening(const cs_settings_reader *r)
{
    cs_setting setting;
    if (cs_settings_find(r->file, "server.port", &setting)) {
        r->settings->port = setting.value;
        r->settings->port_origin = setting.origin;
    }
    if (cs_settings_find(r->file, "server.address", &setting)) {
        r->settings->address = setting.value;
        r->settings->address_origin = setting.origin;
    }
}

/* ---- keys ------------------------------------------------------------------------------ */

#define CIPHER(key, field) CS_SETTING_ROW(gw_cipher_options, key, TEXT, field)

static gw_status read_rsa(const cs_settings_reader *r)
{
    cs_setting setting;
    if (cs_settings_find(r->file, "encrypt.rsa.algorithm", &setting)) {
        bool is_oaep = strcasecmp(setting.value, "OAEP") == 0;
        if (!is_oaep && strcasecmp(setting.value, "DEFAULT") != 0) {
            return cs_settings_wrong(r, &setting, "is neither DEFAULT nor OAEP");
        }
        r->settings->cipher.rsa_oaep = is_oaep;
    }
    static const cs_setting_row refused[] = {CS_SETTING_WITHOUT("strong", REFUSED_IF_TRUE),
                                             CS_SETTING_WITHOUT("salt", REFUSED)};
    return cs_settings_rows(r, "encrypt.rsa", refused, N(refused), r->settings);
}

static gw_status read_cipher(const cs_settings_reader *r)
{
    static const cs_setting_row rows[] = {
        CIPHER("key", key),
        CIPHER("key-file", key_file),
        CIPHER("salt", salt),
        CIPHER("key-store.location", keystore_file),
        CIPHER("key-store.password", keystore_password),
        CIPHER("key-store.alias", keystore_alias),
        CS_SETTING_WITHOUT("key-store.type", IGNORED),
        CS_SETTING_WITHOUT("key-store.secret", IGNORED), /* PKCS#12 has one password for all */
    };
    cs_settings *settings = r->settings;
    gw_status st = cs_settings_rows(r, "encrypt", rows, N(rows), &settings->cipher);
    if (st == GW_OK) {
        st = read_rsa(r);
    }
    cs_setting setting;
    if (st == GW_OK && cs_settings_find(r->file, "encrypt.key-store.password-file", &setting)) {
        st = cs_settings_secret(r, &setting, true, &settings->cipher.keystore_password);
    }
    const char *store = settings->cipher.keystore_file;
    if (store != NULL && strncmp(store, "file:", 5) == 0) {
        store += strncmp(store, "file://", 7) == 0 ? 7 : 5;
        settings->cipher.keystore_file = store;
    }
    settings->has_cipher =
        settings->cipher.key != NULL || settings->cipher.key_file != NULL || store != NULL;
    settings->is_cipher_lenient = true; /* as Spring's server */
    if (st == GW_OK && cs_settings_find(r->file, "encrypt.fail-on-error", &setting)) {
        bool fail = false;
        st = cs_settings_flag(r, &setting, &fail);
        settings->is_cipher_lenient = !fail;
    }
    return st;
}

/* ---- webhooks ---------------------------------------------------------------------------- */

/* As cs_provider has them. */
static const char *const providers[] = {"github", "gitlab", "gitee", "gitea", "gogs", "bitbucket"};

static gw_status read_webhook(const cs_settings_reader *r)
{
    cs_webhook_rules *rules = &r->settings->webhook;
    gw_status st = GW_OK;
    cs_setting setting;
    for (size_t i = 0; st == GW_OK && i < N(providers); i++) {
        char key[CS_SETTING_KEY_MAX];
        snprintf(key, sizeof(key), MONITOR ".%s.enabled", providers[i]);
        bool is_on = true;
        if (cs_settings_find(r->file, key, &setting)) {
            st = cs_settings_flag(r, &setting, &is_on);
        }
        rules->disabled |= is_on ? 0 : 1u << i;
    }
    if (st == GW_OK && cs_settings_find(r->file, "godwit.webhook.secret", &setting)) {
        rules->secret = setting.value;
    }
    if (st == GW_OK && cs_settings_find(r->file, "godwit.webhook.secret-file", &setting)) {
        st = cs_settings_secret(r, &setting, true, &rules->secret);
    }
    return st == GW_OK
               ? cs_settings_list(r->file, r->arena, "godwit.webhook.branches", CS_SETTING_LIST_MAX,
                                  &rules->branches, &rules->n_branches, r->err)
               : st;
}

/* ---- all of it ------------------------------------------------------------------------------ */

static gw_status refuse_unknown(const cs_settings_reader *r)
{
    /* What Spring's health indicator is told has no meaning here: all repositories are watched. */
    const char *rest;
    cs_setting setting;
    for (size_t i = 0; cs_settings_below(r->file, SERVER ".health", i, &rest, &setting); i++) {}
    static const char *const prefixes[] = {SERVER, "encrypt", "godwit", "spring.security"};
    for (size_t i = 0; i < N(prefixes); i++) {
        if (cs_settings_unknown(r->file, prefixes[i], &setting)) {
            return gw_error_set(r->err, GW_E_INVALID, 0,
                                "%s: '%s' is not a setting of configserver", setting.origin,
                                setting.key);
        }
        /* Taken as it stands, a key would be a word that everybody can read in a repository. */
        if (cs_settings_open(r->file, prefixes[i], SERVER ".overrides", &setting)) {
            return gw_error_set(r->err, GW_E_INVALID, 0,
                                "%s: '%s' has a ${placeholder} for which there is no environment "
                                "variable; '\\${' stands for the characters themselves",
                                setting.origin, setting.key);
        }
    }
    return GW_OK;
}

gw_status cs_settings_load(const cs_settings_flags *flags, cs_settings *ret_settings, gw_error *err)
{
    cs_settings settings = {.prefix = ""};
    cs_arena_init(&settings.arena, CS_FILE_MEMORY_MAX);
    gw_status st = cs_settings_file_open(flags->config, &settings.file, err);
    cs_settings_reader r = {&settings, settings.file, &settings.arena, err};
    if (st == GW_OK) {
        st = cs_settings_read_repos(&r, flags);
    }
    if (st == GW_OK) {
        st = read_switches(&r);
    }
    if (st == GW_OK) {
        st = read_cipher(&r);
    }
    if (st == GW_OK) {
        st = read_webhook(&r);
    }
    if (st == GW_OK) {
        st = cs_settings_read_users(&r);
    }
    if (st == GW_OK) {
        read_listening(&r);
        st = refuse_unknown(&r);
    }
    if (st != GW_OK) {
        cs_settings_dispose(&settings);
        return st;
    }
    *ret_settings = settings;
    return GW_OK;
}

void cs_settings_dispose(cs_settings *settings)
{
    cs_settings_file_close(settings->file);
    cs_arena_dispose(&settings->arena);
    *settings = (cs_settings){.prefix = ""};
}
