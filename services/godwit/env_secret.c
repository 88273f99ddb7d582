/* SPDX-License-Identifier: MIT */
#include "env_secret.h"

#include <stdlib.h>

#include <godwit/secret.h>

#include "tool.h"

const char *env_value(const char *variable)
{
    const char *value = getenv(variable);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

int env_secret_read(const char *variable, const char *file_variable, char storage[ENV_SECRET_MAX],
                    const char **ret_secret, FILE *err)
{
    const char *secret = env_value(variable);
    const char *path = env_value(file_variable);
    gw_error why = GW_ERROR_INIT;
    storage[0] = '\0';
    if (secret != NULL && path != NULL) {
        return tool_fail(err, TOOL_FAILED, "both %s and %s are set: one of them", variable,
                         file_variable);
    }
    if (path != NULL) {
        if (gw_secret_read(file_variable, path, true, storage, ENV_SECRET_MAX, &why) != GW_OK) {
            return tool_fail(err, TOOL_FAILED, "%s", why.text);
        }
        secret = storage;
    }
    *ret_secret = secret;
    return TOOL_OK;
}
