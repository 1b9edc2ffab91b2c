#include "app/pages.h"

static const struct page *by_path(const char *path)
{
    for (size_t i = 0; i < pages_table_n; i++) {
        if (strcmp(pages_table[i].path, path) == 0)
            return &pages_table[i];
    }
    return NULL;
}

const struct page *pages_find(const char *path)
{
    if (strcmp(path, "/") == 0)
        return by_path("/index.html");
    if (strcmp(path, "/admin") == 0)
        return by_path("/admin.html");
    if (strncmp(path, "/meet/", 6) == 0 && path[6] != '\0')
        return by_path("/meet.html");
    if (strncmp(path, "/watch/", 7) == 0 && path[7] != '\0')
        return by_path("/watch.html");
    return by_path(path);
}
