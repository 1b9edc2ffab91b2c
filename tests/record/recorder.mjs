/*
 * Turns the frames a proxy sees into the lines of a fixture: one JSON object a line,
 *   {step}                                  what the scenario does next
 *   {who, conn, dir: open|c-close|s-close, path, join_request, query, code}
 *   {who, conn, dir: http, path, status, body}
 *   {who, conn, dir: "c>s"|"s>c", ms, case, msg}
 * `msg` is protobuf's JSON.  What differs from run to run is replaced: sids by PA_1, TR_VC_1,
 * RM_1 in order of appearance, tokens by <token>, times by 0.  SDP stays whole, but for
 * those sids, so that its shape can be compared.  join_request is decoded.
 */
import { gunzipSync } from 'node:zlib';
import { JoinRequest, SignalRequest, SignalResponse, WrappedJoinRequest } from '@livekit/protocol';

const TIMES = new Set(['creationTime', 'creationTimeMs', 'joinedAt', 'joinedAtMs', 'timestamp', 'lastPingTimestamp',
    'pong', 'ping', 'unixMicro', 'rtt']);

export class Recorder {
    constructor() {
        this.lines = [];
        this.names = new Map();
        this.counts = new Map();
        this.start = Date.now();
    }

    step(text) {
        this.lines.push({ step: text });
    }

    rename(sid) {
        if (!this.names.has(sid)) {
            const kind = sid.slice(0, sid.startsWith('TR_') ? 5 : 2).replace(/^(TR_)(..).*/, '$1$2');
            const n = (this.counts.get(kind) ?? 0) + 1;
            this.counts.set(kind, n);
            this.names.set(sid, `${kind}_${n}`);
        }
        return this.names.get(sid);
    }

    text(s) {
        return s
            .replace(/\b(PA|TR|RM|ND|DTR|ST|RD)_[A-Za-z0-9]{10,16}\b/g, (m) => this.rename(m))
            .replace(/eyJ[\w-]+\.[\w-]+\.[\w-]+/g, '<token>');
    }

    clean(v, key) {
        if (TIMES.has(key) && typeof v !== 'object') return typeof v === 'string' ? '0' : 0;
        if (key === 'sifTrailer' || key === 'turnPassword') return `<${key}>`;
        if (typeof v === 'string') return this.text(v);
        if (Array.isArray(v)) return v.map((x) => this.clean(x, key));
        if (v && typeof v === 'object') return Object.fromEntries(Object.entries(v).map(([k, x]) => [this.text(k), this.clean(x, k)]));
        return v;
    }

    see({ conn, dir, data, binary, url, status, code }) {
        const u = new URL(url, 'http://x');
        const who = identity(u) ?? this.auth;
        const line = { who, conn, dir };
        if (dir === 'http' || dir === 'open') {
            line.path = u.pathname;
            if (status) line.status = status;
            if (dir === 'http') line.body = this.text(data);
            const q = Object.fromEntries([...u.searchParams].filter(([k]) => k !== 'access_token' && k !== 'join_request'));
            if (Object.keys(q).length) line.query = this.clean(q);
            const jr = u.searchParams.get('join_request');
            if (jr) line.join_request = this.clean(decodeJoin(jr));
        } else if (dir.endsWith('close')) {
            line.code = code;
        } else {
            line.ms = Date.now() - this.start;
            const T = dir === 'c>s' ? SignalRequest : SignalResponse;
            const m = binary ? T.fromBinary(new Uint8Array(data)) : T.fromJson(JSON.parse(data.toString()));
            line.case = m.message.case;
            line.msg = this.clean(m.toJson());
            if (!binary) line.text = true;
        }
        this.lines.push(line);
    }

    /* Pings say nothing after the first of each kind. */
    text_lines() {
        const seen = new Set();
        return this.lines
            .filter((l) => {
                if (!/^(ping|pong|pingReq|pongResp)$/.test(l.case ?? '')) return true;
                const k = l.who + l.case;
                return !seen.has(k) && seen.add(k);
            })
            .map((l) => JSON.stringify(l) + '\n')
            .join('');
    }
}

function identity(u) {
    const t = u.searchParams.get('access_token');
    if (!t) return undefined;
    return JSON.parse(Buffer.from(t.split('.')[1], 'base64url')).sub;
}

export function decodeJoin(text) {
    const w = WrappedJoinRequest.fromBinary(Buffer.from(text, 'base64url'));
    const raw = w.compression ? gunzipSync(w.joinRequest) : w.joinRequest;
    return { compression: w.compression, ...JoinRequest.fromBinary(new Uint8Array(raw)).toJson() };
}
