/* SPDX-License-Identifier: MIT */
/* What the git program's last words mean. */
#ifndef CS_GIT_FAILURE_H
#define CS_GIT_FAILURE_H

#include <stdbool.h>

#include <godwit/error.h>

#include "repo/git_run.h"

/*
 * The failure of a run that ended with another status than 0.
 *
 * @param uri          what errors call the repository.
 * @param ret_is_clear set when the other side, the network or the disk is to blame; otherwise the
 *                     mirror itself may be damaged.
 * @return GW_E_DENIED, GW_E_NOT_FOUND, GW_E_UNAVAILABLE, GW_E_NO_SPACE, GW_E_LIMIT or GW_E_IO. The
 *         text is "<uri>: <what it means>: <what git says>", with passwords masked, and cut.
 */
gw_status cs_git_failure(const cs_git_result *result, const char *uri, bool *ret_is_clear,
                         gw_error *err);

#endif
