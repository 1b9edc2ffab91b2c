/*
 * Strangers who keep to no rules.  While each of them is at it, two who mind their own business
 * in the same room, and two in another, go on without a gap; afterwards the server holds what it
 * held before.
 */
import { createHmac } from 'node:crypto';
import net from 'node:net';
import { gzipSync } from 'node:zlib';
import { JoinRequest, WrappedJoinRequest } from '@livekit/protocol';
import { assert, sleep, test as kit_test, token, until } from '../lib/kit.mjs';
import { startPair } from '../lib/pair.mjs';
import { bytes, frame, rawSocket, signal, statuses } from '../lib/raw.mjs';
import { KEY, ORIGINAL, SECRET, startServer } from '../lib/server.mjs';

const GAP_MS = 1000; /* the machine is shared; undisturbed it is 60 */
const skip = ORIGINAL ? 'speaks of limits that the original does not have' : false;

/* ---- the scene ---- */

let scene;
const stage = () =>
    (scene ??= (async () => {
        const srv = await startServer({ args: ['--prometheus-port', '0'], env: { ASAN_OPTIONS: 'detect_leaks=1:quarantine_size_mb=4' } });
        const [near, far] = await Promise.all([startPair(srv.http, 'near'), startPair(srv.http, 'far')]);
        const slow = bytes(srv.port, ['POST /twirp/livekit.RoomService/ListRooms HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n', ...Array(40).fill('x')], { ms: 39000, gap: 1000 });
        const slow_head = bytes(srv.port, ['GET / HTTP/1.1\r\n', ...Array(30).fill('X: a\r\n')], { ms: 20000, gap: 1000 });
        const mute = bytes(srv.port, [], { ms: 20000 });
        return { srv, near, far, slow, slow_head, mute };
    })());

async function counts(srv) {
    const { rooms, mem_live, ...rest } = await (await fetch(`${srv.http}/debug/rooms`)).json();
    return rest;
}

async function metrics(srv) {
    const text = await (await fetch(`http://127.0.0.1:${srv.ready.metrics}/metrics`)).text();
    return Object.fromEntries([...text.matchAll(/^(\w+(?:\{[^}]*\})?) (\S+)$/gm)].map((m) => [m[1], Number(m[2])]));
}

function attack(name, f, timeout = 30000) {
    kit_test(`hostile: ${name}`, { skip, timeout }, async (t) => {
        const s = await stage();
        const before = await counts(s.srv);
        s.near.reset();
        s.far.reset();
        await f(s.srv, t);
        assert.equal(s.srv.dead(), null, s.srv.log().slice(-4000));
        assert.ok(s.near.gap() < GAP_MS, `in the same room media stood still for ${s.near.gap()} ms`);
        assert.ok(s.far.gap() < GAP_MS, `in another room media stood still for ${s.far.gap()} ms`);
        await until('everything is given back', async () => {
            const after = await counts(s.srv);
            assert.deepEqual(after, before);
            return true;
        }, 6000);
    });
}

let guest_n = 0;
const guest = async (srv, o = {}) => signal(srv.ws, await token(o.identity ?? `guest${++guest_n}`, o.room ?? 'near', o.grants ?? {}), o);
const rtc = async (o = {}) => `/rtc?access_token=${await token(`raw${++guest_n}`, 'near', o)}&protocol=17&sdk=js&auto_subscribe=0`;

/* ---- HTTP ---- */

const head = (lines, body = '') => `${lines.join('\r\n')}\r\n\r\n${body}`;
const GET = head(['GET / HTTP/1.1', 'Host: a']);
const POST = 'POST /twirp/livekit.RoomService/ListRooms HTTP/1.1';

attack('requests that two readers could take differently are refused, and nothing behind them is read', async (srv) => {
    const smuggled = GET;
    const cases = [
        ['two lengths', head([POST, 'Host: a', 'Content-Length: 3', 'Content-Length: 4'], `abc${smuggled}`)],
        ['the same length twice', head([POST, 'Host: a', 'Content-Length: 3', 'Content-Length: 3'], `abc${smuggled}`)],
        ['a list of lengths', head([POST, 'Host: a', 'Content-Length: 3, 3'], `abc${smuggled}`)],
        ['length and chunks', head([POST, 'Host: a', 'Content-Length: 3', 'Transfer-Encoding: chunked'], `0\r\n\r\n${smuggled}`)],
        ['chunks and length', head([POST, 'Host: a', 'Transfer-Encoding: chunked', 'Content-Length: 3'], `0\r\n\r\n${smuggled}`)],
        ['two codings', head([POST, 'Host: a', 'Transfer-Encoding: chunked', 'Transfer-Encoding: identity'], `0\r\n\r\n${smuggled}`)],
        ['an unknown coding', head([POST, 'Host: a', 'Transfer-Encoding: xchunked'], `0\r\n\r\n${smuggled}`), 501],
        ['gzip, chunked', head([POST, 'Host: a', 'Transfer-Encoding: gzip, chunked'], `0\r\n\r\n${smuggled}`), 501],
        ['a coding in HTTP/1.0', head([POST.replace('1.1', '1.0'), 'Transfer-Encoding: chunked'], `0\r\n\r\n${smuggled}`)],
        ['coding before a space', head([POST, 'Host: a', 'Transfer-Encoding : chunked'], `0\r\n\r\n${smuggled}`)],
        ['a folded line', head([POST, 'Host: a', 'X: a', ' Content-Length: 3'], `abc${smuggled}`)],
        ['a folded coding', head([POST, 'Host: a', 'Transfer-Encoding:', ' chunked'], `0\r\n\r\n${smuggled}`)],
        ['bare line feeds', `${POST}\nHost: a\nContent-Length: 3\n\nabc${smuggled}`],
        ['one bare line feed', `${POST}\r\nHost: a\nContent-Length: 3\r\n\r\nabc${smuggled}`],
        ['a bare carriage return', head([POST, 'Host: a', 'X: a\rContent-Length: 3'], `abc${smuggled}`)],
        ['a NUL', head([POST, 'Host: a', 'X: a\0b'], smuggled)],
        ['a length with a sign', head([POST, 'Host: a', 'Content-Length: +3'], `abc${smuggled}`)],
        ['a negative length', head([POST, 'Host: a', 'Content-Length: -3'], `abc${smuggled}`)],
        ['a length in hex', head([POST, 'Host: a', 'Content-Length: 0x3'], `abc${smuggled}`)],
        ['a length beyond 64 bits', head([POST, 'Host: a', 'Content-Length: 18446744073709551619'], `abc${smuggled}`)],
        ['an empty length', head([POST, 'Host: a', 'Content-Length:'], `abc${smuggled}`)],
        ['a chunk size beyond 64 bits', head([POST, 'Host: a', 'Transfer-Encoding: chunked'], `10000000000000003\r\nabc\r\n0\r\n\r\n${smuggled}`)],
        ['a chunk size with a sign', head([POST, 'Host: a', 'Transfer-Encoding: chunked'], `+3\r\nabc\r\n0\r\n\r\n${smuggled}`)],
        ['a chunk that ends late', head([POST, 'Host: a', 'Transfer-Encoding: chunked'], `3\r\nabcd\r\n0\r\n\r\n${smuggled}`)],
        ['a chunk with bare line feeds', head([POST, 'Host: a', 'Transfer-Encoding: chunked'], `3\nabc\n0\n\n${smuggled}`)],
        ['no host', head(['GET / HTTP/1.1'], smuggled)],
        ['two hosts', head(['GET / HTTP/1.1', 'Host: a', 'Host: b'], smuggled)],
        ['a line without a colon', head(['GET / HTTP/1.1', 'Host: a', 'nonsense'], smuggled)],
        ['a header without a name', head(['GET / HTTP/1.1', 'Host: a', ': x'], smuggled)],
        ['two spaces in the request line', head(['GET  / HTTP/1.1', 'Host: a'], smuggled)],
        ['a space in the target', head(['GET /a b HTTP/1.1', 'Host: a'], smuggled)],
        ['HTTP/0.9', 'GET /\r\n\r\n'],
        ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', [400, 505]],
        ['HTTP/1.2', head(['GET / HTTP/1.2', 'Host: a'], smuggled), [400, 505]],
        ['CONNECT', head(['CONNECT example.org:443 HTTP/1.1', 'Host: a'], smuggled)],
        ['an unknown method', head(['BREW / HTTP/1.1', 'Host: a'], smuggled)],
        ['a TLS hello', Buffer.from('16030100f1010000ed0303' + '00'.repeat(60) + '0a0a', 'hex')],
        ['garbage', Buffer.concat([Buffer.from(Array.from({ length: 3000 }, (_, i) => (i * 7919 + 13) & 255)), Buffer.from('\n')])],
    ];
    await Promise.all(cases.map(async ([what, text, want = 400]) => {
        const r = await bytes(srv.port, text);
        const got = statuses(r.text);
        assert.equal(got.length, 1, `${what}: one answer, not ${JSON.stringify(r.text.slice(0, 300))}`);
        assert.ok([want].flat().includes(got[0]), `${what}: ${got[0]}, not ${want}`);
        assert.ok(r.closed && /connection: close/i.test(r.text), `${what}: closed`);
    }));
});

attack('too much is refused by its limit', async (srv) => {
    const port = srv.port;
    const many = Array.from({ length: 101 }, (_, i) => `X-${i}: a`);
    const cases = [
        ['a head of 17 kB', head(['GET / HTTP/1.1', 'Host: a', `X: ${'a'.repeat(17000)}`]), 431],
        ['101 headers', head(['GET / HTTP/1.1', ...many]), 431],
        ['a target of 20 kB', head([`GET /${'a'.repeat(20000)} HTTP/1.1`, 'Host: a']), [414, 431]],
        ['a target without an end', `GET /${'a'.repeat(70000)}`, [414, 431]],
        ['a body of 11 MB announced', head([POST, 'Host: a', `Content-Length: ${11 << 20}`]), 413],
        ['a chunk of 11 MB announced', head([POST, 'Host: a', 'Transfer-Encoding: chunked'], `${(11 << 20).toString(16)}\r\n`), 413],
        ['chunk extensions', head([POST, 'Host: a', 'Transfer-Encoding: chunked'], `1;${'a'.repeat(70000)}\r\n`), [400, 413]],
        ['trailers', head([POST, 'Host: a', 'Transfer-Encoding: chunked'], `0\r\n${'X: a\r\n'.repeat(20000)}`), [400, 413, 431]],
    ];
    await Promise.all(cases.map(async ([what, text, want]) => {
        const r = await bytes(port, text);
        assert.equal(statuses(r.text).length, 1, `${what}: ${r.text.slice(0, 200)}`);
        assert.ok([want].flat().includes(statuses(r.text)[0]), `${what}: ${statuses(r.text)}, not ${want}`);
        assert.ok(r.closed, what);
    }));
    assert.match((await bytes(port, cases[4][1])).text, /request body too large/);
});

attack('odd but proper requests are answered', async (srv) => {
    const port = srv.port;
    const one = async (text, o) => bytes(port, text, { ms: 700, ...o });
    let r = await one(head(['GET / HTTP/1.0']));
    assert.deepEqual([statuses(r.text), r.closed], [[200], true], 'HTTP/1.0 without a host');
    r = await one(head(['GET /nowhere HTTP/1.1', 'Host: a']) + GET + head(['HEAD / HTTP/1.1', 'Host: a', 'Connection: close']));
    assert.deepEqual([statuses(r.text), r.closed], [[404, 200, 200], true], 'three requests in one write, in their order');
    r = await one([...GET], { gap: 1, ms: 3000, fin: true });
    assert.deepEqual(statuses(r.text), [200], 'one byte at a time');
    r = await one(head([POST, 'Host: a', 'Content-Type: application/json', 'Transfer-Encoding: chunked', 'Connection: close'], '1\r\n{\r\n1;x=y\r\n}\r\n0\r\n\r\n'));
    assert.deepEqual(statuses(r.text), [401], 'a body in chunks');
    r = await one(head([POST, 'Host: a', 'Expect: 100-continue', 'Content-Length: 2', 'Connection: close'], '{}'));
    assert.deepEqual(statuses(r.text), [100, 404], 'continue');
    for (const path of ['/nowhere', '/rtc/', '/rtc/v2', '/RTC', '/twirp', '/twirp/', '/twirp/livekit.Nothing/A', '/etc/passwd', '/../etc/passwd', '/%2e%2e/%2e%2e/etc/passwd', '//etc/passwd', '/meet', '/.git/config', '/debug/pprof/heap', '/%00', '/a%', `/${'a'.repeat(15000)}`]) {
        r = await one(head([`GET ${path} HTTP/1.1`, 'Host: a', 'Connection: close']));
        assert.deepEqual(statuses(r.text), [404], path);
    }
});

attack('who ends his half after asking still gets all of the answer', async (srv) => {
    for (const path of ['/livekit.js', '/meet/x', '/']) {
        const r = await bytes(srv.port, head([`GET ${path} HTTP/1.1`, 'Host: a', 'Accept: text/html']), { fin: true });
        const at = r.text.indexOf('\r\n\r\n');
        const length = Number(/content-length: (\d+)/i.exec(r.text)[1]);
        assert.equal(r.text.length - at - 4, length, path);
        assert.ok(r.closed);
    }
});

/* 13 MB in large pages, below what a socket may have queued: who reads none of it gets far less. */
attack('who asks and never reads costs little', async (srv, t) => {
    const sizes = await Promise.all(['/', '/meet/x', '/livekit.js', '/livekit'].map(async (p) => {
        const r = await fetch(srv.http + p, { headers: { accept: 'text/html' } });
        return { p, n: r.ok ? (await r.arrayBuffer()).byteLength : 0 };
    }));
    const page = sizes.sort((a, b) => b.n - a.n)[0];
    if (page.n < 100000) return t.skip('this build has no pages');
    const before = (await metrics(srv)).process_resident_memory_bytes;
    const line = head([`GET ${page.p} HTTP/1.1`, 'Host: a', 'Accept: text/html']);
    const people = Array.from({ length: 20 }, () => {
        const s = net.connect(srv.port, '127.0.0.1');
        s.on('error', () => {});
        s.pause();
        s.write(line.repeat(Math.ceil((13 << 20) / page.n)));
        return s;
    });
    await sleep(1500);
    const grown = (await metrics(srv)).process_resident_memory_bytes - before;
    for (const s of people) s.destroy();
    assert.ok(grown < 60 << 20, `20 who never read ${page.p} of ${page.n} bytes cost ${(grown / 1e6).toFixed(1)} MB`);
});

attack('2,000 idle connections', async (srv) => {
    const sockets = [];
    for (let i = 0; i < 2000; i += 100) {
        const part = Array.from({ length: 100 }, () => net.connect(srv.port, '127.0.0.1'));
        await Promise.all(part.map((s) => new Promise((ok, no) => s.on('connect', ok).on('error', no))));
        sockets.push(...part);
    }
    await until('all are counted', async () => (await metrics(srv)).sluice_http_connections >= 2000, 5000);
    const t0 = Date.now();
    assert.equal((await fetch(`${srv.http}/nowhere`)).status, 404);
    assert.ok(Date.now() - t0 < 1000, 'a newcomer is served at once');
    for (const x of sockets) x.destroy();
    await until('they are gone', async () => (await metrics(srv)).sluice_http_connections < 50, 5000);
}, 40000);

/* ---- tokens and refusals (livekit-server.md 1.3, 1.4) ---- */

function jwt(claims, o = {}) {
    const b64 = (v) => Buffer.from(typeof v === 'string' ? v : JSON.stringify(v)).toString('base64url');
    const text = `${b64(o.header ?? { alg: 'HS256', typ: 'JWT' })}.${b64(claims)}`;
    return `${text}.${o.alg === 'none' ? '' : createHmac(o.hash ?? 'sha256', o.secret ?? SECRET).update(text).digest('base64url')}`;
}

attack('refused with the original\'s words, whether the token comes in the query or as a header', async (srv) => {
    const now = Math.floor(Date.now() / 1000);
    const ok = { iss: KEY, sub: 'tok', nbf: now - 5, exp: now + 60, video: { roomJoin: true, room: 'tokens' } };
    const long = 'x'.repeat(257);
    const cases = [
        [jwt(ok), 200, 'success'],
        [jwt({ ...ok, sub: undefined, jti: 'tok' }), 200, 'success'],
        [jwt({ ...ok, nbf: undefined }), 200, 'success'],
        [jwt({ ...ok, exp: now - 30 }), 200, 'success'], /* within the leeway */
        [jwt({ ...ok, nbf: now + 30 }), 200, 'success'],
        ['junk', 401, 'invalid authorization token'],
        ['a.b.c', 401, 'invalid authorization token'],
        [jwt({ ...ok, iss: 'nobody' }), 401, 'invalid API key'],
        [jwt(ok, { secret: 'wrong' }), 401, /^invalid authorization token: /],
        [jwt({ ...ok, exp: now - 90 }), 401, /^invalid authorization token: /],
        [jwt({ ...ok, nbf: now + 90 }), 401, /^invalid authorization token: /],
        [jwt({ ...ok, exp: undefined }), 401, /^invalid authorization token/],
        [jwt(ok, { header: { alg: 'none' }, alg: 'none' }), 401, /^invalid authorization token/],
        [jwt(ok, { header: { alg: 'HS512', typ: 'JWT' }, hash: 'sha512' }), 401, /^invalid authorization token/],
        [`${jwt(ok)}x`, 401, /^invalid authorization token/],
        [jwt({ ...ok, video: undefined }), 401, 'no permissions to access the room'],
        [jwt({ ...ok, video: { roomJoin: false, room: 'r' } }), 401, 'permissions denied'],
        [jwt({ ...ok, sub: '' }), 400, 'identity cannot be empty'],
        [jwt({ ...ok, sub: long }), 400, 'participant identity length exceeds limits: max length 256'],
        [jwt({ ...ok, video: { roomJoin: true } }), 400, 'no room name'],
        [jwt({ ...ok, video: { roomJoin: true, room: long } }), 400, 'room name length exceeds limits: max length 256'],
    ];
    const check = async (what, r, status, body) => {
        const text = await r.text();
        assert.equal(r.status, status, `${what}: ${text}`);
        if (typeof body === 'string') assert.equal(text, body, what);
        else assert.match(text, body, what);
        assert.equal(r.headers.get('access-control-allow-origin'), '*', what);
    };
    const { http } = srv;
    const origin = { origin: 'https://example.org' };
    for (const [i, [t, status, body]] of cases.entries()) {
        await check(`case ${i} in the query`, await fetch(`${http}/rtc/validate?access_token=${t}`, { headers: origin }), status, body);
        await check(`case ${i} as a header`, await fetch(`${http}/rtc/validate`, { headers: { ...origin, authorization: `Bearer ${t}` } }), status, body);
        if (status === 200) continue;
        const s = await signal(srv.ws, t);
        assert.deepEqual([s.status, s.body === body || new RegExp(body).test(s.body)], [status, true], `case ${i} at the upgrade: ${s.status} ${s.body}`);
    }
    const wrong = await fetch(`${http}/rtc/validate?access_token=${jwt(ok)}`, { headers: { ...origin, authorization: 'Basic abc' } });
    await check('another scheme', wrong, 401, 'invalid authorization header. Must start with Bearer ');
    await check('the header rules', await fetch(`${http}/rtc/validate?access_token=${jwt(ok)}`, { headers: { ...origin, authorization: 'Bearer x' } }), 401, 'invalid authorization token');
    await check('none', await fetch(`${http}/rtc/validate`, { headers: origin }), 401, 'no permissions to access the room');
    const plain = await fetch(`${http}/rtc?access_token=${jwt(ok)}`);
    assert.deepEqual([plain.status, await plain.text()], [404, ''], 'no upgrade');

    const q = async (query, path = '/rtc/validate', claims = ok) => fetch(`${http}${path}?access_token=${jwt(claims)}${query}`, { headers: origin });
    await check('attributes that are none', await q('&attributes=!!'), 400, 'cannot decode attributes');
    const attributes = Buffer.from('{"a":"b"}').toString('base64url');
    await check('attributes without the grant', await q(`&attributes=${attributes}`), 401, 'no permissions to access the room');
    await check('attributes with it', await q(`&attributes=${attributes}`, '/rtc/validate', { ...ok, video: { ...ok.video, canUpdateOwnMetadata: true } }), 200, 'success');
    await check('publish only, without the grant', await q('&publish=x', '/rtc/validate', { ...ok, video: { ...ok.video, canPublish: false } }), 401, 'no permissions to access the room');

    const wrap = (data, compression = 0) => encodeURIComponent(Buffer.from(new WrappedJoinRequest({ compression, joinRequest: data }).toBinary()).toString('base64').replaceAll('+', '-').replaceAll('/', '_'));
    const v1 = (v) => q(v === null ? '' : `&join_request=${v}`, '/rtc/v1/validate');
    const fine = new JoinRequest({ clientInfo: { protocol: 17 } }).toBinary();
    await check('join request', await v1(wrap(fine)), 200, 'success');
    await check('zipped', await v1(wrap(gzipSync(fine), 1)), 200, 'success');
    await check('missing', await v1(null), 400, 'join_request is required');
    await check('no base64', await v1('!!!'), 400, 'cannot base64 decode wrapped join request');
    await check('no wrapping', await v1('_____w%3D%3D'), 400, 'cannot unmarshal wrapped join request');
    await check('no request', await v1(wrap(Buffer.from([0xff, 0xff, 0xff]))), 400, 'cannot unmarshal join request');
    await check('no gzip', await v1(wrap(Buffer.from('not zipped at all'), 1)), 400, /^cannot read decompressed /);
    await check('cut gzip', await v1(wrap(gzipSync(Buffer.alloc(1000, 7)).subarray(0, 20), 1)), 400, /^cannot read decompressed /);
    await check('a bomb of 8 MB', await v1(wrap(gzipSync(Buffer.alloc(8 << 20)), 1)), 400, 'join request too large');
});

/* ---- WebSocket ---- */

attack('frames against the rules end that connection, with the code for it', async (srv) => {
    const text = '{"pingReq":{"timestamp":"1"}}';
    const cases = [
        ['an unmasked frame', [frame(1, text, { masked: false })], 1002],
        ['a reserved bit', [frame(1, text, { rsv: 4 })], 1002],
        ['a reserved operation', [frame(3, text)], 1002],
        ['a continuation of nothing', [frame(0, text)], 1002],
        ['a new message within another', [frame(1, '{', { fin: false }), frame(1, text)], 1002],
        ['a fragmented ping', [frame(9, 'x', { fin: false })], 1002],
        ['a ping of 126 bytes', [frame(9, 'x'.repeat(126))], 1002],
        ['a close of one byte', [frame(8, 'x')], [1002, 1007]],
        ['a close with a forbidden code', [frame(8, Buffer.from([0x03, 0xed]))], 1002],
        ['a frame of 3 MB', [frame(2, '', { claim: 3 << 20 })], 1009],
        ['a frame of 2^62 bytes', [Buffer.from([0x82, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4])], [1002, 1009]],
        ['3 MB in fragments', [...Array.from({ length: 48 }, (_, i) => frame(i ? 0 : 2, Buffer.alloc(65536), { fin: false }))], 1009],
        ['text that is none', [frame(1, Buffer.from([0xc3, 0x28, 0xff]))], [1007, 1002]],
    ];
    await Promise.all(cases.map(async ([what, frames, want]) => {
        const r = rawSocket(srv.port, await rtc());
        await r.open;
        for (const f of frames) r.send(f);
        const t = setTimeout(() => r.socket.destroy(), 6000);
        const code = await r.closed;
        clearTimeout(t);
        assert.ok([want].flat().includes(code), `${what}: ${code}, not ${want}`);
    }));
});

attack('fragments, pings and upgrades without end', async (srv) => {
    const flood = rawSocket(srv.port, await rtc());
    const pings = rawSocket(srv.port, await rtc());
    const empty = rawSocket(srv.port, await rtc());
    await Promise.all([flood.open, pings.open, empty.open]);
    const bit = Buffer.concat(Array.from({ length: 5000 }, () => frame(0, 'x', { fin: false })));
    flood.send(frame(2, 'x', { fin: false }));
    for (let i = 0; i < 10; i++) flood.send(bit);
    const none = Buffer.concat(Array.from({ length: 5000 }, () => frame(0, '', { fin: false })));
    empty.send(frame(2, '', { fin: false }));
    for (let i = 0; i < 10; i++) empty.send(none);
    const ping = Buffer.concat(Array.from({ length: 5000 }, () => frame(9, 'x'.repeat(100))));
    pings.socket.pause();
    for (let i = 0; i < 10; i++) pings.send(ping);
    const t = await token('half', 'near');
    const halves = Array.from({ length: 50 }, () => {
        const s = net.connect(srv.port, '127.0.0.1', () => s.write(`GET /rtc?access_token=${t} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n`));
        return s.on('error', () => {});
    });
    await sleep(1500);
    for (const s of [flood.socket, pings.socket, empty.socket, ...halves]) s.destroy();
});

attack('messages that are none, in an order that is none', async (srv) => {
    const near = ['junk', Buffer.alloc(100, 0xff), Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]), '', '\0', '{', '[]', 'null', '{"nothing":1}', '{"offer":7}', '{"offer":{"sdp":"\\ud800"}}', '{"addTrack":{"layers":[[[[[[]]]]]]}}', '['.repeat(100000), '{"addTrack":'.repeat(5000), `{"ping":"${'9'.repeat(5000)}"}`];
    const c = await guest(srv, { grants: { canUpdateOwnMetadata: true } });
    for (const m of near) {
        c.ws.send(m);
        c.ws.send(Buffer.from(m));
    }
    /* update_metadata{metadata: invalid UTF-8}, {metadata: "a NUL b"}: nobody may hear of either */
    const field = (no, b) => Buffer.concat([Buffer.from([(no << 3) | 2, b.length]), b]);
    for (const bad of [Buffer.from([0xff, 0xfe]), Buffer.from('a\0b'), Buffer.from([0xed, 0xa0, 0x80])])
        for (const inner of [field(1, bad), field(2, bad)]) c.ws.send(field(15, inner));
    c.say('answer', { type: 'answer', sdp: 'v=0\r\n' });
    await sleep(300);
    if (c.ws.readyState === 1) await c.leave();

    const early = await guest(srv);
    early.say('trickle', { candidateInit: '{"candidate":"candidate:1 1 udp 1 127.0.0.1 9 typ host","sdpMid":"0","sdpMLineIndex":0}', target: 0 });
    early.say('trickle', { candidateInit: '{"candidate":', target: 1 });
    early.say('trickle', { candidateInit: 'x'.repeat(100000), target: 77 });
    early.json({ pingReq: { timestamp: '5' } });
    assert.equal((await early.find('pongResp')).lastPingTimestamp, '5', 'candidates that come early do no harm');
    await early.leave();

    const after = await guest(srv);
    after.say('leave', {});
    for (let i = 0; i < 50; i++) after.json({ pingReq: { timestamp: '5' } });
    await after.closed;
    assert.equal(after.count('pongResp'), 0, 'nothing counts after a leave');

    const seen = await guest(srv, { grants: { canUpdateOwnMetadata: true } });
    const others = seen.join.otherParticipants.map((p) => p.identity).sort();
    assert.deepEqual(others, ['near-sender', 'near-taker']);
    await seen.leave();
});

attack('what is not permitted is refused in words', async (srv) => {
    const c = await guest(srv, { grants: { canPublish: false, canPublishData: false, canUpdateOwnMetadata: false } });
    assert.equal(c.join.participant.permission.canPublish ?? false, false);
    c.say('addTrack', { cid: 'x', name: 'x', type: 0 });
    c.say('updateMetadata', { metadata: 'mine', requestId: 7 });
    c.say('mute', { sid: 'TR_none', muted: true });
    c.say('updateAudioTrack', { trackSid: 'TR_none' });
    c.say('updateVideoTrack', { trackSid: 'TR_none' });
    c.say('subscription', { trackSids: ['TR_none', '', 'x'.repeat(5000)], subscribe: true });
    c.say('subscription', { trackSids: ['TR_none'], subscribe: false });
    c.say('trackSetting', { trackSids: ['TR_none'], width: 4294967295, height: 4294967295, fps: 4294967295 });
    c.say('publishDataTrackRequest', { pubHandle: 1, name: 'x' });
    await until('six refusals', () => c.count('requestResponse') >= 6, 3000);
    const answers = c.got.filter((m) => m.requestResponse).map((m) => m.requestResponse);
    const of = (kind) => answers.find((a) => kind in a);
    assert.deepEqual([of('addTrack').reason, of('addTrack').message, of('addTrack').addTrack.cid], ['NOT_ALLOWED', 'does not have permission to publish', 'x']);
    assert.deepEqual([of('updateMetadata').reason, of('updateMetadata').message, of('updateMetadata').requestId], ['NOT_ALLOWED', 'does not have permission to update own metadata', 7]);
    for (const kind of ['mute', 'updateAudioTrack', 'updateVideoTrack']) assert.equal(of(kind).reason, 'NOT_FOUND', kind);
    assert.equal(of('publishDataTrack').reason, 'NOT_ALLOWED');
    assert.equal(c.count('trackPublished'), 0);
    await c.leave();

    const d = await guest(srv, { grants: { canUpdateOwnMetadata: true, canPublishSources: [1] } });
    d.say('addTrack', { cid: 'mic', type: 0, source: 2 });
    d.say('addTrack', { cid: 'any', type: 1, source: 0 });
    d.say('updateMetadata', { metadata: 'm'.repeat(600000), requestId: 1 });
    d.say('updateMetadata', { name: 'n'.repeat(300), requestId: 2 });
    d.say('updateMetadata', { attributes: { a: 'x'.repeat(70000) }, requestId: 3 });
    d.say('addTrack', { cid: 'cam', type: 1, source: 1 });
    await d.find('trackPublished');
    const r = d.got.filter((m) => m.requestResponse).map((m) => m.requestResponse);
    assert.deepEqual(r.map((x) => x.message), ['does not have permission to publish', 'does not have permission to publish', 'exceeds metadata size limit', 'exceeds name length limit', 'exceeds attributes size limit']);
    await d.leave();
});

attack('a thousand tracks, ten thousand sections, attributes without end', async (srv) => {
    const c = await guest(srv);
    for (let i = 0; i < 500; i++) {
        c.say('addTrack', { cid: `t${i}`, name: 't', type: i & 1 });
        c.say('addTrack', { cid: `same`, name: 't', type: 0 });
    }
    const reasons = () => c.got.filter((m) => m.requestResponse).map((m) => m.requestResponse.reason);
    await until('each is answered', () => c.count('trackPublished') + reasons().length >= 900, 5000);
    assert.equal(c.count('trackPublished'), 20, 'twenty wait for media');
    assert.equal(reasons().filter((x) => x === 'QUEUED').length, 3, 'three wait under one client id');
    await c.leave().catch(() => c.ws.terminate());

    const top = 'v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n';
    const ice = `a=ice-ufrag:abcd\r\na=ice-pwd:${'p'.repeat(24)}\r\na=fingerprint:sha-256 ${Array(32).fill('AA').join(':')}\r\na=setup:actpass\r\n`;
    const line = (i) => `m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:${i}\r\na=sendonly\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n${ice}`;
    const few = (n, extra = '') => top + Array.from({ length: n }, (_, i) => line(i) + extra).join('');
    const offers = [
        few(10000).slice(0, 2000000), few(300), few(256), few(1, 'a=ssrc:1 cname:x\r\n'.repeat(20000)),
        few(1, Array.from({ length: 20000 }, (_, i) => `a=ssrc:${i} cname:x\r\n`).join('')), few(1, `a=x:${'y'.repeat(400000)}\r\n`),
        few(1, Array.from({ length: 9000 }, (_, i) => `a=candidate:${i} 1 udp ${i} 10.0.0.1 9 typ host\r\n`).join('')),
        few(1, Array.from({ length: 9000 }, (_, i) => `a=rtpmap:${i % 128} opus/48000/2\r\na=fmtp:${i % 128} a=b\r\na=rtcp-fb:${i % 128} nack\r\n`).join('')),
        few(1, `a=simulcast:send ${'q;'.repeat(8000)}\r\n`), few(1, 'a=extmap:1 urn:x\r\n'.repeat(9000)), few(1, `a=ssrc-group:SIM ${'1 '.repeat(8000)}\r\n`),
        few(2).replaceAll('a=mid:1', 'a=mid:0'), `${top}a=group:BUNDLE ${'0 '.repeat(8000)}\r\n${line(0)}`, `${top}m=audio`, `${top}m=audio 9 x 1\r\n`, '', 'v=1\r\n', top, '\r\n'.repeat(100000), 'm='.repeat(200000),
        `${few(1)}a=fingerprint:sha-256 zz\r\n`, few(1).replace('actpass', 'nonsense'), few(1).replace('abcd', 'x'.repeat(5000)), few(1).replaceAll('111', '999'), `${top}m=video 99999 UDP/TLS/RTP/SAVPF 96\r\n`, `${top}m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=sctp-port:99999\r\na=max-message-size:999999999999999999999\r\n${ice}`,
    ];
    for (let i = 0; i < offers.length; i += 9)
        await Promise.all(offers.slice(i, i + 9).map(async (sdp) => {
            const o = await guest(srv);
            o.say('offer', { type: 'offer', sdp, id: 1 });
            await Promise.race([o.closed, until('an answer', () => o.got.some((m) => m.answer || m.leave), 1500).catch(() => {})]);
            if (o.ws.readyState === 1) await o.leave();
        }));
});

attack('too many messages a second, and one who never reads', async (srv) => {
    const c = await guest(srv);
    for (let i = 0; i < 3000; i++) c.json({ pingReq: { timestamp: `${i}` } });
    assert.ok([1008, 1009, 1006].includes(await c.closed), 'the flood is closed');
    assert.ok(c.count('pongResp') <= 1200, `${c.count('pongResp')} answers`);

    /* The room's description changes again and again, past a reader who takes nothing. */
    const deaf = rawSocket(srv.port, `/rtc?access_token=${await token('deaf', 'deaf')}&protocol=17&sdk=js`);
    await deaf.open;
    deaf.socket.pause();
    let over = false;
    deaf.socket.on('close', () => (over = true));
    const hears = await guest(srv, { room: 'deaf' });
    const admin = await token('admin', 'deaf', { roomAdmin: true });
    const headers = { authorization: `Bearer ${admin}`, 'content-type': 'application/json' };
    for (let i = 0; i < 60; i++)
        assert.equal((await fetch(`${srv.http}/twirp/livekit.RoomService/UpdateRoomMetadata`, { method: 'POST', headers, body: JSON.stringify({ room: 'deaf', metadata: `${i}`.padEnd(500000, 'm') }) })).status, 200);
    await until('who takes nothing is closed', () => /slow_reader_closed.*\n.*leave .*identity=deaf/.test(srv.log()), 3000);
    await until('the one beside hears all', () => hears.count('roomUpdate') >= 60, 3000);
    await hears.leave();
    deaf.socket.resume();
    await until('and learns of it', () => over, 3000);
});

/* ---- the end ---- */

kit_test('hostile: a head and a body that never end, and one who says nothing, are closed, and nothing is left', { skip, timeout: 45000 }, async () => {
    const s = await stage();
    for (const [what, x, want, least, most] of [['nothing', s.mute, [], 8, 13], ['a head', s.slow_head, [408], 8, 13], ['a body', s.slow, [408], 25, 34]]) {
        const r = await x;
        assert.deepEqual([statuses(r.text), r.closed], [want, true], what);
        assert.ok(r.ms > least * 1000 && r.ms < most * 1000, `${what}: after ${r.ms} ms`);
    }
    assert.deepEqual([await s.near.stop(), await s.far.stop()], [[0, 0], [0, 0]]);
    await until('nothing is left', async () => {
        assert.deepEqual(Object.values(await counts(s.srv)), [0, 0, 0, 0, 0, 0]);
        return true;
    });
    assert.equal(await s.srv.stop(), 0, s.srv.log().slice(-6000));
});
