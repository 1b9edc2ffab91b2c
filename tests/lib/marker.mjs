/*
 * The picture every test publisher draws, and how to read it back.
 *
 *   row 0   black, white, then 8 blocks: the sender's number, high bit first
 *   row 1   black, white, then 8 blocks: a frame counter
 *   row 2   a bar that moves with the counter, on the sender's colour
 *
 * Blocks are a tenth of the width, so they survive the smallest simulcast layer and a
 * starved encoder.  A reader trusts a row only when its first two blocks are black and white.
 * This file runs in browsers and in Node: no imports.
 */
export const BLOCKS = 10;

export function bits(id) {
    const out = [0, 1];
    for (let i = 7; i >= 0; i--) out.push((id >> i) & 1);
    return out;
}

/* 255 or 0 for row 0 and 1 at block `col`; null for row 2, which is the bar's. */
export function colourOf(id) {
    return [(id * 83) % 200, (id * 149) % 200, (id * 37) % 200];
}

export function tone(id) {
    return 300 + id * 110;
}

/* luma(x, y) with x and y in 0..1 -> {id, count} or null when no marker can be seen. */
export function readMarker(luma) {
    const row = (y) => {
        const v = [];
        for (let i = 0; i < BLOCKS; i++) v.push(luma((i + 0.5) / BLOCKS, y));
        if (v[1] - v[0] < 60) return null;
        const mid = (v[0] + v[1]) / 2;
        let n = 0;
        for (let i = 2; i < BLOCKS; i++) n = n * 2 + (v[i] > mid ? 1 : 0);
        return n;
    };
    const id = row(1 / 6);
    const count = row(1 / 2);
    return id === null || count === null ? null : { id, count };
}

/* An RGBA buffer with the marker, for rtc-node. */
export function drawRgba(buf, w, h, id, count) {
    const rows = [bits(id), bits(count & 255)];
    const [r, g, b] = colourOf(id);
    const bar = ((count % 50) / 50) * w;
    for (let y = 0; y < h; y++) {
        const band = Math.min(2, Math.floor((y * 3) / h));
        for (let x = 0; x < w; x++) {
            const o = (y * w + x) * 4;
            if (band < 2) {
                const v = rows[band][Math.floor((x * BLOCKS) / w)] ? 255 : 0;
                buf[o] = buf[o + 1] = buf[o + 2] = v;
            } else {
                const on = x >= bar && x < bar + w / 10;
                buf[o] = on ? 255 : r;
                buf[o + 1] = on ? 255 : g;
                buf[o + 2] = on ? 255 : b;
            }
            buf[o + 3] = 255;
        }
    }
}
