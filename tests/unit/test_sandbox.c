/* test_sandbox.c -- what a confined process can no longer do, and what it still can; in children, since there is no way back. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sandbox.h"

static char root[] = "/tmp/slm-sandbox-XXXXXX", given[64], other[64], made[64], file[64];

static int put(const char *path) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0) return errno;
    ssize_t n = write(fd, "x", 1);
    close(fd);
    return n == 1 ? 0 : EIO;
}
static int get(const char *path) {
    int fd = open(path, O_RDONLY);
    if (fd < 0) return errno;
    close(fd);
    return 0;
}

static int setup(void **state) {
    (void)state;
    if (!mkdtemp(root)) return -1;
    snprintf(given, sizeof given, "%s/given", root);
    snprintf(made, sizeof made, "%s/given/made", root);
    snprintf(other, sizeof other, "%s/other", root);
    snprintf(file, sizeof file, "%s/file", root);
    return mkdir(given, 0700) || put(other) || put(file) ? -1 : 0;
}
static int teardown(void **state) {
    (void)state;
    unlink(made);
    unlink(other);
    unlink(file);
    rmdir(given);
    return rmdir(root);
}

static void *try_thread(void *arg) {
    *(int *)arg = get(other);
    return NULL;
}

static int try_connect(void) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), fault = connect(fd, (struct sockaddr *)&a, sizeof a) == 0 ? 0 : errno;
    close(fd);
    return fault;
}

/* In the child: the line of the first thing that is not as it should be, or 0. */
#define MUST(holds) \
    do {            \
        if (!(holds)) return __LINE__ - 40; \
    } while (0)
static int confined(const char *what) {
    char said[256];
    struct sandbox_path paths[] = {{given, SANDBOX_WRITE}, {file, SANDBOX_READ}, {"/no/such/folder", SANDBOX_READ}};
    int fault = -1;
    pthread_t thread;
    sandbox_enter(paths, 3, true, said, sizeof said);
    if (strstr(said, what) == NULL) return 250; /* this kernel has none */
    if (strcmp(what, "landlock") == 0) {
        MUST(get(other) == EACCES);
        MUST(put(other) == EACCES && put(file) == EACCES);
        MUST(get(file) == 0 && get("/etc/passwd") == 0 && get("/proc/self/status") == 0);
        MUST(put(made) == 0 && get(made) == 0 && unlink(made) == 0);
        MUST(unlink(other) == -1 && errno == EACCES);
        MUST(pthread_create(&thread, NULL, try_thread, &fault) == 0 && pthread_join(thread, NULL) == 0 && fault == EACCES);
        if (strstr(said, "others: refused")) MUST(try_connect() == EACCES);
    } else {
        MUST(execl("/bin/true", "true", (char *)NULL) == -1 && errno == EPERM);
        MUST(chroot("/") == -1 && errno == EPERM);
        MUST(get("/etc/passwd") == 0);
    }
    return 0;
}

static void run(const char *what) {
    int status = 0;
    pid_t child = fork();
    if (child == 0) _exit(confined(what));
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 250) skip();
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_files(void **state) {
    (void)state;
    run("landlock");
}
static void test_calls(void **state) {
    (void)state;
    run("seccomp");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_files), cmocka_unit_test(test_calls)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
