/* file_int.h -- which files are mapped, between file.c and map_guard.c. */
#ifndef SLM_BASE_FILE_INT_H
#define SLM_BASE_FILE_INT_H

#include <sys/stat.h>

#include "base/file.h"

void map_note(const void *data, size_t n, const struct stat *info, const char *path);
void map_drop(const void *data); /* before it is unmapped */

#endif
