#include "rtc/dcep.h"

enum {
    PRIORITY = 256, /* "normal", RFC 8831 s6.4 */
    TYPE_RELIABLE = 0x00,
    TYPE_REXMIT = 0x01,
    TYPE_TIMED = 0x02,
    TYPE_UNORDERED = 0x80,
};

void dcep_write_open(struct wr *w, const struct dcep_open *o)
{
    uint8_t type = o->limit < 0 ? TYPE_RELIABLE : o->timed ? TYPE_TIMED : TYPE_REXMIT;

    assert(o->label.len <= UINT16_MAX);
    wr_u8(w, DCEP_OPEN);
    wr_u8(w, o->ordered ? type : (uint8_t)(type | TYPE_UNORDERED));
    wr_u16(w, PRIORITY);
    wr_u32(w, o->limit < 0 ? 0 : (uint32_t)o->limit);
    wr_u16(w, (uint16_t)o->label.len);
    wr_u16(w, 0); /* no protocol */
    wr_bytes(w, o->label);
}

bool dcep_read_open(struct bytes message, struct dcep_open *o)
{
    struct rd r = rd_of(message);
    uint8_t kind = rd_u8(&r);
    uint8_t type = rd_u8(&r);
    rd_skip(&r, 2); /* priority: one queue serves all */
    uint32_t reliability = rd_u32(&r);
    uint16_t label_len = rd_u16(&r);
    uint16_t protocol_len = rd_u16(&r);
    struct bytes label = rd_bytes(&r, label_len);
    rd_skip(&r, protocol_len);

    uint8_t base = type & (uint8_t)~TYPE_UNORDERED;
    if (!rd_ok(&r) || kind != DCEP_OPEN || base > TYPE_TIMED)
        return false;
    *o = (struct dcep_open){
        .ordered = (type & TYPE_UNORDERED) == 0,
        .timed = base == TYPE_TIMED,
        .limit = base == TYPE_RELIABLE ? -1 : (int32_t)u32_min(reliability, INT32_MAX),
        .label = label,
    };
    return true;
}
