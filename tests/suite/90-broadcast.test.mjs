/* WHIP in, WHEP and Lightspeed's socket out: by libraries that nobody here wrote, picture and sound judged
 * by the sender's marker and tone. */
import { assert, hears, newRoom, pageA, pageB, Person, sees, server, sleep, test, token, until } from '../lib/kit.mjs';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { audioClip, muxedClip, videoClip } from '../lib/clips.mjs';
import { tone } from '../lib/marker.mjs';
import { obs } from '../lib/obs.mjs';
import { freeTcp, KEY, ORIGINAL, SECRET, startServer } from '../lib/server.mjs';
import { IngressClient, IngressInput } from 'livekit-server-sdk';
import { IngressState_Status } from '@livekit/protocol';

const skip = ORIGINAL && 'the original has neither WHEP nor this WHIP';

test('whip: what cannot be is refused in the words of HTTP', { skip }, async () => {
    const { http } = await server();
    const sdp = { 'content-type': 'application/sdp' };
    const good = await publish('refused');
    const offer = (audio, video) =>
        ['v=0', 'o=- 1 1 IN IP4 0.0.0.0', 's=-', 't=0 0', 'a=ice-ufrag:abcd', 'a=ice-pwd:abcdefghijklmnopqrstuvwx', 'a=setup:actpass',
            `a=fingerprint:sha-256 ${Array(32).fill('AB').join(':')}`,
            ...Array.from({ length: audio }, (_, i) => [`m=audio 9 UDP/TLS/RTP/SAVPF 111`, `a=mid:a${i}`, 'a=sendonly', 'a=rtcp-mux', 'a=rtpmap:111 opus/48000/2']).flat(),
            ...Array.from({ length: video }, (_, i) => [`m=video 9 UDP/TLS/RTP/SAVPF 96`, `a=mid:v${i}`, 'a=sendonly', 'a=rtcp-mux', 'a=rtpmap:96 VP8/90000']).flat(), ''].join('\r\n');
    const post = async (path, headers, body) => (await fetch(http + path, { method: 'POST', headers, body })).status;
    const auth = { ...sdp, authorization: `Bearer ${good}` };
    assert.equal(await post('/whip', sdp, offer(1, 1)), 401);
    assert.equal(await post('/whip/no-such-key', sdp, offer(1, 1)), 401);
    assert.equal(await post('/live', { ...sdp, authorization: 'Bearer no-such-key' }, offer(1, 1)), 401);
    assert.equal(await post('/whip', { ...sdp, authorization: `Bearer ${good}x` }, offer(1, 1)), 401);
    assert.equal(await post('/whip', { ...sdp, authorization: `Bearer ${await publish('refused', { canPublish: false })}` }, offer(1, 1)), 403);
    assert.equal(await post('/whip', { ...auth, 'content-type': 'text/plain' }, offer(1, 1)), 415);
    assert.equal(await post('/whip', auth, 'garbage'), 400);
    assert.equal(await post('/whip', auth, ''), 400);
    assert.equal(await post('/whip', auth, `${offer(1, 1)}${'a=x\r\n'.repeat(20000)}`), 413);
    assert.equal(await post('/whip', auth, offer(0, 0)), 406);
    assert.equal(await post('/whip', auth, offer(2, 1)), 406);
    assert.equal(await post('/whip', auth, offer(1, 1).replace('VP8', 'H261')), 406);
    assert.equal(await post('/whip', auth, offer(1, 1).replace('sha-256', 'md5')), 400);
    assert.equal(await post('/whip/v1', { 'content-type': 'application/sdp' }, offer(1, 1)), 401);
    assert.equal(await post('/whep/refused', sdp, offer(1, 1)), 406, 'a viewer that receives nothing');
    for (const path of ['/whip/WH_nothing', '/whip/key/WH_nothing', '/whep/refused/WH_nothing'])
        for (const method of ['PATCH', 'DELETE']) assert.equal((await fetch(http + path, { method })).status, 404, `${method} ${path}`);

    const options = await fetch(`${http}/whip`, { method: 'OPTIONS' });
    assert.equal(options.status, 204);
    assert.equal(options.headers.get('accept-post'), 'application/sdp');
    assert.equal(options.headers.get('access-control-allow-origin'), '*');

    /* The original server's own: the participant's sid, its ICE name as the tag, errors in JSON. */
    const v1 = await fetch(`${http}/whip/v1`, { method: 'POST', headers: auth, body: offer(1, 1) });
    assert.equal(v1.status, 201);
    const sid = v1.headers.get('location');
    assert.match(sid, /^\/whip\/v1\/PA_/);
    assert.ok((await v1.text()).includes(`a=ice-ufrag:${v1.headers.get('etag')}\r\n`));
    assert.equal((await fetch(http + sid)).status, 401);
    assert.equal((await fetch(http + sid, { headers: { authorization: auth.authorization } })).status, 204);
    const bare = await fetch(http + sid, { method: 'PATCH', headers: { authorization: auth.authorization, 'content-type': 'application/trickle-ice-sdpfrag' }, body: 'a=end-of-candidates\r\n' });
    assert.equal(bare.status, 428);
    assert.equal(typeof (await bare.json()).error, 'string');
    assert.equal((await fetch(http + sid, { method: 'DELETE', headers: { authorization: auth.authorization } })).status, 200);

    const made = await fetch(`${http}/whip`, { method: 'POST', headers: auth, body: offer(1, 1) });
    assert.equal(made.status, 201);
    assert.match(await made.text(), /m=audio[^]*a=recvonly[^]*m=video[^]*a=recvonly/);
    const resource = new URL(made.headers.get('location'), `${http}/whip`);
    const patch = async (headers, body) => {
        const r = await fetch(resource, { method: 'PATCH', headers: { 'content-type': 'application/trickle-ice-sdpfrag', ...headers }, body });
        return r.status;
    };
    const frag = (ufrag) => `a=ice-ufrag:${ufrag}\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\nm=audio 9 RTP/AVP 0\r\na=mid:a0\r\na=candidate:1 1 udp 1 192.0.2.9 9 typ host\r\n`;
    const etag = made.headers.get('etag');
    assert.equal(await patch({ 'if-match': etag }, frag('abcd')), 204);
    assert.equal(await patch({}, frag('abcd')), 204);
    assert.equal(await patch({}, frag('efgh')), 428);
    assert.equal(await patch({ 'if-match': '"other"' }, frag('abcd')), 412);
    assert.equal(await patch({ 'if-match': etag }, 'garbage'), 400);
    assert.equal(await patch({ 'if-match': '*' }, 'a=end-of-candidates\r\n'), 422);
    assert.equal(await patch({ 'if-match': etag, 'content-type': 'text/plain' }, frag('abcd')), 415);
    assert.equal(await patch({ 'if-match': '*' }, frag('efgh')), 200);
    assert.equal(await patch({ 'if-match': etag }, frag('efgh')), 412, 'the tag is that of the session before');
    assert.equal((await fetch(resource, { method: 'DELETE' })).status, 200);
    assert.equal(await patch({ 'if-match': '*' }, frag('abcd')), 404);
});

/* The picture of `id` moves; with `heard`, its tone, too. */
async function shows(page, name, id, heard = true, ms = 12000) {
    let first;
    return until(`${name} shows ${id}`, async () => {
        const s = await page.call('seen', name);
        if (s.seen?.id !== id || (heard && Math.abs(s.hz - tone(id)) > 15)) return false;
        first ??= s.seen.count;
        return first !== s.seen.count && s;
    }, ms);
}

const publish = (room, o) => token(o?.identity ?? 'ann', room, { canSubscribe: false, ...o });

test('whip -> whep and livekit-client, trickle and restart', { skip }, async () => {
    const [a, b, { http }] = [await pageA(), await pageB(), await server()];
    const room = newRoom('whip');
    const ben = new Person(b, 'ben', 2);
    try {
        const w = await a.call('whip', 'pub', `${http}/whip`, await publish(room), 21);
        assert.match(w.resource, /\/whip\/WH_[-\w]{20,}$/);
        assert.match(w.etag, /^"[^"]+"$/);
        const v = await b.call('whep', 'view', `${http}/whep/${room}`);
        assert.match(v.layer, /\/layer$/);
        await ben.join(room);
        await Promise.all([shows(b, 'view', 21), sees(ben, { identity: 'ann', id: 21 }), hears(ben, { identity: 'ann', id: 21 })]);
        for (const [page, name] of [[a, 'pub'], [b, 'view']]) {
            const r = await page.call('restart', name);
            assert.ok(r.changed && r.candidates > 0);
            await until('connected again', async () => (await page.call('seen', name)).state === 'connected');
            await shows(b, 'view', 21);
        }
        const info = await (await fetch(v.resource)).json();
        assert.equal(info.live, true);
        assert.equal(info.viewers, 1, 'ben may publish: he is no viewer');
        assert.equal((await fetch(v.resource, { method: 'DELETE' })).status, 200);
        assert.equal((await fetch(v.resource, { method: 'DELETE' })).status, 404);
        await a.call('closeStream', 'pub'); /* DELETE */
        await until('ann has left', async () => (await ben.call('state')).others.length === 0);
    } finally {
        await a.call('closeStream', 'pub', true);
        await b.call('closeStream', 'view', true);
        await ben.leave();
    }
});

test('a whep viewer who came first sees whoever publishes, one after another', { skip }, async () => {
    const [a, b, { http }] = [await pageA(), await pageB(), await server()];
    const room = newRoom('early');
    try {
        await b.call('whep', 'view', `${http}/whep/${room}`);
        await until('connected', async () => (await b.call('seen', 'view')).state === 'connected');
        await a.call('whip', 'pub', `${http}/whip`, await publish(room), 22);
        await shows(b, 'view', 22);
        await a.call('closeStream', 'pub');
        await a.call('whip', 'pub', `${http}/w`, await publish(room), 23, { codec: 'H264' });
        await shows(b, 'view', 23);
    } finally {
        await a.call('closeStream', 'pub', true);
        await b.call('closeStream', 'view', true);
    }
});

test('whip: simulcast by rids that the publisher chose; whep chooses a layer', { skip }, async () => {
    const [a, b, { http }] = [await pageA(), await pageB(), await server()];
    const room = newRoom('layers');
    const encodings = [{ rid: '1', scaleResolutionDownBy: 2, maxBitrate: 200000 }, { rid: '0', maxBitrate: 900000 }];
    try {
        const w = await a.call('whip', 'pub', `${http}/whip`, await publish(room), 24, { encodings, codec: 'VP8' });
        assert.match(w.answer, /a=simulcast:recv 1;0/);
        const v = await b.call('whep', 'view', `${http}/whep/${room}`);
        await shows(b, 'view', 24);
        const width = (n) => until(`a picture ${n} wide`, async () => (await b.call('seen', 'view')).w === n, 15000);
        await width(640);
        await b.call('whepLayer', 'view', 'low');
        await width(320);
        await b.call('whepLayer', 'view', '0');
        await width(640);
        await b.call('whepLayer', 'view', '1');
        await width(320);
        const info = await (await fetch(v.resource)).json();
        assert.deepEqual(info.layers.map((l) => l.rid), ['0', '1']);
        assert.equal(info.layer, 'low');
        assert.equal((await fetch(v.layer, { method: 'POST', body: '{"encodingId":"huge"}' })).status, 404);
        assert.equal((await fetch(v.layer, { method: 'DELETE' })).status, 200);
        await width(640);
        await shows(b, 'view', 24);
    } finally {
        await a.call('closeStream', 'pub', true);
        await b.call('closeStream', 'view', true);
    }
});

test('whip by a stream key: state, reconnect, takeover, key withdrawn', { skip }, async () => {
    const [a, b, { http }] = [await pageA(), await pageB(), await server()];
    const ingress = new IngressClient(http, KEY, SECRET);
    const room = newRoom('keyed');
    const ben = new Person(b, 'ben', 3);
    const info = await ingress.createIngress(IngressInput.WHIP_INPUT, { name: 'cam', roomName: room, participantIdentity: 'cam', participantName: 'Camera' });
    const status = async () => (await ingress.listIngress({ ingressId: info.ingressId }))[0].state.status;
    try {
        await ben.join(room);
        await b.call('whep', 'view', `${http}/whep/${room}`);
        await a.call('whip', 'pub', `${http}/live/${info.streamKey}`, null, 26);
        const cam = { identity: 'cam', id: 26 };
        await Promise.all([shows(b, 'view', 26), sees(ben, cam), hears(ben, cam)]);
        await until('it is on air', async () => (await status()) === IngressState_Status.ENDPOINT_PUBLISHING);
        const before = (await ben.call('state')).others[0];
        assert.equal(before.kind, 1, 'an ingress');

        /* Gone without a word, and back: the same participant, the same tracks, and nobody is told of a leave. */
        await a.call('closeStream', 'pub', true);
        await a.call('whip', 'again', `${http}/whip`, info.streamKey, 27);
        await Promise.all([shows(b, 'view', 27), sees(ben, { identity: 'cam', id: 27 }), hears(ben, { identity: 'cam', id: 27 })]);
        /* Another with the key, while the first is alive: it takes over, and the first one's DELETE ends nothing. */
        await a.call('whip', 'third', `${http}/w`, info.streamKey, 28);
        await Promise.all([shows(b, 'view', 28), sees(ben, { identity: 'cam', id: 28 })]);
        await a.call('closeStream', 'again').catch(() => {});
        await sleep(300);
        await sees(ben, { identity: 'cam', id: 28 });
        const after = (await ben.call('state')).others[0];
        assert.equal(after.sid, before.sid);
        assert.deepEqual(after.tracks.map((t) => t.sid), before.tracks.map((t) => t.sid));
        assert.deepEqual(await ben.log('participantDisconnected'), []);
        assert.deepEqual(await ben.log('trackUnsubscribed'), []);

        await ingress.deleteIngress(info.ingressId);
        await until('it is off', async () => (await ben.call('state')).others.length === 0);
        await assert.rejects(a.call('whip', 'late', `${http}/whip`, info.streamKey, 29), /401/);
    } finally {
        for (const name of ['pub', 'again', 'third', 'late']) await a.call('closeStream', name, true);
        await b.call('closeStream', 'view', true);
        await ben.leave();
    }
});

test("whip from OBS' library: H.264 and Opus, candidates after the answer, key frames when it likes", { skip }, async () => {
    const [b, { http }] = [await pageB(), await server()];
    const ingress = new IngressClient(http, KEY, SECRET);
    const room = newRoom('obs');
    const info = await ingress.createIngress(IngressInput.WHIP_INPUT, { name: 'obs', roomName: room, participantIdentity: 'obs' });
    const ben = new Person(b, 'ben', 3);
    const files = { video: await videoClip('h264', 31), audio: await audioClip(31) };
    let cast;
    try {
        await b.call('whep', 'view', `${http}/whep/${room}`);
        cast = await obs({ url: `${http}/whip`, key: info.streamKey, ...files });
        assert.doesNotMatch(cast.offer, /a=candidate/);
        assert.match(cast.answer, /m=audio[^]*m=video/);
        await shows(b, 'view', 31);
        await ben.join(room);
        await Promise.all([sees(ben, { identity: 'obs', id: 31 }), hears(ben, { identity: 'obs', id: 31 })]);
        assert.equal(await cast.stop(), 200, 'OBS warns of anything else');
        await until('it is gone', async () => (await ben.call('state')).others.length === 0);
    } finally {
        await cast?.stop(true).catch(() => {});
        await b.call('closeStream', 'view', true);
        await ben.leave();
        await ingress.deleteIngress(info.ingressId);
    }
});

test("whip from ffmpeg's muxer", { skip }, async () => {
    const [b, { http }] = [await pageB(), await server()];
    const ingress = new IngressClient(http, KEY, SECRET);
    const room = newRoom('ffmpeg');
    const info = await ingress.createIngress(IngressInput.WHIP_INPUT, { name: 'ff', roomName: room, participantIdentity: 'ff' });
    const file = await muxedClip(34, 8);
    let said = '';
    const feed = (key) => {
        const p = spawn(process.execPath, [fileURLToPath(new URL('../lib/ffmpeg-whip.mjs', import.meta.url)), file, `${http}/whip`, key]);
        for (const s of [p.stdout, p.stderr]) s.on('data', (d) => (said += d));
        p.over = new Promise((ok) => p.on('exit', ok));
        return p;
    };
    let p;
    try {
        await b.call('whep', 'view', `${http}/whep/${room}`);
        p = feed(info.streamKey);
        await until('it is connected', () => said.includes('connected'));
        await shows(b, 'view', 34);
        await shows(b, 'view', 34);
        p.kill('SIGKILL');
        await p.over;
        p = feed('wrong-key');
        assert.equal(await p.over, 1);
        assert.match(said, /connect: .*401|Unauthorized|authorization failed/i);
    } finally {
        p?.kill('SIGKILL');
        await b.call('closeStream', 'view', true);
        await ingress.deleteIngress(info.ingressId);
    }
});

test('whip on the second port, by a publisher that wants to be the DTLS server', { skip }, async () => {
    const b = await pageB();
    const port = await freeTcp();
    const srv = await startServer({ args: ['--ws-port', String(port)] });
    const door = `http://127.0.0.1:${port}`;
    const ingress = new IngressClient(srv.http, KEY, SECRET);
    const files = { video: await videoClip('h264', 32), audio: await audioClip(32) };
    let cast;
    try {
        assert.equal(srv.ready.whip, port);
        assert.equal(await (await fetch(`${door}/health`)).text(), 'OK');
        assert.deepEqual(await (await fetch(`${door}/config.json`)).json(), { wsUrl: `ws://127.0.0.1:${port}/websocket` });
        const info = await ingress.createIngress(IngressInput.WHIP_INPUT, { name: 'x', roomName: 'live', participantIdentity: 'x' });
        cast = await obs({ url: `${door}/any-app/${info.streamKey}`, key: 'unused', setup: 'passive', ...files });
        assert.match(cast.answer, /a=setup:active/);
        await b.call('lightspeed', 'page', `ws://127.0.0.1:${port}/websocket`);
        await shows(b, 'page', 32);
    } finally {
        await cast?.stop(true).catch(() => {});
        await b.call('closeStream', 'page', true);
        assert.equal(await srv.stop(), 0);
    }
});

test("lightspeed's page: info, one offer, picture before or after the publisher, the socket lost", { skip }, async () => {
    const [a, b, { http, ws }] = [await pageA(), await pageB(), await server()];
    try {
        await b.call('lightspeed', 'page', `${ws}/websocket`);
        await until('the offer is answered', async () => (await b.call('seen', 'page')).state === 'connected');
        await b.call('lightspeed', 'other', `${ws}/websocket?port=65535`);
        const first = await b.call('seen', 'page');
        assert.deepEqual(first.events.slice(0, 2), ['info 1', 'offer']);
        const sdp = first.offers[0];
        assert.match(sdp, /m=video[^]*a=mid:0[^]*m=audio[^]*a=mid:1/);
        assert.match(sdp, /a=end-of-candidates/);
        assert.equal(new Set(sdp.match(/a=msid:(\S+)/g)).size, 1, 'one MediaStream');
        await until('both are counted', async () => (await b.call('seen', 'page')).events.includes('info 2'));
        await a.call('whip', 'pub', `${http}/whip`, await publish('live'), 25, { codec: 'H264' });
        await Promise.all([shows(b, 'page', 25), shows(b, 'other', 25)]);
        await b.call('closeStream', 'other');
        await until('one is left', async () => (await b.call('seen', 'page')).events.at(-1) === 'info 1');
        assert.equal((await b.call('seen', 'page')).offers.length, 1);

        /* The media goes on while the socket is away, and after the ICE restart that it comes back with. */
        await b.call('lightspeedDrop', 'page');
        await until('it came back', async () => (await b.call('seen', 'page')).offers.length === 3);
        await shows(b, 'page', 25);
        assert.ok((await b.call('seen', 'page')).gap < 1500, 'no long freeze');
        await assert.rejects(b.call('lightspeed', 'lost', `${ws}/websocket?port=4711`), /refused/);
    } finally {
        for (const name of ['page', 'other', 'lost']) await b.call('closeStream', name, true);
        await a.call('closeStream', 'pub', true);
    }
});
