/* SPDX-License-Identifier: MIT */
/*
 * All repositories of a server, kept up to date in the background and served from memory.
 *
 * Each repository has a thread, which syncs it when its watch says so, when its time has come or
 * when it is told to, reads what changed and then puts a new view in force. Serving threads read
 * the view and wait for nobody: no fetch, no disk, no lock is on a request's path.
 */
#ifndef CS_ESTATE_H
#define CS_ESTATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <godwit/error.h>

#include "repo/backend.h"
#include "repo/changed.h"
#include "repo/memo.h"
#include "repo/search_dirs.h"
#include "repo/tree.h"

typedef struct cs_estate cs_estate;

/* All repositories at one moment. Immutable, but for its memo and for trees that are read when they
 * are first asked for. */
typedef struct cs_view cs_view;

typedef struct cs_estate_options {
    const cs_repo_options *repos; /* in the order in which their patterns are tried */
    size_t n_repos;               /* at least 1, at most CS_REPOS_MAX; one without patterns */
    /* How a repository is opened: cs_backend_open(), or a test's. On the thread of
     * cs_estate_open(), and on a thread of the estate for what a URI's placeholders stand for. */
    gw_status (*open)(const cs_repo_options *options, cs_backend **ret_backend, gw_error *err);
    void (*free_memo_value)(void *value);
    /* A view is in force, which cs_estate_view() has, without waiting. Any thread of the estate, no
     * lock held; must not block. Ends with cs_estate_leave() if it looked. */
    void (*on_change)(void *ctx);
    /* Files differ from what was served before, at labels in use, and no call of cs_estate_sync()
     * had asked for that sync: a commit to a local repository, a change of a directory, a fetch
     * that was due, or the first good one after failures. After on_change. May be NULL; on a thread
     * of the estate; may block briefly. */
    void (*on_files)(void *ctx, const cs_changed *changed);
    void *ctx;
} cs_estate_options;

/*
 * Opens the repositories, syncs the local ones, and starts the threads; a remote that is not there
 * yet is no failure but a repository that is not ready.
 *
 * @return GW_OK; GW_E_INVALID, GW_E_UNSUPPORTED, GW_E_NOT_FOUND, GW_E_IO, GW_E_NOMEM; the text
 * names the repository.
 */
gw_status cs_estate_open(const cs_estate_options *options, cs_estate **ret_estate, gw_error *err);

/* After the last request. Accepts NULL. */
void cs_estate_close(cs_estate *estate);

/*
 * The view in force. Valid on this thread until its next call, cs_estate_leave() or the thread's
 * end; changes to a local repository that were made before the call are in it, for which it waits
 * at most a second. A lock is taken only when the view has changed since. At most 4 estates a
 * thread.
 */
const cs_view *cs_estate_view(cs_estate *estate);

/* This thread has done with its view, which may be freed now when there is a newer one. Not needed,
 * but without it a thread that waits for its next request keeps the view of its last one alive. */
void cs_estate_leave(cs_estate *estate);

/* Sync now what the text concerns: a repository's name or a URI, in any of its spellings; NULL: all
 * of them. `done`, which may be NULL, is called once when that is over, with what failed, if
 * anything did: on a thread of the estate, or at once when nothing is concerned. Returns how many
 * repositories are concerned. */
size_t cs_estate_sync(cs_estate *estate, const char *which,
                      void (*done)(void *ctx, gw_status st, const gw_error *err), void *ctx);

/* ---- the view ------------------------------------------------------------------ */

/* Grows with each view. */
uint64_t cs_view_number(const cs_view *view);

cs_memo *cs_view_memo(const cs_view *view);

/* Where the files of a request are. Borrowed from the view, but for what is disposed of. */
typedef struct cs_place {
    cs_tree *tree; /* a reference */
    const char *repo_name;
    bool is_directory; /* no git: there is no version */
    bool is_stale;     /* the last sync failed */
    uint64_t age_ms;   /* since the last that did not; 0 while a watch is silent */
    char label[257];   /* the label that was meant: the repository's default if none was given */
    char *dirs[CS_SEARCH_DIRS_MAX]; /* "" for the root, "a/b/": the lowest precedence first */
    size_t n_dirs;
    void *inside; /* private: what keeps the tree's bytes in reach */
} cs_place;

/*
 * Find the repository for an application, a profile list and a label, the tree of the label, and
 * the directories. Patterns are tried in order, profiles from the last to the first; a repository
 * that does not know the label, or cannot be read, is passed over for the next, as in Spring.
 *
 * @param application one name, or the comma list of a request.
 * @param label NULL: the repository's default.
 * @return GW_OK; GW_E_NOT_FOUND for an unknown label, or a repository that is not there; GW_E_BUSY
 *         while a repository is mirrored for the first time: ask again when the view has changed;
 *         GW_E_UNAVAILABLE when that failed; GW_E_IO; GW_E_LIMIT when the search paths come to more
 *         than CS_SEARCH_DIRS_MAX directories; GW_E_NOMEM.
 */
gw_status cs_view_place(const cs_view *view, const char *application, const char *profiles,
                        const char *label, cs_place *ret_place, gw_error *err);

/* Accepts a zeroed struct. */
void cs_place_dispose(cs_place *place);

typedef struct cs_repo_state {
    const char *name;
    const char *uri; /* without user and password */
    bool has_patterns;
    bool is_expanded;               /* what a URI with placeholders stands for; made on demand */
    bool is_ready;                  /* something can be served */
    bool is_fresh;                  /* the last sync was good */
    uint64_t age_ms;                /* since the last good sync; 0: none, or a watch is silent */
    char reason[GW_ERROR_TEXT_MAX]; /* why not; "" otherwise */
    char default_commit[CS_COMMIT_LEN + 1]; /* "" if the default label is not there */
    size_t n_faulty_files;                  /* of the default label, found soon after */
} cs_repo_state;

/* Those without placeholders in their order, then what the placeholders stand for. */
size_t cs_view_n_repos(const cs_view *view);
void cs_view_repo(const cs_view *view, size_t i, cs_repo_state *ret_state);

#endif
