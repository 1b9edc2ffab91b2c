/* FTL: what a streamer sends reaches a browser, and what nobody allowed reaches nobody. */
import { spawn } from 'node:child_process';
import { execFileSync } from 'node:child_process';
import dgram from 'node:dgram';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { videoClip, audioClip } from '../lib/clips.mjs';
import { FtlClient } from '../lib/ftl.mjs';
import { startImpair } from '../lib/impair.mjs';
import { assert, chromium, gathering, hears, newRoom, others, pageA, Person, sees, sleep, test, until } from '../lib/kit.mjs';
import { ingressCall, startSite } from '../lib/ingest.mjs';
import { ORIGINAL, freeUdp, startServer } from '../lib/server.mjs';

const skip = ORIGINAL && 'the original has no FTL';
const FPS = 30;
const CLIP = { w: 640, h: 360, fps: FPS, seconds: 4, gop: 60, kbps: 2500 };

let made;
const site = () => (made ??= startSite());
const ingest = async () => (await site()).ingest;
const ws = async () => ({ ws: (await site()).ws });

const clips = new Map();
const clip = async (id) => {
    if (!clips.has(id)) clips.set(id, Promise.all([videoClip('h264', id, CLIP), audioClip(id)]));
    const [video, audio] = await clips.get(id);
    return { video, audio, fps: FPS };
};

/* All that a connection says until it ends. */
function raw(port, text) {
    return new Promise((ok) => {
        let said = '';
        const s = net.connect(port, '127.0.0.1', () => s.write(text));
        s.on('data', (d) => (said += d));
        s.on('error', () => {});
        s.on('close', () => ok(said));
    });
}

/* A streamer on a channel of its own; what a viewer looks for is its identity and number. */
async function streamer(room, identity, id, o = {}) {
    const i = await ingest();
    const c = o.channel ?? (await (await site()).channel(room, identity));
    const f = new FtlClient({ port: i.ftl, key: c.key, ...(await clip(id)), flood_ms: 0, ...o });
    return Object.assign(f, { identity, id, c, leave: () => f.stop() });
}

test('ftl -> chromium: picture, sound, and nothing of the junk at the start', { skip, timeout: 60000 }, async () => {
    const i = await ingest();
    const room = newRoom('ftl');
    const a = new Person(await pageA(), 'ann', 1);
    const f = await streamer(room, 'streamer', 33, { flood_ms: 1000 });
    const before = await i.metric('sluice_ingest_dropped_total', 'flood');
    await gathering([a, f], async () => {
        await a.join(room, await ws());
        await f.start();
        assert.equal(f.assigned, i.ftl, 'the media port is the real one');
        const v = await sees(a, f);
        assert.equal(`${v.w}x${v.h}`, '640x360');
        await hears(a, f);
        const p = (await others(a)).find((x) => x.identity === 'streamer');
        assert.equal(p.kind, 1, 'a participant of kind INGRESS');
        await until('resource id', async () => ((await others(a))[0].attributes['ingress.resourceID'] ?? '').startsWith('RT_'));
        assert.ok((await i.metric('sluice_ingest_dropped_total', 'flood')) - before > 1000, 'the flood was seen and dropped');
        assert.equal(f.stats.nacks, 0, 'nothing was asked for in vain');
        assert.ok(f.stats.echoed > f.stats.pings * 0.95, `pings come back: ${JSON.stringify(f.stats)}`);
        await f.stop();
        await until('it left', async () => (await others(a)).length === 0, 3000);
    });
});

test('ftl: a viewer who comes in the middle sees at once', { skip, timeout: 60000 }, async () => {
    const room = newRoom('ftl-late');
    const a = new Person(await pageA(), 'ann', 1);
    const f = await streamer(room, 'streamer', 34);
    await gathering([a, f], async () => {
        await f.start();
        await sleep(2700);
        await a.join(room, await ws());
        await Promise.all([sees(a, f, 4000), hears(a, f)]);
    });
});

test('ftl: a wrong key and an unknown channel are answered 405 at once', { skip }, async () => {
    const i = await ingest();
    const c = await (await site()).channel(newRoom('ftl-key'), 'nobody');
    for (const key of [`${c.key}x`, '4000000000-secret', '-5,secret']) {
        const f = new FtlClient({ port: i.ftl, key, ...(await clip(33)) });
        await assert.rejects(f.start(), { code: 405 });
        assert.ok(f.asked_ms < 1000, `${f.asked_ms} ms`);
    }
});

for (const loss of [2, 5])
    test(`ftl: ${loss} % of loss on the way in are repaired`, { skip, timeout: 60000 }, async () => {
        const i = await ingest();
        const room = newRoom('ftl-loss');
        const impair = await startImpair({ addr: '127.0.0.1', to: { addr: '127.0.0.1', port: i.ftl }, seed: 7 });
        const a = new Person(await pageA(), 'ann', 1);
        const f = await streamer(room, 'streamer', 35, { media_port: impair.port });
        const lost = await i.metric('sluice_ingest_lost_total');
        await gathering([a, f], async () => {
            await f.start();
            await a.join(room, await ws());
            await sees(a, f);
            await a.call('resetGap');
            await impair.command(`loss ${loss}`);
            const { frames } = (await a.look()).find((x) => x.kind === 'video');
            await sleep(12000);
            const v = (await a.look()).find((x) => x.kind === 'video');
            await impair.command('loss 0');
            const n = (v.frames - frames) / (12 * FPS);
            const given_up = (await i.metric('sluice_ingest_lost_total')) - lost;
            console.log(`      ${loss} %: ${(100 * n).toFixed(0)} % of the frames shown, longest gap ${v.gap.toFixed(0)} ms, ${given_up} packets never came, ${f.stats.nacks} asked`);
            assert.ok(f.stats.resent > 10, 'there was something to repair');
            assert.ok(given_up <= 2, `${given_up} packets given up`);
            assert.ok(n > 0.85, `${(100 * n).toFixed(0)} % of the frames were shown`);
            assert.ok(v.gap < 400, `a gap of ${v.gap} ms`);
        });
        await impair.close();
    });

test('ftl: after DISCONNECT the same packets reach nobody', { skip, timeout: 60000 }, async () => {
    const i = await ingest();
    const room = newRoom('ftl-after');
    const a = new Person(await pageA(), 'ann', 1);
    const f = await streamer(room, 'streamer', 36);
    await gathering([a, f], async () => {
        await a.join(room, await ws());
        await f.start();
        await sees(a, f);
        const strays = await i.metric('sluice_ftl_stray_datagrams_total');
        f.say('DISCONNECT');
        await until('it left', async () => (await others(a)).length === 0, 3000);
        await sleep(1000); /* it goes on sending */
        assert.ok((await i.metric('sluice_ftl_stray_datagrams_total')) - strays > 100);
        assert.equal((await others(a)).length, 0);
        assert.equal(await i.metric('sluice_ingest_streams'), 0);
    });
});

test('ftl: RTP of a stranger reaches nobody', { skip, timeout: 60000 }, async () => {
    const i = await ingest();
    const room = newRoom('ftl-stranger');
    const a = new Person(await pageA(), 'ann', 1);
    const f = await streamer(room, 'streamer', 37);
    const { video } = await clip(33);
    await gathering([a, f], async () => {
        await a.join(room, await ws());
        await f.start();
        await sees(a, f);
        /* Its payload type and even its number, from another port of the same host. */
        const strays = () => i.metric('sluice_ingest_dropped_total', 'foreign');
        const before = await strays();
        const ff = spawn('ffmpeg', ['-v', 'error', '-re', '-stream_loop', '-1', '-f', 'h264', '-i', video, '-t', '3', '-c', 'copy', '-f', 'rtp', '-payload_type', '96',
            '-ssrc', String(f.channel + 1), `rtp://127.0.0.1:${i.ftl}?pkt_size=1200`], { stdio: ['ignore', 'ignore', 'inherit'] });
        await new Promise((ok) => ff.on('exit', ok));
        assert.ok((await strays()) - before > 50, 'it was sent');
        const v = await sees(a, f);
        assert.equal(v.seen.id, 37);
    });
    const strays = await i.metric('sluice_ftl_stray_datagrams_total');
    const s = dgram.createSocket('udp4');
    for (let n = 0; n < 50; n++) s.send(Buffer.concat([Buffer.from([0x80, 0xe0, 0, n, 0, 0, 0, 0, 0, 0, 0, 1]), Buffer.alloc(100)]), i.ftl, '127.0.0.1');
    await until('they are counted', async () => (await i.metric('sluice_ftl_stray_datagrams_total')) - strays >= 50);
    assert.equal(await i.metric('sluice_ingest_streams'), 0, 'no stream came of it');
    s.close();
});

test('ftl: a second publisher on the key takes over, and viewers stay', { skip, timeout: 60000 }, async () => {
    const room = newRoom('ftl-twice');
    const a = new Person(await pageA(), 'ann', 1);
    const f = await streamer(room, 'streamer', 38);
    const g = await streamer(room, 'streamer', 39, { channel: f.c });
    await gathering([a, f, g], async () => {
        await a.join(room, await ws());
        await f.start();
        const before = await sees(a, f);
        await g.start();
        await until('the first is told', () => f.codes.includes(410), 2000);
        const after = await until('the picture of the second', async () => (await a.look()).find((x) => x.kind === 'video' && x.seen?.id === g.id), 8000);
        assert.equal(after.sid, before.sid, 'the same track');
        await hears(a, g);
        assert.deepEqual(await a.log('participantDisconnected'), []);
    });
});

test('ftl: a publisher that is lost and comes back continues', { skip, timeout: 60000 }, async () => {
    const room = newRoom('ftl-back');
    const a = new Person(await pageA(), 'ann', 1);
    const f = await streamer(room, 'streamer', 40);
    await gathering([a, f], async () => {
        await a.join(room, await ws());
        await f.start();
        const before = await sees(a, f);
        f.shut(); /* no word */
        await sleep(2500);
        const g = await streamer(room, 'streamer', 40, { channel: f.c });
        try {
            await g.start();
            await until('the picture moves again', async () => {
                const v = (await a.look()).find((x) => x.kind === 'video');
                return v.since < 300 && v.sid === before.sid;
            }, 6000);
            await sees(a, g);
            await hears(a, g);
            assert.deepEqual(await a.log('participantDisconnected'), []);
        } finally {
            await g.stop();
        }
    });
});

test('ftl: the state of an ingress is told while it runs', { skip, timeout: 60000 }, async () => {
    const f = await streamer(newRoom('ftl-state'), 'streamer', 44);
    const status = async () => (await f.c.state()).status ?? 'ENDPOINT_INACTIVE';
    try {
        assert.equal(await status(), 'ENDPOINT_INACTIVE');
        await f.start();
        await until('publishing', async () => (await status()) === 'ENDPOINT_PUBLISHING');
        const s = await f.c.state();
        assert.equal(s.video.mime_type ?? s.video.mimeType, 'video/H264');
        assert.equal(s.video.width, 640);
        assert.equal(s.tracks.length, 2);
        await f.stop();
        await until('inactive', async () => (await status()) === 'ENDPOINT_INACTIVE');
    } finally {
        await f.stop();
    }
});

test('ftl: what is no handshake is answered in its words, and silence ends', { skip, timeout: 60000 }, async () => {
    const i = await ingest();
    const rows = [
        ['GET / HTTP/1.1\r\nHost: x\r\n\r\n', '400\n'],
        ['.\r\n\r\n', '400\n'],
        ['CONNECT 77 $00\r\n\r\n', '400\n'],
        [`HMAC${' '.repeat(600)}\r\n\r\n`, '400\n'],
        [Buffer.from([0, 1, 2, 3, 255, 10]), '400\n'],
    ];
    for (const [text, want] of rows) assert.equal(await raw(i.ftl, text), want, JSON.stringify(text).slice(0, 40));
    const t0 = Date.now();
    assert.equal(await raw(i.ftl, ''), '410\n');
    assert.ok(Date.now() - t0 > 4000 && Date.now() - t0 < 8000, `${Date.now() - t0} ms`);
});

test('ftl: a second publisher is refused where the operator wants it so', { skip, timeout: 60000 }, async () => {
    const own = await startSite({ ingest: ['--on-duplicate', 'refuse'] });
    const c = await own.channel('one', 'streamer');
    const o = { port: own.ingest.ftl, key: c.key, ...(await clip(33)), flood_ms: 0 };
    const f = new FtlClient(o);
    try {
        await f.start();
        await until('on air', async () => (await own.ingest.metric('sluice_ingest_publishing')) === 1);
        await assert.rejects(new FtlClient(o).start(), { code: 406 });
        assert.deepEqual(f.codes, []);
    } finally {
        await f.stop();
        assert.deepEqual(await own.stop(), [0, 0]);
    }
});

test('ftl: the server is killed and comes back: streamer and viewer return by themselves', { skip, timeout: 90000 }, async () => {
    const own = await startSite();
    const c = await own.channel('again', 'streamer');
    const a = new Person(await pageA(), 'ann', 1);
    const f = Object.assign(new FtlClient({ port: own.ingest.ftl, key: c.key, ...(await clip(45)), flood_ms: 0 }), { identity: 'streamer', id: 45, leave: () => f.stop() });
    try {
        await gathering([a, f], async () => {
            await f.start();
            await a.join('again', { ws: own.ws });
            await sees(a, f);
            await own.restart('SIGKILL');
            const t0 = Date.now();
            await until('the picture moves again', async () => {
                const v = (await a.look()).find((x) => x.kind === 'video');
                return v && v.since >= 0 && v.since < 300;
            }, 40000);
            console.log(`      the picture was back ${Date.now() - t0} ms after the server`);
            await Promise.all([sees(a, f), hears(a, f)]);
            /* An orderly stop dismisses viewers; the stream is there for those who come. */
            await own.restart('SIGINT');
            await a.leave();
            await a.join('again', { ws: own.ws });
            await Promise.all([sees(a, f, 20000), hears(a, f, 20000)]);
            assert.deepEqual(f.codes, [], 'the streamer heard nothing of it');
            assert.ok(!f.closed, 'its connection stood');
        });
    } finally {
        assert.deepEqual(await own.stop(), [0, 0]);
    }
});

test('ftl: a key that is revoked while it streams ends the stream', { skip, timeout: 60000 }, async () => {
    const f = await streamer(newRoom('ftl-revoked'), 'streamer', 46);
    const { http, ingest: i } = await site();
    try {
        await f.start();
        await until('publishing', async () => (await i.metric('sluice_ingest_publishing')) === 1);
        await ingressCall(http, 'livekit.Ingress', 'DeleteIngress', { ingress_id: f.c.id });
        await until('the streamer is told', () => f.codes.includes(410), 3000);
        const g = new FtlClient({ port: i.ftl, key: f.c.key, ...(await clip(33)) });
        await assert.rejects(g.start(), { code: 405 });
    } finally {
        await f.stop();
    }
});

test('sluice up takes a stream on the default key, and goes on after its ingress was killed', { skip, timeout: 90000 }, async () => {
    const dir = mkdtempSync(join(tmpdir(), 'e2e-up-'));
    const port = await freeUdp();
    const up = await startServer({ command: 'up', args: ['--data-dir', dir, '--ws-port', '0', '--rtmp-port', '0', '--ftl-port', String(port), '--log-level', 'info'] });
    const child = () => execFileSync('pgrep', ['-P', String(up.pid), '-f', 'ingress'], { encoding: 'utf8' }).trim();
    const a = new Person(await pageA(), 'ann', 1);
    const media = await clip(47);
    let f;
    /* OBS tries again until somebody listens. */
    const stream = () => until('the stream is taken', async () => {
        f = Object.assign(new FtlClient({ port, key: `77-${readFileSync(join(dir, 'hash'), 'utf8').trim()}`, ...media, flood_ms: 0 }), { identity: 'live', id: 47 });
        await f.start();
        return true;
    }, 15000, 300);
    try {
        await gathering([a, { leave: () => f?.stop() }], async () => {
            await stream();
            await a.join('live', { ws: up.ws });
            await Promise.all([sees(a, f), hears(a, f)]);
            const before = child();
            process.kill(Number(before), 'SIGKILL');
            await until('the streamer notices', () => f.closed);
            f.shut();
            await stream();
            assert.notEqual(child(), before);
            await until('the picture moves again', async () => {
                const v = (await a.look()).find((x) => x.kind === 'video' && x.identity === 'live');
                return v && v.since >= 0 && v.since < 300;
            }, 15000);
            await Promise.all([sees(a, f), hears(a, f)]);
        });
    } finally {
        const code = await up.stop();
        rmSync(dir, { recursive: true, force: true });
        assert.equal(code, 0, up.log().slice(-3000));
    }
});

test('sluice lightspeed takes the flags and variables of the original', { skip, timeout: 60000 }, async () => {
    const dir = mkdtempSync(join(tmpdir(), 'e2e-ls-'));
    const port = await freeUdp();
    const ls = await startServer({ command: 'lightspeed', env: { INGEST_PORT: String(port), LS_INGEST_ADDR: '127.0.0.1', ICE_SERVERS: 'none' },
        args: ['--data-dir', dir, '-k', 'aKeyOfMine', '--ip', 'none', '--ws-port=0', '--rtp-port', '65535', '--rtmp-port', '0', 'run'] });
    const a = new Person(await pageA(), 'ann', 1);
    let f;
    try {
        await gathering([a, { leave: () => f?.stop() }], async () => {
            await until('the stream is taken', async () => {
                f = Object.assign(new FtlClient({ port, key: '77-aKeyOfMine', ...(await clip(48)), flood_ms: 0 }), { identity: 'live', id: 48 });
                await f.start();
                return true;
            }, 15000, 300);
            await a.join('live', { ws: ls.ws });
            await sees(a, f);
        });
        assert.match(ls.log(), /RTP +UDP 65535 of this machine/);
    } finally {
        const code = await ls.stop();
        rmSync(dir, { recursive: true, force: true });
        assert.equal(code, 0, ls.log().slice(-3000));
    }
});

test('ftl: three streamers at once, each in a room of its own', { skip, timeout: 90000 }, async () => {
    const ids = [41, 42, 43];
    const s = await ws();
    const pages = await Promise.all(ids.map(async () => (await chromium()).newPage()));
    const people = pages.map((p, n) => new Person(p, `viewer${n}`, 1));
    const streams = await Promise.all(ids.map((id, n) => streamer(newRoom(`ftl-three${n}`), `streamer${n}`, id)));
    await gathering([...people, ...streams], async () => {
        await Promise.all(streams.map((f) => f.start()));
        await Promise.all(people.map((p, n) => p.join(streams[n].c.room, s)));
        await Promise.all(people.map((p, n) => Promise.all([sees(p, streams[n], 20000), hears(p, streams[n], 20000)])));
    });
    await Promise.all(pages.map((p) => p.close?.()));
});

test('ftl: the ingress ends cleanly', { skip }, async () => {
    if (made) assert.deepEqual(await (await made).stop(), [0, 0]);
});
