#include "app/command.h"

#include "base/mem.h"
#include "crypt/crypt.h"
#include "crypt/token.h"
#include "io/clock.h"

#include <stdio.h>

struct token_args {
    struct creds creds;
    const char *room, *identity, *name, *metadata, *kind, *valid_for;
    bool join, create, list, admin, record, ingress_admin, hidden, recorder, agent;
    bool no_publish, no_subscribe, no_data, update_own;
    struct flag_list attribute, source;
};

static int64_t unix_now(void)
{
    struct tick t = clock_tick();

    return (t.now + t.wall_off_us) / US_PER_SEC;
}

static int fill_lists(struct token_claims *c, const struct token_args *t, struct arena *arena)
{
    c->attribute = arena_array(arena, t->attribute.n + 1, sizeof *c->attribute);
    if (c->attribute == NULL)
        return command_failed("token", "out of memory");
    for (uint32_t i = 0; i < t->attribute.n; i++) {
        const char *text = t->attribute.text[i], *eq = strchr(text, '=');
        if (eq == NULL || eq == text)
            return command_misused("token", "--attribute takes key=value, not '%.60s'", text);
        const char *key = arena_dup(arena, bytes_of(text, (size_t)(eq - text)));
        if (key == NULL)
            return command_failed("token", "out of memory");
        c->attribute[c->attribute_n++] = (struct token_pair){.key = key, .value = eq + 1};
    }
    for (uint32_t i = 0; i < t->source.n && i < TOKEN_SOURCES_MAX; i++)
        c->video.source[c->video.source_n++] = t->source.text[i];
    return 0;
}

static int fill_claims(struct token_claims *c, struct token_args *t, struct arena *arena)
{
    us_t valid_us = (us_t)TOKEN_TTL_S * US_PER_SEC;
    int64_t now = unix_now();

    if (t->valid_for != NULL &&
        (!conf_duration(bytes_str(t->valid_for), &valid_us) || valid_us <= 0))
        return command_misused("token", "--valid-for: '%.40s' is no duration; write one like 24h",
                               t->valid_for);
    if (t->room != NULL && !t->admin && !t->list && !t->create)
        t->join = true;
    if (t->join && t->room == NULL)
        return command_misused("token", "--join needs --room NAME");
    if (t->join && t->identity == NULL)
        return command_misused("token", "a token to join needs --identity NAME");
    *c = (struct token_claims){
        .issuer = t->creds.key,
        .identity = t->identity != NULL ? t->identity : "",
        .name = t->name != NULL ? t->name : "",
        .metadata = t->metadata != NULL ? t->metadata : "",
        .kind = t->kind != NULL ? t->kind : "",
        .room_preset = "",
        .sha256 = "",
        .not_before_s = now,
        .expires_s = now + valid_us / US_PER_SEC,
        .has_video = true,
        .video =
            {
                .room_join = t->join,
                .room_create = t->create,
                .room_list = t->list,
                .room_admin = t->admin,
                .room_record = t->record,
                .ingress_admin = t->ingress_admin,
                .hidden = t->hidden,
                .recorder = t->recorder,
                .agent = t->agent,
                .can_publish = t->no_publish ? TOKEN_FALSE : TOKEN_UNSET,
                .can_subscribe = t->no_subscribe ? TOKEN_FALSE : TOKEN_UNSET,
                .can_publish_data = t->no_data ? TOKEN_FALSE : TOKEN_UNSET,
                .can_update_own_metadata = t->update_own ? TOKEN_TRUE : TOKEN_UNSET,
                .room = t->room != NULL ? t->room : "",
                .destination_room = "",
            },
    };
    return fill_lists(c, t, arena);
}

static int print_token(struct token_args *t, const struct command_args *a)
{
    struct token_claims *claims = mem_zero(sizeof *claims);
    struct arena arena;
    struct str out;

    if (claims == NULL)
        return command_failed("token", "out of memory");
    arena_init(&arena, 1 << 20);
    str_init(&out, TOKEN_BYTES_MAX);
    int ret = creds_find("token", a, &t->creds, &arena);
    if (ret == 0)
        ret = fill_claims(claims, t, &arena);
    if (ret == 0 && !token_mint(&out, claims, bytes_str(t->creds.secret)))
        ret = command_failed("token", "the token would be longer than %d bytes", TOKEN_BYTES_MAX);
    if (ret == 0)
        (void)printf("%s\n", str_text(&out));
    str_fini(&out);
    arena_fini(&arena);
    mem_free(claims);
    return ret;
}

int command_token(const struct command_args *a)
{
    struct token_args t = {0};
    struct flag_list words;
    struct flag flags[CREDS_FLAGS + 22] = {
        {"room", FLAG_TEXT, &t.room},
        {"identity", FLAG_TEXT, &t.identity},
        {"name", FLAG_TEXT, &t.name},
        {"metadata", FLAG_TEXT, &t.metadata},
        {"kind", FLAG_TEXT, &t.kind},
        {"valid-for", FLAG_TEXT, &t.valid_for},
        {"join", FLAG_SWITCH, &t.join},
        {"create", FLAG_SWITCH, &t.create},
        {"list", FLAG_SWITCH, &t.list},
        {"admin", FLAG_SWITCH, &t.admin},
        {"record", FLAG_SWITCH, &t.record},
        {"ingress-admin", FLAG_SWITCH, &t.ingress_admin},
        {"hidden", FLAG_SWITCH, &t.hidden},
        {"recorder", FLAG_SWITCH, &t.recorder},
        {"agent", FLAG_SWITCH, &t.agent},
        {"no-publish", FLAG_SWITCH, &t.no_publish},
        {"no-subscribe", FLAG_SWITCH, &t.no_subscribe},
        {"no-data", FLAG_SWITCH, &t.no_data},
        {"update-own-metadata", FLAG_SWITCH, &t.update_own},
        {"attribute", FLAG_LIST, &t.attribute},
        {"source", FLAG_LIST, &t.source},
        {"p", FLAG_TEXT, &t.identity},
    };

    creds_flags(&t.creds, flags + 22);
    int ret = command_flags("token", a, flags, ARRAY_LEN(flags), &words);
    if (ret != 0)
        return ret;
    if (words.n > 1 || (words.n == 1 && strcmp(words.text[0], "create") != 0))
        return command_misused("token", "unknown word '%.40s'; write `sluice token create`",
                               words.text[words.n - 1]);
    return print_token(&t, a);
}
