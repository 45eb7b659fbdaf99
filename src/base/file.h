/* file.h -- mapped reading and atomic writing. */
#ifndef SLM_BASE_FILE_H
#define SLM_BASE_FILE_H

#include <stdio.h>
#include <sys/stat.h>

#include "base/mem.h"

/* A whole file mapped read-only. data is NULL when size is 0. */
struct file_map {
    const uint8_t *data;
    size_t size;
    uint64_t identity; /* of device, file, size and time of change: the same while the file is not written */
};
/* Errors: SLM_E_IO (missing, a directory, unreadable). Message names the path. */
slm_status file_map_open(struct file_map *m, const char *path, slm_err *err);
void file_map_close(struct file_map *m);
/* file_map_forget -- the whole pages within [data + offset, + n) will not be needed soon: they leave this process's memory
 * and come back from the file when read. */
void file_map_forget(const struct file_map *m, size_t offset, size_t n);

/* Files that are mapped now. file_check_output: path is none of them, by whatever name. Errors: USAGE. file_check_unchanged: the mapped file that holds
 * `at` (none does: fine) was not written to since; what was replaced under its name was not. Errors: IO. file_guard: reading a part that is gone, since
 * somebody cut the file short, says so and ends the program with this code, instead of by SIGBUS. */
slm_status file_check_output(const char *path, slm_err *err);
slm_status file_check_unchanged(const void *at, slm_err *err);
void file_guard(int exit_code);
/* map_note, map_drop -- for a map that file_map_open did not make; dropped before it is unmapped. */
void map_note(const void *data, size_t n, const struct stat *info, const char *path);
void map_drop(const void *data);

/* file_read -- a small file whole into b (which bounds it). path "-" reads standard input. */
slm_status file_read(struct buf *b, const char *path, slm_err *err);

/* Atomic write: bytes go to a file without a name in the folder of `path` (where the system has none: to a temporary file
 * beside it); commit syncs it and renames it to `path`, discard, a crash or a kill leaves `path` as it was and nothing else
 * behind. Exactly one of commit and discard is called after open. */
struct file_out {
    FILE *stream;
    char *path, *path_tmp;
    bool is_nameless; /* path_tmp does not exist yet */
    bool is_placed;   /* path is the file already */
};
slm_status file_out_open(struct file_out *f, const char *path, slm_err *err);
slm_status file_out_commit(struct file_out *f, slm_err *err);
void file_out_discard(struct file_out *f); /* safe after commit and on a zeroed struct */
/* file_write -- b as the whole of a file, atomically. Errors: IO; those of a buffer that failed. */
slm_status file_write(const struct buf *b, const char *path, slm_err *err);

/* file_place -- a file that is whole, as it stands on the disk, to its name: synced, renamed, its folder synced, so that after a loss of power too the name has all of it or
 * none. Errors: IO. */
slm_status file_place(const char *made, const char *path, slm_err *err);

#endif
