// A child process that may read a tenant's bytes: it sees a few files, no network, no other
// process, and runs as a user of its own with hard limits.
#ifndef KARRI_CONFINEMENT_H
#define KARRI_CONFINEMENT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/// A file or folder of the host that the child sees.
struct karri_shown {
    const char *path;    // on the host; followed if it is a symbolic link
    const char *inside;  // where the child sees it: "/name" in the root folder
    int is_writable;     // else it is read-only
};

/// What a confined child is and may use. Sizes in bytes; each limit is hard.
struct karri_confinement {
    const char *root;  // an existing folder, on which the child's own root is mounted (only the child sees that)
    const struct karri_shown *shown;
    size_t shown_count;
    uid_t user;
    gid_t group;
    uint64_t processor_seconds;
    uint64_t address_space;
    uint64_t file_size;
    uint64_t descriptors;
    uint64_t processes;  // threads too, of all processes of the user together
};

/// Starts `argv[0]` (a path inside) with new mount, network, process, IPC and host name
/// namespaces, no capability, no new privileges and a filter of system calls. /usr is visible and
/// read-only. The child dies with the thread that called. Before the program runs, a failure is
/// written to `error`, a pipe that the caller reads, as one line and the child exits with 125.
///
/// Returns the child's pid, or -1 with errno set. The caller needs CAP_SYS_ADMIN.
pid_t karri_spawn_confined(const struct karri_confinement *confinement, char *const argv[], int input, int output, int error);

/// A pipe whose ends (to read, to write) are close-on-exec from the first instant (pipe2(2)), so
/// that a process which another thread starts meanwhile does not keep it open.
int karri_pipe(int ends[2]);

#endif
