/* What runs in the browsers of the tests: window.T, whose methods take and give plain JSON. */
import * as lk from 'livekit-client';
import { bits, BLOCKS, colourOf, readMarker, tone } from '../lib/marker.mjs';
import { broadcast } from './broadcast.js';

const rooms = new Map();
let audio;

function ctx() {
    audio ??= new AudioContext();
    if (audio.state !== 'running') audio.resume();
    return audio;
}

/* Firefox without any sound device never starts an AudioContext: its audio is judged by what
 * its receivers decode, and it publishes its fake device. */
async function audible() {
    ctx();
    for (let i = 0; i < 10 && audio.state !== 'running'; i++) await new Promise((ok) => setTimeout(ok, 50));
    return audio.state === 'running';
}

async function heard(e) {
    if (ctx().state === 'running') return { hz: lookAudio(e) };
    for (const s of (await e.track.receiver.getStats()).values())
        if (s.type === 'inbound-rtp') return { packets: s.packetsReceived, samples: s.totalSamplesReceived };
    return {};
}

function get(name) {
    const r = rooms.get(name);
    if (!r) throw new Error(`no room ${name}`);
    return r;
}

function publisher(r, sid) {
    for (const p of r.room.remoteParticipants.values()) {
        for (const pub of p.trackPublications.values()) if (pub.trackSid === sid) return pub;
    }
    return undefined;
}

function attach(r, track, pub, p) {
    const el = track.attach();
    el.muted = true;
    el.style.cssText = 'width:80px;height:45px';
    document.body.append(el);
    const entry = { el, kind: track.kind, identity: p.identity, sid: pub.trackSid, source: pub.source };
    if (track.kind === 'audio') {
        entry.track = track;
        entry.node = ctx().createMediaStreamSource(new MediaStream([track.mediaStreamTrack]));
        entry.an = ctx().createAnalyser();
        entry.an.fftSize = 8192;
        entry.an.smoothingTimeConstant = 0;
        entry.node.connect(entry.an);
    } else {
        watchFreeze(entry);
    }
    r.media.set(pub.trackSid, entry);
}

/* The longest time between two frames shown, from the second frame on. */
function watchFreeze(e) {
    e.frames = 0;
    e.gap = 0;
    e.last = 0;
    const step = (now) => {
        if (e.last && e.frames > 1) e.gap = Math.max(e.gap, now - e.last);
        e.last = now;
        e.frames++;
        e.el.requestVideoFrameCallback(step);
    };
    e.el.requestVideoFrameCallback(step);
}

function detach(r, sid) {
    const e = r.media.get(sid);
    if (!e) return;
    e.node?.disconnect();
    e.el.remove();
    r.media.delete(sid);
}

function remember(r, name, ...args) {
    r.log.push({ t: Math.round(performance.now()), name, args });
    if (r.log.length > 3000) r.log.shift();
}

function listen(r) {
    const { room } = r;
    const on = (ev, f) => room.on(ev, f);
    const E = lk.RoomEvent;
    on(E.TrackSubscribed, (t, pub, p) => {
        remember(r, 'trackSubscribed', pub.trackSid, p.identity);
        attach(r, t, pub, p);
    });
    on(E.TrackUnsubscribed, (t, pub) => {
        remember(r, 'trackUnsubscribed', pub.trackSid);
        detach(r, pub.trackSid);
    });
    for (const ev of [E.Connected, E.Reconnecting, E.SignalReconnecting, E.Reconnected])
        on(ev, () => remember(r, ev));
    on(E.Disconnected, (reason) => remember(r, 'disconnected', lk.DisconnectReason[reason]));
    on(E.ParticipantConnected, (p) => remember(r, 'participantConnected', p.identity));
    on(E.ParticipantDisconnected, (p) => remember(r, 'participantDisconnected', p.identity));
    on(E.TrackPublished, (pub, p) => remember(r, 'trackPublished', pub.trackSid, p.identity));
    on(E.TrackUnpublished, (pub, p) => remember(r, 'trackUnpublished', pub.trackSid, p.identity));
    on(E.LocalTrackUnpublished, (pub) => remember(r, 'localTrackUnpublished', pub.trackSid));
    on(E.LocalTrackSubscribed, (pub) => remember(r, 'localTrackSubscribed', pub.trackSid));
    on(E.TrackMuted, (pub, p) => remember(r, 'trackMuted', pub.trackSid, p.identity));
    on(E.TrackUnmuted, (pub, p) => remember(r, 'trackUnmuted', pub.trackSid, p.identity));
    on(E.ActiveSpeakersChanged, (s) => remember(r, 'speakers', s.map((p) => p.identity)));
    on(E.RoomMetadataChanged, (m) => remember(r, 'roomMetadata', m));
    on(E.ParticipantMetadataChanged, (old, p) => remember(r, 'metadata', p.identity, p.metadata));
    on(E.ParticipantNameChanged, (n, p) => remember(r, 'name', p.identity, n));
    on(E.ParticipantAttributesChanged, (a, p) => remember(r, 'attributes', p.identity, a));
    on(E.ParticipantPermissionsChanged, (old, p) =>
        remember(r, 'permissions', p.identity, p.permissions?.canPublish));
    on(E.ConnectionQualityChanged, (q, p) => remember(r, 'quality', p.identity, q));
    on(E.DataReceived, async (data, p, kind, topic) => {
        const h = await digest(data);
        r.data.push({ from: p?.identity ?? '', topic: topic ?? '', size: data.length, hash: h,
            text: data.length <= 200 ? new TextDecoder().decode(data) : undefined,
            reliable: kind === lk.DataPacket_Kind.RELIABLE });
    });
}

async function digest(bytes) {
    const d = await crypto.subtle.digest('SHA-256', bytes);
    return [...new Uint8Array(d)].map((b) => b.toString(16).padStart(2, '0')).join('');
}

function fill(size, seed) {
    const b = new Uint8Array(size);
    for (let i = 0; i < size; i++) b[i] = (i * 31 + seed * 7 + (i >> 8)) & 255;
    return b;
}

function canvasTrack(r, id, w, h, fps) {
    const c = document.createElement('canvas');
    c.width = w;
    c.height = h;
    const g = c.getContext('2d');
    let n = 0;
    const draw = () => {
        n++;
        const rows = [bits(id), bits(n & 255)];
        for (let y = 0; y < 2; y++)
            for (let x = 0; x < BLOCKS; x++) {
                g.fillStyle = rows[y][x] ? '#fff' : '#000';
                g.fillRect((x * w) / BLOCKS, (y * h) / 3, w / BLOCKS + 1, h / 3 + 1);
            }
        g.fillStyle = `rgb(${colourOf(id).join(',')})`;
        g.fillRect(0, (2 * h) / 3, w, h / 3 + 1);
        g.fillStyle = '#fff';
        g.fillRect(((n % 50) / 50) * w, (2 * h) / 3, w / 10, h / 3 + 1);
    };
    draw();
    r.timers.push(setInterval(draw, 1000 / fps));
    return c.captureStream(fps).getVideoTracks()[0];
}

const small = document.createElement('canvas');
small.width = 160;
small.height = 90;
const sg = small.getContext('2d', { willReadFrequently: true });

function lookVideo(e) {
    const el = e.el;
    if (el.readyState < 2 || !el.videoWidth) return null;
    sg.drawImage(el, 0, 0, 160, 90);
    const px = sg.getImageData(0, 0, 160, 90).data;
    return readMarker((x, y) => {
        const o = (Math.floor(y * 90) * 160 + Math.floor(x * 160)) * 4;
        return 0.3 * px[o] + 0.6 * px[o + 1] + 0.1 * px[o + 2];
    });
}

function lookAudio(e) {
    const d = new Float32Array(e.an.frequencyBinCount);
    e.an.getFloatFrequencyData(d);
    let best = 0;
    for (let i = 1; i < d.length; i++) if (d[i] > d[best]) best = i;
    return d[best] < -70 ? 0 : (best * ctx().sampleRate) / e.an.fftSize;
}

const T = {
    lk,
    get,

    async connect(name, url, token, o = {}) {
        const room = new lk.Room({
            singlePeerConnection: o.single ?? true,
            adaptiveStream: o.adaptiveStream ?? false,
            dynacast: o.dynacast ?? false,
            ...(o.room ?? {}),
        });
        const r = { room, media: new Map(), data: [], log: [], timers: [], rpc: [], texts: [], bytes: [] };
        rooms.set(name, r);
        listen(r);
        room.registerTextStreamHandler('t', async (reader, p) => {
            const text = await reader.readAll();
            r.texts.push({ from: p.identity, size: text.length, hash: await digest(new TextEncoder().encode(text)) });
        });
        room.registerByteStreamHandler('b', async (reader, p) => {
            const all = new Uint8Array(await new Blob(await reader.readAll()).arrayBuffer());
            r.bytes.push({ from: p.identity, size: all.length, hash: await digest(all), name: reader.info.name });
        });
        room.registerRpcMethod('echo', async (d) => `${d.callerIdentity}:${d.payload}`);
        room.registerRpcMethod('fail', async () => {
            throw new lk.RpcError(1234, 'no such luck', 'detail');
        });
        await room.connect(url, token, {
            autoSubscribe: o.autoSubscribe ?? true,
            ...(o.connect ?? {}),
        });
        return { sid: await room.getSid(), me: room.localParticipant.sid };
    },

    /* How the connections reach the server: the protocol of each selected pair. */
    async paths(name) {
        const m = get(name).room.engine.pcManager;
        const found = [];
        for (const t of [m.publisher, m.subscriber])
            for (const s of t ? [...(await t.getStats()).values()] : [])
                if (s.type === 'candidate-pair' && s.nominated && s.state === 'succeeded') {
                    const all = await t.getStats();
                    found.push(all.get(s.localCandidateId)?.protocol);
                }
        return found;
    },

    simulate: (name, what) => get(name).room.simulateScenario(what),

    async publishVideo(name, id, o = {}) {
        const r = get(name);
        const track = canvasTrack(r, id, o.w ?? 640, o.h ?? 360, o.fps ?? 15);
        const pub = await r.room.localParticipant.publishTrack(track, {
            name: o.name ?? 'cam',
            source: o.source ?? lk.Track.Source.Camera,
            simulcast: o.simulcast ?? true,
            videoCodec: o.codec ?? 'vp8',
            ...(o.svc && { scalabilityMode: o.svc }),
            backupCodec: false,
            ...(o.publish ?? {}),
        });
        return pub.trackSid;
    },

    async publishAudio(name, id, o = {}) {
        const r = get(name);
        const options = { name: 'mic', source: lk.Track.Source.Microphone, dtx: false, ...(o.publish ?? {}) };
        if (!(await audible())) {
            const s = await navigator.mediaDevices.getUserMedia({ audio: true });
            return (await r.room.localParticipant.publishTrack(s.getAudioTracks()[0], options)).trackSid;
        }
        const osc = ctx().createOscillator();
        const gain = ctx().createGain();
        const dst = ctx().createMediaStreamDestination();
        osc.frequency.value = tone(id);
        gain.gain.value = 0.4;
        osc.connect(gain).connect(dst);
        osc.start();
        r.timers.push(() => osc.stop());
        const pub = await r.room.localParticipant.publishTrack(dst.stream.getAudioTracks()[0], options);
        return pub.trackSid;
    },

    async publishDevices(name) {
        await get(name).room.localParticipant.enableCameraAndMicrophone();
        return true;
    },

    /* What is seen and heard right now. */
    look(name) {
        const r = get(name);
        return Promise.all([...r.media.values()].map(async (e) =>
            e.kind === 'video'
                ? { identity: e.identity, sid: e.sid, kind: e.kind, source: e.source, seen: lookVideo(e),
                    w: e.el.videoWidth, h: e.el.videoHeight, frames: e.frames, gap: e.gap,
                    since: e.last ? performance.now() - e.last : -1 }
                : { identity: e.identity, sid: e.sid, kind: e.kind, source: e.source, ...(await heard(e)) },
        ));
    },

    resetGap(name) {
        for (const e of get(name).media.values()) e.gap = 0;
    },

    log(name) {
        return get(name).log;
    },

    state(name) {
        const { room } = get(name);
        const info = (p) => ({ sid: p.sid, identity: p.identity, name: p.name, metadata: p.metadata,
            attributes: p.attributes, kind: p.kind, canPublish: p.permissions?.canPublish,
            tracks: [...p.trackPublications.values()].map((t) => ({ sid: t.trackSid, kind: t.kind,
                source: t.source, muted: t.isMuted, mime: t.mimeType, subscribed: t.isSubscribed,
                name: t.trackName, simulcasted: t.simulcasted, w: t.dimensions?.width })) });
        return { state: room.state, name: room.name, metadata: room.metadata, numParticipants: room.numParticipants,
            me: info(room.localParticipant), others: [...room.remoteParticipants.values()].map(info),
            speakers: room.activeSpeakers.map((p) => p.identity) };
    },

    async subscribe(name, sid, yes) {
        const pub = publisher(get(name), sid);
        if (!pub) throw new Error(`no track ${sid}`);
        pub.setSubscribed(yes);
    },

    async mute(name, source, yes) {
        const pub = get(name).room.localParticipant.getTrackPublication(source);
        await (yes ? pub.mute() : pub.unmute());
    },

    async unpublish(name, source) {
        const p = get(name).room.localParticipant;
        await p.unpublishTrack(p.getTrackPublication(source).track);
    },

    async sendData(name, size, seed, o = {}) {
        const b = fill(size, seed);
        await get(name).room.localParticipant.publishData(b, o);
        return digest(b);
    },
    fillDigest: (size, seed) => digest(fill(size, seed)),
    data: (name) => get(name).data,

    rpc: (name, to, method, payload, ms = 8000) =>
        get(name).room.localParticipant
            .performRpc({ destinationIdentity: to, method, payload, responseTimeout: ms })
            .then((v) => ({ ok: v }), (e) => ({ code: e.code, message: e.message, data: e.data })),

    async sendText(name, size, seed, o = {}) {
        let s = '';
        while (s.length < size) s += `line ${seed} ${s.length} \u00e9\n`;
        s = s.slice(0, size);
        await get(name).room.localParticipant.sendText(s, { topic: 't', ...o });
        return digest(new TextEncoder().encode(s));
    },
    async sendBytes(name, size, seed, o = {}) {
        const b = fill(size, seed);
        await get(name).room.localParticipant.sendFile(new File([b], 'f.bin'), { topic: 'b', ...o });
        return digest(b);
    },
    streams: (name) => ({ texts: get(name).texts, bytes: get(name).bytes }),

    async setMe(name, what) {
        const p = get(name).room.localParticipant;
        if (what.name !== undefined) await p.setName(what.name);
        if (what.metadata !== undefined) await p.setMetadata(what.metadata);
        if (what.attributes !== undefined) await p.setAttributes(what.attributes);
    },

    async leave(name) {
        const r = rooms.get(name);
        if (!r) return;
        for (const t of r.timers) typeof t === 'function' ? t() : clearInterval(t);
        await r.room.disconnect();
        for (const sid of [...r.media.keys()]) detach(r, sid);
        rooms.delete(name);
    },

    async leaveAll() {
        for (const name of [...rooms.keys()]) await T.leave(name);
    },
};
Object.assign(T, broadcast({ ctx, canvasTrack, watchFreeze, lookVideo, lookAudio, audible }));
window.T = T;
lk.setLogLevel('warn');
