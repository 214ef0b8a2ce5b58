/* Load for an echo server:  echo_load PORT CONNECTIONS BYTES [FLOODERS [LINES]]
 *
 * Opens the connections, checks one echoed message over each, prints "ready", and then obeys lines
 * on its standard input until that ends:
 *
 *   run MILLISECONDS         closed loop: one message outstanding on each connection
 *   run MILLISECONDS RATE    paced: RATE messages a second in all, spread over the connections;
 *                            latency counts from when a message was due, not from when it was sent
 *   bytes SIZE               messages (or lines) of that size from now on; not answered
 *
 * A message is LINES lines (one unless told otherwise) of BYTES bytes each, its newline included.
 * A run ends when every reply has come. One line answers it, times in nanoseconds. The FLOODERS are
 * connections that send without waiting for replies; their messages are not counted. */
#include "common.h"

#define FLOOD_BYTES 65536
#define PART_BYTES 16384
#define AT_ONCE 50  /* less than the shortest backlog */
static char scratch[1 << 18];
static char *message;

struct connection {
    int fd, is_flooder, wants_out;
    int64_t to_send, to_receive, started;
};

static struct connection *connections;
static int port, polite, flooders, message_bytes, lines = 1, poller;
static int64_t outstanding;  /* messages sent and not yet back; of a flooder, bytes */

static void want_out(struct connection *c, int wanted) {
    if (c->wants_out == wanted) return;
    struct epoll_event event = {.events = wanted ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = c};
    if (epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &event)) fail("epoll_ctl");
    c->wants_out = wanted;
}

static void send_more(struct connection *c) {
    ssize_t sent = send(c->fd, message + message_bytes - c->to_send, (size_t)c->to_send, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) fail("send");
    if (sent > 0) c->to_send -= sent;
    want_out(c, c->to_send > 0);
}

static void start_message(struct connection *c, int64_t due) {
    c->started = due;
    c->to_send = c->to_receive = message_bytes;
    outstanding++;
    send_more(c);
}

/* Returns 1 when the whole message is back. */
static int receive_more(struct connection *c) {
    ssize_t got = recv(c->fd, scratch, sizeof scratch, 0);
    if (got == 0) { errno = ECONNRESET; fail("the server closed a connection"); }
    if (got < 0 && errno != EAGAIN) fail("recv");
    if (got < 0) return 0;
    c->to_receive -= got;
    if (c->to_receive < 0) { errno = EPROTO; fail("more came back than was sent"); }
    if (c->to_receive > 0) return 0;
    outstanding--;
    return 1;
}

static void flood(struct connection *c, uint32_t events, int is_over) {
    if (events & EPOLLIN) {
        ssize_t got = recv(c->fd, scratch, sizeof scratch, 0);
        if (got == 0) { errno = ECONNRESET; fail("the server closed the flooder"); }
        if (got > 0) outstanding -= got;
    }
    if (is_over) {
        want_out(c, 0);
    } else if (events & EPOLLOUT) {
        ssize_t sent = send(c->fd, scratch, FLOOD_BYTES, MSG_NOSIGNAL);
        if (sent > 0) outstanding += sent;
    }
}

struct pace { int64_t interval, due; int next, late; };

/* Start what is due; a connection still busy then is counted as late and passed over. */
static void start_due(struct pace *pace, int64_t time) {
    for (; pace->due <= time; pace->due += pace->interval) {
        struct connection *c = &connections[pace->next];
        pace->next = (pace->next + 1) % polite;
        if (c->to_receive > 0) pace->late++;
        else start_message(c, pace->due);
    }
}

static int wait_for_events(struct epoll_event *events, int room, const struct pace *pace, int64_t end) {
    int64_t time = now(), until = end;
    if (pace->interval && pace->due < until) until = pace->due;
    if (time >= end) until = time + 5 * SECOND;
    int64_t left = until > time ? until - time : 0;
    struct timespec timeout = {left / SECOND, left % SECOND};
    int count = epoll_pwait2(poller, events, room, &timeout, NULL);
    if (count < 0 && errno != EINTR) fail("epoll_pwait2");
    if (count == 0 && time >= end) { errno = ETIMEDOUT; fail("replies are missing"); }
    return count;
}

static void run(int64_t duration, int64_t rate) {
    static struct histogram latencies;
    memset(&latencies, 0, sizeof latencies);
    struct epoll_event events[512];
    struct cpu_time cpu = cpu_time();
    int64_t begin = now(), end = begin + duration;
    struct pace pace = {rate ? SECOND / rate : 0, begin, 0, 0};
    for (int i = polite; i < polite + flooders; i++) want_out(&connections[i], 1);
    if (!rate) for (int i = 0; i < polite; i++) start_message(&connections[i], now());
    for (int64_t time = begin; time < end || outstanding > 0; time = now()) {
        int is_over = time >= end;
        if (rate && !is_over) start_due(&pace, time);
        int count = wait_for_events(events, 512, &pace, end);
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            if (c->is_flooder) { flood(c, events[i].events, is_over); continue; }
            if (events[i].events & EPOLLOUT) send_more(c);
            if (!(events[i].events & ~(uint32_t)EPOLLOUT) || !receive_more(c)) continue;
            int64_t back = now();
            record(&latencies, back - c->started);
            if (!rate && back < end) start_message(c, back);
        }
    }
    struct cpu_time used = cpu_time();
    printf("messages=%lld wall=%lld cpu=%lld queued=%lld p50=%lld p99=%lld p999=%lld late=%d\n",
           (long long)latencies.total, (long long)(now() - begin), (long long)(used.ran - cpu.ran),
           (long long)(used.queued - cpu.queued), (long long)percentile(&latencies, 0.5),
           (long long)percentile(&latencies, 0.99), (long long)percentile(&latencies, 0.999), pace.late);
    fflush(stdout);
}

/* Send the next part of a message, blocking, and return how much of it is sent then. */
static int send_part(int fd, int sent) {
    int left = message_bytes - sent, part = left < PART_BYTES ? left : PART_BYTES;
    if (part && send(fd, message + sent, (size_t)part, MSG_NOSIGNAL) != part) fail("send");
    return sent + part;
}

/* Read a message back, blocking, while sending the rest of it; dies if it is not the same. */
static void check_echo(int fd, int sent) {
    for (int got = 0; got < message_bytes; sent = send_part(fd, sent)) {
        ssize_t count = recv(fd, scratch, sizeof scratch, 0);
        if (count <= 0) fail("recv");
        if (memcmp(scratch, message + got, (size_t)count)) { errno = EPROTO; fail("a wrong echo"); }
        got += (int)count;
    }
}

static void check_again(struct connection *c) {
    fcntl(c->fd, F_SETFL, fcntl(c->fd, F_GETFL) & ~O_NONBLOCK);
    check_echo(c->fd, send_part(c->fd, 0));
    set_nonblocking(c->fd);
}

static void make_message(int line_bytes) {
    message_bytes = lines * line_bytes;
    message = realloc(message, (size_t)message_bytes);
    for (int i = 0; i < message_bytes; i++) message[i] = (char)('a' + i % 23);
    for (int i = line_bytes - 1; i < message_bytes; i += line_bytes) message[i] = '\n';
}

static void watch(struct connection *c) {
    set_nonblocking(c->fd);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event)) fail("epoll_ctl");
}

static void open_connections(void) {
    connections = calloc((size_t)(polite + flooders), sizeof *connections);
    poller = epoll_create1(0);
    for (int begun = 0; begun < polite + flooders; begun += AT_ONCE) {
        int end = begun + AT_ONCE < polite + flooders ? begun + AT_ONCE : polite + flooders;
        int sent[AT_ONCE];
        for (int i = begun; i < end; i++) {
            connections[i].fd = connect_from(i % 8, port);
            connections[i].is_flooder = i >= polite;
            sent[i - begun] = send_part(connections[i].fd, 0);
        }
        for (int i = begun; i < end; i++) check_echo(connections[i].fd, sent[i - begun]);
        for (int i = begun; i < end; i++) watch(&connections[i]);
    }
}

int main(int argc, char **argv) {
    if (argc < 4) { fprintf(stderr, "usage: echo_load PORT CONNECTIONS BYTES [FLOODERS [LINES]]\n"); return 2; }
    port = atoi(argv[1]), polite = atoi(argv[2]);
    flooders = argc > 4 ? atoi(argv[4]) : 0;
    lines = argc > 5 ? atoi(argv[5]) : 1;
    make_message(atoi(argv[3]));
    open_connections();
    puts("ready");
    fflush(stdout);
    for (char line[128]; fgets(line, sizeof line, stdin);) {
        long long milliseconds, rate = 0;
        int size;
        if (sscanf(line, "bytes %d", &size) == 1) {
            make_message(size);
            check_again(&connections[0]);
        }
        if (sscanf(line, "run %lld %lld", &milliseconds, &rate) >= 1) run(milliseconds * 1000000, rate);
    }
    return 0;
}
