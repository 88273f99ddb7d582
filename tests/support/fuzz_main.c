/* SPDX-License-Identifier: MIT */
/*
 * Runs a fuzz target over files instead of a fuzzer: the corpus as an ordinary test. Arguments are
 * files and directories; a directory must hold at least one file.
 */
#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return -1;
    }
    /* exactly as large as the input, so that a sanitizer sees a read past its end */
    struct stat st;
    uint8_t *data = NULL;
    size_t size = 0;
    int code = fstat(fileno(file), &st);
    if (code == 0) {
        size = (size_t)st.st_size;
        data = malloc(size == 0 ? 1 : size);
        code = data != NULL && fread(data, 1, size, file) == size ? 0 : -1;
    }
    if (code == 0) {
        LLVMFuzzerTestOneInput(data, size);
    } else {
        perror(path);
    }
    free(data);
    fclose(file);
    return code;
}

/* The number of files run, or -1. */
static int run_dir(const char *path)
{
    struct dirent **entries = NULL;
    int n = scandir(path, &entries, NULL, alphasort);
    int n_run = 0;
    for (int i = 0; i < n; i++) {
        char file[4096];
        snprintf(file, sizeof(file), "%s/%s", path, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.' && n_run >= 0) {
            n_run = run_file(file) == 0 ? n_run + 1 : -1;
        }
        free(entries[i]);
    }
    free(entries);
    return n < 0 ? -1 : n_run;
}

int main(int argc, char **argv)
{
    int n_run = 0;
    for (int i = 1; i < argc; i++) {
        struct stat st;
        bool is_dir = stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode);
        int n = is_dir ? run_dir(argv[i]) : run_file(argv[i]) == 0 ? 1 : -1;
        if (n <= 0) {
            fprintf(stderr, "%s: nothing could be run\n", argv[i]);
            return 1;
        }
        n_run += n;
    }
    printf("%d inputs\n", n_run);
    return n_run > 0 ? 0 : 1;
}
