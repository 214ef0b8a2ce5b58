/* Holds many connections that are idle:  idle_load PORT CONNECTIONS echo|http
 *
 * Opens the connections from several addresses of 127.0.0.0/8, exchanges one message over each (64
 * bytes echoed, or one GET answered), so that buffers a server makes on first use are there. Then
 * prints "ready" and holds them until its standard input ends; each line on it asks for one more
 * exchange over every connection, answered by a line with the nanoseconds it took. */
#include "common.h"

#define AT_ONCE 50  /* less than the shortest backlog */
static const char *request, *answer;
static char echoed[65];
static int *fds, count;

static void choose_exchange(const char *kind) {
    if (strcmp(kind, "http") == 0) {
        request = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
        answer = "Hello, world!";
        return;
    }
    memset(echoed, 'e', sizeof echoed - 2);
    echoed[sizeof echoed - 2] = '\n';
    request = answer = echoed;
}

static void fail_at(int number) {
    fprintf(stderr, "connection %d of %d was not answered: %s\n", number + 1, count, strerror(errno));
    exit(1);
}

static void ask(int number) {
    size_t wanted = strlen(request);
    if (send(fds[number], request, wanted, MSG_NOSIGNAL) != (ssize_t)wanted) fail_at(number);
}

static void await_answer(int number) {
    char reply[4096];
    size_t got = 0;
    do {
        ssize_t some = recv(fds[number], reply + got, sizeof reply - 1 - got, 0);
        if (some == 0) errno = ECONNRESET;
        if (some <= 0) fail_at(number);
        got += (size_t)some;
        reply[got] = 0;
    } while (!strstr(reply, answer) && got < sizeof reply - 1);
}

static void exchange_over_all(void) {
    int64_t begin = now();
    for (int begun = 0; begun < count; begun += AT_ONCE) {
        for (int i = begun; i < count && i < begun + AT_ONCE; i++) ask(i);
        for (int i = begun; i < count && i < begun + AT_ONCE; i++) await_answer(i);
    }
    printf("exchanged=%d wall=%lld\n", count, (long long)(now() - begin));
    fflush(stdout);
}

int main(int argc, char **argv) {
    if (argc != 4) { fprintf(stderr, "usage: idle_load PORT CONNECTIONS echo|http\n"); return 2; }
    count = atoi(argv[2]);
    choose_exchange(argv[3]);
    fds = calloc((size_t)count, sizeof *fds);
    for (int begun = 0; begun < count; begun += AT_ONCE) {
        for (int i = begun; i < count && i < begun + AT_ONCE; i++) {
            fds[i] = connect_from(i % 16, atoi(argv[1]));
            ask(i);
        }
        for (int i = begun; i < count && i < begun + AT_ONCE; i++) await_answer(i);
    }
    puts("ready");
    fflush(stdout);
    for (char line[16]; fgets(line, sizeof line, stdin);) exchange_over_all();
    return 0;
}
