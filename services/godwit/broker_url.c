/* SPDX-License-Identifier: MIT */
#include "broker_url.h"

#include <string.h>

#include <godwit/url.h>

#include "env_secret.h"
#include "tool.h"

int broker_url_make(const char *url, gw_buf *ret_url, FILE *err)
{
    char storage[ENV_SECRET_MAX];
    const char *password;
    int status =
        env_secret_read(BROKER_PASSWORD_ENV, BROKER_PASSWORD_FILE_ENV, storage, &password, err);
    if (status != TOOL_OK) {
        return status;
    }
    if (password != NULL) {
        gw_url_add_password(ret_url, url, password);
    } else {
        gw_buf_add_str(ret_url, url);
    }
    explicit_bzero(storage, sizeof(storage));
    return gw_buf_status(ret_url) == GW_OK ? TOOL_OK : tool_fail(err, TOOL_FAILED, "no memory");
}

void broker_url_dispose(gw_buf *url)
{
    if (url->data != NULL) {
        explicit_bzero(url->data, url->len);
    }
    gw_buf_dispose(url);
}
