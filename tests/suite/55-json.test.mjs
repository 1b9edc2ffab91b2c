/*
 * A script with only a WebSocket and JSON text frames, as the first README of the originals
 * promises: it walks join, offer, answer and trickle.
 */
import { SignalRequest } from '@livekit/protocol';
import { assert, newRoom, server, sleep, test, token, until } from '../lib/kit.mjs';
import { signal } from '../lib/raw.mjs';
import { ORIGINAL } from '../lib/server.mjs';

const skip = ORIGINAL ? '?format=json is sluice\'s own' : false;
const json = { query: '&format=json&protocol=17' };

const ICE = ['a=ice-ufrag:abcd', `a=ice-pwd:${'p'.repeat(24)}`, `a=fingerprint:sha-256 ${Array(32).fill('AA').join(':')}`];
const TOP = ['v=0', 'o=- 4711 2 IN IP4 127.0.0.1', 's=-', 't=0 0'];
const sdp = (lines) => `${lines.flat(3).join('\r\n')}\r\n`;
const OFFER = sdp([TOP, 'a=group:BUNDLE 0 1', 'a=msid-semantic: WMS *',
    'm=audio 9 UDP/TLS/RTP/SAVPF 111', 'c=IN IP4 0.0.0.0', 'a=rtcp:9 IN IP4 0.0.0.0', 'a=mid:0', 'a=sendonly', 'a=msid:s mic', 'a=rtcp-mux', 'a=rtpmap:111 opus/48000/2', 'a=fmtp:111 minptime=10;useinbandfec=1', 'a=ssrc:1234 cname:c', 'a=ssrc:1234 msid:s mic', 'a=setup:actpass', ICE,
    'm=application 9 UDP/DTLS/SCTP webrtc-datachannel', 'c=IN IP4 0.0.0.0', 'a=mid:1', 'a=sctp-port:5000', 'a=max-message-size:262144', 'a=setup:actpass', ICE]);

const sections = (text) => text.split(/(?=^m=)/m).slice(1);
const value = (text, key) => new RegExp(`^a=${key}:(.*?)\r?$`, 'm').exec(text)?.[1];

/* The answer of a client that takes everything. */
const answer_to = (offer) =>
    sdp([TOP, `a=group:BUNDLE ${sections(offer).map((m) => value(m, 'mid')).join(' ')}`,
        sections(offer).map((m) => [m.split('\r\n')[0], 'c=IN IP4 0.0.0.0', `a=mid:${value(m, 'mid')}`, 'a=setup:active', ICE,
            ...(m.startsWith('m=application') ? ['a=sctp-port:5000', 'a=max-message-size:262144'] : ['a=recvonly', 'a=rtcp-mux', ...m.match(/^a=rtpmap:.*(?=\r)/gm)])])]);

const joined = async (who, room, o = json, grants = {}) => signal((await server()).ws, await token(who, room, grants), o);

test('json: join, offer, answer and trickle with text frames alone', { skip }, async () => {
    const room = newRoom('json');
    const c = await joined('ann', room);
    assert.equal(c.kinds[0], 'join', 'subtlety 1: join is the first frame');
    const j = c.join;
    assert.match(j.participant.sid, /^PA_/);
    assert.match(j.room.sid, /^RM_/);
    assert.deepEqual([j.participant.identity, j.participant.state, j.room.name, j.subscriberPrimary], ['ann', 'JOINED', room, true]);
    assert.ok(j.pingInterval > 0 && j.pingTimeout > j.pingInterval, 'subtlety 14');
    assert.match(j.serverVersion, /^1\.(1[0-3]|[89])\.\d+$/, 'subtlety 24');
    assert.ok(j.serverInfo.version === j.serverVersion);
    assert.equal(typeof j.room.creationTimeMs, 'string', '64 bits are text');
    await c.find('refreshToken');
    assert.ok(c.kinds.indexOf('refreshToken') < 4, 'subtlety 13');

    const offer = await c.find('offer');
    assert.equal(offer.type, 'offer');
    assert.match(offer.sdp, /^m=application /m);
    assert.ok(Number(value(offer.sdp, 'max-message-size')) <= 65535, 'subtlety 22');
    c.json({ answer: { type: 'answer', sdp: answer_to(offer.sdp), id: offer.id } });
    c.json({ trickle: { candidateInit: JSON.stringify({ candidate: 'candidate:1 1 udp 2130706431 127.0.0.1 9 typ host', sdpMid: '0', sdpMLineIndex: 0 }), target: 'SUBSCRIBER' } });

    const candidates = await until('all candidates', () => {
        const l = c.got.filter((m) => m.trickle).map((m) => m.trickle);
        return l.some((t) => t.final) && l;
    });
    for (const [i, t] of candidates.entries()) {
        const init = JSON.parse(t.candidateInit);
        assert.deepEqual([typeof init.candidate, init.sdpMid, init.sdpMLineIndex, t.target ?? 'PUBLISHER', t.final ?? false], ['string', '0', 0, 'SUBSCRIBER', i === candidates.length - 1], 'subtlety 15');
    }

    c.json({ addTrack: { cid: 'mic', name: 'mine', type: 'AUDIO', source: 'MICROPHONE' } });
    const published = await c.find('trackPublished');
    assert.deepEqual([published.cid, published.track.name, published.track.source, published.track.type ?? 'AUDIO'], ['mic', 'mine', 'MICROPHONE', 'AUDIO']);
    assert.match(published.track.sid, /^TR_AM/);
    c.json({ offer: { type: 'offer', sdp: OFFER, id: 77 } });
    const answer = await c.find('answer');
    assert.deepEqual([answer.type, answer.id], ['answer', 77], 'subtlety 6');
    assert.deepEqual(sections(answer.sdp).map((m) => value(m, 'mid')), ['0', '1']);
    assert.ok(Number(value(answer.sdp, 'max-message-size')) <= 65535, 'subtlety 22');
    assert.equal(value(answer.sdp, 'setup'), 'passive');
    c.json({ trickle: { candidateInit: '{"candidate":"","sdpMid":"0","sdpMLineIndex":0}', target: 'PUBLISHER', final: true } });

    c.json({ ping: `${Date.now()}` });
    c.json({ pingReq: { timestamp: '123456789012345', rtt: '1' } });
    const pong = await c.find('pong');
    assert.equal(typeof pong, 'string');
    assert.ok(Math.abs(Number(pong) - Date.now()) < 60000, 'milliseconds');
    assert.equal((await c.find('pongResp')).lastPingTimestamp, '123456789012345');
    c.json({ leave: { reason: 'CLIENT_INITIATED', action: 'DISCONNECT' } });
    assert.equal(await c.closed, 1000);
    assert.equal((await c.find('leave')).action ?? 'DISCONNECT', 'DISCONNECT', 'subtlety 16');
    assert.deepEqual([...new Set(c.forms)], ['json'], 'every frame was text');
});

test('json: names in both spellings, enums as words and as numbers, unknown names', { skip }, async () => {
    const c = await joined('ann', newRoom('json'));
    c.json({ add_track: { cid: 'a', type: 0, source: 2, disable_red: true, nobody_knows: [{ x: 1 }] }, future: {} });
    c.json({ addTrack: { cid: 'b', type: 'VIDEO', source: 'CAMERA', width: 640, height: '360', layers: [{ quality: 'HIGH', width: 640, height: 360, bitrate: 500000 }] } });
    await until('both', () => c.count('trackPublished') === 2, 3000);
    const [a, b] = c.got.filter((m) => m.trackPublished).map((m) => m.trackPublished.track);
    assert.deepEqual([a.source, a.disableRed, b.type, b.width, b.height, b.layers[0].quality], ['MICROPHONE', true, 'VIDEO', 640, 360, 'HIGH']);
    c.json({ mute: { sid: 'TR_none', muted: true } });
    assert.equal((await c.find('requestResponse')).reason, 'NOT_FOUND');
    c.json({ update_metadata: { metadata: 'it\'s "quoted" \u{1F600}', request_id: 9 } });
    await until('answered', () => c.got.some((m) => m.requestResponse?.requestId === 9), 3000);
    await c.leave();
});

test('json: without the word protobuf comes first, and the form follows the last question', { skip }, async () => {
    const c = await joined('ann', newRoom('json'), {});
    assert.equal(c.forms[0], 'protobuf');
    const answer = async (n) => (await until(`pong ${n}`, () => c.got.findIndex((m) => m.pongResp?.lastPingTimestamp === `${n}`) + 1, 3000)) - 1;
    c.json({ pingReq: { timestamp: '1' } });
    assert.equal(c.forms[await answer(1)], 'json');
    c.ws.send(new SignalRequest({ message: { case: 'pingReq', value: { timestamp: 2n } } }).toBinary());
    assert.equal(c.forms[await answer(2)], 'protobuf');
    c.ws.send(Buffer.from('{"pingReq":{"timestamp":"3"}}')); /* JSON in a binary frame is none */
    c.json({ pingReq: { timestamp: '4' } });
    assert.equal(c.forms[await answer(4)], 'json');
    assert.ok(!c.got.some((m) => m.pongResp?.lastPingTimestamp === '3'));
    await c.leave();
});

test('json: resume answers reconnect first; an unknown participant is told to start over', { skip }, async () => {
    const room = newRoom('json');
    const stray = await joined('nobody', room, { query: '&format=json&protocol=17&reconnect=1&sid=PA_none', resume: true });
    assert.equal(await stray.closed, 1000);
    assert.deepEqual(stray.kinds, ['leave'], 'subtlety 8');
    assert.deepEqual([stray.got[0].leave.reason, stray.got[0].leave.action], ['STATE_MISMATCH', 'RECONNECT']);

    const a = await joined('ann', room);
    const t = await a.find('refreshToken');
    const b = await signal((await server()).ws, t, { query: `&format=json&protocol=17&reconnect=1&sid=${a.join.participant.sid}`, resume: true });
    await b.find('reconnect');
    assert.equal(b.kinds[0], 'reconnect', 'subtlety 8');
    await b.find('refreshToken');
    assert.equal(await a.closed, 1000, 'the old socket ends');
    assert.ok(!a.kinds.includes('leave'), 'and is not told to leave');
    await b.leave();
});

test('json: what a token leaves out', { skip }, async () => {
    const room = newRoom('json');
    const p = async (grants) => {
        const c = await joined('ann', room, json, grants);
        await c.leave();
        const x = c.join.participant.permission;
        return [x.canSubscribe ?? false, x.canPublish ?? false, x.canPublishData ?? false, x.canUpdateMetadata ?? false, x.canPublishSources ?? []];
    };
    const none = { canUpdateOwnMetadata: undefined };
    assert.deepEqual(await p(none), [true, true, true, false, []], 'subtlety 12');
    assert.deepEqual(await p({ ...none, canPublish: false }), [true, false, false, false, []]);
    assert.deepEqual(await p({ ...none, canPublish: false, canPublishData: true }), [true, false, true, false, []]);
    assert.deepEqual(await p({ ...none, canSubscribe: false, canPublishSources: [1, 2] }), [false, true, true, false, ['CAMERA', 'MICROPHONE']]);
});

test('json: single connection: the client\'s offer is answered, and no offer is ever sent', { skip }, async () => {
    const room = newRoom('json');
    const { JoinRequest, WrappedJoinRequest } = await import('@livekit/protocol');
    const req = new JoinRequest({ clientInfo: { protocol: 17 }, connectionSettings: { autoSubscribe: true }, addTrackRequests: [{ cid: 'mic', type: 0, source: 2 }], publisherOffer: { type: 'offer', sdp: OFFER, id: 5 } });
    const wrapped = encodeURIComponent(Buffer.from(new WrappedJoinRequest({ joinRequest: req.toBinary() }).toBinary()).toString('base64').replaceAll('+', '-').replaceAll('/', '_'));
    const c = await joined('ann', room, { path: '/rtc/v1', query: `&format=json&join_request=${wrapped}` });
    const answer = await c.find('answer');
    assert.equal(answer.id, 5, 'subtlety 6');
    await c.find('trackPublished');
    assert.deepEqual(sections(answer.sdp).map((m) => [value(m, 'mid'), /^a=recvonly\r?$/m.test(m)]), [['0', true], ['1', false]]);
    await sleep(400);
    assert.ok(!c.kinds.includes('offer'), 'subtlety 3');
    assert.deepEqual([...new Set(c.forms)], ['json']);
    await c.leave();
});
