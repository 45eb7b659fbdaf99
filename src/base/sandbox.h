/* sandbox.h -- a process that reads files of strangers gives away what it does not need: files that are not named here, programs, the
 * kernel's rarer doors.
 *
 * Files by Landlock (Linux 5.13, where it is switched on), system calls by a seccomp filter. What the kernel does not have is left out and said;
 * nothing fails. What is in force holds for the calling thread and all that it makes later, and cannot be taken back. */
#ifndef SLM_BASE_SANDBOX_H
#define SLM_BASE_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

enum sandbox_use {
    SANDBOX_READ,   /* a file, or a folder and all below it */
    SANDBOX_WRITE,  /* and make, change, remove files in it */
    SANDBOX_REMOVE, /* only remove files in it */
};
struct sandbox_path {
    const char *path; /* a link stands for what it leads to now; what is not there is left out */
    enum sandbox_use use;
};
/* sandbox_enter -- paths besides the system's own (/etc, /usr, /lib, /lib64, /proc, /sys, /dev, /run, /nix), which stay readable. no_connect: no
 * TCP connection to others either (Linux 6.7). said: what is in force, in words. */
void sandbox_enter(const struct sandbox_path *paths, size_t n, bool no_connect, char *said, size_t said_size);

#endif
