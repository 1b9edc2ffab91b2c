/* base/conf.h - the configuration: one table of options for file, environment and flags.
 *
 * Precedence: defaults < file < generated flags and variables < named flags.  The file is
 * a livekit-server YAML (reference section 7), read strictly: an unknown key is an error that
 * names the line, what may have been meant and the way out.  Every leaf key `a.b` is also a
 * flag `--a.b` and a variable LIVEKIT_A_B.  Options of the original that have no effect here
 * yet are read, checked for their shape and reported once in conf.notice.
 *
 * Refuses to read files, variables or clocks: texts and the environment are handed in.  The
 * result is a snapshot that does not change; everything lives in conf.arena.
 */
#ifndef BASE_CONF_H
#define BASE_CONF_H

#include "base/addr.h"
#include "base/arena.h"
#include "base/base.h"
#include "base/log.h"
#include "base/str.h"

enum {
    CONF_KEYS_MAX = 64,
    CONF_BINDS_MAX = 16,
    CONF_LIST_MAX = 32,
    CONF_ROOMS_MAX = 32,
    CONF_ERROR_MAX = 512,
    CONF_NOTICE_MAX = 4096,
    CONF_OPTS_MAX = 192,
    CONF_ARENA_BYTES = 8 << 20,
};

struct conf_key {
    const char *id, *secret;
};

struct conf_list {
    const char *text[CONF_LIST_MAX];
    uint32_t n;
};

struct conf_range {
    uint16_t first, last; /* 0, 0: unset */
};

/* A named configuration of rooms; zero, false and "" leave the defaults. */
struct conf_room {
    const char *name, *metadata;
    uint32_t empty_timeout_s, departure_timeout_s, max_participants;
    uint32_t min_playout_delay_ms, max_playout_delay_ms;
    bool sync_streams;
};

struct conf {
    struct arena arena;
    char error[CONF_ERROR_MAX]; /* one line, after a negative return */
    struct str notice;          /* lines, each ended by '\n' */
    bool strict;
    bool dev, development;

    uint32_t port;
    struct conf_list bind;
    struct conf_key key[CONF_KEYS_MAX];
    uint32_t key_n;
    const char *key_file;
    const char *region;
    const char *data_dir;      /* "" : none named */
    int64_t ready_fd;          /* -1: none */
    int64_t workers;           /* 0: one a core */
    uint32_t peers_per_worker; /* a room's newcomers go to another worker past it; 0: 400 */

    enum log_level log_level;
    bool log_level_set, log_json;

    uint32_t prometheus_port; /* 0: off, unless prometheus_any */
    bool prometheus_on;
    const char *prometheus_username, *prometheus_password;

    struct conf_range udp_port; /* set by udp_port_set */
    bool udp_port_set;
    uint32_t port_range_start, port_range_end; /* 0: unset; the workers' ports lie in it */
    uint32_t tcp_port;                         /* 0: no media over TCP */
    bool force_tcp, allow_tcp_fallback;
    struct addr node_ip4, node_ip6; /* family 0: found by itself */
    bool use_external_ip, enable_loopback_candidate;
    struct conf_list interfaces_include, interfaces_exclude, ips_include, ips_exclude;
    struct conf_list stun_servers;
    struct addr announce_tcp; /* the same for media over TCP */
    struct addr announce;     /* offered instead of our own addresses; family 0: none */

    bool auto_create, enable_remote_unmute;
    uint32_t empty_timeout_s, departure_timeout_s, max_participants;
    bool playout_delay, sync_streams;
    uint32_t min_playout_delay_ms, max_playout_delay_ms;
    struct conf_room room[CONF_ROOMS_MAX];
    uint32_t room_n;

    struct conf_list webhook_urls, webhook_include, webhook_exclude;
    const char *webhook_key;               /* id of the key that signs; "": none */
    uint32_t webhook_age_s, webhook_depth; /* 0: the default */
    bool webhook_full_room;
    const char *on_duplicate; /* a second publisher with a key that is on air: takeover or refuse */
    const char *auth_url;     /* service that is asked before somebody may stream; "": none */

    uint32_t max_metadata_size, max_attributes_size, max_room_name_length;
    uint32_t max_participant_identity_length, max_participant_name_length;
    uint32_t signal_message_size_limit, max_api_request_body_size, num_tracks;
    uint32_t whip_port; /* a second port for HTTP, where WHIP and Lightspeed expect it; 0: none */
    bool whip_port_set;
    const char *rtmp_base_url, *whip_base_url; /* told of ingresses; "": by the address offered */
    const char *admin_secret;                  /* of /admin; "": nobody comes in */
    const char *stream_key;                    /* of the default channel; "": the file's */
    uint32_t ftl_port, rtmp_port;              /* of the ingress that `up` starts; 0: none */
    uint32_t rtp_port;                         /* likewise: plain RTP */
    const char *rtp_address;                   /* that listens there; "": loopback */
    struct conf_range rtp_ports;               /* of streams that ask for one */
    bool rtp_ports_set;
    const char *web_root; /* folder of a built page; "": none */
    uint32_t web_port;
    const char *websocket_url; /* told to that page; "": by the host asked */
    const char *ice_servers;   /* STUN servers for clients, "stun:a,stun:b"; "", "none" */
    const char *log_file;      /* "": stderr */
    const char *egress_config; /* of `up`: read by nobody yet */
    const char *ingest_address, *ingress_config; /* likewise; "": all addresses, no file */
    struct conf_list private_rooms;              /* watched with a token alone; "*": all */
    bool meet_open;                              /* the meet page lets anybody in */
    const char *meet_secret;  /* else: the invitation key that it asks for; "": it lets nobody in */
    uint32_t max_connections; /* HTTP and WebSocket together */

    uint8_t flagged[CONF_OPTS_MAX]; /* lists that a flag has begun to replace */
};

/* Defaults. */
void conf_init(struct conf *c);
void conf_fini(struct conf *c);

/* Each returns 0, or negative with conf.error filled.  `name` is what the error calls the text. */
MUST_CHECK int conf_yaml(struct conf *c, const char *name, struct bytes text);
/* `key: secret` pairs, one a line or separated by commas or spaces (LIVEKIT_KEYS, key files). */
MUST_CHECK int conf_keys(struct conf *c, const char *name, struct bytes text);
/* `envp` as main() has it: LIVEKIT_* of every leaf, and the named ones. */
MUST_CHECK int conf_env(struct conf *c, const char *const *envp);
/* Takes the option at argv[*at] (`--flag=v`, `--flag v`, `--switch`) and moves *at past it.
 * E_NOENT, with conf.error filled: no such flag. */
MUST_CHECK int conf_flag(struct conf *c, int argc, const char *const *argv, int *at);
/* What contradicts; fills what depends (dev keys, binds). Last. */
MUST_CHECK int conf_finish(struct conf *c);

/* A Go duration: "1m30s", "500ms", "0"; false on anything else. */
bool conf_duration(struct bytes text, us_t *out);
/* "ip:port" or "[ip6]:port". */
bool conf_addr(struct bytes text, struct addr *out);

/* The nearest of `n` words to `word`, or NULL when none is near. */
const char *conf_nearest(const char *word, const char *const *words, size_t n);

/* Named flags with their one-line help, for `sluice help server`; false at the end. */
bool conf_help(uint32_t *at, const char **flag, const char **argument, const char **help);

#endif
