/* File systems that lack something, without rights to mount any.
 *
 * ARC_TEST_LACKS=fchmod=95,linkat=1: system calls that fail with that number, whoever makes them (a seccomp filter).
 * ARC_TEST_READ_ONLY=/folder: opening for writing below it fails, as on a mount that can only be read.
 * ARC_TEST_CLOSED=/folder: nothing new can be made right in it, as in one that is somebody else's; its files can be written.
 * ARC_TEST_NO_SYNC=/folder: nothing below it can be synced.
 * ARC_TEST_MOUNTED=/folder/file: renaming over that file fails, as over a single file that is mounted. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct { const char *name; int number; } calls[] = {
#ifdef SYS_chmod
    {"chmod", SYS_chmod},
#endif
#ifdef SYS_chown
    {"chown", SYS_chown},
#endif
#ifdef SYS_link
    {"link", SYS_link},
#endif
    {"fchmod", SYS_fchmod}, {"fchmodat", SYS_fchmodat}, {"fchown", SYS_fchown}, {"fchownat", SYS_fchownat},
    {"utimensat", SYS_utimensat}, {"linkat", SYS_linkat}, {"flock", SYS_flock}, {"syncfs", SYS_syncfs},
    {"fsync", SYS_fsync}, {"fdatasync", SYS_fdatasync}, {"renameat2", SYS_renameat2}, {"openat2", 437},
    {"statfs", SYS_statfs}, {"fstatfs", SYS_fstatfs}, {"statx", SYS_statx}, {"copy_file_range", SYS_copy_file_range},
    {"fallocate", SYS_fallocate}, {"fadvise64", SYS_fadvise64},
};

static void die(const char *what) {
    fprintf(stderr, "disk.c: %s\n", what);
    _exit(111);
}

__attribute__((constructor)) static void lack(void) {
    char *text = getenv("ARC_TEST_LACKS");
    if (!text || !*text)
        return;
    struct sock_filter filter[128];
    unsigned short count = 0;
    filter[count++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    text = strdup(text);
    for (char *item = strtok(text, ","); item; item = strtok(NULL, ",")) {
        char *sign = strchr(item, '=');
        int number = -1;
        if (!sign || count > 120)
            die("ARC_TEST_LACKS is call=errno,…");
        *sign = 0;
        for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
            if (!strcmp(calls[i].name, item))
                number = calls[i].number;
        if (number < 0)
            die(item);
        filter[count++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 1);
        filter[count++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)atoi(sign + 1));
    }
    filter[count++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {.len = count, .filter = filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        die("no filter of system calls can be set here");
}

static int is_below(const char *folder, const char *path) {
    char whole[8192];
    if (!folder || !path)
        return 0;
    if (path[0] != '/') {
        if (!getcwd(whole, 4096))
            return 0;
        strcat(whole, "/");
        strncat(whole, path, 4000);
    } else {
        strncpy(whole, path, 8000)[8000] = 0;
    }
    char *real = realpath(whole, NULL);
    if (!real) {
        char *slash = strrchr(whole, '/');
        if (!slash || slash == whole)
            return 0;
        *slash = 0;
        real = realpath(whole, NULL);
    }
    int below = real && !strncmp(real, folder, strlen(folder)) &&
                (real[strlen(folder)] == '/' || !real[strlen(folder)]);
    free(real);
    return below;
}

static int refuses(const char *path, int flags) {
    int writes = (flags & O_ACCMODE) != O_RDONLY || flags & (O_CREAT | O_TRUNC);
    if (writes && is_below(getenv("ARC_TEST_READ_ONLY"), path))
        return EROFS;
    if (flags & O_CREAT && access(path, F_OK) && is_below(getenv("ARC_TEST_CLOSED"), path))
        return EACCES;
    return 0;
}

#define OPEN(name)                                                        \
    int name(const char *path, int flags, ...) {                          \
        mode_t mode = 0;                                                  \
        if (flags & (O_CREAT | O_TMPFILE)) {                              \
            va_list rest;                                                 \
            va_start(rest, flags);                                        \
            mode = va_arg(rest, mode_t);                                  \
            va_end(rest);                                                 \
        }                                                                 \
        int refused = refuses(path, flags);                               \
        if (refused) {                                                    \
            errno = refused;                                              \
            return -1;                                                    \
        }                                                                 \
        return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);     \
    }
OPEN(open)
OPEN(open64)

int fsync(int file) {
    char link[64], path[8192];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length > 0) {
        path[length] = 0;
        if (is_below(getenv("ARC_TEST_NO_SYNC"), path)) {
            errno = EINVAL;
            return -1;
        }
    }
    return (int)syscall(SYS_fsync, file);
}

int rename(const char *from, const char *to) {
    const char *mounted = getenv("ARC_TEST_MOUNTED");
    char *real = realpath(to, NULL);
    int is_mounted = mounted && real && !strcmp(real, mounted);
    free(real);
    if (is_mounted) {
        errno = EBUSY;
        return -1;
    }
#ifdef SYS_renameat
    return (int)syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
#else
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
#endif
}
