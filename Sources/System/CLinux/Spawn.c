#define _GNU_SOURCE
#include "include/CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <unistd.h>

#define DESCRIPTORS_MAX 64
#define SIGNALS_MAX 8

static const char *const stages[] = {
    "fork",         "open a descriptor", "join the control group",  "set a limit", "enter the working folder",
    "change groups", "change the user",   "give up new privileges", "run",
};
enum stage { FORK, DESCRIPTORS, CONTROL_GROUP, LIMIT, FOLDER, GROUPS, USER, PRIVILEGES, RUN };

struct failure {
    int stage;
    int error;
};

// Moves the descriptors to 0, 1, 2, … over copies above the last target, since a source may lie
// where another is to go. The report's pipe is moved up as well; the rest closes with exec.
static int arrange_descriptors(const struct karri_spawn_request *request, int *report) {
    int copies[DESCRIPTORS_MAX];
    int count = (int)request->descriptor_count;
    if ((*report = fcntl(*report, F_DUPFD_CLOEXEC, count)) < 0) return -1;
    for (int i = 0; i < count; i++)
        if ((copies[i] = fcntl(request->descriptors[i], F_DUPFD_CLOEXEC, count)) < 0) return -1;
    for (int i = 0; i < count; i++)
        if (dup2(copies[i], i) < 0) return -1;
    return close_range((unsigned)count, ~0U, CLOSE_RANGE_CLOEXEC);
}

// System calls without glibc's broadcast to threads, of which the child has one.
static int become_user(const struct karri_spawn_request *request, int *stage) {
    *stage = GROUPS;
    if (syscall(SYS_setgroups, request->group_count, request->groups) != 0) return -1;
    if (syscall(SYS_setresgid, request->gid, request->gid, request->gid) != 0) return -1;
    *stage = USER;
    return (int)syscall(SYS_setresuid, request->uid, request->uid, request->uid);
}

static void default_signals(void) {
    struct sigaction standard = {.sa_handler = SIG_DFL};
    for (int number = 1; number < NSIG; number++) sigaction(number, &standard, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void become_child(const struct karri_spawn_request *request, int report, pid_t parent) {
    int stage = CONTROL_GROUP;
    setsid();
    default_signals();
    umask(request->mask);
    for (size_t i = 0; i < request->control_group_count; i++)
        if (write(request->control_groups[i], "0", 1) != 1) goto failed;
    stage = DESCRIPTORS;
    if (arrange_descriptors(request, &report) != 0) goto failed;
    stage = LIMIT;
    for (size_t i = 0; i < request->limit_count; i++) {
        struct rlimit limit = {.rlim_cur = request->limits[i].value, .rlim_max = request->limits[i].value};
        if (setrlimit(request->limits[i].resource, &limit) != 0) goto failed;
    }
    if (request->changes_user && become_user(request, &stage) != 0) goto failed;
    stage = FOLDER;
    if (request->folder && chdir(request->folder) != 0) goto failed;
    stage = PRIVILEGES;
    if (request->no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) goto failed;
    // After the change of user, which would clear it; a parent that died before is seen here.
    if (request->parent_death_signal) {
        if (prctl(PR_SET_PDEATHSIG, request->parent_death_signal, 0, 0, 0) != 0) goto failed;
        if (getppid() != parent) _exit(127);
    }
    stage = RUN;
    execve(request->program, request->arguments, request->environment);
failed:;
    struct failure failure = {.stage = stage, .error = errno};
    ssize_t written = write(report, &failure, sizeof failure);
    _exit(written == sizeof failure ? 127 : 126);
}

pid_t karri_spawn(const struct karri_spawn_request *request, const char **stage) {
    *stage = stages[FORK];
    if (request->descriptor_count > DESCRIPTORS_MAX) { errno = EINVAL; return -1; }
    int report[2];
    if (pipe2(report, O_CLOEXEC) != 0) return -1;
    // No handler of the parent's may run in the child before its handlers are reset.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t parent = getpid();
    pid_t child = fork();
    if (child == 0) become_child(request, report[1], parent);
    int error = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(report[1]);
    if (child < 0) { close(report[0]); errno = error; return -1; }

    struct failure failure;
    ssize_t count;
    do { count = read(report[0], &failure, sizeof failure); } while (count < 0 && errno == EINTR);
    close(report[0]);
    if (count != sizeof failure) return child;
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {}
    *stage = stages[failure.stage];
    errno = failure.error;
    return -1;
}

int karri_process_descriptor(pid_t pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }

int karri_process_signal(int descriptor, int signal) {
    return (int)syscall(SYS_pidfd_send_signal, descriptor, signal, NULL, 0);
}

pid_t karri_ended_child(void) {
    siginfo_t ended = {0};
    if (waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) != 0) return 0;
    return ended.si_pid;
}

// Written once, before the first handler is installed; handlers only read it.
static volatile int signal_pipe = -1;

static void write_signal(int number) {
    int error = errno;
    unsigned char byte = (unsigned char)number;
    ssize_t ignored = write(signal_pipe, &byte, 1);
    (void)ignored;
    errno = error;
}

int karri_signals_to_pipe(const int *signals, size_t count) {
    if (count > SIGNALS_MAX) { errno = EINVAL; return -1; }
    if (signal_pipe >= 0) { errno = EBUSY; return -1; }
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return -1;
    signal_pipe = ends[1];
    struct sigaction action = {.sa_handler = write_signal, .sa_flags = SA_RESTART};
    for (size_t i = 0; i < count; i++)
        if (sigaction(signals[i], &action, NULL) != 0) return -1;
    return ends[0];
}

int karri_reach_files_as(uid_t uid, gid_t gid) {
    // The group first: once the user is gone, so is the right to change it. Coming back, the same
    // order holds because the thread's effective user is root throughout.
    setfsgid(gid);
    setfsuid(uid);
    if (setfsuid((uid_t)-1) == (int)uid && setfsgid((gid_t)-1) == (int)gid) return 0;
    errno = EPERM;
    return -1;
}

int karri_clock_is_adrift(void) {
    struct timex clock = {0};
    if (adjtimex(&clock) < 0) return -1;
    return (clock.status & STA_UNSYNC) != 0;
}
