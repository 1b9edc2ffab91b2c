/*
 * How old a picture is when a viewer's browser shows it: `make bench-latency`.
 *
 *   bench/latency.mjs [ftl|whip|rtmp]... [--seconds 20] [--loss PERCENT] [--joins 8] [--gop 4]
 *
 * bench/clockface paints the time into each picture, x264 encodes it (720p30, 2.5 Mb/s, zero latency), it goes into
 * sluice by the way named, and headless Chromium watches by WHEP, draws each picture to a canvas and reads the time
 * back.  Then fresh viewers come at odd moments of the group of pictures: how long until their first picture.
 * --loss drops that share of the datagrams on the way in (FTL).  SERVER names the executable (build/sluice).
 */
import { spawn } from 'node:child_process';
import dgram from 'node:dgram';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { launchChromium } from '../tests/lib/browser.mjs';
import { FtlClient, Stream } from '../tests/lib/ftl.mjs';
import { freeTcp, SERVER } from '../tests/lib/server.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const CLOCK = process.env.CLOCKFACE ?? `${ROOT}/build/bench/bench-clockface`;
const W = 1280, H = 720, FPS = 30, KBPS = 2500;

const args = process.argv.slice(2);
const option = (name, value) => {
    const i = args.indexOf(`--${name}`);
    return i < 0 ? value : Number(args.splice(i, 2)[1]);
};
const seconds = option('seconds', 20);
const loss = option('loss', 0) / 100;
const joins = option('joins', 8);
const gop = option('gop', 4);
const ways = args.length ? args : ['ftl', 'whip', 'rtmp'];
const sleep = (ms) => new Promise((ok) => setTimeout(ok, ms));
const children = [];

function start(command, words, stdio) {
    const c = spawn(command, words, { stdio });
    children.push(c);
    c.on('error', (e) => console.error(`${command}: ${e.message}`));
    return c;
}

async function stop(c, signal = 'SIGTERM') {
    if (c.exitCode !== null || c.signalCode !== null) return;
    const ended = new Promise((ok) => c.on('exit', ok));
    c.kill(signal);
    const t = setTimeout(() => c.kill('SIGKILL'), 5000);
    await ended;
    clearTimeout(t);
}

/* clockface | ffmpeg -> `to`. */
function encode(to) {
    const clock = start(CLOCK, [W, H, FPS].map(String), ['ignore', 'pipe', 'ignore']);
    const x264 = start('ffmpeg', ['-loglevel', 'error', '-fflags', 'nobuffer', '-f', 'rawvideo', '-pix_fmt', 'yuv420p', '-s', `${W}x${H}`, '-r', String(FPS), '-i', '-',
        ...(to.audio ? ['-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=48000'] : []),
        '-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-profile:v', 'baseline', '-b:v', `${KBPS}k`, '-maxrate', `${KBPS}k`,
        '-bufsize', `${KBPS / 2}k`, '-g', String(gop * FPS), '-keyint_min', String(gop * FPS), ...(to.audio ? ['-c:a', 'aac', '-b:a', '96k'] : ['-an']),
        '-flush_packets', '1', ...to.out], ['pipe', 'ignore', 'inherit']);
    clock.stdout.pipe(x264.stdin);
    x264.stdin.on('error', () => {});
    return async () => {
        await stop(x264, 'SIGKILL');
        await stop(clock);
    };
}

/* RTP of ffmpeg to a function. */
async function rtp(send) {
    const s = dgram.createSocket('udp4');
    await new Promise((ok) => s.bind(0, '127.0.0.1', ok));
    s.on('message', send);
    const end = encode({ out: ['-payload_type', '96', '-f', 'rtp', `rtp://127.0.0.1:${s.address().port}?pkt_size=1200`] });
    return async () => {
        await end();
        s.close();
    };
}

const RTP = (b) => ({ payload: b.subarray(12), ts: b.readUInt32BE(4), marker: (b[1] & 0x80) !== 0 });

/* A live picture through the client of the tests. */
class LiveFtl extends FtlClient {
    async begin() {
        await this.dial();
        await this.handshake();
        this.live = true;
        this.udp = dgram.createSocket('udp4');
        this.udp.on('message', (b, from) => this.on_datagram(b, from));
        await new Promise((ok) => this.udp.bind(0, ok));
        this.video = new Stream((this.channel + 1) | 0, 96);
        this.t0 = performance.now();
        this.every(5000, () => this.say(`PING ${this.channel}`));
        this.every(25, () => this.ping());
        this.end = await rtp((b) => {
            const p = RTP(b);
            const packet = this.video.packet(p.payload, p.ts, p.marker);
            if (Math.random() >= loss) this.send(packet);
        });
    }
}

async function ftl(srv) {
    const c = new LiveFtl({ port: srv.ftl, key: srv.key, flood_ms: 0 });
    await c.begin();
    return async () => {
        await c.end();
        await c.stop();
    };
}

async function rtmp(srv) {
    return encode({ audio: true, out: ['-f', 'flv', `rtmp://127.0.0.1:${srv.rtmp}/live/${srv.plain}`] });
}

/* By libdatachannel, the library inside OBS. */
async function whip(srv) {
    const { default: dc } = await import(createRequire(`${ROOT}/tests/package.json`).resolve('node-datachannel'));
    const pc = new dc.PeerConnection('bench', { iceServers: [] });
    const video = new dc.Video('0', 'SendOnly');
    const ssrc = 4242;
    video.addH264Codec(96, 'profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1');
    video.addSSRC(ssrc, 'bench', 'bench', 'bench');
    const track = pc.addTrack(video);
    const offer = new Promise((ok) => pc.onGatheringStateChange((s) => s === 'complete' && ok(pc.localDescription().sdp)));
    pc.setLocalDescription();
    const answer = await fetch(`${srv.http}/whip/${srv.plain}`, { method: 'POST', headers: { 'content-type': 'application/sdp' }, body: await offer });
    if (answer.status !== 201) throw new Error(`WHIP: ${answer.status} ${await answer.text()}`);
    const where = new URL(answer.headers.get('location'), srv.http);
    pc.setRemoteDescription(await answer.text(), 'answer');
    const end = await rtp((b) => {
        if (!track.isOpen()) return;
        b.writeUInt32BE(ssrc, 8);
        track.sendMessageBinary(b);
    });
    return async () => {
        await end();
        await fetch(where, { method: 'DELETE' });
        pc.close();
    };
}

/* ---- the server ---- */

async function serve() {
    const dir = mkdtempSync(join(tmpdir(), 'bench-latency-'));
    const ftlPort = await freeTcp(), rtmpPort = await freeTcp();
    const child = start(SERVER, ['up', '--data-dir', dir, '--port', '0', '--udp-port', '0', '--tcp-port', '0', '--bind', '127.0.0.1', '--node-ip', '127.0.0.1',
        '--ftl-port', String(ftlPort), '--rtmp-port', String(rtmpPort), '--ws-port', '0', '--ready-fd', '3'], ['ignore', 'ignore', 'ignore', 'pipe']);
    const ready = await new Promise((ok, no) => {
        let text = '';
        child.stdio[3].on('data', (d) => (text += d).includes('\n') && ok(JSON.parse(text.split('\n')[0])));
        child.on('exit', (c) => no(new Error(`sluice ended (${c})`)));
    });
    await sleep(1500); /* the ingress process */
    const key = readFileSync(join(dir, 'hash'), 'utf8').trim();
    return {
        http: `http://127.0.0.1:${ready.http ?? ready.port}`,
        ftl: ftlPort,
        rtmp: rtmpPort,
        key: `77-${key}`,
        plain: key,
        async stop() {
            await stop(child, 'SIGINT');
            rmSync(dir, { recursive: true, force: true });
        },
    };
}

/* ---- the viewer: everything below runs in the page ---- */

async function watch({ whep, ms }) {
    const t0 = performance.now();
    const pc = new RTCPeerConnection();
    const stream = new MediaStream();
    const video = Object.assign(document.createElement('video'), { muted: true, autoplay: true, playsInline: true, srcObject: stream });
    document.body.append(video);
    pc.ontrack = (e) => stream.addTrack(e.track);
    for (const kind of ['video', 'audio']) pc.addTransceiver(kind, { direction: 'recvonly' });
    await pc.setLocalDescription();
    const answer = await fetch(whep, { method: 'POST', headers: { 'content-type': 'application/sdp' }, body: pc.localDescription.sdp });
    if (answer.status !== 201) throw new Error(`WHEP: ${answer.status}`);
    const where = new URL(answer.headers.get('location'), whep);
    await pc.setRemoteDescription({ type: 'answer', sdp: await answer.text() });

    const canvas = document.createElement('canvas');
    const ink = canvas.getContext('2d', { willReadFrequently: true });
    const ages = [], times = [];
    let first = null, unread = 0;
    const read = () => {
        canvas.width = video.videoWidth;
        canvas.height = 16;
        ink.drawImage(video, 0, 0);
        const px = ink.getImageData(0, 8, canvas.width, 1).data;
        const on = (cell) => px[4 * Math.round(((cell + 0.5) * canvas.width) / 50)] > 128;
        if (!on(0) || on(1)) return null;
        let t = 0;
        for (let i = 2; i < 50; i++) t = t * 2 + on(i);
        return t;
    };
    const frame = () => {
        const now = performance.timeOrigin + performance.now();
        const t = read();
        first ??= performance.now() - t0;
        times.push(performance.now());
        if (t === null) unread++;
        else ages.push(now - t);
        video.requestVideoFrameCallback(frame);
    };
    video.requestVideoFrameCallback(frame);
    await new Promise((ok) => setTimeout(ok, ms));
    const gaps = times.slice(1).map((t, i) => t - times[i]);
    const stats = [...(await pc.getStats()).values()].find((s) => s.type === 'inbound-rtp' && s.kind === 'video');
    await fetch(where, { method: 'DELETE' });
    pc.close();
    video.remove();
    return { first, ages, unread, shown: times.length, longest: Math.max(0, ...gaps), freezes: stats?.freezeCount, dropped: stats?.framesDropped };
}

const at = (sorted, q) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))];
const show = (n) => (n === undefined || n === null ? '-' : n.toFixed(0));

async function measure(page, srv, way) {
    const end = await { ftl, whip, rtmp }[way](srv);
    const whep = `${srv.http}/whep/live`;
    try {
        await sleep(2500);
        const r = await page.evaluate(watch, { whep, ms: seconds * 1000 });
        const settled = r.ages.slice(Math.min(60, r.ages.length / 4)).sort((a, b) => a - b);
        console.log(`${way.padEnd(5)} picture age ms: p50 ${show(at(settled, 0.5))}  p95 ${show(at(settled, 0.95))}  max ${show(settled.at(-1))}   ` +
            `shown ${r.shown} of ~${seconds * FPS}, unread ${r.unread}, freezes ${r.freezes}, longest gap ${show(r.longest)} ms`);
        const firsts = [];
        for (let i = 0; i < joins; i++) {
            await sleep((gop * 1000 * ((i * 0.37) % 1)) | 0);
            firsts.push((await page.evaluate(watch, { whep, ms: 1500 })).first ?? Infinity);
        }
        firsts.sort((a, b) => a - b);
        if (joins > 0) console.log(`      first picture ms, ${joins} viewers, key frame each ${gop} s: median ${show(at(firsts, 0.5))}  worst ${show(firsts.at(-1))}`);
    } finally {
        await end();
    }
    await sleep(500);
}

const srv = await serve();
const browser = await launchChromium();
try {
    const page = await browser.browser.newPage();
    await page.goto(`${srv.http}/metrics`).catch(() => {});
    for (const way of ways) await measure(page, srv, way);
} finally {
    await browser.close();
    await srv.stop();
    for (const c of children) await stop(c, 'SIGKILL');
}
