/* SPDX-License-Identifier: MIT */
/*
 * What a document says about itself: when it applies (spring.config.activate.*), which profiles and
 * files it adds (spring.profiles.*, spring.config.import), and what it may not say.
 */
#ifndef CS_ACTIVATION_H
#define CS_ACTIVATION_H

#include <stdbool.h>

#include "answer/profiles.h"
#include "files/document.h"

/* Whether the document says anything of that kind; most do not, and then none of what follows needs
 * to be asked. */
bool cs_document_has_directives(const cs_document *doc);

/* Whether it applies to some profiles only. */
bool cs_document_depends_on_profile(const cs_document *doc);

/*
 * Whether the document applies to these profiles. It does unless spring.config.activate.on-profile
 * (an expression, or a list of which one must hold) says no, or on-cloud-platform names a platform.
 * GW_E_INVALID for a malformed expression.
 */
gw_status cs_document_is_active(const cs_file *file, const cs_document *doc,
                                const cs_profiles *profiles, bool *ret_is_active, gw_error *err);

/*
 * Refuse what Spring Boot refuses: the old `spring.profiles`, and spring.profiles.active, include
 * or default where the document itself depends on a profile.
 *
 * @param is_profile_specific the file has a profile in its name.
 */
gw_status cs_document_check(const cs_file *file, const cs_document *doc, bool is_profile_specific,
                            gw_error *err);

typedef enum cs_directive {
    CS_DIRECTIVE_ACTIVE,  /* spring.profiles.active */
    CS_DIRECTIVE_INCLUDE, /* spring.profiles.include */
    CS_DIRECTIVE_IMPORT   /* spring.config.import */
} cs_directive;

/*
 * The next property that gives the directive, or an item of its list; each may be a comma list.
 * NULL if there is none. Begin with `at` as 0.
 */
const cs_property *cs_document_next(const cs_document *doc, cs_directive which, size_t *at);

#endif
