/*
 * What the server says, held against what an original said to the same client (fixtures/): the
 * order of first appearances after join, and that nothing a client needs is absent.  Also the
 * signalling itself: JSON frames, refusals before the upgrade, hostile frames.
 */
import { readFileSync } from 'node:fs';
import { SignalRequest, SignalResponse } from '@livekit/protocol';
import { WebSocket } from 'ws';
import { Recorder } from '../record/recorder.mjs';
import { assert, gathering, newRoom, NodePerson, pageA, pageB, Person, rtcnode, sees, server, sleep, test, token, until } from '../lib/kit.mjs';
import { startProxy } from '../lib/proxy.mjs';

const OFTEN = /^(ping|pong|pingReq|pongResp|connectionQuality|speakersChanged|roomUpdate|streamStateUpdate|subscribedQualityUpdate|trickle|update)$/;

function fixture(name) {
    return readFileSync(new URL(`../fixtures/${name}.jsonl`, import.meta.url), 'utf8').trim().split('\n').map((l) => JSON.parse(l));
}

/* What the server said to `who` first of each kind, up to its leaving, without what comes by timer. */
function firsts(lines, who) {
    const out = [];
    for (const l of lines) if (l.who === who && l.dir === 's>c' && !OFTEN.test(l.case) && !out.includes(l.case)) out.push(l.case);
    return out;
}

/* Paths of the fields in a message: what is present, not what it says. */
function fields(v, path = '', out = new Set()) {
    if (Array.isArray(v)) v.forEach((x) => fields(x, `${path}[]`, out));
    else if (v && typeof v === 'object') for (const [k, x] of Object.entries(v)) fields(x, `${path}.${/^(\d+|k|v)$/.test(k) ? '*' : k}`, out);
    else out.add(path);
    return out;
}

const OPTIONAL = /turnPassword|iceServers|nodeId|deviceModel|connectionQuality|region|sifTrailer/;

for (const [kind, single] of [['chromium', true], ['chromium', false], ['rtcnode', true], ['rtcnode', false]]) {
    const name = `${kind}-${single ? 'single' : 'dual'}`;
    test(`what is said to ${name} matches the recording`, async () => {
        const rec = { alice: new Recorder(), bob: new Recorder() };
        const proxies = {};
        for (const who of ['alice', 'bob'])
            proxies[who] = await startProxy({
                target: (await server()).http,
                no_v1: kind === 'rtcnode' && !single,
                seen: (x) => {
                    const n = rec[who].lines.length;
                    rec[who].see(x);
                    for (const l of rec[who].lines.slice(n)) l.who = who;
                },
            });
        const lib = kind === 'rtcnode' ? await rtcnode() : null;
        const people = [];
        for (const [i, who] of ['alice', 'bob'].entries())
            people.push(lib ? new NodePerson(lib, who, i + 1) : new Person(await (i ? pageB() : pageA()), who, i + 1));
        const [a, b] = people;
        const room = newRoom('signal');
        await gathering(people, async () => {
            await a.join(room, { single, ws: proxies.alice.ws });
            await b.join(room, { single, ws: proxies.bob.ws });
            await a.video(lib ? { w: 1280, h: 720, simulcast: true, fps: 10 } : { w: 1280, h: 720 });
            await sees(b, a);
            await sleep(500);
        });
        await until('the leaves are answered', () => [rec.alice, rec.bob].every((x) => x.lines.some((l) => l.dir === 's>c' && l.case === 'leave')));
        for (const p of Object.values(proxies)) p.close();
        const want = fixture(name);
        for (const who of ['alice', 'bob']) {
            const got = rec[who].lines;
            const order = firsts(got, who);
            assert.equal(order[0], 'join', 'join comes first');
            const expected = firsts(want, who).filter((c) => !/^(reconnect|requestResponse|trackUnpublished)$/.test(c));
            const missing = expected.filter((c) => !order.includes(c)
                /* bob publishes later in the recording */
                && !(who === 'bob' && /^(trackPublished|trackSubscribed)$/.test(c))
                && !(who === 'alice' && /^(subscriptionPermissionUpdate|mediaSectionsRequirement)$/.test(c)));
            assert.deepEqual(missing, [], `${who} is told everything the original tells`);
            assert.ok(order.indexOf('refreshToken') < 4 && order.indexOf('refreshToken') > 0, `refresh token early: ${order}`);
            const join = (l) => l.find((x) => x.case === 'join' && x.who === who).msg;
            const have = fields(join(got));
            const lacking = [...fields(join(want))].filter((f) => !have.has(f) && !OPTIONAL.test(f));
            assert.deepEqual(lacking, [], `${who}'s join has every field`);
        }
        const answers = rec.bob.lines.filter((l) => l.case === (single ? 'answer' : 'offer') && l.dir === 's>c');
        const map = answers.at(-1).msg[single ? 'answer' : 'offer'].midToTrackId;
        assert.ok(Object.values(map ?? {}).some((t) => t.startsWith('TR_VC')), 'mid_to_track_id names the track');
        const published = rec.alice.lines.find((l) => l.case === 'trackPublished').msg.trackPublished;
        const wanted = want.find((l) => l.who === 'alice' && l.case === 'trackPublished').msg.trackPublished;
        assert.deepEqual([...fields(wanted)].filter((f) => !fields(published).has(f)), [], 'trackPublished has every field');
    });
}

async function open(path) {
    const ws = new WebSocket((await server()).ws + path);
    const got = [];
    ws.on('message', (d, binary) => got.push(binary ? SignalResponse.fromBinary(new Uint8Array(d)).toJson() : JSON.parse(d.toString())));
    const r = await new Promise((ok) => {
        ws.on('open', () => ok({ status: 101 }));
        ws.on('unexpected-response', (_, res) => {
            let body = '';
            res.on('data', (d) => (body += d));
            res.on('end', () => ok({ status: res.statusCode, body }));
        });
        ws.on('error', () => {});
    });
    const closed = new Promise((ok) => ws.on('close', (c) => ok(c)));
    return { ws, got, closed, ...r };
}

test('refused before the upgrade, with the reason', async () => {
    const room = newRoom('refuse');
    const t = await token('ann', room);
    const { http } = await server();
    assert.equal((await fetch(`${http}/rtc`)).status, 404);
    const cases = [
        ['/rtc', 401, /no permissions to access the room/],
        ['/rtc?access_token=junk', 401, /invalid (authorization )?token/],
        [`/rtc?access_token=${await token('ann', room, { secret: 'wrong' })}`, 401, /invalid (authorization )?token/],
        [`/rtc?access_token=${await token('ann', room, { key: 'nobody' })}`, 401, /invalid API key/],
        [`/rtc?access_token=${await token('ann', room, { roomJoin: false })}`, 401, /permissions denied/],
        [`/rtc?access_token=${await token('ann', room, { ttl: -100 })}`, 401, /invalid (authorization )?token/],
        [`/rtc?access_token=${await token('ann', '')}`, 400, /no room name/],
        [`/rtc/v1?access_token=${t}`, 400, /join_request is required/],
        [`/rtc/v1?access_token=${t}&join_request=!!!`, 400, /cannot base64 decode wrapped join request/],
        [`/rtc/v1?access_token=${t}&join_request=_____w%3D%3D`, 400, /cannot unmarshal wrapped join request/],
    ];
    for (const [path, status, body] of cases) {
        const r = await open(path);
        assert.equal(r.status, status, `${path.slice(0, 40)}: ${r.body}`);
        assert.match(r.body, body);
    }
    const v = await fetch(`${http}/rtc/validate?access_token=${t}`);
    assert.equal(v.status, 200);
    assert.equal(await v.text(), 'success');
});

test('JSON frames are answered in JSON', async () => {
    const room = newRoom('json');
    const s = await open(`/rtc?access_token=${await token('ann', room)}&protocol=17&sdk=js&version=2.23.0`);
    assert.equal(s.status, 101);
    await until('join', () => s.got.some((m) => m.join));
    s.ws.send(JSON.stringify({ pingReq: { timestamp: '7', rtt: '1' } }));
    const pong = await until('pong', () => s.got.find((m) => m.pongResp));
    assert.equal(pong.pongResp.lastPingTimestamp, '7');
    s.ws.send(JSON.stringify({ leave: { reason: 'CLIENT_INITIATED' } }));
    assert.equal(await s.closed, 1000);
});

test('hostile frames hurt nobody else', async () => {
    const room = newRoom('hostile');
    const a = new Person(await pageA(), 'ann', 1);
    const b = new Person(await pageB(), 'ben', 2);
    await gathering([a, b], async () => {
        await a.join(room);
        await b.join(room);
        await a.video({ w: 320, h: 180 });
        await sees(b, a);
        const bad = [
            Buffer.from('junk'), Buffer.alloc(100, 0xff), Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]),
            Buffer.from(new SignalRequest({ message: { case: 'offer', value: { type: 'offer', sdp: 'v=0\r\nm=' } } }).toBinary()),
            Buffer.from(new SignalRequest({ message: { case: 'offer', value: { type: 'offer', sdp: 'x'.repeat(100000) } } }).toBinary()),
            Buffer.from(new SignalRequest({ message: { case: 'trickle', value: { candidateInit: '{"candidate":', target: 1 } } }).toBinary()),
            Buffer.from(new SignalRequest({ message: { case: 'mute', value: { sid: 'TR_none', muted: true } } }).toBinary()),
            Buffer.from(new SignalRequest({ message: { case: 'subscription', value: { trackSids: Array(1000).fill('TR_x'), subscribe: true } } }).toBinary()),
            Buffer.alloc(3 << 20),
        ];
        for (const [i, frame] of bad.entries()) {
            const s = await open(`/rtc?access_token=${await token(`evil${i}`, room)}&protocol=17&sdk=js&version=2.23.0`);
            assert.equal(s.status, 101);
            s.ws.send(frame);
            await sleep(60);
            s.ws.terminate();
        }
        await sees(b, a);
        assert.equal((await server()).dead(), null);
        assert.equal((await a.log('disconnected')).length, 0);
    });
});
