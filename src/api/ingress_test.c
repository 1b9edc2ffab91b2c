#include "api/ingress_session.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/test.h"

static const struct tick t0 = {.now = 1000000, .wall_off_us = 1700000000000000};

/* What a store would hold. */
struct shelf {
    struct {
        char kind[16], id[INGRESS_ID_MAX];
        uint8_t body[4096];
        size_t len;
        bool used;
    } item[32];
    int err;      /* of the writes to come */
    uint32_t n;   /* writes seen */
    char key[64]; /* the file */
};

static void shelve(struct shelf *s, const struct store_op *op)
{
    size_t at = ARRAY_LEN(s->item);

    s->n++;
    if (strcmp(op->kind, INGRESS_FILE) == 0) {
        EXPECT_STR(op->id, "hash");
        EXPECT(str_copy(s->key, sizeof s->key, bytes_of(op->body.p, op->body.len - 1)));
        return;
    }
    for (size_t i = ARRAY_LEN(s->item); i-- > 0;) {
        if (s->item[i].used && strcmp(s->item[i].kind, op->kind) == 0 &&
            strcmp(s->item[i].id, op->id) == 0) {
            at = i;
            break;
        }
        if (!s->item[i].used)
            at = i;
    }
    EXPECT(at < ARRAY_LEN(s->item));
    s->item[at].used = !op->erase;
    EXPECT(str_copy(s->item[at].kind, sizeof s->item[at].kind, bytes_str(op->kind)));
    EXPECT(str_copy(s->item[at].id, sizeof s->item[at].id, bytes_str(op->id)));
    EXPECT(op->body.len <= sizeof s->item[at].body);
    if (op->body.len > 0)
        memcpy(s->item[at].body, op->body.p, op->body.len);
    s->item[at].len = op->body.len;
}

static void write_all(struct ingress_book *b, struct shelf *s)
{
    struct store_op op;

    while (ingress_store_op(b, &op)) {
        if (s->err == 0)
            shelve(s, &op);
        ingress_stored(b, op.serial, s->err);
    }
}

static struct ingress_book *book_open(const char *key)
{
    struct ingress_book *b = NULL;

    EXPECT_EQ(ingress_open(&b, &(struct ingress_cfg){.seed = 3,
                                                     .rtmp_base_url = "rtmp://h/live",
                                                     .whip_base_url = "http://h/w",
                                                     .ws_url = "ws://127.0.0.1:7880",
                                                     .key_id = "k",
                                                     .key_secret = "sssssssssssssssssssssssssssss",
                                                     .default_key = key}),
              0);
    return b;
}

static void book_load(struct ingress_book *b, const struct shelf *s)
{
    static const char *const kinds[] = {INGRESS_RECORD, INGRESS_STATE};

    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        for (size_t i = 0; i < ARRAY_LEN(s->item); i++) {
            if (s->item[i].used && strcmp(s->item[i].kind, kinds[k]) == 0)
                EXPECT_EQ(ingress_load(b, kinds[k], bytes_str(s->item[i].id),
                                       bytes_of(s->item[i].body, s->item[i].len)),
                          0);
        }
    }
}

static void fill(Livekit__IngressInfo *info, const char *id, const char *key, int type)
{
    *info = (Livekit__IngressInfo)LIVEKIT__INGRESS_INFO__INIT;
    info->ingress_id = pb_text(id);
    info->stream_key = pb_text(key);
    info->input_type = (Livekit__IngressInput)type;
    info->room_name = pb_text("room");
    info->participant_identity = pb_text("someone");
    info->reusable = true;
}

/* Creates and lets it hold; the error of that. */
static int make(struct ingress_book *b, struct shelf *s, const char *id, const char *key, int type)
{
    Livekit__IngressInfo info;
    struct ingress_done done = {0};
    uint64_t serial = 0;

    fill(&info, id, key, type);
    int err = ingress_create(b, &info, &serial);
    if (err != 0)
        return err;
    write_all(b, s);
    EXPECT(ingress_done(b, &done));
    EXPECT_EQ(done.serial, serial);
    EXPECT_EQ(done.kind, INGRESS_CREATED);
    return done.err;
}

TEST(a_change_holds_when_the_store_has_it)
{
    static struct shelf s;
    Livekit__IngressInfo info;
    struct ingress_done done;
    uint64_t serial;
    struct ingress_book *b = book_open("");

    memset(&s, 0, sizeof s);
    fill(&info, "IN_a", "secret", 0);
    EXPECT_EQ(ingress_create(b, &info, &serial), 0);
    EXPECT(ingress_by_id(b, "IN_a") == NULL);
    EXPECT(ingress_draft(b, "IN_a") != NULL);
    EXPECT_EQ(ingress_create(b, &info, &serial), E_EXIST);
    EXPECT(!ingress_done(b, &done));
    write_all(b, &s);
    EXPECT(ingress_done(b, &done));
    EXPECT_EQ(done.err, 0);
    EXPECT_STR(done.info->ingress_id, "IN_a");
    EXPECT(done.info->state != NULL);
    EXPECT(ingress_by_key(b, bytes_str("secret")) == ingress_by_id(b, "IN_a"));
    EXPECT_EQ(ingress_by_id(b, "IN_a")->channel, INGRESS_CHANNEL_FIRST);
    EXPECT(ingress_by_channel(b, INGRESS_CHANNEL_FIRST) == ingress_by_id(b, "IN_a"));
    EXPECT(!ingress_done(b, &done));
    ingress_free(b);
}

TEST(what_the_store_refuses_does_not_hold)
{
    static struct shelf s;
    Livekit__IngressInfo info;
    struct ingress_done done;
    uint64_t serial;
    struct ingress_book *b = book_open("");

    memset(&s, 0, sizeof s);
    EXPECT_EQ(make(b, &s, "IN_a", "one", 0), 0);
    s.err = -ENOSPC;
    EXPECT_EQ(make(b, &s, "IN_b", "two", 0), -ENOSPC);
    EXPECT(ingress_by_key(b, bytes_str("two")) == NULL);
    fill(&info, "IN_a", "changed", 0);
    EXPECT_EQ(ingress_update(b, &info, &serial), 0);
    EXPECT_EQ(ingress_delete(b, "IN_a", &serial), 0);
    write_all(b, &s);
    while (ingress_done(b, &done))
        EXPECT_EQ(done.err, -ENOSPC);
    EXPECT(ingress_by_key(b, bytes_str("one")) != NULL);
    EXPECT(ingress_by_key(b, bytes_str("changed")) == NULL);
    EXPECT_EQ(ingress_count(b), 1);
    ingress_free(b);
}

TEST(keys_are_found_whole_and_only_whole)
{
    static struct shelf s;
    struct ingress_book *b = book_open("default-key");

    memset(&s, 0, sizeof s);
    EXPECT_EQ(make(b, &s, "IN_a", "secret", 0), 0);
    EXPECT(ingress_by_key(b, bytes_str("secret")) != NULL);
    EXPECT(ingress_by_key(b, bytes_str("secre")) == NULL);
    EXPECT(ingress_by_key(b, bytes_str("secrets")) == NULL);
    EXPECT(ingress_by_key(b, bytes_str("")) == NULL);
    EXPECT(ingress_by_key(b, bytes_str("default-key"))->fallback);
    EXPECT_EQ(ingress_by_key(b, bytes_str("default-key"))->channel, INGRESS_CHANNEL_DEFAULT);
    EXPECT(ingress_by_channel(b, 0) == NULL);
    EXPECT(ingress_by_channel(b, 12345) == NULL);
    EXPECT_EQ(make(b, &s, "IN_b", "secret", 0), E_EXIST);
    ingress_free(b);
}

TEST(an_update_changes_the_key_and_the_old_one_is_dead)
{
    static struct shelf s;
    Livekit__IngressInfo info;
    struct ingress_done done;
    uint64_t serial;
    struct ingress_book *b = book_open("");

    memset(&s, 0, sizeof s);
    EXPECT_EQ(make(b, &s, "IN_a", "old", 0), 0);
    fill(&info, "IN_a", "new", 0);
    EXPECT_EQ(ingress_update(b, &info, &serial), 0);
    info.name = pb_text("named"); /* a second one, from the draft of the first */
    EXPECT_STR(ingress_draft(b, "IN_a")->stream_key, "new");
    EXPECT_EQ(ingress_update(b, &info, &serial), 0);
    write_all(b, &s);
    EXPECT(ingress_done(b, &done));
    EXPECT(ingress_done(b, &done));
    EXPECT_STR(done.info->name, "named");
    EXPECT(ingress_by_key(b, bytes_str("old")) == NULL);
    EXPECT(ingress_by_key(b, bytes_str("new")) != NULL);
    EXPECT_EQ(ingress_delete(b, "IN_a", &serial), 0);
    EXPECT(ingress_draft(b, "IN_a") == NULL);
    EXPECT_EQ(ingress_update(b, &info, &serial), E_NOENT);
    EXPECT_EQ(ingress_delete(b, "IN_a", &serial), E_NOENT);
    write_all(b, &s);
    EXPECT(ingress_done(b, &done));
    EXPECT_EQ(done.kind, INGRESS_DELETED);
    EXPECT_STR(done.info->ingress_id, "IN_a");
    EXPECT(ingress_by_key(b, bytes_str("new")) == NULL);
    EXPECT_EQ(ingress_count(b), 0);
    ingress_free(b);
}

TEST(everything_is_there_after_a_restart)
{
    static struct shelf s;
    char order[64] = "";
    struct ingress_book *b = book_open("dkey");

    memset(&s, 0, sizeof s);
    EXPECT_EQ(make(b, &s, "IN_z", "k1", 0), 0);
    EXPECT_EQ(make(b, &s, "IN_a", "k2", 1), 0);
    EXPECT_EQ(make(b, &s, "IN_m", "", 2), 0);
    EXPECT_EQ(ingress_session_begin(b, ingress_by_id(b, "IN_z"), t0), 0);
    write_all(b, &s);
    ingress_free(b);

    b = book_open("dkey");
    book_load(b, &s);
    for (struct ingress *i = NULL; (i = ingress_next(b, i)) != NULL;) {
        size_t n = strlen(order);
        (void)snprintf(order + n, sizeof order - n, "%s:%u ", i->info->ingress_id, i->channel);
    }
    EXPECT_STR(order, "IN_live:77 IN_z:78 IN_a:79 IN_m:0 ");
    EXPECT(!ingress_on_air(ingress_by_id(b, "IN_z")));
    EXPECT(ingress_by_id(b, "IN_z")->state->started_at > 0);
    EXPECT_EQ(make(b, &s, "IN_n", "k4", 0), 0); /* numbers go on */
    EXPECT_EQ(ingress_by_id(b, "IN_n")->channel, 80);
    ingress_free(b);
}

TEST(the_default_channel_can_be_changed_but_not_deleted)
{
    static struct shelf s;
    Livekit__IngressInfo info;
    struct ingress_done done;
    uint64_t serial;
    struct ingress_book *b = book_open("first");

    memset(&s, 0, sizeof s);
    EXPECT_EQ(ingress_delete(b, INGRESS_DEFAULT_ID, &serial), E_NOT_ALLOWED);
    info = *ingress_draft(b, INGRESS_DEFAULT_ID);
    info.room_name = pb_text("stage");
    EXPECT_EQ(ingress_update(b, &info, &serial), 0);
    write_all(b, &s);
    EXPECT(ingress_done(b, &done));
    EXPECT_STR(s.key, ""); /* the key's file is as it was */
    for (size_t i = 0; i < ARRAY_LEN(s.item); i++)
        EXPECT(!s.item[i].used ||
               memmem(s.item[i].body, s.item[i].len, "first", 5) == NULL); /* it is nowhere else */
    info = *ingress_draft(b, INGRESS_DEFAULT_ID);
    info.stream_key = pb_text("second");
    EXPECT_EQ(ingress_update(b, &info, &serial), 0);
    write_all(b, &s);
    EXPECT(ingress_done(b, &done));
    EXPECT_STR(s.key, "second");
    EXPECT(ingress_by_key(b, bytes_str("first")) == NULL);
    ingress_free(b);

    b = book_open("third"); /* somebody put another one there */
    book_load(b, &s);
    EXPECT_STR(ingress_by_key(b, bytes_str("third"))->info->room_name, "stage");
    EXPECT(ingress_by_key(b, bytes_str("second")) == NULL);
    ingress_free(b);
}

/* ---- sessions ---- */

static enum psrpc_code report(struct ingress_book *b, int status, int64_t started, int64_t updated)
{
    Livekit__IngressState st = LIVEKIT__INGRESS_STATE__INIT;
    const char *why;

    st.status = (Livekit__IngressState__Status)status;
    st.started_at = started;
    st.updated_at = updated;
    return ingress_session_report(b, "IN_a", &st, &why);
}

static int status(const struct ingress_book *b)
{
    return (int)ingress_by_id(b, "IN_a")->state->status;
}

TEST(late_reports_are_refused_and_overtaken_ones_ignored)
{
    static struct shelf s;
    struct ingress_event ev;
    struct ingress_book *b = book_open("");

    memset(&s, 0, sizeof s);
    EXPECT_EQ(report(b, 1, 10, 10), PSRPC_NOT_FOUND);
    EXPECT_EQ(make(b, &s, "IN_a", "k", 0), 0);
    EXPECT_EQ(report(b, 1, 10, 10), PSRPC_OK);
    EXPECT(!ingress_event(b, &ev));
    EXPECT_EQ(report(b, 2, 10, 12), PSRPC_OK);
    EXPECT(ingress_event(b, &ev));
    EXPECT_EQ(ev.kind, INGRESS_EVT_STARTED);
    EXPECT_EQ(report(b, 1, 10, 11), PSRPC_OK); /* overtaken */
    EXPECT_EQ(status(b), 2);
    EXPECT_EQ(report(b, 1, 20, 20), PSRPC_OK); /* a newer session */
    EXPECT_EQ(report(b, 0, 10, 99), PSRPC_FAILED_PRECONDITION);
    EXPECT_EQ(status(b), 1);
    EXPECT_EQ(report(b, 3, 20, 21), PSRPC_OK);
    EXPECT(ingress_event(b, &ev));
    EXPECT_EQ(ev.kind, INGRESS_EVT_ENDED);
    EXPECT_EQ(report(b, 5, 30, 31), PSRPC_INVALID_ARGUMENT);
    EXPECT_EQ(report(b, -1, 30, 31), PSRPC_INVALID_ARGUMENT);
    ingress_free(b);
}

TEST(a_session_here_goes_on_air_and_ends)
{
    static struct shelf s;
    struct ingress_event ev;
    char resource[INGRESS_ID_MAX];
    struct ingress_book *b = book_open("");

    memset(&s, 0, sizeof s);
    EXPECT_EQ(make(b, &s, "IN_a", "k", 1), 0);
    struct ingress *i = ingress_by_id(b, "IN_a");
    EXPECT_EQ(ingress_session_begin(b, i, t0), 0);
    EXPECT_EQ(strncmp(i->state->resource_id, "WH_", 3), 0);
    EXPECT(str_copy(resource, sizeof resource, bytes_str(i->state->resource_id)));
    ingress_session_live(b, "IN_a", "WH_other", "RM_x", t0);
    EXPECT_EQ(status(b), 1);
    ingress_session_live(b, "IN_a", resource, "RM_x", t0);
    EXPECT_EQ(status(b), 2);
    EXPECT_STR(i->state->room_id, "RM_x");
    EXPECT_EQ(ingress_session_begin(b, i, t0), 0); /* a second publisher, at the same instant */
    ingress_session_end(b, "IN_a", resource, "", t0);
    EXPECT_EQ(status(b), 1); /* the first one's end is not heard */
    EXPECT(str_copy(resource, sizeof resource, bytes_str(i->state->resource_id)));
    ingress_session_end(b, "IN_a", resource, "no media", t0);
    EXPECT_EQ(status(b), 3);
    EXPECT_STR(i->state->error, "no media");
    while (ingress_event(b, &ev))
        EXPECT(ev.kind != INGRESS_EVT_STOP);
    ingress_free(b);
}

TEST(a_session_here_is_stopped_by_an_update)
{
    static struct shelf s;
    Livekit__IngressInfo info;
    struct ingress_event ev;
    struct ingress_done done;
    uint64_t serial;
    struct ingress_book *b = book_open("");

    memset(&s, 0, sizeof s);
    EXPECT_EQ(make(b, &s, "IN_a", "k", 1), 0);
    EXPECT_EQ(ingress_session_begin(b, ingress_by_id(b, "IN_a"), t0), 0);
    fill(&info, "IN_a", "k", 1);
    EXPECT_EQ(ingress_update(b, &info, &serial), 0);
    write_all(b, &s);
    EXPECT(ingress_done(b, &done));
    EXPECT(done.on_air && done.local);
    EXPECT(ingress_event(b, &ev));
    EXPECT_EQ(ev.kind, INGRESS_EVT_STOP);
    EXPECT_STR(ev.ingress_id, "IN_a");
    EXPECT_STR(ev.resource_id, ingress_by_id(b, "IN_a")->state->resource_id);
    ingress_free(b);
}

TEST(a_lost_process_ends_its_sessions_until_it_speaks_again)
{
    static struct shelf s;
    struct ingress_book *b = book_open("");

    memset(&s, 0, sizeof s);
    EXPECT_EQ(make(b, &s, "IN_a", "k", 0), 0);
    EXPECT_EQ(report(b, 2, 10, 12), PSRPC_OK);
    ingress_session_lost(b, ingress_by_id(b, "IN_a"), t0);
    EXPECT_EQ(status(b), 0);
    EXPECT(ingress_by_id(b, "IN_a")->state->error[0] != '\0');
    EXPECT_EQ(report(b, 2, 10, 13), PSRPC_OK);
    EXPECT_EQ(status(b), 2);
    ingress_free(b);
}

TEST(a_token_says_who_comes_in_and_by_which_ingress)
{
    static struct shelf s;
    struct token_claims *c;
    struct arena a;
    struct str text;
    struct ingress_book *b = book_open("");

    memset(&s, 0, sizeof s);
    EXPECT_EQ(make(b, &s, "IN_a", "k", 0), 0);
    str_init(&text, TOKEN_BYTES_MAX);
    arena_init(&a, TOKEN_ARENA_BYTES);
    EXPECT_EQ(ingress_token(b, ingress_by_id(b, "IN_a"), t0, &text), 0);
    int64_t now_s = (t0.now + t0.wall_off_us) / US_PER_SEC;
    EXPECT_EQ(
        token_verify(str_bytes(&text), bytes_str("sssssssssssssssssssssssssssss"), now_s, &a, &c),
        0);
    EXPECT_STR(c->identity, "someone");
    EXPECT_STR(c->kind, "ingress");
    EXPECT_STR(c->video.room, "room");
    EXPECT(c->video.room_join && token_may_publish(&c->video) && !token_may_subscribe(&c->video));
    EXPECT_EQ(c->video.can_update_own_metadata, TOKEN_TRUE);
    EXPECT_EQ(c->attribute_n, 1);
    EXPECT_STR(c->attribute[0].key, "ingress.ingressID");
    EXPECT_STR(c->attribute[0].value, "IN_a");
    EXPECT_EQ(c->expires_s, now_s + INGRESS_TOKEN_TTL_S);
    str_fini(&text);
    arena_fini(&a);
    ingress_free(b);
}

TEST(records_that_cannot_be_read_are_skipped)
{
    struct ingress_book *b = book_open("");

    EXPECT_EQ(ingress_load(b, INGRESS_RECORD, bytes_str("IN_a"), bytes_str("\xff\xff")),
              E_MALFORMED);
    EXPECT_EQ(ingress_load(b, INGRESS_RECORD, bytes_str(""), bytes_str("")), E_MALFORMED);
    EXPECT_EQ(ingress_load(b, INGRESS_STATE, bytes_str("IN_none"), bytes_str("")), E_NOENT);
    EXPECT_EQ(ingress_load(b, INGRESS_RECORD, bytes_str(INGRESS_DEFAULT_ID),
                           test_hex("0a090a07494e5f6c697665")),
              0); /* of a default channel that is off now */
    EXPECT_EQ(ingress_count(b), 0);
    ingress_free(b);
}

TEST(refused_memory_leaves_the_book_whole)
{
    static struct shelf s;

    for (uint64_t nth = 1;; nth++) {
        int64_t live = mem_live();
        struct ingress_book *b = NULL;
        struct ingress_done done;
        Livekit__IngressInfo info;
        uint64_t serial;
        bool whole = false;
        memset(&s, 0, sizeof s);
        fill(&info, "IN_a", "k", 0);
        mem_refuse_nth(nth);
        if (ingress_open(
                &b, &(struct ingress_cfg){.key_id = "k", .key_secret = "s", .default_key = "d"}) ==
                0 &&
            ingress_create(b, &info, &serial) == 0) {
            write_all(b, &s);
            whole = ingress_done(b, &done) && done.err == 0 &&
                    ingress_session_begin(b, ingress_by_id(b, "IN_a"), t0) == 0 &&
                    ingress_delete(b, "IN_a", &serial) == 0;
            write_all(b, &s);
            whole = ingress_done(b, &done) && done.err == 0 && whole;
        }
        mem_refuse_nth(0);
        ingress_free(b);
        EXPECT_EQ(mem_live(), live);
        if (whole)
            break;
        EXPECT(nth < 1000);
    }
}
