/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <godwit/secret.h>

#define LONGEST 100

static void write_file(const char *path, const char *bytes, size_t len)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static gw_status read_secret(const char *path, char ret_secret[LONGEST + 1], gw_error *err)
{
    return gw_secret_read("password_file", path, true, ret_secret, LONGEST + 1, err);
}

/* What is no secret: told by its path, and not by what is in it. */
static void test_secret_files_that_are_refused(void **state)
{
    (void)state;
    static char longest[LONGEST + 2];
    memset(longest, 'p', sizeof(longest));
    longest[LONGEST] = '\n';
    const struct {
        const char *bytes;
        size_t len;
        const char *text; /* NULL: taken */
    } cases[] = {
        {"", 0, "empty"},
        {"\n", 1, "empty"},
        {"gehe\0im", 7, "NUL"},
        {"geheim\ngeheim", 13, "one line"},
        {"geheim\n\n", 8, "one line"},
        {longest, sizeof(longest), "too long"},
        {longest, LONGEST + 1, NULL},
        {" geheim ", 8, NULL},
    };
    char dir[] = "/tmp/gw-secret-XXXXXX";
    assert_non_null(mkdtemp(dir));
    char path[64];
    snprintf(path, sizeof(path), "%s/password", dir);
    char password[LONGEST + 1];
    gw_error err;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        err = (gw_error)GW_ERROR_INIT;
        write_file(path, cases[i].bytes, cases[i].len);
        gw_status st = read_secret(path, password, &err);
        if ((st == GW_OK) != (cases[i].text == NULL) || strstr(err.text, "geheim") != NULL ||
            (st != GW_OK && (strstr(err.text, cases[i].text) == NULL || password[0] != '\0' ||
                             strstr(err.text, path) == NULL))) {
            fail_msg("case %zu: %s '%s'", i, gw_status_name(st), err.text);
        }
    }
    assert_string_equal(password, " geheim ");
    longest[LONGEST] = 'p';
    write_file(path, longest, sizeof(longest));
    assert_int_equal(read_secret(path, password, &err), GW_E_IO);
    assert_non_null(strstr(err.text, "too long"));
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0); /* nobody writes */
    assert_int_equal(read_secret(path, password, &err), GW_E_IO);
    assert_int_equal(read_secret(dir, password, &err), GW_E_IO);
    assert_non_null(strstr(err.text, "not a file"));
    unlink(path);
    rmdir(dir);
}

static void test_secret_of_several_lines(void **state)
{
    (void)state;
    char path[] = "/tmp/gw-secret-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    write_file(path, "one\ntwo\r\n", 9);
    char secret[8];
    gw_error err = GW_ERROR_INIT;
    assert_int_equal(gw_secret_read("key-file", path, false, secret, sizeof(secret), &err), GW_OK);
    assert_string_equal(secret, "one\ntwo");
    assert_int_equal(gw_secret_read("key-file", path, false, secret, 7, &err), GW_E_IO);
    assert_string_equal(secret, "");
    unlink(path);
}

static void test_names_of_secrets(void **state)
{
    (void)state;
    static const char *const secrets[] = {"password",     "db.PassWord",   "a.api_key[0]",
                                          "token-uri",    "my.passphrase", "PRIVATE_NAME",
                                          "x.credentials"};
    static const char *const others[] = {"", "pass", "passwor", "keys", "api.key"};
    for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
        assert_true(gw_secret_is_named(secrets[i], strlen(secrets[i])));
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_false(gw_secret_is_named(others[i], strlen(others[i])));
    }
    assert_false(gw_secret_is_named("password", strlen("passwor")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_secret_files_that_are_refused),
        cmocka_unit_test(test_secret_of_several_lines),
        cmocka_unit_test(test_names_of_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
