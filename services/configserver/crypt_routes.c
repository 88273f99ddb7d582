/* SPDX-License-Identifier: MIT */
#include "crypt_routes.h"

#include <string.h>

#include "answer/request.h"
#include "crypt_body.h"

#define TEXT "text/plain;charset=UTF-8"

static void refuse(gw_http_response *res, int status, const char *word, const char *description)
{
    gw_buf *body = gw_http_response_body(res);
    gw_http_set_status(res, status);
    gw_http_set_content_type(res, "application/json");
    gw_buf_add_str(body, "{\"status\":");
    gw_buf_add_json(body, word, strlen(word));
    gw_buf_add_str(body, ",\"description\":");
    gw_buf_add_json(body, description, strlen(description));
    gw_buf_add_char(body, '}');
}

static void refuse_failure(gw_http_response *res, const gw_error *err)
{
    switch (err->status) {
    case GW_E_INVALID: refuse(res, 400, "INVALID", err->text); break;
    case GW_E_LIMIT: refuse(res, 413, "INVALID", err->text); break;
    case GW_E_NOT_FOUND: refuse(res, 404, "NOT_FOUND", err->text); break;
    default: refuse(res, 503, "UNAVAILABLE", err->text); break;
    }
}

/* Names go nowhere here, and are checked all the same: what is refused at one route must not be
 * accepted at another (CVE-2026-40982). */
static bool names_are_good(const gw_http_request *req, gw_http_response *res)
{
    const char *name = gw_http_var(req, "name");
    cs_request checked;
    gw_error err = GW_ERROR_INIT;
    if (name != NULL &&
        cs_request_init(&checked, name, gw_http_var(req, "profiles"), NULL, &err) != GW_OK) {
        refuse(res, 400, "INVALID", err.text);
        return false;
    }
    return true;
}

/* NULL when the answer is made. */
static const gw_cipher *admit(const cs_crypt *crypt, const gw_http_request *req,
                              gw_http_response *res, cs_action action)
{
    gw_http_set_header(res, "Cache-Control", "no-store");
    if (!names_are_good(req, res) ||
        !cs_access_allow(crypt->access, req, res, action, gw_http_var(req, "name"),
                         gw_http_var(req, "profiles"))) {
        return NULL;
    }
    if (crypt->keys == NULL) {
        refuse(res, 404, "NO_KEY", "No key was installed for encryption service");
        return NULL;
    }
    return cs_keys_cipher(crypt->keys);
}

/* GET /encrypt/status */
static void get_status(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    if (admit(ctx, req, res, CS_ACTION_ENCRYPT) != NULL) {
        gw_http_set_content_type(res, "application/json");
        gw_buf_add_str(gw_http_response_body(res), "{\"status\":\"OK\"}");
    }
}

static void convert(const gw_cipher *cipher, const gw_http_request *req, gw_http_response *res,
                    bool is_cipher)
{
    gw_error err = GW_ERROR_INIT;
    size_t len = 0;
    const char *body = gw_http_body(req, &len);
    gw_buf text;
    gw_buf_init(&text, 0);
    gw_status st =
        cs_crypt_body(gw_http_header(req, "Content-Type"), body, len, is_cipher, &text, &err);
    if (st == GW_OK) {
        gw_buf *out = gw_http_response_body(res);
        st = is_cipher ? gw_cipher_decrypt(cipher, text.data, text.len, out, &err)
                       : gw_cipher_encrypt(cipher, text.data, text.len, out, &err);
    }
    if (st == GW_OK) {
        gw_http_set_content_type(res, TEXT);
    } else if (st == GW_E_INVALID && is_cipher) {
        refuse(res, 400, "INVALID", "Text not encrypted with this key");
    } else {
        refuse_failure(res, &err);
    }
    if (text.data != NULL) {
        explicit_bzero(text.data, text.cap);
    }
    gw_buf_dispose(&text);
}

/* POST /encrypt[/{name}/{profiles}] */
static void post_encrypt(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    const gw_cipher *cipher = admit(ctx, req, res, CS_ACTION_ENCRYPT);
    if (cipher != NULL) {
        convert(cipher, req, res, false);
    }
}

/* POST /decrypt[/{name}/{profiles}] */
static void post_decrypt(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    const gw_cipher *cipher = admit(ctx, req, res, CS_ACTION_DECRYPT);
    if (cipher != NULL) {
        convert(cipher, req, res, true);
    }
}

/* GET /key[/{name}/{profiles}] */
static void get_key(void *ctx, const gw_http_request *req, gw_http_response *res)
{
    const gw_cipher *cipher = admit(ctx, req, res, CS_ACTION_ENCRYPT);
    if (cipher == NULL) {
        return;
    }
    gw_error err = GW_ERROR_INIT;
    gw_status st = gw_cipher_public_key(cipher, NULL, gw_http_response_body(res), &err);
    if (st == GW_OK) {
        gw_http_set_content_type(res, TEXT);
    } else if (st == GW_E_NOT_FOUND) {
        refuse(res, 404, "NOT_FOUND", "No public key available");
    } else {
        refuse_failure(res, &err);
    }
}

static const gw_http_route routes[] = {
    {"EncryptStatus", "GET", "/encrypt/status", get_status, NULL},
    {"Encrypt", "POST", "/encrypt", post_encrypt, NULL},
    {"EncryptFor", "POST", "/encrypt/{name}/{profiles}", post_encrypt, NULL},
    {"Decrypt", "POST", "/decrypt", post_decrypt, NULL},
    {"DecryptFor", "POST", "/decrypt/{name}/{profiles}", post_decrypt, NULL},
    {"Key", "GET", "/key", get_key, NULL},
    {"KeyFor", "GET", "/key/{name}/{profiles}", get_key, NULL},
};

const gw_http_route *cs_crypt_routes(size_t *ret_n)
{
    *ret_n = sizeof(routes) / sizeof(routes[0]);
    return routes;
}
