/* SPDX-License-Identifier: MIT */
/*
 * One repository, whatever it is: a local or a mirrored git repository, or a directory. It says
 * what labels name, and makes trees; the estate (estate.h) decides when, on a thread of the
 * repository's own, and serves what came of it.
 */
#ifndef CS_BACKEND_H
#define CS_BACKEND_H

#include <godwit/error.h>

#include "repo/refs.h"

typedef struct cs_backend cs_backend;

typedef struct cs_backend_class {
    /*
     * Bring it up to date: fetch a mirror, or look at the disk. May block for the repository's
     * timeout; on the repository's own thread, one call at a time.
     *
     * @return GW_OK; GW_E_UNAVAILABLE, GW_E_TIMEOUT when the remote cannot be reached; GW_E_DENIED
     *         when it lets nobody in, or its host key is not known; GW_E_NOT_FOUND when there is no
     *         repository; GW_E_CLOSED after stop; GW_E_IO. What it served before stays readable.
     */
    gw_status (*sync)(cs_backend *backend, cs_refs **ret_refs, gw_error *err);

    /*
     * What a sync of an earlier process left: so that a server that starts while the remote is away
     * has something to serve. Reaches nothing but the disk; as long as no sync was good, on the
     * same thread. NULL for what is local: its sync does not fail for others' faults.
     *
     * @return GW_OK; GW_E_NOT_FOUND when there is nothing; as sync.
     */
    gw_status (*recall)(cs_backend *backend, cs_refs **ret_refs, gw_error *err);

    /*
     * Becomes readable when a sync would find something, -1 if only time tells (a remote). Whoever
     * changed the repository before a call to FIONREAD on it is seen by that call. sync drains it
     * before it looks. The same for the backend's life.
     */
    int (*watch_fd)(cs_backend *backend);

    /*
     * The files of a commit that a ref names, or that find_commit found. Any thread.
     *
     * @param before see cs_tree_builder_make().
     */
    gw_status (*tree)(cs_backend *backend, const cs_commit *commit, const cs_tree *before,
                      cs_tree **ret_tree, gw_error *err);

    /* A commit by at least 7 digits of its id. GW_E_NOT_FOUND, also when it is ambiguous. Any
     * thread. */
    gw_status (*find_commit)(cs_backend *backend, const char *prefix, cs_commit *ret_commit,
                             gw_error *err);

    /* A sync that runs ends soon, and so does every later one. Any thread. */
    void (*stop)(cs_backend *backend);

    /* After its last tree is gone. */
    void (*free)(cs_backend *backend);
} cs_backend_class;

/* The beginning of each backend's own struct. */
struct cs_backend {
    const cs_backend_class *class;
};

/* How a repository is reached and read; see docs/config-repositories.md. All strings are borrowed
 * while a backend is opened, which copies what it needs; NULL and 0 stand for the defaults. */
typedef struct cs_repo_options {
    const char *name; /* "default", or that below spring.cloud.config.server.git.repos */
    const char *uri;  /* may hold {application}, {profile}, {label}, but not in its host */
    bool is_directory;
    const char *const *patterns; /* "app/profile", each may hold '*'; none: the default one */
    size_t n_patterns;
    const char *const *search_paths;
    size_t n_search_paths;
    const char *default_label; /* "main" */
    bool no_master;            /* "master" does not stand in for "main" */
    unsigned refresh_s;        /* between two fetches; 0: 30 */
    unsigned timeout_s;        /* of one fetch; 0: 20 */
    const char *basedir;       /* where mirrors lie; NULL: a directory of its own below TMPDIR */

    const char *username;
    const char *password;         /* a secret: in no log, no error, no command line, no file */
    const char *private_key;      /* of ssh, PEM text; a secret */
    const char *private_key_file; /* instead of it */
    const char *passphrase;       /* of that key; a secret */
    const char *known_hosts_file; /* NULL: the user's and the system's */
    bool any_host_key;            /* accept an unknown host's key: an operator's explicit choice */
    const char *ca_file;          /* of https; NULL: the system's */
    bool skip_tls_verification;   /* an operator's explicit choice */
} cs_repo_options;

/*
 * A git repository: a path or a file: URI is read where it lies; http, https, ssh (also as
 * "user@host:path") are mirrored. Touches no network: the first sync does.
 *
 * @return GW_OK; GW_E_INVALID for a URI that is none; GW_E_UNSUPPORTED for another scheme;
 *         GW_E_NOT_FOUND when a local one is not there; GW_E_IO; GW_E_NOMEM.
 */
gw_status cs_git_open(const cs_repo_options *options, cs_backend **ret_backend, gw_error *err);

/* One or the other, as is_directory says. */
gw_status cs_backend_open(const cs_repo_options *options, cs_backend **ret_backend, gw_error *err);

/* A directory of files, as containers mount it: read whole, symbolic links within a directory
 * followed only as Kubernetes makes them, watched with inotify. Its tree is that of CS_REF_ANY. */
gw_status cs_directory_open(const cs_repo_options *options, cs_backend **ret_backend,
                            gw_error *err);

#endif
