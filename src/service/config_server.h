/* SPDX-License-Identifier: MIT */
/*
 * How a program reaches its config server: the flags for that, and what is too secret for a command
 * line: GODWIT_CONFIG_USER, GODWIT_CONFIG_PASSWORD, GODWIT_CONFIG_TOKEN, GODWIT_ENCRYPT_KEY, which
 * are in the environment, or in a file that ..._FILE names there.
 */
#ifndef GW_SERVICE_CONFIG_SERVER_H
#define GW_SERVICE_CONFIG_SERVER_H

#include <godwit/config.h>

#include "service/flags.h"

#define GW__N_CONFIG_FLAGS 5

extern const gw_flag gw__config_flags[GW__N_CONFIG_FLAGS];

/* For the end of --help. */
extern const char gw__config_secrets_help[];

#define GW__SECRET_SIZE 4096

typedef struct gw__config_server {
    gw_config_options options; /* strings are of the flags, the environment and below */
    char password[GW__SECRET_SIZE];
    char token[GW__SECRET_SIZE];
    char key[GW__SECRET_SIZE];
} gw__config_server;

/*
 * Read them all. What is secret is taken out of the environment, so that it is no configuration key
 * and no child's: before other threads start. To be disposed of in any case, once gw_config_new()
 * has its copies.
 *
 * GW_E_INVALID names the flag or variable; GW_E_IO the file.
 */
gw_status gw__config_server_read(const gw__flags *flags, const char *app, gw__config_server *server,
                                 gw_error *err);
void gw__config_server_dispose(gw__config_server *server);

#endif
