/* SPDX-License-Identifier: MIT */
#include "repo/git_access.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <godwit/buf.h>
#include <godwit/secret.h>

#define KEY_BYTES_MAX   ((size_t)64 << 10)
#define HOSTS_BYTES_MAX ((size_t)1 << 20)

/* ---- what is known ---------------------------------------------------------------- */

static bool copy(char **ret, const char *text)
{
    *ret = text == NULL ? NULL : strdup(text);
    return text == NULL || *ret != NULL;
}

gw_status cs_git_access_init(cs_git_access *access, const cs_repo_options *options,
                             const cs_git_location *location, gw_error *err)
{
    *access = (cs_git_access){.scheme = location->scheme,
                              .any_host_key = options->any_host_key,
                              .skip_tls_verification = options->skip_tls_verification};
    const char *username = options->username == NULL ? location->username : options->username;
    const char *password = options->password == NULL ? location->password : options->password;
    if (copy(&access->host, location->host) && copy(&access->username, username) &&
        copy(&access->password, password) && copy(&access->private_key, options->private_key) &&
        copy(&access->private_key_file, options->private_key_file) &&
        copy(&access->passphrase, options->passphrase) &&
        copy(&access->known_hosts_file, options->known_hosts_file) &&
        copy(&access->ca_file, options->ca_file)) {
        return GW_OK;
    }
    cs_git_access_dispose(access);
    return gw_error_set(err, GW_E_NOMEM, 0, "out of memory");
}

static void free_secret(char *secret)
{
    if (secret != NULL) {
        explicit_bzero(secret, strlen(secret));
        free(secret);
    }
}

void cs_git_access_dispose(cs_git_access *access)
{
    free_secret(access->password);
    free_secret(access->private_key);
    free_secret(access->passphrase);
    free(access->host);
    free(access->username);
    free(access->private_key_file);
    free(access->known_hosts_file);
    free(access->ca_file);
    *access = (cs_git_access){.scheme = CS_GIT_LOCAL};
}

/* ---- what a run is given ---------------------------------------------------------- */

static void wipe(gw_buf *buf)
{
    if (buf->data != NULL) {
        explicit_bzero(buf->data, buf->len);
    }
    gw_buf_dispose(buf);
}

/* Memory with a descriptor, which nobody can change any more, and whose number is none of those
 * that the child's get. ssh wants a key's file to be its owner's alone. */
static int make_memory(const gw_buf *bytes)
{
    int made = memfd_create("godwit-git", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int fd = made < 0 ? -1 : fcntl(made, F_DUPFD_CLOEXEC, CS_GIT_GRANT_FD + CS_GIT_N_GRANTS);
    if (made >= 0) {
        close(made);
    }
    if (fd < 0) {
        return -1;
    }
    size_t done = 0;
    while (done < bytes->len) {
        ssize_t n = write(fd, bytes->data + done, bytes->len - done);
        if (n <= 0) {
            close(fd);
            return -1;
        }
        done += (size_t)n;
    }
    if (fchmod(fd, 0600) != 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Takes the bytes. */
static gw_status grant(cs_git_grants *grants, cs_git_grant_kind kind, gw_buf *bytes, gw_error *err)
{
    gw_status st = gw_buf_status(bytes);
    if (st != GW_OK) {
        gw_error_set(err, st, 0, "what git is told: %s", gw_status_text(st));
    } else {
        grants->fds[kind] = make_memory(bytes);
        if (grants->fds[kind] < 0) {
            st = gw_error_set_errno(err, errno, "memory for what git is told");
        }
    }
    wipe(bytes);
    return st;
}

static void add_answer(gw_buf *out, const char *text)
{
    const char *value = text == NULL ? "" : text;
    gw_buf_add(out, value, strlen(value) + 1);
}

/* The host first: no other is answered. */
static gw_status grant_answers(const cs_git_access *access, cs_git_grants *grants, gw_error *err)
{
    if (access->password == NULL && access->passphrase == NULL && access->username == NULL) {
        return GW_OK;
    }
    gw_buf out;
    gw_buf_init(&out, KEY_BYTES_MAX);
    add_answer(&out, access->host);
    add_answer(&out, access->username == NULL ? "git" : access->username);
    add_answer(&out, access->password);
    add_answer(&out, access->passphrase);
    return grant(grants, CS_GIT_GRANT_ANSWERS, &out, err);
}

/* A file's bytes; the buffer is empty again when that fails. */
static gw_status read_text(const char *what, const char *path, size_t max, gw_buf *out,
                           gw_error *err)
{
    gw_buf_init(out, max + 1);
    char *text = malloc(max);
    gw_status st = text == NULL ? gw_error_set(err, GW_E_NOMEM, 0, "out of memory")
                                : gw_secret_read(what, path, false, text, max, err);
    if (st == GW_OK) {
        gw_buf_add_str(out, text);
    } else if (st == GW_E_IO && err != NULL) {
        st = err->status = GW_E_DENIED;
    }
    if (text != NULL) {
        explicit_bzero(text, max);
    }
    free(text);
    return st;
}

/* As ssh reads keys: lines that end in a newline, the last as well. Values of configuration files
 * have often lost it. */
static void add_lines(gw_buf *out, const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        if (*p != '\r' || p[1] != '\n') {
            gw_buf_add_char(out, *p);
        }
    }
    if (out->len > 0 && out->data[out->len - 1] != '\n') {
        gw_buf_add_char(out, '\n');
    }
}

static gw_status grant_key(const cs_git_access *access, cs_git_grants *grants, gw_error *err)
{
    gw_buf file, key;
    gw_status st = GW_OK;
    const char *text = access->private_key;
    gw_buf_init(&file, 0);
    if (text == NULL && access->private_key_file != NULL) {
        st = read_text("private-key-file", access->private_key_file, KEY_BYTES_MAX, &file, err);
        text = file.data;
    }
    if (st == GW_OK && text != NULL) {
        gw_buf_init(&key, KEY_BYTES_MAX);
        add_lines(&key, text);
        st = grant(grants, CS_GIT_GRANT_KEY, &key, err);
    }
    wipe(&file);
    return st;
}

static gw_status grant_hosts(const cs_git_access *access, cs_git_grants *grants, gw_error *err)
{
    if (access->known_hosts_file == NULL || access->any_host_key) {
        return GW_OK;
    }
    gw_buf hosts;
    gw_status st =
        read_text("known-hosts-file", access->known_hosts_file, HOSTS_BYTES_MAX, &hosts, err);
    if (st != GW_OK) {
        wipe(&hosts);
        return st;
    }
    gw_buf_add_char(&hosts, '\n');
    return grant(grants, CS_GIT_GRANT_HOSTS, &hosts, err);
}

gw_status cs_git_grants_open(const cs_git_access *access, cs_git_grants *ret_grants, gw_error *err)
{
    cs_git_grants grants = {{-1, -1, -1}};
    gw_status st = grant_answers(access, &grants, err);
    if (st == GW_OK && access->scheme == CS_GIT_SSH) {
        st = grant_key(access, &grants, err);
    }
    if (st == GW_OK && access->scheme == CS_GIT_SSH) {
        st = grant_hosts(access, &grants, err);
    }
    if (st != GW_OK) {
        cs_git_grants_close(&grants);
        return st;
    }
    *ret_grants = grants;
    return GW_OK;
}

void cs_git_grants_close(cs_git_grants *grants)
{
    for (size_t i = 0; i < CS_GIT_N_GRANTS; i++) {
        if (grants->fds[i] >= 0) {
            close(grants->fds[i]);
            grants->fds[i] = -1;
        }
    }
}
