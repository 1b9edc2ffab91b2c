#include "rtc/assoc.h"

#include "base/err.h"
#include "base/map.h"
#include "base/mem.h"
#include "rtc/dcep.h"

#include <sched.h>
#include <usrsctp.h>

enum {
    PORT = 5000, /* RFC 8841 a=sctp-port; the same on both sides */
    /* A ceiling.  usrsctp hands out parts from a quarter on: four largest messages, with mbufs. */
    RECV_BUFFER = 4 * 72 * 1024,
    SEND_BUFFER = 128 * 1024,    /* the largest message fits whole */
    PACKETS_MAX = 512,           /* waiting for assoc_output; the newest is shed, SCTP repeats it */
    MSG_OVERHEAD = 64,           /* what a queued message costs beside its bytes */
    LINGER_US = 5 * 1000 * 1000, /* usrsctp frees closed sockets from a timer */

    RTO_MIN_MS = 250,
    RTO_INITIAL_MS = 500,
    RTO_MAX_MS = 3000, /* after a silence the next try is at most this far away */
    SACK_DELAY_MS = 50,
    ATTEMPTS_MAX = 40,     /* about 115 s: ICE gives up long before */
    HEADER_BYTES = 12,     /* SCTP common header */
    FINISH_TRIES = 200000, /* a second or two at most: that thread may wait for a core */
};

/* RFC 8831 s8: payload protocol identifiers */
enum {
    PPID_DCEP = 50,
    PPID_STRING = 51,
    PPID_BINARY = 53,
    PPID_STRING_EMPTY = 56,
    PPID_BINARY_EMPTY = 57,
};

enum chan_state {
    CHAN_OPENING, /* our OPEN is on its way */
    CHAN_OPEN,
    CHAN_CLOSING, /* gone when both directions of the stream are reset */
};

struct chan {
    enum chan_state state;
    uint16_t id;
    bool ordered, remote;
    bool silent;              /* refused on OPEN: the owner never heard of it */
    bool in_reset, out_reset; /* directions done */
    bool reset_sent;
    bool timed;    /* `limit` is milliseconds */
    int32_t limit; /* retransmissions or milliseconds; -1: reliable */
    uint32_t queued_n;
    char label[ASSOC_LABEL_MAX];
};

struct packet {
    struct packet *next;
    size_t len;
    uint8_t data[];
};

struct msg {
    struct msg *next;
    uint32_t ppid;
    uint16_t id;
    bool unordered, timed;
    int32_t limit;
    size_t len;
    uint8_t data[];
};

struct assoc {
    uint64_t id, owner;
    struct socket *so; /* NULL once down */
    bool even, started, up, down, down_told;
    bool discarding;  /* the rest of a message over the limit is on its way */
    bool dirty;       /* in the pool's list */
    uint16_t streams; /* outgoing, as negotiated */
    uint16_t resets_due;
    struct assoc *dirty_prev, *dirty_next;
    struct packet *out_first, *out_last;
    uint32_t out_n;
    struct msg *msg_first, *msg_last;
    size_t queued_bytes;
    struct chan *chan; /* [chan_cap], the first chan_n in use */
    uint16_t chan_n, chan_cap;
    struct assoc_stats stats;
};

/* usrsctp is one per process, and so is what drives it. */
static struct {
    bool ready, library_up; /* library_up outlives ready when usrsctp would not end */
    uint64_t next_id;
    uint32_t live_n;
    us_t ticked_at, busy_until, linger_until;
    struct map by_id;
    struct assoc *dirty_first, *dirty_last;
    /* One more than a message, to notice one over the limit.  Notifications are read here too. */
    _Alignas(8) uint8_t buf[ASSOC_MESSAGE_MAX + 1];
} pool;

/* --- what the library calls --- */

static void mark(struct assoc *s)
{
    if (s->dirty)
        return;
    s->dirty = true;
    s->dirty_next = NULL;
    s->dirty_prev = pool.dirty_last;
    if (pool.dirty_last != NULL)
        pool.dirty_last->dirty_next = s;
    else
        pool.dirty_first = s;
    pool.dirty_last = s;
}

static void unmark(struct assoc *s)
{
    if (!s->dirty)
        return;
    if (s->dirty_prev != NULL)
        s->dirty_prev->dirty_next = s->dirty_next;
    else
        pool.dirty_first = s->dirty_next;
    if (s->dirty_next != NULL)
        s->dirty_next->dirty_prev = s->dirty_prev;
    else
        pool.dirty_last = s->dirty_prev;
    s->dirty = false;
    s->dirty_prev = s->dirty_next = NULL;
}

static struct assoc *by_addr(const void *addr)
{
    return map_find_u64(&pool.by_id, (uint64_t)(uintptr_t)addr);
}

static int packet_ready(void *addr, void *data, size_t len, uint8_t tos UNUSED, uint8_t df UNUSED)
{
    struct assoc *s = by_addr(addr);

    if (s == NULL || s->out_n == PACKETS_MAX || len > ASSOC_PACKET_MAX)
        return 0; /* shed: SCTP recovers as from any loss */
    struct packet *p = mem_zero(sizeof *p + len);
    if (p == NULL)
        return ENOMEM;
    p->len = len;
    memcpy(p->data, data, len);
    if (s->out_last != NULL)
        s->out_last->next = p;
    else
        s->out_first = p;
    s->out_last = p;
    s->out_n++;
    mark(s);
    return 0;
}

static void socket_stirred(struct socket *so UNUSED, void *addr, int flags UNUSED)
{
    struct assoc *s = by_addr(addr);

    if (s != NULL)
        mark(s);
}

/* --- pool --- */

static void set_defaults(void)
{
    usrsctp_sysctl_set_sctp_ecn_enable(0);
    usrsctp_sysctl_set_sctp_asconf_enable(0);
    usrsctp_sysctl_set_sctp_auth_enable(0);
    usrsctp_sysctl_set_sctp_nrsack_enable(0);
    usrsctp_sysctl_set_sctp_pktdrop_enable(0);
    usrsctp_sysctl_set_sctp_auto_asconf(0);
    usrsctp_sysctl_set_sctp_reconfig_enable(1);
    usrsctp_sysctl_set_sctp_pr_enable(1);
    usrsctp_sysctl_set_sctp_sendspace(SEND_BUFFER);
    usrsctp_sysctl_set_sctp_recvspace(RECV_BUFFER);
    usrsctp_sysctl_set_sctp_rto_min_default(RTO_MIN_MS);
    usrsctp_sysctl_set_sctp_rto_initial_default(RTO_INITIAL_MS);
    usrsctp_sysctl_set_sctp_rto_max_default(RTO_MAX_MS);
    usrsctp_sysctl_set_sctp_init_rto_max_default(RTO_MAX_MS);
    usrsctp_sysctl_set_sctp_init_rtx_max_default(ATTEMPTS_MAX);
    usrsctp_sysctl_set_sctp_assoc_rtx_max_default(ATTEMPTS_MAX);
    usrsctp_sysctl_set_sctp_path_rtx_max_default(ATTEMPTS_MAX);
    usrsctp_sysctl_set_sctp_delayed_sack_time_default(SACK_DELAY_MS);
    usrsctp_sysctl_set_sctp_nr_outgoing_streams_default(ASSOC_STREAMS);
    usrsctp_sysctl_set_sctp_nr_incoming_streams_default(ASSOC_STREAMS);
    /* An unreliable message is not lingered over: RFC 3758 abandons at the next chance. */
    usrsctp_sysctl_set_sctp_heartbeat_interval_default(0);
}

int assoc_pool_init(void)
{
    assert(!pool.ready);
    if (!pool.library_up)
        usrsctp_init_nothreads(0, packet_ready, NULL);
    set_defaults();
    memset(&pool, 0, sizeof pool);
    map_init(&pool.by_id, 0);
    pool.ready = pool.library_up = true;
    return 0;
}

void assoc_pool_fini(void)
{
    assert(pool.ready);
    assert(pool.live_n == 0);
    /* Closed sockets end from timers and in a thread of the library's; else it stays up. */
    for (int i = 0; i < FINISH_TRIES && pool.library_up; i++) {
        usrsctp_handle_timers(100);
        (void)sched_yield(); /* always 0 on Linux */
        pool.library_up = usrsctp_finish() != 0;
    }
    map_fini(&pool.by_id);
    pool.ready = false;
}

static void advance(us_t now)
{
    if (pool.ticked_at == 0 || now < pool.ticked_at)
        pool.ticked_at = now;
    us_t ms = (now - pool.ticked_at) / US_PER_MS;
    if (ms == 0)
        return;
    pool.ticked_at += ms * US_PER_MS;
    usrsctp_handle_timers((uint32_t)us_min(ms, UINT32_MAX));
}

us_t assoc_pool_deadline(void)
{
    if (pool.live_n == 0 && pool.ticked_at >= pool.linger_until)
        return US_NEVER;
    return pool.ticked_at + (pool.ticked_at < pool.busy_until ? ASSOC_TICK_US : ASSOC_IDLE_TICK_US);
}

void assoc_pool_tick(us_t now)
{
    if (now >= assoc_pool_deadline()) /* the library walks the timers of everybody each time */
        advance(now);
}

struct assoc *assoc_pool_pending(void)
{
    struct assoc *s = pool.dirty_first;

    if (s != NULL)
        unmark(s);
    return s;
}

/* --- open and free --- */

static int set_option(struct assoc *s, int option, const void *value, size_t len)
{
    return usrsctp_setsockopt(s->so, IPPROTO_SCTP, option, value, (socklen_t)len);
}

static bool subscribe(struct assoc *s, uint16_t type)
{
    struct sctp_event ev = {.se_assoc_id = SCTP_FUTURE_ASSOC, .se_type = type, .se_on = 1};

    return set_option(s, SCTP_EVENT, &ev, sizeof ev) == 0;
}

static bool configure(struct assoc *s)
{
    const int on = 1;
    const struct linger abort_on_close = {.l_onoff = 1, .l_linger = 0};
    const struct sctp_assoc_value resets = {
        .assoc_id = SCTP_FUTURE_ASSOC,
        .assoc_value = SCTP_ENABLE_RESET_STREAM_REQ,
    };
    const struct sctp_initmsg init = {
        .sinit_num_ostreams = ASSOC_STREAMS,
        .sinit_max_instreams = ASSOC_STREAMS,
    };
    struct sctp_paddrparams path = {
        .spp_flags = SPP_PMTUD_DISABLE | SPP_HB_DISABLE, /* DTLS bounds the size, ICE the silence */
        .spp_pathmtu = ASSOC_PACKET_MAX - HEADER_BYTES,  /* the library adds the header */
    };
    struct sockaddr_conn addr = {
        .sconn_family = AF_CONN,
        .sconn_port = htons(PORT),
        .sconn_addr = (void *)(uintptr_t)s->id,
    };

    return usrsctp_set_non_blocking(s->so, 1) == 0 &&
           usrsctp_setsockopt(s->so, SOL_SOCKET, SO_LINGER, &abort_on_close,
                              sizeof abort_on_close) == 0 &&
           set_option(s, SCTP_NODELAY, &on, sizeof on) == 0 &&
           set_option(s, SCTP_RECVRCVINFO, &on, sizeof on) == 0 &&
           set_option(s, SCTP_ENABLE_STREAM_RESET, &resets, sizeof resets) == 0 &&
           set_option(s, SCTP_INITMSG, &init, sizeof init) == 0 &&
           set_option(s, SCTP_PEER_ADDR_PARAMS, &path, sizeof path) == 0 &&
           subscribe(s, SCTP_ASSOC_CHANGE) && subscribe(s, SCTP_STREAM_RESET_EVENT) &&
           usrsctp_bind(s->so, (struct sockaddr *)&addr, sizeof addr) == 0 &&
           usrsctp_set_upcall(s->so, socket_stirred, addr.sconn_addr) == 0;
}

int assoc_open(struct assoc **ret, bool even_ids, us_t now)
{
    assert(pool.ready);
    advance(now);
    struct assoc *s = mem_zero(sizeof *s);
    if (s == NULL)
        return E_NOMEM;
    s->id = ++pool.next_id;
    s->even = even_ids;
    s->streams = ASSOC_STREAMS;
    pool.live_n++;
    if (!map_put_u64(&pool.by_id, s->id, s)) {
        assoc_free(s);
        return E_NOMEM;
    }
    usrsctp_register_address((void *)(uintptr_t)s->id);
    s->so = usrsctp_socket(AF_CONN, SOCK_STREAM, IPPROTO_SCTP, NULL, NULL, 0, NULL);
    if (s->so == NULL || !configure(s)) {
        assoc_free(s);
        return E_LIBRARY;
    }
    *ret = s;
    return 0;
}

static void queue_clear(struct assoc *s)
{
    while (s->msg_first != NULL) {
        struct msg *m = s->msg_first;
        s->msg_first = m->next;
        mem_free(m);
    }
    s->msg_last = NULL;
    s->queued_bytes = 0;
}

static void socket_close(struct assoc *s)
{
    if (s->so == NULL)
        return;
    usrsctp_close(s->so);
    usrsctp_deregister_address((void *)(uintptr_t)s->id);
    s->so = NULL;
    pool.linger_until = pool.ticked_at + LINGER_US;
}

void assoc_free(struct assoc *s)
{
    if (s == NULL)
        return;
    (void)map_take_u64(&pool.by_id, s->id); /* first: what close() still says goes nowhere */
    socket_close(s);
    unmark(s);
    queue_clear(s);
    while (s->out_first != NULL) {
        struct packet *p = s->out_first;
        s->out_first = p->next;
        mem_free(p);
    }
    mem_free(s->chan);
    mem_free(s);
    pool.live_n--;
}

void assoc_set_owner(struct assoc *s, uint64_t owner)
{
    s->owner = owner;
}

uint64_t assoc_owner(const struct assoc *s)
{
    return s->owner;
}

/* The association is over; the owner hears of it once. */
static void go_down(struct assoc *s)
{
    if (s->down)
        return;
    s->down = true;
    s->up = false;
    queue_clear(s);
    mark(s);
}

void assoc_start(struct assoc *s, us_t now)
{
    struct sockaddr_conn addr = {
        .sconn_family = AF_CONN,
        .sconn_port = htons(PORT),
        .sconn_addr = (void *)(uintptr_t)s->id,
    };

    if (s->started || s->down)
        return;
    advance(now);
    s->started = true;
    pool.busy_until = now + ASSOC_IDLE_US;
    if (usrsctp_connect(s->so, (struct sockaddr *)&addr, sizeof addr) != 0 && errno != EINPROGRESS)
        go_down(s);
}

/* --- channels --- */

static struct chan *chan_find(struct assoc *s, uint16_t id)
{
    for (uint16_t i = 0; i < s->chan_n; i++) {
        if (s->chan[i].id == id)
            return &s->chan[i];
    }
    return NULL;
}

static struct chan *chan_add(struct assoc *s, uint16_t id)
{
    if (s->chan_n == ASSOC_CHANNELS_MAX)
        return NULL;
    if (s->chan_n == s->chan_cap) {
        uint16_t cap = s->chan_cap == 0 ? 4 : (uint16_t)(s->chan_cap * 2);
        struct chan *grown = mem_resize(s->chan, cap * sizeof *grown);
        if (grown == NULL)
            return NULL;
        s->chan = grown;
        s->chan_cap = cap;
    }
    struct chan *c = &s->chan[s->chan_n++];
    *c = (struct chan){.id = id, .ordered = true, .limit = -1};
    return c;
}

static void chan_remove(struct assoc *s, struct chan *c)
{
    *c = s->chan[--s->chan_n];
}

static void chan_close(struct assoc *s, struct chan *c)
{
    if (c->state == CHAN_CLOSING)
        return;
    c->state = CHAN_CLOSING;
    s->resets_due++;
    mark(s);
}

/* --- sending --- */

/* 0, E_AGAIN (library's buffer full), E_CLOSED, E_LIBRARY. */
static int send_now(struct assoc *s, const struct msg *m, const uint8_t *data)
{
    struct sctp_sendv_spa spa = {
        .sendv_flags = SCTP_SEND_SNDINFO_VALID,
        .sendv_sndinfo.snd_sid = m->id,
        .sendv_sndinfo.snd_ppid = htonl(m->ppid),
        .sendv_sndinfo.snd_flags = m->unordered ? SCTP_UNORDERED : 0,
    };

    if (m->limit >= 0) {
        spa.sendv_flags |= SCTP_SEND_PRINFO_VALID;
        spa.sendv_prinfo.pr_policy = m->timed ? SCTP_PR_SCTP_TTL : SCTP_PR_SCTP_RTX;
        spa.sendv_prinfo.pr_value = (uint32_t)m->limit;
    }
    ssize_t n = usrsctp_sendv(s->so, data, m->len, NULL, 0, &spa, sizeof spa, SCTP_SENDV_SPA, 0);
    if (n >= 0)
        return 0;
    if (errno == EAGAIN || errno == ENOBUFS)
        return E_AGAIN;
    return errno == EPIPE || errno == ENOTCONN || errno == ECONNRESET ? E_CLOSED : E_LIBRARY;
}

static int enqueue(struct assoc *s, struct chan *c, const struct msg *head, const uint8_t *data)
{
    size_t cost = head->len + MSG_OVERHEAD;

    if (head->limit >= 0 && s->queued_bytes + cost > ASSOC_LOSSY_QUEUE_MAX) {
        s->stats.drop_lossy++;
        return 0;
    }
    if (s->queued_bytes + cost > ASSOC_QUEUE_MAX)
        return E_LIMIT;
    struct msg *m = mem_zero(sizeof *m + head->len);
    if (m == NULL)
        return E_NOMEM;
    *m = *head;
    memcpy(m->data, data, head->len);
    if (s->msg_last != NULL)
        s->msg_last->next = m;
    else
        s->msg_first = m;
    s->msg_last = m;
    s->queued_bytes += cost;
    c->queued_n++;
    return 0;
}

/* Sends at once when nothing waits, queues otherwise. */
static int submit(struct assoc *s, struct chan *c, const struct msg *head, const uint8_t *data)
{
    pool.busy_until = pool.ticked_at + ASSOC_IDLE_US;
    if (s->up && s->msg_first == NULL) {
        int err = send_now(s, head, data);
        if (err != E_AGAIN)
            return err;
    }
    return enqueue(s, c, head, data);
}

static int send_dcep(struct assoc *s, struct chan *c, struct bytes data)
{
    const struct msg head = {.ppid = PPID_DCEP, .id = c->id, .limit = -1, .len = data.len};

    return submit(s, c, &head, data.p);
}

static void flush(struct assoc *s)
{
    while (s->up && s->msg_first != NULL) {
        struct msg *m = s->msg_first;
        if (send_now(s, m, m->data) == E_AGAIN)
            return;
        struct chan *c = chan_find(s, m->id); /* refused for good: dropped like a sent one */
        if (c != NULL)
            c->queued_n--;
        s->msg_first = m->next;
        if (s->msg_first == NULL)
            s->msg_last = NULL;
        s->queued_bytes -= m->len + MSG_OVERHEAD;
        mem_free(m);
    }
}

/* One request may be outstanding at a time (RFC 6525 s5.1.1), so this is tried again until the
 * library takes it. */
static void send_resets(struct assoc *s)
{
    /* The library's struct ends in a list of stream numbers. */
    _Alignas(struct sctp_reset_streams)
        uint8_t buf[sizeof(struct sctp_reset_streams) + ASSOC_CHANNELS_MAX * sizeof(uint16_t)] = {
            0};
    struct sctp_reset_streams *req = (void *)buf;
    uint16_t n = 0;

    if (!s->up || s->resets_due == 0)
        return;
    for (uint16_t i = 0; i < s->chan_n; i++) {
        struct chan *c = &s->chan[i];
        if (c->state == CHAN_CLOSING && !c->reset_sent && c->queued_n == 0)
            req->srs_stream_list[n++] = c->id;
    }
    if (n == 0)
        return;
    req->srs_flags = SCTP_STREAM_RESET_OUTGOING;
    req->srs_number_streams = n;
    if (set_option(s, SCTP_RESET_STREAMS, req,
                   offsetof(struct sctp_reset_streams, srs_stream_list) + n * sizeof(uint16_t)) !=
        0)
        return;
    for (uint16_t i = 0; i < s->chan_n; i++) {
        struct chan *c = &s->chan[i];
        if (c->state == CHAN_CLOSING && !c->reset_sent && c->queued_n == 0) {
            c->reset_sent = true;
            s->resets_due--;
        }
    }
}

int assoc_channel_open(struct assoc *s, const struct assoc_channel_cfg *cfg, uint16_t *id)
{
    uint8_t buf[DCEP_OPEN_BYTES + ASSOC_LABEL_MAX];
    struct wr w = wr_of(buf, sizeof buf);
    struct dcep_open open = {
        .ordered = cfg->ordered,
        .limit = cfg->max_retransmits < 0 ? -1 : cfg->max_retransmits,
        .label = bytes_str(cfg->label),
    };
    uint16_t at = s->even ? 0 : 1;

    if (s->down)
        return E_CLOSED;
    if (open.label.len >= ASSOC_LABEL_MAX)
        return E_TOO_LARGE;
    while (at < s->streams && chan_find(s, at) != NULL)
        at = (uint16_t)(at + 2);
    if (at >= s->streams)
        return E_LIMIT;
    struct chan *c = chan_add(s, at);
    if (c == NULL)
        return s->chan_n == ASSOC_CHANNELS_MAX ? E_LIMIT : E_NOMEM;
    c->ordered = cfg->ordered;
    c->limit = cfg->max_retransmits;
    memcpy(c->label, open.label.p, open.label.len);

    dcep_write_open(&w, &open);
    assert(wr_ok(&w));
    int err = send_dcep(s, c, wr_done(&w));
    if (err) {
        chan_remove(s, c);
        return err;
    }
    *id = at;
    return 0;
}

void assoc_channel_close(struct assoc *s, uint16_t id)
{
    struct chan *c = chan_find(s, id);

    if (c == NULL || s->down)
        return;
    chan_close(s, c);
    send_resets(s);
}

int assoc_send(struct assoc *s, uint16_t id, struct bytes data, bool binary)
{
    static const uint8_t zero; /* RFC 8831 s6.6: SCTP has no empty messages */

    if (s->down)
        return E_CLOSED;
    struct chan *c = chan_find(s, id);
    if (c == NULL || c->state == CHAN_CLOSING)
        return E_NOENT;
    if (data.len > ASSOC_MESSAGE_MAX)
        return E_TOO_LARGE;
    struct msg head = {
        .ppid = binary ? PPID_BINARY : PPID_STRING,
        .id = id,
        .unordered = !c->ordered && c->state == CHAN_OPEN, /* RFC 8832 s6: ordered until the ACK */
        .timed = c->timed,
        .limit = c->limit,
        .len = data.len,
    };
    if (data.len == 0) {
        head.ppid = binary ? PPID_BINARY_EMPTY : PPID_STRING_EMPTY;
        head.len = 1;
        data.p = &zero;
    }
    int err = submit(s, c, &head, data.p);
    if (err == 0)
        s->stats.messages_out++;
    return err;
}

size_t assoc_queued(const struct assoc *s)
{
    return s->queued_bytes;
}

void assoc_get_stats(const struct assoc *s, struct assoc_stats *st)
{
    *st = s->stats;
}

/* --- receiving --- */

void assoc_input(struct assoc *s, struct bytes packet, us_t now)
{
    if (s->so == NULL || s->down || packet.len < HEADER_BYTES)
        return;
    advance(now);
    pool.busy_until = now + ASSOC_IDLE_US;
    usrsctp_conninput((void *)(uintptr_t)s->id, packet.p, packet.len, 0);
    flush(s);
    send_resets(s);
    mark(s);
}

bool assoc_output(struct assoc *s, struct wr *w)
{
    struct packet *p = s->out_first;

    if (p == NULL || wr_left(w) < p->len)
        return false;
    wr_bytes(w, bytes_of(p->data, p->len));
    s->out_first = p->next;
    if (s->out_first == NULL)
        s->out_last = NULL;
    s->out_n--;
    mem_free(p);
    return true;
}

static void tell_channel(struct assoc_event *ev, enum assoc_event_kind kind, const struct chan *c)
{
    *ev = (struct assoc_event){
        .kind = kind,
        .id = c->id,
        .ordered = c->ordered,
        .reliable = c->limit < 0,
        .remote = c->remote,
    };
    memcpy(ev->label, c->label, sizeof ev->label);
}

/* Refuse what the other side opened: reset the stream without a word to the owner. */
static void refuse(struct assoc *s, uint16_t id)
{
    s->stats.drop_malformed++;
    if (id >= s->streams)
        return;
    struct chan *c = chan_add(s, id);
    if (c == NULL)
        return;
    c->silent = true;
    chan_close(s, c);
    send_resets(s);
}

static bool read_open(struct bytes message, struct chan *c)
{
    struct dcep_open o;

    if (!dcep_read_open(message, &o) || o.label.len >= ASSOC_LABEL_MAX ||
        memchr(o.label.p, 0, o.label.len) != NULL)
        return false;
    c->ordered = o.ordered;
    c->timed = o.timed;
    c->limit = o.limit;
    memcpy(c->label, o.label.p, o.label.len);
    return true;
}

/* True when the owner must hear of it. */
static bool dcep_input(struct assoc *s, uint16_t id, struct bytes data, struct assoc_event *ev)
{
    static const uint8_t ack = DCEP_ACK;
    uint8_t kind = data.len > 0 ? data.p[0] : 0;
    struct chan *c = chan_find(s, id);

    if (kind == DCEP_ACK && c != NULL && !c->remote && c->state == CHAN_OPENING) {
        c->state = CHAN_OPEN;
        tell_channel(ev, ASSOC_EVT_OPEN, c);
        return true;
    }
    if (kind != DCEP_OPEN) {
        s->stats.drop_malformed++;
        return false;
    }
    if (c != NULL) { /* opened twice, or an id of ours */
        s->stats.drop_malformed++;
        chan_close(s, c);
        send_resets(s);
        return false;
    }
    struct chan wish = {.state = CHAN_OPEN, .id = id, .remote = true};
    if ((id % 2 == 0) == s->even || id >= s->streams || !read_open(data, &wish)) {
        refuse(s, id);
        return false;
    }
    c = chan_add(s, id);
    if (c == NULL) {
        s->stats.drop_malformed++;
        return false;
    }
    *c = wish;
    (void)send_dcep(s, c, bytes_of(&ack, 1)); /* without memory the other side waits and gives up */
    tell_channel(ev, ASSOC_EVT_OPEN, c);
    return true;
}

static bool message_input(struct assoc *s, const struct sctp_rcvinfo *info, struct bytes data,
                          struct assoc_event *ev)
{
    struct chan *c = chan_find(s, info->rcv_sid);
    uint32_t ppid = ntohl(info->rcv_ppid);

    if (ppid == PPID_DCEP)
        return dcep_input(s, info->rcv_sid, data, ev);
    bool empty = ppid == PPID_STRING_EMPTY || ppid == PPID_BINARY_EMPTY;
    if (c == NULL || c->silent || c->in_reset ||
        (ppid != PPID_STRING && ppid != PPID_BINARY && !empty)) {
        s->stats.drop_unknown++;
        return false;
    }
    s->stats.messages_in++;
    tell_channel(ev, ASSOC_EVT_MESSAGE, c);
    ev->binary = ppid == PPID_BINARY || ppid == PPID_BINARY_EMPTY;
    ev->data = empty ? bytes_of(data.p, 0) : data;
    return true;
}

static void stream_reset(struct assoc *s, const struct sctp_stream_reset_event *e, size_t len)
{
    size_t n = (len - offsetof(struct sctp_stream_reset_event, strreset_stream_list)) / 2;
    bool in = (e->strreset_flags & SCTP_STREAM_RESET_INCOMING_SSN) != 0;

    for (size_t i = 0; i < n; i++) {
        struct chan *c = chan_find(s, e->strreset_stream_list[i]);
        if (c == NULL)
            continue;
        if (in) {
            c->in_reset = true;
            chan_close(s, c);
        } else if (c->reset_sent) {
            c->out_reset = true; /* denied or failed counts too: nothing more can be done */
        }
    }
}

/* True when the owner must hear of it. */
static bool notice_input(struct assoc *s, struct bytes data, struct assoc_event *ev)
{
    const union sctp_notification *n = (const void *)data.p;

    if (data.len < sizeof n->sn_header || n->sn_header.sn_length > data.len)
        return false;
    switch (n->sn_header.sn_type) {
    case SCTP_ASSOC_CHANGE:
        if (n->sn_assoc_change.sac_state != SCTP_COMM_UP || s->up) {
            go_down(s); /* lost, shut down, never started, or restarted */
            return false;
        }
        s->up = true;
        s->streams = (uint16_t)u32_min(ASSOC_STREAMS, n->sn_assoc_change.sac_outbound_streams);
        flush(s);
        *ev = (struct assoc_event){.kind = ASSOC_EVT_UP};
        return true;
    case SCTP_STREAM_RESET_EVENT:
        stream_reset(s, &n->sn_strreset_event, n->sn_header.sn_length);
        send_resets(s);
        return false;
    default:
        return false;
    }
}

/* A channel of which both directions are reset. */
static bool reap(struct assoc *s, struct assoc_event *ev)
{
    for (uint16_t i = 0; i < s->chan_n; i++) {
        struct chan *c = &s->chan[i];
        if (c->state != CHAN_CLOSING || !c->in_reset || !c->out_reset)
            continue;
        bool silent = c->silent;
        tell_channel(ev, ASSOC_EVT_CHANNEL_CLOSED, c);
        chan_remove(s, c);
        if (!silent)
            return true;
        i--;
    }
    return false;
}

/* One read from the library.  False when it has nothing more; *told when ev was filled. */
static bool take(struct assoc *s, struct assoc_event *ev, bool *told)
{
    struct sctp_rcvinfo info = {0};
    socklen_t info_len = sizeof info;
    unsigned info_type = SCTP_RECVV_NOINFO;
    int flags = 0;

    *told = false;
    ssize_t n = usrsctp_recvv(s->so, pool.buf, sizeof pool.buf, NULL, NULL, &info, &info_len,
                              &info_type, &flags);
    if (n <= 0) {
        if (n == 0 || errno != EAGAIN)
            go_down(s);
        return false;
    }
    struct bytes data = bytes_of(pool.buf, (size_t)n);
    if ((flags & MSG_NOTIFICATION) != 0) {
        *told = notice_input(s, data, ev);
        return true;
    }
    bool whole = (flags & MSG_EOR) != 0;
    if (s->discarding || !whole || data.len > ASSOC_MESSAGE_MAX) {
        s->stats.drop_oversize += !s->discarding;
        s->discarding = !whole;
        return true;
    }
    if (info_type == SCTP_RECVV_RCVINFO)
        *told = message_input(s, &info, data, ev);
    return true;
}

bool assoc_event(struct assoc *s, struct assoc_event *ev)
{
    bool told = false;

    if (!s->down && s->started) {
        flush(s);
        send_resets(s);
        if (reap(s, ev))
            return true;
        while (take(s, ev, &told)) {
            if (told || reap(s, ev))
                return true;
        }
    }
    if (s->down && !s->down_told) {
        s->down_told = true;
        socket_close(s);
        *ev = (struct assoc_event){.kind = ASSOC_EVT_DOWN};
        return true;
    }
    return false;
}
