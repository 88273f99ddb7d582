/* SPDX-License-Identifier: MIT */
/*
 * What the operator decides: flags, the environment, and a file in the words of Spring Cloud
 * Config, so that an existing server's application.yml can be taken over. A key below
 * spring.cloud.config.server, encrypt or godwit that is not known is refused, with file and line: a
 * misspelt rule must not be a rule that is not there.
 */
#ifndef CS_SETTINGS_H
#define CS_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

#include <godwit/cipher.h>
#include <godwit/error.h>

#include "access.h"
#include "answer/environment.h"
#include "files/arena.h"
#include "repo/backend.h"
#include "settings_file.h"
#include "webhook.h"

typedef struct cs_settings_flags {
    const char *config; /* all may be NULL */
    const char *repo;
    const char *dir;
    const char *label;
} cs_settings_flags;

/* Strings belong to it. */
typedef struct cs_settings {
    cs_repo_options *repos;
    size_t n_repos;
    const char *prefix; /* of all routes, "" or "/config" */
    const char *port;   /* of the file's server.port; NULL: not given */
    const char *address;
    const char *port_origin;
    const char *address_origin;

    cs_rules rules; /* without keys */
    bool has_cipher;
    gw_cipher_options cipher;
    bool is_cipher_lenient;
    bool keep_ciphers; /* spring.cloud.config.server.encrypt.enabled=false */
    bool encrypt_plain_text;

    cs_webhook_rules webhook;
    bool is_quiet;  /* no events for changes that no webhook told of */
    cs_user *users; /* none: everybody may everything */
    size_t n_users;

    cs_arena arena; /* private, as is the next */
    cs_settings_file *file;
} cs_settings;

/*
 * @return GW_OK; GW_E_INVALID for a value that is none, a key that is not known, and no repository;
 *         GW_E_UNSUPPORTED for a key of Spring that has no meaning here and cannot be ignored;
 *         GW_E_IO; GW_E_NOMEM. The text names the file and the line.
 */
gw_status cs_settings_load(const cs_settings_flags *flags, cs_settings *ret_settings,
                           gw_error *err);

/* Accepts a zeroed struct. */
void cs_settings_dispose(cs_settings *settings);

#endif
