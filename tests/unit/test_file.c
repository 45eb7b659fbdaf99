/* Mapping refuses what is no file; writing is whole or not at all. */
#include "test.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/file.h"
#include "base/pool.h"

static char folder[] = "/tmp/slm-test-file-XXXXXX";

static int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}
static int drop_folder(void **state) {
    (void)state;
    return rmdir(folder); /* fails if a test left anything behind */
}

static const char *path_of(const char *name) {
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int n_entries(void) {
    int n = 0;
    DIR *d = opendir(folder);
    for (struct dirent *e; (e = readdir(d));) n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static void expect_content(const char *path, const char *want) {
    struct buf b;
    slm_err err;
    buf_init(&b, 1000);
    assert_int_equal(file_read(&b, path, &err), SLM_OK);
    assert_string_equal(b.data ? b.data : "", want);
    buf_fini(&b);
}

static void write_file(const char *path, const char *text, bool commit) {
    struct file_out f;
    slm_err err;
    assert_int_equal(file_out_open(&f, path, &err), SLM_OK);
    fputs(text, f.stream);
    if (commit) assert_int_equal(file_out_commit(&f, &err), SLM_OK);
    file_out_discard(&f);
}

static void test_atomic(void **state) {
    const char *path = path_of("out");
    struct stat info;
    (void)state;
    umask(022);
    write_file(path, "first", false);
    assert_int_equal(n_entries(), 0);
    write_file(path, "first", true);
    expect_content(path, "first");
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0644);
    write_file(path, "second, dropped", false);
    expect_content(path, "first");
    write_file(path, "third", true);
    expect_content(path, "third");
    assert_int_equal(n_entries(), 1);
    unlink(path);
}

static void test_full_disk(void **state) {
    struct file_out f;
    slm_err err;
    (void)state;
    if (access("/dev/full", W_OK) != 0) skip();
    assert_int_equal(file_out_open(&f, path_of("out"), &err), SLM_OK);
    f.stream = freopen("/dev/full", "wb", f.stream);
    assert_non_null(f.stream);
    fputs("does not fit", f.stream);
    assert_int_equal(file_out_commit(&f, &err), SLM_E_IO);
    assert_non_null(strstr(err.msg, "No space left"));
    assert_int_equal(n_entries(), 0);
}

/* A process that is killed while it writes leaves nothing behind, where files without a name exist. */
static void test_killed(void **state) {
    int status, fd = open(folder, O_TMPFILE | O_WRONLY, 0600);
    (void)state;
    if (fd < 0) skip();
    close(fd);
    pid_t child = fork();
    if (child == 0) {
        struct file_out f;
        if (file_out_open(&f, path_of("out"), NULL) == SLM_OK && fputs("half", f.stream) >= 0 && fflush(f.stream) == 0) raise(SIGKILL);
        _exit(1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(n_entries(), 0);
}

static void test_folder_as_file(void **state) {
    struct file_out f;
    slm_err err;
    (void)state;
    assert_int_equal(file_out_open(&f, folder, &err), SLM_E_IO);
    assert_non_null(strstr(err.msg, "Is a directory"));
}

static void test_no_folder(void **state) {
    struct file_out f;
    slm_err err;
    (void)state;
    assert_int_equal(file_out_open(&f, "/no/such/folder/x", &err), SLM_E_IO);
    assert_non_null(strstr(err.msg, "/no/such/folder/x"));
    file_out_discard(&f);
}

static void test_map(void **state) {
    struct file_map m;
    slm_err err;
    const char *path = path_of("in");
    (void)state;
    assert_int_equal(file_map_open(&m, path, &err), SLM_E_IO);
    assert_null(m.data);
    assert_int_equal(file_map_open(&m, folder, &err), SLM_E_IO);
    assert_non_null(strstr(err.msg, "directory"));
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(file_map_open(&m, path, &err), SLM_E_IO); /* must not wait for a writer */
    unlink(path);
    write_file(path, "", true);
    assert_int_equal(file_map_open(&m, path, &err), SLM_OK);
    assert_int_equal(m.size, 0);
    file_map_close(&m);
    write_file(path, "abc", true);
    assert_int_equal(file_map_open(&m, path, &err), SLM_OK);
    assert_int_equal(m.size, 3);
    assert_memory_equal(m.data, "abc", 3);
    file_map_close(&m);
    unlink(path);
}

static void test_read_limit(void **state) {
    struct buf b;
    slm_err err;
    const char *path = path_of("in");
    (void)state;
    write_file(path, "0123456789", true);
    buf_init(&b, 9);
    assert_int_equal(file_read(&b, path, &err), SLM_E_LIMIT);
    buf_fini(&b);
    unlink(path);
}

/* Reads what is gone, on a thread that did not make the map: each item that the caller gets it sits on until somebody else has had one. */
struct gone {
    const volatile unsigned char *data;
    size_t n;
};
static void read_gone(void *ctx, int64_t begin, int64_t end, int i_thread) {
    const struct gone *g = ctx;
    (void)begin;
    (void)end;
    if (i_thread == 0) usleep(20000);
    else (void)g->data[g->n - 1];
}

/* The child's own words and exit code after a file that it has mapped was cut short; or, sent: after a signal from outside. */
static int status_of_child(bool sent, char said[256]) {
    struct file_map m;
    struct pool *pool;
    slm_err err;
    int status, pipe_fd[2];
    char path[256];
    snprintf(path, sizeof path, "%s", path_of("cut"));
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0 && ftruncate(fd, 1 << 20) == 0 && pipe(pipe_fd) == 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(pipe_fd[1], STDERR_FILENO);
        file_guard(9);
        if (file_map_open(&m, path, &err) != SLM_OK || pool_create(3, &pool, &err) != SLM_OK || ftruncate(fd, 0) != 0) _exit(1);
        if (sent) kill(getpid(), SIGBUS);
        else pool_run(pool, 100, 1, read_gone, &(struct gone){m.data, m.size});
        _exit(2);
    }
    close(pipe_fd[1]);
    close(fd);
    memset(said, 0, 256);
    for (ssize_t n, at = 0; (n = read(pipe_fd[0], said + at, 255 - (size_t)at)) > 0;) at += n;
    assert_int_equal(waitpid(child, &status, 0), child);
    close(pipe_fd[0]);
    unlink(path);
    return status;
}

static void test_cut_short(void **state) {
    char said[256];
    (void)state;
    int status = status_of_child(false, said);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 9);
    assert_non_null(strstr(said, "/cut\": a part of it cannot be read"));
    status = status_of_child(true, said);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGBUS);
    assert_string_equal(said, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_atomic), cmocka_unit_test(test_full_disk),  cmocka_unit_test(test_no_folder),
        cmocka_unit_test(test_map),    cmocka_unit_test(test_read_limit), cmocka_unit_test(test_killed),
        cmocka_unit_test(test_folder_as_file), cmocka_unit_test(test_cut_short),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
