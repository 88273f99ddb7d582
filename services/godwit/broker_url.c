/* SPDX-License-Identifier: MIT */
#include "broker_url.h"

#include <stdlib.h>
#include <string.h>

#include <godwit/secret.h>
#include <godwit/url.h>

#include "tool.h"

#define PASSWORD_MAX 4096

static const char *given(const char *variable)
{
    const char *value = getenv(variable);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

int broker_url_make(const char *url, gw_buf *ret_url, FILE *err)
{
    const char *password = given(BROKER_PASSWORD_ENV);
    const char *path = given(BROKER_PASSWORD_FILE_ENV);
    char from_file[PASSWORD_MAX];
    gw_error why = GW_ERROR_INIT;
    if (password != NULL && path != NULL) {
        return tool_fail(err, TOOL_FAILED,
                         "both " BROKER_PASSWORD_ENV " and " BROKER_PASSWORD_FILE_ENV
                         " are set: one of them");
    }
    if (path != NULL) {
        if (gw_secret_read(BROKER_PASSWORD_FILE_ENV, path, true, from_file, sizeof(from_file),
                           &why) != GW_OK) {
            return tool_fail(err, TOOL_FAILED, "%s", why.text);
        }
        password = from_file;
    }
    if (password != NULL) {
        gw_url_add_password(ret_url, url, password);
    } else {
        gw_buf_add_str(ret_url, url);
    }
    explicit_bzero(from_file, sizeof(from_file));
    return gw_buf_status(ret_url) == GW_OK ? TOOL_OK : tool_fail(err, TOOL_FAILED, "no memory");
}

void broker_url_dispose(gw_buf *url)
{
    if (url->data != NULL) {
        explicit_bzero(url->data, url->len);
    }
    gw_buf_dispose(url);
}
