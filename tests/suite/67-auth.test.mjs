/* A service of the operator's decides who streams; and webhooks of what streams. */
import { createHmac } from 'node:crypto';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WebSocketServer } from 'ws';
import { assert, test, until } from '../lib/kit.mjs';
import { hookConfig, startHooks } from '../lib/hooks.mjs';
import { freeTcp, ORIGINAL } from '../lib/server.mjs';
import { startSite } from '../lib/ingest.mjs';

const skip = ORIGINAL && 'the original has no such service';
/* Of the default channel: room `live`, identity `live`, channel 77. */
const KEY = 'a-stream-key-for-tests';
const site = (o = {}) => startSite({ config: o.config, server: ['--stream-key', KEY, ...(o.server ?? [])], ingest: ['--rtmp-port', '0', ...(o.ingest ?? [])] });

/* A certificate for "localhost" that is its own authority. */
function certificate() {
    const dir = mkdtempSync(join(tmpdir(), 'e2e-auth-'));
    const [key, cert] = [join(dir, 'key.pem'), join(dir, 'cert.pem')];
    const p = spawnSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', cert]);
    assert.equal(p.status, 0, String(p.stderr));
    return { cert, tls: { key: readFileSync(key), cert: readFileSync(cert) } };
}

/* A service over both transports, with TLS or without; reply(question) -> object, or null for silence. */
async function service(tls) {
    const s = { heard: [], reply: () => ({ allow: true }) };
    const hear = (text) => {
        const q = JSON.parse(text);
        s.heard.push(q);
        return q.status ? null : s.reply(q);
    };
    const sockets = new WebSocketServer({ noServer: true });
    sockets.on('connection', (c) => c.on('message', (m) => {
        const r = hear(m.toString());
        if (r) c.send(JSON.stringify(r));
    }));
    const answer = async (req, res) => {
        let body = '';
        for await (const part of req) body += part;
        const r = hear(body);
        if (r) res.end(JSON.stringify(r));
    };
    const posts = tls ? https.createServer(tls, answer) : http.createServer(answer);
    posts.on('upgrade', (req, socket, head) => sockets.handleUpgrade(req, socket, head, (c) => sockets.emit('connection', c)));
    await new Promise((ok) => posts.listen(0, '127.0.0.1', ok));
    s.url = (scheme) => `${scheme}://localhost:${posts.address().port}/auth`;
    s.stop = () => {
        for (const c of sockets.clients) c.terminate();
        posts.closeAllConnections();
        posts.close();
    };
    return s;
}

/* The handshake of FTL up to the answer to CONNECT. */
async function ftl(port, key) {
    const socket = net.connect(port, '127.0.0.1');
    let text = '';
    socket.on('data', (d) => (text += d));
    socket.on('error', () => {});
    const line = (what) => until(what, () => text.includes('\n') && text, 8000, 10).then((t) => ((text = ''), t.trim()));
    socket.write('HMAC\r\n\r\n');
    const challenge = (await line('a challenge')).slice(4);
    const digest = createHmac('sha512', key).update(Buffer.from(challenge, 'hex')).digest('hex');
    const t0 = Date.now();
    socket.write(`CONNECT 77 $${digest}\r\n\r\n`);
    const answer = await line('an answer to CONNECT');
    return { socket, challenge, digest, code: answer.slice(0, 3), ms: Date.now() - t0 };
}

function rtmp(port, key) {
    const p = spawn('ffmpeg', ['-v', 'error', '-re', '-f', 'lavfi', '-i', 'testsrc2=size=320x180:rate=15', '-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=48000', '-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-bf', '0', '-g', '30', '-pix_fmt', 'yuv420p', '-c:a', 'aac', '-f', 'flv', `rtmp://127.0.0.1:${port}/live/${key}`], { stdio: ['ignore', 'ignore', 'pipe'] });
    p.said = '';
    p.stderr.on('data', (d) => (p.said += d));
    p.ended = new Promise((ok) => p.on('exit', ok));
    return p;
}

for (const way of ['ws', 'http', 'wss', 'https'])
    test(`auth: a service over ${way} decides, and hears of the end`, { skip, timeout: 60000 }, async () => {
        const own = way.endsWith('s') && way !== 'ws' && certificate();
        const s = await service(own && own.tls);
        const at = await site({ ingest: ['--auth-url', s.url(way), ...(own ? ['--auth-ca', own.cert] : [])] });
        try {
            const f = await ftl(at.ingest.ftl, KEY);
            assert.equal(f.code, '200');
            assert.ok(f.ms < 1000, `it does not wait (${f.ms} ms)`);
            assert.equal(s.heard.length, 1);
            const { remote, ...asked } = s.heard[0];
            assert.deepEqual(asked, { event: 'start', stream_key: f.digest, channel_id: 77, protocol: 'ftl', hmac_challenge: f.challenge, hmac_digest: f.digest });
            assert.match(remote, /^127\.0\.0\.1:\d+$/);
            f.socket.end();
            await until('the end is told', () => s.heard.length === 2);
            assert.deepEqual(s.heard[1], { stream_key: f.digest, status: 'ended' });

            s.heard.length = 0;
            const r = rtmp(at.ingest.rtmp, KEY);
            await until('RTMP is on air', () => at.ingest.log().includes('rtmp from='), 15000);
            assert.deepEqual({ ...s.heard[0], remote: 0 }, { event: 'start', stream_key: KEY, protocol: 'rtmp', remote: 0 });
            r.kill('SIGINT');
            await r.ended;
            await until('the end of that, too', () => s.heard.length === 2);
            assert.deepEqual(s.heard[1], { stream_key: KEY, status: 'ended' });

            for (const [reply, key, code] of [[() => ({ allow: false, reason: 'no' }), KEY, '401'], [() => ({ allow: 1 }), KEY, '500'], [() => ({ allow: true, key: 'another' }), KEY, '405'], [() => ({ allow: true, key: 'another' }), 'another', '200'], [() => null, KEY, '500']]) {
                s.reply = reply;
                const g = await ftl(at.ingest.ftl, key);
                assert.equal(g.code, code);
                g.socket.end();
            }
            s.reply = () => ({ allow: false });
            const refused = rtmp(at.ingest.rtmp, KEY);
            assert.notEqual(await refused.ended, 0);
            const unknown = s.heard.length;
            assert.notEqual(await rtmp(at.ingest.rtmp, 'no-such-key').ended, 0);
            assert.equal(s.heard.length, unknown, 'a key that is not known here is no question');
        } finally {
            s.stop();
            assert.deepEqual(await at.stop(), [0, 0]);
        }
        assert.ok(!at.ingest.log().includes(KEY), 'the key is in no log');
    });

test('auth: a service that is down lets nobody in', { skip, timeout: 60000 }, async () => {
    for (const scheme of ['ws', 'http']) {
        const at = await site({ ingest: ['--auth-url', `${scheme}://127.0.0.1:${await freeTcp()}/`] });
        try {
            const f = await ftl(at.ingest.ftl, KEY);
            assert.equal(f.code, '500');
            f.socket.end();
            assert.notEqual(await rtmp(at.ingest.rtmp, KEY).ended, 0);
        } finally {
            assert.deepEqual(await at.stop(), [0, 0]);
        }
    }
});

test('auth: a service whose certificate nobody vouches for lets nobody in', { skip, timeout: 60000 }, async () => {
    const s = await service(certificate().tls);
    try {
        for (const scheme of ['wss', 'https']) {
            const at = await site({ ingest: ['--auth-url', s.url(scheme)] });
            try {
                const f = await ftl(at.ingest.ftl, KEY);
                assert.equal(f.code, '500');
                f.socket.end();
            } finally {
                assert.deepEqual(await at.stop(), [0, 0]);
            }
        }
        assert.deepEqual(s.heard, [], 'it was not even asked');
    } finally {
        s.stop();
    }
});

test('auth: WHIP takes no stream key where a service decides', { skip }, async () => {
    const at = await site({ server: ['--auth-url', 'http://127.0.0.1:1/'] });
    try {
        const r = await fetch(`${at.http}/whip`, { method: 'POST', headers: { 'content-type': 'application/sdp', authorization: `Bearer ${KEY}` }, body: 'v=0\r\n' });
        assert.equal(r.status, 403);
        assert.match(await r.text(), /auth service/);
    } finally {
        assert.deepEqual(await at.stop(), [0, 0]);
    }
});

test('webhooks: ingress_started and ingress_ended', { skip, timeout: 60000 }, async () => {
    const h = await startHooks();
    const at = await site({ config: hookConfig([h.url]) });
    try {
        const p = rtmp(at.ingest.rtmp, KEY);
        await until('it is on air', () => h.of('ingress_started'), 20000);
        await until('its tracks are told', () => h.names('live').filter((x) => x === 'track_published').length === 2);
        p.kill('SIGINT');
        await p.ended;
        await until('it has ended', () => h.of('ingress_ended'), 20000);
        const started = h.of('ingress_started');
        assert.equal(started.room.name, 'live');
        assert.equal(started.ingressInfo.roomName, 'live');
        assert.equal(started.ingressInfo.streamKey, '', 'keys are not told');
        assert.equal(h.of('ingress_ended').ingressInfo.ingressId, started.ingressInfo.ingressId);
        assert.deepEqual(h.bad, []);
        assert.ok(h.got.every((g) => !g.raw.includes(KEY)));
    } finally {
        assert.deepEqual(await at.stop(), [0, 0]);
        await h.stop();
    }
});
