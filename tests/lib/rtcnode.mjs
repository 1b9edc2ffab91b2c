/* @livekit/rtc-node participants with the same marker and tone as the browsers'. */
import { createHash } from 'node:crypto';
import {
    AudioFrame, AudioSource, AudioStream, LocalAudioTrack, LocalVideoTrack, Room, RoomEvent, TrackKind,
    TrackPublishOptions, TrackSource, VideoBufferType, VideoFrame, VideoSource, VideoStream, dispose,
} from '@livekit/rtc-node';
import { drawRgba, readMarker, tone } from './marker.mjs';

export { dispose };

/* The loudest of the senders' tones, by Goertzel, over s16 mono samples; 0 for near silence. */
export function loudest(samples, rate) {
    let best = 0;
    let hz = 0;
    for (let id = 0; id < 64; id++) {
        const k = 2 * Math.cos((2 * Math.PI * tone(id)) / rate);
        let a = 0;
        let b = 0;
        for (const s of samples) {
            const c = s + k * a - b;
            b = a;
            a = c;
        }
        const p = a * a + b * b - k * a * b;
        if (p > best) {
            best = p;
            hz = tone(id);
        }
    }
    return Math.sqrt(best) / samples.length < 100 ? 0 : hz;
}

export class NodeClient {
    constructor() {
        this.room = new Room();
        this.media = new Map();
        this.log = [];
        this.data = [];
        this.texts = [];
        this.bytes = [];
        this.stopped = false;
        this.jobs = [];
    }

    async connect(url, token, o = {}) {
        const { room } = this;
        const on = (ev, f) => room.on(ev, f);
        on(RoomEvent.TrackSubscribed, (t, pub, p) => {
            this.log.push({ name: 'trackSubscribed', args: [pub.sid, p.identity] });
            /* A track that is gone again before its stream is asked for: rtc-node throws. */
            this.receive(t, pub, p).catch((e) => this.log.push({ name: 'trackVanished', args: [pub.sid, e.message] }));
        });
        on(RoomEvent.TrackUnsubscribed, (t, pub) => {
            this.log.push({ name: 'trackUnsubscribed', args: [pub.sid] });
            this.media.delete(pub.sid);
        });
        on(RoomEvent.ParticipantConnected, (p) => this.log.push({ name: 'participantConnected', args: [p.identity] }));
        on(RoomEvent.ParticipantDisconnected, (p) => this.log.push({ name: 'participantDisconnected', args: [p.identity] }));
        on(RoomEvent.Reconnecting, () => this.log.push({ name: 'reconnecting', args: [] }));
        on(RoomEvent.Reconnected, () => this.log.push({ name: 'reconnected', args: [] }));
        on(RoomEvent.Disconnected, (r) => this.log.push({ name: 'disconnected', args: [r] }));
        on(RoomEvent.TrackMuted, (pub, p) => this.log.push({ name: 'trackMuted', args: [pub.sid, p.identity] }));
        on(RoomEvent.TrackUnmuted, (pub, p) => this.log.push({ name: 'trackUnmuted', args: [pub.sid, p.identity] }));
        on(RoomEvent.DataReceived, (payload, p, kind, topic) =>
            this.data.push({ from: p?.identity ?? '', topic: topic ?? '', size: payload.length, hash: hash(payload),
                text: payload.length <= 200 ? Buffer.from(payload).toString() : undefined }));
        room.registerTextStreamHandler('t', async (reader, p) => {
            const text = await reader.readAll();
            this.texts.push({ from: p.identity, size: text.length, hash: hash(Buffer.from(text)) });
        });
        room.registerByteStreamHandler('b', async (reader, p) => {
            const all = Buffer.concat(await reader.readAll());
            this.bytes.push({ from: p.identity, size: all.length, hash: hash(all), name: reader.info.name });
        });
        await room.connect(url, token, { autoSubscribe: o.autoSubscribe ?? true, dynacast: false });
        room.localParticipant.registerRpcMethod('echo', async (d) => `${d.callerIdentity}:${d.payload}`);
        return { sid: await room.getSid(), me: room.localParticipant.sid };
    }

    async receive(track, pub, p) {
        const e = { identity: p.identity, sid: pub.sid, kind: track.kind === TrackKind.KIND_VIDEO ? 'video' : 'audio', frames: 0, seen: null, hz: 0 };
        this.media.set(pub.sid, e);
        if (e.kind === 'video') {
            for await (const { frame } of new VideoStream(track)) {
                if (this.stopped) break;
                e.frames++;
                if (e.frames % 3) continue;
                const f = frame.type === VideoBufferType.I420 ? frame : frame.convert(VideoBufferType.I420);
                const y = f.getPlane(0) ?? f.data;
                e.w = f.width;
                e.h = f.height;
                e.seen = readMarker((x, v) => y[Math.floor(v * f.height) * f.width + Math.floor(x * f.width)]);
            }
        } else {
            const buf = new Int16Array(4800);
            let n = 0;
            for await (const frame of new AudioStream(track, { sampleRate: 48000, numChannels: 1, frameSizeMs: 100 })) {
                if (this.stopped) break;
                e.frames++;
                if (e.frames % 4) continue; /* a quarter of the time is enough */
                const part = frame.data.subarray(0, Math.min(frame.data.length, buf.length - n));
                buf.set(part, n);
                n += part.length;
                if (n === buf.length) {
                    e.hz = loudest(buf, 48000);
                    n = 0;
                }
            }
        }
    }

    look() {
        return [...this.media.values()].map((e) => ({ ...e }));
    }

    async publishVideo(id, o = {}) {
        const w = o.w ?? 320;
        const h = o.h ?? 180;
        const source = new VideoSource(w, h);
        const track = LocalVideoTrack.createVideoTrack('cam', source);
        const options = new TrackPublishOptions({ source: TrackSource.SOURCE_CAMERA, simulcast: o.simulcast ?? false, ...(o.codec !== undefined ? { videoCodec: o.codec } : {}) });
        let n = 0;
        const rgba = new Uint8Array(w * h * 4);
        const timer = setInterval(() => {
            drawRgba(rgba, w, h, id, n++);
            source.captureFrame(new VideoFrame(rgba, w, h, VideoBufferType.RGBA));
        }, 1000 / (o.fps ?? 15));
        this.jobs.push(() => clearInterval(timer));
        const pub = await this.room.localParticipant.publishTrack(track, options);
        this.video = pub;
        return pub.sid;
    }

    async publishAudio(id) {
        const source = new AudioSource(48000, 1);
        const track = LocalAudioTrack.createAudioTrack('mic', source);
        const options = new TrackPublishOptions({ source: TrackSource.SOURCE_MICROPHONE, dtx: false });
        let n = 0;
        let on = true;
        this.jobs.push(() => {
            on = false;
        });
        const feed = async () => {
            while (on) {
                const d = new Int16Array(960);
                for (let i = 0; i < 960; i++, n++) d[i] = 12000 * Math.sin((2 * Math.PI * tone(id) * n) / 48000);
                await source.captureFrame(new AudioFrame(d, 48000, 1, 960));
            }
        };
        const pub = await this.room.localParticipant.publishTrack(track, options);
        feed().catch(() => {});
        this.audio = pub;
        return pub.sid;
    }

    sendData(size, seed, o = {}) {
        const b = fill(size, seed);
        return this.room.localParticipant.publishData(b, { reliable: o.reliable ?? true, topic: o.topic, destination_identities: o.to }).then(() => hash(b));
    }

    async leave() {
        this.stopped = true;
        for (const j of this.jobs) j();
        await this.room.disconnect();
    }
}

export function fill(size, seed) {
    const b = new Uint8Array(size);
    for (let i = 0; i < size; i++) b[i] = (i * 31 + seed * 7 + (i >> 8)) & 255;
    return b;
}

export const hash = (b) => createHash('sha256').update(b).digest('hex');
