#include "app/command.h"

#include <stdio.h>

static int command_help(const struct command_args *a);
static int command_version(const struct command_args *a);
static int command_list_nodes(const struct command_args *a);

#define WHERE                                                                                      \
    "  --url URL             the server (LIVEKIT_URL, ws://localhost:7880)\n"                      \
    "  --api-key, --api-secret  (LIVEKIT_API_KEY, LIVEKIT_API_SECRET; else the data "              \
    "directory's)\n"                                                                               \
    "  --dev                 key devkey, secret 'secret'\n"

static const struct command commands[] = {
    {"up", command_up, "everything on this machine, with keys made at first start",
     "sluice up [flags of `sluice server`]\n"
     "Starts the server and the ingress, prints one screen, stops with Ctrl-C.\n"
     "  --data-dir DIR        keys and data (~/.local/share/sluice)\n"
     "  --server-config FILE --ingress-config FILE --egress-config FILE\n"
     "                        the originals' files, side by side (LIVEKIT_CONFIG is text;\n"
     "                        INGRESS_CONFIG_FILE, EGRESS_CONFIG_FILE)\n"},
    {"server", command_server, "rooms and media, configured like livekit-server",
     "sluice server [--config FILE] [flags]\n"
     "  --config FILE         a livekit-server YAML file\n"
     "  --config-body TEXT    the same as text (LIVEKIT_CONFIG)\n"
     "  --disable-strict-config  unknown keys are only reported\n"},
    {"ingress", command_ingress, "take streams from OBS and others: FTL, RTMP",
     "sluice ingress [--config FILE] [flags]: the process\n"
     "  --config FILE         a LiveKit Ingress YAML file (INGRESS_CONFIG_FILE, "
     "INGRESS_CONFIG_BODY)\n"
     "  --data-dir DIR        of the server: its bus.sock is there\n"
     "  --bus PATH            the socket itself (SLUICE_BUS)\n"
     "  --ftl-port PORT       TCP and UDP; off: none (INGEST_PORT, 8084)\n"
     "  --rtmp-port PORT      TCP; off: none (1935)\n"
     "  --rtmps-port PORT --tls-cert FILE --tls-key FILE  RTMP over TLS, PEM files (off)\n"
     "  --rtp-port PORT       plain RTP into the default channel: payload type 96 H.264, 97 Opus "
     "(off)\n"
     "  --rtp-address IP      of that port; whoever reaches it may publish (127.0.0.1)\n"
     "  --rtp-ports A-B       ports for streams that ask for one (any free one)\n"
     "  --webrtc-server URL   show the streams there instead of here: an original of Lightspeed or "
     "ITGv2\n"
     "                        (WEBRTC_SERVER_URL); with --webrtc-server-secret, a bearer token\n"
     "  -k, --stream-key KEY  of those streams (STREAM_KEY, the data directory's file `hash`)\n"
     "  -a, --address IP      to listen on (LS_INGEST_ADDR, all)\n"
     "  --health-port --prometheus-port PORT  (none)\n"
     "  --auth-url URL        asked before somebody may stream: ws, wss, http, https "
     "(AUTH_WS_URL)\n"
     "  --auth-ca FILE        authorities to believe for it (the system's)\n"
     "  --on-duplicate takeover|refuse  a second publisher on a key (takeover)\n"
     "  --ws-url URL          the server to join, where the bus names none (LIVEKIT_WS_URL)\n"
     "  --log-level LEVEL     error, warn, info, debug (info)\n"
     "  -l, --log-file FILE   (LS_LOG, stderr)\n"},
    {"key", command_key, "the default stream key: show it, or make a new one",
     "sluice key show | reset [--data-dir DIR]\n"
     "The key is in the file `hash` of the data directory. A new one sends away whoever\n"
     "streams with the old one.\n"},
    {"obs", command_obs, "what to type into OBS",
     "sluice obs HOST\n"
     "Prints the settings for FTL, WHIP and RTMP, and the entry for services.json.\n"},
    {"create-ingress", command_create_ingress, "a stream key of its own for a room",
     "sluice ingress create FILE.json | --room NAME --identity NAME [flags]\n"
     "sluice create-ingress --request FILE.json\n"
     "  --type rtmp|ftl|whip|url  (rtmp; the same key serves FTL)\n"
     "  --name --participant-name --metadata TEXT   --from URL   --no-transcoding   --disable\n"
     "  --json                prints the whole answer\n" WHERE},
    {"update-ingress", command_update_ingress, NULL,
     "sluice ingress update FILE.json | ID [flags as for create, --enable, --disable]\n" WHERE},
    {"list-ingress", command_list_ingress, "what may stream here, and what does",
     "sluice ingress list [--room NAME] [--id ID] [--limit N] [--json]\n" WHERE},
    {"delete-ingress", command_delete_ingress, NULL, "sluice ingress delete ID\n" WHERE},
    {"lightspeed", command_lightspeed, "`sluice up` with the flags of Project Lightspeed",
     "sluice lightspeed [flags]: also as lightspeed-ingest, lightspeed-webrtc, itg-webrtc\n"
     "  -a, --address IP      to take streams on (LS_INGEST_ADDR, all)\n"
     "  -k, --stream-key KEY  (STREAM_KEY, the data directory's file `hash`)\n"
     "  -l, --log-file FILE   (LS_LOG, stderr)\n"
     "  --addr IP             for HTTP (localhost)\n"
     "  --ip IP               offered to viewers (WEBSOCKET_HOST)\n"
     "  --ports A-B           for media (20000-20500)\n"
     "  --ws-port PORT        of /websocket (WEBSOCKET_PORT, 8080)\n"
     "  --rtp-port PORT       plain RTP, from this machine (65535)\n"
     "  --ice-servers URLS    told to clients (ICE_SERVERS, none)\n"
     "  --web-root DIR --web-port PORT  a built page (WEB_PORT, 80), which is told WEBSOCKET_URL\n"
     "  INGEST_PORT           of FTL (8084)\n"
     "`sluice up` takes all of these, too, and the other way round; these are the defaults "
     "here.\n"},
    {"token", command_token, "make an access token",
     "sluice token create --room NAME --identity NAME [flags]\n"
     "  --join --create --list --admin --record --ingress-admin   grants (join when a room is "
     "named)\n"
     "  --name --metadata --attribute KEY=VALUE --kind TEXT       about the participant\n"
     "  --no-publish --no-subscribe --no-data --hidden --recorder --agent\n"
     "  --source camera|microphone|screen_share|screen_share_audio  may be repeated\n"
     "  --update-own-metadata --valid-for 6h\n" WHERE},
    {"room", command_room, "list, create, change and end rooms and participants",
     "sluice room VERB ...; without a verb it lists them\n" WHERE},
    {"join", command_join, "join a room as a participant: publish files, record tracks",
     "sluice join --room NAME [flags]\n"
     "  --room-id SID         the room by its id\n"
     "  --identity NAME       made up when absent\n"
     "  --token TOKEN         instead of key and secret\n"
     "  --video FILE          IVF (VP8, VP9, AV1) or raw H.264; loops; may be repeated\n"
     "  --audio FILE          Ogg with Opus; loops; may be repeated\n"
     "  --sample              publish the test picture and tone\n"
     "  --record DIR          write every track that arrives: .ivf, .h264, .ogg\n"
     "  --duration 30s        leave after this time\n"
     "  --no-subscribe --quiet\n"
     "  --yield               stay silent while others publish\n" WHERE},
    {"samples", command_samples, "write two small clips to try things with",
     "sluice samples DIR\nWrites sample.ivf (VP8) and sample.ogg (Opus).\n"},
    {"create-room", command_create_room, "make a room and a token to join it",
     "sluice create-room [NAME] [--identity NAME]\n"
     "Prints one JSON object: sid, name, node_ip, creation_time, token.\n" WHERE},
    {"generate-keys", command_generate_keys, "print a new API key and secret",
     "sluice generate-keys\n"},
    {"ports", command_ports, "print the ports that a firewall must open",
     "sluice ports [flags of `sluice server`]\n"},
    {"list-nodes", command_list_nodes, NULL, "sluice list-nodes\n"},
    {"help", command_help, "explain a command", "sluice help [COMMAND]\n"},
    {"version", command_version, "print the version", "sluice version\n"},
};

static const struct command *find_command(const char *name)
{
    /* Other spellings of the originals' command lines. */
    static const struct {
        const char *theirs, *ours;
    } same[] = {{"--version", "version"},
                {"-v", "version"},
                {"--help", "help"},
                {"-h", "help"},
                {"help-verbose", "help"},
                {"create-token", "token"},
                {"create-join-token", "token"},
                {"join-room", "join"}};

    for (size_t i = 0; i < ARRAY_LEN(same); i++) {
        if (strcmp(same[i].theirs, name) == 0)
            name = same[i].ours;
    }
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

static int unknown_command(const char *name)
{
    const char *words[ARRAY_LEN(commands)];

    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        words[i] = commands[i].name;
    const char *near = conf_nearest(name, words, ARRAY_LEN(commands));
    if (near != NULL)
        (void)fprintf(stderr, "sluice: unknown command '%.60s'; did you mean '%s'?\n", name, near);
    else
        (void)fprintf(stderr, "sluice: unknown command '%.60s'; `sluice help` lists them\n", name);
    return COMMAND_MISUSED;
}

static void print_server_flags(void)
{
    const char *flag, *argument, *help;
    uint32_t at = 0;

    while (conf_help(&at, &flag, &argument, &help)) {
        char left[64];
        (void)snprintf(left, sizeof left, "--%s %s", flag, argument);
        (void)printf("  %-21s %s\n", left, help);
    }
    (void)printf("Every key of the file is a flag too: --rtc.tcp_port=7881, and a variable:\n"
                 "LIVEKIT_RTC_TCP_PORT.\n");
}

static int command_help(const struct command_args *a)
{
    if (a->argc > 0) {
        const struct command *c = find_command(a->argv[0]);
        if (c == NULL)
            return unknown_command(a->argv[0]);
        (void)printf("%s", c->usage);
        if (c->run == command_server)
            print_server_flags();
        if (c->run == command_room)
            return command_room(&(struct command_args){.envp = a->envp});
        return COMMAND_OK;
    }
    (void)printf("usage: sluice COMMAND [flags]\n\n");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (commands[i].summary != NULL)
            (void)printf("  %-15s %s\n", commands[i].name, commands[i].summary);
    }
    (void)printf("\n`sluice help COMMAND` says more.\n");
    return COMMAND_OK;
}

static int command_version(const struct command_args *a UNUSED)
{
    (void)printf("sluice %s\n", SLUICE_VERSION);
    return COMMAND_OK;
}

static int command_list_nodes(const struct command_args *a UNUSED)
{
    return command_failed("list-nodes", "nodes share their state through Redis, which this version "
                                        "does not use: there is only this one");
}

static bool is_name(const char *argv0, const char *name)
{
    const char *slash = strrchr(argv0, '/');

    return strcmp(slash != NULL ? slash + 1 : argv0, name) == 0;
}

/* The originals' executables that are one command here; NULL: none of them. */
static const struct command *command_of_name(const char *argv0)
{
    static const struct {
        const char *name, *command;
    } same[] = {{"ingress", "ingress"},
                {"lightspeed-webrtc", "lightspeed"},
                {"itg-webrtc", "lightspeed"},
                {"lightspeed-ingest", "lightspeed"}};

    for (size_t i = 0; i < ARRAY_LEN(same); i++) {
        if (is_name(argv0, same[i].name))
            return find_command(same[i].command);
    }
    return NULL;
}

int main(int argc, char **argv, char **envp)
{
    struct command_args a = {.argc = argc - 1,
                             .argv = (const char *const *)(argv + 1),
                             .envp = (const char *const *)envp};

    if (argc < 1)
        return COMMAND_MISUSED;
    if (is_name(argv[0], "egress")) {
        (void)fprintf(stderr, "egress: this version of sluice does not record yet\n");
        return COMMAND_MISUSED;
    }
    /* As livekit-server, flags alone mean the server. */
    if (is_name(argv[0], "livekit-server") &&
        (a.argc == 0 || (a.argv[0][0] == '-' && find_command(a.argv[0]) == NULL)))
        return command_server(&a);
    const struct command *named = command_of_name(argv[0]);
    if (named != NULL && a.argc == 1 && strcmp(a.argv[0], "--help") == 0)
        return command_help(
            &(struct command_args){.argc = 1, .argv = &named->name, .envp = a.envp});
    if (named != NULL)
        return named->run(&a);
    if (a.argc == 0) {
        (void)command_help(&a);
        return COMMAND_MISUSED;
    }
    const struct command *c = find_command(a.argv[0]);
    if (c == NULL)
        return unknown_command(a.argv[0]);
    a.argc--;
    a.argv++;
    if (a.argc == 1 && strcmp(a.argv[0], "--help") == 0)
        return command_help(&(struct command_args){.argc = 1, .argv = &c->name, .envp = a.envp});
    return c->run(&a);
}
