#include "api/node_test.h"

struct fake *fake_kept;

TEST(subtlety_1_refusals_come_before_the_101_and_join_is_the_first_message)
{
    struct fake *f = new_fake();
    struct str token;

    fake_get(f, 1, "/rtc/v1", "join_request=AA", NULL, true);
    EXPECT_EQ(f->c[1].status, 401);
    EXPECT_STR(f->c[1].body, "no permissions to access the room");
    EXPECT(!f->c[1].accepted);
    fake_get(f, 1, "/rtc/v1", "", NULL, true); /* the token comes first */
    EXPECT_EQ(f->c[1].status, 401);
    str_init(&token, 1 << 16);
    fake_token(f, "alice", "demo", NULL, &token);
    fake_get(f, 1, "/rtc/v1", "", str_text(&token), true);
    EXPECT_EQ(f->c[1].status, 400);
    EXPECT_STR(f->c[1].body, "join_request is required");
    str_fini(&token);
    fake_get(f, 1, "/rtc", "", NULL, false);
    EXPECT_EQ(f->c[1].status, 404);
    EXPECT_STR(f->c[1].body, "");
    fake_get(f, 1, "/rtc/validate", "", "garbage", false);
    EXPECT_EQ(f->c[1].status, 401);
    fake_join(f, 1, "alice", fake_recorded(f, single, "alice", 0), NULL);
    EXPECT(f->c[1].accepted);
    EXPECT_EQ(f->c[1].got[0]->message_case, LIVEKIT__SIGNAL_RESPONSE__MESSAGE_JOIN);
    end_fake(f);
}

TEST(subtlety_1_an_unknown_room_is_404_with_the_text_that_stops_the_fallback)
{
    struct node_cfg cfg = fake_cfg();
    struct fake *f;
    struct str token;

    cfg.auto_create = false;
    f = new_fake_with(&cfg);
    str_init(&token, 1 << 16);
    fake_token(f, "alice", "demo", NULL, &token);
    fake_get(f, 1, "/rtc/validate", "", str_text(&token), false);
    EXPECT_EQ(f->c[1].status, 404);
    EXPECT_STR(f->c[1].body, "requested room does not exist");
    str_fini(&token);
    end_fake(f);
}

TEST(subtlety_2_stream_ids_name_participant_and_track)
{
    struct fake *f = new_fake();

    two_join(f);
    alice_publishes(f);
    fake_offer(f, 2, fake_recorded(f, single, "bob", 1), 2);
    Livekit__SignalResponse *m, *answer = NULL;
    while ((m = GOT(&f->c[2], ANSWER)) != NULL)
        answer = m;
    struct sdp sdp = fake_sdp(&f->c[2], answer->answer->sdp);
    struct sdp_media *v = &sdp.media[3];
    EXPECT_EQ(v->dir, SDP_SENDONLY);
    EXPECT_EQ(v->msid_n, 1);
    EXPECT_EQ(strncmp(v->msid[0].stream, "PA_", 3), 0);
    EXPECT_EQ(strncmp(strchr(v->msid[0].stream, '|'), "|TR_VC", 6), 0);
    EXPECT_STR(v->msid[0].track, strchr(v->msid[0].stream, '|') + 1);
    EXPECT_EQ(v->ssrc_n, 2);
    EXPECT_STR(v->group[0].semantics, "FID");
    EXPECT_STR(v->ssrc[0].cname, v->msid[0].stream);
    end_fake(f);
}

TEST(subtlety_3_a_single_connection_gets_answers_and_never_an_offer)
{
    struct fake *f = new_fake();

    two_join(f);
    alice_publishes(f);
    fake_pass(f, 2 * US_PER_SEC);
    EXPECT_EQ(COUNT(&f->c[1], OFFER), 0);
    EXPECT_EQ(COUNT(&f->c[2], OFFER), 0);
    EXPECT_EQ(COUNT(&f->c[1], ANSWER), 2);
    end_fake(f);
}

TEST(subtlety_4_every_answer_names_the_track_of_each_section_that_we_send_on)
{
    struct fake *f = new_fake();

    two_join(f);
    alice_publishes(f);
    for (uint32_t id = 2; id < 5; id++) {
        fake_offer(f, 2, fake_recorded(f, single, "bob", 1), id);
        Livekit__SignalResponse *m, *answer = NULL;
        while ((m = GOT(&f->c[2], ANSWER)) != NULL)
            answer = m;
        EXPECT_EQ(answer->answer->id, id);
        EXPECT_EQ(answer->answer->n_mid_to_track_id, 1);
        EXPECT_STR(answer->answer->mid_to_track_id[0]->key, "3");
        EXPECT_EQ(strncmp(answer->answer->mid_to_track_id[0]->value, "TR_VC", 5), 0);
    }
    EXPECT_EQ(fake_commands(f, CMD_SUB_ATTACH), 1);
    end_fake(f);
}

TEST(subtlety_5_sections_are_asked_for_once_and_only_those_that_miss)
{
    struct fake *f = new_fake();
    char cid[16];

    two_join(f);
    alice_publishes(f);
    Livekit__SignalResponse *m = GOT(&f->c[2], MEDIA_SECTIONS_REQUIREMENT);
    EXPECT(m != NULL); /* three free sections: a round is enough */
    EXPECT_EQ(m->media_sections_requirement->num_videos, 0);
    EXPECT_EQ(m->media_sections_requirement->num_audios, 0);
    fake_pass(f, US_PER_SEC);
    EXPECT(GOT(&f->c[2], MEDIA_SECTIONS_REQUIREMENT) == NULL); /* it is on its way */
    fake_offer(f, 2, fake_recorded(f, single, "bob", 1), 2);
    fake_pass(f, 6 * US_PER_SEC);
    EXPECT(GOT(&f->c[2], MEDIA_SECTIONS_REQUIREMENT) == NULL); /* nothing is missing */
    (void)cid;
    end_fake(f);
}

TEST(subtlety_6_answers_carry_the_id_of_the_offer_and_stale_answers_are_ignored)
{
    struct fake *f = new_fake();
    Livekit__SignalRequest r = LIVEKIT__SIGNAL_REQUEST__INIT;
    Livekit__SessionDescription d = LIVEKIT__SESSION_DESCRIPTION__INIT;

    fake_join_dual(f, 1, "alice", "");
    Livekit__SignalResponse *offer = GOT(&f->c[1], OFFER);
    EXPECT(offer != NULL);
    EXPECT(offer->offer->id != 0);
    EXPECT_EQ(fake_sdp(&f->c[1], offer->offer->sdp).media_n, 1); /* the data channels alone */
    d.type = (char *)"answer";
    d.sdp = (char *)"nonsense";
    d.id = offer->offer->id + 5;
    r.message_case = LIVEKIT__SIGNAL_REQUEST__MESSAGE_ANSWER;
    r.answer = &d;
    fake_say(f, 1, &r); /* of another offer: ignored, not even read */
    EXPECT(!f->c[1].closed);
    d.id = 0;
    fake_say(f, 1, &r);
    EXPECT(f->c[1].closed); /* of this one, and broken */
    Livekit__SignalResponse *leave = GOT(&f->c[1], LEAVE);
    EXPECT_EQ(leave->leave->action, LIVEKIT__LEAVE_REQUEST__ACTION__RECONNECT);
    EXPECT_EQ(leave->leave->reason, LIVEKIT__DISCONNECT_REASON__STATE_MISMATCH);
    end_fake(f);
}

TEST(subtlety_7_media_before_its_announcement_is_parked_and_published_on_sdp)
{
    struct fake *f = new_fake();

    two_join(f);
    fake_offer(f, 1, fake_recorded(f, single, "alice", 2), 3);
    EXPECT_EQ(fake_commands(f, CMD_TRACK_OPEN), 0);
    fake_add(f, 1, alice_cam, true);
    EXPECT_EQ(fake_commands(f, CMD_TRACK_OPEN), 1);
    const struct cmd_track_open *t = &fake_last(f, CMD_TRACK_OPEN)->track_open;
    EXPECT_EQ(t->layer_n, 3);
    EXPECT_STR(t->layer[0].rid, "q");
    EXPECT_EQ(t->layer[2].spatial, 2);
    EXPECT_STR(t->mid, "7");
    EXPECT(t->ext.id[RTP_EXT_MID] != 0);
    EXPECT(t->ext.id[RTP_EXT_RID] != 0);
    Livekit__SignalResponse *m, *last = NULL;
    while ((m = GOT(&f->c[2], UPDATE)) != NULL)
        last = m;
    EXPECT_EQ(last->update->participants[0]->n_tracks, 1);
    EXPECT_STR(last->update->participants[0]->tracks[0]->mid, "7");
    end_fake(f);
}

TEST(subtlety_8_a_resume_says_reconnect_first_and_a_stranger_leave)
{
    struct fake *f = new_fake();
    char more[64];

    fake_join_dual(f, 1, "alice", "");
    fake_state(f, fake_last(f, CMD_PEER_OPEN)->peer_open.peer, PEER_CONNECTED);
    Livekit__SignalResponse *join = GOT(&f->c[1], JOIN);
    node_conn_closed(f->node, 1, f->tick);
    fake_pass(f, US_PER_SEC);
    snprintf(more, sizeof more, "&reconnect=1&sid=%s", join->join->participant->sid);
    fake_join_dual(f, 2, "alice", more);
    EXPECT_EQ(f->c[2].got[0]->message_case, LIVEKIT__SIGNAL_RESPONSE__MESSAGE_RECONNECT);
    EXPECT(GOT(&f->c[2], UPDATE) != NULL);
    EXPECT(GOT(&f->c[2], ROOM_UPDATE) != NULL);
    EXPECT(GOT(&f->c[2], REFRESH_TOKEN) != NULL);
    EXPECT(GOT(&f->c[2], OFFER) != NULL); /* two connections: we restart the subscriber's */
    fake_join_dual(f, 3, "stranger", "&reconnect=1&sid=PA_x");
    EXPECT_EQ(f->c[3].got[0]->message_case, LIVEKIT__SIGNAL_RESPONSE__MESSAGE_LEAVE);
    EXPECT_EQ(f->c[3].got[0]->leave->reason, LIVEKIT__DISCONNECT_REASON__STATE_MISMATCH);
    EXPECT_EQ(f->c[3].got[0]->leave->action, LIVEKIT__LEAVE_REQUEST__ACTION__RECONNECT);
    EXPECT(f->c[3].closed);
    end_fake(f);
}

TEST(subtlety_9_versions_rise_and_a_duplicate_identity_is_replaced)
{
    struct fake *f = new_fake();
    uint32_t version = 0, gone = 0;
    Livekit__SignalResponse *m;

    two_join(f);
    alice_publishes(f);
    fake_join(f, 3, "alice", fake_recorded(f, single, "alice", 0), NULL);
    m = GOT(&f->c[1], LEAVE);
    EXPECT_EQ(m->leave->reason, LIVEKIT__DISCONNECT_REASON__DUPLICATE_IDENTITY);
    EXPECT_EQ(m->leave->action, LIVEKIT__LEAVE_REQUEST__ACTION__DISCONNECT);
    EXPECT(f->c[1].closed);
    fake_pass(f, 4 * US_PER_SEC);
    const char *sid = GOT(&f->c[1], JOIN) == NULL ? f->c[1].got[0]->join->participant->sid : "";
    while ((m = GOT(&f->c[2], UPDATE)) != NULL)
        for (size_t i = 0; i < m->update->n_participants; i++) {
            Livekit__ParticipantInfo *p = m->update->participants[i];
            if (strcmp(p->sid, sid) != 0)
                continue;
            EXPECT(p->version > version);
            version = p->version;
            gone += p->state == LIVEKIT__PARTICIPANT_INFO__STATE__DISCONNECTED;
        }
    EXPECT_EQ(gone, 1);
    end_fake(f);
}

TEST(subtlety_13_a_fresh_token_comes_at_join_each_five_minutes_and_on_change)
{
    struct fake *f = new_fake();

    two_join(f);
    EXPECT_EQ(COUNT(&f->c[1], REFRESH_TOKEN), 1);
    fake_pass(f, 301 * US_PER_SEC);
    EXPECT_EQ(COUNT(&f->c[1], REFRESH_TOKEN), 2);
    end_fake(f);
}

TEST(subtlety_14_pings_are_answered_in_milliseconds_and_intervals_are_not_zero)
{
    struct fake *f = new_fake();
    Livekit__SignalRequest r = LIVEKIT__SIGNAL_REQUEST__INIT;
    Livekit__Ping ping = LIVEKIT__PING__INIT;

    fake_join(f, 1, "alice", NULL, NULL);
    Livekit__SignalResponse *join = GOT(&f->c[1], JOIN);
    EXPECT_EQ(join->join->ping_interval, 5);
    EXPECT_EQ(join->join->ping_timeout, 15);
    r.message_case = LIVEKIT__SIGNAL_REQUEST__MESSAGE_PING;
    r.ping = 1;
    fake_say(f, 1, &r);
    EXPECT_EQ(GOT(&f->c[1], PONG)->pong, 1700001000000);
    ping.timestamp = 77;
    r.message_case = LIVEKIT__SIGNAL_REQUEST__MESSAGE_PING_REQ;
    r.ping_req = &ping;
    fake_say(f, 1, &r);
    Livekit__SignalResponse *pong = GOT(&f->c[1], PONG_RESP);
    EXPECT_EQ(pong->pong_resp->last_ping_timestamp, 77);
    EXPECT_EQ(pong->pong_resp->timestamp, 1700001000000);
    end_fake(f);
}

TEST(subtlety_15_trickled_candidates_have_both_names_of_the_section_and_the_last_is_final)
{
    struct fake *f = new_fake();

    fake_join(f, 1, "alice", fake_recorded(f, single, "alice", 0), NULL);
    Livekit__SignalResponse *t = GOT(&f->c[1], TRICKLE);
    EXPECT(strstr(t->trickle->candidateinit, "\"sdpMid\":\"0\"") != NULL);
    EXPECT(strstr(t->trickle->candidateinit, "\"sdpMLineIndex\":0") != NULL);
    EXPECT(strstr(t->trickle->candidateinit, "192.0.2.1 788") != NULL);
    EXPECT(t->trickle->final);
    end_fake(f);
}

TEST(subtlety_16_a_failed_connection_is_asked_to_resume_and_removed_after_five_seconds)
{
    struct fake *f = new_fake();
    struct node_counts n;

    two_join(f);
    fake_state(f, fake_last(f, CMD_PEER_OPEN)->peer_open.peer, PEER_FAILED);
    Livekit__SignalResponse *m = GOT(&f->c[2], LEAVE);
    EXPECT_EQ(m->leave->action, LIVEKIT__LEAVE_REQUEST__ACTION__RESUME);
    EXPECT(f->c[2].closed);
    EXPECT_EQ(f->c[2].ws_code, 1000);
    fake_pass(f, 4 * US_PER_SEC);
    node_get_counts(f->node, &n);
    EXPECT_EQ(n.members, 2);
    fake_pass(f, 2 * US_PER_SEC);
    node_get_counts(f->node, &n);
    EXPECT_EQ(n.members, 1);
    end_fake(f);
}

TEST(subtleties_20_21_22_numbers_are_the_offers_and_feedback_is_as_clients_need_it)
{
    struct fake *f = new_fake();

    two_join(f);
    alice_publishes(f);
    fake_offer(f, 2, fake_recorded(f, single, "bob", 1), 2);
    const char *offer = fake_recorded(f, single, "bob", 1);
    Livekit__SignalResponse *m, *answer = NULL;
    while ((m = GOT(&f->c[2], ANSWER)) != NULL)
        answer = m;
    struct sdp from = fake_sdp(&f->c[2], offer), to = fake_sdp(&f->c[2], answer->answer->sdp);
    EXPECT_EQ(from.media_n, to.media_n);
    for (uint32_t i = 0; i < to.media_n; i++) {
        for (uint32_t k = 0; k < to.media[i].codec_n; k++) {
            struct sdp_codec *c = &to.media[i].codec[k];
            EXPECT(sdp_find_pt(&from.media[i], c->pt) != NULL);
            EXPECT_STR(sdp_find_pt(&from.media[i], c->pt)->name, c->name);
        }
        for (uint32_t k = 0; k < to.media[i].ext_n; k++)
            EXPECT_EQ(sdp_find_ext(&from.media[i], to.media[i].ext[k].uri)->id,
                      to.media[i].ext[k].id);
        EXPECT_STR(to.media[i].mid, from.media[i].mid);
        EXPECT_EQ(to.media[i].setup, SDP_PASSIVE);
    }
    struct sdp_media *v = &to.media[3];
    EXPECT(sdp_find_ext(v, rtp_ext_uri(RTP_EXT_ABS_SEND_TIME)) != NULL);
    EXPECT(sdp_has_fb(&v->codec[0], "goog-remb"));
    EXPECT_EQ(to.media[6].max_message_size, 65535);
    EXPECT_EQ(to.media[6].sctp_port, 5000);
    const struct cmd_sub_attach *a = &fake_last(f, CMD_SUB_ATTACH)->sub_attach;
    EXPECT(a->pt_n > 0);
    EXPECT(a->ext.id[RTP_EXT_ABS_SEND_TIME] != 0);
    end_fake(f);
}

TEST(subtlety_23_opus_is_answered_with_dtx_and_red_first)
{
    struct fake *f = new_fake();

    two_join(f);
    alice_publishes(f);
    fake_add(f, 1, "db96ad19-c5c5-4cc0-9ee6-bc9629abc1f3", false);
    fake_offer(f, 1, fake_recorded(f, single, "alice", 3), 4);
    Livekit__SignalResponse *m, *answer = NULL;
    while ((m = GOT(&f->c[1], ANSWER)) != NULL)
        answer = m;
    struct sdp sdp = fake_sdp(&f->c[1], answer->answer->sdp);
    struct sdp_media *a = &sdp.media[8];
    EXPECT_EQ(a->dir, SDP_RECVONLY);
    EXPECT_STR(a->codec[0].name, "red");
    EXPECT_STR(a->codec[1].name, "opus");
    EXPECT(strstr(a->codec[1].fmtp, "usedtx=1") != NULL);
    EXPECT(!sdp_has_fb(&a->codec[1], "nack"));
    end_fake(f);
}

TEST(subtlety_24_the_version_is_one_that_clients_know)
{
    struct fake *f = new_fake();

    fake_join(f, 1, "alice", NULL, NULL);
    Livekit__SignalResponse *join = GOT(&f->c[1], JOIN);
    EXPECT_STR(join->join->server_info->version, "1.13.6");
    EXPECT_STR(join->join->server_version, "1.13.6");
    end_fake(f);
}

static void no_publish(struct token_claims *c)
{
    c->video.can_publish = TOKEN_FALSE;
}

TEST(subtlety_12_absent_grants_mean_yes_and_data_follows_publishing)
{
    struct fake *f = new_fake();

    fake_join(f, 1, "alice", NULL, NULL);
    Livekit__ParticipantPermission *p = GOT(&f->c[1], JOIN)->join->participant->permission;
    EXPECT(p->can_publish && p->can_subscribe && p->can_publish_data);
    fake_join(f, 2, "bob", NULL, no_publish);
    p = GOT(&f->c[2], JOIN)->join->participant->permission;
    EXPECT(!p->can_publish && p->can_subscribe && !p->can_publish_data);
    fake_add(f, 2, "x", true);
    Livekit__SignalResponse *m = GOT(&f->c[2], REQUEST_RESPONSE);
    EXPECT_EQ(m->request_response->reason, LIVEKIT__REQUEST_RESPONSE__REASON__NOT_ALLOWED);
    EXPECT_STR(m->request_response->add_track->cid, "x");
    end_fake(f);
}

TEST(text_frames_switch_to_json_and_back)
{
    struct fake *f = new_fake();

    fake_join(f, 1, "alice", NULL, NULL);
    EXPECT(!f->c[1].text);
    node_ws_message(f->node, 1, true, bytes_str("{\"ping\":\"5\"}"), f->tick);
    fake_drain(f);
    EXPECT(GOT(&f->c[1], PONG) != NULL);
    EXPECT(f->c[1].text);
    fake_join_dual(f, 2, "bob", "&format=json");
    EXPECT(f->c[2].text);
    EXPECT_EQ(f->c[2].got[0]->message_case, LIVEKIT__SIGNAL_RESPONSE__MESSAGE_JOIN);
    end_fake(f);
}

TEST(unpublishing_ends_the_track_and_frees_the_subscribers_section)
{
    struct fake *f = new_fake();
    struct node_counts n;

    two_join(f);
    alice_publishes(f);
    fake_offer(f, 2, fake_recorded(f, single, "bob", 1), 2);
    node_get_counts(f->node, &n);
    EXPECT_EQ(n.pubs, 1);
    EXPECT_EQ(n.subs, 1);
    f->c[2].read_n = f->c[2].got_n;
    fake_offer(f, 1, fake_recorded(f, single, "alice", 7), 8);
    node_get_counts(f->node, &n);
    EXPECT_EQ(n.pubs, 0);
    EXPECT_EQ(n.subs, 0);
    EXPECT_EQ(fake_commands(f, CMD_TRACK_CLOSE), 1);
    EXPECT(GOT(&f->c[2], MEDIA_SECTIONS_REQUIREMENT) != NULL); /* a round to say it */
    fake_offer(f, 2, fake_recorded(f, single, "bob", 1), 3);
    f->c[2].read_n = 0;
    Livekit__SignalResponse *m, *answer = NULL;
    while ((m = GOT(&f->c[2], ANSWER)) != NULL)
        answer = m;
    struct sdp sdp = fake_sdp(&f->c[2], answer->answer->sdp);
    EXPECT_EQ(sdp.media[3].dir, SDP_INACTIVE);
    EXPECT_EQ(answer->answer->n_mid_to_track_id, 0);
    end_fake(f);
}

TEST(an_empty_room_ends_and_leaves_nothing_behind)
{
    struct fake *f = new_fake();
    Livekit__SignalRequest r = LIVEKIT__SIGNAL_REQUEST__INIT;
    Livekit__LeaveRequest leave = LIVEKIT__LEAVE_REQUEST__INIT;
    struct node_counts n;

    two_join(f);
    alice_publishes(f);
    fake_offer(f, 2, fake_recorded(f, single, "bob", 1), 2);
    r.message_case = LIVEKIT__SIGNAL_REQUEST__MESSAGE_LEAVE;
    r.leave = &leave;
    fake_say(f, 1, &r);
    EXPECT_EQ(GOT(&f->c[1], LEAVE)->leave->reason, LIVEKIT__DISCONNECT_REASON__CLIENT_INITIATED);
    EXPECT_EQ(f->c[1].ws_code, 1000);
    fake_say(f, 2, &r);
    node_get_counts(f->node, &n);
    EXPECT_EQ(n.members, 0);
    EXPECT_EQ(n.rooms, 1);
    fake_pass(f, 21 * US_PER_SEC);
    node_get_counts(f->node, &n);
    EXPECT_EQ(n.rooms, 0);
    EXPECT_EQ(n.sessions, 0);
    end_fake(f);
}

TEST(room_service_answers_in_the_originals_words)
{
    struct fake *f = new_fake();

    EXPECT(strstr(call(f, "DeleteRoom", "{\"room\":\"demo\"}"),
                  "twirp error unknown: requested room does not exist") != NULL);
    EXPECT_EQ(f->c[8].status, 404);
    (void)call(f, "CreateRoom", "{\"name\":\"demo\",\"emptyTimeout\":7}");
    EXPECT_EQ(f->c[8].status, 200);
    EXPECT(strstr(f->c[8].body, "\"empty_timeout\":7") != NULL);
    EXPECT(strstr(call(f, "GetParticipant", "{\"room\":\"demo\",\"identity\":\"x\"}"),
                  "participant does not exist") != NULL);
    EXPECT(strstr(call(f, "ListParticipants", "{\"room\":\"other\"}"), "permissions denied") !=
           NULL);
    EXPECT_EQ(f->c[8].status, 401);
    end_fake(f);
}

TEST(a_removed_participant_is_told_and_gone)
{
    struct fake *f = new_fake();
    struct node_counts n;

    two_join(f);
    (void)call(f, "RemoveParticipant", "{\"room\":\"demo\",\"identity\":\"bob\"}");
    EXPECT_EQ(f->c[8].status, 200);
    Livekit__SignalResponse *m = GOT(&f->c[2], LEAVE);
    EXPECT_EQ(m->leave->reason, LIVEKIT__DISCONNECT_REASON__PARTICIPANT_REMOVED);
    EXPECT_EQ(m->leave->action, LIVEKIT__LEAVE_REQUEST__ACTION__DISCONNECT);
    node_get_counts(f->node, &n);
    EXPECT_EQ(n.members, 1);
    end_fake(f);
}

TEST(a_lost_right_to_publish_ends_what_was_published)
{
    struct fake *f = new_fake();
    struct node_counts n;

    two_join(f);
    alice_publishes(f);
    (void)call(f, "UpdateParticipant",
               "{\"room\":\"demo\",\"identity\":\"alice\",\"permission\":{\"canSubscribe\":true}}");
    EXPECT(GOT(&f->c[1], TRACK_UNPUBLISHED) != NULL);
    node_get_counts(f->node, &n);
    EXPECT_EQ(n.pubs, 0);
    EXPECT_EQ(n.subs, 0);
    end_fake(f);
}

TEST(a_subscriber_on_another_shard_gets_a_mirror_and_its_end)
{
    struct node_cfg cfg = fake_cfg();
    struct fake *f;

    cfg.peers_per_shard_soft = 1;
    f = new_fake_with(&cfg);
    two_join(f);
    alice_publishes(f);
    fake_offer(f, 2, fake_recorded(f, single, "bob", 1), 2);
    EXPECT_EQ(fake_commands(f, CMD_RELAY_OPEN), 1);
    EXPECT_EQ(fake_commands(f, CMD_TRACK_OPEN), 2);
    const struct cmd_track_open *mirror = &fake_last(f, CMD_TRACK_OPEN)->track_open;
    const struct cmd_sub_attach *a = &fake_last(f, CMD_SUB_ATTACH)->sub_attach;
    EXPECT(mirror->home != 0);
    EXPECT(a->track == mirror->track);
    EXPECT(handle_shard(a->peer) == handle_shard(mirror->track));
    node_conn_closed(f->node, 2, f->tick);
    fake_state(f, a->peer, PEER_FAILED);
    fake_pass(f, 6 * US_PER_SEC);
    EXPECT_EQ(fake_commands(f, CMD_RELAY_CLOSE), 1);
    end_fake(f);
}

TEST(a_publisher_that_comes_back_is_received_again)
{
    struct fake *f = new_fake();

    two_join(f);
    alice_publishes(f);
    fake_offer(f, 2, fake_recorded(f, single, "bob", 1), 2);
    EXPECT_EQ(fake_commands(f, CMD_SUB_ATTACH), 1);
    (void)call(f, "RemoveParticipant", "{\"room\":\"demo\",\"identity\":\"alice\"}");
    fake_offer(f, 2, fake_recorded(f, single, "bob", 1), 3);
    fake_join(f, 3, "alice", fake_recorded(f, single, "alice", 0), NULL);
    fake_state(f, fake_last(f, CMD_PEER_OPEN)->peer_open.peer, PEER_CONNECTED);
    fake_add(f, 3, alice_cam, true);
    fake_offer(f, 3, fake_recorded(f, single, "alice", 2), 3);
    EXPECT_EQ(fake_commands(f, CMD_TRACK_OPEN), 2);
    f->c[2].read_n = f->c[2].got_n;
    fake_offer(f, 2, fake_recorded(f, single, "bob", 1), 4);
    EXPECT_EQ(fake_commands(f, CMD_SUB_ATTACH), 2);
    EXPECT_EQ(GOT(&f->c[2], ANSWER)->answer->n_mid_to_track_id, 1);
    end_fake(f);
}

/* One node for all inputs of a fuzz entry: opening one costs more than the input. */
static struct fake *fuzz_fake(void)
{
    struct fake *f = fake_kept != NULL ? fake_kept : (fake_kept = new_fake());

    for (int i = 1; i <= 2; i++) {
        arena_fini(&f->c[i].arena);
        f->c[i].got_n = f->c[i].read_n = 0;
        node_conn_closed(f->node, (uint64_t)i, f->tick);
    }
    f->cmd_n = 0;
    fake_step(f);
    return f;
}

FUZZ(signal_message, in)
{
    struct fake *f = fuzz_fake();

    fake_join(f, 1, "alice", NULL, NULL);
    node_ws_message(f->node, 1, in.len > 0 && in.p[0] == '{', in, f->tick);
    fake_step(f);
}

FUZZ(join_request, in)
{
    struct fake *f = fuzz_fake();
    struct str query, token;

    str_init(&query, 1 << 20);
    str_init(&token, 1 << 16);
    fake_token(f, "alice", "demo", NULL, &token);
    str_add(&query, "join_request=");
    str_add_base64(&query, in, true, true);
    fake_get(f, 1, "/rtc/v1", str_text(&query), str_text(&token), true);
    fake_step(f);
    str_fini(&query);
    str_fini(&token);
}

/* ---- refused memory ---- */

/* Requests made beforehand: only the node's own allocations are refused. */
struct script {
    struct str query[2], token[2], add, offer, admin;
};

static void pack_request(struct str *out, const Livekit__SignalRequest *r)
{
    str_init(out, 1 << 20);
    pb_pack(&r->base, out);
}

static void write_join(struct fake *f, struct script *s, int i, const char *who)
{
    Livekit__WrappedJoinRequest w = LIVEKIT__WRAPPED_JOIN_REQUEST__INIT;
    Livekit__JoinRequest j = LIVEKIT__JOIN_REQUEST__INIT;
    Livekit__ConnectionSettings set = LIVEKIT__CONNECTION_SETTINGS__INIT;
    Livekit__SessionDescription d = LIVEKIT__SESSION_DESCRIPTION__INIT;
    struct str raw, wrapped;

    str_init(&raw, 1 << 20);
    str_init(&wrapped, 1 << 20);
    str_init(&s->query[i], 1 << 21);
    str_init(&s->token[i], 1 << 16);
    set.auto_subscribe = true;
    d.type = (char *)"offer";
    d.sdp = (char *)fake_recorded(f, single, who, 0);
    d.id = 1;
    j.connection_settings = &set;
    j.publisher_offer = &d;
    pb_pack(&j.base, &raw);
    w.join_request.data = (uint8_t *)raw.p;
    w.join_request.len = raw.len;
    pb_pack(&w.base, &wrapped);
    str_add(&s->query[i], "join_request=");
    str_add_base64(&s->query[i], str_bytes(&wrapped), true, true);
    str_add(&s->token[i], "Bearer ");
    fake_token(f, who, "demo", NULL, &s->token[i]);
    str_fini(&raw);
    str_fini(&wrapped);
}

static void write_script(struct fake *f, struct script *s)
{
    Livekit__SignalRequest r = LIVEKIT__SIGNAL_REQUEST__INIT;
    Livekit__AddTrackRequest a = LIVEKIT__ADD_TRACK_REQUEST__INIT;
    Livekit__SessionDescription d = LIVEKIT__SESSION_DESCRIPTION__INIT;

    write_join(f, s, 0, "alice");
    write_join(f, s, 1, "bob");
    a.cid = (char *)alice_cam;
    a.type = LIVEKIT__TRACK_TYPE__VIDEO;
    r.message_case = LIVEKIT__SIGNAL_REQUEST__MESSAGE_ADD_TRACK;
    r.add_track = &a;
    pack_request(&s->add, &r);
    d.type = (char *)"offer";
    d.sdp = (char *)fake_recorded(f, single, "alice", 2);
    d.id = 3;
    r.message_case = LIVEKIT__SIGNAL_REQUEST__MESSAGE_OFFER;
    r.offer = &d;
    pack_request(&s->offer, &r);
    str_init(&s->admin, 1 << 16);
    str_add(&s->admin, "Bearer ");
    fake_token(f, "admin", "demo", all_grants, &s->admin);
}

static void end_script(struct script *s)
{
    for (int i = 0; i < 2; i++) {
        str_fini(&s->query[i]);
        str_fini(&s->token[i]);
    }
    str_fini(&s->add);
    str_fini(&s->offer);
    str_fini(&s->admin);
}

/* Outputs are only looked at for an HTTP answer's status. */
static void empty_outputs(struct fake *f)
{
    struct node_out out;

    node_tick(f->node, f->tick);
    while (node_output(f->node, &out))
        if (out.kind == NODE_OUT_HTTP && out.conn <= FAKE_CLIENTS)
            f->c[out.conn].status = out.status;
}

static void ask_plain(struct fake *f, uint64_t conn, const char *method, const char *path,
                      const struct str *query, const struct str *token, const char *body)
{
    struct http_header h[] = {{"authorization", token != NULL ? str_text(token) : ""},
                              {"content-type", "application/json"}};
    struct http_msg m = {.method = method,
                         .path = path,
                         .query = query != NULL ? str_text(query) : "",
                         .header = token != NULL ? h : h + 1,
                         .header_n = token != NULL ? 2 : 1,
                         .body = bytes_str(body),
                         .upgrade = query != NULL};

    f->c[conn].status = 0;
    (void)node_http(f->node, conn, &m, &(struct addr){0}, f->tick);
    empty_outputs(f);
}

static void play(struct fake *f, const struct script *s)
{
    static const struct {
        const char *method, *body;
    } calls[] = {
        {"RoomService/CreateRoom", "{\"name\":\"demo\",\"metadata\":\"m\"}"},
        {"RoomService/ListParticipants", "{\"room\":\"demo\"}"},
        {"RoomService/UpdateParticipant", "{\"room\":\"demo\",\"identity\":\"bob\",\"metadata\":"
                                          "\"x\",\"attributes\":{\"a\":\"b\"}}"},
        {"RoomService/SendData", "{\"room\":\"demo\",\"data\":\"aGk=\",\"kind\":\"RELIABLE\"}"},
        {"RoomService/PerformRpc",
         "{\"room\":\"demo\",\"destinationIdentity\":\"bob\",\"method\":\"m\"}"},
        {"AgentDispatchService/CreateDispatch", "{\"room\":\"demo\",\"agentName\":\"a\"}"},
        {"AgentDispatchService/ListDispatch", "{\"room\":\"demo\"}"},
        {"RoomService/DeleteRoom", "{\"room\":\"demo\"}"},
    };
    char path[96];

    ask_plain(f, 1, "GET", "/rtc/v1", &s->query[0], &s->token[0], "");
    node_ws_message(f->node, 1, false, str_bytes(&s->add), f->tick);
    node_ws_message(f->node, 1, false, str_bytes(&s->offer), f->tick);
    empty_outputs(f);
    ask_plain(f, 2, "GET", "/rtc/v1", &s->query[1], &s->token[1], "");
    f->tick.now += US_PER_SEC;
    empty_outputs(f);
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        snprintf(path, sizeof path, "/twirp/livekit.%s", calls[i].method);
        ask_plain(f, 8, "POST", path, NULL, &s->admin, calls[i].body);
    }
}

TEST(every_refused_allocation_is_survived_by_the_node_and_nothing_stays_behind)
{
    uint64_t made = 0;

    for (uint64_t nth = 0; nth == 0 || nth <= made; nth++) {
        struct fake *f = new_fake();
        struct script s;

        write_script(f, &s);
        uint64_t before = mem_made();
        mem_refuse_nth(nth);
        play(f, &s);
        mem_refuse_nth(0);
        if (nth == 0)
            made = mem_made() - before;
        ask_plain(f, 7, "GET", "/", NULL, NULL, "");
        EXPECT_EQ(f->c[7].status, 200);
        ask_plain(f, 7, "POST", "/twirp/livekit.RoomService/ListRooms", NULL, &s.admin, "{}");
        EXPECT_EQ(f->c[7].status, 200);
        end_script(&s);
        end_fake(f);
    }
    EXPECT(made > 300);
}

/* ---- webhooks ---- */

/* The request under way is of this event; it is answered. */
static void take_hook(struct fake *f, const char *event)
{
    char begin[64];

    fake_step(f);
    int n = snprintf(begin, sizeof begin, "{\"event\":\"%s\"", event);
    f->ask_body[n] = '\0';
    EXPECT_STR(f->ask_body, begin);
    const struct reply ok = {.id = f->ask_id, .status = 200};
    node_answer(f->node, &ok, f->tick);
}

TEST(other_servers_are_told_what_happens_in_rooms)
{
    static const char *const urls[] = {"http://hooks.test/"};
    struct node_cfg cfg = fake_cfg();

    cfg.webhook =
        (struct webhook_cfg){.url = urls, .url_n = 1, .key_id = "devkey", .key_secret = "secret"};
    struct fake *f = new_fake_with(&cfg);
    EXPECT(!node_telling(f->node));
    fake_join(f, 1, "alice", fake_recorded(f, single, "alice", 0), NULL);
    EXPECT(node_telling(f->node));
    take_hook(f, "room_started");
    EXPECT(!node_telling(f->node));
    fake_state(f, f->cmd[0].peer_open.peer, PEER_CONNECTED);
    node_shutdown(f->node, f->tick);
    EXPECT(node_telling(f->node));
    take_hook(f, "participant_joined");
    take_hook(f, "participant_left");
    take_hook(f, "room_finished");
    EXPECT(!node_telling(f->node));
    end_fake(f);
}

static struct fake *with_tcp(void)
{
    struct node_cfg cfg = fake_cfg();

    for (uint8_t i = 0; i < 2; i++) {
        struct node_candidate *c = &cfg.candidate[cfg.candidate_n++];
        *c = cfg.candidate[i];
        c->addr.port = 7881;
        c->addr.tcp = 1;
    }
    cfg.tcp_fallback = true;
    return new_fake_with(&cfg);
}

/* Joins as alice; how many candidates of each kind are trickled to her. */
static void count_kinds(struct fake *f, int client, int *udp, int *tcp, bool *fast)
{
    Livekit__SignalResponse *t;

    *udp = *tcp = 0;
    fake_join(f, client, "alice", fake_recorded(f, single, "alice", 0), NULL);
    *fast = GOT(&f->c[client], JOIN)->join->fast_publish;
    while ((t = GOT(&f->c[client], TRICKLE)) != NULL) {
        bool passive = strstr(t->trickle->candidateinit, "tcptype passive") != NULL;
        *(passive ? tcp : udp) += 1;
        EXPECT_EQ(t->trickle->final, passive);
        EXPECT_EQ(passive, strstr(t->trickle->candidateinit, " 7881 ") != NULL);
    }
}

static void lose_path(struct fake *f, bool over_tcp)
{
    peer_id peer = fake_last(f, CMD_PEER_OPEN)->peer_open.peer;
    struct evt ev = {.kind = EVT_PEER_STATE, .peer_state = {.peer = peer, .state = PEER_CONNECTED}};

    ev.peer_state.remote.tcp = over_tcp;
    node_event(f->node, handle_shard(peer), &ev, f->tick);
    fake_drain(f);
    fake_pass(f, 5 * US_PER_SEC);
    ev.peer_state.state = PEER_FAILED;
    ev.peer_state.reason = PEER_REASON_SILENT;
    node_event(f->node, handle_shard(peer), &ev, f->tick);
    fake_pass(f, 0);
}

TEST(udp_that_dies_while_the_client_speaks_is_followed_by_tcp_alone_and_back)
{
    struct fake *f = with_tcp();
    int udp, tcp;
    bool fast;

    count_kinds(f, 1, &udp, &tcp, &fast);
    EXPECT(udp == 1 && tcp == 1 && fast);
    lose_path(f, false);
    count_kinds(f, 2, &udp, &tcp, &fast);
    EXPECT(udp == 0 && tcp == 1 && !fast);
    lose_path(f, true);
    count_kinds(f, 3, &udp, &tcp, &fast);
    EXPECT(udp == 1 && tcp == 1 && fast);
    end_fake(f);
}

TEST(udp_that_dies_with_the_whole_network_is_not_blamed)
{
    struct fake *f = with_tcp();
    int udp, tcp;
    bool fast;

    count_kinds(f, 1, &udp, &tcp, &fast);
    fake_pass(f, 14 * US_PER_SEC); /* not a word for so long */
    lose_path(f, false);
    count_kinds(f, 2, &udp, &tcp, &fast);
    EXPECT(udp == 1 && tcp == 1 && fast);
    end_fake(f);
}

TEST(a_client_that_asks_for_tcp_gets_it_until_it_asks_for_udp)
{
    Livekit__SignalRequest r = LIVEKIT__SIGNAL_REQUEST__INIT;
    Livekit__SimulateScenario sim = LIVEKIT__SIMULATE_SCENARIO__INIT;
    struct fake *f = with_tcp();
    int udp, tcp;
    bool fast;

    r.message_case = LIVEKIT__SIGNAL_REQUEST__MESSAGE_SIMULATE;
    r.simulate = &sim;
    sim.scenario_case = LIVEKIT__SIMULATE_SCENARIO__SCENARIO_SWITCH_CANDIDATE_PROTOCOL;
    static const Livekit__CandidateProtocol asked[] = {LIVEKIT__CANDIDATE_PROTOCOL__TCP,
                                                       LIVEKIT__CANDIDATE_PROTOCOL__TLS,
                                                       LIVEKIT__CANDIDATE_PROTOCOL__UDP};
    static const int want_udp[] = {0, 0, 1}; /* without TURN, TLS changes nothing */
    count_kinds(f, 1, &udp, &tcp, &fast);
    for (int i = 0; i < 3; i++) {
        sim.switch_candidate_protocol = asked[i];
        fake_say(f, i + 1, &r);
        count_kinds(f, i + 2, &udp, &tcp, &fast);
        EXPECT_EQ(udp, want_udp[i]);
        EXPECT_EQ(tcp, 1);
    }
    end_fake(f);
}
