#include "sfu/cmd.h"

/* Length of a record whose body is one struct of the union. */
#define BODY(type, member) (uint32_t)(offsetof(type, member) + sizeof(((type *)0)->member))

uint32_t cmd_len(const struct cmd *c)
{
    switch ((enum cmd_kind)c->kind) {
    case CMD_PEER_OPEN:
        return BODY(struct cmd, peer_open);
    case CMD_PEER_REMOTE:
        return BODY(struct cmd, peer_remote);
    case CMD_PEER_RESTART:
        return BODY(struct cmd, peer_restart);
    case CMD_PEER_CLOSE:
        return BODY(struct cmd, peer_close);
    case CMD_PEER_DATA:
        return (uint32_t)offsetof(struct cmd, peer_data.data) +
               u32_min(c->peer_data.len, CMD_DATA_MAX);
    case CMD_TRACK_OPEN:
        return BODY(struct cmd, track_open);
    case CMD_TRACK_SET:
        return BODY(struct cmd, track_set);
    case CMD_TRACK_CLOSE:
        return BODY(struct cmd, track_close);
    case CMD_TRACK_KEYFRAME:
        return BODY(struct cmd, track_keyframe);
    case CMD_RELAY_OPEN:
    case CMD_RELAY_CLOSE:
        return BODY(struct cmd, relay);
    case CMD_SUB_ATTACH:
        return BODY(struct cmd, sub_attach);
    case CMD_SUB_SET:
        return BODY(struct cmd, sub_set);
    case CMD_SUB_DETACH:
        return BODY(struct cmd, sub_detach);
    }
    return (uint32_t)sizeof c->kind;
}

uint32_t evt_len(const struct evt *e)
{
    switch ((enum evt_kind)e->kind) {
    case EVT_PEER_STATE:
        return BODY(struct evt, peer_state);
    case EVT_PEER_DATA:
        return (uint32_t)offsetof(struct evt, peer_data.data) +
               u32_min(e->peer_data.len, CMD_DATA_MAX);
    case EVT_PEER_GONE:
        return BODY(struct evt, peer_gone);
    case EVT_TRACK_LIVE:
        return BODY(struct evt, track_live);
    case EVT_TRACK_LEVEL:
        return BODY(struct evt, track_level);
    case EVT_TRACK_STATS:
        return BODY(struct evt, track_stats);
    case EVT_TRACK_GONE:
        return BODY(struct evt, track_gone);
    case EVT_SUB_LIVE:
        return BODY(struct evt, sub_live);
    case EVT_SUB_STATS:
        return BODY(struct evt, sub_stats);
    case EVT_SUB_GONE:
        return BODY(struct evt, sub_gone);
    }
    return (uint32_t)sizeof e->kind;
}

bool cmd_urgent(const struct cmd *c)
{
    return c->kind != CMD_PEER_DATA && c->kind != CMD_TRACK_KEYFRAME;
}

bool evt_urgent(const struct evt *e)
{
    return e->kind != EVT_PEER_DATA && e->kind != EVT_TRACK_LEVEL && e->kind != EVT_TRACK_STATS &&
           e->kind != EVT_SUB_STATS;
}

/* RFC 8839 s5.4: ice-char. */
static const char letters[CMD_SHARDS_MAX] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char cmd_ufrag_letter(uint8_t shard)
{
    assert(shard < CMD_SHARDS_MAX);
    return letters[shard];
}

int cmd_ufrag_shard(struct bytes ufrag)
{
    const char *at = ufrag.len > 0 ? memchr(letters, ufrag.p[0], sizeof letters) : NULL;

    return at != NULL ? (int)(at - letters) : -1;
}
