#include "base/conf_table.h"

#define AT(field) offsetof(struct conf, field)
#define PORT      0, 65535
#define U32       0, UINT32_MAX

/* What only says how something is measured, paced or retried inside the original. */
#define INNER(key, type)                                                                           \
    {                                                                                              \
        key, type, CONF_HARMLESS, 0, 0, 0, NULL, NULL, NULL, 0                                     \
    }
#define NOTICE(key, type)                                                                          \
    {                                                                                              \
        key, type, CONF_NOTICE, 0, 0, 0, NULL, NULL, NULL, 0                                       \
    }
#define YES(key, field)                                                                            \
    {                                                                                              \
        key, CONF_BOOL, CONF_EFFECT, AT(field), 0, 0, NULL, NULL, NULL, 0                          \
    }
#define NUM(key, field, range)                                                                     \
    {                                                                                              \
        key, CONF_UINT, CONF_EFFECT, AT(field), range, NULL, NULL, NULL, 0                         \
    }
#define TEXTS(key, field)                                                                          \
    {                                                                                              \
        key, CONF_LIST, CONF_EFFECT, AT(field), 0, 0, NULL, NULL, NULL, 0                          \
    }

const struct conf_opt conf_table[] = {
    {"port", CONF_UINT, CONF_EFFECT, AT(port), PORT, "port", NULL,
     "HTTP and WebSocket port; 0: any free one (7880)", 0},
    {"bind_addresses", CONF_LIST, CONF_EFFECT, AT(bind), 0, 0, "bind", NULL,
     "address to listen on for HTTP; may be repeated (all; with --dev loopback)", 0},
    {"log_level", CONF_LEVEL, CONF_EFFECT, AT(log_level), 0, 0, "log-level", NULL,
     "error, warn, info or debug (info)", AT(log_level_set)},
    {"region", CONF_TEXT, CONF_EFFECT, AT(region), 0, 0, "region", "LIVEKIT_REGION",
     "region told to clients", 0},
    YES("development", development),
    {"keys", CONF_KEYS, CONF_EFFECT, 0, 0, 0, "keys", "LIVEKIT_KEYS",
     "API keys and secrets, 'key: secret'", 0},
    {"key_file", CONF_TEXT, CONF_EFFECT, AT(key_file), 0, 0, "key-file", NULL,
     "file of 'key: secret' lines; readable by its owner and group only", 0},
    {NULL, CONF_TEXT, CONF_EFFECT, AT(data_dir), 0, 0, "data-dir", "SLUICE_DATA_DIR",
     "data directory (~/.local/share/sluice)", 0},
    {NULL, CONF_INT, CONF_EFFECT, AT(ready_fd), 0, 1 << 20, "ready-fd", NULL,
     "descriptor to write one JSON line to when all ports are open", 0},
    {"workers", CONF_INT, CONF_EFFECT, AT(workers), 0, 64, "workers", NULL,
     "media threads; 0: one a core", 0},
    {"peers_per_worker", CONF_UINT, CONF_EFFECT, AT(peers_per_worker), 0, 1 << 20, NULL, NULL, NULL,
     0},
    {NULL, CONF_BOOL, CONF_EFFECT, AT(dev), 0, 0, "dev", NULL,
     "development: key devkey, secret 'secret', loopback, debug log", 0},

    {"whip_port", CONF_UINT, CONF_EFFECT, AT(whip_port), PORT, "ws-port", NULL,
     "second HTTP port, for WHIP and /websocket; 0: none (none; `up`: 8080)", AT(whip_port_set)},
    {NULL, CONF_TEXT, CONF_EFFECT, AT(stream_key), 0, 0, "stream-key", "STREAM_KEY",
     "key of the default channel (the data directory's file `hash`)", 0},
    {NULL, CONF_UINT, CONF_EFFECT, AT(ftl_port), PORT, "ftl-port", "INGEST_PORT",
     "FTL, TCP and UDP, of `up`; 0: none (8084)", 0},
    {NULL, CONF_UINT, CONF_EFFECT, AT(rtmp_port), PORT, "rtmp-port", 0,
     "RTMP of `up`; 0: none (1935)", 0},
    {NULL, CONF_TEXT, CONF_EFFECT, AT(ingest_address), 0, 0, "ingest-address", "LS_INGEST_ADDR",
     "address that `up` takes streams on (all)", 0},
    {NULL, CONF_TEXT, CONF_EFFECT, AT(ingress_config), 0, 0, "ingress-config",
     "INGRESS_CONFIG_FILE", "a LiveKit Ingress YAML file for the ingress of `up`", 0},
    {"watch.private", CONF_LIST, CONF_EFFECT, AT(private_rooms), 0, 0, "watch-private", NULL,
     "room that is watched with a token alone; may be repeated; *: all", 0},
    {"meet.open", CONF_BOOL, CONF_EFFECT, AT(meet_open), 0, 0, "meet-open", NULL,
     "the meet page lets anybody in (with --dev it does)", 0},
    {"meet.secret", CONF_TEXT, CONF_EFFECT, AT(meet_secret), 0, 0, "meet-secret", NULL,
     "invitation key that the meet page asks for", 0},

    NUM("prometheus_port", prometheus_port, PORT),
    {"prometheus.port", CONF_UINT, CONF_EFFECT, AT(prometheus_port), PORT, "prometheus-port", NULL,
     "port for metrics; 0: any free one (off)", AT(prometheus_on)},
    {"prometheus.username", CONF_TEXT, CONF_EFFECT, AT(prometheus_username), 0, 0, NULL, NULL, NULL,
     0},
    {"prometheus.password", CONF_TEXT, CONF_EFFECT, AT(prometheus_password), 0, 0, NULL, NULL, NULL,
     0},
    NOTICE("debug_handler.port", CONF_NUMBER),

    {"rtc.udp_port", CONF_RANGE, CONF_EFFECT, AT(udp_port), PORT, "udp-port", "UDP_PORT",
     "UDP port for media, or a range A-B, one a worker (7882 and up)", AT(udp_port_set)},
    {"rtc.tcp_port", CONF_UINT, CONF_EFFECT, AT(tcp_port), PORT, "tcp-port", NULL,
     "TCP port for media; 0: none (7881)", 0},
    {"rtc.node_ip", CONF_NODE_IP, CONF_EFFECT, 0, 0, 0, "node-ip", "NODE_IP",
     "address offered to clients", 0},
    {"rtc.announce", CONF_ADDR, CONF_EFFECT, AT(announce), 0, 0, "announce", NULL,
     "ip:port offered to clients instead (port forwarding)", 0},
    {"rtc.announce_tcp", CONF_ADDR, CONF_EFFECT, AT(announce_tcp), 0, 0, "announce-tcp", NULL,
     "the same for media over TCP", 0},
    NUM("rtc.port_range_start", port_range_start, PORT),
    NUM("rtc.port_range_end", port_range_end, PORT),
    YES("rtc.use_external_ip", use_external_ip),
    YES("rtc.enable_loopback_candidate", enable_loopback_candidate),
    TEXTS("rtc.interfaces.includes", interfaces_include),
    TEXTS("rtc.interfaces.excludes", interfaces_exclude),
    TEXTS("rtc.ips.includes", ips_include),
    TEXTS("rtc.ips.excludes", ips_exclude),
    TEXTS("rtc.stun_servers", stun_servers),
    YES("rtc.force_tcp", force_tcp),
    NOTICE("rtc.external_ip_only", CONF_BOOL),
    NOTICE("rtc.use_stun_port_as_ice", CONF_BOOL),
    INNER("rtc.use_ice_lite", CONF_BOOL),
    INNER("rtc.use_mdns", CONF_BOOL),
    INNER("rtc.batch_io.batch_size", CONF_NUMBER),
    INNER("rtc.batch_io.max_flush_interval", CONF_DURATION),
    INNER("rtc.sctp_min_cwnd", CONF_NUMBER),
    INNER("rtc.sctp_fast_rtx_wnd", CONF_NUMBER),
    INNER("rtc.sctp_cwnd_ca_step", CONF_NUMBER),
    NOTICE("rtc.advertise_internal_ip", CONF_BOOL),
    INNER("rtc.skip_external_ip_validation", CONF_BOOL),
    NOTICE("rtc.turn_servers", CONF_ANY),
    INNER("rtc.enable_warp", CONF_BOOL),
    INNER("rtc.strict_acks", CONF_BOOL),
    INNER("rtc.packet_buffer_size", CONF_NUMBER),
    INNER("rtc.packet_buffer_size_video", CONF_NUMBER),
    INNER("rtc.packet_buffer_size_audio", CONF_NUMBER),
    INNER("rtc.pli_throttle.low_quality", CONF_DURATION),
    INNER("rtc.pli_throttle.mid_quality", CONF_DURATION),
    INNER("rtc.pli_throttle.high_quality", CONF_DURATION),
    NOTICE("rtc.congestion_control", CONF_ANY),
    YES("rtc.allow_tcp_fallback", allow_tcp_fallback),
    NOTICE("rtc.tcp_fallback_rtt_threshold", CONF_NUMBER),
    NOTICE("rtc.allow_udp_unstable_fallback", CONF_BOOL),
    NOTICE("rtc.reconnect_on_publication_error", CONF_BOOL),
    NOTICE("rtc.reconnect_on_subscription_error", CONF_BOOL),
    NOTICE("rtc.reconnect_on_data_channel_error", CONF_BOOL),
    INNER("rtc.data_channel_max_buffered_amount", CONF_NUMBER),
    NOTICE("rtc.datachannel_slow_threshold", CONF_NUMBER),
    NOTICE("rtc.datachannel_lossy_target_latency", CONF_DURATION),
    NOTICE("rtc.datachannel_data_track_target_latency", CONF_DURATION),
    INNER("rtc.forward_stats", CONF_ANY),
    INNER("rtc.enable_rtp_stream_restart_detection", CONF_BOOL),

    NOTICE("redis", CONF_ANY),
    NOTICE("audio", CONF_ANY),
    NOTICE("video", CONF_ANY),

    YES("room.auto_create", auto_create),
    {"room.empty_timeout", CONF_SECONDS, CONF_EFFECT, AT(empty_timeout_s), U32, NULL, NULL, NULL,
     0},
    {"room.departure_timeout", CONF_SECONDS, CONF_EFFECT, AT(departure_timeout_s), U32, NULL, NULL,
     NULL, 0},
    NUM("room.max_participants", max_participants, U32),
    YES("room.enable_remote_unmute", enable_remote_unmute),
    NOTICE("room.enabled_codecs", CONF_ANY),
    YES("room.playout_delay.enabled", playout_delay),
    NUM("room.playout_delay.min", min_playout_delay_ms, U32),
    NUM("room.playout_delay.max", max_playout_delay_ms, U32),
    YES("room.sync_streams", sync_streams),
    INNER("room.create_room_timeout", CONF_DURATION),
    INNER("room.create_room_attempts", CONF_NUMBER),
    YES("room.enable_full_room_in_webhooks", webhook_full_room),
    INNER("room.update_batch_target_size", CONF_NUMBER),
    {"room.room_configurations", CONF_ROOM, CONF_EFFECT, 0, 0, 0, NULL, NULL, NULL, 0},
    NUM("room.max_metadata_size", max_metadata_size, U32),
    NUM("room.max_room_name_length", max_room_name_length, U32),
    NUM("room.max_participant_identity_length", max_participant_identity_length, U32),

    {"ingest.on_duplicate", CONF_TEXT, CONF_EFFECT, AT(on_duplicate), 0, 0, "on-duplicate", NULL,
     "a second publisher with a key that is on air: takeover or refuse (takeover)", 0},
    {"ingest.auth_url", CONF_TEXT, CONF_EFFECT, AT(auth_url), 0, 0, "auth-url", "AUTH_WS_URL",
     "service (ws, wss, http, https) that is asked before somebody may stream", 0},
    NOTICE("turn", CONF_ANY),
    {"ingress.rtmp_base_url", CONF_TEXT, CONF_EFFECT, AT(rtmp_base_url), 0, 0, NULL, NULL, NULL, 0},
    {"ingress.whip_base_url", CONF_TEXT, CONF_EFFECT, AT(whip_base_url), 0, 0, NULL, NULL, NULL, 0},
    INNER("sip", CONF_ANY),
    TEXTS("webhook.urls", webhook_urls),
    {"webhook.api_key", CONF_TEXT, CONF_EFFECT, AT(webhook_key), 0, 0, NULL, NULL, NULL, 0},
    TEXTS("webhook.filter_params.include_events", webhook_include),
    TEXTS("webhook.filter_params.exclude_events", webhook_exclude),
    {"webhook.resource_url_notifier.max_age", CONF_SECONDS, CONF_EFFECT, AT(webhook_age_s), U32,
     NULL, NULL, NULL, 0},
    NUM("webhook.resource_url_notifier.max_depth", webhook_depth, U32),
    INNER("webhook.url_notifier", CONF_ANY), /* the original has not used it since its queues are
                                                one for each resource */
    INNER("node_selector", CONF_ANY),        /* one node: nothing to select */
    INNER("signal_relay", CONF_ANY),
    INNER("psrpc", CONF_ANY),

    YES("logging.json", log_json),
    {"logging.level", CONF_LEVEL, CONF_EFFECT, AT(log_level), 0, 0, NULL, NULL, NULL,
     AT(log_level_set)},
    INNER("logging.sample", CONF_BOOL),
    INNER("logging.component_levels", CONF_ANY),
    INNER("logging.sample_initial", CONF_NUMBER),
    INNER("logging.sample_interval", CONF_NUMBER),
    INNER("logging.item_sample_seconds", CONF_NUMBER),
    INNER("logging.item_sample_initial", CONF_NUMBER),
    INNER("logging.item_sample_interval", CONF_NUMBER),
    INNER("logging.pion_level", CONF_TEXT),

    NUM("limit.num_tracks", num_tracks, U32),
    NOTICE("limit.bytes_per_sec", CONF_NUMBER),
    NOTICE("limit.subscription_limit_video", CONF_NUMBER),
    NOTICE("limit.subscription_limit_audio", CONF_NUMBER),
    NUM("limit.max_metadata_size", max_metadata_size, U32),
    NUM("limit.max_attributes_size", max_attributes_size, U32),
    NUM("limit.max_room_name_length", max_room_name_length, U32),
    NUM("limit.max_participant_identity_length", max_participant_identity_length, U32),
    NUM("limit.max_participant_name_length", max_participant_name_length, U32),
    NOTICE("limit.max_data_blob_key_length", CONF_NUMBER),
    NOTICE("limit.max_data_blobs_size", CONF_NUMBER),
    NOTICE("limit.max_data_track_custom_encoding_length", CONF_NUMBER),
    NUM("limit.signal_message_size_limit", signal_message_size_limit, U32),
    NOTICE("limit.agent_signal_message_size_limit", CONF_NUMBER),
    NUM("limit.max_api_request_body_size", max_api_request_body_size, U32),
    NUM("limit.max_connections", max_connections, U32),

    NOTICE("agents", CONF_ANY),
    NOTICE("metric", CONF_ANY),
    NOTICE("trace.jaeger_url", CONF_TEXT),
    INNER("node_stats", CONF_ANY),
    NOTICE("enable_data_tracks", CONF_BOOL),
    NOTICE("enable_participant_data_blob", CONF_BOOL),
    INNER("api", CONF_ANY),

    /* Named flags of the original without a key of the same name. */
    {NULL, CONF_TEXT, CONF_NOTICE, 0, 0, 0, "redis-host", "REDIS_HOST", NULL, 0},
    {NULL, CONF_TEXT, CONF_NOTICE, 0, 0, 0, "redis-password", "REDIS_PASSWORD", NULL, 0},
    {NULL, CONF_TEXT, CONF_NOTICE, 0, 0, 0, "turn-cert", "LIVEKIT_TURN_CERT", NULL, 0},
    {NULL, CONF_TEXT, CONF_NOTICE, 0, 0, 0, "turn-key", "LIVEKIT_TURN_KEY", NULL, 0},
    {NULL, CONF_TEXT, CONF_NOTICE, 0, 0, 0, "cpuprofile", NULL, NULL, 0},
    {NULL, CONF_TEXT, CONF_NOTICE, 0, 0, 0, "memprofile", NULL, NULL, 0},
};

const size_t conf_table_n = ARRAY_LEN(conf_table);
