// What a guest sends and hears in the tests of isolation, made static because a guest has no libraries.
//
//   probe send LINK HEX        one Ethernet frame, as it is, nothing checked
//   probe hear PORT SECONDS    says "hears", then a line for each datagram: SOURCE PAYLOAD
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <linux/if_packet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

static int send_frame(const char *link, const char *hex) {
    unsigned char frame[2048];
    size_t length = strlen(hex) / 2;
    if (length > sizeof frame) return 2;
    for (size_t i = 0; i < length; i++)
        if (sscanf(hex + 2 * i, "%2hhx", &frame[i]) != 1) return 2;
    int descriptor = socket(AF_PACKET, SOCK_RAW, 0);
    struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(link), .sll_halen = 6};
    memcpy(to.sll_addr, frame, 6);
    if (sendto(descriptor, frame, length, 0, (struct sockaddr *)&to, sizeof to) != (ssize_t)length) {
        perror("sendto");
        return 1;
    }
    return 0;
}

static int hear(int port, int seconds) {
    int descriptor = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    if (bind(descriptor, (struct sockaddr *)&here, sizeof here) != 0) {
        perror("bind");
        return 1;
    }
    struct timeval wait = {.tv_sec = 1};
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    printf("hears\n");
    fflush(stdout);
    for (time_t end = time(NULL) + seconds; time(NULL) < end;) {
        char payload[1500];
        struct sockaddr_in from;
        socklen_t size = sizeof from;
        ssize_t length = recvfrom(descriptor, payload, sizeof payload, 0, (struct sockaddr *)&from, &size);
        if (length < 0) continue;
        printf("%s %.*s\n", inet_ntoa(from.sin_addr), (int)length, payload);
        fflush(stdout);
    }
    return 0;
}

int main(int count, char **words) {
    if (count == 4 && !strcmp(words[1], "send")) return send_frame(words[2], words[3]);
    if (count == 4 && !strcmp(words[1], "hear")) return hear(atoi(words[2]), atoi(words[3]));
    return 2;
}
