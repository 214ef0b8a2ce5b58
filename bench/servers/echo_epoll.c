/* The limit for echo: one epoll loop in C.  echo_epoll PORT
 * Level-triggered, one recv and one send for each event; what does not go out at once is kept. */
#include "../load/common.h"

static char scratch[65536];
static int poller;

struct connection { int fd; char *unsent; size_t start, end; };

static void watch(struct connection *c, int change, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(poller, change, c->fd, &event)) fail("epoll_ctl");
}

static void accept_one(int listener) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK), on = 1;
    if (fd < 0) return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct connection *c = calloc(1, sizeof *c);
    c->fd = fd;
    watch(c, EPOLL_CTL_ADD, EPOLLIN);
}

static void drop(struct connection *c) {
    close(c->fd);
    free(c->unsent);
    free(c);
}

static void keep(struct connection *c, const char *data, size_t size) {
    if (!c->unsent) c->unsent = malloc(sizeof scratch);
    memcpy(c->unsent, data, size);
    c->start = 0, c->end = size;
    watch(c, EPOLL_CTL_MOD, EPOLLOUT);
}

static void echo(struct connection *c) {
    ssize_t got = recv(c->fd, scratch, sizeof scratch, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) { drop(c); return; }
    ssize_t sent = send(c->fd, scratch, (size_t)got, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) { drop(c); return; }
    if (sent < 0) sent = 0;
    if (sent < got) keep(c, scratch + sent, (size_t)(got - sent));
}

static void send_kept(struct connection *c) {
    ssize_t sent = send(c->fd, c->unsent + c->start, c->end - c->start, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) { drop(c); return; }
    if (sent > 0) c->start += (size_t)sent;
    if (c->start == c->end) watch(c, EPOLL_CTL_MOD, EPOLLIN);
}

static int listen_at(int port) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (struct sockaddr *)&here, sizeof here)) fail("bind");
    if (listen(listener, 4096)) fail("listen");
    return listener;
}

int main(int argc, char **argv) {
    if (argc != 2) { fprintf(stderr, "usage: echo_epoll PORT\n"); return 2; }
    poller = epoll_create1(0);
    struct connection listener = {.fd = listen_at(atoi(argv[1]))};
    watch(&listener, EPOLL_CTL_ADD, EPOLLIN);
    for (struct epoll_event events[512];;) {
        int count = epoll_wait(poller, events, 512, -1);
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            if (c == &listener) accept_one(c->fd);
            else if (c->end > c->start) send_kept(c);
            else echo(c);
        }
    }
}
