/*
 * A WHIP publisher as OBS is: its library (libdatachannel), its offer (sound first, sendonly, no candidates, no RTX), H.264 and
 * Opus from files, no answer to requests for key frames, DELETE at the end.
 */
import { randomInt } from 'node:crypto';
import { frames, opusPackets } from './ftl.mjs';

const FRAGMENT = 1200;
const OPUS_MS = 20;
const CONNECT_MS = 8000; /* OBS' own */

class Rtp {
    constructor(track, pt, ssrc) {
        Object.assign(this, { track, pt, ssrc, seq: randomInt(65536) });
    }
    send(payload, ts, marker) {
        const b = Buffer.alloc(12 + payload.length);
        b[0] = 0x80;
        b[1] = this.pt | (marker ? 0x80 : 0);
        b.writeUInt16BE(this.seq, 2);
        b.writeUInt32BE(ts >>> 0, 4);
        b.writeUInt32BE(this.ssrc, 8);
        payload.copy(b, 12);
        this.seq = (this.seq + 1) & 0xffff;
        if (this.track.isOpen()) this.track.sendMessageBinary(b);
    }
    frame(nals, ts) {
        nals.forEach((n, i) => {
            const last = i === nals.length - 1;
            if (n.length <= FRAGMENT) return this.send(n, ts, last);
            for (let at = 1; at < n.length; at += FRAGMENT) {
                const end = at + FRAGMENT >= n.length;
                const head = Buffer.from([(n[0] & 0x60) | 28, (n[0] & 31) | (at === 1 ? 0x80 : 0) | (end ? 0x40 : 0)]);
                this.send(Buffer.concat([head, n.subarray(at, at + FRAGMENT)]), ts, last && end);
            }
            return undefined;
        });
    }
}

/* o: {url, key, video, audio: files, fps, setup: what the offer says of DTLS} -> {answer, status, stop()} */
export async function obs(o) {
    const ndc = await import('node-datachannel');
    const pc = new ndc.PeerConnection('obs', { iceServers: [], disableAutoNegotiation: true });
    const ssrc = [randomInt(1, 2 ** 32), randomInt(1, 2 ** 32)];
    const audio = new ndc.Audio('0', 'SendOnly');
    audio.addOpusCodec(111);
    audio.addSSRC(ssrc[0], 'cname', 'stream', 'stream-audio');
    const video = new ndc.Video('1', 'SendOnly');
    video.addH264Codec(96);
    video.addSSRC(ssrc[1], 'cname', 'stream', 'stream-video');
    const tracks = [pc.addTrack(audio), pc.addTrack(video)];
    const state = { now: 'new' };
    pc.onStateChange((s) => (state.now = s));
    const timers = [];
    pc.setLocalDescription('offer');
    /* OBS gathers when it has the answer; the binding cannot, so what was gathered is kept back. */
    let offer = pc.localDescription().sdp.replace(/a=(candidate:.*|end-of-candidates)\r\n/g, '');
    if (o.setup) offer = offer.replaceAll('a=setup:actpass', `a=setup:${o.setup}`);
    const res = await fetch(o.url, { method: 'POST', headers: { 'content-type': 'application/sdp', authorization: `Bearer ${o.key}`, 'user-agent': 'Mozilla/5.0 (OBS-Studio/30.2.0; Linux x86_64; en-US)' }, body: offer });
    const answer = await res.text();
    const stop = async (quietly) => {
        timers.forEach(clearInterval);
        const gone = quietly || !res.headers.get('location') ? { status: 0 } : await fetch(new URL(res.headers.get('location'), o.url), { method: 'DELETE', headers: { authorization: `Bearer ${o.key}` } });
        pc.close();
        return gone.status;
    };
    if (res.status !== 201) {
        await stop(true);
        throw new Error(`WHIP answered ${res.status}: ${answer}`);
    }
    pc.setRemoteDescription(answer, 'answer');
    await new Promise((ok, no) => {
        const t0 = Date.now();
        const t = setInterval(() => {
            if (state.now === 'connected') {
                clearInterval(t);
                ok();
            } else if (Date.now() - t0 > CONNECT_MS) {
                clearInterval(t);
                no(new Error(`OBS would have given up: ${state.now}`));
            }
        }, 20);
    }).catch(async (e) => {
        await stop(true);
        throw e;
    });
    const pictures = frames(o.video);
    const sounds = opusPackets(o.audio);
    const fps = o.fps ?? 15;
    const [a, v] = [new Rtp(tracks[0], 111, ssrc[0]), new Rtp(tracks[1], 96, ssrc[1])];
    const t0 = Date.now();
    let [frame, packet] = [0, 0];
    const base = [randomInt(2 ** 31), randomInt(2 ** 31)];
    timers.push(
        setInterval(() => {
            const ms = Date.now() - t0;
            for (; packet * OPUS_MS <= ms; packet++) a.send(sounds[packet % sounds.length], base[0] + packet * OPUS_MS * 48, false);
            for (; (frame * 1000) / fps <= ms; frame++) v.frame(pictures[frame % pictures.length], base[1] + Math.round((frame * 90000) / fps));
        }, 5),
    );
    return { answer, offer, stop };
}
