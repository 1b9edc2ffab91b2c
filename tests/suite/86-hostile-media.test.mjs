/*
 * Datagrams of strangers, and of one who can speak from a participant's own address: each is
 * counted by its reason and nothing else moves.
 */
import { randomBytes } from 'node:crypto';
import dgram from 'node:dgram';
import { assert, sleep, test, until } from '../lib/kit.mjs';
import { startPair } from '../lib/pair.mjs';
import { binding } from '../lib/raw.mjs';
import { freeUdp, ORIGINAL, startServer } from '../lib/server.mjs';

const skip = ORIGINAL ? 'reads sluice\'s own counters' : false;
const GAP_MS = 1000;
const KEPT = 400;

const open = () =>
    new Promise((ok) => {
        const s = dgram.createSocket({ type: 'udp4', recvBufferSize: 1 << 21 });
        s.bind(0, '127.0.0.1', () => ok(s));
    });

/* Between clients and the server: keeps what went up, and can say more in a client's name. */
async function startTap(port) {
    const front = await open();
    const clients = new Map();
    front.on('message', async (m, from) => {
        let c = clients.get(from.port);
        if (!c) {
            c = { up: [], n: 0, sock: dgram.createSocket('udp4') };
            clients.set(from.port, c);
            c.sock.on('message', (d) => front.send(d, from.port, from.address, () => {}));
        }
        c.n++;
        c.up.push(m);
        if (c.up.length > KEPT) c.up.splice(c.up.findIndex((d) => d[0] > 127), 1); /* hellos and checks stay */
        c.sock.send(m, port, '127.0.0.1', () => {});
    });
    return { port: front.address().port, clients: () => [...clients.values()], close: () => [front, ...[...clients.values()].map((c) => c.sock)].forEach((s) => s.close()) };
}

const kind = (d) => (d[0] < 4 ? 'stun' : d[0] >= 20 && d[0] < 64 ? 'dtls' : d[0] >= 128 && d[0] < 192 ? (d[1] >= 192 && d[1] < 224 ? 'rtcp' : 'rtp') : 'other');

test('hostile: datagrams are counted by their reason and move nothing', { skip, timeout: 60000 }, async () => {
    const udp = await freeUdp();
    const tap = await startTap(udp);
    const srv = await startServer({ udp, announce: `127.0.0.1:${tap.port}`, args: ['--prometheus-port', '0'] });
    const pair = await startPair(srv.http, 'media');
    const stranger = await open();
    let answered = 0;
    stranger.on('message', (d) => (answered += d.length));

    const look = async () => {
        const text = await (await fetch(`http://127.0.0.1:${srv.ready.metrics}/metrics`)).text();
        const m = Object.fromEntries([...text.matchAll(/^(\w+(?:\{[^}]*\})?) (\S+)$/gm)].map((x) => [x[1], Number(x[2])]));
        return { drops: Object.fromEntries(Object.entries(m).flatMap(([k, v]) => (/^sluice_dropped_total/.test(k) ? [[/"(\w+)"/.exec(k)[1], v]] : []))), peers: m.sluice_peers, subs: m.sluice_subscriptions, tracks: m.sluice_tracks };
    };
    const counts = async () => {
        const { mem_live, ...rest } = await (await fetch(`${srv.http}/debug/rooms`)).json();
        return rest;
    };
    const say = async (sock, list) => {
        for (const [i, d] of list.entries()) {
            sock.send(d, udp, '127.0.0.1', () => {});
            if (i % 40 === 39) await sleep(4);
        }
    };
    await sleep(1200);
    const before = await counts();
    const [sender] = tap.clients().sort((a, b) => b.n - a.n);
    const of = (k) => sender.up.filter((d) => kind(d) === k);
    const ask = of('stun').find((d) => d.readUInt16BE(0) === 1);
    const user = ask.toString('latin1', 24, 24 + ask.readUInt16BE(22)); /* USERNAME comes first */
    assert.match(user, /^[\w+/]+:[\w+/]+$/);
    const hello = of('dtls').find((d) => d[0] === 22 && d[13] === 1);
    const [rtp, rtcp] = [of('rtp').slice(-100), of('rtcp')];
    assert.ok(hello && rtp.length > 50 && rtcp.length > 0);
    const bent = (list) => list.map((d) => Buffer.from(d).fill(d.at(-1) ^ 1, d.length - 1));
    const later = (list) => list.map((d, i) => {
        const b = Buffer.from(d);
        b.writeUInt16BE((b.readUInt16BE(2) + 6000 + i) & 0xffff, 2);
        return b;
    });
    const repeat = (n, f) => Array.from({ length: n }, (_, i) => f(i));
    const me = sender.sock;
    /* what, from whom, datagrams, the reasons that must account for them, in how many of them at least */
    const cases = [
        ['random bytes', stranger, repeat(600, (i) => randomBytes(1 + (i * 37) % 1400)), ['unknown_peer', 'malformed']],
        ['one to twenty bytes of each kind', stranger, repeat(400, (i) => Buffer.concat([Buffer.from([(i * 53) & 255]), randomBytes(i % 20)])), ['unknown_peer', 'malformed']],
        ['a wrong ufrag', stranger, repeat(100, () => binding('nobody:noone')), ['unknown_peer']],
        ['a live ufrag and a wrong password', stranger, repeat(100, () => binding(user)), ['unauthenticated']],
        ['a live ufrag without integrity', stranger, repeat(100, () => binding(user, { integrity: false })), ['unauthenticated', 'malformed']],
        ['a wrong fingerprint', stranger, repeat(100, () => binding(user, { print: 1 })), ['malformed', 'unauthenticated', 'unknown_peer']],
        ['the same from the right address', me, repeat(100, (i) => binding(user, i & 1 ? { print: 1 } : {})), ['malformed', 'unauthenticated']],
        ['a recorded check from elsewhere', stranger, repeat(50, () => ask), ['replayed', 'unauthenticated']],
        ['a recorded hello from elsewhere', stranger, repeat(100, () => hello), ['unknown_peer']],
        ['a recorded and a bent hello from the right address', me, [...repeat(20, () => hello), ...bent(repeat(20, () => hello))], null],
        ['recorded media from elsewhere', stranger, [...rtp, ...rtcp], ['unknown_peer']],
        ['recorded media from the right address', me, rtp, ['replayed']],
        ['recorded reports from the right address', me, rtcp, ['replayed']],
        ['bent media from the right address', me, bent(later(rtp)), ['unauthenticated']],
        ['bent reports from the right address', me, bent(rtcp), ['unauthenticated', 'replayed']],
        ['media of a source that is none', me, repeat(100, (i) => Buffer.concat([Buffer.from([0x80, 96, i, i, 0, 0, 0, 0, 9, 9, 9, i]), randomBytes(100)])), ['unauthenticated', 'unknown_ssrc']],
        ['heads that promise more than there is', me, repeat(100, (i) => Buffer.concat([Buffer.from([i & 1 ? 0x9f : 0x8f, i & 2 ? 96 : 200, 255, 255]), randomBytes(i % 12)])), ['malformed', 'unauthenticated']],
        ['65,507 bytes', stranger, repeat(40, () => randomBytes(65507)), ['oversized']],
        ['65,507 bytes from the right address', me, repeat(40, (i) => Buffer.concat([rtp[0], Buffer.alloc(65507 - rtp[0].length, i)])), ['oversized']],
    ];
    pair.reset();
    for (const [what, from, list, reasons] of cases) {
        const was = await look();
        await say(from, list);
        if (!reasons) continue;
        await until(`${what}: counted as ${reasons.join(' or ')}`, async () => {
            const is = await look();
            const grown = Object.fromEntries(Object.entries(is.drops).map(([k, v]) => [k, v - was.drops[k]]).filter(([, v]) => v > 0));
            const sum = reasons.reduce((n, k) => n + (grown[k] ?? 0), 0);
            assert.ok(sum >= list.length * 0.95 && sum <= list.length + 3, `${sum} of ${list.length}: ${JSON.stringify(grown)}`);
            assert.deepEqual([is.peers, is.subs, is.tracks], [was.peers, was.subs, was.tracks]);
            return true;
        }, 3000);
    }
    assert.deepEqual(await counts(), before);
    assert.ok(pair.gap() < GAP_MS, `media stood still for ${pair.gap()} ms`);
    assert.ok(answered < 20000, `strangers got ${answered} bytes`); /* error answers to checks, and no media */
    const n = sender.n;
    await until('the sender goes on by its own path', () => sender.n > n + 50);
    assert.deepEqual(await pair.stop(), [0, 0]);
    assert.equal(await srv.stop(), 0, srv.log().slice(-6000));
    stranger.close();
    tap.close();
});
