// After clone(2) the child shares nothing with its parent but a copy of memory in which other
// threads may have held locks, so it makes system calls only: no malloc, no stdio.
#define _GNU_SOURCE
#include "include/Confinement.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define THIS_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define THIS_ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "no system call filter for this architecture"
#endif

#define CHILD_FAILED 125
#define PATH_ROOM 4096
// System calls of the x32 ABI pass as x86-64 with this bit set.
#define X32_BIT 0x40000000u

static void fail(const char *step) {
    const char *reason = strerrordesc_np(errno);
    if (!reason) reason = "unknown error";
    (void)!write(2, "confinement: ", 13);
    (void)!write(2, step, strlen(step));
    (void)!write(2, ": ", 2);
    (void)!write(2, reason, strlen(reason));
    (void)!write(2, "\n", 1);
    _exit(CHILD_FAILED);
}

static void check(int result, const char *step) {
    if (result != 0) fail(step);
}

// Joins root and path into room; both come from the parent and are bounded.
static const char *join(char *room, const char *root, const char *path) {
    size_t first = strlen(root), second = strlen(path);
    if (first + second + 1 > PATH_ROOM) { errno = ENAMETOOLONG; fail("path"); }
    memcpy(room, root, first);
    memcpy(room + first, path, second + 1);
    return room;
}

static void show(const char *root, const struct karri_shown *shown) {
    char room[PATH_ROOM];
    const char *target = join(room, root, shown->inside);
    struct stat status;
    check(stat(shown->path, &status), shown->path);
    if (S_ISDIR(status.st_mode)) {
        check(mkdir(target, 0755), "mkdir");
    } else {
        int file = open(target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (file < 0) fail("make mount point");
        close(file);
    }
    check(mount(shown->path, target, NULL, MS_BIND, NULL), "bind");
    unsigned long flags = MS_BIND | MS_REMOUNT | MS_NOSUID | MS_NODEV | (shown->is_writable ? 0 : MS_RDONLY);
    check(mount(NULL, target, NULL, flags, NULL), "bind read-only");
}

static void enter_root(const struct karri_confinement *confinement) {
    char room[PATH_ROOM];
    check(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "make mounts private");
    check(mount("karri", confinement->root, "tmpfs", MS_NOSUID | MS_NODEV, "size=64k,mode=755"), "mount root");
    const struct karri_shown programs = {.path = "/usr", .inside = "/usr"};
    show(confinement->root, &programs);
    const char *const links[][2] = {{"usr/bin", "/bin"}, {"usr/lib", "/lib"}, {"usr/lib64", "/lib64"}};
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        check(symlink(links[i][0], join(room, confinement->root, links[i][1])), "symlink");
    }
    for (size_t i = 0; i < confinement->shown_count; i++) show(confinement->root, &confinement->shown[i]);
    check(chdir(confinement->root), "enter root");
    check((int)syscall(SYS_pivot_root, ".", "."), "pivot_root");
    check(umount2(".", MNT_DETACH), "leave the host's root");
    check(mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV, "size=64k,mode=755"), "make root read-only");
    check(chdir("/"), "chdir");
}

static void limit(int resource, uint64_t value, const char *step) {
    struct rlimit bounds = {.rlim_cur = value, .rlim_max = value};
    check(setrlimit(resource, &bounds), step);
}

static void drop_privileges(const struct karri_confinement *confinement) {
    for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++) {
        check(prctl(PR_CAPBSET_DROP, capability, 0, 0, 0), "drop capability");
    }
    check(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), "clear ambient capabilities");
    // The calls themselves: glibc's wrappers would signal threads that this copy does not have.
    check((int)syscall(SYS_setgroups, 0, NULL), "setgroups");
    check((int)syscall(SYS_setresgid, confinement->group, confinement->group, confinement->group), "setresgid");
    check((int)syscall(SYS_setresuid, confinement->user, confinement->user, confinement->user), "setresuid");
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2];
    memset(none, 0, sizeof none);
    check((int)syscall(SYS_capset, &header, none), "capset");
    check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
    check(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0), "undumpable");
}

#define DENY(call, error) \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, 1), \
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error))

// What a converter of files never needs, and exploits of a kernel often do.
static void filter_calls(void) {
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, THIS_ARCHITECTURE, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, X32_BIT, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        DENY(socket, EPERM), DENY(socketpair, EPERM), DENY(connect, EPERM), DENY(ptrace, EPERM),
        DENY(process_vm_readv, EPERM), DENY(process_vm_writev, EPERM), DENY(pidfd_getfd, EPERM),
        DENY(mount, EPERM), DENY(umount2, EPERM), DENY(pivot_root, EPERM), DENY(chroot, EPERM),
        DENY(fsopen, EPERM), DENY(open_tree, EPERM), DENY(move_mount, EPERM), DENY(mount_setattr, EPERM),
        DENY(unshare, EPERM), DENY(setns, EPERM), DENY(bpf, EPERM), DENY(perf_event_open, EPERM),
        DENY(userfaultfd, EPERM), DENY(keyctl, EPERM), DENY(add_key, EPERM), DENY(request_key, EPERM),
        DENY(init_module, EPERM), DENY(finit_module, EPERM), DENY(kexec_load, EPERM),
        DENY(io_uring_setup, ENOSYS), DENY(name_to_handle_at, EPERM), DENY(open_by_handle_at, EPERM),
        // The flags of clone3 cannot be seen from here; the C library then falls back to clone.
        DENY(clone3, ENOSYS),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_NEWUSER, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof rules / sizeof *rules, .filter = rules};
    check(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0), "filter system calls");
}

static void run(const struct karri_confinement *confinement, char *const argv[], int input, int output, int error) {
    // Above every number that dup2 is about to replace.
    int moved[3] = {fcntl(input, F_DUPFD_CLOEXEC, 10), fcntl(output, F_DUPFD_CLOEXEC, 10), fcntl(error, F_DUPFD_CLOEXEC, 10)};
    if (dup2(moved[2], 2) < 0 || dup2(moved[0], 0) < 0 || dup2(moved[1], 1) < 0) _exit(CHILD_FAILED);
    check((int)syscall(SYS_close_range, 3u, ~0u, 0u), "close descriptors");

    struct sigaction standard;
    memset(&standard, 0, sizeof standard);
    standard.sa_handler = SIG_DFL;
    for (int number = 1; number < 32; number++) sigaction(number, &standard, NULL);
    sigset_t none;
    sigemptyset(&none);
    check(sigprocmask(SIG_SETMASK, &none, NULL), "sigprocmask");
    umask(077);

    enter_root(confinement);
    limit(RLIMIT_CORE, 0, "limit core");
    limit(RLIMIT_CPU, confinement->processor_seconds, "limit processor time");
    limit(RLIMIT_AS, confinement->address_space, "limit memory");
    limit(RLIMIT_FSIZE, confinement->file_size, "limit file size");
    limit(RLIMIT_NOFILE, confinement->descriptors, "limit descriptors");
    limit(RLIMIT_NPROC, confinement->processes, "limit processes");
    drop_privileges(confinement);
    // After the change of user, which clears it.
    check(prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0), "die with the parent");
    // A parent that died before this has closed its end of the pipe already.
    struct pollfd reader = {.fd = 2};
    if (poll(&reader, 1, 0) > 0 && (reader.revents & POLLERR)) _exit(CHILD_FAILED);
    filter_calls();
    char *const environment[] = {"PATH=/usr/bin", "LC_ALL=C.UTF-8", NULL};
    execve(argv[0], argv, environment);
    fail(argv[0]);
}

pid_t karri_spawn_confined(const struct karri_confinement *confinement, char *const argv[], int input, int output, int error) {
    // Signals wait until the child has its own handlers, so that none of the parent's runs in it.
    sigset_t all, before;
    sigfillset(&all);
    if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0) return -1;
    unsigned long flags = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | SIGCHLD;
    // With no stack given, clone(2) behaves as fork(2) and the child goes on with a copy of this one.
    long child = syscall(SYS_clone, flags, NULL, NULL, NULL, NULL);
    if (child == 0) {
        run(confinement, argv, input, output, error);
        _exit(CHILD_FAILED);
    }
    int reason = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = reason;
    return (pid_t)child;
}

int karri_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC); }
