#define _GNU_SOURCE
#include "include/CLinux.h"

#include <errno.h>
#include <fcntl.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define DESCRIPTORS_MAX 253

int karri_enter_network_namespace(int fd) { return setns(fd, CLONE_NEWNET); }

const char *karri_program_name(void) { return program_invocation_name; }

void karri_trim_heap(void) {
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

int karri_become_subreaper(void) { return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); }

ssize_t karri_read_cached(int fd, void *bytes, size_t count, off_t place) {
    struct iovec part = {.iov_base = bytes, .iov_len = count};
    return preadv2(fd, &part, 1, place, RWF_NOWAIT);
}

int karri_reserve(int fd, off_t length) { return fallocate(fd, 0, 0, length); }

int karri_set_past_cache(int fd, int is_past) {
    const int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, is_past ? flags | O_DIRECT : flags & ~O_DIRECT) < 0) return -1;
    return (flags & O_DIRECT) != 0;
}

ssize_t karri_send_descriptors(int socket, const void *bytes, size_t count, const int *fds, size_t fd_count) {
    if (fd_count > DESCRIPTORS_MAX) { errno = EINVAL; return -1; }
    char control[CMSG_SPACE(sizeof(int) * DESCRIPTORS_MAX)];
    memset(control, 0, sizeof control);
    struct iovec part = {.iov_base = (void *)bytes, .iov_len = count};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd_count > 0) {
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
        memcpy(CMSG_DATA(header), fds, sizeof(int) * fd_count);
    }
    ssize_t sent;
    do { sent = sendmsg(socket, &message, MSG_NOSIGNAL); } while (sent < 0 && errno == EINTR);
    return sent;
}

ssize_t karri_receive_descriptors(int socket, void *bytes, size_t room, int *fds, size_t *fd_count) {
    char control[CMSG_SPACE(sizeof(int) * DESCRIPTORS_MAX)];
    struct iovec part = {.iov_base = bytes, .iov_len = room};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t received;
    do { received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC); } while (received < 0 && errno == EINTR);
    size_t kept = 0;
    int overflow = received >= 0 && (message.msg_flags & MSG_CTRUNC) != 0;
    if (received >= 0) {
        for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
            if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
            size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            for (size_t i = 0; i < count; i++) {
                int fd;
                memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
                if (kept < *fd_count) fds[kept++] = fd;
                else { close(fd); overflow = 1; }
            }
        }
    }
    if (overflow) {
        for (size_t i = 0; i < kept; i++) close(fds[i]);
        *fd_count = 0;
        errno = EMSGSIZE;
        return -1;
    }
    *fd_count = kept;
    return received;
}

long karri_peer_uid(int socket) {
    struct ucred credentials;
    socklen_t length = sizeof credentials;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) return -1;
    return (long)credentials.uid;
}

ssize_t karri_send_datagram(
    int socket, const void *bytes, size_t count, uint32_t to_address, uint16_t to_port, uint32_t from_address, int interface) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(to_port), .sin_addr.s_addr = htonl(to_address)};
    struct in_pktinfo info = {.ipi_ifindex = interface, .ipi_spec_dst.s_addr = htonl(from_address)};
    char control[CMSG_SPACE(sizeof info)];
    memset(control, 0, sizeof control);
    struct iovec part = {.iov_base = (void *)bytes, .iov_len = count};
    struct msghdr message = {
        .msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &part, .msg_iovlen = 1,
        .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = IPPROTO_IP;
    header->cmsg_type = IP_PKTINFO;
    header->cmsg_len = CMSG_LEN(sizeof info);
    memcpy(CMSG_DATA(header), &info, sizeof info);
    ssize_t sent;
    do { sent = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT); } while (sent < 0 && errno == EINTR);
    return sent;
}
