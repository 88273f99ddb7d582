/* SPDX-License-Identifier: MIT */
/*
 * What a document says about itself: when it applies (spring.config.activate.*), which profiles it
 * adds (spring.profiles.include), and what it may not say.
 */
#ifndef CS_ACTIVATION_H
#define CS_ACTIVATION_H

#include <stdbool.h>

#include "answer/profiles.h"
#include "files/document.h"

/*
 * Whether the document applies to these profiles. It does unless spring.config.activate.on-profile
 * (an expression, or a list of which one must hold) says no, or on-cloud-platform names a platform.
 * GW_E_INVALID for a malformed expression.
 */
gw_status cs_document_is_active(const cs_file *file, const cs_document *doc,
                                const cs_profiles *profiles, bool *ret_is_active, gw_error *err);

/*
 * Refuse what Spring Boot refuses: the old `spring.profiles`, and spring.profiles.active, include
 * or default where the document itself depends on a profile. Also refused is spring.config.import,
 * which would read files outside the repository.
 *
 * @param is_profile_specific the file has a profile in its name.
 */
gw_status cs_document_check(const cs_file *file, const cs_document *doc, bool is_profile_specific,
                            gw_error *err);

/* Add the names of spring.profiles.include. GW_E_LIMIT when they get too many. */
gw_status cs_document_add_includes(const cs_file *file, const cs_document *doc,
                                   cs_profiles *profiles, gw_error *err);

#endif
