#include "base/test.h"
#include "bus/admit.h"

static enum psrpc_code check(int input_type, bool any, enum admit_way way, int enabled,
                             const char *room)
{
    Livekit__IngressInfo info = LIVEKIT__INGRESS_INFO__INIT;
    const char *why = NULL;

    info.input_type = (Livekit__IngressInput)input_type;
    info.room_name = (char *)(uintptr_t)room;
    info.participant_identity = (char *)(uintptr_t) "someone";
    if (enabled >= 0) {
        info._enabled_case = LIVEKIT__INGRESS_INFO___ENABLED_ENABLED;
        info.enabled = enabled;
    }
    enum psrpc_code code = admit_check(&info, any, way, &why);
    EXPECT((code == PSRPC_OK) == (why[0] == '\0'));
    return code;
}

TEST(a_key_works_on_its_own_protocols)
{
    static const enum psrpc_code no = PSRPC_INVALID_ARGUMENT, ok = PSRPC_OK;
    static const enum psrpc_code want[4][4] = {
        /* RTMP, FTL, WHIP, URL */
        {ok, ok, no, no}, /* RTMP_INPUT */
        {no, no, ok, no}, /* WHIP_INPUT */
        {no, no, no, ok}, /* URL_INPUT */
        {no, no, no, no}, /* what a later version may bring */
    };

    for (int type = 0; type < 4; type++) {
        for (int way = 0; way < 4; way++)
            EXPECT_EQ(check(type, false, (enum admit_way)way, -1, "r"), want[type][way]);
    }
}

TEST(the_default_channel_s_key_works_on_every_way_in)
{
    EXPECT_EQ(check(0, true, ADMIT_RTMP, -1, "r"), PSRPC_OK);
    EXPECT_EQ(check(0, true, ADMIT_FTL, -1, "r"), PSRPC_OK);
    EXPECT_EQ(check(0, true, ADMIT_WHIP, 1, "r"), PSRPC_OK);
    EXPECT_EQ(check(0, true, ADMIT_URL, -1, "r"), PSRPC_INVALID_ARGUMENT);
    EXPECT_EQ(check(0, true, ADMIT_WHIP, 0, "r"), PSRPC_PERMISSION_DENIED);
}

TEST(disabled_or_without_a_room_nobody_publishes)
{
    EXPECT_EQ(check(0, false, ADMIT_RTMP, 0, "r"), PSRPC_PERMISSION_DENIED);
    EXPECT_EQ(check(0, false, ADMIT_RTMP, 1, "r"), PSRPC_OK);
    EXPECT_EQ(check(0, false, ADMIT_RTMP, 1, ""), PSRPC_INVALID_ARGUMENT);
}
