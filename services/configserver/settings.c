/* SPDX-License-Identifier: MIT */
#include "settings.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <godwit/log.h>
#include <godwit/secret.h>

#include "files/bounds.h"

#define SERVER     "spring.cloud.config.server"
#define GIT        SERVER ".git"
#define NATIVE     SERVER ".native"
#define MONITOR    SERVER ".monitor"
#define KEY_MAX    512
#define N(array)   (sizeof(array) / sizeof((array)[0]))
#define LIST_MAX   64
#define SECRET_MAX ((size_t)64 << 10) /* a PEM key, or a password */

/* One reading of all settings. */
typedef struct reader {
    cs_settings *settings;
    cs_settings_file *file;
    cs_arena *arena;
    gw_error *err;
} reader;

static gw_status out_of_memory(const reader *r)
{
    return gw_error_set(r->err, GW_E_NOMEM, 0, "out of memory for the settings");
}

static gw_status wrong(const reader *r, const cs_setting *setting, const char *what)
{
    return gw_error_set(r->err, GW_E_INVALID, 0, "%s: '%s' %s", setting->origin, setting->key,
                        what);
}

/* ---- values by kind ---------------------------------------------------------------- */

typedef enum kind {
    TEXT,           /* const char * */
    FLAG,           /* bool */
    NOT_FLAG,       /* bool that is true when the setting is false */
    SECONDS,        /* unsigned */
    LIST,           /* const char *const *, and its count right behind it */
    SECRET_OF_FILE, /* const char *: what the named file holds, one line */
    KEY_OF_FILE,    /* the same, several lines */
    IGNORED,        /* has no meaning here and does no harm */
    REFUSED_IF_TRUE,
    REFUSED_IF_FALSE,
    REFUSED
} kind;

typedef struct setting_row {
    const char *key; /* below the prefix */
    kind kind;
    size_t offset;
} setting_row;

static bool parse_flag(const char *text, bool *ret)
{
    static const char *const yes[] = {"true", "yes", "on", "1"};
    static const char *const no[] = {"false", "no", "off", "0"};
    for (size_t i = 0; i < N(yes); i++) {
        if (strcasecmp(text, yes[i]) == 0 || strcasecmp(text, no[i]) == 0) {
            *ret = strcasecmp(text, yes[i]) == 0;
            return true;
        }
    }
    return false;
}

static gw_status read_flag(const reader *r, const cs_setting *setting, bool *ret)
{
    return parse_flag(setting->value, ret) ? GW_OK : wrong(r, setting, "is neither true nor false");
}

static gw_status read_seconds(const reader *r, const cs_setting *setting, unsigned *ret)
{
    char *end;
    unsigned long value = strtoul(setting->value, &end, 10);
    bool is_number = setting->value[0] >= '0' && setting->value[0] <= '9';
    if (!is_number || (*end != '\0' && strcmp(end, "s") != 0) || value > 7 * 86400) {
        return wrong(r, setting, "is not a number of seconds from 0 to 604800");
    }
    *ret = (unsigned)value;
    return GW_OK;
}

static gw_status read_secret(const reader *r, const cs_setting *setting, bool is_one_line,
                             const char **ret)
{
    char *bytes = cs_arena_alloc(r->arena, SECRET_MAX);
    if (bytes == NULL) {
        return out_of_memory(r);
    }
    gw_status st =
        gw_secret_read(setting->key, setting->value, is_one_line, bytes, SECRET_MAX, r->err);
    *ret = bytes;
    return st == GW_OK ? GW_OK : gw_error_prefix(r->err, st, "%s", setting->origin);
}

static gw_status read_value(const reader *r, const setting_row *row, const cs_setting *setting,
                            void *base)
{
    void *place = (char *)base + row->offset;
    bool flag = false;
    switch (row->kind) {
    case TEXT: *(const char **)place = setting->value; return GW_OK;
    case FLAG: return read_flag(r, setting, place);
    case NOT_FLAG: {
        gw_status st = read_flag(r, setting, &flag);
        *(bool *)place = !flag;
        return st;
    }
    case SECONDS: return read_seconds(r, setting, place);
    case SECRET_OF_FILE: return read_secret(r, setting, true, place);
    case KEY_OF_FILE: return read_secret(r, setting, false, place);
    case REFUSED_IF_TRUE:
    case REFUSED_IF_FALSE:
        if (parse_flag(setting->value, &flag) && flag == (row->kind == REFUSED_IF_FALSE)) {
            return GW_OK;
        }
        break;
    case REFUSED: break;
    case LIST:
    case IGNORED: return GW_OK;
    }
    return gw_error_set(r->err, GW_E_UNSUPPORTED, 0,
                        "%s: '%s' is not supported here; see "
                        "docs/config-repositories.md",
                        setting->origin, setting->key);
}

static bool make_key(char *ret_key, const char *prefix, const char *name)
{
    return snprintf(ret_key, KEY_MAX, "%s.%s", prefix, name) < KEY_MAX;
}

/* What the rows say, into the struct at `base`. */
static gw_status read_rows(const reader *r, const char *prefix, const setting_row *rows,
                           size_t n_rows, void *base)
{
    gw_status st = GW_OK;
    for (size_t i = 0; st == GW_OK && i < n_rows; i++) {
        char key[KEY_MAX];
        if (!make_key(key, prefix, rows[i].key)) {
            return gw_error_set(r->err, GW_E_LIMIT, 0, "'%.100s...' is too long a key", prefix);
        }
        cs_setting setting;
        if (rows[i].kind == LIST) {
            struct {
                const char *const *items;
                size_t n;
            } list;
            st = cs_settings_list(r->file, r->arena, key, LIST_MAX, &list.items, &list.n, r->err);
            memcpy((char *)base + rows[i].offset, &list, sizeof(list));
        } else if (cs_settings_find(r->file, key, &setting)) {
            st = read_value(r, &rows[i], &setting, base);
        }
    }
    return st;
}

/* ---- repositories -------------------------------------------------------------------- */

_Static_assert(offsetof(cs_repo_options, n_patterns) ==
                   offsetof(cs_repo_options, patterns) + sizeof(char *),
               "a list's count lies behind it");
_Static_assert(offsetof(cs_repo_options, n_search_paths) ==
                   offsetof(cs_repo_options, search_paths) + sizeof(char *),
               "a list's count lies behind it");

#define REPO(key, kind, field)                                                                     \
    {                                                                                              \
        key, kind, offsetof(cs_repo_options, field)                                                \
    }
#define WITHOUT(key, kind)                                                                         \
    {                                                                                              \
        key, kind, 0                                                                               \
    }

/* Spring's keys of a git repository, and ours: those with "-file". */
static const setting_row git_rows[] = {
    REPO("uri", TEXT, uri),
    REPO("pattern", LIST, patterns),
    REPO("search-paths", LIST, search_paths),
    REPO("default-label", TEXT, default_label),
    REPO("try-master-branch", NOT_FLAG, no_master),
    REPO("refresh-rate", SECONDS, refresh_s),
    REPO("timeout", SECONDS, timeout_s),
    REPO("basedir", TEXT, basedir),
    REPO("username", TEXT, username),
    REPO("password", TEXT, password),
    REPO("password-file", SECRET_OF_FILE, password),
    REPO("private-key", TEXT, private_key),
    REPO("private-key-file", TEXT, private_key_file),
    REPO("passphrase", TEXT, passphrase),
    REPO("passphrase-file", SECRET_OF_FILE, passphrase),
    REPO("known-hosts-file", TEXT, known_hosts_file),
    REPO("strict-host-key-checking", NOT_FLAG, any_host_key),
    REPO("ca-file", TEXT, ca_file),
    REPO("skip-ssl-validation", FLAG, skip_tls_verification),
    WITHOUT("clone-on-start", IGNORED),
    WITHOUT("force-pull", IGNORED),
    WITHOUT("delete-untracked-branches", IGNORED),
    WITHOUT("ignore-local-ssh-settings", IGNORED),
    WITHOUT("order", IGNORED),
    WITHOUT("clone-submodules", REFUSED_IF_TRUE),
    WITHOUT("host-key", REFUSED),
    WITHOUT("host-key-algorithm", REFUSED),
    WITHOUT("preferred-authentications", IGNORED),
};

static gw_status add_repo(const reader *r, const cs_repo_options *repo)
{
    cs_settings *settings = r->settings;
    if (settings->n_repos >= CS_REPOS_MAX) {
        return gw_error_set(r->err, GW_E_LIMIT, 0, "more than %u repositories", CS_REPOS_MAX);
    }
    settings->repos[settings->n_repos++] = *repo;
    return GW_OK;
}

/* A repository of repos.<name>, which takes what it does not say from the default one. */
static gw_status read_named_repo(const reader *r, const char *name, const cs_repo_options *base)
{
    char prefix[KEY_MAX];
    bool is_dotted = strchr(name, '.') != NULL;
    snprintf(prefix, sizeof(prefix), is_dotted ? GIT ".repos[%s]" : GIT ".repos.%s", name);
    cs_repo_options repo = *base;
    repo.uri = NULL;
    repo.search_paths = NULL;
    repo.n_search_paths = 0;
    cs_text copy = cs_arena_copy(r->arena, name, strlen(name));
    repo.name = copy.bytes;
    gw_status st =
        copy.bytes == NULL ? out_of_memory(r) : read_rows(r, prefix, git_rows, N(git_rows), &repo);
    cs_setting whole;
    if (st == GW_OK && repo.uri == NULL && cs_settings_find(r->file, prefix, &whole)) {
        repo.uri = whole.value; /* repos.<name>: <uri> */
    }
    if (st != GW_OK) {
        return st;
    }
    if (repo.uri == NULL) {
        return gw_error_set(r->err, GW_E_INVALID, 0, "'%s' has no uri", prefix);
    }
    if (repo.n_patterns == 0) { /* as in Spring: its name is the pattern */
        const char **pattern = cs_arena_alloc(r->arena, sizeof(char *));
        if (pattern == NULL) {
            return out_of_memory(r);
        }
        *pattern = repo.name;
        repo.patterns = pattern;
        repo.n_patterns = 1;
    }
    return add_repo(r, &repo);
}

static gw_status read_git(const reader *r, const char *uri_of_flag)
{
    cs_repo_options base = {.name = "default",
                            .default_label = r->settings->repos[0].default_label};
    gw_status st = read_rows(r, GIT, git_rows, N(git_rows), &base);
    base.patterns = NULL;
    base.n_patterns = 0;
    if (uri_of_flag != NULL) {
        base.uri = uri_of_flag;
    }
    if (r->settings->repos[0].default_label != NULL) {
        base.default_label = r->settings->repos[0].default_label; /* the flag */
    }
    char name[CS_NAME_BYTES_MAX];
    for (size_t i = 0;
         st == GW_OK && cs_settings_name_below(r->file, GIT ".repos", i, name, sizeof(name)); i++) {
        st = read_named_repo(r, name, &base);
    }
    if (st == GW_OK && base.uri == NULL) {
        return gw_error_set(r->err, GW_E_INVALID, 0,
                            "there is no repository: give -repo, -dir, or -config with " GIT
                            ".uri");
    }
    return st == GW_OK ? add_repo(r, &base) : st;
}

/* "file:/config/{application}" is the directory /config and the search path "{application}". */
static gw_status split_location(const reader *r, const char *location, cs_repo_options *repo)
{
    const char *brace = strchr(location, '{');
    size_t len = strlen(location);
    if (brace != NULL) {
        len = (size_t)(brace - location);
        while (len > 0 && location[len - 1] != '/') {
            len--;
        }
        const char **paths = cs_arena_alloc(r->arena, sizeof(char *));
        if (paths == NULL) {
            return out_of_memory(r);
        }
        *paths = location + len;
        repo->search_paths = paths;
        repo->n_search_paths = 1;
    }
    cs_text uri = cs_arena_copy(r->arena, location, len);
    repo->uri = uri.bytes;
    return uri.bytes == NULL ? out_of_memory(r) : GW_OK;
}

static gw_status read_directory(const reader *r, const char *dir_of_flag)
{
    cs_repo_options repo = {.name = "default",
                            .is_directory = true,
                            .uri = dir_of_flag,
                            .default_label = r->settings->repos[0].default_label};
    static const setting_row rows[] = {
        REPO("search-paths", LIST, search_paths),
        REPO("default-label", TEXT, default_label),
        WITHOUT("order", IGNORED),
        WITHOUT("add-label-locations", REFUSED_IF_FALSE),
    };
    gw_status st = read_rows(r, NATIVE, rows, N(rows), &repo);
    const char *const *locations = NULL;
    size_t n = 0;
    if (st == GW_OK) {
        st = cs_settings_list(r->file, r->arena, NATIVE ".search-locations", LIST_MAX, &locations,
                              &n, r->err);
    }
    if (st == GW_OK && dir_of_flag == NULL && n > 1) {
        return gw_error_set(r->err, GW_E_UNSUPPORTED, 0,
                            "'" NATIVE
                            ".search-locations' has %zu items; one is supported: name the "
                            "directory they lie in, and the others as " NATIVE ".search-paths",
                            n);
    }
    if (st == GW_OK && dir_of_flag == NULL) {
        st = split_location(r, locations[0], &repo);
    }
    return st == GW_OK ? add_repo(r, &repo) : st;
}

/* Whether the file asks for a directory: as Spring does, by the profile "native". */
static gw_status is_native(const reader *r, bool *ret)
{
    const char *const *profiles;
    size_t n = 0;
    gw_status st = cs_settings_list(r->file, r->arena, "spring.profiles.active", LIST_MAX,
                                    &profiles, &n, r->err);
    *ret = false;
    for (size_t i = 0; i < n; i++) {
        *ret |= strcmp(profiles[i], "native") == 0;
    }
    const char *const *locations;
    if (st == GW_OK) {
        st = cs_settings_list(r->file, r->arena, NATIVE ".search-locations", LIST_MAX, &locations,
                              &n, r->err);
    }
    if (st == GW_OK && *ret && n == 0) {
        st = gw_error_set(r->err, GW_E_INVALID, 0,
                          "the profile 'native' needs '" NATIVE ".search-locations'");
    }
    return st;
}

static gw_status read_repos(const reader *r, const cs_settings_flags *flags)
{
    cs_settings *settings = r->settings;
    settings->repos = cs_arena_alloc(r->arena, (CS_REPOS_MAX + 1) * sizeof(*settings->repos));
    if (settings->repos == NULL) {
        return out_of_memory(r);
    }
    settings->repos[0].default_label = flags->label;
    if (flags->repo != NULL && flags->dir != NULL) {
        return gw_error_set(r->err, GW_E_INVALID, 0, "-repo and -dir exclude each other");
    }
    bool native = false;
    gw_status st = is_native(r, &native);
    if (st != GW_OK) {
        return st;
    }
    return flags->dir != NULL || (native && flags->repo == NULL) ? read_directory(r, flags->dir)
                                                                 : read_git(r, flags->repo);
}

/* ---- what the server decides ----------------------------------------------------------- */

typedef struct switches {
    bool refuse_empty;
    bool skip_failing_labels;
    bool keep_ciphers;
    bool encrypt_plain_text;
    bool is_quiet;
    const char *prefix;
    const char *encoding;
} switches;

#define SWITCH(key, kind, field)                                                                   \
    {                                                                                              \
        key, kind, offsetof(switches, field)                                                       \
    }

/* "\{" and "\${" become "{" and "${": so a placeholder is kept from the server. */
static cs_text unescape(const reader *r, const char *text)
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

static gw_status read_overrides(const reader *r)
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
        return out_of_memory(r);
    }
    for (size_t i = 0; i < n; i++) {
        cs_settings_below(r->file, SERVER ".overrides", i, &rest, &setting);
        items[i] = (cs_property){.key = {rest, strlen(rest)},
                                 .value = unescape(r, setting.value),
                                 .kind = CS_VALUE_TEXT};
    }
    rules->overrides = items;
    rules->n_overrides = n;
    return cs_arena_status(r->arena) == GW_OK ? GW_OK : out_of_memory(r);
}

static gw_status check_prefix(const reader *r, const char *prefix)
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

static gw_status read_switches(const reader *r)
{
    static const setting_row rows[] = {
        SWITCH("spring.cloud.config.server.accept-empty", NOT_FLAG, refuse_empty),
        SWITCH("spring.cloud.config.server.continue-on-multiple-label-failure", FLAG,
               skip_failing_labels),
        SWITCH("spring.cloud.config.server.encrypt.enabled", NOT_FLAG, keep_ciphers),
        SWITCH("spring.cloud.config.server.encrypt.plain-text-encrypt", FLAG, encrypt_plain_text),
        SWITCH("spring.cloud.config.server.prefix", TEXT, prefix),
        SWITCH("godwit.properties-encoding", TEXT, encoding),
        SWITCH("godwit.events-on-change", NOT_FLAG, is_quiet),
        WITHOUT("spring.cloud.config.server.strip-document-from-yaml", REFUSED_IF_FALSE),
        WITHOUT("spring.cloud.config.server.bootstrap", IGNORED),
        WITHOUT("spring.cloud.config.server.health.enabled", IGNORED),
    };
    switches found = {.prefix = "", .encoding = "iso-8859-1"};
    gw_status st = GW_OK;
    for (size_t i = 0; st == GW_OK && i < N(rows); i++) {
        cs_setting setting;
        if (cs_settings_find(r->file, rows[i].key, &setting)) {
            st = read_value(r, &rows[i], &setting, &found);
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
    settings->rules.skip_failing_labels = found.skip_failing_labels;
    settings->rules.is_utf8_properties = is_utf8;
    return st == GW_OK ? read_overrides(r) : st;
}

/* Spring's own server.port and server.address. */
static void read_listening(const reader *r)
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

#define CIPHER(key, field)                                                                         \
    {                                                                                              \
        key, TEXT, offsetof(gw_cipher_options, field)                                              \
    }

static gw_status read_rsa(const reader *r)
{
    cs_setting setting;
    if (cs_settings_find(r->file, "encrypt.rsa.algorithm", &setting)) {
        bool is_oaep = strcasecmp(setting.value, "OAEP") == 0;
        if (!is_oaep && strcasecmp(setting.value, "DEFAULT") != 0) {
            return wrong(r, &setting, "is neither DEFAULT nor OAEP");
        }
        r->settings->cipher.rsa_oaep = is_oaep;
    }
    static const setting_row refused[] = {WITHOUT("strong", REFUSED_IF_TRUE),
                                          WITHOUT("salt", REFUSED)};
    return read_rows(r, "encrypt.rsa", refused, N(refused), r->settings);
}

static gw_status read_cipher(const reader *r)
{
    static const setting_row rows[] = {
        CIPHER("key", key),
        CIPHER("key-file", key_file),
        CIPHER("salt", salt),
        CIPHER("key-store.location", keystore_file),
        CIPHER("key-store.password", keystore_password),
        CIPHER("key-store.alias", keystore_alias),
        WITHOUT("key-store.type", IGNORED),
        WITHOUT("key-store.secret", IGNORED), /* PKCS#12 has one password for all */
    };
    cs_settings *settings = r->settings;
    gw_status st = read_rows(r, "encrypt", rows, N(rows), &settings->cipher);
    if (st == GW_OK) {
        st = read_rsa(r);
    }
    cs_setting setting;
    if (st == GW_OK && cs_settings_find(r->file, "encrypt.key-store.password-file", &setting)) {
        st = read_secret(r, &setting, true, &settings->cipher.keystore_password);
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
        st = read_flag(r, &setting, &fail);
        settings->is_cipher_lenient = !fail;
    }
    return st;
}

/* ---- webhooks ---------------------------------------------------------------------------- */

/* As cs_provider has them. */
static const char *const providers[] = {"github", "gitlab", "gitee", "gitea", "gogs", "bitbucket"};

static gw_status read_webhook(const reader *r)
{
    cs_webhook_rules *rules = &r->settings->webhook;
    gw_status st = GW_OK;
    cs_setting setting;
    for (size_t i = 0; st == GW_OK && i < N(providers); i++) {
        char key[KEY_MAX];
        snprintf(key, sizeof(key), MONITOR ".%s.enabled", providers[i]);
        bool is_on = true;
        if (cs_settings_find(r->file, key, &setting)) {
            st = read_flag(r, &setting, &is_on);
        }
        rules->disabled |= is_on ? 0 : 1u << i;
    }
    if (st == GW_OK && cs_settings_find(r->file, "godwit.webhook.secret", &setting)) {
        rules->secret = setting.value;
    }
    if (st == GW_OK && cs_settings_find(r->file, "godwit.webhook.secret-file", &setting)) {
        st = read_secret(r, &setting, true, &rules->secret);
    }
    return st == GW_OK ? cs_settings_list(r->file, r->arena, "godwit.webhook.branches", LIST_MAX,
                                          &rules->branches, &rules->n_branches, r->err)
                       : st;
}

/* ---- users -------------------------------------------------------------------------------- */

/* The secret in one of its forms below a prefix: `what`, what-file, what-sha256. */
static gw_status read_credential(const reader *r, const char *prefix, const char *what,
                                 bool is_token, cs_user *user)
{
    static const char *const forms[] = {"", "-file", "-sha256"};
    gw_status st = GW_OK;
    for (size_t i = 0; st == GW_OK && i < N(forms); i++) {
        char key[KEY_MAX];
        snprintf(key, sizeof(key), "%s.%s%s", prefix, what, forms[i]);
        cs_setting setting;
        if (!cs_settings_find(r->file, key, &setting)) {
            continue;
        }
        if (user->has_secret) {
            return wrong(r, &setting, "is one secret too many for this user");
        }
        const char *secret = setting.value;
        if (i == 1) {
            st = read_secret(r, &setting, true, &secret);
        }
        if (i == 2 && !cs_digest_parse(secret, user->digest)) {
            st = wrong(r, &setting, "is not a SHA-256: 64 hexadecimal digits");
        } else if (i != 2 && st == GW_OK) {
            st = cs_digest_of(secret, strlen(secret), user->digest, r->err);
        }
        user->has_secret = true;
        user->is_token = is_token;
    }
    return st;
}

static gw_status read_actions(const reader *r, const char *prefix, unsigned fallback,
                              unsigned *ret_actions)
{
    static const struct {
        const char *name;
        unsigned actions;
    } words[] = {
        {"read", CS_ACTION_READ},       {"explain", CS_ACTION_EXPLAIN},
        {"encrypt", CS_ACTION_ENCRYPT}, {"decrypt", CS_ACTION_DECRYPT},
        {"refresh", CS_ACTION_REFRESH}, {"files", CS_ACTION_FILES},
        {"all", CS_ACTIONS_ALL},
    };
    char key[KEY_MAX];
    snprintf(key, sizeof(key), "%s.allow", prefix);
    const char *const *items;
    size_t n = 0;
    gw_status st = cs_settings_list(r->file, r->arena, key, LIST_MAX, &items, &n, r->err);
    *ret_actions = n == 0 ? fallback : 0;
    for (size_t i = 0; st == GW_OK && i < n; i++) {
        unsigned found = 0;
        for (size_t j = 0; j < N(words); j++) {
            found |= strcmp(words[j].name, items[i]) == 0 ? words[j].actions : 0;
        }
        if (found == 0) {
            st = gw_error_set(r->err, GW_E_INVALID, 0,
                              "'%s': '%.40s' is none of read, explain, files, encrypt, decrypt, "
                              "refresh, all",
                              key, items[i]);
        }
        *ret_actions |= found;
    }
    return st;
}

static gw_status read_lists(const reader *r, const char *prefix, cs_user *user)
{
    char key[KEY_MAX];
    snprintf(key, sizeof(key), "%s.applications", prefix);
    gw_status st = cs_settings_list(r->file, r->arena, key, CS_USER_RULES_MAX, &user->applications,
                                    &user->n_applications, r->err);
    snprintf(key, sizeof(key), "%s.profiles", prefix);
    return st == GW_OK ? cs_settings_list(r->file, r->arena, key, CS_USER_RULES_MAX,
                                          &user->profiles, &user->n_profiles, r->err)
                       : st;
}

static gw_status add_user(const reader *r, const cs_user *user)
{
    if (r->settings->n_users == CS_USERS_MAX) {
        return gw_error_set(r->err, GW_E_LIMIT, 0, "more than %u users", CS_USERS_MAX);
    }
    r->settings->users[r->settings->n_users++] = *user;
    return GW_OK;
}

static gw_status read_user(const reader *r, const char *prefix)
{
    cs_user user = {.name = NULL};
    char key[KEY_MAX];
    snprintf(key, sizeof(key), "%s.name", prefix);
    cs_setting name;
    if (cs_settings_find(r->file, key, &name)) {
        user.name = name.value;
    }
    gw_status st = read_credential(r, prefix, "password", false, &user);
    if (st == GW_OK) {
        st = read_credential(r, prefix, "token", true, &user);
    }
    if (st == GW_OK && (user.name == NULL || !user.has_secret)) {
        st = gw_error_set(r->err, GW_E_INVALID, 0,
                          "'%s' needs a name and one of password, password-file, password-sha256, "
                          "token, token-file, token-sha256",
                          prefix);
    }
    if (st == GW_OK) {
        st = read_actions(r, prefix, CS_ACTION_READ | CS_ACTION_EXPLAIN, &user.actions);
    }
    if (st == GW_OK) {
        st = read_lists(r, prefix, &user);
    }
    return st == GW_OK ? add_user(r, &user) : st;
}

/* Spring's one user, who may do everything. */
static gw_status read_spring_user(const reader *r)
{
    cs_user user = {.name = "user", .actions = CS_ACTIONS_ALL};
    cs_setting name;
    if (cs_settings_find(r->file, "spring.security.user.name", &name)) {
        user.name = name.value;
    }
    gw_status st = read_credential(r, "spring.security.user", "password", false, &user);
    return st == GW_OK && user.has_secret ? add_user(r, &user) : st;
}

static gw_status read_users(const reader *r)
{
    r->settings->users = cs_arena_alloc(r->arena, CS_USERS_MAX * sizeof(cs_user));
    if (r->settings->users == NULL) {
        return out_of_memory(r);
    }
    gw_status st = read_spring_user(r);
    char index[16];
    for (size_t i = 0; st == GW_OK && cs_settings_name_below(r->file, "godwit.access.users", i,
                                                             index, sizeof(index));
         i++) {
        char prefix[64];
        snprintf(prefix, sizeof(prefix), "godwit.access.users[%s]", index);
        st = read_user(r, prefix);
    }
    cs_user anybody = {.name = NULL};
    if (st == GW_OK) {
        st = read_actions(r, "godwit.access.anonymous", 0, &anybody.actions);
    }
    if (st == GW_OK) {
        st = read_lists(r, "godwit.access.anonymous", &anybody);
    }
    return st == GW_OK && anybody.actions != 0 ? add_user(r, &anybody) : st;
}

/* ---- all of it ------------------------------------------------------------------------------ */

static gw_status refuse_unknown(const reader *r)
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
    }
    return GW_OK;
}

gw_status cs_settings_load(const cs_settings_flags *flags, cs_settings *ret_settings, gw_error *err)
{
    cs_settings settings = {.prefix = ""};
    cs_arena_init(&settings.arena, CS_FILE_MEMORY_MAX);
    gw_status st = cs_settings_file_open(flags->config, &settings.file, err);
    reader r = {&settings, settings.file, &settings.arena, err};
    if (st == GW_OK) {
        st = read_repos(&r, flags);
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
        st = read_users(&r);
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
