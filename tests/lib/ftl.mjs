/*
 * An FTL client, as OBS and ftl_app are on the wire: handshake, the second of junk at the start, pings, sender
 * reports, pacing, and resending what is asked for.  Sends H.264 (Annex B) and Opus (Ogg) from files, over and over.
 */
import { createHmac } from 'node:crypto';
import dgram from 'node:dgram';
import { readFileSync } from 'node:fs';
import net from 'node:net';

const FRAGMENT = 1380; /* bytes of a NAL unit that still goes as one packet */
const HISTORY = 2048;
const PING_MS = 25;
const CONTROL_PING_MS = 5000;
const OPUS_MS = 20;
const JUNK_BYTES = 1392;
const NTP_EPOCH = 2208988800n;

/* ---- files ---- */

function nals(buf) {
    const at = [];
    for (let i = 0; i + 3 < buf.length; i++)
        if (buf[i] === 0 && buf[i + 1] === 0 && buf[i + 2] === 1) {
            at.push([i > 0 && buf[i - 1] === 0 ? i - 1 : i, i + 3]);
            i += 2;
        }
    return at.map(([, from], k) => buf.subarray(from, k + 1 < at.length ? at[k + 1][0] : buf.length));
}

/* Frames as the client packs them: delimiters, SEI and filler are left out. */
export function frames(file) {
    const out = [];
    let frame = [];
    let picture = false;
    for (const n of nals(readFileSync(file))) {
        const type = n[0] & 31;
        const slice = type === 1 || type === 5;
        if (picture && (!slice || n[1] & 0x80)) {
            out.push(frame);
            frame = [];
            picture = false;
        }
        if (type !== 6 && type !== 9 && type !== 12) frame.push(n);
        picture ||= slice;
    }
    if (picture) out.push(frame);
    return out;
}

export function opusPackets(file) {
    const buf = readFileSync(file);
    const out = [];
    let part = [];
    for (let at = 0; at + 27 <= buf.length; ) {
        const n = buf[at + 26];
        let p = at + 27 + n;
        for (let i = 0; i < n; i++) {
            const len = buf[at + 27 + i];
            part.push(buf.subarray(p, p + len));
            p += len;
            if (len < 255) {
                out.push(Buffer.concat(part));
                part = [];
            }
        }
        at = p;
    }
    return out.filter((p) => !/^Opus(Head|Tags)/.test(p.toString('latin1', 0, 8)));
}

/* ---- the client ---- */

export class Stream {
    constructor(ssrc, pt) {
        Object.assign(this, { ssrc, pt, seq: 0, ts: 0, packets: 0, bytes: 0, sent: new Map(), srAt: 0 });
    }
    packet(payload, ts, marker) {
        const b = Buffer.alloc(12 + payload.length);
        b[0] = 0x80;
        b[1] = this.pt | (marker ? 0x80 : 0);
        b.writeUInt16BE(this.seq, 2);
        b.writeUInt32BE(ts >>> 0, 4);
        b.writeUInt32BE(this.ssrc >>> 0, 8);
        payload.copy(b, 12);
        this.sent.set(this.seq, b);
        this.sent.delete((this.seq - HISTORY) & 0xffff);
        this.seq = (this.seq + 1) & 0xffff;
        this.ts = ts;
        this.packets++;
        this.bytes += payload.length;
        return b;
    }
}

/*
 * o: {port, key: '77-secret', video, audio: files, fps, host, media_host, media_port, flood_ms, kbps}
 * start() resolves when media flows, and rejects with .code when the server answers one.
 */
export class FtlClient {
    constructor(o) {
        this.o = { host: '127.0.0.1', fps: 30, flood_ms: 1000, kbps: 8000, ...o };
        this.key = this.o.key.replace(/^re_/, '');
        const m = /^(-?\d+)[-,_](.*)$/.exec(this.key);
        this.channel = Number(m[1]) | 0; /* printed with %d */
        this.secret = m[2];
        this.stats = { pings: 0, echoed: 0, foreign: 0, nacks: 0, resent: 0, pongs: 0, frames: 0 };
        this.codes = [];
        this.lines = [];
        this.waiting = [];
        this.timers = [];
        this.queue = [];
        this.text = '';
        this.over = false;
    }

    /* ---- control ---- */

    async dial() {
        this.tcp = net.connect(this.o.port, this.o.host);
        await new Promise((ok, no) => {
            this.tcp.once('connect', ok);
            this.tcp.once('error', no);
        });
        this.tcp.on('error', () => {});
        this.tcp.on('close', () => {
            this.closed = true;
            for (const w of this.waiting.splice(0)) w(null);
        });
        this.tcp.on('data', (d) => {
            this.text += d;
            for (let i; (i = this.text.indexOf('\n')) >= 0; this.text = this.text.slice(i + 1)) this.line(this.text.slice(0, i));
        });
    }
    line(l) {
        if (this.live) {
            if (l.startsWith('201')) this.stats.pongs++;
            else {
                this.codes.push(Number(l.slice(0, 3)));
                if (!l.startsWith('200')) this.halt(); /* any other code ends the stream */
            }
            return;
        }
        const w = this.waiting.shift();
        if (w) w(l);
        else this.lines.push(l);
    }
    say(command) {
        this.tcp.write(`${command}\r\n\r\n`);
    }
    async ask(command) {
        const t0 = Date.now();
        this.say(command);
        const l = this.lines.shift() ?? (await new Promise((ok) => {
            this.waiting.push(ok);
            setTimeout(() => ok(null), 5000).unref();
        }));
        this.asked_ms = Date.now() - t0;
        const code = l === null ? 903 : Number(l.slice(0, 3));
        if (code !== 200) {
            this.tcp.destroy();
            throw Object.assign(new Error(`FTL: ${command.split(' ')[0]} was answered ${l}`), { code });
        }
        return l;
    }
    async handshake() {
        const challenge = Buffer.from((await this.ask('HMAC')).slice(4).trim(), 'hex');
        const hmac = createHmac('sha512', this.secret).update(challenge).digest('hex');
        await this.ask(`CONNECT ${this.channel} $${hmac}`);
        for (const a of ['ProtocolVersion: 0.9', 'VendorName: sluice tests', 'VendorVersion: 1.0', 'Video: true', 'VideoCodec: H264',
            'VideoHeight: 720', 'VideoWidth: 1280', 'VideoPayloadType: 96', `VideoIngestSSRC: ${(this.channel + 1) | 0}`, 'Audio: true',
            'AudioCodec: OPUS', 'AudioPayloadType: 97', `AudioIngestSSRC: ${this.channel}`])
            this.say(a);
        const m = /^200 [^.]+\. Use UDP port (\d+)/.exec(await this.ask('.'));
        this.assigned = m ? Number(m[1]) : 65535; /* what the real one falls to */
    }

    /* ---- media ---- */

    send(b) {
        if (!this.udp_closed) this.udp.send(b, this.o.media_port ?? this.assigned, this.o.media_host ?? this.o.host);
    }
    ping() {
        const b = Buffer.alloc(24);
        b.set([0x81, 0xfa, 0x00, 0x18]);
        b.writeBigUInt64LE(process.hrtime.bigint(), 8);
        this.last_ping = b;
        this.stats.pings++;
        this.send(b);
    }
    on_datagram(b, from) {
        if (from.address !== (this.o.media_host ?? this.o.host)) return;
        if (b[1] === 0xfa) {
            this.stats.echoed += b.length === 24;
            return;
        }
        if (b[1] !== 205 || (b[0] & 31) !== 1) {
            this.stats.foreign++;
            return;
        }
        const s = [this.video, this.audio].find((x) => x && x.ssrc >>> 0 === b.readUInt32BE(8));
        if (!s) return;
        const resend = (seq) => {
            this.stats.nacks++;
            const p = s.sent.get(seq & 0xffff);
            if (!p) return;
            this.stats.resent++;
            this.send(p); /* past the pacer */
        };
        for (let at = 12; at + 4 <= (b.readUInt16BE(2) + 1) * 4; at += 4) {
            const pid = b.readUInt16BE(at);
            resend(pid);
            for (let i = 0; i < 16; i++) if (b.readUInt16BE(at + 2) & (1 << i)) resend(pid + i + 1);
        }
    }
    /* 15 Mbit/s of junk on the audio stream; its numbers begin anew afterwards. */
    async flood() {
        for (let i = 0; i < 3; i++) this.ping();
        await wait(125);
        const junk = Buffer.alloc(JUNK_BYTES, 0x55);
        const s = new Stream(this.channel, 97);
        const t0 = performance.now();
        const goal = (this.o.flood_ms * 15000) / 8 / 1404;
        for (let n = 0; n < goal; ) {
            const due = Math.min(goal, ((performance.now() - t0) * 15000) / 8 / 1404);
            for (; n < due; n++) this.send(s.packet(junk, 0, false));
            await wait(2);
        }
        const echoed = this.stats.echoed;
        for (let i = 0; i < 80 && this.stats.echoed === echoed; i++) {
            this.ping();
            await wait(PING_MS);
        }
    }
    every(ms, f) {
        this.timers.push(setInterval(f, ms));
    }
    report(s) {
        const b = Buffer.alloc(28);
        const now = BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000));
        b.set([0x80, 200, 0, 6]);
        b.writeUInt32BE(s.ssrc >>> 0, 4);
        b.writeUInt32BE(Number((now / 1000000n + NTP_EPOCH) & 0xffffffffn), 8);
        b.writeUInt32BE(Number(((now % 1000000n) << 32n) / 1000000n), 12);
        const elapsed = (performance.now() - this.t0) / 1000;
        b.writeUInt32BE(Math.round(elapsed * (s === this.video ? 90000 : 48000)) >>> 0, 16);
        b.writeUInt32BE(s.packets, 20);
        b.writeUInt32BE(s.bytes >>> 0, 24);
        this.send(b);
    }
    pack(frame, ts) {
        frame.forEach((n, i) => {
            const last = i === frame.length - 1;
            if (n.length <= FRAGMENT) {
                this.queue.push(this.video.packet(n, ts, last));
                return;
            }
            for (let at = 1; at < n.length; at += FRAGMENT - 2) {
                const end = Math.min(n.length, at + FRAGMENT - 2);
                const head = Buffer.from([(n[0] & 0xe0) | 28, (n[0] & 31) | (at === 1 ? 0x80 : 0) | (end === n.length ? 0x40 : 0)]);
                this.queue.push(this.video.packet(Buffer.concat([head, n.subarray(at, end)]), ts, last && end === n.length));
            }
        });
    }
    /* A leaky bucket at the peak rate, with bursts of at most 100 ms. */
    drain(now) {
        const rate = this.o.kbps / 8;
        this.credit = Math.min(rate * 100, (this.credit ?? 0) + (now - (this.drained_at ?? now)) * rate);
        this.drained_at = now;
        while (this.queue.length && this.credit > 0) {
            const p = this.queue.shift();
            this.credit -= p.length;
            this.send(p);
        }
    }
    step() {
        const now = performance.now();
        const elapsed = now - this.t0;
        while ((this.stats.frames * 1000) / this.o.fps <= elapsed) {
            this.pack(this.pictures[this.stats.frames % this.pictures.length], Math.round((this.stats.frames * 90000) / this.o.fps));
            this.stats.frames++;
        }
        while (this.heard * OPUS_MS <= elapsed) {
            this.queue.push(this.audio.packet(this.sounds[this.heard % this.sounds.length], this.heard * 960, false));
            this.heard++;
        }
        this.drain(now);
    }

    async start() {
        this.pictures = frames(this.o.video);
        this.sounds = opusPackets(this.o.audio);
        await this.dial();
        await this.handshake();
        this.live = true;
        for (const l of this.lines.splice(0)) this.line(l);
        this.udp = dgram.createSocket('udp4');
        this.udp.on('message', (b, from) => this.on_datagram(b, from));
        this.udp.on('error', () => {});
        await new Promise((ok) => this.udp.bind(0, ok));
        this.every(CONTROL_PING_MS, () => this.say(`PING ${this.channel}`));
        if (this.o.flood_ms > 0) await this.flood();
        if (this.over) return this;
        this.video = new Stream((this.channel + 1) | 0, 96);
        this.audio = new Stream(this.channel, 97);
        this.heard = 0;
        this.t0 = performance.now();
        this.every(PING_MS, () => this.ping());
        this.every(1000, () => {
            this.report(this.video);
            this.report(this.audio);
        });
        this.every(2, () => this.step());
        return this;
    }
    halt() {
        this.over = true;
        for (const t of this.timers.splice(0)) clearInterval(t);
    }
    shut() {
        this.halt();
        if (this.udp && !this.udp_closed) {
            this.udp_closed = true;
            this.udp.close();
        }
        this.tcp?.destroy();
    }
    /* As OBS stops. */
    async stop() {
        if (this.tcp && !this.closed && this.live) {
            this.say('DISCONNECT');
            await wait(50);
        }
        this.shut();
    }
}

const wait = (ms) => new Promise((ok) => setTimeout(ok, ms));
