// Starting and watching child processes, with everything between fork and exec in C: in a program
// with threads, the new process may only make system calls until it becomes the other program.
#ifndef KARRI_SPAWN_H
#define KARRI_SPAWN_H

#include <stddef.h>
#include <sys/types.h>

/// A resource limit (setrlimit(2)); soft and hard become `value`.
struct karri_limit {
    int resource;
    unsigned long long value;
};

/// What a child is given. Arrays of strings end with NULL.
struct karri_spawn_request {
    const char *program;
    char *const *arguments;
    char *const *environment;
    /// The working folder, or NULL for the caller's.
    const char *folder;
    /// Becomes the child's descriptors 0, 1, 2, …; all others are closed. At most 64.
    const int *descriptors;
    size_t descriptor_count;
    /// Open `cgroup.procs` files that the child writes itself into while it still may.
    const int *control_groups;
    size_t control_group_count;
    const struct karri_limit *limits;
    size_t limit_count;
    /// Nonzero: the child gives up its user and groups for these.
    int changes_user;
    uid_t uid;
    gid_t gid;
    const gid_t *groups;
    size_t group_count;
    /// Nonzero: neither set-uid programs nor file capabilities give the child anything.
    int no_new_privileges;
    /// Sent to the child when the thread that spawned it ends; 0 for none.
    int parent_death_signal;
    mode_t mask;
};

/// Starts a child in a session of its own, with default signals and none blocked.
///
/// Returns its pid, or -1 with errno set and `*stage` naming the call that failed, which is a
/// constant string; no child is left then.
pid_t karri_spawn(const struct karri_spawn_request *request, const char **stage);

/// A descriptor for a process (pidfd_open(2)), close-on-exec.
int karri_process_descriptor(pid_t pid);

/// Sends a signal to exactly the process that the descriptor was opened for.
int karri_process_signal(int descriptor, int signal);

/// The pid of some ended child that nobody has waited for, without taking its status; 0 if there
/// is none.
pid_t karri_ended_child(void);

/// From now on these signals (at most 8) write their number as a byte into a pipe, whose reading
/// end is returned (non-blocking, close-on-exec). One such pipe a process: a second call fails
/// with EBUSY.
int karri_signals_to_pipe(const int *signals, size_t count);

/// Lets the calling thread reach files with the rights of this user alone, and create them as
/// its own (setfsuid(2)). Supplementary groups are left. Root returns with (0, 0).
int karri_reach_files_as(uid_t uid, gid_t gid);

/// 1 if the kernel's clock is not disciplined by any time source (adjtimex(2), STA_UNSYNC), 0 if
/// it is, -1 where that cannot be asked.
int karri_clock_is_adrift(void);

#endif
