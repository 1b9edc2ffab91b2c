#include "ingest/rtmp_words.h"

#include "base/err.h"

enum {
    CAN_FORWARD = 4, /* of an info map: we do not decode, we pass on */
    CAPS_RECONNECT = 1,
    CAPS_MULTITRACK = 2,
    CAPS_MODEX = 4,
    CAPS_NANO = 8,
};

void rtmp_words_copy(char *out, size_t cap, struct bytes text)
{
    size_t n = size_min(cap - 1, text.len);

    for (size_t i = 0; i < n; i++)
        out[i] = text.p[i] < ' ' || text.p[i] == 127 ? '?' : (char)text.p[i];
    out[n] = '\0';
}

static void connect_member(struct rtmp_words_connect *c, const struct amf_value *v)
{
    if (bytes_eq_str(v->key, "app") && v->type == AMF_STRING)
        rtmp_words_copy(c->app, sizeof c->app, v->text);
    else if (bytes_eq_str(v->key, "flashVer") && v->type == AMF_STRING)
        rtmp_words_copy(c->client, sizeof c->client, v->text);
    else if (bytes_eq_str(v->key, "objectEncoding") && v->type == AMF_NUMBER)
        c->object_encoding = v->number;
    else if (bytes_eq_str(v->key, "supportsGoAway") && v->type == AMF_BOOL)
        c->go_away = v->boolean;
    else if (bytes_eq_str(v->key, "capsEx") && v->type == AMF_NUMBER) {
        c->enhanced = true;
        c->reconnect = v->number >= 0 && v->number < 256 && ((unsigned)v->number & CAPS_RECONNECT);
    } else if (bytes_eq_str(v->key, "fourCcList") || bytes_eq_str(v->key, "videoFourCcInfoMap") ||
               bytes_eq_str(v->key, "audioFourCcInfoMap"))
        c->enhanced = true;
}

int rtmp_words_read_connect(struct amf *a, struct rtmp_words_connect *c)
{
    struct amf_value v;
    int err = amf_next(a, &v);

    if (err)
        return err;
    if (v.type != AMF_OBJECT && v.type != AMF_ARRAY)
        return E_MALFORMED;
    for (;;) {
        err = amf_next(a, &v);
        if (err || v.type == AMF_END)
            return err;
        connect_member(c, &v);
        err = amf_skip(a, &v);
        if (err)
            return err;
    }
}

void rtmp_words_read_meta(struct amf *a, struct rtmp_words_meta *meta)
{
    struct amf_value v;

    if (amf_next(a, &v) != 0 || (v.type != AMF_OBJECT && v.type != AMF_ARRAY))
        return;
    while (amf_next(a, &v) == 0 && v.type != AMF_END) {
        if (bytes_eq_str(v.key, "encoder") && v.type == AMF_STRING)
            rtmp_words_copy(meta->encoder, sizeof meta->encoder, v.text);
        else if (bytes_eq_str(v.key, "width") && v.type == AMF_NUMBER)
            meta->width = v.number;
        else if (bytes_eq_str(v.key, "height") && v.type == AMF_NUMBER)
            meta->height = v.number;
        else if (bytes_eq_str(v.key, "framerate") && v.type == AMF_NUMBER)
            meta->framerate = v.number;
        if (amf_skip(a, &v) != 0)
            return;
    }
}

static struct bytes until(struct bytes b, char c)
{
    const uint8_t *p = b.len > 0 ? memchr(b.p, c, b.len) : NULL;

    return p != NULL ? bytes_of(b.p, (size_t)(p - b.p)) : b;
}

static struct bytes last_element(struct bytes path)
{
    struct bytes b = path;

    while (b.len > 0 && b.p[b.len - 1] == '/')
        b.len--;
    for (size_t i = b.len; i > 0; i--) {
        if (b.p[i - 1] == '/')
            return bytes_of(b.p + i, b.len - i);
    }
    return b;
}

struct bytes rtmp_words_key(struct bytes name, struct bytes app)
{
    struct bytes key = last_element(until(name, '?'));

    if (key.len > 0)
        return key;
    app = until(app, '?');
    key = last_element(app);
    return key.len < app.len ? key : bytes_of(app.p, 0); /* a single element is an application */
}

static void write_text(struct wr *w, const char *key, const char *text)
{
    amf_write_key(w, key);
    amf_write_text(w, text);
}

static void write_number(struct wr *w, const char *key, double v)
{
    amf_write_key(w, key);
    amf_write_number(w, v);
}

/* What we take, in the forms of both versions of E-RTMP. */
static void write_enhanced(struct wr *w)
{
    static const char *const video[] = {"avc1", "hvc1", "av01", "vp08", "vp09"};
    static const char *const audio[] = {"mp4a", "Opus"};

    amf_write_key(w, "fourCcList");
    amf_write_list(w, ARRAY_LEN(video) + ARRAY_LEN(audio));
    for (size_t i = 0; i < ARRAY_LEN(video); i++)
        amf_write_text(w, video[i]);
    for (size_t i = 0; i < ARRAY_LEN(audio); i++)
        amf_write_text(w, audio[i]);
    amf_write_key(w, "videoFourCcInfoMap");
    amf_write_object(w);
    for (size_t i = 0; i < ARRAY_LEN(video); i++)
        write_number(w, video[i], CAN_FORWARD);
    amf_write_end(w);
    amf_write_key(w, "audioFourCcInfoMap");
    amf_write_object(w);
    for (size_t i = 0; i < ARRAY_LEN(audio); i++)
        write_number(w, audio[i], CAN_FORWARD);
    amf_write_end(w);
    write_number(w, "capsEx", CAPS_RECONNECT | CAPS_MULTITRACK | CAPS_MODEX | CAPS_NANO);
}

void rtmp_words_connected(struct wr *w, double transaction, const struct rtmp_words_connect *c)
{
    amf_write_text(w, "_result");
    amf_write_number(w, transaction);
    amf_write_object(w);
    write_text(w, "fmsVer", "FMS/3,5,7,7009"); /* some clients compare */
    write_number(w, "capabilities", 31);
    write_number(w, "mode", 1);
    amf_write_end(w);
    amf_write_object(w);
    write_text(w, "level", "status");
    write_text(w, "code", "NetConnection.Connect.Success");
    write_text(w, "description", "Connection succeeded.");
    write_number(w, "objectEncoding", c->object_encoding);
    if (c->enhanced)
        write_enhanced(w);
    amf_write_end(w);
}

void rtmp_words_result(struct wr *w, const char *name, double transaction, uint32_t number)
{
    amf_write_text(w, name);
    amf_write_number(w, transaction);
    amf_write_null(w);
    if (number != 0)
        amf_write_number(w, number);
}

void rtmp_words_status(struct wr *w, const struct rtmp_words_status *s)
{
    amf_write_text(w, s->name);
    amf_write_number(w, s->transaction);
    amf_write_null(w);
    amf_write_object(w);
    write_text(w, "level", s->error ? "error" : "status");
    write_text(w, "code", s->code);
    write_text(w, "description", s->description);
    amf_write_end(w);
}
