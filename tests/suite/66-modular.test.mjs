/* The parts taken one by one: plain RTP in, and an ingest that feeds a foreign WebRTC server. */
import { spawn } from 'node:child_process';
import dgram from 'node:dgram';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { audioClip, videoClip } from '../lib/clips.mjs';
import { readEnv, service } from '../lib/compose.mjs';
import { FtlClient } from '../lib/ftl.mjs';
import { startIngest, startSite } from '../lib/ingest.mjs';
import { assert, gathering, hears, pageA, Person, sees, test, token, until } from '../lib/kit.mjs';
import { tone } from '../lib/marker.mjs';
import { freeTcp, ORIGINAL, SERVER } from '../lib/server.mjs';

const skip = ORIGINAL && 'the original takes no RTP';

/* ffmpeg, which sends one stream from one socket: picture and sound are two of them. */
async function ffmpegRtp(port, id) {
    const [video, audio] = [await videoClip('h264', id), await audioClip(id)];
    const send = (pt, ...input) =>
        spawn('ffmpeg', ['-v', 'error', '-re', '-stream_loop', '-1', ...input, '-c', 'copy', '-f', 'rtp', '-payload_type', String(pt), `rtp://127.0.0.1:${port}?pkt_size=1200`], { stdio: ['ignore', 'ignore', 'inherit'] });
    const both = [send(96, '-fflags', '+genpts', '-framerate', '15', '-f', 'h264', '-i', video), send(97, '-i', audio)];
    return { identity: 'live', id, leave: () => Promise.all(both.map((p) => p.exitCode ?? p.signalCode ?? (p.kill('SIGKILL'), new Promise((ok) => p.once('exit', ok))))) };
}

test('rtp: ffmpeg -f rtp -> chromium; a second sender is dropped until the first is silent', { skip, timeout: 90000 }, async () => {
    const site = await startSite({ ingest: ['--rtp-port', '0'] });
    const a = new Person(await pageA(), 'ann', 1);
    const stranger = dgram.createSocket('udp4');
    let second;
    try {
        const f = await ffmpegRtp(site.ingest.rtp, 41);
        await gathering([a, f], async () => {
            await a.join('live', { ws: site.ws });
            await Promise.all([sees(a, f, 20000), hears(a, f, 20000)]);
            const before = await site.ingest.metric('sluice_ingest_dropped_total', 'rtp', 'stranger');
            const packet = Buffer.alloc(100, 1);
            packet.writeUInt16BE(0x8060, 0);
            for (let i = 0; i < 50; i++) stranger.send(packet, site.ingest.rtp, '127.0.0.1');
            await until('strangers are counted', async () => (await site.ingest.metric('sluice_ingest_dropped_total', 'rtp', 'stranger')) === before + 50);
            stranger.send(Buffer.from('garbage'), site.ingest.rtp, '127.0.0.1');
            await sees(a, f);
            await f.leave();
            second = await ffmpegRtp(site.ingest.rtp, 42);
            await Promise.all([sees2(a, second), hears(a, second, 20000)]);
        });
    } finally {
        stranger.close();
        await second?.leave();
        assert.deepEqual(await site.stop(), [0, 0]);
    }
});

/* The picture changes hands within one track. */
const sees2 = (viewer, who) =>
    until(`${who.id} is seen`, async () => (await viewer.look()).some((x) => x.kind === 'video' && x.identity === who.identity && x.seen?.id === who.id), 20000);

/* The WebRTC server of ITGv2 by its contract, as far as an ingest sees it; o.lightspeed: the older one, which knows no /stream. */
async function standIn(o = {}) {
    const open = new Map();
    const calls = [];
    const bind = (port) =>
        new Promise((ok, no) => {
            const s = dgram.createSocket('udp4');
            const got = { s, types: {}, seqs: {}, bytes: 0 };
            s.on('message', (m) => {
                const pt = m[1] & 127;
                got.types[pt] = (got.types[pt] ?? 0) + 1;
                (got.seqs[pt] ??= []).push(m.readUInt16BE(2));
                o.pass?.send(m, o.to, '127.0.0.1');
            });
            s.on('error', no);
            s.bind(port, '127.0.0.1', () => ok((open.set(s.address().port, got), got)));
        });
    const http = createServer(async (q, r) => {
        const url = new URL(q.url, 'http://x');
        calls.push(`${q.method} ${url.pathname}${url.search}`);
        if (o.lightspeed || url.pathname !== '/stream') return r.writeHead(404).end('404 page not found\n');
        if (o.secret && q.headers.authorization !== `Bearer ${o.secret}`) return r.writeHead(401).end('no\n');
        if (q.method === 'POST') {
            const g = await bind(Number(url.searchParams.get('port') ?? 0));
            return r.writeHead(200).end(`${JSON.stringify({ port: g.s.address().port })}\n`);
        }
        if (q.method !== 'DELETE') return r.writeHead(405).end();
        const port = Number(url.searchParams.get('port'));
        open.get(port)?.s.close();
        return r.writeHead(204).end();
    });
    await new Promise((ok) => http.listen(0, '127.0.0.1', ok));
    return { calls, open, bind, url: `http://localhost:${http.address().port}`, stop: () => new Promise((ok) => http.close(ok)) };
}

const last = (g, pt) => g?.types[pt] ?? 0;

test('relay: FTL in, a stream of an ITGv2 server: POST, RTP in order, DELETE', { skip, timeout: 60000 }, async () => {
    const server = await standIn({ secret: 's3cret' });
    const i = await startIngest({ bus: '/nonexistent/bus.sock', args: ['--webrtc-server', server.url, '--webrtc-server-secret', 's3cret', '-k', 'abc'] });
    const [video, audio] = [await videoClip('h264', 43), await audioClip(43)];
    const bad = new FtlClient({ port: i.ftl, key: '77-abd', video, audio, fps: 15, flood_ms: 0 });
    const f = new FtlClient({ port: i.ftl, key: '77-abc', video, audio, fps: 15, flood_ms: 300 });
    try {
        await assert.rejects(bad.start(), { code: 405 });
        assert.deepEqual(server.calls, [], 'nothing is asked for before the key is proven');
        await f.start();
        const g = await until('a port is open', () => [...server.open.values()][0]);
        await until('both kinds arrive', () => last(g, 96) > 100 && last(g, 97) > 100);
        assert.deepEqual(Object.keys(g.types), ['96', '97']);
        for (const pt of [96, 97])
            assert.ok(g.seqs[pt].every((s, n, all) => n === 0 || s === ((all[n - 1] + 1) & 0xffff)), `${pt} in order`);
        await f.stop();
        await until('DELETE', () => server.calls.length === 2);
        assert.deepEqual(server.calls, ['POST /stream', `DELETE /stream?port=${[...server.open.keys()][0]}`]);
    } finally {
        await f.stop();
        assert.equal(await i.stop(), 0, i.log());
        await server.stop();
    }
});

test('relay: FTL in, the one port of an original Lightspeed server', { skip, timeout: 60000 }, async () => {
    const server = await standIn({ lightspeed: true });
    const g = await server.bind(65535);
    const i = await startIngest({ bus: '/nonexistent/bus.sock', args: ['--webrtc-server', server.url, '-k', 'abc'] });
    const f = new FtlClient({ port: i.ftl, key: '77-abc', video: await videoClip('h264', 43), audio: await audioClip(43), fps: 15, flood_ms: 0 });
    try {
        await f.start();
        await until('both kinds arrive', () => last(g, 96) > 50 && last(g, 97) > 50);
        await f.stop();
        assert.deepEqual(server.calls, ['POST /stream']);
    } finally {
        await f.stop();
        assert.equal(await i.stop(), 0, i.log());
        g.s.close();
        await server.stop();
    }
});

test('relay: a server that is away: the streamer is told', { skip, timeout: 60000 }, async () => {
    const server = await standIn();
    const i = await startIngest({ bus: '/nonexistent/bus.sock', args: ['--webrtc-server', server.url, '-k', 'abc'] });
    await server.stop();
    const f = new FtlClient({ port: i.ftl, key: '77-abc', video: await videoClip('h264', 43), audio: await audioClip(43), fps: 15, flood_ms: 0 });
    try {
        await f.start();
        await until('410', () => f.codes.includes(410), 25000);
    } finally {
        await f.stop();
        assert.equal(await i.stop(), 0, i.log());
    }
});

const ask = (url, method, bearer) => fetch(url, { method, headers: bearer ? { authorization: `Bearer ${bearer}` } : {} });

/* The status that a WebSocket is refused with; 101: it is not. */
const upgrade = (url) =>
    new Promise((ok, no) => {
        const q = request(url, { headers: { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==' } });
        q.on('response', (r) => ok((r.resume(), r.statusCode)));
        q.on('upgrade', (r, s) => ok((s.destroy(), r.statusCode)));
        q.on('error', no);
        q.end();
    });

/* Takes streams for N as ITGv2 does; `f(site, secret)`. */
async function withStreams(ingest, f, end = 0) {
    const site = await startSite({ ingest });
    try {
        await f(site, readFileSync(join(site.dir, 'admin'), 'utf8').trim());
    } finally {
        assert.deepEqual(await site.stop(), [end, 0]);
    }
}

test('POST /stream: the secret, ports of a range, and their end', { skip, timeout: 60000 }, () =>
    withStreams(['--rtp-ports', '42310-42311'], async (site, secret) => {
        const stream = `${site.http}/stream`;
        for (const bearer of [undefined, 'wrong', `${secret}x`, await token('ann', 'x')])
            for (const method of ['POST', 'DELETE']) assert.equal((await ask(`${stream}?port=5`, method, bearer)).status, 401);
        assert.equal((await ask(stream, 'GET', secret)).status, 405);
        assert.equal((await ask(stream, 'DELETE', secret)).status, 400);
        assert.equal((await ask(`${stream}?port=x`, 'DELETE', secret)).status, 400);
        assert.equal((await ask(`${stream}?port=x`, 'POST', secret)).status, 400);
        assert.equal((await ask(`${stream}?port=42310`, 'DELETE', secret)).status, 204, 'unknown ones too');
        const made = await Promise.all([ask(stream, 'POST', secret), ask(stream, 'POST', await token('', undefined, { ingressAdmin: true, roomJoin: false }))]);
        assert.deepEqual(made.map((r) => r.status), [200, 200]);
        assert.deepEqual((await Promise.all(made.map((r) => r.text()))).sort(), ['{"port":42310}\n', '{"port":42311}\n']);
        assert.equal((await ask(stream, 'POST', secret)).status, 500, 'the range is used up');
        assert.equal((await ask(`${stream}?port=42310`, 'POST', secret)).status, 500, 'in use');
        assert.equal(await upgrade(`${site.http}/websocket?port=42310`), 101);
        assert.equal(await upgrade(`${site.http}/websocket?port=42312`), 404);
        assert.equal((await ask(`${stream}?port=42310`, 'DELETE', secret)).status, 204);
        assert.equal(await upgrade(`${site.http}/websocket?port=42310`), 404);
        await until('the port is free', async () => (await (await ask(stream, 'POST', secret)).text()) === '{"port":42310}\n');
        process.kill(site.ingest.pid, 'SIGKILL'); /* its ports die with it, and their streams are forgotten */
        await until('unknown now', async () => (await upgrade(`${site.http}/websocket?port=42311`)) === 404, 15000);
        assert.equal((await ask(stream, 'POST', secret)).status, 503);
    }, 'SIGKILL'));

test('POST /stream: our own ingest feeds our own server; the page of port N shows it, and is closed at the end', { skip, timeout: 90000 }, () =>
    withStreams([], async (site, secret) => {
        const i = await startIngest({ bus: '/nonexistent/bus.sock', args: ['--webrtc-server', site.http, '--webrtc-server-secret', secret, '-k', 'abc'] });
        const f = new FtlClient({ port: i.ftl, key: '77-abc', video: await videoClip('h264', 44), audio: await audioClip(44), fps: 15, flood_ms: 300 });
        const page = await pageA();
        try {
            await f.start();
            const port = await until('relay', () => /relay port=(\d+)/.exec(i.log())?.[1]);
            await page.call('lightspeed', 'n', `${site.ws}/websocket?port=${port}`);
            let first;
            await until('44 is seen and heard', async () => {
                const s = await page.call('seen', 'n');
                first ??= s.seen?.count;
                return s.seen?.id === 44 && Math.abs(s.hz - tone(44)) < 15 && s.seen.count !== first;
            }, 20000);
            await f.stop();
            await until('its socket is closed', async () => (await page.call('seen', 'n')).events.includes('close 1001'), 15000);
            assert.equal(await upgrade(`${site.http}/websocket?port=${port}`), 404);
        } finally {
            await page.call('closeStream', 'n', true);
            await f.stop();
            assert.equal(await i.stop(), 0, i.log());
        }
    }));

/* `sluice` with these words, until it is ready; what it was given besides: environment. */
async function startUp(words, env = {}) {
    const child = spawn(SERVER, [...words, '--ready-fd=3'], { stdio: ['ignore', 'pipe', 'pipe', 'pipe'], env: { ...process.env, ...env } });
    let text = '';
    let log = '';
    for (const s of [child.stdout, child.stderr]) s.on('data', (d) => (log += d));
    child.stdio[3].on('data', (d) => (text += d));
    const ended = new Promise((ok) => child.on('exit', (c, s) => ok(s ?? c)));
    await Promise.race([until('ready', () => text.includes('\n'), 15000), ended.then((c) => assert.fail(`ended (${c}): ${log}`))]);
    return { ...JSON.parse(text), log: () => log, stop: () => (child.kill('SIGINT'), ended) };
}

const text = async (url) => (await fetch(url)).text();

test('up: the compose file with WEBSOCKET_HOST alone set, its command and environment as a process', { skip, timeout: 60000 }, async () => {
    const docker = new URL('../../packaging/docker/', import.meta.url).pathname;
    const dir = mkdtempSync(join(tmpdir(), 'e2e-docker-'));
    const env = readEnv(`${docker}.env`);
    assert.deepEqual(Object.entries(env).filter(([, v]) => v === '').map(([k]) => k), ['WEBSOCKET_HOST', 'STREAM_KEY']);
    assert.throws(() => service(`${docker}docker-compose.yml`, 'sluice', env), /set WEBSOCKET_HOST/);
    const [ws, ftl] = [await freeTcp('0.0.0.0'), await freeTcp('0.0.0.0')];
    const s = service(`${docker}docker-compose.yml`, 'sluice', { ...env, WEBSOCKET_HOST: '127.0.0.1', WEBSOCKET_PORT: String(ws), INGEST_PORT: String(ftl), LIVEKIT_CONFIG: 'port: 0\nrtc: { udp_port: 0, tcp_port: 0 }\n', INGRESS_CONFIG_BODY: 'rtmp_port: off\n' });
    assert.equal(s.network_mode, 'host');
    assert.equal(s.command.shift(), 'sluice');
    const up = await startUp(s.command.map((w) => w.replace('=/data', `=${dir}`)), s.environment);
    try {
        assert.equal(up.whip, ws);
        assert.equal(JSON.parse(await text(`http://127.0.0.1:${ws}/config.json`)).wsUrl, `ws://127.0.0.1:${ws}/websocket`);
        const key = readFileSync(join(dir, 'hash'), 'utf8').trim();
        await until('the key is printed', () => up.log().includes(`key 77-${key}`));
        const f = new FtlClient({ port: ftl, key: `77-${key}`, video: await videoClip('h264', 43), audio: await audioClip(43), fps: 15, flood_ms: 0 });
        await until('FTL is served', () => f.start().then(() => true, () => false));
        await f.stop();
        assert.doesNotMatch(up.log(), /unknown|no effect/);
    } finally {
        assert.equal(await up.stop(), 0, up.log());
        rmSync(dir, { recursive: true });
    }
});

test('up: three configuration files side by side; a built page on a port of its own', { skip, timeout: 60000 }, async () => {
    const dir = mkdtempSync(join(tmpdir(), 'e2e-files-'));
    const put = (name, t) => (writeFileSync(join(dir, name), t), join(dir, name));
    const [a, b, ftl] = [await freeTcp('0.0.0.0'), await freeTcp('0.0.0.0'), await freeTcp('0.0.0.0')];
    put('index.html', '<p>the page');
    const up = await startUp([
        'up', '--data-dir', join(dir, 'data'), '--ws-port', '0', '--web-root', dir, '--web-port=0',
        '--server-config', put('a.yaml', `port: 0\nprometheus_port: ${a}\nredis: { address: "localhost:6379" }\nrtc: { udp_port: 0, tcp_port: 0 }\n`),
        '--ingress-config', put('b.yaml', `prometheus_port: ${b}\nhealth_port: 0\nredis: { address: "localhost:6379" }\nrtmp_port: off\nftl_port: ${ftl}\n`),
        '--egress-config', put('c.yaml', `prometheus_port: ${b}\nhealth_port: 0\nredis: { address: "localhost:6379" }\n`),
    ], { WEBSOCKET_HOST: 'localhost', ICE_SERVERS: 'stun:stun.example.org:3478,stun:b.example.org' });
    try {
        assert.match(await text(`http://127.0.0.1:${a}/metrics`), /livekit_room_total|sluice_/);
        await until('metrics of the ingress', async () => /livekit_ingress_available 1/.test(await text(`http://127.0.0.1:${b}/metrics`)), 10000);
        assert.match(up.log(), /--egress-config: recording is not in this version/);
        const web = `http://127.0.0.1:${up.web}`;
        assert.equal(await text(`${web}/`), '<p>the page');
        assert.equal((await fetch(`${web}/`)).headers.get('content-type'), 'text/html; charset=utf-8');
        assert.equal((await fetch(`${web}/data/hash`)).status, 200, 'a page: nothing with that name is given out');
        assert.equal(await text(`${web}/data/hash`), '<p>the page');
        assert.equal(JSON.parse(await text(`${web}/config.json`)).wsUrl, `ws://127.0.0.1:${up.http}/websocket`);
        const options = await fetch(`http://127.0.0.1:${up.http}/whep/live`, { method: 'OPTIONS' });
        assert.match(options.headers.get('link') ?? '', /stun:stun\.example\.org:3478.*rel="ice-server"/);
    } finally {
        assert.equal(await up.stop(), 0, up.log());
        rmSync(dir, { recursive: true });
    }
});

test('up and lightspeed: flags and variables of the originals, in both spellings', { skip, timeout: 60000 }, async () => {
    const dir = mkdtempSync(join(tmpdir(), 'e2e-words-'));
    const [ws, ftl, port] = [await freeTcp('0.0.0.0'), await freeTcp('0.0.0.0'), await freeTcp()];
    const keep = ['--data-dir', dir, '--port', String(port), '--tcp-port', '0', '--rtmp-port', '0', '--log-level', 'info'];
    const log = join(dir, 'log');
    const forms = [
        [['up', ...keep, '--addr=127.0.0.1', '--ip', '127.0.0.1', '--ports=42400-42410', `--ws-port=${ws}`, '--rtp-port', '42420', '--ice-servers', 'none', '-a', '127.0.0.1', '-k', 'words', '-l', log], { INGEST_PORT: String(ftl) }],
        [['lightspeed', ...keep, '--ports', '42400-42410', '--rtp-port=42420', 'run'], { WEBSOCKET_HOST: '127.0.0.1', WEBSOCKET_PORT: String(ws), INGEST_PORT: String(ftl), LS_INGEST_ADDR: '127.0.0.1', STREAM_KEY: 'words', LS_LOG: log, ICE_SERVERS: 'none' }],
        [['up', ...keep, '--node-ip', '127.0.0.1', '--ws-port', String(ws), '--ports=42400-42410', '--rtp-port=42420'], { WEBSOCKET_HOST: '192.0.2.1', WEBSOCKET_PORT: '1', INGEST_PORT: String(ftl), STREAM_KEY: 'words', LS_LOG: log }],
    ];
    try {
        for (const [words, env] of forms) {
            const up = await startUp(words, env);
            try {
                assert.equal(up.whip, ws);
                assert.ok(up.udp.every((p) => p >= 42400 && p <= 42410), JSON.stringify(up.udp));
                assert.match(up.log(), /key 77-words/);
                assert.match(up.log(), /offered +127\.0\.0\.1\b/);
                assert.equal(await upgrade(`http://127.0.0.1:${ws}/websocket`), 101);
                await until('the ingress is there, in the same log', () => readFileSync(log, 'utf8').includes(`ftl=${ftl} rtmp=0 rtmps=0 rtp=42420`));
            } finally {
                assert.equal(await up.stop(), 0, up.log());
            }
            rmSync(log);
        }
        const tls = spawn(SERVER, ['lightspeed', '--data-dir', dir, '--ssl-cert', 'x', '--ssl-key', 'y'], { stdio: 'ignore' });
        assert.equal(await new Promise((ok) => tls.on('exit', ok)), 2);
    } finally {
        rmSync(dir, { recursive: true });
    }
});
