#include "wire/dd.h"

#include "base/err.h"
#include "wire/bits.h"

struct flags {
    bool structure, active, dtis, fdiffs, chains;
};

static uint64_t read_dtis(struct bits *b, unsigned targets)
{
    uint64_t dti = 0;

    for (unsigned i = 0; i < targets; i++)
        dti |= (uint64_t)bits_u(b, 2) << (2 * i);
    return dti;
}

/* A.8.2.2 template_layers: a walk upwards through temporal, then spatial layers. */
static int read_layers(struct bits *b, struct dd_structure *st)
{
    uint8_t sid = 0, tid = 0;

    for (;;) {
        if (st->template_n == DD_TEMPLATES_MAX)
            return E_MALFORMED;
        st->tmpl[st->template_n].sid = sid;
        st->tmpl[st->template_n++].tid = tid;
        switch (bits_u(b, 2)) {
        case 0:
            break;
        case 1:
            tid++;
            break;
        case 2:
            tid = 0;
            sid++;
            break;
        default:
            st->sid_max = sid;
            return 0;
        }
        if (!bits_ok(b))
            return E_TRUNCATED;
        if (tid == DD_TEMPORAL_MAX || sid == DD_SPATIAL_MAX)
            return E_MALFORMED;
    }
}

static int read_template_fdiffs(struct bits *b, struct dd_template *t)
{
    while (bits_flag(b)) {
        if (t->fdiff_n == DD_FDIFFS_MAX)
            return E_MALFORMED;
        t->fdiff[t->fdiff_n++] = (uint8_t)(bits_u(b, 4) + 1);
    }
    return 0;
}

static void read_chains(struct bits *b, struct dd_structure *st)
{
    st->chain_n = (uint8_t)bits_ns(b, st->target_n + 1u);
    if (st->chain_n == 0)
        return;
    for (unsigned i = 0; i < st->target_n; i++)
        st->protected_by[i] = (uint8_t)bits_ns(b, st->chain_n);
    for (unsigned t = 0; t < st->template_n; t++) {
        for (unsigned i = 0; i < st->chain_n; i++)
            st->tmpl[t].chain_fdiff[i] = (uint8_t)bits_u(b, 4);
    }
}

/* A.8.2.4: a target reaches as high as the highest layer present in it. */
static void derive_target_layers(struct dd_structure *st)
{
    for (unsigned i = 0; i < st->target_n; i++) {
        for (unsigned t = 0; t < st->template_n; t++) {
            if (((st->tmpl[t].dti >> (2 * i)) & 3) == DD_NOT_PRESENT)
                continue;
            if (st->tmpl[t].sid > st->target_sid[i])
                st->target_sid[i] = st->tmpl[t].sid;
            if (st->tmpl[t].tid > st->target_tid[i])
                st->target_tid[i] = st->tmpl[t].tid;
        }
    }
}

static int read_structure(struct bits *b, struct dd_structure *st)
{
    st->id_offset = (uint8_t)bits_u(b, 6);
    st->target_n = (uint8_t)(bits_u(b, 5) + 1);
    int err = read_layers(b, st);
    for (unsigned t = 0; err == 0 && t < st->template_n; t++)
        st->tmpl[t].dti = read_dtis(b, st->target_n);
    for (unsigned t = 0; err == 0 && t < st->template_n; t++)
        err = read_template_fdiffs(b, &st->tmpl[t]);
    if (err)
        return err;
    read_chains(b, st);
    derive_target_layers(st);
    st->has_size = bits_flag(b);
    for (unsigned s = 0; st->has_size && s <= st->sid_max; s++) {
        uint32_t w = bits_u(b, 16) + 1, h = bits_u(b, 16) + 1;
        st->width[s] = (uint16_t)u32_min(w, UINT16_MAX);
        st->height[s] = (uint16_t)u32_min(h, UINT16_MAX);
    }
    st->known = bits_ok(b);
    st->active = (uint32_t)((1ull << st->target_n) - 1);
    return bits_ok(b) ? 0 : E_TRUNCATED;
}

static int read_frame_fdiffs(struct bits *b, struct dd_frame *f)
{
    f->fdiff_n = 0;
    for (unsigned size; (size = bits_u(b, 2)) != 0;) {
        if (f->fdiff_n == DD_FDIFFS_MAX)
            return E_MALFORMED;
        f->fdiff[f->fdiff_n++] = (uint16_t)(bits_u(b, 4 * size) + 1);
    }
    return 0;
}

/* A.8.2.5: the template, and what this frame says otherwise. */
static int read_frame(struct bits *b, struct dd_frame *f, const struct dd_structure *st,
                      uint8_t template_id, struct flags has)
{
    unsigned index = (template_id + 64u - st->id_offset) % 64;

    if (!st->known || index >= st->template_n)
        return E_STATE;
    const struct dd_template *t = &st->tmpl[index];
    f->sid = t->sid;
    f->tid = t->tid;
    f->dti = has.dtis ? read_dtis(b, st->target_n) : t->dti;
    f->fdiff_n = t->fdiff_n;
    for (unsigned i = 0; i < t->fdiff_n; i++)
        f->fdiff[i] = t->fdiff[i];
    if (has.fdiffs && read_frame_fdiffs(b, f) != 0)
        return E_MALFORMED;
    for (unsigned i = 0; i < st->chain_n; i++)
        f->chain_fdiff[i] = has.chains ? (uint8_t)bits_u(b, 8) : t->chain_fdiff[i];
    if (st->has_size) {
        f->width = st->width[t->sid];
        f->height = st->height[t->sid];
    }
    return bits_ok(b) ? 0 : E_TRUNCATED;
}

int dd_parse(struct dd_frame *out, struct dd_structure *st, struct bytes ext)
{
    struct bits b = bits_of(ext);
    struct dd_structure fresh = {0};
    struct flags has = {0};
    struct dd_frame f = {0};
    int err = 0;

    f.first = bits_flag(&b);
    f.last = bits_flag(&b);
    uint8_t template_id = (uint8_t)bits_u(&b, 6);
    f.number = (uint16_t)bits_u(&b, 16);
    if (!bits_ok(&b))
        return E_TRUNCATED;
    if (bits_left(&b) > 0) {
        has.structure = bits_flag(&b);
        has.active = bits_flag(&b);
        has.dtis = bits_flag(&b);
        has.fdiffs = bits_flag(&b);
        has.chains = bits_flag(&b);
    }
    if (has.structure)
        err = read_structure(&b, &fresh);
    if (err)
        return err;
    const struct dd_structure *use = has.structure ? &fresh : st;
    uint32_t active = use->active;
    if (has.active) {
        if (!use->known)
            return E_STATE;
        active = bits_u(&b, use->target_n);
    }
    err = read_frame(&b, &f, use, template_id, has);
    if (err)
        return err;
    f.has_structure = has.structure;
    f.has_active = has.active || has.structure;
    if (has.structure)
        *st = fresh;
    st->active = active;
    *out = f;
    return 0;
}
