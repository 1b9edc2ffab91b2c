/* Media over TCP (RFC 6544): where UDP does not come through, and where a client is told to. */
import { assert, gathering, hears, newRoom, NodePerson, pageA, pageB, pageF, Person, rtcnode, sees, sleep, test, until } from '../lib/kit.mjs';
import net from 'node:net';
import { randomBytes } from 'node:crypto';
import { startImpair } from '../lib/impair.mjs';
import { inside, mediaAddr } from '../lib/netns.mjs';
import { binding } from '../lib/raw.mjs';
import { freeTcp, freeUdp, ORIGINAL, startServer } from '../lib/server.mjs';

async function on(o, f) {
    const srv = await startServer(o);
    try {
        await f(srv);
    } finally {
        const code = await srv.stop();
        assert.equal(code, 0, `the server ended with ${code}: ${srv.log().slice(-3000)}`);
    }
}

const allTcp = (p) => until(`${p.identity} has TCP paths alone`, async () => {
    const paths = await p.call('paths');
    return paths.length > 0 && paths.every((x) => x === 'tcp');
});

for (const single of [true, false])
    test(`TCP alone is offered: picture and sound both ways, ${single ? 'one' : 'two'} peer connection(s)`, async () => {
        await on({ force_tcp: true }, async (srv) => {
            const a = new Person(await pageA(), 'ann', 31);
            const b = new Person(await pageB(), 'ben', 32);
            const room = newRoom('tcp');
            await gathering([a, b], async () => {
                await a.join(room, { single, ws: srv.ws });
                await b.join(room, { single, ws: srv.ws });
                for (const p of [a, b]) {
                    await p.video();
                    await p.audio();
                }
                await sees(b, a);
                await sees(a, b);
                await hears(b, a);
                await hears(a, b);
                for (const p of [a, b]) await allTcp(p);
                await b.call('sendData', 60000, 1, { reliable: true });
                await until('data over TCP', async () => (await a.call('data')).length === 1);
            });
        });
    });

test('TCP alone is offered: rtc-node and Chromium', async () => {
    await on({ force_tcp: true }, async (srv) => {
        const r = new NodePerson(await rtcnode(), 'rob', 33);
        const b = new Person(await pageB(), 'ben', 34);
        const room = newRoom('tcp');
        await gathering([r, b], async () => {
            await r.join(room, { ws: srv.ws });
            await b.join(room, { ws: srv.ws });
            await r.video();
            await r.audio();
            await b.video();
            await b.audio();
            await sees(b, r);
            await sees(r, b);
            await hears(b, r);
            await hears(r, b);
        });
    });
});

test('TCP alone is offered: Firefox and Chromium', { skip: !inside() && 'no network namespace' }, async () => {
    await on({ force_tcp: true }, async (srv) => {
        const f = new Person(await pageF(), 'fay', 51);
        const b = new Person(await pageB(), 'ben', 52);
        await gathering([f, b], async () => {
            await f.join(newRoom('tcp'), { ws: srv.ws });
            await b.join(f.room, { ws: srv.ws });
            await f.video();
            await b.video();
            await b.audio();
            await sees(b, f);
            await sees(f, b);
            await hears(f, b);
        });
    });
});

for (const single of [true, false])
    test(`a client that asks for TCP comes back over TCP, ${single ? 'one' : 'two'} peer connection(s)`, async () => {
        await on({}, async (srv) => {
            const a = new Person(await pageA(), 'ann', 35);
            const b = new Person(await pageB(), 'ben', 36);
            const room = newRoom('switch');
            await gathering([a, b], async () => {
                await a.join(room, { single, ws: srv.ws });
                await b.join(room, { single, ws: srv.ws });
                await a.video();
                await b.video();
                await sees(b, a);
                await sees(a, b);
                assert.ok((await a.call('paths')).every((x) => x === 'udp'), 'UDP comes first');
                await a.call('simulate', 'force-tcp');
                await until('ann is back', async () => (await a.log('reconnected')).length === 1, 15000);
                await allTcp(a);
                await sees(b, a);
                await sees(a, b);
                assert.ok((await b.call('paths')).every((x) => x === 'udp'), 'the others stay where they are');
            });
        });
    });

async function tcpStandsStill() {
    const tcp = await freeTcp('0.0.0.0');
    const bad = await startImpair({ addr: '127.0.0.6', to: { addr: mediaAddr(), port: tcp } });
    await on({ force_tcp: true, tcp, announce_tcp: `127.0.0.6:${bad.port}` }, async (srv) => {
        const a = new Person(await pageA(), 'ann', 37);
        const b = new Person(await pageB(), 'ben', 38);
        await gathering([a, b], async () => {
            await a.join(newRoom('tcp'), { ws: srv.ws });
            await b.join(a.room, { ws: srv.ws });
            await a.video({ w: 320, h: 180 });
            const { sid } = await sees(b, a);
            await bad.command('silence 8000');
            await sleep(9000);
            assert.equal((await sees(b, a, 5000)).sid, sid, 'the same track');
            await bad.command('cut');
            await sleep(500);
            assert.equal((await sees(b, a, 15000)).sid, sid, 'the same track over new connections');
        });
    });
    await bad.close();
}

async function udpDies() {
    const addr = '127.0.0.8';
    const port = await freeUdp();
    await on({ udp: await freeUdp(), tcp: await freeTcp('0.0.0.0'), announce: `${addr}:${port}` }, async (srv) => {
        const bad = await startImpair({ addr, port, to: { addr: mediaAddr(), port: srv.udp } });
        const a = new Person(await pageA(), 'udp-ann', 53);
        const b = new Person(await pageB(), 'udp-ben', 54);
        const late = new Person(await pageB(), 'udp-kim', 55);
        await gathering([a, b, late], async () => {
            await a.join(newRoom('tcp'), { ws: srv.ws });
            await b.join(a.room, { ws: srv.ws, single: false });
            await a.video({ w: 320, h: 180 });
            await sees(b, a);
            assert.ok((await b.call('paths')).every((x) => x === 'udp'), 'UDP comes first');
            const t = Date.now();
            await bad.command('silence 3600000');
            /* who comes while no UDP passes is in at once; he sees ann when she has gone over */
            await late.join(a.room, { ws: srv.ws });
            await allTcp(late);
            console.log(`      without UDP from the first: in after ${Date.now() - t} ms`);
            await sleep(Math.max(0, t + 3000 - Date.now()));
            await sees(b, a, 30000);
            await sees(late, a, 10000);
            console.log(`      UDP died: pictures over TCP after ${Date.now() - t} ms`);
            for (const p of [a, b]) await until(`${p.identity} has gone over to TCP`, async () => (await p.call('paths')).includes('tcp'));
        });
        await bad.close();
    });
}

test('a TCP path stands still and is cut; UDP dies and TCP goes on', { skip: ORIGINAL && 'announces one address' }, async () => {
    const all = await Promise.allSettled([tcpStandsStill(), udpDies()]);
    assert.deepEqual(all.filter((x) => x.status === 'rejected').map((x) => x.reason.stack), []);
});

/* n connections to the media port; hold(say) writes and keeps them open. */
async function callers(port, n, say) {
    const list = [];
    for (let i = 0; i < n; i++) {
        const s = net.connect({ port, host: '127.0.0.1' });
        s.on('error', () => {});
        const c = { s, over: false, bytes: 0 };
        s.on('data', (d) => (c.bytes += d.length));
        s.on('close', () => (c.over = true));
        s.on('connect', () => say(s, i));
        list.push(c);
        if (i % 50 === 49) await sleep(5);
    }
    return list;
}

const framed = (d) => Buffer.concat([Buffer.from([d.length >> 8, d.length & 255]), d]);

test('hostile: strangers at the TCP media port are closed, counted and bounded', { skip: ORIGINAL && 'reads sluice\'s own counters' }, async () => {
    await on({ force_tcp: true, args: ['--prometheus-port', '0'] }, async (srv) => {
        const a = new Person(await pageA(), 'ann', 39);
        const b = new Person(await pageB(), 'ben', 40);
        const look = async () => {
            const text = await (await fetch(`http://127.0.0.1:${srv.ready.metrics}/metrics`)).text();
            const m = Object.fromEntries([...text.matchAll(/^sluice_media_tcp_(\w+)(?:\{reason="(\w+)"\})? (\S+)$/gm)].map((x) => [x[2] ?? x[1], Number(x[3])]));
            return m;
        };
        await gathering([a, b], async () => {
            await a.join(newRoom('tcp'), { ws: srv.ws });
            await a.video({ w: 320, h: 180 });
            await until('one connection or two', async () => (await look()).connections >= 1);
            const before = await look();
            await b.join(a.room, { ws: srv.ws });
            await sees(b, a);
            await b.call('resetGap');
            const slow = await callers(srv.tcp, 900, (s) => s.write(Buffer.from([0])));
            await until('the slow are bounded', async () => (await look()).crowded_out >= 900 - 512 - before.crowded_out);
            const junk = await callers(srv.tcp, 200, (s, i) => s.write(i & 1 ? randomBytes(1000) : 'GET / HTTP/1.1\r\n\r\n'));
            const long = await callers(srv.tcp, 100, (s) => s.write(Buffer.from([255, 255, 1, 2, 3])));
            const wrong = await callers(srv.tcp, 100, (s) => s.write(framed(binding('Anobody0:me'))));
            const elsewhere = await callers(srv.tcp, 100, (s) => s.write(framed(binding('/nobody0:me'))));
            const brief = await callers(srv.tcp, 2000, (s) => s.destroy());
            for (const [what, list] of Object.entries({ junk, long, wrong, elsewhere, brief }))
                await until(`${what}: all are closed`, async () => list.every((c) => c.over));
            await until('the slow are closed in time', async () => slow.every((c) => c.over), 9000);
            const after = await until('all are counted', async () => {
                const m = await look();
                const grown = Object.fromEntries(Object.entries(m).map(([k, v]) => [k, v - before[k]]));
                return grown.timed_out + grown.crowded_out + grown.closed_early + grown.malformed + grown.unproven >= 3350 && grown;
            });
            assert.ok(after.malformed >= 350 && after.unproven >= 90 && after.timed_out > 0, JSON.stringify(after));
            assert.equal([...slow, ...junk, ...long, ...wrong, ...elsewhere].reduce((n, c) => n + c.bytes, 0), 0, 'nobody was answered');
            await sees(b, a);
            const gap = (await b.look()).find((x) => x.kind === 'video').gap;
            assert.ok(gap < 1000, `media stood still for ${gap} ms`);
        });
    });
});
