/* Counts the file-system events of a process under one folder, and kills it at the n-th.
 *
 * Preloaded (LD_PRELOAD), so that what Python, Rust and C++ write is seen alike. A write that is
 * hit goes half through first. Idle until crash_arm is called.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static char watched[PATH_MAX];
static size_t watched_length;
static long kill_at;
static int log_fd = -1;
static atomic_long seen;

/* Watch `folder`, kill at event `at` (0: never), and write a line per event to `log`. */
void crash_arm(const char *folder, long at, const char *log) {
    strncpy(watched, folder, sizeof watched - 1);
    kill_at = at;
    log_fd = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    watched_length = strlen(watched);
}

static int under(const char *path) {
    return watched_length && !strncmp(path, watched, watched_length) &&
           (path[watched_length] == '/' || path[watched_length] == 0);
}

static int path_of_fd(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, PATH_MAX - 1);
    if (size < 0) return 0;
    path[size] = 0;
    return 1;
}

static void full_path(int directory, const char *path, char *full) {
    char start[PATH_MAX] = "";
    if (path[0] == '/') snprintf(full, PATH_MAX, "%s", path);
    else {
        if (directory == AT_FDCWD) { if (!getcwd(start, sizeof start)) start[0] = 0; }
        else path_of_fd(directory, start);
        snprintf(full, 2 * PATH_MAX, "%s/%s", start, path);
    }
}

/* Count one event; returns whether the process has to die of it. */
static int fatal(const char *kind, const char *path) {
    long number = atomic_fetch_add(&seen, 1) + 1;
    char line[2 * PATH_MAX];
    const char *inside = path + watched_length + (path[watched_length] == '/');
    int size = snprintf(line, sizeof line, "%s %s\n", kind, inside);
    if (log_fd >= 0) syscall(SYS_write, log_fd, line, (size_t)size);
    return number == kill_at;
}

static void die(void) {
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;) pause();
}

static void at_path(const char *kind, int directory, const char *path) {
    char full[2 * PATH_MAX];
    if (!watched_length || !path) return;
    full_path(directory, path, full);
    if (under(full) && fatal(kind, full)) die();
}

static int at_fd(const char *kind, int fd) {
    char path[PATH_MAX];
    if (!watched_length || fd == log_fd || !path_of_fd(fd, path)) return 0;
    return under(path) && fatal(kind, path);
}

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
#define WRITES (O_WRONLY | O_RDWR | O_CREAT)
#define MODE                                                                                       \
    mode_t mode = 0;                                                                               \
    if (flags & (O_CREAT | O_TMPFILE)) {                                                           \
        va_list rest;                                                                              \
        va_start(rest, flags);                                                                     \
        mode = va_arg(rest, mode_t);                                                               \
        va_end(rest);                                                                              \
    }

int open(const char *path, int flags, ...) {
    MODE REAL(open);
    if (flags & WRITES) at_path("open", AT_FDCWD, path);
    return real(path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    MODE REAL(open64);
    if (flags & WRITES) at_path("open", AT_FDCWD, path);
    return real(path, flags, mode);
}
int openat(int directory, const char *path, int flags, ...) {
    MODE REAL(openat);
    if (flags & WRITES) at_path("open", directory, path);
    return real(directory, path, flags, mode);
}
int openat64(int directory, const char *path, int flags, ...) {
    MODE REAL(openat64);
    if (flags & WRITES) at_path("open", directory, path);
    return real(directory, path, flags, mode);
}
FILE *fopen(const char *path, const char *mode) {
    REAL(fopen);
    if (mode[0] != 'r' || strchr(mode, '+')) at_path("open", AT_FDCWD, path);
    return real(path, mode);
}
FILE *fopen64(const char *path, const char *mode) {
    REAL(fopen64);
    if (mode[0] != 'r' || strchr(mode, '+')) at_path("open", AT_FDCWD, path);
    return real(path, mode);
}
ssize_t write(int fd, const void *bytes, size_t size) {
    REAL(write);
    if (at_fd("write", fd)) { real(fd, bytes, size / 2); die(); }
    return real(fd, bytes, size);
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(writev);
    if (at_fd("write", fd)) { real(fd, parts, count / 2); die(); }
    return real(fd, parts, count);
}
ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t place) {
    REAL(pwrite64);
    if (at_fd("write", fd)) { real(fd, bytes, size / 2, place); die(); }
    return real(fd, bytes, size, place);
}
size_t fwrite(const void *bytes, size_t size, size_t count, FILE *stream) {
    REAL(fwrite);
    if (at_fd("write", fileno(stream))) { real(bytes, size, count / 2, stream); fflush(stream); die(); }
    return real(bytes, size, count, stream);
}
ssize_t sendfile64(int to, int from, off64_t *place, size_t size) {
    REAL(sendfile64);
    if (at_fd("write", to)) { real(to, from, place, size / 2); die(); }
    return real(to, from, place, size);
}
ssize_t copy_file_range(int from, off64_t *read, int to, off64_t *wrote, size_t size, unsigned flags) {
    REAL(copy_file_range);
    if (at_fd("write", to)) { real(from, read, to, wrote, size / 2, flags); die(); }
    return real(from, read, to, wrote, size, flags);
}
int ftruncate64(int fd, off64_t size) {
    REAL(ftruncate64);
    if (at_fd("truncate", fd)) die();
    return real(fd, size);
}
int fsync(int fd) {
    REAL(fsync);
    if (at_fd("fsync", fd)) die();
    return real(fd);
}
int fdatasync(int fd) {
    REAL(fdatasync);
    if (at_fd("fsync", fd)) die();
    return real(fd);
}
int rename(const char *from, const char *to) {
    REAL(rename);
    at_path("rename", AT_FDCWD, to);
    return real(from, to);
}
int renameat(int there, const char *from, int here, const char *to) {
    REAL(renameat);
    at_path("rename", here, to);
    return real(there, from, here, to);
}
int renameat2(int there, const char *from, int here, const char *to, unsigned flags) {
    REAL(renameat2);
    at_path("rename", here, to);
    return real(there, from, here, to, flags);
}
int mkdir(const char *path, mode_t mode) {
    REAL(mkdir);
    at_path("mkdir", AT_FDCWD, path);
    return real(path, mode);
}
int mkdirat(int directory, const char *path, mode_t mode) {
    REAL(mkdirat);
    at_path("mkdir", directory, path);
    return real(directory, path, mode);
}
int unlink(const char *path) {
    REAL(unlink);
    at_path("unlink", AT_FDCWD, path);
    return real(path);
}
int unlinkat(int directory, const char *path, int flags) {
    REAL(unlinkat);
    at_path(flags & AT_REMOVEDIR ? "rmdir" : "unlink", directory, path);
    return real(directory, path, flags);
}
int rmdir(const char *path) {
    REAL(rmdir);
    at_path("rmdir", AT_FDCWD, path);
    return real(path);
}
