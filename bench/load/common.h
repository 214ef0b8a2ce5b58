/* What the load programs share: clocks, their own CPU time, connecting to 127.0.0.1, a histogram. */
#ifndef COOP_BENCH_COMMON_H
#define COOP_BENCH_COMMON_H

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL

static inline void fail(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static inline int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

/* Nanoseconds this process has run, and has stood in the run queue while another had the core. */
struct cpu_time { int64_t ran, queued; };

static inline struct cpu_time cpu_time(void) {
    struct cpu_time cpu = {0, 0};
    FILE *file = fopen("/proc/self/schedstat", "r");
    if (!file) fail("/proc/self/schedstat");
    long long ran, queued;
    if (fscanf(file, "%lld %lld", &ran, &queued) == 2) cpu = (struct cpu_time){ran, queued};
    fclose(file);
    return cpu;
}

/* Connect from 127.0.0.(1 + source): one source address has only some 28,000 ports. A server that
 * leaves a blocking call waiting for five seconds has failed. */
static inline int connect_from(int source, int port) {
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    if (fd < 0) fail("socket");
    struct timeval patience = {5, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    struct sockaddr_in here = {.sin_family = AF_INET};
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)source);
    if (bind(fd, (struct sockaddr *)&here, sizeof here)) fail("bind");
    struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, (struct sockaddr *)&there, sizeof there)) fail("connect");
    return fd;
}

static inline void set_nonblocking(int fd) {
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0) fail("fcntl");
}

/* Latencies in buckets that are 1/32 of a power of two wide, so at most 3 % off. */
#define BUCKETS 2048
struct histogram { int64_t counts[BUCKETS], total; };

static inline int bucket_of(int64_t value) {
    if (value < 64) return value < 0 ? 0 : (int)value;
    int shift = 58 - __builtin_clzll((unsigned long long)value);
    return 32 * shift + (int)(value >> shift);
}

static inline int64_t bucket_floor(int bucket) {
    if (bucket < 64) return bucket;
    int shift = bucket / 32 - 1;
    return (int64_t)(bucket - 32 * shift) << shift;
}

static inline void record(struct histogram *histogram, int64_t value) {
    histogram->counts[bucket_of(value)]++;
    histogram->total++;
}

static inline int64_t percentile(const struct histogram *histogram, double share) {
    int64_t left = (int64_t)(share * (double)histogram->total);
    for (int bucket = 0; bucket < BUCKETS; bucket++)
        if ((left -= histogram->counts[bucket]) < 0) return bucket_floor(bucket);
    return 0;
}

#endif
