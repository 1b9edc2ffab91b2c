/* What the tests share: one server, one Chromium with two pages, one Firefox, started when first wanted. */
import assert from 'node:assert/strict';
import { test as node_test } from 'node:test';
import { launchChromium, launchFirefox } from './browser.mjs';
import { tone } from './marker.mjs';
import { startProxy } from './proxy.mjs';
import { startServer } from './server.mjs';
import { token } from './token.mjs';
import { sleep, until } from './wait.mjs';

export { assert, sleep, until, token };

const made = new Map();
const closers = [];

function once(name, make) {
    if (!made.has(name)) made.set(name, make());
    return made.get(name);
}

export const server = () =>
    once('server', async () => {
        const s = await startServer();
        closers.push(async () => {
            const code = await s.stop();
            if (code !== 0) throw new Error(`the server ended with ${code}:\n${s.log().slice(-6000)}`);
        });
        return s;
    });

/* The same server behind a proxy that knows no /rtc/v1: what makes rtc-node use two connections. */
export const oldServer = () =>
    once('oldServer', async () => {
        const p = await startProxy({ target: (await server()).http, no_v1: true });
        closers.push(async () => p.close());
        return p;
    });

export const chromium = () =>
    once('chromium', async () => {
        const b = await launchChromium();
        closers.push(() => b.close());
        return b;
    });
export const firefox = () =>
    once('firefox', async () => {
        const b = await launchFirefox();
        closers.push(() => b.close());
        return b;
    });

export const pageA = () => once('pageA', async () => (await chromium()).newPage());
export const pageB = () => once('pageB', async () => (await chromium()).newPage());
export const pageF = () => once('pageF', async () => (await firefox()).newPage());
export const rtcnode = () =>
    once('rtcnode', async () => {
        const m = await import('./rtcnode.mjs');
        closers.push(() => m.dispose());
        return m;
    });

/* The last test calls this: everything is put away, and what went wrong with that is thrown. */
export async function closeAll() {
    const errors = [];
    for (const c of closers.splice(0).reverse())
        try {
            await c();
        } catch (e) {
            errors.push(e);
        }
    if (errors.length) throw errors[0];
}

const WORDS = JSON.parse(process.env.E2E_WORDS ?? '[]').map((w) => w.toLowerCase());

/* node's test(), for the tests that were asked for; the last one always runs. */
export function test(name, ...rest) {
    if (!WORDS.length || name === 'the server ends cleanly' || WORDS.some((w) => name.toLowerCase().includes(w))) node_test(name, ...rest);
}

let n = 0;
export const newRoom = (what = 'room') => `${what}-${++n}`;

/* A participant in a page; every method of window.T by its name without the first argument. */
export class Person {
    constructor(page, identity, id) {
        Object.assign(this, { page, identity, id });
    }
    call(method, ...args) {
        return this.page.call(method, this.identity, ...args);
    }
    async join(room, o = {}) {
        const ws = o.ws ?? (await server()).ws;
        this.room = room;
        return this.call('connect', ws, await token(this.identity, room, o.grants ?? {}), { single: o.single ?? true, ...o });
    }
    video = (o) => this.call('publishVideo', this.id, o);
    audio = (o) => this.call('publishAudio', this.id, o);
    look = () => this.call('look');
    leave = () => this.call('leave');
    log = async (name) => (await this.call('log')).filter((l) => !name || l.name === name);
}

/* A participant of rtc-node with the same face. */
export class NodePerson {
    constructor(lib, identity, id) {
        Object.assign(this, { identity, id, c: new lib.NodeClient() });
    }
    async join(room, o = {}) {
        const ws = o.ws ?? (o.single === false ? await oldServer() : await server()).ws;
        this.room = room;
        return this.c.connect(ws, await token(this.identity, room, o.grants ?? {}), o);
    }
    video = (o) => this.c.publishVideo(this.id, o);
    audio = () => this.c.publishAudio(this.id);
    look = async () => this.c.look();
    leave = () => this.c.leave();
    log = async (name) => this.c.log.filter((l) => !name || l.name === name);
}

/* Frames of `who` arrive, carry the sender's number and change. */
export async function sees(viewer, who, ms = 12000) {
    let first;
    return until(
        `${viewer.identity} sees ${who.identity}'s moving picture`,
        async () => {
            const e = (await viewer.look()).find((x) => x.kind === 'video' && x.identity === who.identity && x.seen);
            if (!e) return false;
            assert.equal(e.seen.id, who.id, 'the marker names its sender');
            if (first === undefined) first = e.seen.count;
            return first !== e.seen.count && e;
        },
        ms,
    );
}

export async function hears(viewer, who, ms = 12000) {
    return until(
        `${viewer.identity} hears ${who.identity}'s tone of ${tone(who.id)} Hz`,
        async () => {
            const e = (await viewer.look()).find((x) => x.kind === 'audio' && x.identity === who.identity);
            return e && (e.samples > 48000 || Math.abs((e.hz ?? 0) - tone(who.id)) < 15) && e;
        },
        ms,
    );
}

export async function silent(viewer, who, ms = 5000) {
    return until(`${viewer.identity} hears nothing of ${who.identity}`, async () => {
        const e = (await viewer.look()).find((x) => x.kind === 'audio' && x.identity === who.identity);
        return !e || !e.hz;
    }, ms);
}

export async function gone(viewer, who, kind = 'video', ms = 8000) {
    return until(`${viewer.identity} has no ${kind} of ${who.identity}`,
        async () => !(await viewer.look()).some((x) => x.kind === kind && x.identity === who.identity), ms);
}

export const others = async (p) => (await p.call('state')).others;

/* Runs f(people) and has everybody leave, whatever happens. */
export async function gathering(people, f) {
    try {
        return await f(...people);
    } finally {
        await Promise.allSettled(people.map((p) => p.leave()));
    }
}
