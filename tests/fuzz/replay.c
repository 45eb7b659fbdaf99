/* replay.c -- run a fuzz target over files instead of a fuzzer: the committed corpus as a test, in any build.
 * Each input is also given cut short at a few places. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_BYTES_MAX (16u << 20)

static void run_file(const char *path) {
    FILE *f = fopen(path, "rb");
    if (!f) {
        perror(path);
        exit(1);
    }
    uint8_t *all = malloc(INPUT_BYTES_MAX);
    size_t n = fread(all, 1, INPUT_BYTES_MAX, f);
    fclose(f);
    for (int cut = 0; cut < 5; cut++) {
        /* An exact allocation each time, so that a sanitizer sees the first byte past the end. */
        size_t size = n - n * (size_t)cut / 7;
        uint8_t *data = malloc(size ? size : 1);
        memcpy(data, all, size);
        LLVMFuzzerTestOneInput(data, size);
        free(data);
    }
    free(all);
}

int main(int argc, char **argv) {
    int n_files = 0;
    for (int i = 1; i < argc; i++) {
        DIR *d = opendir(argv[i]);
        if (!d) {
            run_file(argv[i]);
            n_files++;
            continue;
        }
        for (struct dirent *e; (e = readdir(d));) {
            char path[4096];
            if (e->d_name[0] == '.') continue;
            snprintf(path, sizeof path, "%s/%s", argv[i], e->d_name);
            run_file(path);
            n_files++;
        }
        closedir(d);
    }
    printf("%d inputs replayed\n", n_files);
    return n_files > 0 ? 0 : 1;
}
