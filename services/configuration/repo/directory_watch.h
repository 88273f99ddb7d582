/* SPDX-License-Identifier: MIT */
/*
 * Whether something in a directory may have changed, at any depth: an inotify descriptor that is
 * readable from then on. What happened is not looked at: whoever is told reads the directory again.
 * One thread at a time.
 */
#ifndef CS_DIRECTORY_WATCH_H
#define CS_DIRECTORY_WATCH_H

#include <stdbool.h>

#include <godwit/error.h>

typedef struct cs_directory_watch cs_directory_watch;

/* GW_E_LIMIT when the user has too many inotify instances; GW_E_IO; GW_E_NOMEM. */
gw_status cs_directory_watch_new(cs_directory_watch **ret_watch, gw_error *err);
void cs_directory_watch_free(cs_directory_watch *watch); /* accepts NULL */

/* The same for the watch's life. */
int cs_directory_watch_fd(const cs_directory_watch *watch);

/* Before one looks: forget what happened. */
void cs_directory_watch_drain(cs_directory_watch *watch);

/* While one looks, before a directory is listed: tell of changes in it from now on. */
void cs_directory_watch_add(cs_directory_watch *watch, int dir_fd);

/* The same for the directory that holds `path`: to be told when that comes back or is exchanged. */
void cs_directory_watch_add_parent(cs_directory_watch *watch, const char *path);

/* After one looked: directories that were not added again are no more concern, if all of it was
 * seen. False when some could not be watched, because the user watches too many. */
bool cs_directory_watch_settle(cs_directory_watch *watch, bool is_whole);

#endif
