/* SPDX-License-Identifier: MIT */
#include "access.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <godwit/buf.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "files/arena.h"
#include "files/bounds.h"
#include "problem.h"
#include "repo/pattern.h"

#define HEADER_MAX 4096

struct cs_access {
    cs_arena arena; /* owns what users point to */
    cs_user *users;
    size_t n_users;
};

/* ---- making --------------------------------------------------------------------- */

static const char *copy_text(cs_access *self, const char *text)
{
    return text == NULL ? NULL : cs_arena_copy(&self->arena, text, strlen(text)).bytes;
}

static const char *const *copy_list(cs_access *self, const char *const *items, size_t n)
{
    const char **copy = cs_arena_alloc(&self->arena, (n + 1) * sizeof(char *));
    for (size_t i = 0; copy != NULL && i < n; i++) {
        copy[i] = copy_text(self, items[i]);
    }
    return copy;
}

cs_access *cs_access_new(const cs_user *users, size_t n_users)
{
    cs_access *self = calloc(1, sizeof(*self));
    if (self == NULL) {
        return NULL;
    }
    cs_arena_init(&self->arena, CS_FILE_MEMORY_MAX);
    self->users = cs_arena_alloc(&self->arena, (n_users + 1) * sizeof(cs_user));
    for (size_t i = 0; self->users != NULL && i < n_users; i++) {
        cs_user *user = &self->users[i];
        *user = users[i];
        user->name = copy_text(self, users[i].name);
        user->applications = copy_list(self, users[i].applications, users[i].n_applications);
        user->profiles = copy_list(self, users[i].profiles, users[i].n_profiles);
        self->n_users++;
    }
    if (cs_arena_status(&self->arena) != GW_OK) {
        cs_access_free(self);
        return NULL;
    }
    return self;
}

void cs_access_free(cs_access *access)
{
    if (access != NULL) {
        cs_arena_dispose(&access->arena);
        free(access);
    }
}

/* ---- who asks --------------------------------------------------------------------- */

typedef struct credentials {
    bool is_given;
    bool is_token;
    char bytes[HEADER_MAX]; /* "user:password" or the token */
    size_t user_len;        /* of Basic */
    const char *secret;
    size_t secret_len;
} credentials;

static bool is_scheme(const char *header, const char *scheme, const char **ret_rest)
{
    size_t len = strlen(scheme);
    if (strncasecmp(header, scheme, len) != 0 || header[len] != ' ') {
        return false;
    }
    *ret_rest = header + len + strspn(header + len, " ");
    return true;
}

/* RFC 7617: Base64 of "user:password". */
static bool read_basic(const char *text, credentials *ret)
{
    size_t len = strlen(text);
    unsigned char plain[HEADER_MAX];
    if (len == 0 || len % 4 != 0 || len / 4 * 3 > sizeof(plain)) {
        return false;
    }
    int n = EVP_DecodeBlock(plain, (const unsigned char *)text, (int)len);
    size_t padding = (size_t)(text[len - 1] == '=') + (size_t)(text[len - 2] == '=');
    bool is_good = n >= 0 && (size_t)n > padding;
    size_t plain_len = is_good ? (size_t)n - padding : 0;
    const unsigned char *colon = is_good ? memchr(plain, ':', plain_len) : NULL;
    if (colon != NULL) {
        memcpy(ret->bytes, plain, plain_len);
        ret->user_len = (size_t)(colon - plain);
        ret->secret = ret->bytes + ret->user_len + 1;
        ret->secret_len = plain_len - ret->user_len - 1;
    }
    OPENSSL_cleanse(plain, sizeof(plain));
    return colon != NULL;
}

static bool read_token(const char *text, credentials *ret)
{
    size_t len = strlen(text);
    if (len == 0 || len >= sizeof(ret->bytes)) {
        return false;
    }
    memcpy(ret->bytes, text, len);
    ret->is_token = true;
    ret->secret = ret->bytes;
    ret->secret_len = len;
    return true;
}

/* False for credentials that are none. */
static bool read_credentials(const gw_http_request *req, credentials *ret)
{
    ret->is_given = false;
    ret->is_token = false;
    ret->user_len = 0;
    const char *header = gw_http_header(req, "Authorization");
    const char *rest = NULL;
    if (header == NULL) {
        const char *token = gw_http_header(req, "X-Config-Token"); /* of Spring's client */
        ret->is_given = token != NULL;
        return token == NULL || read_token(token, ret);
    }
    ret->is_given = true;
    if (is_scheme(header, "Basic", &rest)) {
        return read_basic(rest, ret);
    }
    return is_scheme(header, "Bearer", &rest) && read_token(rest, ret);
}

/* Looks at all of them however early one fits, so that the time tells nothing. */
static bool is_user(const cs_user *user, const credentials *given,
                    const unsigned char digest[CS_DIGEST_BYTES])
{
    bool has_name =
        given->is_token || (user->name != NULL && strlen(user->name) == given->user_len &&
                            CRYPTO_memcmp(user->name, given->bytes, given->user_len) == 0);
    bool has_secret = CRYPTO_memcmp(user->digest, digest, CS_DIGEST_BYTES) == 0;
    return has_name & has_secret & (user->has_secret && user->is_token == given->is_token);
}

/* ---- what they may --------------------------------------------------------------------- */

static bool matches_one(const char *name, const char *const *patterns, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (cs_pattern_matches(patterns[i], strlen(patterns[i]), name, strlen(name), '?')) {
            return true;
        }
    }
    return n == 0;
}

/* Whether each name of a comma list is allowed. */
static bool matches_all(const char *list, const char *const *patterns, size_t n)
{
    if (list == NULL || n == 0) {
        return true;
    }
    for (;;) {
        char name[CS_NAME_BYTES_MAX + 1];
        size_t len = strcspn(list, ",");
        if (len > CS_NAME_BYTES_MAX) {
            return false;
        }
        memcpy(name, list, len);
        name[len] = '\0';
        if (!matches_one(name, patterns, n)) {
            return false;
        }
        if (list[len] == '\0') {
            return true;
        }
        list += len + 1;
    }
}

static bool may(const cs_user *user, cs_action action, const char *application,
                const char *profiles)
{
    return (user->actions & action) != 0 &&
           matches_all(application, user->applications, user->n_applications) &&
           matches_all(profiles, user->profiles, user->n_profiles);
}

static bool anybody_may(const cs_access *access, cs_action action, const char *application,
                        const char *profiles)
{
    for (size_t i = 0; i < access->n_users; i++) {
        const cs_user *user = &access->users[i];
        if (user->name == NULL && !user->has_secret && may(user, action, application, profiles)) {
            return true;
        }
    }
    return false;
}

static void refuse_unknown(const gw_http_request *req, gw_http_response *res, const char *why)
{
    cs_problem(req, res, 401, why);
    gw_http_set_header(res, "WWW-Authenticate", "Basic realm=\"configserver\", Bearer");
}

/* The words of the setting `allow`, in which whoever is refused can ask for it. */
static const char *name_of(cs_action action)
{
    switch (action) {
    case CS_ACTION_READ: return "read";
    case CS_ACTION_EXPLAIN: return "explain";
    case CS_ACTION_ENCRYPT: return "encrypt";
    case CS_ACTION_DECRYPT: return "decrypt";
    case CS_ACTION_REFRESH: return "refresh";
    case CS_ACTION_FILES: return "files";
    }
    return "";
}

static void refuse_forbidden(const gw_http_request *req, gw_http_response *res, cs_action action,
                             const char *application, const char *profiles)
{
    bool is_for = application != NULL && profiles != NULL;
    gw_error why = GW_ERROR_INIT;
    gw_error_set(&why, GW_E_DENIED, 0,
                 "these credentials do not allow '%s'%s%s%s%s: see godwit.access", name_of(action),
                 is_for ? " for " : "", is_for ? application : "", is_for ? "/" : "",
                 is_for ? profiles : "");
    cs_problem(req, res, 403, why.text);
}

typedef enum verdict { UNKNOWN, FORBIDDEN, ALLOWED } verdict;

static verdict judge(const cs_access *access, const credentials *given, cs_action action,
                     const char *application, const char *profiles)
{
    unsigned char digest[CS_DIGEST_BYTES];
    if (cs_digest_of(given->secret, given->secret_len, digest, NULL) != GW_OK) {
        return UNKNOWN;
    }
    verdict found = UNKNOWN;
    for (size_t i = 0; i < access->n_users; i++) {
        if (is_user(&access->users[i], given, digest)) {
            bool is_allowed = may(&access->users[i], action, application, profiles);
            found = is_allowed || found == ALLOWED ? ALLOWED : FORBIDDEN;
        }
    }
    return found;
}

bool cs_access_allow(const cs_access *access, const gw_http_request *req, gw_http_response *res,
                     cs_action action, const char *application, const char *profiles)
{
    if (access == NULL) {
        return true;
    }
    credentials given;
    if (!read_credentials(req, &given)) {
        refuse_unknown(req, res, "the credentials are neither Basic nor Bearer, or broken");
        return false;
    }
    if (!given.is_given) {
        if (anybody_may(access, action, application, profiles)) {
            return true;
        }
        refuse_unknown(req, res, "credentials are needed: Basic, or a Bearer token");
        return false;
    }
    verdict found = judge(access, &given, action, application, profiles);
    OPENSSL_cleanse(&given, sizeof(given));
    if (found == UNKNOWN) {
        refuse_unknown(req, res, "wrong user, password or token");
    } else if (found == FORBIDDEN) {
        refuse_forbidden(req, res, action, application, profiles);
    }
    return found == ALLOWED;
}
