#include "app/command.h"

#include "app/join.h"
#include "app/samples.h"
#include "base/err.h"
#include "base/json.h"
#include "crypt/crypt.h"

#include <stdio.h>
#include <sys/stat.h>

enum { ANSWER_BYTES_MAX = 10 << 20, ROOM_NAME_MAX = 512, IDENTITY_MAX = 40 };

struct join_args {
    struct creds creds;
    struct join_options o;
    const char *room, *room_id, *identity, *token, *record, *duration;
    bool sample, no_subscribe, quiet, yield;
    struct flag_list video, audio;
};

static volatile sig_atomic_t stopped;

static void on_signal(int sig)
{
    (void)sig;
    stopped = 1;
}

/* The name of a room by its sid: the first README of the originals joins by --room-id. */
static int room_of_sid(const struct join_args *j, char out[ROOM_NAME_MAX])
{
    struct token_video grant = {.room_list = true};
    struct str token, answer;
    struct json_doc doc;
    bool found = false;

    str_init(&token, TOKEN_BYTES_MAX);
    str_init(&answer, ANSWER_BYTES_MAX);
    int ret = creds_token("join", &j->creds, &grant, "", &token);
    if (ret == 0)
        ret =
            creds_call("join", &j->creds, "ListRooms", str_text(&token), bytes_str("{}"), &answer);
    if (ret == 0 && json_parse(&doc, str_bytes(&answer), ANSWER_BYTES_MAX) == 0) {
        const struct json_t *rooms = json_member(doc.root, "rooms");
        for (size_t i = 0; i < json_count(rooms) && !found; i++) {
            struct bytes sid, name;
            const struct json_t *room = json_item(rooms, i);
            found = json_to_text(json_member(room, "sid"), &sid) && bytes_eq_str(sid, j->room_id) &&
                    json_to_text(json_member(room, "name"), &name) &&
                    str_copy(out, ROOM_NAME_MAX, name);
        }
        json_close(&doc);
    }
    str_fini(&token);
    str_fini(&answer);
    if (ret != 0 || found)
        return ret;
    return command_failed("join", "no room has the id '%.60s'; `sluice room list` shows them",
                          j->room_id);
}

static int make_token(struct join_args *j, struct str *out)
{
    struct token_video grant = {.room_join = true};
    char room[ROOM_NAME_MAX], identity[IDENTITY_MAX];

    if (j->room == NULL && j->room_id == NULL)
        return command_misused("join", "name a room with --room NAME (or --room-id SID)");
    if (j->room == NULL) {
        int ret = room_of_sid(j, room);
        if (ret != 0)
            return ret;
        j->room = room;
    }
    if (j->identity == NULL) {
        uint32_t dice;
        if (crypt_random(&dice, sizeof dice))
            return command_failed("join", "no random bytes");
        (void)snprintf(identity, sizeof identity, "join-%08x", dice); /* fits */
        j->identity = identity;
    }
    grant.room = j->room;
    return creds_token("join", &j->creds, &grant, j->identity, out);
}

static int fill_options(struct join_args *j)
{
    struct join_options *o = &j->o;

    for (uint32_t i = 0; i < j->video.n + j->audio.n; i++) {
        if (o->file_n == JOIN_FILES_MAX)
            return command_misused("join", "at most %d files are published at once",
                                   JOIN_FILES_MAX);
        o->video[o->file_n] = i < j->video.n;
        o->file[o->file_n++] = i < j->video.n ? j->video.text[i] : j->audio.text[i - j->video.n];
    }
    if (j->sample) {
        o->sample_video = samples_video();
        o->sample_audio = samples_audio();
    }
    if (j->duration != NULL && !conf_duration(bytes_str(j->duration), &o->duration_us))
        return command_misused("join", "--duration: '%.40s' is no duration; write one like 30s",
                               j->duration);
    if (j->record != NULL && mkdir(j->record, 0755) != 0 && errno != EEXIST)
        return command_failed("join", "--record %s: %s", j->record, err_text(-errno));
    o->record_dir = j->record;
    o->no_subscribe = j->no_subscribe;
    o->quiet = j->quiet;
    o->yield = j->yield;
    o->url = j->creds.url;
    return 0;
}

static int run(struct join_args *j, const struct command_args *a)
{
    struct sigaction act = {.sa_handler = on_signal};
    struct arena arena;
    struct str token;

    arena_init(&arena, 1 << 20);
    str_init(&token, TOKEN_BYTES_MAX);
    if (j->token != NULL) { /* then no key is needed, and only the address is looked for */
        const char *url = command_env(a, "LIVEKIT_URL");
        j->creds.url = j->creds.url != NULL    ? j->creds.url
                       : j->creds.host != NULL ? j->creds.host
                       : url != NULL           ? url
                                               : "ws://localhost:7880";
    }
    int ret = j->token != NULL ? 0 : creds_find("join", a, &j->creds, &arena);
    if (ret == 0 && j->token == NULL)
        ret = make_token(j, &token);
    if (ret == 0)
        ret = fill_options(j);
    if (ret == 0) {
        j->o.token = j->token != NULL ? j->token : str_text(&token);
        (void)sigaction(SIGINT, &act, NULL);  /* cannot fail for these */
        (void)sigaction(SIGTERM, &act, NULL); /* likewise */
        ret = join_run(&j->o, &stopped);
    }
    str_fini(&token);
    arena_fini(&arena);
    return ret;
}

int command_join(const struct command_args *a)
{
    struct join_args j = {0};
    struct flag_list words;
    struct flag flags[CREDS_FLAGS + 12] = {
        {"room", FLAG_TEXT, &j.room},         {"room-id", FLAG_TEXT, &j.room_id},
        {"identity", FLAG_TEXT, &j.identity}, {"token", FLAG_TEXT, &j.token},
        {"video", FLAG_LIST, &j.video},       {"audio", FLAG_LIST, &j.audio},
        {"record", FLAG_TEXT, &j.record},     {"duration", FLAG_TEXT, &j.duration},
        {"sample", FLAG_SWITCH, &j.sample},   {"no-subscribe", FLAG_SWITCH, &j.no_subscribe},
        {"quiet", FLAG_SWITCH, &j.quiet},     {"yield", FLAG_SWITCH, &j.yield},
    };

    creds_flags(&j.creds, flags + 12);
    int ret = command_flags("join", a, flags, ARRAY_LEN(flags), &words);
    if (ret != 0)
        return ret;
    if (words.n > 0)
        return command_misused("join", "unknown word '%.40s'; write `sluice join --room NAME`",
                               words.text[0]);
    return run(&j, a);
}

static int write_file(const char *dir, const char *name, struct bytes b)
{
    char path[4096];

    (void)snprintf(path, sizeof path, "%s/%s", dir, name); /* cut when long: then open says so */
    FILE *f = fopen(path, "wb");
    if (f == NULL)
        return command_failed("samples", "%s: %s", path, err_text(-errno));
    bool ok = fwrite(b.p, 1, b.len, f) == b.len;
    ok = fclose(f) == 0 && ok;
    if (!ok)
        return command_failed("samples", "%s: %s", path, err_text(-errno));
    (void)printf("%s\n", path);
    return 0;
}

int command_samples(const struct command_args *a)
{
    struct flag_list words;
    int ret = command_flags("samples", a, NULL, 0, &words);

    if (ret != 0)
        return ret;
    if (words.n != 1)
        return command_misused("samples", "name one directory: `sluice samples DIR`");
    if (mkdir(words.text[0], 0755) != 0 && errno != EEXIST)
        return command_failed("samples", "%s: %s", words.text[0], err_text(-errno));
    ret = write_file(words.text[0], "sample.ivf", samples_video());
    return ret != 0 ? ret : write_file(words.text[0], "sample.ogg", samples_audio());
}
