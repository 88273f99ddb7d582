/* SPDX-License-Identifier: MIT */
/*
 * The commit that the programs were built from, for --version and /health: "835524e77c1b", with
 * "-dirty" behind it if the tree had changes, or "unknown". cmake/GodwitCommit.cmake defines it.
 */
#ifndef SERVICES_COMMIT_H
#define SERVICES_COMMIT_H

extern const char program_commit[];

#endif
