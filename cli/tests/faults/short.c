/* Reads and writes of files that come to a few bytes at a time, and are interrupted in between, as a system may have them.
 * With SHORT_CALL=N the Nth alone comes to half of what it is given. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

enum { MOST = 999, STANDARD_STREAMS = 3, EACH = 3 };

static atomic_int calls, cut, interrupted;

static void cut_to(size_t *count, size_t most) {
    if (*count <= most) return;
    cut++;
    *count = most;
}

/* Whether this call is interrupted; if it is not, it is cut. */
static int is_interrupted(int fd, size_t *count) {
    if (fd < STANDARD_STREAMS) return 0;
    int call = ++calls;
    const char *only = getenv("SHORT_CALL");
    if (only) {
        if (call == atoi(only)) cut_to(count, (*count + 1) / 2);
        return 0;
    }
    if (call % EACH == 0) {
        interrupted++;
        errno = EINTR;
        return 1;
    }
    cut_to(count, MOST);
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
    fprintf(stderr, "%d calls, %d cut, %d interrupted\n", calls, cut, interrupted);
}
