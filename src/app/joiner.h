/* app/joiner.h - one client of ours with its sockets.
 *
 * Connects the machines (client, wire/http, wire/ws) to a TCP stream and a UDP
 * socket.  The owner waits on the two descriptors as it likes (dial_wait for one
 * participant, epoll for hundreds), calls joiner_pump(), and reads the client's
 * events and media with joiner_event() and joiner_media().
 */
#ifndef APP_JOINER_H
#define APP_JOINER_H

#include "base/base.h"
#include "client/client.h"
#include "io/dial.h"
#include "wire/url.h"

enum { JOINER_READ_BYTES = 16 << 10 };

struct joiner;

struct joiner_cfg {
    struct client_cfg client;
    struct url url;
    const char *token;
    bool soon; /* do not wait for the connection to stand: for those who have others to serve */
};

/* Connects the TCP stream (which blocks for at most DIAL_CONNECT_US, unless `soon`) and sends the
 * upgrade. */
MUST_CHECK int joiner_open(struct joiner **ret, const struct joiner_cfg *cfg, struct tick tick);
void joiner_free(struct joiner *j);

/* What to wait for: [0] the stream, [1] media. */
void joiner_waits(const struct joiner *j, struct dial_wait out[2]);
us_t joiner_deadline(const struct joiner *j);

/* Move bytes both ways and let time reach tick.now.  Returns true while media packets are waiting
 * to be taken: call joiner_media() until it says false. */
void joiner_pump(struct joiner *j, struct tick tick);
/* The next received media packet, read from the socket here; false when there is none. */
bool joiner_media(struct joiner *j, struct tick tick, struct client_media *media);
bool joiner_event(struct joiner *j, struct client_event *ev);
/* Push out what the last calls produced. */
void joiner_flush(struct joiner *j);

struct client *joiner_client(struct joiner *j);
/* The media socket, for socket options that only a benchmark wants. */
int joiner_media_fd(const struct joiner *j);
/* What the server answered instead of an upgrade: status and text; 0 when it did not. */
int joiner_refusal(const struct joiner *j, const char **text);

#endif
