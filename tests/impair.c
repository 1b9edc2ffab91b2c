/* tests/impair.c - a bad network in front of a server, in real time.
 *
 *   impair --to 127.0.0.1:7882 [--listen 127.0.0.1:0] [--loss 5] [--delay 20] ...
 *
 * Relays UDP and TCP from its own port to the server's, both ways through sim/netem.
 * Prints one JSON line, {"port":..,"control":..}, and then obeys lines from standard
 * input and datagrams to the control port: every setting of netem_parse() with its value
 * ("loss 5", "delay 50", "rate 300"), "up loss 5" or "down loss 5" for one direction,
 * "silence MS", "rebind" (UDP goes on from new source ports), "cut" (closes TCP
 * connections), "stats", "quit".  A command is answered where it came from, by "ok", "error" or
 * what was asked for.  Ends with standard input, unless --stay is given.
 *
 * TCP is delayed and silenced, never lost or reordered.
 */
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "sim/netem.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    CLIENTS_MAX = 256,
    STREAMS_MAX = 64,
    CHUNK_MAX = 16384,
    CHUNKS_MAX = 4096,
    LINE_MAX_ = 200,
    ANSWER_MAX = 512
};

enum direction { UP, DOWN };

struct client { /* one UDP source, with a socket of its own towards the server */
    struct sockaddr_in from;
    int fd;
};

struct chunk {
    struct chunk *next;
    us_t at;
    size_t len, done;
    uint8_t data[];
};

struct stream { /* one TCP connection: [UP] from the client, [DOWN] from the server */
    int fd[2];
    bool ended[2];
    struct chunk *first[2], *last[2];
    unsigned n[2];
};

struct impair {
    struct sockaddr_in listen, to;
    int udp, tcp, control;
    struct netem *net[2];
    us_t silent_until;
    struct client client[CLIENTS_MAX];
    unsigned client_n;
    struct stream stream[STREAMS_MAX];
    unsigned stream_n;
    bool stay, quit, input_over;
    char line[LINE_MAX_];
    size_t line_n;
};

static us_t now_us(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail for this clock */
    return (us_t)ts.tv_sec * US_PER_SEC + ts.tv_nsec / 1000;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int nonblocking(int fd)
{
    if (fd < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        die("socket");
    return fd;
}

/* What is lost is lost by the dice, not by a full buffer. */
static void large(int fd, int type)
{
    int bytes = 2 << 20;

    if (type == SOCK_DGRAM)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes); /* or a smaller one */
}

static int bound(int type, struct sockaddr_in *at)
{
    socklen_t len = sizeof *at;
    int fd = nonblocking(socket(AF_INET, type, 0));

    large(fd, type);

    if (bind(fd, (struct sockaddr *)at, len) != 0 ||
        getsockname(fd, (struct sockaddr *)at, &len) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static bool parse_address(struct sockaddr_in *a, const char *text)
{
    char ip[64];
    const char *colon = strrchr(text, ':');
    uint64_t port;

    *a = (struct sockaddr_in){.sin_family = AF_INET};
    if (colon == NULL || !str_to_u64(bytes_str(colon + 1), 65535, &port) ||
        !str_copy(ip, sizeof ip, bytes_of(text, (size_t)(colon - text))))
        return false;
    a->sin_port = htons((uint16_t)port);
    return inet_pton(AF_INET, ip, &a->sin_addr) == 1;
}

/* --- UDP --- */

static int upstream(const struct impair *im)
{
    int fd = nonblocking(socket(AF_INET, SOCK_DGRAM, 0));

    large(fd, SOCK_DGRAM);
    if (connect(fd, (const struct sockaddr *)&im->to, sizeof im->to) != 0)
        die("connect");
    return fd;
}

static struct client *client_of(struct impair *im, const struct sockaddr_in *from)
{
    for (unsigned i = 0; i < im->client_n; i++) {
        struct client *c = &im->client[i];
        if (c->from.sin_port == from->sin_port && c->from.sin_addr.s_addr == from->sin_addr.s_addr)
            return c;
    }
    if (im->client_n == CLIENTS_MAX)
        return NULL;
    struct client *c = &im->client[im->client_n++];
    *c = (struct client){.from = *from, .fd = upstream(im)};
    return c;
}

static void udp_from_clients(struct impair *im, us_t now)
{
    uint8_t buf[NETEM_DATAGRAM_MAX];
    struct sockaddr_in from;
    socklen_t len = sizeof from;
    ssize_t n;

    while ((n = recvfrom(im->udp, buf, sizeof buf, 0, (struct sockaddr *)&from, &len)) > 0) {
        struct client *c = client_of(im, &from);
        if (c != NULL)
            netem_push(im->net[UP], (uint64_t)(c - im->client), bytes_of(buf, (size_t)n), now);
        len = sizeof from;
    }
}

static void udp_from_server(struct impair *im, unsigned i, us_t now)
{
    uint8_t buf[NETEM_DATAGRAM_MAX];
    ssize_t n;

    while ((n = recv(im->client[i].fd, buf, sizeof buf, 0)) > 0)
        netem_push(im->net[DOWN], i, bytes_of(buf, (size_t)n), now);
}

/* What is due goes out; a full socket loses it, as networks do. */
static void udp_deliver(struct impair *im, us_t now)
{
    uint64_t tag;
    struct bytes d;

    while (netem_pop(im->net[UP], now, &tag, &d))
        (void)!send(im->client[tag].fd, d.p, d.len, 0);
    while (netem_pop(im->net[DOWN], now, &tag, &d))
        (void)!sendto(im->udp, d.p, d.len, 0, (struct sockaddr *)&im->client[tag].from,
                      sizeof im->client[tag].from);
}

static void rebind(struct impair *im)
{
    for (unsigned i = 0; i < im->client_n; i++) {
        int fresh = upstream(im); /* before the old one is closed, else the port may be the same */
        (void)close(im->client[i].fd);
        im->client[i].fd = fresh;
    }
}

/* --- TCP --- */

static void stream_close(struct impair *im, unsigned i)
{
    struct stream *s = &im->stream[i];

    for (int d = 0; d < 2; d++) {
        (void)close(s->fd[d]);
        while (s->first[d] != NULL) {
            struct chunk *c = s->first[d];
            s->first[d] = c->next;
            mem_free(c);
        }
    }
    *s = im->stream[--im->stream_n];
}

static void tcp_accept(struct impair *im)
{
    int fd = accept(im->tcp, NULL, NULL), one = 1;

    if (fd < 0)
        return;
    if (im->stream_n == STREAMS_MAX) {
        (void)close(fd);
        return;
    }
    struct stream *s = &im->stream[im->stream_n++];
    *s = (struct stream){.fd = {nonblocking(fd), nonblocking(socket(AF_INET, SOCK_STREAM, 0))}};
    for (int d = 0; d < 2; d++)
        (void)setsockopt(s->fd[d], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(s->fd[DOWN], (struct sockaddr *)&im->to, sizeof im->to) != 0 &&
        errno != EINPROGRESS)
        stream_close(im, im->stream_n - 1);
}

static void tcp_read(struct impair *im, struct stream *s, enum direction d, us_t now)
{
    uint8_t buf[CHUNK_MAX];
    ssize_t n = s->n[d] < CHUNKS_MAX ? recv(s->fd[d], buf, sizeof buf, 0) : -1;

    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR && errno != ENOTCONN))
        s->ended[d] = true;
    if (n <= 0)
        return;
    struct chunk *c = mem_zero(sizeof *c + (size_t)n);
    if (c == NULL)
        die("memory");
    c->at = us_max(now, im->silent_until) + netem_cfg(im->net[d])->delay_us;
    if (s->last[d] != NULL && s->n[d] > 0)
        c->at = us_max(c->at, s->last[d]->at);
    c->len = (size_t)n;
    memcpy(c->data, buf, c->len);
    if (s->n[d]++ > 0)
        s->last[d]->next = c;
    else
        s->first[d] = c;
    s->last[d] = c;
}

/* False when the stream is over. */
static bool tcp_deliver(struct stream *s, us_t now)
{
    for (int d = 0; d < 2; d++) {
        while (s->first[d] != NULL && s->first[d]->at <= now) {
            struct chunk *c = s->first[d];
            ssize_t n = send(s->fd[!d], c->data + c->done, c->len - c->done, MSG_NOSIGNAL);
            if (n < 0 && errno != EAGAIN && errno != ENOTCONN)
                return false;
            if (n <= 0)
                break;
            c->done += (size_t)n;
            if (c->done < c->len)
                break;
            s->first[d] = c->next;
            s->n[d]--;
            mem_free(c);
        }
        if (s->ended[d] && s->first[d] == NULL)
            return false;
    }
    return true;
}

/* --- commands --- */

static struct bytes word(struct bytes *line)
{
    while (line->len > 0 && (*line->p == ' ' || *line->p == '\r')) {
        line->p++;
        line->len--;
    }
    struct bytes w = {.p = line->p};
    while (line->len > 0 && *line->p != ' ' && *line->p != '\r') {
        line->p++;
        line->len--;
        w.len++;
    }
    return w;
}

static bool set(struct impair *im, bool up, bool down, struct bytes name, struct bytes value)
{
    for (int d = 0; d < 2; d++) {
        struct netem_cfg cfg = *netem_cfg(im->net[d]);
        if (!netem_parse(&cfg, name, value))
            return false;
        if (d == UP ? up : down)
            netem_set(im->net[d], &cfg);
    }
    return true;
}

static void put_stats(const struct impair *im, char out[ANSWER_MAX])
{
    static const char *const name[] = {"up", "down"};
    size_t at = 0;

    for (int d = 0; d < 2; d++) {
        struct netem_stats st;
        netem_get_stats(im->net[d], &st);
        int n = snprintf(out + at, ANSWER_MAX - at,
                         "%s\"%s\":{\"in\":%llu,\"out\":%llu,\"lost\":%llu,\"overflowed\":%llu}%s",
                         d == 0 ? "{" : ",", name[d], (unsigned long long)st.in,
                         (unsigned long long)st.out, (unsigned long long)st.lost,
                         (unsigned long long)st.overflowed, d == 0 ? "" : "}");
        at += (size_t)n;
    }
}

static bool obey(struct impair *im, struct bytes line, us_t now)
{
    struct bytes name = word(&line);
    bool up = !bytes_eq_str(name, "down"), down = !bytes_eq_str(name, "up");
    uint64_t ms;

    if (bytes_eq_str(name, "up") || bytes_eq_str(name, "down"))
        name = word(&line);
    struct bytes value = word(&line);
    if (bytes_eq_str(name, "silence") && str_to_u64(value, 3600000, &ms)) {
        im->silent_until = now + (us_t)ms * US_PER_MS;
        if (up)
            netem_silence(im->net[UP], im->silent_until);
        if (down)
            netem_silence(im->net[DOWN], im->silent_until);
        return true;
    }
    if (bytes_eq_str(name, "rebind"))
        return rebind(im), true;
    if (bytes_eq_str(name, "quit"))
        return im->quit = true;
    if (bytes_eq_str(name, "cut")) {
        while (im->stream_n > 0)
            stream_close(im, 0);
        return true;
    }
    return set(im, up, down, name, value);
}

static void command(struct impair *im, struct bytes line, us_t now, char answer[ANSWER_MAX])
{
    struct bytes rest = line;

    if (bytes_eq_str(word(&rest), "stats"))
        put_stats(im, answer);
    else
        (void)snprintf(answer, ANSWER_MAX, "%s", obey(im, line, now) ? "ok" : "error");
}

static void read_input(struct impair *im, us_t now)
{
    char buf[1024], answer[ANSWER_MAX];
    ssize_t n = read(STDIN_FILENO, buf, sizeof buf);

    if (n <= 0) {
        im->input_over = true;
        im->quit |= !im->stay;
        return;
    }
    for (ssize_t i = 0; i < n; i++) {
        if (buf[i] != '\n') {
            if (im->line_n < sizeof im->line)
                im->line[im->line_n++] = buf[i];
            continue;
        }
        command(im, bytes_of(im->line, im->line_n), now, answer);
        printf("%s\n", answer);
        (void)fflush(stdout);
        im->line_n = 0;
    }
}

static void read_control(struct impair *im, us_t now)
{
    char buf[LINE_MAX_], answer[ANSWER_MAX];
    struct sockaddr_in from;
    socklen_t len = sizeof from;
    ssize_t n = recvfrom(im->control, buf, sizeof buf, 0, (struct sockaddr *)&from, &len);

    if (n <= 0)
        return;
    if (buf[n - 1] == '\n')
        n--;
    command(im, bytes_of(buf, (size_t)n), now, answer);
    (void)!sendto(im->control, answer, strlen(answer), 0, (struct sockaddr *)&from, len);
}

/* --- the loop --- */

static int timeout_ms(const struct impair *im, us_t now)
{
    us_t at = us_min(netem_deadline(im->net[UP]), netem_deadline(im->net[DOWN]));

    for (unsigned i = 0; i < im->stream_n; i++) {
        for (int d = 0; d < 2; d++) {
            const struct chunk *c = im->stream[i].first[d];
            if (c != NULL)
                at = us_min(at, us_max(c->at, now + US_PER_MS)); /* or the socket was full */
        }
    }
    if (at == US_NEVER)
        return 1000;
    return at <= now ? 0 : (int)us_min((at - now + 999) / 1000, 1000);
}

static void turn(struct impair *im)
{
    static struct pollfd fds[4 + CLIENTS_MAX + 2 * STREAMS_MAX];
    unsigned clients = im->client_n, streams = im->stream_n, n = 0;

    fds[n++] = (struct pollfd){.fd = im->input_over ? -1 : STDIN_FILENO, .events = POLLIN};
    fds[n++] = (struct pollfd){.fd = im->udp, .events = POLLIN};
    fds[n++] = (struct pollfd){.fd = im->tcp, .events = POLLIN};
    fds[n++] = (struct pollfd){.fd = im->control, .events = POLLIN};
    for (unsigned i = 0; i < clients; i++)
        fds[n++] = (struct pollfd){.fd = im->client[i].fd, .events = POLLIN};
    for (unsigned i = 0; i < streams; i++) {
        for (int d = 0; d < 2; d++) {
            const struct stream *s = &im->stream[i];
            bool want = !s->ended[d] && s->n[d] < CHUNKS_MAX;
            fds[n++] = (struct pollfd){.fd = want ? s->fd[d] : -1, .events = POLLIN};
        }
    }
    (void)poll(fds, n, timeout_ms(im, now_us())); /* interrupted: the next turn looks again */

    us_t now = now_us();
    udp_from_clients(im, now);
    for (unsigned i = 0; i < clients; i++) {
        if (fds[4 + i].revents != 0)
            udp_from_server(im, i, now);
    }
    for (unsigned i = 0; i < streams; i++) {
        for (int d = 0; d < 2; d++) {
            if (fds[4 + clients + 2 * i + (unsigned)d].revents != 0)
                tcp_read(im, &im->stream[i], (enum direction)d, now);
        }
    }
    udp_deliver(im, now);
    for (unsigned i = im->stream_n; i > 0; i--) {
        if (!tcp_deliver(&im->stream[i - 1], now))
            stream_close(im, i - 1);
    }
    if (fds[2].revents != 0)
        tcp_accept(im);
    if (fds[3].revents != 0)
        read_control(im, now);
    if (fds[0].revents != 0)
        read_input(im, now);
}

static void open_ports(struct impair *im)
{
    struct sockaddr_in control = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    in_port_t asked = im->listen.sin_port;

    /* One number for both: where the system chose it for TCP it may be taken for UDP. */
    for (int attempt = 0; attempt < 20; attempt++) {
        im->listen.sin_port = asked;
        im->tcp = bound(SOCK_STREAM, &im->listen);
        if (im->tcp < 0)
            die("bind");
        im->udp = bound(SOCK_DGRAM, &im->listen);
        if (im->udp >= 0)
            break;
        (void)close(im->tcp);
    }
    im->control = bound(SOCK_DGRAM, &control);
    if (im->udp < 0 || im->control < 0 || listen(im->tcp, 16) != 0)
        die("bind");
    printf("{\"port\":%u,\"control\":%u}\n", ntohs(im->listen.sin_port), ntohs(control.sin_port));
    (void)fflush(stdout);
}

static void usage(const char *what)
{
    fprintf(stderr,
            "impair: %s\nusage: impair --to IP:PORT [--listen IP:PORT] [--stay] [--seed N]\n"
            "              [--loss PCT] [--delay MS] [--jitter MS] [--burst N] [--reorder PCT]\n"
            "              [--duplicate PCT] [--corrupt PCT] [--rate KBPS] [--queue MS]\n",
            what);
    exit(2);
}

int main(int argc, char **argv)
{
    static struct impair im;
    struct netem_cfg cfg = {0};
    uint64_t seed = 1;

    (void)parse_address(&im.listen, "127.0.0.1:0");
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i];
        if (strcmp(name, "--stay") == 0) {
            im.stay = true;
            continue;
        }
        if (strncmp(name, "--", 2) != 0 || i + 1 == argc)
            usage(name);
        const char *value = argv[++i];
        struct bytes key = bytes_str(name + 2);
        if (bytes_eq_str(key, "delay-ms"))
            key.len -= 3;
        bool ok = bytes_eq_str(key, "listen") ? parse_address(&im.listen, value)
                  : bytes_eq_str(key, "to")   ? parse_address(&im.to, value)
                  : bytes_eq_str(key, "seed") ? str_to_u64(bytes_str(value), UINT64_MAX, &seed)
                                              : netem_parse(&cfg, key, bytes_str(value));
        if (!ok)
            usage(name);
    }
    if (im.to.sin_port == 0)
        usage("--to is needed");
    open_ports(&im);
    if (netem_open(&im.net[UP], &cfg, seed) != 0 || netem_open(&im.net[DOWN], &cfg, ~seed) != 0)
        die("memory");
    while (!im.quit)
        turn(&im);
    while (im.stream_n > 0)
        stream_close(&im, 0);
    netem_free(im.net[UP]);
    netem_free(im.net[DOWN]);
    return 0;
}
