/* SPDX-License-Identifier: MIT */
#include "repo/git_failure.h"

#include <signal.h>
#include <string.h>

#include <godwit/buf.h>
#include <godwit/url.h>

#include "files/bounds.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))
#define REASON_MAX  ((size_t)300)
#define LINES_MAX   4

typedef struct meaning {
    const char *words; /* that git, ssh or libcurl uses; git's are not translated with LC_ALL=C */
    gw_status st;
    const char *text;
} meaning;

/* The first that is found counts. */
static const meaning MEANINGS[] = {
    {"Host key verification failed", GW_E_DENIED,
     "the host's key is not the one that is known: compare it, then correct known-hosts-file"},
    {"REMOTE HOST IDENTIFICATION HAS CHANGED", GW_E_DENIED,
     "the host's key is not the one that is known: compare it, then correct known-hosts-file"},
    {"certificate", GW_E_DENIED, "the host's certificate is not accepted (see ca-file)"},
    {"Permission denied (", GW_E_DENIED,
     "access refused (see username, private-key and passphrase)"},
    {"Too many authentication failures", GW_E_DENIED,
     "access refused (see username, private-key and passphrase)"},
    {"Authentication failed", GW_E_DENIED, "access refused (see username and password)"},
    {"could not read Username", GW_E_DENIED, "it wants a username and a password"},
    {"could not read Password", GW_E_DENIED, "it wants a username and a password"},
    {"returned error: 401", GW_E_DENIED, "access refused (see username and password)"},
    {"returned error: 403", GW_E_DENIED, "access refused (see username and password)"},
    {"Access denied", GW_E_DENIED, "access refused"},
    {"redirect", GW_E_UNAVAILABLE,
     "it says that it is elsewhere, which is not followed: correct the uri"},
    {"returned error: 30", GW_E_UNAVAILABLE,
     "it says that it is elsewhere, which is not followed: correct the uri"},
    {"fsck error", GW_E_UNAVAILABLE, "what it sent is not sound, and refused"},
    {"ssh cannot be run", GW_E_IO, "ssh repositories need the program ssh: install it"},
    {"Repository not found", GW_E_NOT_FOUND, "there is no such repository"},
    {"not found", GW_E_NOT_FOUND, "there is no such repository"},
    {"returned error: 404", GW_E_NOT_FOUND, "there is no such repository"},
    {"does not appear to be a git repository", GW_E_NOT_FOUND, "there is no such repository"},
    {"does not exist", GW_E_NOT_FOUND, "there is no such repository"},
    {"No space left on device", GW_E_NO_SPACE, "the disk is full"},
    {"Disk quota exceeded", GW_E_NO_SPACE, "the disk is full"},
    {"File too large", GW_E_LIMIT, "a file of it is too large"},
    {"Could not resolve host", GW_E_UNAVAILABLE, "the host cannot be reached"},
    {"Could not resolve hostname", GW_E_UNAVAILABLE, "the host cannot be reached"},
    {"Connection refused", GW_E_UNAVAILABLE, "the host cannot be reached"},
    {"Failed to connect", GW_E_UNAVAILABLE, "the host cannot be reached"},
    {"timed out", GW_E_UNAVAILABLE, "the host cannot be reached"},
    {"No route to host", GW_E_UNAVAILABLE, "the host cannot be reached"},
    {"Network is unreachable", GW_E_UNAVAILABLE, "the host cannot be reached"},
    {"Connection reset", GW_E_UNAVAILABLE, "the connection broke"},
    {"Connection closed", GW_E_UNAVAILABLE, "the connection broke"},
    {"hung up unexpectedly", GW_E_UNAVAILABLE, "the connection broke"},
    {"returned error: 5", GW_E_UNAVAILABLE, "the host cannot answer"},
    {"Empty reply from server", GW_E_UNAVAILABLE, "the host cannot answer"},
};

/* Lines that tell nothing of the reason. */
static bool is_idle_talk(const char *line, size_t len)
{
    static const char *const starts[] = {
        "remote: Enumerating",
        "remote: Counting",
        "remote: Compressing",
        "remote: Total",
        "Receiving objects",
        "Resolving deltas",
        "Unpacking objects",
        "Please make sure",
        "and the repository exists",
        "fatal: Could not read from remote",
        "From ",
        "@@@@@",
        "@    ",
        "Checking connectivity",
        "error: unable to read askpass",
    };
    if (len == 0) {
        return true;
    }
    for (size_t i = 0; i < N_OF(starts); i++) {
        size_t n = strlen(starts[i]);
        if (len >= n && memcmp(line, starts[i], n) == 0) {
            return true;
        }
    }
    return false;
}

/* The first lines that tell something, in one. */
static void add_reason(gw_buf *out, const char *text)
{
    size_t n_lines = 0;
    while (*text != '\0' && n_lines < LINES_MAX) {
        size_t len = strcspn(text, "\r\n");
        if (!is_idle_talk(text, len)) {
            gw_buf_add_str(out, n_lines++ == 0 ? "" : "; ");
            gw_buf_add(out, text, len);
        }
        text += len + (text[len] != '\0');
    }
}

static const meaning *find_meaning(const char *text)
{
    for (size_t i = 0; i < N_OF(MEANINGS); i++) {
        if (strstr(text, MEANINGS[i].words) != NULL) {
            return &MEANINGS[i];
        }
    }
    return NULL;
}

static gw_status fail_limit(const char *uri, gw_error *err)
{
    return gw_error_set(err, GW_E_LIMIT, 0, "%s: a file of the mirror would be larger than %zu MiB",
                        uri, (size_t)CS_MIRROR_FILE_BYTES_MAX >> 20);
}

gw_status cs_git_failure(const cs_git_result *result, const char *uri, bool *ret_is_clear,
                         gw_error *err)
{
    *ret_is_clear = true;
    if (result->exit_status == 127) {
        return gw_error_set(err, GW_E_IO, 0,
                            "%s: remote repositories need the program git, and ssh for ssh: "
                            "install them: %.200s",
                            uri, result->text);
    }
    if (result->exit_status == -SIGXFSZ || strstr(result->text, "signal 25") != NULL) {
        return fail_limit(uri, err);
    }
    const meaning *found = find_meaning(result->text);
    *ret_is_clear = found != NULL;
    gw_buf reason, masked;
    gw_buf_init(&reason, 0);
    gw_buf_init(&masked, 0);
    add_reason(&reason, result->text);
    gw_url_mask(&masked, reason.data == NULL ? "" : reason.data);
    const char *said = masked.data == NULL || masked.len == 0 ? "git gave no reason" : masked.data;
    gw_status st = found == NULL ? GW_E_UNAVAILABLE : found->st;
    gw_error_set(err, st, result->exit_status, "%s: %s: %.*s", uri,
                 found == NULL ? "it cannot be fetched" : found->text, (int)REASON_MAX, said);
    gw_buf_dispose(&reason);
    gw_buf_dispose(&masked);
    return st;
}
