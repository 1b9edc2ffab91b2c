#include "api/browser.h"

#include "base/str.h"

/* The first that fits counts.  `also`: another word that must stand in the text; NULL: none. */
struct rule {
    const char *word, *also, *family;
};

static const struct rule families[] = {
    {"Edg/", NULL, "Edge"},
    {"EdgA/", NULL, "Edge Mobile"},
    {"OPR/", "Mobile", "Opera Mobile"},
    {"OPR/", NULL, "Opera"},
    {"SamsungBrowser/", NULL, "Samsung Internet"},
    {"FxiOS/", NULL, "Firefox iOS"},
    {"CriOS/", NULL, "Chrome Mobile iOS"},
    {"Firefox/", "Mobile", "Firefox Mobile"},
    {"Firefox/", "Tablet", "Firefox Mobile"},
    {"Firefox/", NULL, "Firefox"},
    {"HeadlessChrome/", NULL, "HeadlessChrome"},
    {"Electron/", NULL, "Electron"},
    {"Chromium/", NULL, "Chromium"},
    {"Chrome/", "; wv)", "Chrome Mobile WebView"},
    {"Chrome/", "Mobile", "Chrome Mobile"},
    {"Chrome/", NULL, "Chrome"},
    {"Version/", "Mobile", "Mobile Safari"},
    {"Version/", "Safari", "Safari"},
    {"OBS-Studio/", NULL, "OBS Studio"},
};

static const struct rule systems[] = {
    {"Windows NT ", NULL, "Windows"}, {"iPhone OS ", NULL, "iOS"},   {"CPU OS ", NULL, "iOS"},
    {"Mac OS X ", NULL, "Mac OS X"},  {"Android ", NULL, "Android"}, {"Android", NULL, "Android"},
    {"CrOS ", NULL, "Chrome OS"},     {"Ubuntu", NULL, "Ubuntu"},    {"Fedora", NULL, "Fedora"},
    {"Linux", NULL, "Linux"},         {"Windows", NULL, "Windows"},
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Numbers with dots, or with underscores as Apple writes them. */
static void take_version(char out[BROWSER_TEXT_MAX], const char *at)
{
    size_t n = 0;

    while (n + 1 < BROWSER_TEXT_MAX && (is_digit(*at) || ((*at == '.' || *at == '_') && n > 0))) {
        out[n++] = *at == '_' ? '.' : *at;
        at++;
    }
    while (n > 0 && out[n - 1] == '.')
        n--;
    out[n] = '\0';
}

static const char *match(const struct rule *rule, size_t n, const char *ua,
                         char version[BROWSER_TEXT_MAX])
{
    version[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        const char *at = strstr(ua, rule[i].word);
        if (at == NULL || (rule[i].also != NULL && strstr(ua, rule[i].also) == NULL))
            continue;
        take_version(version, at + strlen(rule[i].word));
        return rule[i].family;
    }
    return "Other";
}

/* NT's numbers are not those on the box. */
static void name_windows(char version[BROWSER_TEXT_MAX])
{
    static const struct {
        const char *nt, *name;
    } names[] = {{"10.0", "10"}, {"6.3", "8.1"}, {"6.2", "8"}, {"6.1", "7"}};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(version, names[i].nt) == 0)
            (void)str_copy(version, BROWSER_TEXT_MAX, bytes_str(names[i].name)); /* short */
}

/* "(Linux; Android 14; Pixel 7 Build/UP1A)" */
static bool android_model(char out[BROWSER_TEXT_MAX], const char *ua)
{
    const char *at = strstr(ua, "Android ");

    if (at == NULL || (at = strchr(at, ';')) == NULL)
        return false;
    at += 1 + strspn(at + 1, " ");
    size_t n = strcspn(at, ";)");
    for (size_t i = 0; i + 6 < n; i++)
        if (memcmp(at + i, " Build", 6) == 0)
            n = i;
    return n > 1 && str_copy(out, BROWSER_TEXT_MAX, bytes_of(at, n));
}

static void find_device(char out[BROWSER_TEXT_MAX], const char *ua)
{
    static const struct {
        const char *word, *name;
    } names[] = {{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Macintosh", "Mac"}};

    if (android_model(out, ua))
        return;
    const char *name = "Other";
    for (size_t i = ARRAY_LEN(names); i-- > 0;)
        if (strstr(ua, names[i].word) != NULL)
            name = names[i].name;
    (void)str_copy(out, BROWSER_TEXT_MAX, bytes_str(name)); /* short */
}

void browser_read(struct browser *b, const char *user_agent)
{
    *b = (struct browser){0};
    b->family = match(families, ARRAY_LEN(families), user_agent, b->version);
    b->os = match(systems, ARRAY_LEN(systems), user_agent, b->os_version);
    if (strcmp(b->os, "Windows") == 0)
        name_windows(b->os_version);
    find_device(b->device, user_agent);
}
