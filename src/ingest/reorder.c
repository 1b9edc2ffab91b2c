#include "ingest/reorder.h"

#include "base/err.h"
#include "base/mem.h"

enum { NEXT_QUESTION_US = 1000 }; /* one question holds REORDER_ASK_MAX numbers */

enum slot_state { SLOT_EMPTY, SLOT_MISSING, SLOT_LOST, SLOT_PRESENT };

struct slot {
    uint8_t state;
    uint8_t tries;
    bool marker;
    uint16_t len;
    uint32_t ts;
    us_t gap_at, asked_at, ask_at; /* while missing */
    uint8_t *buf;                  /* REORDER_PACKET_MAX bytes, kept for the next */
};

struct reorder {
    unsigned slots;
    struct slot *slot;
    bool started;
    uint64_t next;   /* to go out */
    uint64_t newest; /* seen; next <= newest + 1 */
    unsigned missing_n;
    uint32_t lost_n; /* given up since the last packet out */
    us_t wait_us;    /* before the first question */
    us_t rtt_us;
    bool suspect; /* the last packet was a jump, to suspect_seq */
    uint16_t suspect_seq;
    us_t due_at;
    struct reorder_counts counts;
};

int reorder_open(struct reorder **ret, unsigned slots)
{
    struct reorder *r = mem_zero(sizeof *r);

    assert(slots > 0 && slots <= REORDER_SLOTS_MAX && (slots & (slots - 1)) == 0);
    if (r == NULL)
        return E_NOMEM;
    r->slots = slots;
    r->next = 1; /* one past newest: nothing there */
    r->wait_us = REORDER_WAIT_US;
    r->due_at = US_NEVER;
    r->slot = mem_array(slots, sizeof *r->slot);
    if (r->slot == NULL) {
        mem_free(r);
        return E_NOMEM;
    }
    *ret = r;
    return 0;
}

void reorder_free(struct reorder *r)
{
    if (r == NULL)
        return;
    for (unsigned i = 0; i < r->slots; i++)
        mem_free(r->slot[i].buf);
    mem_free(r->slot);
    mem_free(r);
}

static struct slot *slot_of(const struct reorder *r, uint64_t seq)
{
    return &r->slot[seq & (r->slots - 1)];
}

/* The slot of a number that goes by unheard. */
static void forget(struct reorder *r, uint64_t seq)
{
    struct slot *s = slot_of(r, seq);

    if (s->state == SLOT_MISSING)
        r->missing_n--;
    r->lost_n++;
    r->counts.lost++;
    s->state = SLOT_EMPTY;
}

static void give_up(struct reorder *r, struct slot *s)
{
    assert(s->state == SLOT_MISSING);
    s->state = SLOT_LOST;
    r->missing_n--;
}

/* Everything goes, and numbers begin at `seq`. */
static void restart(struct reorder *r, uint64_t seq)
{
    for (unsigned i = 0; i < r->slots; i++)
        r->slot[i].state = SLOT_EMPTY;
    r->missing_n = 0;
    r->next = seq;
    r->newest = seq - 1; /* seq is at least one round of 2^16 up */
}

static void open_gap(struct reorder *r, uint64_t to, us_t now)
{
    for (uint64_t seq = r->newest + 1; seq < to; seq++) {
        struct slot *s = slot_of(r, seq);
        assert(s->state == SLOT_EMPTY);
        s->state = SLOT_MISSING;
        s->tries = 0;
        s->gap_at = now;
        s->ask_at = now + r->wait_us;
        r->missing_n++;
    }
    for (uint64_t seq = r->next; r->missing_n > REORDER_MISSING_MAX; seq++) {
        if (slot_of(r, seq)->state == SLOT_MISSING)
            give_up(r, slot_of(r, seq));
    }
}

/* Packets later than a gap prove it, on a path that has kept order so far. */
static void prove_gaps(struct reorder *r, us_t now)
{
    if (r->missing_n == 0 || r->wait_us > REORDER_WAIT_US || r->newest < r->next + REORDER_LATER_N)
        return;
    unsigned left = r->missing_n;
    for (uint64_t seq = r->next; seq + REORDER_LATER_N <= r->newest && left > 0; seq++) {
        struct slot *s = slot_of(r, seq);
        left -= s->state == SLOT_MISSING;
        if (s->state == SLOT_MISSING && s->tries == 0)
            s->ask_at = us_min(s->ask_at, now);
    }
}

static void plan(struct reorder *r)
{
    unsigned left = r->missing_n;

    r->due_at = US_NEVER;
    for (uint64_t seq = r->next; left > 0; seq++) {
        const struct slot *s = slot_of(r, seq);
        left -= s->state == SLOT_MISSING;
        if (s->state == SLOT_MISSING)
            r->due_at = us_min(r->due_at, s->ask_at);
    }
}

/* A missing packet came: what it says about the path. */
static void learn(struct reorder *r, const struct slot *s, us_t now)
{
    r->counts.recovered++;
    if (s->tries == 0) {
        r->wait_us = us_clamp((now - s->gap_at) * 3 / 2, r->wait_us, REORDER_WAIT_MAX_US);
    } else if (s->tries == 1) { /* of a repeated question nobody knows which was answered */
        us_t rtt = us_max(now - s->asked_at, 1);
        r->rtt_us = r->rtt_us == 0 ? rtt : (7 * r->rtt_us + rtt) / 8;
    }
}

static bool store(struct reorder *r, uint64_t seq, uint32_t ts, bool marker, struct bytes payload)
{
    struct slot *s = slot_of(r, seq);

    if (s->buf == NULL)
        s->buf = mem_zero(REORDER_PACKET_MAX);
    if (s->buf == NULL)
        return false;
    memcpy(s->buf, payload.p, payload.len);
    s->state = SLOT_PRESENT;
    s->len = (uint16_t)payload.len;
    s->ts = ts;
    s->marker = marker;
    return true;
}

/* The number beyond 16 bits; false for a jump that is not proven yet. */
static bool unwrap(struct reorder *r, uint16_t seq, uint64_t *out)
{
    if (!r->started) {
        r->started = true;
        *out = (1u << 16) + (uint64_t)seq;
        restart(r, seq <= REORDER_FIRST_MAX ? 1u << 16 : *out);
        return true;
    }
    int16_t delta = (int16_t)(uint16_t)(seq - (uint16_t)r->newest);
    if (delta > -REORDER_JUMP_MAX && delta < REORDER_JUMP_MAX) {
        *out = r->newest + (uint64_t)(int64_t)delta;
        r->suspect = false;
        return true;
    }
    bool proven = r->suspect && seq == (uint16_t)(r->suspect_seq + 1);
    r->suspect = true;
    r->suspect_seq = seq;
    if (!proven)
        return false;
    *out = (r->newest | 0xffff) + 1 + (1u << 16) + seq;
    restart(r, *out);
    r->suspect = false;
    r->lost_n++; /* whoever listens shall know of the seam */
    r->counts.restarts++;
    return true;
}

enum reorder_seen reorder_seen(struct reorder *r, uint16_t seq, uint32_t ts, bool marker,
                               struct bytes payload, us_t now)
{
    uint64_t ext;

    assert(payload.len <= REORDER_PACKET_MAX);
    if (!unwrap(r, seq, &ext))
        return REORDER_JUMP;
    r->counts.received++;
    if (ext < r->next) {
        r->counts.late++;
        return REORDER_LATE;
    }
    for (; ext >= r->next + r->slots; r->next++)
        forget(r, r->next);
    if (r->newest + 1 < r->next)
        r->newest = r->next - 1;
    struct slot *s = slot_of(r, ext);
    if (s->state == SLOT_PRESENT) {
        r->counts.duplicates++;
        return REORDER_DUPLICATE;
    }
    if (ext > r->newest) {
        open_gap(r, ext, now);
        r->newest = ext;
    } else if (s->state == SLOT_MISSING) {
        learn(r, s, now);
        r->missing_n--;
    }
    if (!store(r, ext, ts, marker, payload))
        s->state = SLOT_LOST;
    prove_gaps(r, now);
    plan(r);
    return REORDER_TAKEN;
}

bool reorder_next(struct reorder *r, struct reorder_packet *out)
{
    while (r->next <= r->newest) {
        struct slot *s = slot_of(r, r->next);
        if (s->state == SLOT_MISSING)
            return false;
        if (s->state != SLOT_PRESENT) {
            forget(r, r->next++);
            continue;
        }
        *out = (struct reorder_packet){
            .ts = s->ts,
            .marker = s->marker,
            .payload = bytes_of(s->buf, s->len),
            .lost_n = r->lost_n,
        };
        r->lost_n = 0;
        s->state = SLOT_EMPTY; /* its bytes stay until somebody else needs the slot */
        r->next++;
        return true;
    }
    return false;
}

unsigned reorder_due(struct reorder *r, us_t now, uint16_t out[REORDER_ASK_MAX])
{
    us_t patience =
        us_clamp(4 * r->rtt_us + 60 * US_PER_MS, REORDER_GIVE_UP_MIN_US, REORDER_GIVE_UP_MAX_US);
    us_t retry =
        r->rtt_us == 0 ? REORDER_RETRY_UNKNOWN_US : us_max(r->rtt_us * 5 / 4, REORDER_RETRY_MIN_US);
    unsigned left = r->missing_n, n = 0;

    if (now < r->due_at)
        return 0;
    for (uint64_t seq = r->next; left > 0; seq++) {
        struct slot *s = slot_of(r, seq);
        left -= s->state == SLOT_MISSING;
        if (s->state != SLOT_MISSING || now < s->ask_at)
            continue;
        if (now - s->gap_at >= patience) {
            give_up(r, s);
        } else if (n < REORDER_ASK_MAX) {
            out[n++] = (uint16_t)seq;
            s->tries = (uint8_t)u32_min(s->tries + 1u, 255);
            s->asked_at = now;
            s->ask_at = us_min(now + retry, s->gap_at + patience);
            r->counts.asked++;
        } else {
            s->ask_at = now + NEXT_QUESTION_US;
        }
    }
    plan(r);
    return n;
}

us_t reorder_deadline(const struct reorder *r)
{
    return r->due_at;
}

us_t reorder_rtt_us(const struct reorder *r)
{
    return r->rtt_us;
}

const struct reorder_counts *reorder_counts(const struct reorder *r)
{
    return &r->counts;
}
