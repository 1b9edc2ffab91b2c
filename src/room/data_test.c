#include "room/data.h"

#include "base/mem.h"
#include "base/test.h"
#include "wire/pb.h"

struct world {
    struct house house;
    struct room *room;
    struct member *alice, *bob, *agent;
    uint8_t buf[DATA_PACKET_MAX + DATA_GROWTH_MAX];
};

static struct member *join(struct world *w, const char *identity)
{
    struct member_cfg cfg = {.identity = identity, .name = "", .metadata = ""};
    struct member *m = NULL;

    cfg.grant.can_publish_data = true;
    EXPECT_EQ(room_join(w->room, &cfg, &m), 0);
    return m;
}

static void begin(struct world *w)
{
    struct house_cfg cfg = {.seed = 1, .shard_n = 1};

    house_init(&w->house, &cfg);
    EXPECT_EQ(house_create(&w->house, "demo", &w->room), 0);
    w->alice = join(w, "alice");
    w->bob = join(w, "bob");
    w->agent = join(w, "agent");
    w->agent->grant.agent = true;
}

static void end(struct world *w)
{
    house_fini(&w->house);
}

static struct bytes pack(const Livekit__DataPacket *p, struct str *out)
{
    str_init(out, DATA_PACKET_MAX);
    pb_pack(&p->base, out);
    return str_bytes(out);
}

/* What others get of it, unpacked; NULL when it was refused. */
static Livekit__DataPacket *relay(struct world *w, struct member *from, bool reliable,
                                  struct bytes in, struct arena *a)
{
    struct data_packet d;
    struct wr out = wr_of(w->buf, sizeof w->buf);

    if (data_read(&d, in) != 0 || !data_accept(&d, from, reliable))
        return NULL;
    EXPECT_EQ(data_stamp(&d, in, from, reliable, &out), 0);
    Livekit__DataPacket *p = pb_unpack(a, &livekit__data_packet__descriptor, wr_done(&out));
    EXPECT(p != NULL);
    return p;
}

static Livekit__DataPacket user_packet(Livekit__UserPacket *u)
{
    Livekit__DataPacket p = LIVEKIT__DATA_PACKET__INIT;

    livekit__user_packet__init(u);
    u->payload.data = (uint8_t *)"hi";
    u->payload.len = 2;
    p.value_case = LIVEKIT__DATA_PACKET__VALUE_USER;
    p.user = u;
    return p;
}

TEST(subtlety_11_the_senders_names_are_overwritten)
{
    struct world *w = mem_zero(sizeof *w);
    Livekit__UserPacket u;
    Livekit__DataPacket p = user_packet(&u), *q;
    struct arena a;
    struct str raw;

    begin(w);
    arena_init(&a, 1 << 20);
    p.participant_identity = (char *)"mallory";
    p.participant_sid = (char *)"PA_forged";
    u.participant_identity = (char *)"mallory";
    q = relay(w, w->alice, true, pack(&p, &raw), &a);
    EXPECT_STR(q->participant_identity, "alice");
    EXPECT_STR(q->participant_sid, w->alice->sid);
    EXPECT_STR(q->user->participant_identity, "alice");
    EXPECT_STR(q->user->participant_sid, w->alice->sid);
    EXPECT_EQ(q->user->payload.len, 2);
    EXPECT_EQ(q->kind, LIVEKIT__DATA_PACKET__KIND__RELIABLE);
    q = relay(w, w->alice, false, str_bytes(&raw), &a);
    EXPECT_EQ(q->kind, LIVEKIT__DATA_PACKET__KIND__LOSSY);
    w->alice->grant.hidden = true;
    q = relay(w, w->alice, true, str_bytes(&raw), &a);
    EXPECT_STR(q->participant_identity, "");
    EXPECT_STR(q->user->participant_identity, "");
    str_fini(&raw);
    arena_fini(&a);
    end(w);
    mem_free(w);
}

TEST(subtlety_11_a_sequence_is_accepted_once_and_in_order)
{
    struct world *w = mem_zero(sizeof *w);
    Livekit__UserPacket u;
    Livekit__DataPacket p = user_packet(&u);
    struct arena a;
    struct str raw;

    begin(w);
    arena_init(&a, 1 << 20);
    p.sequence = 2;
    struct bytes in = pack(&p, &raw);
    EXPECT(relay(w, w->alice, true, in, &a) != NULL);
    EXPECT(relay(w, w->alice, true, in, &a) == NULL);
    EXPECT_EQ(w->alice->last_sequence, 2);
    EXPECT(relay(w, w->bob, true, in, &a) != NULL); /* each sender counts for itself */
    EXPECT(relay(w, w->alice, false, in, &a) != NULL);
    w->bob->grant.can_publish_data = false;
    EXPECT(relay(w, w->bob, false, in, &a) == NULL);
    str_fini(&raw);
    arena_fini(&a);
    end(w);
    mem_free(w);
}

TEST(subtlety_11_unknown_fields_survive)
{
    struct world *w = mem_zero(sizeof *w);
    /* field 999 = "new", and user with field 77 = 5 */
    struct bytes in = test_hex("ba3e036e6577"
                               "1207"
                               "1202"
                               "6869"
                               "e80405"),
                 body;
    struct data_packet d;
    struct pb_field f;

    begin(w);
    struct wr out = wr_of(w->buf, sizeof w->buf);
    EXPECT_EQ(data_read(&d, in), 0);
    EXPECT(data_accept(&d, w->alice, true));
    EXPECT_EQ(data_stamp(&d, in, w->alice, true, &out), 0);
    EXPECT(pb_field_find(wr_done(&out), 999, &f));
    EXPECT(bytes_eq_str(f.bytes, "new"));
    EXPECT(pb_field_find(wr_done(&out), DATA_USER, &f));
    body = f.bytes;
    EXPECT(pb_field_find(body, 77, &f));
    EXPECT_EQ(f.num, 5);
    end(w);
    mem_free(w);
}

TEST(subtlety_11_an_agent_may_speak_for_another_and_is_marked)
{
    struct world *w = mem_zero(sizeof *w);
    Livekit__DataPacket p = LIVEKIT__DATA_PACKET__INIT, *q;
    Livekit__ChatMessage chat = LIVEKIT__CHAT_MESSAGE__INIT;
    struct arena a;
    struct str raw;

    begin(w);
    arena_init(&a, 1 << 20);
    chat.message = (char *)"hello";
    p.value_case = LIVEKIT__DATA_PACKET__VALUE_CHAT_MESSAGE;
    p.chat_message = &chat;
    p.participant_identity = (char *)"bob";
    struct bytes in = pack(&p, &raw);
    q = relay(w, w->agent, true, in, &a);
    EXPECT_STR(q->participant_identity, "bob");
    EXPECT(q->chat_message->generated);
    EXPECT_STR(q->chat_message->message, "hello");
    q = relay(w, w->alice, true, in, &a);
    EXPECT_STR(q->participant_identity, "alice");
    EXPECT(!q->chat_message->generated);
    str_fini(&raw);
    arena_fini(&a);
    end(w);
    mem_free(w);
}

TEST(subtlety_11_the_sender_never_gets_its_own_and_names_choose_the_rest)
{
    struct world *w = mem_zero(sizeof *w);
    Livekit__UserPacket u;
    Livekit__DataPacket p = user_packet(&u);
    char *dest[] = {(char *)"bob", (char *)"alice", (char *)"nobody"};
    struct data_packet d;
    struct str raw;

    begin(w);
    EXPECT_EQ(data_read(&d, pack(&p, &raw)), 0);
    uint64_t mark = data_mark_targets(&d, w->room, w->alice);
    EXPECT(w->alice->mark != mark);
    EXPECT(w->bob->mark == mark);
    EXPECT(w->agent->mark == mark);
    str_fini(&raw);
    p.destination_identities = dest;
    p.n_destination_identities = 3;
    EXPECT_EQ(data_read(&d, pack(&p, &raw)), 0);
    mark = data_mark_targets(&d, w->room, w->alice);
    EXPECT(w->alice->mark != mark);
    EXPECT(w->bob->mark == mark);
    EXPECT(w->agent->mark != mark);
    str_fini(&raw);
    end(w);
    mem_free(w);
}

static int read_hex(const char *hex)
{
    struct data_packet d;

    return data_read(&d, test_hex(hex));
}

TEST(text_that_is_none_is_not_passed_on)
{
    /* user{payload: ff fe, topic: "t"}: a payload is bytes */
    EXPECT_EQ(read_hex("12 07 12 02 fffe 22 01 74"), 0);
    /* user{topic}: a lone ff, a surrogate, an overlong NUL, a cut sequence */
    EXPECT_EQ(read_hex("12 03 22 01 ff"), E_MALFORMED);
    EXPECT_EQ(read_hex("12 05 22 03 eda080"), E_MALFORMED);
    EXPECT_EQ(read_hex("12 04 22 02 c080"), E_MALFORMED);
    EXPECT_EQ(read_hex("12 04 22 02 e282"), E_MALFORMED);
    /* a NUL is text */
    EXPECT_EQ(read_hex("12 05 22 03 610062"), 0);
    /* destination_identities; rpc_request{id} */
    EXPECT_EQ(read_hex("2a 01 ff"), E_MALFORMED);
    EXPECT_EQ(read_hex("52 03 0a 01 80"), E_MALFORMED);
    EXPECT_EQ(read_hex("52 03 0a 01 78"), 0);
    /* a field that we do not know is not looked into */
    EXPECT_EQ(read_hex("fa 3f 01 ff"), 0);
}

FUZZ(data_packet, in)
{
    static struct world *w;
    struct data_packet d;

    if (w == NULL) {
        w = mem_zero(sizeof *w);
        begin(w);
    }
    if (data_read(&d, in) != 0)
        return;
    for (int k = 0; k < 2; k++) {
        struct member *from = k == 0 ? w->alice : w->agent;
        struct wr out = wr_of(w->buf, sizeof w->buf);
        struct data_packet again;
        from->last_sequence = 0;
        if (!data_accept(&d, from, true) || data_stamp(&d, in, from, true, &out) != 0)
            continue;
        EXPECT_EQ(data_read(&again, wr_done(&out)), 0);
        EXPECT_EQ(again.value, d.value);
        EXPECT_EQ(again.sequence, d.sequence);
        EXPECT_EQ(again.dest_n, d.dest_n);
        (void)data_mark_targets(&d, w->room, from);
    }
}
