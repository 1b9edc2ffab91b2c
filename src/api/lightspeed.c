#include "api/lightspeed.h"

#include "api/ports.h"
#include "api/whep.h"
#include "base/json.h"
#include "base/mem.h"
#include "signal/negotiate.h"
#include "wire/sdp.h"

enum { SCRATCH_BYTES = 1 << 20, CLOSE_OVER = 1001, CLOSE_BAD = 1009 };

static const char room_default[] = "live";

/* ---- saying ---- */

static void send_text(struct stream *st, const struct str *text)
{
    struct frame *f = text->failed || st->socket == 0 ? NULL : frame_new(str_bytes(text));

    if (f != NULL)
        (void)outbox_send(&st->all->hub->out, st->socket, true,
                          f); /* refused: the next info tells */
    frame_drop(f);
}

static void say_info(struct streams *all, const char *room)
{
    uint32_t n = 0;
    struct str text;

    for (const struct stream *st = all->first[STREAM_LIGHTSPEED]; st != NULL; st = st->next)
        n += st->socket != 0 && strcmp(st->room, room) == 0;
    str_init(&text, 128);
    str_printf(&text, "{\"event\":\"info\",\"data\":{\"no_connections\":%u}}", n);
    for (struct stream *st = all->first[STREAM_LIGHTSPEED]; st != NULL; st = st->next)
        if (strcmp(st->room, room) == 0) {
            send_text(st, &text);
            st->round = all->round;
        }
    str_fini(&text);
}

static void say_offer(struct stream *st, const char *sdp)
{
    struct str text;

    str_init(&text, SDP_BYTES_MAX);
    str_add(&text, "{\"event\":\"offer\",\"data\":{\"type\":\"offer\",\"sdp\":");
    json_add_text(&text, bytes_str(sdp));
    str_add(&text, "}}");
    send_text(st, &text);
    str_fini(&text);
}

/* The socket is no longer this stream's. */
static void unplug(struct stream *st)
{
    (void)map_take_u64(&st->all->by_socket, st->socket); /* it is there */
    st->socket = 0;
    say_info(st->all, st->room);
}

/* ---- coming ---- */

/* The room of ?port=N: the default stream without a number; NULL: unknown. */
static const char *find_room(const struct streams *all, const struct http_msg *req, struct arena *a)
{
    const char *port = http_query_get(a, req->query, "port");
    const char *room = http_query_get(a, req->query, "room"); /* ours: rooms have names */
    uint64_t n;

    if (room != NULL && *room != '\0')
        return room;
    if (port == NULL || !str_to_u64(bytes_str(port), UINT16_MAX, &n) || n == 0 ||
        n == LIGHTSPEED_PORT)
        return room_default;
    const char *made = all->ports != NULL ? ports_room(all->ports, n) : NULL;
    if (made != NULL)
        return made;
    const struct ingress *i = all->book != NULL ? ingress_by_channel(all->book, (uint32_t)n) : NULL;
    return i != NULL ? i->info->room_name : NULL;
}

static void answer(struct streams *all, uint64_t conn, int status, const char *text)
{
    outbox_http(&all->hub->out, conn, status, "text/plain; charset=utf-8", bytes_str(text));
}

static void open_stream(struct streams *all, uint64_t conn, const char *room,
                        const struct addr *client)
{
    struct stream_join j = {.kind = STREAM_LIGHTSPEED, .from = client};
    struct session_refusal why = {.status = 503, .text = "out of memory\n"};
    struct stream *st = NULL;

    arena_init(&j.keep, SESSION_CLAIMS_BYTES);
    j.claims = whep_claims(all, room, &j.keep);
    if (j.claims == NULL || !stream_open(all, &j, NULL, &st, &why)) {
        answer(all, conn, why.status, why.text);
    } else if (!map_put_u64(&all->by_socket, conn, st)) {
        stream_end(st, LIVEKIT__DISCONNECT_REASON__JOIN_FAILURE);
        answer(all, conn, 503, "out of memory\n");
    } else {
        st->socket = conn;
        outbox_accept(&all->hub->out, conn);
        say_info(all, st->room);
    }
    arena_fini(&j.keep);
}

bool lightspeed_http(struct streams *all, uint64_t conn, const struct http_msg *req,
                     const struct addr *client)
{
    struct arena a;

    if (strcmp(req->path, "/websocket") != 0)
        return false;
    arena_init(&a, SCRATCH_BYTES);
    const char *room = find_room(all, req, &a);
    if (!req->upgrade)
        answer(all, conn, 400, "this is the way in for a WebSocket\n");
    else if (room == NULL)
        answer(all, conn, 404, "unknown stream\n");
    else if (whep_may_watch(all->hub, all->cfg, req, room) != 0)
        answer(all, conn, 401, "this room is watched with a private link\n");
    else
        open_stream(all, conn, room, client);
    arena_fini(&a);
    return true;
}

/* ---- hearing ---- */

static bool fingerprint_of(const struct sdp *d, struct str *out)
{
    for (uint32_t i = 0; i < d->media_n; i++) {
        const struct sdp_media *m = &d->media[i];
        if (m->fingerprint_n == 0 || m->rejected)
            continue;
        str_add(out, m->fingerprint[0].hash);
        for (uint32_t k = 0; k < m->fingerprint[0].digest_len; k++)
            str_printf(out, " %02x", m->fingerprint[0].digest[k]);
        return !out->failed;
    }
    return false;
}

static void say_answer(struct stream *st)
{
    Livekit__SignalRequest r = LIVEKIT__SIGNAL_REQUEST__INIT;
    Livekit__SessionDescription d = LIVEKIT__SESSION_DESCRIPTION__INIT;

    d.type = (char *)"answer"; /* protobuf-c knows no const; id 0 answers whatever is out */
    d.sdp = st->said;
    r.message_case = LIVEKIT__SIGNAL_REQUEST__MESSAGE_ANSWER;
    r.answer = &d;
    (void)hub_request(st->all->hub, st->conn, &r); /* over: its news says so */
}

/* A page whose media goes on although its socket was lost, whether we know that yet or not. */
static struct stream *find_lost(const struct stream *as)
{
    for (struct stream *st = as->all->first[STREAM_LIGHTSPEED]; st != NULL; st = st->next)
        if (st != as && !st->voice.over && st->fingerprint[0] != '\0' &&
            strcmp(st->fingerprint, as->fingerprint) == 0 && strcmp(st->room, as->room) == 0)
            return st;
    return NULL;
}

/* The page's DTLS is with `lost`, so it is that one which goes on: its next offer restarts ICE. */
static void adopt(struct stream *lost, struct stream *fresh)
{
    struct session *s = stream_session(lost);
    uint64_t socket = fresh->socket;

    if (s == NULL || !map_put_u64(&lost->all->by_socket, socket, lost))
        return;
    if (lost->socket != 0) {
        (void)map_take_u64(&lost->all->by_socket, lost->socket); /* it is there */
        outbox_close(&lost->all->hub->out, lost->socket, CLOSE_OVER);
    }
    fresh->socket = 0;
    lost->socket = socket;
    mem_free(lost->said);
    lost->said = NULL; /* so that the offer goes out to the page */
    stream_end(fresh, LIVEKIT__DISCONNECT_REASON__CLIENT_INITIATED);
    negotiate_resumed(s);
    room_touch(s->member->room);
}

static void on_answer(struct stream *st, struct bytes sdp)
{
    struct stream *lost = NULL;
    struct str fingerprint;
    struct arena a;
    struct sdp d;

    if (sdp.len == 0 || sdp.len > STREAM_SDP_MAX || memchr(sdp.p, 0, sdp.len) != NULL)
        return;
    bool first = st->said == NULL;
    mem_free(st->said);
    st->said = mem_dup(sdp.p, sdp.len);
    if (st->said == NULL)
        return;
    arena_init(&a, STREAM_ARENA_BYTES);
    str_init(&fingerprint, sizeof st->fingerprint);
    if (sdp_parse(&d, sdp, &a) == 0 && fingerprint_of(&d, &fingerprint)) {
        (void)str_copy(st->fingerprint, sizeof st->fingerprint, str_bytes(&fingerprint)); /* fits */
        lost = first ? find_lost(st) : NULL;
    }
    str_fini(&fingerprint);
    arena_fini(&a);
    if (lost != NULL)
        adopt(lost, st);
    else
        say_answer(st);
}

bool lightspeed_message(struct streams *all, uint64_t conn, bool text, struct bytes data)
{
    struct stream *st = map_find_u64(&all->by_socket, conn);
    struct bytes event, sdp;
    struct json_doc doc;

    if (st == NULL)
        return false;
    if (data.len > STREAM_SDP_MAX || !stream_charge(st)) {
        outbox_close(&all->hub->out, conn, CLOSE_BAD);
        (void)lightspeed_closed(all, conn); /* it is ours */
        return true;
    }
    if (!text || json_parse(&doc, data, STREAM_SDP_MAX) != 0)
        return true;
    if (json_to_text(json_member(doc.root, "event"), &event) && bytes_eq_str(event, "answer") &&
        json_to_text(json_member(json_member(doc.root, "data"), "sdp"), &sdp))
        on_answer(st, sdp);
    json_close(&doc); /* candidates are learnt from checks */
    return true;
}

bool lightspeed_closed(struct streams *all, uint64_t conn)
{
    struct stream *st = map_find_u64(&all->by_socket, conn);

    if (st == NULL)
        return false;
    unplug(st);
    if (!stream_is_up(st))
        stream_end(st, LIVEKIT__DISCONNECT_REASON__SIGNAL_CLOSE);
    return true;
}

void lightspeed_close(struct streams *all, const char *room)
{
    struct stream *next;

    for (struct stream *st = all->first[STREAM_LIGHTSPEED]; st != NULL; st = next) {
        next = st->next;
        if (strcmp(st->room, room) != 0)
            continue;
        if (st->socket != 0) {
            (void)map_take_u64(&all->by_socket, st->socket); /* it is there */
            outbox_close(&all->hub->out, st->socket, CLOSE_OVER);
            st->socket = 0;
        }
        stream_end(st, LIVEKIT__DISCONNECT_REASON__ROOM_CLOSED);
    }
}

/* ---- what the session says ---- */

void lightspeed_news(struct stream *st, uint64_t heard)
{
    const Livekit__SignalResponse *m;

    (void)heard;
    while (!st->voice.over && (m = voice_next(&st->voice)) != NULL) {
        if (m->message_case != LIVEKIT__SIGNAL_RESPONSE__MESSAGE_OFFER)
            continue;
        if (st->said != NULL)
            say_answer(st); /* the page's sections stand open: it agrees as before */
        else
            say_offer(st, m->offer->sdp);
    }
    if (!st->voice.over)
        return;
    if (st->socket != 0) {
        uint64_t socket = st->socket;
        unplug(st);
        outbox_close(&st->all->hub->out, socket, CLOSE_OVER); /* the page comes again */
    }
    stream_end(st, LIVEKIT__DISCONNECT_REASON__UNKNOWN_REASON);
}

us_t lightspeed_tick(struct streams *all, us_t now)
{
    if (all->first[STREAM_LIGHTSPEED] == NULL)
        return US_NEVER;
    if (now >= all->info_at) {
        all->info_at = now + LIGHTSPEED_INFO_US;
        all->round++;
        for (struct stream *st = all->first[STREAM_LIGHTSPEED]; st != NULL; st = st->next)
            if (st->round != all->round)
                say_info(all, st->room);
    }
    return all->info_at;
}
