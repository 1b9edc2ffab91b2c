#include "wire/childpipe.h"

#include "base/err.h"

enum { REST_MIN = CHILDPIPE_HEADER_BYTES - 4 };

int childpipe_read(struct bytes in, struct childpipe_record *rec, size_t *used)
{
    struct rd r = rd_of(in);
    uint32_t rest = rd_u32(&r);

    if (!rd_ok(&r))
        return 0;
    if (rest < REST_MIN || rest > CHILDPIPE_RECORD_MAX - 4)
        return E_MALFORMED;
    if (rd_left(&r) < rest)
        return 0;
    rec->kind = rd_u8(&r);
    rec->pts_us = (us_t)rd_u64(&r);
    rec->body = rd_bytes(&r, rest - REST_MIN);
    *used = 4 + (size_t)rest;
    return 1;
}

void childpipe_write(struct wr *w, const struct childpipe_record *rec)
{
    assert(rec->body.len <= CHILDPIPE_BODY_MAX);
    wr_u32(w, (uint32_t)(REST_MIN + rec->body.len));
    wr_u8(w, rec->kind);
    wr_u64(w, (uint64_t)rec->pts_us);
    wr_bytes(w, rec->body);
}
