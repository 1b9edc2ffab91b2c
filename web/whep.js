/* A viewer by WHEP: one POST, an answer whose sections stand open, media whenever somebody publishes. */
const CONNECT_MS = 8000;

function iceServers(link) {
    const out = [];
    for (const part of (link ?? '').split(/,\s*(?=<)/)) {
        const m = part.match(/^<([^>]+)>(.*)$/);
        if (!m || !/rel="?ice-server/.test(m[2])) continue;
        const get = (k) => m[2].match(new RegExp(`${k}="([^"]*)"`))?.[1];
        out.push({ urls: m[1], username: get('username'), credential: get('credential') });
    }
    return out;
}

/* Stereo has to be asked for by the one who decodes. */
const stereo = (sdp) => sdp.replace(/(a=fmtp:\d+ [^\r\n]*useinbandfec=1)/g, '$1;stereo=1');

/* o: {room, token, prepare(pc), track(event), lost()} -> {info(), layer(id), latency(), close()}; the error has `status` */
export async function watchByWhep(o) {
    const headers = o.token ? { authorization: `Bearer ${o.token}` } : {};
    const pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    let resource = null;
    let over = false;
    const close = () => {
        if (over) return;
        over = true;
        pc.close();
        if (resource) fetch(resource, { method: 'DELETE', headers, keepalive: true }).catch(() => {});
    };
    try {
        pc.ontrack = o.track;
        pc.addTransceiver('audio', { direction: 'recvonly' });
        pc.addTransceiver('video', { direction: 'recvonly' });
        o.prepare(pc);
        const offer = await pc.createOffer();
        offer.sdp = stereo(offer.sdp);
        await pc.setLocalDescription(offer);
        const url = `/whep/${encodeURIComponent(o.room)}`;
        const r = await fetch(url, { method: 'POST', headers: { ...headers, 'content-type': 'application/sdp' }, body: offer.sdp });
        const text = await r.text();
        if (r.status !== 201) throw Object.assign(new Error(text.trim() || `the server answered ${r.status}`), { status: r.status });
        resource = new URL(r.headers.get('location'), new URL(url, location.href));
        const ice = iceServers(r.headers.get('link'));
        if (ice.length) pc.setConfiguration({ ...pc.getConfiguration(), iceServers: ice });
        await pc.setRemoteDescription({ type: 'answer', sdp: text });
        for (const t of pc.getReceivers()) if ('jitterBufferTarget' in t) t.jitterBufferTarget = 0;
        await new Promise((ok, no) => {
            const timer = setTimeout(() => no(new Error('no connection')), CONNECT_MS);
            pc.onconnectionstatechange = () => {
                if (pc.connectionState === 'connected') {
                    clearTimeout(timer);
                    ok();
                } else if (pc.connectionState === 'failed') {
                    clearTimeout(timer);
                    no(new Error('no connection'));
                }
            };
        });
    } catch (err) {
        close();
        throw err;
    }
    pc.onconnectionstatechange = () => {
        if (pc.connectionState !== 'failed' || over) return;
        close();
        o.lost();
    };
    let before = {};
    return {
        pc,
        close,
        async info() {
            const r = await fetch(resource, { headers, cache: 'no-store' });
            if (r.status === 404 && !over) {
                close();
                o.lost();
            }
            return r.ok ? r.json() : null;
        },
        layer: (id) => fetch(`${resource}/layer`, { method: 'POST', headers: { ...headers, 'content-type': 'application/json' }, body: JSON.stringify({ encodingId: id }) }),
        /* Milliseconds from the sender's packets to the screen: half the round trip, the buffer, the decoder. */
        async latency() {
            let ms = 0;
            let frames = 0;
            for (const s of (await pc.getStats()).values()) {
                if (s.type === 'candidate-pair' && s.nominated) ms += ((s.currentRoundTripTime ?? 0) * 1000) / 2;
                if (s.type !== 'inbound-rtp' || s.kind !== 'video') continue;
                frames = s.jitterBufferEmittedCount - (before.emitted ?? 0);
                const buffered = s.jitterBufferDelay - (before.delay ?? 0);
                const decoded = (s.totalDecodeTime ?? 0) - (before.decode ?? 0);
                if (frames > 0) ms += ((buffered + decoded) * 1000) / frames;
                before = { emitted: s.jitterBufferEmittedCount, delay: s.jitterBufferDelay, decode: s.totalDecodeTime ?? 0 };
            }
            return frames > 0 ? Math.round(ms) : null;
        },
    };
}
