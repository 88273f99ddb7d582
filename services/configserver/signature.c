/* SPDX-License-Identifier: MIT */
#include "signature.h"

#include <stddef.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "digest.h"

typedef enum form {
    FORM_HEX,        /* HMAC-SHA256 of the body */
    FORM_SHA256_HEX, /* the same behind "sha256=" */
    FORM_TOKEN       /* the secret */
} form;

static const struct {
    const char *header;
    form form;
} places[] = {
    {"X-Hub-Signature-256", FORM_SHA256_HEX}, /* GitHub, Gitea, Forgejo */
    {"X-Hub-Signature", FORM_SHA256_HEX},     /* Bitbucket; the others send SHA-1 in it */
    {"X-Gitea-Signature", FORM_HEX},          /* Gitea, Forgejo */
    {"X-Forgejo-Signature", FORM_HEX},        /* Forgejo */
    {"X-Gogs-Signature", FORM_HEX},           /* Gogs, Gitea, Forgejo */
    {"X-Gitlab-Token", FORM_TOKEN},           {"X-Gitee-Token", FORM_TOKEN},
};

static bool is_signed_so(const cs_webhook *hook, const char *secret, const char *text)
{
    unsigned char given[CS_DIGEST_BYTES];
    unsigned char made[EVP_MAX_MD_SIZE];
    unsigned made_len = 0;
    return cs_digest_parse(text, given) &&
           HMAC(EVP_sha256(), secret, (int)strlen(secret), (const unsigned char *)hook->body,
                hook->body_len, made, &made_len) != NULL &&
           made_len == CS_DIGEST_BYTES && CRYPTO_memcmp(given, made, CS_DIGEST_BYTES) == 0;
}

/* By their digests, so that the time tells neither the length nor how much of it is right. */
static bool is_secret(const char *secret, const char *token)
{
    unsigned char wanted[CS_DIGEST_BYTES];
    unsigned char given[CS_DIGEST_BYTES];
    return cs_digest_of(secret, strlen(secret), wanted, NULL) == GW_OK &&
           cs_digest_of(token, strlen(token), given, NULL) == GW_OK &&
           CRYPTO_memcmp(wanted, given, CS_DIGEST_BYTES) == 0;
}

/* What of a header's value is a signature that is looked at; NULL: nothing. */
static const char *signature_in(const char *value, form wanted)
{
    static const char prefix[] = "sha256=";
    if (value == NULL || wanted != FORM_SHA256_HEX) {
        return value;
    }
    return strncmp(value, prefix, sizeof(prefix) - 1) == 0 ? value + sizeof(prefix) - 1 : NULL;
}

cs_signature cs_signature_check(const cs_webhook *hook, const char *secret, const char **ret_header)
{
    cs_signature found = CS_SIGNATURE_NONE;
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        const char *value = hook->header(hook->ctx, places[i].header);
        const char *text = signature_in(value, places[i].form);
        if (text == NULL) {
            continue;
        }
        *ret_header = places[i].header;
        bool is_good = places[i].form == FORM_TOKEN ? is_secret(secret, text)
                                                    : is_signed_so(hook, secret, text);
        if (!is_good) {
            return CS_SIGNATURE_WRONG;
        }
        found = CS_SIGNATURE_GOOD;
    }
    return found;
}
