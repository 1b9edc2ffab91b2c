#include "room/grant.h"

#include "base/base.h"
#include "wire/pb.h"

enum { SOURCES_N = 5 };

static const char *const source_names[SOURCES_N] = {"unknown", "camera", "microphone",
                                                    "screen_share", "screen_share_audio"};

const char *grant_source_name(Livekit__TrackSource source)
{
    return (unsigned)source < SOURCES_N ? source_names[source] : "";
}

static uint32_t source_bit(const char *name)
{
    for (uint32_t i = 0; i < SOURCES_N; i++)
        if (str_ieq(bytes_str(name), source_names[i]))
            return 1u << i;
    return 1u << 31; /* a word of tomorrow: restricts, allows nothing of today */
}

void grant_of_token(struct grant *g, const struct token_video *v)
{
    *g = (struct grant){
        .can_subscribe = token_may_subscribe(v),
        .can_publish = token_may_publish(v),
        .can_publish_data = token_may_publish_data(v),
        .can_update_metadata = v->can_update_own_metadata == TOKEN_TRUE,
        .hidden = v->hidden,
        .recorder = v->recorder,
        .agent = v->agent,
        .can_subscribe_metrics = v->can_subscribe_metrics == TOKEN_TRUE,
        .can_manage_agent_session = v->can_manage_agent_session == TOKEN_TRUE,
    };
    for (uint32_t i = 0; i < v->source_n; i++)
        g->sources |= source_bit(v->source[i]);
}

void grant_of_permission(struct grant *g, const Livekit__ParticipantPermission *p)
{
    *g = (struct grant){
        .can_subscribe = p->can_subscribe,
        .can_publish = p->can_publish,
        .can_publish_data = p->can_publish_data,
        .can_update_metadata = p->can_update_metadata,
        .hidden = p->hidden,
        .recorder = p->recorder,
        .agent = p->agent,
        .can_subscribe_metrics = p->can_subscribe_metrics,
        .can_manage_agent_session = p->can_manage_agent_session,
    };
    for (size_t i = 0; i < p->n_can_publish_sources; i++) {
        uint32_t s = (uint32_t)p->can_publish_sources[i];
        g->sources |= s < SOURCES_N ? 1u << s : 1u << 31;
    }
}

Livekit__ParticipantPermission *grant_to_permission(const struct grant *g, struct arena *a)
{
    Livekit__ParticipantPermission *p = pb_new(a, &livekit__participant_permission__descriptor);

    if (p == NULL)
        return NULL;
    p->can_subscribe = g->can_subscribe;
    p->can_publish = g->can_publish;
    p->can_publish_data = g->can_publish_data;
    p->can_update_metadata = g->can_update_metadata;
    p->hidden = g->hidden;
    p->recorder = g->recorder;
    p->agent = g->agent;
    p->can_subscribe_metrics = g->can_subscribe_metrics;
    p->can_manage_agent_session = g->can_manage_agent_session;
    p->can_publish_sources = arena_array(a, SOURCES_N, sizeof *p->can_publish_sources);
    if (p->can_publish_sources == NULL)
        return NULL;
    for (uint32_t i = 0; i < SOURCES_N; i++)
        if (g->sources & (1u << i))
            p->can_publish_sources[p->n_can_publish_sources++] = (Livekit__TrackSource)i;
    return p;
}

bool grant_eq(const struct grant *a, const struct grant *b)
{
    return a->can_subscribe == b->can_subscribe && a->can_publish == b->can_publish &&
           a->can_publish_data == b->can_publish_data &&
           a->can_update_metadata == b->can_update_metadata && a->hidden == b->hidden &&
           a->recorder == b->recorder && a->agent == b->agent && a->sources == b->sources &&
           a->can_subscribe_metrics == b->can_subscribe_metrics &&
           a->can_manage_agent_session == b->can_manage_agent_session;
}

bool grant_may_publish(const struct grant *g, Livekit__TrackSource source)
{
    if (!g->can_publish)
        return false;
    if (g->sources == 0)
        return true;
    return source != LIVEKIT__TRACK_SOURCE__UNKNOWN && (unsigned)source < SOURCES_N &&
           (g->sources & (1u << source)) != 0;
}

static enum token_tri tri(bool v)
{
    return v ? TOKEN_TRUE : TOKEN_FALSE;
}

void grant_to_token(const struct grant *g, struct token_video *v)
{
    v->can_subscribe = tri(g->can_subscribe);
    v->can_publish = tri(g->can_publish);
    v->can_publish_data = tri(g->can_publish_data);
    v->can_update_own_metadata = tri(g->can_update_metadata);
    v->can_subscribe_metrics = tri(g->can_subscribe_metrics);
    v->can_manage_agent_session = tri(g->can_manage_agent_session);
    v->hidden = g->hidden;
    v->recorder = g->recorder;
    v->agent = g->agent;
    v->source_n = 0;
    for (uint32_t i = 0; i < SOURCES_N; i++)
        if (g->sources & (1u << i))
            v->source[v->source_n++] = source_names[i];
}

Livekit__ParticipantInfo__Kind grant_kind(const char *word)
{
    static const struct {
        const char *word;
        Livekit__ParticipantInfo__Kind kind;
    } kinds[] = {
        {"ingress", LIVEKIT__PARTICIPANT_INFO__KIND__INGRESS},
        {"egress", LIVEKIT__PARTICIPANT_INFO__KIND__EGRESS},
        {"sip", LIVEKIT__PARTICIPANT_INFO__KIND__SIP},
        {"agent", LIVEKIT__PARTICIPANT_INFO__KIND__AGENT},
        {"connector", LIVEKIT__PARTICIPANT_INFO__KIND__CONNECTOR},
        {"bridge", LIVEKIT__PARTICIPANT_INFO__KIND__BRIDGE},
    };

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (str_ieq(bytes_str(word), kinds[i].word))
            return kinds[i].kind;
    return LIVEKIT__PARTICIPANT_INFO__KIND__STANDARD;
}
