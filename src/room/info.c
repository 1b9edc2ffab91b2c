#include "room/info.h"

#include "room/pub.h"
#include "wire/pb.h"

static bool fill_tracks(struct arena *a, const struct member *m, Livekit__ParticipantInfo *info)
{
    if (m->pub_n == 0)
        return true;
    info->tracks = arena_array(a, m->pub_n, sizeof(Livekit__TrackInfo *));
    if (info->tracks == NULL)
        return false;
    for (const struct pub *p = m->pubs; p != NULL; p = p->next)
        if (p->state == PUB_LIVE)
            info->tracks[info->n_tracks++] = p->info;
    return true;
}

static bool fill_attributes(struct arena *a, const struct member *m, Livekit__ParticipantInfo *info)
{
    if (m->attr_n == 0)
        return true;
    info->attributes = arena_array(a, m->attr_n, sizeof *info->attributes);
    if (info->attributes == NULL)
        return false;
    for (uint32_t i = 0; i < m->attr_n; i++) {
        Livekit__ParticipantInfo__AttributesEntry *e =
            pb_new(a, &livekit__participant_info__attributes_entry__descriptor);
        if (e == NULL)
            return false;
        e->key = m->attr[i].key;
        e->value = m->attr[i].value;
        info->attributes[info->n_attributes++] = e;
    }
    return true;
}

Livekit__ParticipantInfo *info_member(struct arena *a, const struct member *m)
{
    Livekit__ParticipantInfo *info = pb_new(a, &livekit__participant_info__descriptor);

    if (info == NULL)
        return NULL;
    info->sid = (char *)m->sid;
    info->identity = m->identity;
    info->name = m->name;
    info->metadata = m->metadata;
    info->state = m->state;
    info->joined_at = m->joined_ms / 1000;
    info->joined_at_ms = m->joined_ms;
    info->version = m->version;
    info->is_publisher = member_is_publisher(m);
    info->kind = m->kind;
    info->kind_details = (Livekit__ParticipantInfo__KindDetail *)m->kind_detail;
    info->n_kind_details = m->kind_detail_n;
    info->disconnect_reason = m->reason;
    info->client_protocol = m->client_protocol;
    info->capabilities = (Livekit__ClientInfo__Capability *)m->capability;
    info->n_capabilities = m->capability_n;
    info->permission = grant_to_permission(&m->grant, a);
    if (info->permission == NULL || !fill_attributes(a, m, info) || !fill_tracks(a, m, info))
        return NULL;
    return info;
}

static bool fill_codecs(struct arena *a, Livekit__Room *info)
{
    static const char *const mimes[] = {"audio/PCMU", "audio/PCMA", "audio/opus", "audio/red",
                                        "video/VP8",  "video/H264", "video/VP9",  "video/AV1",
                                        "video/H265", "video/rtx"};

    info->enabled_codecs = arena_array(a, ARRAY_LEN(mimes), sizeof(Livekit__Codec *));
    for (size_t i = 0; info->enabled_codecs != NULL && i < ARRAY_LEN(mimes); i++) {
        Livekit__Codec *c = pb_new(a, &livekit__codec__descriptor);
        if (c == NULL)
            return false;
        c->mime = (char *)mimes[i];
        info->enabled_codecs[info->n_enabled_codecs++] = c;
    }
    return info->enabled_codecs != NULL;
}

Livekit__Room *info_room(struct arena *a, const struct room *r)
{
    Livekit__Room *info = pb_new(a, &livekit__room__descriptor);

    if (info == NULL)
        return NULL;
    info->sid = (char *)r->sid;
    info->name = r->name;
    info->metadata = r->metadata;
    info->empty_timeout = r->empty_timeout_s;
    info->departure_timeout = r->departure_timeout_s;
    info->max_participants = r->max_participants;
    info->creation_time = r->created_ms / 1000;
    info->creation_time_ms = r->created_ms;
    info->num_participants = room_count(r);
    info->num_publishers = room_publishers(r);
    info->active_recording = room_recording(r);
    return fill_codecs(a, info) ? info : NULL;
}

Livekit__ParticipantInfo **info_members(struct arena *a, const struct room *r,
                                        const struct member *except, bool hidden_too, size_t *n)
{
    Livekit__ParticipantInfo **list;
    size_t at = 0;

    *n = 0;
    if (r->member_n == 0 || (list = arena_array(a, r->member_n, sizeof *list)) == NULL)
        return NULL;
    for (uint32_t i = 0; i < r->member_n; i++) {
        const struct member *m = r->member[i];
        if (m == except || (m->grant.hidden && !hidden_too))
            continue;
        list[at] = info_member(a, m);
        if (list[at] == NULL)
            return NULL;
        at++;
    }
    *n = at;
    return list;
}
