/* Reads and writes of files that come to a few bytes at a time, and are interrupted in between, as a system may have them. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/types.h>
#include <unistd.h>

enum { MOST = 999, STANDARD_STREAMS = 3, EACH = 3 };

static atomic_int cut, interrupted;

/* Whether this call is interrupted; if it is not, it is cut. */
static int is_interrupted(int fd, size_t *count) {
    static atomic_int calls;
    if (fd < STANDARD_STREAMS) return 0;
    if (atomic_fetch_add(&calls, 1) % EACH == 0) {
        interrupted++;
        errno = EINTR;
        return 1;
    }
    if (*count > MOST) {
        cut++;
        *count = MOST;
    }
    return 0;
}

ssize_t read(int fd, void *to, size_t count) {
    ssize_t (*real)(int, void *, size_t) = dlsym(RTLD_NEXT, "read");
    return is_interrupted(fd, &count) ? -1 : real(fd, to, count);
}

ssize_t write(int fd, const void *from, size_t count) {
    ssize_t (*real)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
    return is_interrupted(fd, &count) ? -1 : real(fd, from, count);
}

ssize_t pread64(int fd, void *to, size_t count, off_t at) {
    ssize_t (*real)(int, void *, size_t, off_t) = dlsym(RTLD_NEXT, "pread64");
    return is_interrupted(fd, &count) ? -1 : real(fd, to, count, at);
}

ssize_t pwrite64(int fd, const void *from, size_t count, off_t at) {
    ssize_t (*real)(int, const void *, size_t, off_t) = dlsym(RTLD_NEXT, "pwrite64");
    return is_interrupted(fd, &count) ? -1 : real(fd, from, count, at);
}

__attribute__((destructor)) static void tell(void) {
    fprintf(stderr, "%d cut, %d interrupted\n", cut, interrupted);
}
