#include "app/streamkey.h"

#include "api/ingress.h"
#include "base/err.h"
#include "base/mem.h"
#include "io/file.h"

#include <stdio.h>

enum { PATH_BYTES_MAX = 4096, FILE_BYTES_MAX = 4096 };

static_assert((int)STREAMKEY_MAX < (int)INGRESS_KEY_MAX, "the book takes what the file may hold");

bool streamkey_ok(struct bytes key)
{
    for (size_t i = 0; i < key.len; i++) {
        if (key.p[i] <= ' ' || key.p[i] > '~')
            return false;
    }
    return key.len > 0 && key.len <= STREAMKEY_MAX;
}

int streamkey_make(const char *dir, struct str *out)
{
    char path[PATH_BYTES_MAX], key[INGRESS_KEY_MAX];
    struct str text;

    (void)snprintf(path, sizeof path, "%s/hash", dir); /* cut when long: refused below */
    if (!ingress_new_key(STREAMKEY_CHARS, key))
        return E_LIBRARY;
    str_init(&text, INGRESS_KEY_MAX + 1);
    str_printf(&text, "%s\n", key);
    int err = text.failed ? E_NOMEM : file_make_dir(dir, 0700);
    if (err == 0)
        err = file_write(path, str_bytes(&text), 0600);
    if (err == 0)
        str_add(out, key);
    mem_wipe(text.p, text.len);
    mem_wipe(key, sizeof key);
    str_fini(&text);
    return err != 0 ? err : out->failed ? E_NOMEM : 0;
}

int streamkey_load(const char *dir, bool make, struct str *out)
{
    char path[PATH_BYTES_MAX];
    struct str text;

    (void)snprintf(path, sizeof path, "%s/hash", dir); /* cut when long: not found */
    str_init(&text, FILE_BYTES_MAX);
    int err = file_read(path, &text, NULL);
    if (err == E_NOENT && make) {
        str_fini(&text);
        return streamkey_make(dir, out);
    }
    if (err == 0) {
        struct bytes key = bytes_of(str_text(&text), strcspn(str_text(&text), "\r\n"));
        err = streamkey_ok(key) ? 0 : E_MALFORMED;
        if (err == 0)
            str_add_bytes(out, key);
    }
    if (text.p != NULL)
        mem_wipe(text.p, text.len);
    str_fini(&text);
    return err != 0 ? err : out->failed ? E_NOMEM : 0;
}
