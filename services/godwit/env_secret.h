/* SPDX-License-Identifier: MIT */
/**
 * @file env_secret.h
 * A password from the environment, or from a file that the environment names: never from the
 * command line.
 */
#ifndef GODWIT_TOOL_ENV_SECRET_H
#define GODWIT_TOOL_ENV_SECRET_H

#include <stdio.h>

#define ENV_SECRET_MAX 4096

/** The value of a variable that is set and not empty; NULL. */
const char *env_value(const char *variable);

/**
 * The password that NAME is or the file NAME_FILE has; both is an error.
 *
 * @param variable      NAME
 * @param file_variable NAME_FILE
 * @param storage       overwrite it when the password is not needed any more.
 * @param ret_secret    in `storage` or of the environment; NULL: none is given.
 * @return TOOL_OK or TOOL_FAILED, which was said.
 */
int env_secret_read(const char *variable, const char *file_variable, char storage[ENV_SECRET_MAX],
                    const char **ret_secret, FILE *err);

#endif
