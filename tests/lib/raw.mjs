/* Clients that keep to no rules: bytes on a TCP socket, and WebSocket frames as they should not be. */
import { createHmac, randomBytes } from 'node:crypto';
import net from 'node:net';
import { crc32 } from 'node:zlib';
import { SignalRequest, SignalResponse } from '@livekit/protocol';
import { WebSocket } from 'ws';
import { until } from './wait.mjs';

/* Sends `parts` one after the other; gives {text, closed, ms} when the server ends it, or after o.ms. */
export function bytes(port, parts, o = {}) {
    const { ms = 3000, gap = 0, fin = false, read = true } = o;
    return new Promise((ok) => {
        const t0 = Date.now();
        const s = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
        const got = [];
        const done = (closed) => {
            clearTimeout(timer);
            s.destroy();
            ok({ text: Buffer.concat(got).toString('latin1'), closed, ms: Date.now() - t0 });
        };
        const timer = setTimeout(() => done(false), ms);
        s.on('error', () => done(true));
        s.on('close', () => done(true));
        if (read) {
            s.on('data', (d) => got.push(d));
            s.on('end', () => done(true));
        }
        s.on('connect', async () => {
            s.setNoDelay(true);
            for (const p of [parts].flat()) {
                if (s.destroyed) return;
                s.write(typeof p === 'string' ? Buffer.from(p, 'latin1') : p);
                if (gap) await new Promise((r) => setTimeout(r, gap));
            }
            if (fin) s.end();
        });
    });
}

export const statuses = (text) => [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((m) => Number(m[1]));

/* One frame of a client (RFC 6455 5.2). */
export function frame(op, body, o = {}) {
    const { fin = true, masked = true, rsv = 0, claim = body.length } = o;
    const b = Buffer.from(body);
    const head = [(fin ? 0x80 : 0) | (rsv << 4) | op];
    const m = masked ? 0x80 : 0;
    if (claim < 126) head.push(m | claim);
    else if (claim < 65536) head.push(m | 126, claim >> 8, claim & 255);
    else {
        head.push(m | 127);
        const l = Buffer.alloc(8);
        l.writeBigUInt64BE(BigInt(claim));
        head.push(...l);
    }
    if (!masked) return Buffer.concat([Buffer.from(head), b]);
    const key = randomBytes(4);
    for (let i = 0; i < b.length; i++) b[i] ^= key[i & 3];
    return Buffer.concat([Buffer.from(head), key, b]);
}

export const upgrade = (path) =>
    `GET ${path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
    `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`;

/* A WebSocket by hand -> {socket, send(frame), closed: Promise<code>}; 1006 when no close frame came. */
export function rawSocket(port, path) {
    const socket = net.connect({ port, host: '127.0.0.1' });
    let text = Buffer.alloc(0);
    let opened = false;
    let code = 1006;
    const r = { socket, bytes: 0, send: (f) => socket.destroyed || socket.write(f) };
    r.closed = new Promise((ok) => socket.on('close', () => ok(code)));
    r.open = new Promise((ok, no) => {
        socket.on('error', no);
        socket.on('connect', () => socket.write(upgrade(path)));
        socket.on('data', (d) => {
            r.bytes += d.length;
            text = Buffer.concat([text, d]);
            if (!opened) {
                const end = text.indexOf('\r\n\r\n');
                if (end < 0) return;
                const status = Number(text.toString('latin1', 9, 12));
                if (status !== 101) return no(new Error(`refused: ${text}`));
                opened = true;
                text = text.subarray(end + 4);
                ok();
            }
            while (text.length >= 2) {
                let n = text[1] & 127;
                let at = 2;
                if (n === 126) [n, at] = [text.length < 4 ? Infinity : text.readUInt16BE(2), 4];
                if (n === 127) [n, at] = [text.length < 10 ? Infinity : Number(text.readBigUInt64BE(2)), 10];
                if (text.length < at + n) return;
                if ((text[0] & 15) === 8) code = n >= 2 ? text.readUInt16BE(at) : 1005;
                text = text.subarray(at + n);
            }
        });
    });
    return r;
}

/* A well-formed signalling client: say({case: value}) as protobuf, `json` as text. */
export async function signal(ws_url, token, o = {}) {
    const { path = '/rtc', query = '&protocol=17&sdk=js&version=2.23.0', header = false } = o;
    const opts = header ? { headers: { authorization: `Bearer ${token}` } } : {};
    const ws = new WebSocket(`${ws_url}${path}?${header ? '' : `access_token=${token}`}${query}`, { perMessageDeflate: false, ...opts });
    const c = { ws, got: [], kinds: [], forms: [] };
    c.closed = new Promise((ok) => ws.on('close', (code) => ok(code)));
    ws.on('message', (d, binary) => {
        const m = binary ? SignalResponse.fromBinary(new Uint8Array(d)).toJson() : JSON.parse(d.toString());
        c.got.push(m);
        c.forms.push(binary ? 'protobuf' : 'json');
        c.kinds.push(Object.keys(m)[0]);
    });
    const refused = await new Promise((ok) => {
        ws.on('open', () => ok(null));
        ws.on('error', () => ok({ status: 0, body: '' }));
        ws.on('unexpected-response', (_, res) => {
            let body = '';
            res.on('data', (d) => (body += d));
            res.on('end', () => ok({ status: res.statusCode, body }));
        });
    });
    c.status = refused ? refused.status : 101;
    c.body = refused?.body;
    c.find = (kind, ms = 4000) => until(`a ${kind}`, () => c.got.find((m) => kind in m)?.[kind], ms, 20);
    c.count = (kind) => c.got.filter((m) => kind in m).length;
    c.say = (kind, value) => ws.send(new SignalRequest({ message: { case: kind, value } }).toBinary());
    c.json = (m) => ws.send(JSON.stringify(m));
    if (!refused && !o.resume) c.join = await c.find('join');
    c.leave = async () => {
        if (ws.readyState === WebSocket.OPEN) c.json({ leave: { reason: 'CLIENT_INITIATED' } });
        const t = setTimeout(() => ws.terminate(), 2000);
        await c.closed;
        clearTimeout(t);
    };
    return c;
}

function attribute(type, body) {
    const b = Buffer.alloc(4 + body.length + ((4 - (body.length & 3)) & 3));
    b.writeUInt16BE(type, 0);
    b.writeUInt16BE(body.length, 2);
    body.copy(b, 4);
    return b;
}

/* A Binding request that nominates (RFC 8489, 8445). */
export function binding(user, o = {}) {
    const tid = randomBytes(12);
    const make = (attrs, more) => {
        const body = Buffer.concat(attrs);
        const h = Buffer.alloc(8);
        h.writeUInt16BE(1, 0);
        h.writeUInt16BE(body.length + more, 2);
        h.writeUInt32BE(0x2112a442, 4);
        return Buffer.concat([h, tid, body]);
    };
    const attrs = [attribute(6, Buffer.from(user)), attribute(0x24, Buffer.from([0x6e, 0, 1, 0xff])), attribute(0x802a, randomBytes(8)), attribute(0x25, Buffer.alloc(0))];
    if (o.integrity !== false) attrs.push(attribute(8, createHmac('sha1', o.pwd ?? 'wrong').update(make(attrs, 24)).digest()));
    const print = Buffer.alloc(4);
    print.writeUInt32BE((crc32(make(attrs, 8)) ^ 0x5354554e ^ (o.print ?? 0)) >>> 0);
    return make([...attrs, attribute(0x8028, print)], 0);
}
