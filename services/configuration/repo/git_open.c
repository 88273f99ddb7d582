/* SPDX-License-Identifier: MIT */
#include "repo/git_backend.h"

gw_status cs_git_open(const cs_repo_options *options, cs_backend **ret_backend, gw_error *err)
{
    cs_git_location location;
    gw_status st = cs_git_location_parse(options->uri, &location, err);
    if (st != GW_OK) {
        return st;
    }
    st = location.scheme == CS_GIT_LOCAL ? cs_git_local_open(&location, ret_backend, err)
                                         : cs_git_remote_open(options, &location, ret_backend, err);
    cs_git_location_dispose(&location);
    return st;
}
