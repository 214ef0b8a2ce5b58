/* Load for a WebSocket echo server:  ws_load PORT CONNECTIONS BYTES
 *
 * Opens the connections, shakes hands over each for /ws, checks one echoed message, prints "ready",
 * and then obeys lines on its standard input until that ends:
 *
 *   run MILLISECONDS         closed loop: one message outstanding on each connection
 *
 * A message is one binary frame of BYTES bytes, masked as a client's must be; its echo is one frame,
 * neither masked nor compressed. A run ends when every reply has come. One line answers it, times in
 * nanoseconds. */
#include "common.h"

static unsigned char scratch[1 << 18], *frame, *reply;
static int port, connection_count, frame_bytes, reply_bytes, poller;
static int64_t outstanding;

struct connection { int fd; int64_t to_send, to_receive, started; };
static struct connection *connections;

static int put_header(unsigned char *at, int size, int mask_bit) {
    at[0] = 0x82;
    if (size < 126) { at[1] = (unsigned char)(mask_bit | size); return 2; }
    if (size < 65536) {
        at[1] = (unsigned char)(mask_bit | 126);
        at[2] = (unsigned char)(size >> 8), at[3] = (unsigned char)size;
        return 4;
    }
    at[1] = (unsigned char)(mask_bit | 127);
    for (int i = 0; i < 8; i++) at[2 + i] = (unsigned char)((int64_t)size >> (56 - 8 * i));
    return 10;
}

static void make_message(int size) {
    static const unsigned char mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    frame = malloc((size_t)size + 14), reply = malloc((size_t)size + 10);
    int head = put_header(frame, size, 0x80), bare = put_header(reply, size, 0);
    memcpy(frame + head, mask, 4);
    for (int i = 0; i < size; i++) {
        reply[bare + i] = (unsigned char)('a' + i % 23);
        frame[head + 4 + i] = reply[bare + i] ^ mask[i % 4];
    }
    frame_bytes = head + 4 + size, reply_bytes = bare + size;
}

static void send_more(struct connection *c) {
    ssize_t sent = send(c->fd, frame + frame_bytes - c->to_send, (size_t)c->to_send, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) fail("send");
    if (sent > 0) c->to_send -= sent;
    struct epoll_event event = {.events = c->to_send ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = c};
    if (c->to_send && epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &event)) fail("epoll_ctl");
}

static void start_message(struct connection *c, int64_t time) {
    c->started = time;
    c->to_send = frame_bytes, c->to_receive = reply_bytes;
    outstanding++;
    send_more(c);
}

/* Returns 1 when the whole reply is there. */
static int receive_more(struct connection *c) {
    ssize_t got = recv(c->fd, scratch, sizeof scratch, 0);
    if (got == 0) { errno = ECONNRESET; fail("the server closed a connection"); }
    if (got < 0 && errno != EAGAIN) fail("recv");
    if (got < 0) return 0;
    if (c->to_receive == reply_bytes && (scratch[0] != 0x82 || scratch[1] & 0x80)) {
        errno = EPROTO;
        fail("a reply that is no plain binary frame");
    }
    c->to_receive -= got;
    if (c->to_receive < 0) { errno = EPROTO; fail("more came back than was sent"); }
    if (c->to_receive > 0) return 0;
    outstanding--;
    return 1;
}

static void run(int64_t duration) {
    static struct histogram latencies;
    memset(&latencies, 0, sizeof latencies);
    struct epoll_event events[512];
    struct cpu_time cpu = cpu_time();
    int64_t begin = now(), end = begin + duration;
    for (int i = 0; i < connection_count; i++) start_message(&connections[i], now());
    while (outstanding > 0) {
        int count = epoll_wait(poller, events, 512, 5000);
        if (count < 0 && errno != EINTR) fail("epoll_wait");
        if (count == 0) { errno = ETIMEDOUT; fail("replies are missing"); }
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            if (c->to_send > 0) send_more(c);
            if (!(events[i].events & ~(uint32_t)EPOLLOUT) || !receive_more(c)) continue;
            int64_t back = now();
            record(&latencies, back - c->started);
            if (back < end) start_message(c, back);
        }
    }
    struct cpu_time used = cpu_time();
    printf("messages=%lld wall=%lld cpu=%lld queued=%lld p50=%lld p99=%lld p999=%lld late=0\n",
           (long long)latencies.total, (long long)(now() - begin), (long long)(used.ran - cpu.ran),
           (long long)(used.queued - cpu.queued), (long long)percentile(&latencies, 0.5),
           (long long)percentile(&latencies, 0.99), (long long)percentile(&latencies, 0.999));
    fflush(stdout);
}

/* Ask for a WebSocket, blocking, byte by byte up to the empty line: what follows are frames. */
static void shake_hands(int fd) {
    static const char wish[] =
        "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    char answer[4096];
    int size = 0;
    if (send(fd, wish, sizeof wish - 1, MSG_NOSIGNAL) != (ssize_t)sizeof wish - 1) fail("send");
    while (size < 4 || memcmp(answer + size - 4, "\r\n\r\n", 4)) {
        if (size == sizeof answer) { errno = EMSGSIZE; fail("handshake"); }
        if (recv(fd, answer + size, 1, 0) != 1) fail("handshake");
        size++;
    }
    if (memcmp(answer, "HTTP/1.1 101 ", 13)) { errno = EPROTO; fail("handshake refused"); }
}

/* Send one message and read it back, blocking; dies if it is not the same. */
static void check_echo(int fd) {
    for (int sent = 0, got = 0; got < reply_bytes;) {
        if (sent < frame_bytes) {
            int chunk = frame_bytes - sent < 16384 ? frame_bytes - sent : 16384;
            if (send(fd, frame + sent, (size_t)chunk, MSG_NOSIGNAL) != chunk) fail("send");
            sent += chunk;
            if (sent < frame_bytes) continue;
        }
        ssize_t count = recv(fd, scratch, sizeof scratch, 0);
        if (count <= 0) fail("recv");
        if (memcmp(scratch, reply + got, (size_t)count)) { errno = EPROTO; fail("a wrong echo"); }
        got += (int)count;
    }
}

int main(int argc, char **argv) {
    if (argc < 4) { fprintf(stderr, "usage: ws_load PORT CONNECTIONS BYTES\n"); return 2; }
    port = atoi(argv[1]), connection_count = atoi(argv[2]);
    make_message(atoi(argv[3]));
    connections = calloc((size_t)connection_count, sizeof *connections);
    poller = epoll_create1(0);
    for (int i = 0; i < connection_count; i++) {
        struct connection *c = &connections[i];
        c->fd = connect_from(i % 8, port);
        shake_hands(c->fd);
        check_echo(c->fd);
        set_nonblocking(c->fd);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        if (epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event)) fail("epoll_ctl");
    }
    puts("ready");
    fflush(stdout);
    for (char line[128]; fgets(line, sizeof line, stdin);) {
        long long milliseconds;
        if (sscanf(line, "run %lld", &milliseconds) == 1) run(milliseconds * 1000000);
    }
    return 0;
}
