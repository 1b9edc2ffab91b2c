#include "app/command.h"

#include "api/ingress.h"

#include <stdio.h>

enum { WHIP_PORT = 8080, HOST_MAX = 253 /* of a name, RFC 1035 s2.3.4 */ };

/* A name or an address, as OBS wants it: without scheme, port or path. */
static bool is_host(const char *text)
{
    static const char ok[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]";
    size_t n = strlen(text);
    const char *colon = strchr(text, ':');

    if (n == 0 || n > HOST_MAX || strspn(text, ok) != n)
        return false;
    return colon == NULL || strchr(colon + 1, ':') != NULL; /* one colon alone is a port's */
}

static void print_ftl(const char *host)
{
    (void)printf(
        "FTL, in OBS up to 30.2 (the fastest way in)\n"
        "  Settings, Stream\n"
        "    Service      Custom...\n"
        "    Server       ftl://%s\n"
        "    Stream Key   %d-KEY\n"
        "  Or add this to \"services\" in services.json, with OBS closed, and choose sluice\n"
        "  from the list of services:\n\n",
        host, INGRESS_CHANNEL_DEFAULT);
    (void)printf("{\n"
                 "    \"name\": \"sluice\",\n"
                 "    \"common\": false,\n"
                 "    \"servers\": [{\"name\": \"sluice\", \"url\": \"%s\"}],\n"
                 "    \"recommended\": {\n"
                 "        \"keyint\": 2,\n"
                 "        \"output\": \"ftl_output\",\n"
                 "        \"max audio bitrate\": 160,\n"
                 "        \"max video bitrate\": 8000,\n"
                 "        \"profile\": \"main\",\n"
                 "        \"bframes\": 0\n"
                 "    }\n"
                 "}\n\n",
                 host);
    (void)printf(
        "  Windows   %%APPDATA%%\\obs-studio\\plugin_config\\rtmp-services\\services.json\n"
        "  macOS     ~/Library/Application "
        "Support/obs-studio/plugin_config/rtmp-services/services.json\n"
        "  Linux     ~/.config/obs-studio/plugin_config/rtmp-services/services.json\n"
        "  Flatpak   ~/.var/app/com.obsproject.Studio/config/obs-studio/plugin_config/"
        "rtmp-services/services.json\n\n");
}

int command_obs(const struct command_args *a)
{
    struct flag_list words;

    int ret = command_flags("obs", a, NULL, 0, &words);
    if (ret != 0)
        return ret;
    if (words.n != 1 || !is_host(words.text[0]))
        return command_misused("obs", "name the server as viewers reach it, without scheme and "
                                      "port: sluice obs stream.example.org");
    const char *host = words.text[0];
    print_ftl(host);
    (void)printf("WHIP, in OBS from 30 on (FTL left OBS with 31)\n"
                 "    Service      WHIP\n"
                 "    Server       http://%s:%d/whip\n"
                 "    Bearer Token KEY\n\n"
                 "RTMP, in every OBS\n"
                 "    Service      Custom...\n"
                 "    Server       rtmp://%s/live\n"
                 "    Stream Key   KEY\n\n",
                 host, WHIP_PORT, host);
    (void)printf(
        "Settings, Output, Advanced, for each: x264, keyframe interval 2 s, profile main,\n"
        "tune zerolatency, bframes=0; audio 160.\n"
        "`sluice key show` prints KEY on the server; `sluice up` shows it, too.\n");
    return COMMAND_OK;
}
