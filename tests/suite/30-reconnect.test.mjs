/* Bad days: the WebSocket is cut, the media path changes, goes silent or loses packets. */
import { assert, gathering, hears, newRoom, NodePerson, pageA, pageB, Person, rtcnode, sees, server, sleep, test, until } from '../lib/kit.mjs';
import { startImpair } from '../lib/impair.mjs';
import { mediaAddr } from '../lib/netns.mjs';
import { startProxy } from '../lib/proxy.mjs';
import { freeUdp, ORIGINAL, startServer } from '../lib/server.mjs';

const LOSS_SECONDS = Number(process.env.LOSS_SECONDS ?? 60);

/* A server whose media goes through tests/impair.  The original can announce another address only. */
async function behindImpair(addr) {
    const udp = await freeUdp();
    const port = ORIGINAL ? udp : await freeUdp();
    const srv = await startServer({ udp, announce: `${addr}:${port}` });
    const net = await startImpair({ addr, port, to: { addr: mediaAddr(), port: srv.udp } });
    return {
        srv,
        net,
        end: async () => {
            await net.close();
            const code = await srv.stop();
            assert.equal(code, 0, `the server ended with ${code}: ${srv.log().slice(-3000)}`);
        },
    };
}

/* The longest time without a new picture from now on. */
async function freezes(viewer, ms) {
    await viewer.call('resetGap');
    await sleep(ms);
    const e = (await viewer.look()).find((x) => x.kind === 'video');
    return Math.max(e.gap, e.since);
}

for (const single of [true, false])
    test(`the WebSocket is cut: media never stops, signalling resumes, ${single ? 'one' : 'two'} peer connection(s)`, async () => {
        const proxy = await startProxy({ target: (await server()).http });
        const a = new Person(await pageA(), 'ann', 1);
        const b = new Person(await pageB(), 'ben', 2);
        const room = newRoom('cut');
        try {
            await gathering([a, b], async () => {
                await a.join(room, { single, ws: proxy.ws });
                await b.join(room, { single, ws: proxy.ws });
                await a.video();
                await a.audio();
                const { sid } = await sees(b, a);
                const me = (await a.call('state')).me.sid;
                proxy.cut();
                const gap = freezes(b, 5000);
                for (const p of [a, b]) await until(`${p.identity} is back`, async () => (await p.log('reconnected')).length === 1, 10000);
                assert.ok((await gap) < 1000, `no freeze: ${await gap} ms`);
                assert.equal((await a.call('state')).me.sid, me, 'the same participant: a resume');
                assert.equal((await sees(b, a)).sid, sid, 'the same track');
                await hears(b, a);
                await b.call('sendData', 50, 1, { reliable: true });
                await until('data after the resume', async () => (await a.call('data')).length === 1);
                await b.video();
                await sees(a, b);
            });
        } finally {
            proxy.close();
        }
    });

test('rtc-node resumes too', async () => {
    const proxy = await startProxy({ target: (await server()).http });
    const r = new NodePerson(await rtcnode(), 'rob', 3);
    const b = new Person(await pageB(), 'ben', 2);
    const room = newRoom('cut');
    try {
        await gathering([r, b], async () => {
            await r.join(room, { ws: proxy.ws });
            await b.join(room);
            await r.video();
            await r.audio();
            const { sid } = await sees(b, r);
            proxy.cut();
            await until('rob is back', async () => (await r.log('reconnected')).length === 1, 10000);
            assert.equal((await sees(b, r)).sid, sid, 'the same track');
            await hears(b, r);
            await b.video();
            await sees(r, b);
        });
    } finally {
        proxy.close();
    }
});

test('the server has forgotten the participant: the client joins anew and publishes again', async () => {
    const proxy = await startProxy({ target: (await server()).http });
    const a = new Person(await pageA(), 'ann', 1);
    const b = new Person(await pageB(), 'ben', 2);
    const room = newRoom('again');
    try {
        await gathering([a, b], async () => {
            await a.join(room, { ws: proxy.ws });
            await b.join(room);
            await a.video();
            const before = await sees(b, a);
            proxy.hold(true);
            proxy.cut();
            /* removed behind its back, so that the resume is refused */
            const { RoomServiceClient } = await import('livekit-server-sdk');
            await new RoomServiceClient((await server()).http, 'devkey', 'secret').removeParticipant(room, 'ann');
            proxy.hold(false);
            await until('ann is back', async () => (await a.log('reconnected')).length === 1, 15000);
            await until('a new track', async () => (await sees(b, a)).sid !== before.sid);
        });
    } finally {
        proxy.close();
    }
});

test('the same identity joins twice: the first is told and leaves', async () => {
    const a = new Person(await pageA(), 'ann', 1);
    const b = new Person(await pageB(), 'ann', 2);
    const room = newRoom('twice');
    await gathering([a, b], async () => {
        await a.join(room);
        await b.join(room);
        await until('the first is out', async () => (await a.log('disconnected'))[0]?.args[0] === 'DUPLICATE_IDENTITY');
        assert.equal((await b.call('state')).state, 'connected');
    });
});

async function impaired(addr, names, f, video = {}) {
    const { srv, net, end } = await behindImpair(addr);
    const a = new Person(await pageA(), names[0], 21);
    const b = new Person(await pageB(), names[1], 22);
    try {
        await gathering([a, b], async () => {
            await a.join(newRoom('impair'), { ws: srv.ws });
            await b.join(a.room, { ws: srv.ws, single: false });
            await a.video({ w: 320, h: 180, ...video });
            await a.audio();
            await sees(b, a);
            await hears(b, a);
            assert.ok((await net.stats()).down.out > 50, 'media goes through the bad network');
            await f({ a, b, net, srv });
        });
    } finally {
        await end();
    }
}

test('the media path is silent for 8 s, changes, and is silent for 20 s', async () => {
    const one = impaired('127.0.0.2', ['s8a', 's8b'], async ({ a, b, net }) => {
        const { sid } = await sees(b, a);
        await net.command('silence 3600000');
        await sleep(8000);
        await net.command('silence 0');
        const t = Date.now();
        await sees(b, a, 5000);
        const ms = Date.now() - t;
        assert.ok(ms < 1500, `8 s of silence: pictures again after ${ms} ms`);
        assert.equal((await sees(b, a)).sid, sid, 'without publishing again');
    });
    const two = impaired('127.0.0.3', ['pca', 'pcb'], async ({ a, b, net }) => {
        const { sid } = await sees(b, a);
        await b.call('resetGap');
        await net.command('rebind');
        await sleep(1000);
        const t = Date.now();
        await sees(b, a, 8000);
        assert.equal((await sees(b, a)).sid, sid, 'without publishing again');
        const gap = (await b.look()).find((x) => x.kind === 'video').gap;
        assert.ok(ORIGINAL || gap < 1500, `the path changed: ${gap} ms without a picture, ${Date.now() - t} ms`);
        await hears(b, a);
    });
    const three = impaired('127.0.0.4', ['s20a', 's20b'], async ({ a, b, net }) => {
        await net.command('silence 3600000');
        await sleep(20000);
        await net.command('silence 0');
        /* the original takes longer than sluice is asked to */
        const ms = ORIGINAL ? 40000 : 10000;
        const t = Date.now();
        await until('both know each other again', async () => {
            const [x, y] = [await a.call('state'), await b.call('state')];
            return x.state === 'connected' && y.state === 'connected' && x.others.length === 1 && y.others.length === 1;
        }, ms);
        await Promise.all([sees(b, a, ms), hears(b, a, ms)]);
        console.log(`      20 s of silence: all is well after ${Date.now() - t} ms`);
        assert.ok(Date.now() - t < ms, `${Date.now() - t} ms`);
    });
    const all = await Promise.allSettled([one, two, three]);
    const bad = all.filter((x) => x.status === 'rejected').map((x) => x.reason.stack);
    assert.deepEqual(bad, []);
});

test('5 % loss each way with layers that only a descriptor tells apart', async () => {
    const one = (addr, codec) =>
        impaired(addr, [`${codec}a`, `${codec}b`], async ({ a, b, net }) => {
            await sleep(1500);
            await net.command('loss 5');
            const gap = await freezes(b, 15000);
            assert.ok(gap < 1000, `${codec}: the longest freeze: ${gap} ms`);
            await sees(b, a);
        }, { codec });
    await one('127.0.0.6', 'av1');
    await one('127.0.0.7', 'vp9');
});

test(`5 % loss each way: no freeze over 1 s in ${LOSS_SECONDS} s`, async () => {
    await impaired('127.0.0.5', ['lossa', 'lossb'], async ({ a, b, net }) => {
        await sleep(1500);
        await net.command('loss 5');
        const gap = await freezes(b, LOSS_SECONDS * 1000);
        const { up, down } = await net.stats();
        for (const d of [up, down]) assert.ok(d.lost > LOSS_SECONDS, `${up.lost} and ${down.lost} packets were lost`);
        assert.ok(gap < 1000, `the longest freeze: ${gap} ms`);
        await sees(b, a);
        await hears(b, a);
    });
});
