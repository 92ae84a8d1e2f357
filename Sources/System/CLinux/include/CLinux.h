// Calls of Linux that Swift cannot import: variadic functions, macros, and control messages.
// Each is a thin wrapper that returns what the call returns, with errno set.
#ifndef KARRI_CLINUX_H
#define KARRI_CLINUX_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "Confinement.h"
#include "Spawn.h"

/// Enters the network namespace behind `fd` (setns(2), CLONE_NEWNET) on the calling thread.
int karri_enter_network_namespace(int fd);

/// The name under which this process was started, which Swift looks for in /proc.
const char *karri_program_name(void);

/// Gives the kernel back what all heaps of the allocator have free (malloc_trim(3)); nothing where it cannot.
void karri_trim_heap(void);

/// Makes the calling process adopt orphaned descendants (prctl(2), PR_SET_CHILD_SUBREAPER).
int karri_become_subreaper(void);

/// Sends `count` bytes (at least one) and `fd_count` (at most 253) descriptors over a Unix socket.
ssize_t karri_send_descriptors(int socket, const void *bytes, size_t count, const int *fds, size_t fd_count);

/// Receives bytes and descriptors; `*fd_count` holds the room on entry and the number on return.
/// Descriptors are close-on-exec. A message whose descriptors were cut off fails with EMSGSIZE.
ssize_t karri_receive_descriptors(int socket, void *bytes, size_t room, int *fds, size_t *fd_count);

/// Reads from a place of a file what of it is in memory, and waits for no disk (preadv2(2), RWF_NOWAIT): fewer
/// bytes, or -1, where it is not.
ssize_t karri_read_cached(int fd, void *bytes, size_t count, off_t place);

/// Reserves room for a file, which has that length then (fallocate(2)).
int karri_reserve(int fd, off_t length);

/// Has reads and writes of a file go past the page cache (O_DIRECT), or through it.
/// Returns whether they went past it before, or -1 where the file system cannot do so.
int karri_set_past_cache(int fd, int is_past);

/// The uid of the process at the other end of a Unix socket (SO_PEERCRED), or -1.
long karri_peer_uid(int socket);

/// Sends a UDP datagram without waiting, from an address and by an interface of the caller's choice
/// (ip(7), IP_PKTINFO). Addresses and port in host byte order; 0 leaves the choice to the routes.
ssize_t karri_send_datagram(
    int socket, const void *bytes, size_t count, uint32_t to_address, uint16_t to_port, uint32_t from_address, int interface);

#endif
