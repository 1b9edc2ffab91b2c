/*
 * A publisher over RTMP that nothing in Debian is: Enhanced RTMP with AV1 and Opus, tag by tag.  Also whatever else a test
 * wants to put on the wire.
 */
import { readFileSync } from 'node:fs';
import net from 'node:net';

const CHUNK = 4096;
const OPUS_MS = 20;

/* ---- AMF0 ---- */

const text = (s) => Buffer.concat([Buffer.from([s.length >> 8, s.length & 255]), Buffer.from(s)]);
function amf(v) {
    if (typeof v === 'string') return Buffer.concat([Buffer.from([2]), text(v)]);
    if (typeof v === 'boolean') return Buffer.from([1, Number(v)]);
    if (v === null) return Buffer.from([5]);
    if (typeof v === 'number') {
        const b = Buffer.alloc(9);
        b.writeDoubleBE(v, 1);
        return b;
    }
    if (Array.isArray(v)) {
        const head = Buffer.from([10, 0, 0, 0, v.length]);
        return Buffer.concat([head, ...v.map(amf)]);
    }
    return Buffer.concat([Buffer.from([3]), ...Object.entries(v).flatMap(([k, x]) => [text(k), amf(x)]), Buffer.from([0, 0, 9])]);
}

/* ---- files ---- */

function* ivf(file) {
    const b = readFileSync(file);
    for (let at = 32; at + 12 <= b.length; at += 12 + b.readUInt32LE(at)) yield b.subarray(at + 12, at + 12 + b.readUInt32LE(at));
}

function* ogg(file) {
    const b = readFileSync(file);
    for (let at = 0; at + 27 <= b.length; ) {
        const n = b[at + 26];
        let body = at + 27 + n;
        let start = body;
        for (let i = 0; i < n; i++) {
            body += b[at + 27 + i];
            if (b[at + 27 + i] < 255) {
                yield b.subarray(start, body);
                start = body;
            }
        }
        at = body;
    }
}

/* The OBUs of a temporal unit, with their sizes; type and whole. */
function* obus(unit) {
    for (let at = 0; at < unit.length; ) {
        const head = unit[at] & 4 ? 2 : 1;
        let [size, shift, i] = [0, 0, at + head];
        for (;; shift += 7) {
            const c = unit[i++];
            size |= (c & 127) << shift;
            if (c < 128) break;
        }
        yield { type: (unit[at] >> 3) & 15, data: unit.subarray(at, i + size) };
        at = i + size;
    }
}

/* ---- the client ---- */

export class ErtmpPublisher {
    /* o: {port, app, key, identity, id, video (AV1 in IVF), audio (Opus in Ogg), fps} */
    constructor(o) {
        Object.assign(this, { app: 'live', fps: 15, said: Buffer.alloc(0) }, o);
    }

    message(type, cs, stream, ms, body) {
        const head = Buffer.alloc(12);
        head[0] = cs;
        head.writeUIntBE(ms & 0xffffff, 1, 3);
        head.writeUIntBE(body.length, 4, 3);
        head[7] = type;
        head.writeUInt32LE(stream, 8);
        const parts = [head];
        for (let at = 0; at < body.length || at === 0; at += CHUNK) {
            if (at > 0) parts.push(Buffer.from([0xc0 | cs]));
            parts.push(body.subarray(at, at + CHUNK));
        }
        this.socket.write(Buffer.concat(parts));
    }

    command = (...args) => this.message(20, 3, args[0] === 'publish' ? 1 : 0, 0, Buffer.concat(args.map(amf)));

    hears = (words) =>
        new Promise((ok, no) => {
            const look = () => this.said.includes(words) && ok();
            look();
            this.socket.on('data', look);
            this.socket.on('close', () => no(new Error(`closed before it said ${words}`)));
        });

    async start() {
        this.socket = net.connect(this.port, '127.0.0.1');
        this.socket.on('data', (d) => (this.said = Buffer.concat([this.said, d])));
        this.socket.on('error', () => {});
        this.ended = new Promise((ok) => this.socket.on('close', ok));
        await new Promise((ok) => this.socket.once('connect', ok));
        const hello = Buffer.alloc(1537);
        hello[0] = 3;
        this.socket.write(hello);
        this.socket.write(hello.subarray(1));
        const size = Buffer.alloc(4);
        size.writeUInt32BE(CHUNK);
        this.message(1, 2, 0, 0, size);
        this.command('connect', 1, { app: this.app, flashVer: 'e2e', fourCcList: ['av01', 'Opus'], capsEx: 15 });
        await this.hears('NetConnection.Connect.Success');
        this.command('createStream', 2, null);
        this.command('publish', 3, null, this.key, 'live');
        await this.hears('NetStream.Publish.Start');
        this.play();
    }

    video(kind, key, ms, data) {
        this.message(9, 6, 1, ms, Buffer.concat([Buffer.from([0x80 | (key ? 0x10 : 0x20) | kind]), Buffer.from('av01'), data]));
    }

    audio(kind, ms, data) {
        this.message(8, 4, 1, ms, Buffer.concat([Buffer.from([0x90 | kind]), Buffer.from('Opus'), data]));
    }

    play() {
        const units = [...ivf(this.video_file)].map((u) => [...obus(u)].filter((o) => o.type !== 2));
        const sequence = units[0].find((o) => o.type === 1).data;
        const [head, , ...packets] = [...ogg(this.audio_file)];
        this.video(0, true, 0, Buffer.concat([Buffer.from([0x81, 0, 0x0c, 0]), sequence]));
        this.audio(0, 0, head);
        const t0 = Date.now();
        let [v, a] = [0, 0];
        this.timer = setInterval(() => {
            const now = Date.now() - t0;
            for (; (v * 1000) / this.fps <= now; v++) {
                const unit = units[v % units.length];
                const key = unit.some((o) => o.type === 1);
                /* the sequence header stands in the configuration alone, as the specification has it */
                this.video(1, key, Math.round((v * 1000) / this.fps), Buffer.concat(unit.filter((o) => o.type !== 1).map((o) => o.data)));
            }
            for (; a * OPUS_MS <= now; a++) this.audio(1, a * OPUS_MS, packets[a % packets.length]);
        }, 10);
    }

    async leave() {
        clearInterval(this.timer);
        if (!this.socket) return;
        this.command('deleteStream', 4, null, 1);
        this.socket.end();
        return this.ended;
    }
}
