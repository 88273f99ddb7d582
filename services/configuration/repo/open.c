/* SPDX-License-Identifier: MIT */
#include "repo/backend.h"

gw_status cs_backend_open(const cs_repo_options *options, cs_backend **ret_backend, gw_error *err)
{
    return options->is_directory ? cs_directory_open(options, ret_backend, err)
                                 : cs_git_open(options, ret_backend, err);
}
