/* RTMP: what a streamer sends reaches a browser, the sound through a child that may die. */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { audioClip, videoClip } from '../lib/clips.mjs';
import { ErtmpPublisher } from '../lib/ertmp.mjs';
import { tone } from '../lib/marker.mjs';
import { assert, gathering, hears, newRoom, others, pageA, Person, sees, sleep, test, until } from '../lib/kit.mjs';
import { startSite } from '../lib/ingest.mjs';
import { RtmpPublisher } from '../lib/rtmp.mjs';
import { ORIGINAL } from '../lib/server.mjs';

const skip = ORIGINAL && 'the original has no RTMP of its own';
const timeout = 60000;

let made;
/* A self-signed certificate for RTMPS, which ffmpeg does not check. */
const site = () =>
    (made ??= (async () => {
        const dir = mkdtempSync(join(tmpdir(), 'e2e-rtmps-'));
        const [key, cert] = [join(dir, 'key.pem'), join(dir, 'cert.pem')];
        spawnSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=localhost', '-keyout', key, '-out', cert]);
        return startSite({ ingest: ['--rtmp-port', '0', '--rtmps-port', '0', '--tls-cert', cert, '--tls-key', key] });
    })());
const ingest = async () => (await site()).ingest;

/* Its name in the room differs from one to the next; the stream key is the FTL key without its channel. */
async function streamer(id, o = {}) {
    const i = await ingest();
    const c = o.channel ?? (await (await site()).channel(newRoom('rtmp'), `rtmp${id}`));
    const key = c.key.slice(c.key.indexOf('-') + 1);
    return new RtmpPublisher({ url: `rtmp://127.0.0.1:${i.rtmp}/live/${key}?token=x`, identity: `rtmp${id}`, id, c, key, ...o });
}

const watch = async (viewer, f) => viewer.join(f.c.room, { ws: (await site()).ws });

const sound = async (viewer) => (await viewer.look()).find((x) => x.kind === 'audio') ?? {};
const picture = async (viewer) => (await viewer.look()).find((x) => x.kind === 'video') ?? {};
const children = (pid) =>
    readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter((p) => p && readFileSync(`/proc/${p}/comm`, 'utf8').startsWith('sluice-media')).map(Number);

test('rtmp: ffmpeg -> chromium, AAC as Opus', { skip, timeout }, async () => {
    const a = new Person(await pageA(), 'ann', 1);
    const f = await streamer(51);
    await gathering([a, f], async () => {
        await watch(a, f);
        await f.start();
        const v = await sees(a, f);
        assert.equal(`${v.w}x${v.h}`, '320x180');
        await until('the tone itself', async () => Math.abs(((await sound(a)).hz ?? 0) - tone(51)) < 15);
        assert.equal((await others(a))[0].kind, 1, 'a participant of kind INGRESS');
        await f.leave();
        await until('it left', async () => (await others(a)).length === 0, 5000);
        assert.match((await ingest()).log(), /rtmp_end .*reason="the publisher ended the stream".* dropped=0 jumps=0 b_frames=0 children=1 /);
    });
});

test('rtmp: GStreamer\'s rtmp2sink -> chromium', { skip, timeout }, async () => {
    const a = new Person(await pageA(), 'ann', 1);
    const f = await streamer(61, { gst: true });
    await gathering([a, f], async () => {
        await watch(a, f);
        await f.start();
        try {
            await Promise.all([sees(a, f), hears(a, f)]);
        } catch (e) {
            throw new Error(`${e.message}\n${f.text}`);
        }
    });
});

test('rtmp: a wrong key is refused in words', { skip, timeout }, async () => {
    const i = await ingest();
    const f = await streamer(51, { url: `rtmp://127.0.0.1:${i.rtmp}/live/no-such-key` });
    await f.start();
    assert.notEqual(await f.ended, 0);
    assert.match(f.text, /Server error: The stream key is not known\./);
    assert.ok(!i.log().includes('no-such-key'), 'keys are in no log');
});

test('rtmp: a second publisher on the key takes over, the viewer stays', { skip, timeout }, async () => {
    const a = new Person(await pageA(), 'ann', 1);
    const f = await streamer(52);
    const g = await streamer(53, { channel: f.c });
    await gathering([a, f, g], async () => {
        await watch(a, f);
        await f.start();
        await sees(a, f);
        await g.start();
        await f.ended;
        await until('the second picture', async () => (await picture(a)).seen?.id === 53);
        await until('the second tone', async () => Math.abs(((await sound(a)).hz ?? 0) - tone(53)) < 15);
        assert.equal((await others(a)).length, 1);
    });
});

test('rtmp: the child is killed: sound comes back, the picture notices nothing', { skip, timeout }, async () => {
    const i = await ingest();
    const a = new Person(await pageA(), 'ann', 1);
    const f = await streamer(54);
    await gathering([a, f], async () => {
        await watch(a, f);
        await f.start();
        await Promise.all([sees(a, f), hears(a, f)]);
        const before = await i.metric('sluice_media_children_started_total');
        const [pid] = children(i.pid);
        assert.ok(pid > 0);
        await a.call('resetGap');
        process.kill(pid, 'SIGKILL');
        await until('another child', async () => (await i.metric('sluice_media_children_started_total')) === before + 1);
        await sleep(1500); /* what was buffered has been played */
        await until('the tone again', async () => Math.abs(((await sound(a)).hz ?? 0) - tone(54)) < 15);
        const { gap } = await picture(a);
        console.log(`      longest gap of the picture ${gap.toFixed(0)} ms`);
        assert.ok(gap < 500, `a gap of ${gap} ms`);
        assert.notEqual(children(i.pid)[0], pid);
        assert.match(i.log(), new RegExp(`media_child pid=${pid} ended=-1 signal=9`));
    });
});

test('rtmp: a publisher killed and back within the grace time is the same participant', { skip, timeout }, async () => {
    const a = new Person(await pageA(), 'ann', 1);
    const f = await streamer(55);
    const g = await streamer(56, { channel: f.c });
    await gathering([a, f, g], async () => {
        await watch(a, f);
        await f.start();
        await sees(a, f);
        const [{ sid }] = await others(a);
        f.kill('SIGKILL');
        await f.ended;
        await sleep(1500);
        assert.equal((await others(a)).length, 1, 'it waits for the publisher');
        await g.start();
        await until('the picture goes on', async () => (await picture(a)).seen?.id === 56);
        await until('and the tone', async () => Math.abs(((await sound(a)).hz ?? 0) - tone(56)) < 15);
        assert.equal((await others(a))[0].sid, sid);
    });
});

test('rtmp: B-frames are seen, and the streamer is told what to change', { skip, timeout }, async () => {
    const i = await ingest();
    const a = new Person(await pageA(), 'ann', 1);
    const f = await streamer(57, { b: true });
    await gathering([a, f], async () => {
        await watch(a, f);
        await f.start();
        await until('the advice', () => /rtmp_b_frames .*bframes=0/.test(i.log()));
        await until('a picture all the same', async () => (await picture(a)).frames > 10);
        await until('and in IngressInfo', async () => /B-frames/.test((await f.c.state()).error ?? ''));
    });
});

test('rtmps: the same over TLS', { skip, timeout }, async () => {
    const i = await ingest();
    const a = new Person(await pageA(), 'ann', 1);
    const f = await streamer(58);
    f.url = `rtmps://127.0.0.1:${i.rtmps}/live/${f.key}`;
    await gathering([a, f], async () => {
        await watch(a, f);
        await f.start();
        await Promise.all([sees(a, f), hears(a, f)]);
        await f.leave();
        await until('it left', async () => (await others(a)).length === 0, 5000);
    });
});

test('enhanced rtmp: AV1 and Opus pass through, no child', { skip, timeout }, async () => {
    const i = await ingest();
    const a = new Person(await pageA(), 'ann', 1);
    const c = await (await site()).channel(newRoom('ertmp'), 'rtmp59');
    const [video_file, audio_file] = await Promise.all([videoClip('av1', 59), audioClip(59)]);
    const before = await i.metric('sluice_media_children_started_total');
    const f = new ErtmpPublisher({ port: i.rtmp, key: c.key.slice(c.key.indexOf('-') + 1), identity: 'rtmp59', id: 59, video_file, audio_file });
    await gathering([a, f], async () => {
        await a.join(c.room, { ws: (await site()).ws });
        await f.start();
        assert.ok(f.said.includes('capsEx'), 'capabilities are answered');
        await Promise.all([sees(a, f), hears(a, f)]);
        assert.equal(await i.metric('sluice_media_children_started_total'), before);
    });
});

test('rtmp: junk and strangers are closed, and nobody else notices', { skip, timeout }, async () => {
    const i = await ingest();
    const a = new Person(await pageA(), 'ann', 1);
    const f = await streamer(60);
    /* What the server says until it closes; a half of a handshake first, or none. */
    const send = (...parts) =>
        new Promise((ok) => {
            const s = net.connect(i.rtmp, '127.0.0.1', () => parts.forEach((b) => s.write(b)));
            s.on('error', () => {});
            s.resume();
            s.on('close', ok);
        });
    const hello = Buffer.alloc(3073);
    hello[0] = 3;
    const hex = (h) => Buffer.from(h.replaceAll(' ', ''), 'hex');
    await gathering([a, f], async () => {
        await watch(a, f);
        await f.start();
        await sees(a, f);
        await a.call('resetGap');
        await Promise.all([
            send(Buffer.from('GET / HTTP/1.1\r\n\r\n')),
            send(randomBytes(100000)),
            send(hello, randomBytes(100000)),
            send(hello, hex('02 000000 000004 01 00000000 00000000')),
            send(hello, hex('02 000000 000004 01 00000000 80000000')),
            send(hello, hex('04 000000 ffffff 09 01000000'), randomBytes(100000)),
            send(hello, hex('03 000000 000010 14 00000000 02ffff'), randomBytes(1000)),
        ]);
        await sees(a, f);
        assert.ok((await picture(a)).gap < 500);
    });
});

test('rtmp: the ingress ends cleanly', { skip, timeout }, async () => {
    if (made) assert.deepEqual(await (await site()).stop(), [0, 0]);
});
