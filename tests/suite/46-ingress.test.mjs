/* The Ingress API: livekit-server-sdk's IngressClient, the original's answers word for word, the
 * commands, and what must survive a restart. */
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AccessToken, IngressClient, IngressInput } from 'livekit-server-sdk';
import { audioClip, videoClip } from '../lib/clips.mjs';
import { FtlClient } from '../lib/ftl.mjs';
import { startIngest, startSite } from '../lib/ingest.mjs';
import { assert, test, until } from '../lib/kit.mjs';
import { KEY, ORIGINAL, SECRET, SERVER, startServer } from '../lib/server.mjs';

const skip = ORIGINAL ? 'an original needs Redis for ingresses' : false;
const fixture = new URL('../fixtures/ingress-api.jsonl', import.meta.url);
const config = ['ingress: { rtmp_base_url: "rtmp://x.example/live", whip_base_url: "https://x.example/w" }'];

const directory = () => mkdtempSync(join(tmpdir(), 'e2e-ingress-'));
const kept = (dir) => startServer({ config, args: ['--data-dir', dir] });
const client = (s) => new IngressClient(s.http, KEY, SECRET);
const sluice = (s, dir, ...args) =>
    spawnSync(SERVER, args, {
        encoding: 'utf8',
        timeout: 20000,
        env: { ...process.env, LIVEKIT_URL: s?.http ?? '', LIVEKIT_API_KEY: KEY, LIVEKIT_API_SECRET: SECRET, SLUICE_DATA_DIR: dir },
    });
const code = (c, words) => (e) => {
    assert.equal(e.code, c, e.message);
    assert.match(e.message, words);
    return true;
};

test('ingress: every method of the server SDK', { skip }, async () => {
    const s = await startServer({ config });
    const api = client(s);
    try {
        assert.deepEqual(await api.listIngress(), []);
        const a = await api.createIngress(IngressInput.RTMP_INPUT, { name: 'n', roomName: 'r', participantIdentity: 'i', participantName: 'p', participantMetadata: 'm' });
        assert.match(a.ingressId, /^IN_[0-9A-Za-z]{12}$/);
        assert.match(a.streamKey, /^[0-9A-Za-z]{12}$/);
        assert.equal(a.url, 'rtmp://x.example/live');
        assert.ok(a.reusable && a.enableTranscoding && !a.bypassTranscoding);
        assert.equal(a.state.status, 0);
        const w = await api.createIngress(IngressInput.WHIP_INPUT, { name: 'w', roomName: 'r2', participantIdentity: 'i' });
        assert.equal(w.url, 'https://x.example/w');
        assert.equal(w.enableTranscoding, false);

        assert.deepEqual((await api.listIngress()).map((x) => x.ingressId), [a.ingressId, w.ingressId]);
        assert.deepEqual((await api.listIngress({ roomName: 'r2' })).map((x) => x.ingressId), [w.ingressId]);
        assert.deepEqual((await api.listIngress({ ingressId: a.ingressId })).map((x) => x.name), ['n']);
        assert.deepEqual(await api.listIngress({ roomName: 'nobody' }), []);

        const u = await api.updateIngress(a.ingressId, { name: 'n2', roomName: 'r3' });
        assert.deepEqual([u.name, u.roomName, u.participantIdentity, u.streamKey], ['n2', 'r3', 'i', a.streamKey]);
        assert.equal((await api.listIngress({ roomName: 'r3' })).length, 1);

        const d = await api.deleteIngress(w.ingressId);
        assert.equal(d.ingressId, w.ingressId);
        assert.equal((await api.listIngress()).length, 1);

        await assert.rejects(api.deleteIngress(w.ingressId), code('not_found', /ingress does not exist/));
        await assert.rejects(api.updateIngress('IN_none', { name: 'x' }), code('not_found', /ingress does not exist/));
        await assert.rejects(api.listIngress({ ingressId: 'IN_none' }), code('not_found', /ingress does not exist/));
        await assert.rejects(api.createIngress(IngressInput.RTMP_INPUT, { name: 'x'.repeat(257), roomName: 'r', participantIdentity: 'i' }), code('invalid_argument', /name is longer than 256 bytes/));
        await assert.rejects(
            api.createIngress(IngressInput.URL_INPUT, { url: 'ftp://x', roomName: 'r', participantIdentity: 'i' }),
            code('invalid_argument', /invalid url scheme ftp/),
        );
        await assert.rejects(
            api.createIngress(IngressInput.URL_INPUT, { url: 'https://x/y.m3u8', roomName: 'r', participantIdentity: 'i' }),
            code('unavailable', /no response from servers/),
        );
        await assert.rejects(new IngressClient(s.http, KEY, 'another secret').listIngress(), (e) => e.status === 401);
    } finally {
        assert.equal(await s.stop(), 0, s.log());
    }
});

/* The recorded calls in their order; ids and keys that the server makes are taken as they come. */
test('ingress: answers are the original\'s', { skip }, async () => {
    const s = await startServer({ config });
    const known = new Map();
    const tokens = {};
    for (const g of ['ingressAdmin', 'roomCreate']) {
        const t = new AccessToken(KEY, SECRET);
        t.addGrant({ [g]: true });
        tokens[g] = await t.toJwt();
    }
    const learn = (want, got) => {
        if (typeof want === 'string' && want.startsWith('$') && typeof got === 'string') {
            if (want === '$key') return '$key';
            if (!known.has(want)) known.set(want, got);
            return known.get(want) === got ? want : got;
        }
        if (Array.isArray(want) && Array.isArray(got)) return got.map((x, i) => learn(want[i], x));
        if (want && got && typeof want === 'object' && typeof got === 'object')
            return Object.fromEntries(Object.entries(got).map(([k, x]) => [k, learn(want[k], x)]));
        return got;
    };
    const order = (body) => {
        if (Array.isArray(body.items)) body.items.sort((x, y) => (x.ingress_id < y.ingress_id ? -1 : 1));
        return body;
    };
    try {
        for (const line of readFileSync(fixture, 'utf8').trim().split('\n')) {
            const { method, grant, request, status, body } = JSON.parse(line);
            /* Ours may be passed through where the original refuses to. */
            if (request.enable_transcoding === false && request.input_type !== 'WHIP_INPUT' && status === 400) continue;
            if (request.ingress_id?.startsWith('$')) request.ingress_id = known.get(request.ingress_id);
            const r = await fetch(`${s.http}/twirp/livekit.Ingress/${method}`, {
                method: 'POST',
                headers: { 'content-type': 'application/json', ...(grant ? { authorization: `Bearer ${tokens[grant]}` } : {}) },
                body: JSON.stringify(request),
            });
            const got = await r.json();
            assert.equal(r.status, status, `${line}\n${JSON.stringify(got)}`);
            if (Array.isArray(body.items) && body.items.length > 1) {
                /* the original lists in no order: the ids are known by now */
                const named = new Map([...known].map(([k, v]) => [v, k]));
                for (const x of got.items) Object.assign(x, { ingress_id: named.get(x.ingress_id), stream_key: '$key' });
                assert.deepEqual(order(got), order(body));
            } else {
                assert.deepEqual(learn(body, got), body, line);
            }
        }
    } finally {
        assert.equal(await s.stop(), 0, s.log());
    }
});

test('ingress: everything survives a restart, and keys are in no log', { skip }, async () => {
    const dir = directory();
    let s = await kept(dir);
    const a = await client(s).createIngress(IngressInput.RTMP_INPUT, { name: 'kept', roomName: 'r', participantIdentity: 'i' });
    const b = await client(s).createIngress(IngressInput.WHIP_INPUT, { name: 'gone', roomName: 'r', participantIdentity: 'i' });
    await client(s).deleteIngress(b.ingressId);
    const [fallback] = await client(s).listIngress();
    assert.equal(fallback.ingressId, 'IN_live');
    assert.equal(readFileSync(join(dir, 'hash'), 'utf8').trim(), fallback.streamKey);
    for (const f of ['hash', 'sluice.db', 'bus.sock']) assert.equal(statSync(join(dir, f)).mode & 0o777, 0o600, f);
    assert.equal(await s.stop(), 0, s.log());
    assert.ok(!existsSync(join(dir, 'bus.sock')));
    for (const key of [a.streamKey, fallback.streamKey]) assert.ok(!s.log().includes(key), s.log());

    s = await kept(dir);
    const list = await client(s).listIngress();
    assert.deepEqual(list.map((x) => [x.ingressId, x.name, x.streamKey]), [
        ['IN_live', 'default', fallback.streamKey],
        [a.ingressId, 'kept', a.streamKey],
    ]);
    /* killed in the middle: what was answered is there */
    const made = [];
    for (let i = 0; i < 20; i++) made.push(await client(s).createIngress(IngressInput.RTMP_INPUT, { name: `k${i}`, roomName: 'r', participantIdentity: 'i' }));
    s.child.kill('SIGKILL');
    await until('the server is gone', () => s.dead() !== null);
    s = await kept(dir);
    const names = (await client(s).listIngress()).map((x) => x.name);
    for (let i = 0; i < 20; i++) assert.ok(names.includes(`k${i}`), names.join(' '));
    assert.equal(await s.stop(), 0, s.log());
    rmSync(dir, { recursive: true });
});

test('ingress: sluice key, sluice ingress and the older verbs', { skip }, async () => {
    const dir = directory();
    const file = join(dir, 'ingress.json');
    assert.equal(sluice(null, dir, 'key', 'show').status, 1);
    const offline = sluice(null, dir, 'key', 'reset').stdout.trim();
    assert.match(offline, /^[0-9A-Za-z]{32}$/);
    assert.equal(sluice(null, dir, 'key', 'show').stdout.trim(), offline);
    writeFileSync(file, '{"input_type":0,"name":"n","room_name":"r","participant_identity":"i","participant_name":"p"}');

    const s = await kept(dir);
    try {
        const made = sluice(s, dir, 'create-ingress', '--request', file);
        const [, id, key] = made.stdout.match(/^IngressID: (IN_\w+) Status: ENDPOINT_INACTIVE\nURL: rtmp:\/\/x\.example\/live Stream Key: (\w+)\nFTL key: 78-\w+\n$/) ?? assert.fail(made.stdout + made.stderr);
        assert.equal(sluice(s, dir, 'ingress', 'create', file).status, 0);
        const table = sluice(s, dir, 'list-ingress').stdout.split('\n');
        assert.match(table[0], /^IngressID +Name +StreamKey +URL +Status +Error$/);
        assert.ok(table.some((l) => l.includes(id) && l.includes(key) && l.includes('rtmp://x.example/live') && l.includes('ENDPOINT_INACTIVE')), table.join('\n'));
        writeFileSync(file, `{"ingress_id":"${id}","name":"n2"}`);
        assert.equal(sluice(s, dir, 'update-ingress', '--request', file).status, 0);
        assert.equal(sluice(s, dir, 'ingress', 'update', id, '--room', 'r2', '--disable').status, 0);
        const [now] = await client(s).listIngress({ ingressId: id });
        assert.deepEqual([now.name, now.roomName, now.enabled], ['n2', 'r2', false]);
        assert.equal(JSON.parse(sluice(s, dir, 'ingress', 'list', '--room', 'r2', '--json').stdout).items.length, 1);
        assert.equal(sluice(s, dir, 'delete-ingress', '--id', id).status, 0);
        const again = sluice(s, dir, 'ingress', 'delete', id);
        assert.equal(again.status, 1);
        assert.match(again.stderr, /^sluice ingress: .*ingress does not exist \(not_found, HTTP 404\)\n$/);
        assert.match(sluice(s, dir, 'ingress', 'create').stderr, /say what: --request/);

        const fresh = sluice(s, dir, 'key', 'reset').stdout.trim();
        assert.notEqual(fresh, offline);
        assert.equal(readFileSync(join(dir, 'hash'), 'utf8'), `${fresh}\n`);
        assert.equal((await client(s).listIngress({ ingressId: 'IN_live' }))[0].streamKey, fresh);
    } finally {
        assert.equal(await s.stop(), 0, s.log());
    }
    rmSync(dir, { recursive: true });
});

test('ingress: a data directory that cannot be used is said in one line', { skip }, async () => {
    const dir = directory();
    const run = () =>
        spawnSync(SERVER, ['server', '--dev', '--bind', '127.0.0.1', '--node-ip', '127.0.0.1', '--port', '0', '--udp-port', '0', '--tcp-port', '0', '--data-dir', dir], {
            encoding: 'utf8',
            timeout: 20000,
        });
    const refused = (words) => {
        const r = run();
        const lines = r.stderr.trim().split('\n').filter((l) => l.startsWith('sluice server:'));
        assert.equal(r.status, 2, r.stderr);
        assert.equal(lines.length, 1, r.stderr);
        assert.match(lines[0], words);
    };
    const s = await kept(dir);
    refused(/another sluice uses the data directory/);
    assert.equal(await s.stop(), 0, s.log());

    const db = join(dir, 'sluice.db');
    const whole = readFileSync(db);
    writeFileSync(db, Buffer.alloc(8192, 'x'));
    refused(/sluice\.db is damaged; move it away/);
    const fd = openSync(db, 'w');
    writeSync(fd, whole);
    writeSync(fd, Buffer.from([0, 0, 0, 99]), 0, 4, 60);
    closeSync(fd);
    refused(/written by a later version of sluice/);
    writeFileSync(db, whole);
    writeFileSync(join(dir, 'hash'), '\n');
    refused(/hash/);
    rmSync(dir, { recursive: true });
    if (process.getuid() === 0) return; /* root may write anything */
    execFileSync('mkdir', ['-m', '500', dir]);
    refused(/cannot|Permission/);
    rmSync(dir, { recursive: true });
});

/* Two processes on the bus: one dies, the other and what it streams stay; the server dies too. */
test('ingress: what a process had on air is ended in the list when the process dies', { skip, timeout: 90000 }, async () => {
    const own = await startSite();
    const second = await startIngest({ bus: join(own.dir, 'bus.sock') });
    const [video, audio] = await Promise.all([videoClip('h264', 51, { w: 320, h: 180, fps: 30, seconds: 4, gop: 60, kbps: 500 }), audioClip(51)]);
    const [a, b] = [await own.channel('one', 'a'), await own.channel('two', 'b')];
    const send = (port, c) => new FtlClient({ port, key: c.key, video, audio, fps: 30, flood_ms: 0 });
    const [f, g] = [send(own.ingest.ftl, a), send(second.ftl, b)];
    const status = async (c) => (await c.state()).status;
    try {
        await Promise.all([f.start(), g.start()]);
        await until('both are on air', async () => (await status(a)) === 'ENDPOINT_PUBLISHING' && (await status(b)) === 'ENDPOINT_PUBLISHING', 10000);
        await second.stop('SIGKILL');
        await until('the dead one\'s is ended', async () => (await status(b)) === 'ENDPOINT_INACTIVE', 25000);
        assert.match((await b.state()).error, /process ended/);
        assert.equal(await status(a), 'ENDPOINT_PUBLISHING');
        await own.restart('SIGKILL');
        await until('the server learns what is on air', async () => (await status(a)) === 'ENDPOINT_PUBLISHING', 30000);
    } finally {
        await Promise.all([f.stop(), g.stop()]);
        assert.deepEqual(await own.stop(), [0, 0]);
    }
});
