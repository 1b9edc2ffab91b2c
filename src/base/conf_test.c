#include "base/conf.h"

#include "base/test.h"

#include <string.h>

static const char sample[] = "port: 7890\n"
                             "bind_addresses: ['127.0.0.1']\n"
                             "keys:\n"
                             "  APIx: 0123456789012345678901234567890123456789\n"
                             "rtc:\n"
                             "  udp_port: 7000-7003\n"
                             "  tcp_port: 7001\n"
                             "  node_ip: 203.0.113.9\n"
                             "  use_external_ip: false\n"
                             "  congestion_control: {enabled: true, allow_pause: false}\n"
                             "  pli_throttle: {low_quality: 500ms}\n"
                             "redis:\n"
                             "  address: localhost:6379\n"
                             "room:\n"
                             "  empty_timeout: 60\n"
                             "  departure_timeout: 1m30s\n"
                             "logging: {level: warn, json: true}\n"
                             "limit: {max_metadata_size: 100}\n"
                             "turn:\n";

TEST(conf_reads_a_livekit_file)
{
    struct conf c;

    conf_init(&c);
    EXPECT_EQ(conf_yaml(&c, "x.yaml", bytes_str(sample)), 0);
    EXPECT_EQ(conf_finish(&c), 0);
    EXPECT_EQ(c.port, 7890);
    EXPECT_EQ(c.bind.n, 1);
    EXPECT_EQ(c.key_n, 1);
    EXPECT_STR(c.key[0].id, "APIx");
    EXPECT_EQ(c.udp_port.first, 7000);
    EXPECT_EQ(c.udp_port.last, 7003);
    EXPECT_EQ(c.node_ip4.ip[3], 9);
    EXPECT_EQ(c.empty_timeout_s, 60);
    EXPECT_EQ(c.departure_timeout_s, 90);
    EXPECT_EQ(c.log_level, LOG_LEVEL_WARN);
    EXPECT(c.log_json);
    EXPECT_EQ(c.max_metadata_size, 100);
    EXPECT_STR(str_text(&c.notice),
               "x.yaml:10: 'rtc.congestion_control' is read but has no effect in this version\n"
               "x.yaml:12: 'redis' is read but has no effect in this version\n");
    conf_fini(&c);
}

TEST(conf_errors_name_line_and_remedy)
{
    static const struct {
        const char *doc, *error;
    } bad[] = {
        {"port: 1\nrtc:\n  tcp_prot: 1\n",
         "x:3: unknown key 'rtc.tcp_prot'; did you mean 'rtc.tcp_port'? Correct it, or start with "
         "--disable-strict-config"},
        {"port: 99999\n", "x:1: port: 99999 is out of range; give a number from 0 to 65535"},
        {"port: many\n", "x:1: port: 'many' is not a number; give one from 0 to 65535"},
        {"rtc: 5\n", "x:1: 'rtc' is a section; indent its keys below it"},
        {"rtc:\n  udp_port: 9-3\n",
         "x:2: rtc.udp_port: the range 9-3 ends before it begins; write the lower port first"},
        {"rtc:\n  pli_throttle: {low_quality: 5}\n",
         "x:2: rtc.pli_throttle.low_quality: '5' is no duration; write one like 500ms or 1m30s"},
        {"development: maybe\n",
         "x:1: development: 'maybe' is neither true nor false; write one of these"},
        {"port:\n  - 1\n", "x:1: 'port' takes a single value"},
        {"room:\n  room_configurations:\n    a:\n      max_participant: 3\n",
         "x:4: unknown key 'max_participant' of a room configuration; did you mean "
         "max_participants"},
        {"room: {room_configurations: 5}\n",
         "x:1: 'room.room_configurations' takes a name and, below it, keys"},
        {"zzzzzzzzzzzzzz: 1\n",
         "x:1: unknown key 'zzzzzzzzzzzzzz'; remove it, or start with --disable-strict-config"},
        {"debug_handler_port: 1\n",
         "x:1: unknown key 'debug_handler_port'; did you mean 'debug_handler.port'? Correct it, or "
         "start with --disable-strict-config"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct conf c;
        conf_init(&c);
        EXPECT(conf_yaml(&c, "x", bytes_str(bad[i].doc)) < 0);
        EXPECT_STR(c.error, bad[i].error);
        conf_fini(&c);
    }
}

TEST(conf_reads_named_configurations_of_rooms)
{
    static const char text[] = "room:\n  sync_streams: true\n"
                               "  playout_delay: {enabled: true, min: 100, max: 2000}\n"
                               "  room_configurations:\n"
                               "    big: {max_participants: 9, empty_timeout: 5m, metadata: m}\n"
                               "    slow:\n      min_playout_delay: 300\n      sync_streams: yes\n";
    struct conf c;

    conf_init(&c);
    EXPECT_EQ(conf_yaml(&c, "x", bytes_str(text)), 0);
    EXPECT(c.sync_streams && c.playout_delay);
    EXPECT_EQ(c.max_playout_delay_ms, 2000);
    EXPECT_EQ(c.room_n, 2);
    EXPECT_STR(c.room[0].name, "big");
    EXPECT_EQ(c.room[0].max_participants, 9);
    EXPECT_EQ(c.room[0].empty_timeout_s, 300);
    EXPECT_STR(c.room[0].metadata, "m");
    EXPECT_STR(c.room[1].metadata, "");
    EXPECT_EQ(c.room[1].min_playout_delay_ms, 300);
    EXPECT(c.room[1].sync_streams);
    conf_fini(&c);
}

TEST(conf_flags_rule_over_variables_over_the_file)
{
    struct conf c;
    const char *env[] = {"LIVEKIT_RTC_TCP_PORT=2", "LIVEKIT_URL=ws://x", "UDP_PORT=5", "HOME=/",
                         NULL};
    const char *argv[] = {"server", "--rtc.tcp_port",   "3",     "--udp-port=6-7", "--bind",
                          "::1",    "--bind=127.0.0.1", "--dev", "--node-ip",      "10.0.0.1"};
    int at = 1;

    conf_init(&c);
    EXPECT_EQ(conf_yaml(&c, "x", bytes_str("rtc: {tcp_port: 1}\nbind_addresses: [a, b, c]\n")), 0);
    EXPECT_EQ(c.tcp_port, 1);
    EXPECT_EQ(conf_env(&c, env), 0);
    EXPECT_EQ(c.tcp_port, 2);
    EXPECT_EQ(c.udp_port.first, 5);
    while (at < (int)ARRAY_LEN(argv))
        EXPECT_EQ(conf_flag(&c, ARRAY_LEN(argv), argv, &at), 0);
    EXPECT_EQ(c.tcp_port, 3);
    EXPECT_EQ(c.udp_port.last, 7);
    EXPECT_EQ(c.bind.n, 2);
    EXPECT_STR(c.bind.text[0], "::1");
    EXPECT_EQ(conf_finish(&c), 0);
    EXPECT_STR(c.key[0].id, "devkey");
    conf_fini(&c);
}

TEST(conf_flag_errors_suggest)
{
    struct conf c;
    const char *argv[] = {"--udp-prot", "1"};
    const char *last[] = {"--port"};
    int at = 0;

    conf_init(&c);
    EXPECT(conf_flag(&c, 2, argv, &at) < 0);
    EXPECT_STR(c.error, "sluice: unknown flag '--udp-prot'; did you mean '--udp-port'?");
    at = 0;
    EXPECT(conf_flag(&c, 1, last, &at) < 0);
    EXPECT_STR(c.error, "--port: needs a value; write --port=VALUE");
    conf_fini(&c);
}

TEST(conf_keys_come_in_lines_or_lists)
{
    struct conf c;

    conf_init(&c);
    EXPECT_EQ(conf_keys(&c, "k", bytes_str("# mine\na: b\n\"c\": 'd'\n")), 0);
    EXPECT_EQ(c.key_n, 2);
    EXPECT_STR(c.key[1].secret, "d");
    c.key_n = 0;
    EXPECT_EQ(conf_keys(&c, "k", bytes_str("a: b, c: d e:f")), 0);
    EXPECT_EQ(c.key_n, 3);
    EXPECT(conf_keys(&c, "k", bytes_str("a b")) < 0);
    EXPECT_STR(c.error, "k: no ':' after 'a'; write 'key: secret'");
    conf_fini(&c);
}

TEST(conf_without_keys_is_refused_with_the_remedy)
{
    struct conf c;

    conf_init(&c);
    EXPECT(conf_finish(&c) < 0);
    EXPECT(strstr(c.error, "one of key-file or keys must be provided") != NULL);
    conf_fini(&c);
}

TEST(conf_durations_are_those_of_go)
{
    static const struct {
        const char *text;
        us_t us;
    } good[] = {
        {"0", 0}, {"1s", 1000000}, {"500ms", 500000}, {"1m30s", 90000000}, {"1.5h", 5400000000}};
    us_t us;

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        EXPECT(conf_duration(bytes_str(good[i].text), &us));
        EXPECT_EQ(us, good[i].us);
    }
    EXPECT(!conf_duration(bytes_str("5"), &us));
    EXPECT(!conf_duration(bytes_str(""), &us));
    EXPECT(!conf_duration(bytes_str("s"), &us));
    EXPECT(!conf_duration(bytes_str("1..5s"), &us));
}

TEST(conf_announce_is_an_address_and_port)
{
    struct addr a;

    EXPECT(conf_addr(bytes_str("127.0.0.1:99"), &a));
    EXPECT_EQ(a.port, 99);
    EXPECT(conf_addr(bytes_str("[::1]:99"), &a));
    EXPECT_EQ(a.family, 6);
    EXPECT(!conf_addr(bytes_str("127.0.0.1"), &a));
    EXPECT(!conf_addr(bytes_str("x:1"), &a));
}

FUZZ(conf, in)
{
    struct conf c;

    conf_init(&c);
    int err = conf_yaml(&c, "f", in);
    EXPECT(err <= 0);
    EXPECT((err == 0) == (c.error[0] == '\0'));
    conf_fini(&c);
}

TEST(conf_tcp_alone_needs_a_tcp_port)
{
    struct conf c;

    conf_init(&c);
    EXPECT_EQ(c.tcp_port, 7881);
    EXPECT(c.allow_tcp_fallback && !c.force_tcp);
    EXPECT_EQ(conf_yaml(&c, "x",
                        bytes_str("keys: {a: b}\nrtc: {tcp_port: 0, force_tcp: true, "
                                  "announce_tcp: '192.0.2.1:443'}\n")),
              0);
    EXPECT_EQ(c.announce_tcp.port, 443);
    EXPECT(conf_finish(&c) < 0);
    EXPECT(strstr(c.error, "rtc.force_tcp needs a TCP port") != NULL);
    conf_fini(&c);
}

static const char hooks[] = "keys: {APIx: secret, APIy: other}\n"
                            "webhook:\n"
                            "  urls: ['http://a.test/x', 'https://b.test/']\n"
                            "  api_key: APIy\n"
                            "  url_notifier: {num_workers: 3, queue_size: 9}\n"
                            "  resource_url_notifier: {max_age: 1m, max_depth: 50}\n"
                            "  filter_params:\n"
                            "    include_events: [room_started]\n"
                            "    exclude_events: [room_finished, participant_left]\n"
                            "room: {enable_full_room_in_webhooks: true}\n";

TEST(conf_reads_webhooks)
{
    struct conf c;

    conf_init(&c);
    EXPECT_EQ(conf_yaml(&c, "x.yaml", bytes_str(hooks)), 0);
    EXPECT_EQ(conf_finish(&c), 0);
    EXPECT_EQ(c.webhook_urls.n, 2);
    EXPECT_STR(c.webhook_urls.text[1], "https://b.test/");
    EXPECT_STR(c.webhook_key, "APIy");
    EXPECT_EQ(c.webhook_age_s, 60);
    EXPECT_EQ(c.webhook_depth, 50);
    EXPECT_EQ(c.webhook_include.n, 1);
    EXPECT_EQ(c.webhook_exclude.n, 2);
    EXPECT(c.webhook_full_room);
    EXPECT(strstr(str_text(&c.notice), "webhook") == NULL);
    conf_fini(&c);
}

TEST(conf_refuses_webhooks_that_nobody_could_sign_or_reach)
{
    static const struct {
        const char *doc, *error;
    } bad[] = {
        {"webhook: {urls: ['http://a.test']}\n", "sluice: api_key is required to use webhooks"},
        {"webhook: {urls: ['http://a.test'], api_key: no}\n",
         "sluice: api_key is required to use webhooks; webhook.api_key 'no' is not among the keys"},
        {"webhook: {urls: ['ftp://a.test'], api_key: devkey}\n",
         "sluice: webhook.urls: entry 1 is no http:// or https:// address"},
        {"ingest: {auth_url: 'localhost:8082'}\n",
         "sluice: ingest.auth_url must begin with ws://, wss://, http:// or https://"},
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct conf c;
        conf_init(&c);
        c.dev = true;
        EXPECT_EQ(conf_yaml(&c, "x", bytes_str(bad[i].doc)), 0);
        EXPECT(conf_finish(&c) < 0);
        EXPECT_STR(c.error, bad[i].error);
        conf_fini(&c);
    }
}

TEST(the_auth_service_is_named_by_its_old_variable_too)
{
    static const char *const env[] = {"AUTH_WS_URL=ws://localhost:8082", NULL};
    struct conf c;

    conf_init(&c);
    c.dev = true;
    EXPECT_EQ(conf_env(&c, env), 0);
    EXPECT_EQ(conf_finish(&c), 0);
    EXPECT_STR(c.auth_url, "ws://localhost:8082");
    conf_fini(&c);
}
