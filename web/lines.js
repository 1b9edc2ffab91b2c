/* Text messages of LiveKit's data streams (topic lk.chat) on a data channel, by hand: a viewer over WHEP
 * talks with rooms without livekit-client.  DataPacket and DataStream of livekit_models.proto. */
const TOPIC = 'lk.chat';
const TEXT_MAX = 2000;
const STREAMS_MAX = 32;
const BYTES_MAX = 64 << 10;

const utf8 = new TextEncoder();

function varint(n) {
    const out = [];
    for (n = BigInt(n); n > 127n; n >>= 7n) out.push(Number(n & 127n) | 128);
    return [...out, Number(n)];
}
const bytes = (no, b) => [...varint((no << 3) | 2), ...varint(b.length), ...b];
const text = (no, s) => bytes(no, utf8.encode(s));
const number = (no, n) => [...varint(no << 3), ...varint(n)];

/* field number -> last value (BigInt or bytes); null when it is no protobuf */
function fields(b) {
    const out = {};
    let at = 0;
    const num = () => {
        let n = 0n;
        for (let shift = 0n; shift < 64n; shift += 7n) {
            if (at >= b.length) throw new RangeError();
            const c = b[at++];
            n |= BigInt(c & 127) << shift;
            if (c < 128) return n;
        }
        throw new RangeError();
    };
    try {
        while (at < b.length) {
            const key = Number(num());
            const wire = key & 7;
            let v;
            if (wire === 0) v = num();
            else {
                const n = wire === 2 ? Number(num()) : wire === 1 ? 8 : wire === 5 ? 4 : NaN;
                if (!(at + n <= b.length)) return null;
                v = b.subarray(at, (at += n));
            }
            out[key >> 3] = v;
        }
    } catch {
        return null;
    }
    return out;
}

const str = (b) => (b ? new TextDecoder().decode(b) : '');

async function unpack(parts, deflated) {
    const blob = new Blob(parts);
    const out = deflated ? await new Response(blob.stream().pipeThrough(new DecompressionStream('deflate-raw'))).text() : await blob.text();
    return out.slice(0, TEXT_MAX);
}

/* heard(identity, text) for each message; -> {send(text)} */
export function lines(pc, heard) {
    const open = new Map();
    const reliable = pc.createDataChannel('_reliable', { ordered: true });
    pc.createDataChannel('_lossy', { ordered: false, maxRetransmits: 0 });
    reliable.binaryType = 'arraybuffer';

    const done = async (id) => {
        const s = open.get(id);
        open.delete(id);
        if (s) heard(s.from, await unpack(s.parts, s.deflated).catch(() => ''));
    };
    reliable.onmessage = (e) => {
        const p = fields(new Uint8Array(e.data));
        const header = p?.[13] && fields(p[13]);
        const chunk = p?.[14] && fields(p[14]);
        const trailer = p?.[15] && fields(p[15]);
        if (header && str(header[3]) === TOPIC && header[9]) {
            const id = str(header[1]);
            if (open.size >= STREAMS_MAX) open.delete(open.keys().next().value);
            open.set(id, { from: str(p[4]), parts: header[11] ? [header[11]] : [], size: 0, deflated: header[12] === 1n });
            if (header[11]) done(id);
        } else if (chunk && open.has(str(chunk[1]))) {
            const s = open.get(str(chunk[1]));
            s.size += chunk[3]?.length ?? 0;
            if (s.size > BYTES_MAX) open.delete(str(chunk[1]));
            else if (chunk[3]) s.parts.push(chunk[3]);
        } else if (trailer) {
            done(str(trailer[1]));
        }
    };
    return {
        async send(message) {
            if (reliable.readyState !== 'open') throw new Error('the chat is not connected');
            const body = utf8.encode(message.slice(0, TEXT_MAX));
            const id = crypto.randomUUID?.() ?? String(Math.random());
            const packet = (no, b) => reliable.send(new Uint8Array(bytes(no, b)));
            packet(13, [...text(1, id), ...number(2, Date.now()), ...text(3, TOPIC), ...text(4, 'text/plain'), ...number(5, body.length), ...bytes(9, [])]);
            packet(14, [...text(1, id), ...number(2, 0), ...bytes(3, body)]);
            packet(15, text(1, id));
        },
    };
}
