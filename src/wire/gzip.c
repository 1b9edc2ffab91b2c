#include "wire/gzip.h"

#include "base/err.h"

#include <zlib.h>

enum { STEP_BYTES = 4096, WINDOW_GZIP = 15 + 16 /* zlib: a gzip header is expected */ };

int gzip_inflate(struct bytes in, struct str *out)
{
    uint8_t step[STEP_BYTES];
    z_stream z = {0};
    int got = Z_OK;

    if (in.len == 0 || in.len > UINT32_MAX)
        return E_MALFORMED;
    if (inflateInit2(&z, WINDOW_GZIP) != Z_OK)
        return E_NOMEM;
    z.next_in = (Bytef *)in.p;
    z.avail_in = (uInt)in.len;
    while (got == Z_OK && !out->failed) {
        z.next_out = step;
        z.avail_out = sizeof step;
        got = inflate(&z, Z_NO_FLUSH);
        str_add_bytes(out, bytes_of(step, sizeof step - z.avail_out));
    }
    (void)inflateEnd(&z); /* nothing to learn: the state is thrown away */
    if (out->failed)
        return E_TOO_LARGE;
    return got == Z_STREAM_END ? 0 : got == Z_MEM_ERROR ? E_NOMEM : E_MALFORMED;
}
