/* api/ports.h - ITGv2's POST /stream and DELETE /stream?port=N: a stream of plain RTP for whoever
 * asks, on a port of its own, with the secret that ITGv2 lacked.  (ftl-lightspeed.md 3.1)
 *
 * The ports themselves are in an ingress process, which is asked over the bus; here stands which
 * are open and that port N feeds the room stream-N, which /websocket?port=N shows.  Streams are
 * not kept: they are gone with this process.
 *
 * Asking takes `Authorization: Bearer`, with the secret of /admin or a token that grants
 * ingressAdmin.  Control thread; at most PORTS_MAX.
 */
#ifndef API_PORTS_H
#define API_PORTS_H

#include "api/node.h"
#include "bus/methods.h"
#include "signal/hub.h"

enum { PORTS_MAX = 256, PORTS_ROOM_MAX = 16, PORTS_ID_MAX = 16, PORTS_ASK_US = 3 * 1000 * 1000 };

struct streams;

struct ports_entry {
    psrpc_id ask;   /* until the process answers; 0: open */
    uint64_t conn;  /* that waits for it */
    psrpc_id probe; /* is the process still there? 0: nobody wonders */
    uint16_t port;
    char room[PORTS_ROOM_MAX], id[PORTS_ID_MAX]; /* of its ingress, as sessions name it */
};

struct ports {
    struct hub *hub;
    struct psrpc *bus;
    struct streams *all; /* their viewers; set by the owner before anything is asked for */
    struct ports_entry entry[PORTS_MAX];
    uint32_t n;
};

/* Both are borrowed. */
void ports_init(struct ports *p, struct hub *hub, struct psrpc *bus);
/* The path /stream; false: another. */
bool ports_http(struct ports *p, uint64_t conn, const struct http_msg *req,
                const struct node_cfg *cfg);
/* A process has left the bus: streams whose ports nobody has any more end. */
void ports_left(struct ports *p);
/* False: the event is for somebody else. */
bool ports_event(struct ports *p, const struct psrpc_event *ev);
/* The room of port N; NULL: there is no such stream. */
const char *ports_room(const struct ports *p, uint64_t port);
/* The stream that an ingress process calls so; NULL: none. */
const struct ports_entry *ports_find(const struct ports *p, const char *id);

#endif
