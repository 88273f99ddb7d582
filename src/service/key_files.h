/* SPDX-License-Identifier: MIT */
/* Keys of the configuration whose values are in files: GODWIT_AMQP_PASSWORD_FILE names the one with
 * the value of amqp_password. So secrets reach a program in a container as they are mounted. */
#ifndef GW_SERVICE_KEY_FILES_H
#define GW_SERVICE_KEY_FILES_H

#include <godwit/config.h>

#include "service/keys.h"

/* Read the files that the environment names for keys of the chassis and of the program, and set
 * their values in the configuration, to be shown to nobody. A variable that is itself that of a key
 * (such as cert_file) names no file here. GW_E_INVALID when both are set; GW_E_IO with the variable
 * and the file; GW_E_NOMEM. */
gw_status gw__key_files_read(const gw__keys *keys, gw_config *config, gw_error *err);

#endif
