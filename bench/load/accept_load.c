/* Load for a server that accepts:  accept_load PORT CONCURRENCY
 *
 * Keeps CONCURRENCY conversations going, each on a connection of its own: connect, send 64 bytes,
 * have them back, say goodbye, see the server close, and begin again. Obeys lines on its standard
 * input until that ends: "run MILLISECONDS", answered by one line, times in nanoseconds.
 *
 * It closes first, so what lingers in TIME_WAIT lingers on its side: 200 source addresses keep that
 * from using up the ports. */
#include "common.h"

#define MESSAGE_BYTES 64
#define SOURCES 200
static char message[MESSAGE_BYTES], scratch[4096];
static int port, poller, source, under_way;
static int64_t done;

struct conversation { int fd, received; };

static void start(struct conversation *c) {
    c->fd = connect_from(source = (source + 1) % SOURCES, port);
    c->received = 0;
    set_nonblocking(c->fd);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event)) fail("epoll_ctl");
    if (send(c->fd, message, MESSAGE_BYTES, MSG_NOSIGNAL) != MESSAGE_BYTES) fail("send");
    under_way++;
}

/* Returns 1 when the server has closed. */
static int go_on(struct conversation *c) {
    ssize_t got = recv(c->fd, scratch, sizeof scratch, 0);
    if (got < 0 && errno == EAGAIN) return 0;
    if (got < 0) fail("recv");
    if (got == 0 && c->received == MESSAGE_BYTES) return 1;
    if (got == 0) { errno = ECONNRESET; fail("the server closed too early"); }
    if (memcmp(scratch, message + c->received, (size_t)got)) { errno = EPROTO; fail("a wrong echo"); }
    c->received += (int)got;
    if (c->received == MESSAGE_BYTES) shutdown(c->fd, SHUT_WR);
    return 0;
}

static void run(struct conversation *all, int count, int64_t duration) {
    struct epoll_event events[512];
    struct cpu_time cpu = cpu_time();
    int64_t begin = now(), end = begin + duration;
    done = 0;
    for (int i = 0; i < count; i++) start(&all[i]);
    while (under_way > 0) {
        int ready = epoll_wait(poller, events, 512, 5000);
        if (ready == 0) { errno = ETIMEDOUT; fail("the server does not go on"); }
        for (int i = 0; i < ready; i++) {
            struct conversation *c = events[i].data.ptr;
            if (!go_on(c)) continue;
            close(c->fd);
            under_way--, done++;
            if (now() < end) start(c);
        }
    }
    struct cpu_time used = cpu_time();
    printf("messages=%lld wall=%lld cpu=%lld queued=%lld\n", (long long)done, (long long)(now() - begin),
           (long long)(used.ran - cpu.ran), (long long)(used.queued - cpu.queued));
    fflush(stdout);
}

int main(int argc, char **argv) {
    if (argc != 3) { fprintf(stderr, "usage: accept_load PORT CONCURRENCY\n"); return 2; }
    port = atoi(argv[1]);
    int count = atoi(argv[2]);
    struct conversation *all = calloc((size_t)count, sizeof *all);
    memset(message, 'm', sizeof message - 1);
    message[MESSAGE_BYTES - 1] = '\n';
    poller = epoll_create1(0);
    puts("ready");
    fflush(stdout);
    for (char line[128]; fgets(line, sizeof line, stdin);) {
        long long milliseconds;
        if (sscanf(line, "run %lld", &milliseconds) == 1) run(all, count, milliseconds * 1000000);
    }
    return 0;
}
