/* Publishers over WHIP, viewers over WHEP and a page of Project Lightspeed, by the library that
 * wrote the drafts (whip-whep) and by the letter of the contract. */
import { WHEPClient } from 'whip-whep/whep.js';
import { WHIPClient } from 'whip-whep/whip.js';
import { tone } from '../lib/marker.mjs';

const open = new Map();

function get(name) {
    const s = open.get(name);
    if (!s) throw new Error(`no stream ${name}`);
    return s;
}

export function broadcast({ ctx, canvasTrack, watchFreeze, lookVideo, lookAudio, audible }) {
    async function toneTrack(s, id) {
        await audible();
        const osc = ctx().createOscillator();
        const gain = ctx().createGain();
        const dst = ctx().createMediaStreamDestination();
        osc.frequency.value = tone(id);
        gain.gain.value = 0.4;
        osc.connect(gain).connect(dst);
        osc.start();
        s.timers.push(() => osc.stop());
        return dst.stream.getAudioTracks()[0];
    }

    /* What arrives becomes something to look at. */
    function show(s, pc) {
        pc.ontrack = (ev) => {
            const { track } = ev;
            const old = s.media[track.kind];
            if (old) {
                old.el?.remove();
                old.node?.disconnect();
            }
            s.streams.push(ev.streams.map((x) => x.id));
            const el = document.createElement(track.kind);
            el.muted = true;
            el.autoplay = true;
            el.playsInline = true;
            el.style.cssText = 'width:80px;height:45px';
            el.srcObject = new MediaStream([track]);
            document.body.append(el);
            el.play().catch(() => {});
            const e = (s.media[track.kind] = { el, kind: track.kind });
            if (track.kind === 'video') return watchFreeze(e);
            e.node = ctx().createMediaStreamSource(new MediaStream([track]));
            e.an = ctx().createAnalyser();
            e.an.fftSize = 8192;
            e.an.smoothingTimeConstant = 0;
            e.node.connect(e.an);
            return undefined;
        };
    }

    const fresh = (name) => {
        const s = { timers: [], media: {}, streams: [], events: [], offers: [] };
        open.set(name, s);
        return s;
    };

    return {
        /* o: codec, w, h, fps, encodings, audio, tamper: [from, to] in the offer */
        async whip(name, url, bearer, id, o = {}) {
            const s = fresh(name);
            s.pc = new RTCPeerConnection();
            s.client = new WHIPClient();
            if (o.tamper) s.client.onOffer = (sdp) => sdp.replaceAll(o.tamper[0], o.tamper[1]);
            const video = canvasTrack(s, id, o.w ?? 640, o.h ?? 360, o.fps ?? 15);
            if (o.audio !== false) s.pc.addTransceiver(await toneTrack(s, id), { direction: 'sendonly' });
            const tv = s.pc.addTransceiver(video, { direction: 'sendonly', sendEncodings: o.encodings });
            const all = RTCRtpSender.getCapabilities('video').codecs;
            if (o.codec)
                tv.setCodecPreferences(all.filter((c) => c.mimeType === `video/${o.codec}` || c.mimeType === 'video/rtx'));
            await s.client.publish(s.pc, url, bearer ?? undefined);
            return { resource: String(s.client.resourceURL), etag: s.client.etag, answer: s.pc.remoteDescription.sdp };
        },

        async whep(name, url, bearer, o = {}) {
            const s = fresh(name);
            s.pc = new RTCPeerConnection();
            s.client = new WHEPClient();
            show(s, s.pc);
            if (o.audio !== false) s.pc.addTransceiver('audio', { direction: 'recvonly' });
            s.pc.addTransceiver('video', { direction: 'recvonly' });
            await s.client.view(s.pc, url, bearer ?? undefined);
            return { resource: String(s.client.resourceURL), layer: String(s.client.layerUrl ?? ''), answer: s.pc.remoteDescription.sdp };
        },
        whepLayer: (name, layer) => get(name).client.selectLayer({ encodingId: layer }),
        /* RFC 9725 s4.3.3.  By hand: the library joins several candidates with commas. */
        async restart(name) {
            const { pc, client } = get(name);
            const offer = await pc.createOffer({ iceRestart: true });
            await pc.setLocalDescription(offer);
            const line = (sdp, key) => sdp.match(new RegExp(`a=${key}:(.*)\r\n`))[1];
            const mid = pc.getTransceivers()[0].mid;
            const res = await fetch(client.resourceURL, {
                method: 'PATCH',
                headers: { 'content-type': 'application/trickle-ice-sdpfrag', 'if-match': '*' },
                body: `a=ice-ufrag:${line(offer.sdp, 'ice-ufrag')}\r\na=ice-pwd:${line(offer.sdp, 'ice-pwd')}\r\nm=audio 9 RTP/AVP 0\r\na=mid:${mid}\r\n`,
            });
            const etag = res.headers.get('etag');
            const frag = await res.text();
            if (res.status !== 200) throw new Error(`restart: ${res.status} ${frag}`);
            const sdp = pc.remoteDescription.sdp
                .replaceAll(/a=ice-ufrag:.*\r\n/g, `a=ice-ufrag:${line(frag, 'ice-ufrag')}\r\n`)
                .replaceAll(/a=ice-pwd:.*\r\n/g, `a=ice-pwd:${line(frag, 'ice-pwd')}\r\n`);
            await pc.setRemoteDescription({ type: 'answer', sdp });
            const changed = etag !== client.etag;
            client.etag = etag;
            return { status: res.status, changed, candidates: (frag.match(/a=candidate:/g) ?? []).length };
        },

        /* As the page of the originals does (ftl-lightspeed.md 2.3): one peer connection for good. */
        async lightspeed(name, url) {
            const s = fresh(name);
            s.pc = new RTCPeerConnection();
            show(s, s.pc);
            const connect = () => {
                const ws = (s.ws = new WebSocket(url));
                s.pc.onicecandidate = (e) =>
                    e.candidate && ws.readyState === 1 && ws.send(JSON.stringify({ event: 'candidate', data: e.candidate }));
                ws.onmessage = async (m) => {
                    const msg = JSON.parse(m.data);
                    if (!msg || !msg.data) return;
                    s.events.push(msg.event === 'info' ? `info ${msg.data.no_connections}` : msg.event);
                    /* The original trickles, sometimes before it offers. */
                    if (msg.event === 'candidate') (s.early ??= []).push(msg.data);
                    if (msg.event === 'candidate' && s.pc.remoteDescription)
                        await Promise.allSettled(s.early.splice(0).map((c) => s.pc.addIceCandidate(c)));
                    if (msg.event !== 'offer') return;
                    s.offers.push(msg.data.sdp);
                    await s.pc.setRemoteDescription(msg.data);
                    const answer = await s.pc.createAnswer();
                    await s.pc.setLocalDescription(answer);
                    ws.send(JSON.stringify({ event: 'answer', data: answer }));
                    await Promise.allSettled((s.early ?? []).splice(0).map((c) => s.pc.addIceCandidate(c)));
                };
                ws.onclose = (ev) => {
                    s.events.push(`close ${ev.code}`);
                    if (!s.ended) setTimeout(connect, 250);
                };
                return new Promise((ok, no) => {
                    ws.onopen = ok;
                    ws.onerror = () => no(new Error('the socket was refused'));
                });
            };
            await connect();
        },
        lightspeedDrop: (name) => get(name).ws.close(),

        async stats(name) {
            return [...(await get(name).pc.getStats()).values()].filter((x) => x.type === 'outbound-rtp' || x.availableOutgoingBitrate || x.type === 'remote-inbound-rtp').map((x) => `${x.rid} ${x.active} ${x.frameWidth} ${x.framesEncoded} ${x.packetsSent} ${x.targetBitrate} ${x.qualityLimitationReason} pli${x.pliCount} nack${x.nackCount} avail${x.availableOutgoingBitrate} lost${x.packetsLost} ${x.fractionLost} rtt${x.roundTripTime}`);
        },
        seen(name) {
            const s = get(name);
            const v = s.media.video;
            const a = s.media.audio;
            return {
                state: s.pc.connectionState,
                seen: v ? lookVideo(v) : null,
                w: v?.el.videoWidth ?? 0,
                frames: v?.frames ?? 0,
                gap: v?.gap ?? 0,
                hz: a ? lookAudio(a) : 0,
                tracks: Object.keys(s.media).length,
                events: s.events,
                offers: s.offers,
                streams: s.streams,
            };
        },
        async closeStream(name, quietly) {
            const s = open.get(name);
            if (!s) return;
            s.ended = true;
            for (const t of s.timers) typeof t === 'function' ? t() : clearInterval(t);
            s.ws?.close();
            try {
                if (!quietly) await s.client?.stop();
            } finally {
                s.pc.close();
                for (const e of Object.values(s.media)) {
                    e.el.remove();
                    e.node?.disconnect();
                }
                open.delete(name);
            }
        },
    };
}
