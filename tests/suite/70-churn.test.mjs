/* People come and go: what they held is given back. */
import { readdirSync, readFileSync } from 'node:fs';
import { WebSocket } from 'ws';
import { assert, newRoom, NodePerson, pageA, Person, gathering, rtcnode, sees, server, sleep, test, token, until } from '../lib/kit.mjs';
import { ORIGINAL, PLAIN, startServer } from '../lib/server.mjs';

const fds = (pid) => readdirSync(`/proc/${pid}/fd`).length;
const rss = (pid) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);

/* Joins with signalling alone and leaves. */
async function visit(ws_url, room, who) {
    const ws = new WebSocket(`${ws_url}/rtc?access_token=${await token(who, room)}&protocol=17&sdk=js&version=2.23.0&auto_subscribe=1`);
    ws.on('error', () => {});
    await new Promise((ok, no) => {
        ws.once('message', ok);
        ws.once('unexpected-response', (_, r) => no(new Error(`refused: ${r.statusCode}`)));
        ws.once('close', () => no(new Error('closed before join')));
    });
    const closed = new Promise((ok) => ws.once('close', ok));
    if (who.endsWith('3')) ws.terminate();
    else ws.send(JSON.stringify({ leave: { reason: 'CLIENT_INITIATED' } }));
    await closed;
}

async function round(srv, lib, tag) {
    const room = newRoom('churn');
    for (let i = 0; i < 180; i += 10)
        await Promise.all(Array.from({ length: 10 }, (_, k) => visit(srv.ws, `${room}-${k % 3}`, `${tag}${i + k}`)));
    for (let i = 0; i < 20; i += 4)
        await Promise.all(Array.from({ length: 4 }, async (_, k) => {
            const r = new NodePerson(lib, `${tag}n${i + k}`, 1 + k);
            await r.join(`${room}-n`, { ws: srv.ws });
            await r.video({ w: 160, h: 90 });
            await sleep(150);
            if (await Promise.race([r.leave().then(() => true), sleep(8000).then(() => false)])) return;
            await remove(srv, `${room}-n`, r.identity);
            stuck.push(r.identity);
        }));
}

/* Who stood still in disconnect(), before saying goodbye: seen about once in 150 leaves within milliseconds of joining
 * (2 of 284; 0 of 644 with livekit-server 1.13.3), the cause is not found.  One of them fails the test, by name and at once. */
const stuck = [];

async function remove(srv, room, identity) {
    const auth = await token('admin', room, { roomAdmin: true });
    const r = await fetch(`${srv.http}/twirp/livekit.RoomService/RemoveParticipant`, {
        method: 'POST', headers: { 'content-type': 'application/json', authorization: `Bearer ${auth}` }, body: JSON.stringify({ room, identity }),
    });
    assert.equal(r.status, 200, `${identity} is still in the room: ${await r.text()}`);
}

test('200 joins and leaves: descriptors and objects as before, memory flat', { skip: ORIGINAL ? 'speaks of sluice\'s own memory' : false, timeout: 240000 }, async () => {
    /* A sanitizer keeps freed memory back: the sum is made with a plain build where there is one. */
    const srv = PLAIN ? await startServer({ binary: PLAIN }) : await server();
    try {
        await churnTwice(srv);
    } finally {
        if (PLAIN) assert.equal(await srv.stop(), 0, 'the server ends cleanly');
    }
});

async function churnTwice(srv) {
    const lib = await rtcnode();
    const count = async () => (await fetch(`${srv.http}/debug/rooms`)).json();
    const quiet = () => until('everybody is gone', async () => {
        const o = await count();
        return o.participants === 0 && o.peers === 0 && o.closing === 0;
    }, 25000);
    await round(srv, lib, 'w'); /* warm: slabs and pools take their size */
    await quiet();
    const before = { fds: fds(srv.pid), rss: rss(srv.pid), objects: await count() };
    await round(srv, lib, 'a');
    await quiet();
    assert.deepEqual(stuck, [], 'rtc-node stood still in disconnect()');
    await until('descriptors are given back', () => fds(srv.pid) <= before.fds, 25000);
    const after = { fds: fds(srv.pid), rss: rss(srv.pid), objects: await count() };
    console.log(`      descriptors ${before.fds} -> ${after.fds}, resident ${before.rss} -> ${after.rss} kB, objects ${JSON.stringify(after.objects)}`);
    if (PLAIN) assert.ok(after.rss - before.rss <= 1024, `resident memory grew by ${after.rss - before.rss} kB`);
    for (const [k, v] of Object.entries(before.objects)) if (!/room|mem_live/.test(k)) assert.ok(after.objects[k] <= v, `${k}: ${v} -> ${after.objects[k]}`);
}

test('a room is as good after 400 joins', async () => {
    const lib = await rtcnode();
    const a = new Person(await pageA(), 'ann', 1);
    const r = new NodePerson(lib, 'rob', 2);
    await gathering([a, r], async () => {
        const room = newRoom('after');
        await a.join(room);
        await r.join(room);
        await r.video();
        await sees(a, r);
    });
});

test('churn beside a conversation: it notices nothing', async () => {
    const srv = await server();
    const lib = await rtcnode();
    const a = new Person(await pageA(), 'ann', 1);
    const r = new NodePerson(lib, 'rob', 2);
    const room = newRoom('beside');
    await gathering([a, r], async () => {
        await a.join(room);
        await r.join(room);
        await r.video();
        await sees(a, r);
        await a.call('resetGap');
        for (let i = 0; i < 40; i += 10) await Promise.all(Array.from({ length: 10 }, (_, k) => visit(srv.ws, room, `v${i + k}`)));
        await sees(a, r);
        const gap = (await a.look()).find((e) => e.kind === 'video').gap;
        assert.ok(gap < 1000, `the longest freeze: ${gap} ms`);
        assert.equal((await a.log('disconnected')).length, 0);
    });
});
