/* The pages, as a person uses them. */
import { mkdirSync } from 'node:fs';
import { assert, chromium, gathering, newRoom, pageB, Person, server, test, token, until } from '../lib/kit.mjs';
import { ORIGINAL, startServer } from '../lib/server.mjs';
import { built, serveWeb } from '../lib/webstub.mjs';

const KEYED = 'let-me-in';
const skip = built() ? false : 'web/dist is not built (make web)';
const SHOTS = process.env.E2E_SHOTS;

/* sluice serves its pages itself; before an original server stands a small one. */
async function site(key) {
    const srv = await server();
    if (!ORIGINAL && !key) return { http: srv.http.replace('127.0.0.1', 'localhost'), close() {} };
    return serveWeb(srv, key);
}

async function visitor(o = {}) {
    const ctx = await (await chromium()).browser.newContext({ viewport: { width: 1000, height: 700 }, permissions: ['camera', 'microphone'], ...o });
    const page = await ctx.newPage();
    page.errors = [];
    page.requests = [];
    page.on('pageerror', (e) => page.errors.push(e.message));
    page.on('console', (m) => /Content Security Policy/.test(m.text()) && page.errors.push(m.text()));
    page.on('request', (r) => page.requests.push(r.url()));
    page.shot = async (name) => {
        if (!SHOTS) return;
        mkdirSync(SHOTS, { recursive: true });
        await page.screenshot({ path: `${SHOTS}/${name}.png` });
    };
    page.leave = () => ctx.close();
    return page;
}

const playing = (page, n) =>
    until(`${n} pictures play`, () => page.evaluate((want) => {
        const v = [...document.querySelectorAll('.tile video')];
        return v.length === want && v.every((x) => x.videoWidth > 0 && x.currentTime > 0);
    }, n), 15000);

async function enter(page, url, name) {
    await page.goto(url);
    await page.fill('[name=name]', name);
    await page.keyboard.press('Enter');
    await page.waitForSelector('#bar:not([hidden])', { timeout: 10000 });
}

test('meet: two people by camera, microphone, chat, mute, leave', { skip }, async () => {
    const web = await site();
    const [a, b] = [await visitor({ colorScheme: 'dark' }), await visitor()];
    const room = newRoom('meet');
    try {
        await enter(a, `${web.http}/meet/${room}`, 'Ann');
        await enter(b, `${web.http}/meet/${room}`, 'Ben');
        await Promise.all([playing(a, 2), playing(b, 2)]);
        /* the fake microphone only beeps: a steady tone is a speaker */
        const c = new Person(await pageB(), 'cat', 53);
        await gathering([c], async () => {
            await c.join(room);
            await c.audio();
            await until('the speaker is marked', () => b.evaluate(() => document.querySelector('.tile.talks')?.dataset.identity === 'cat'), 10000);
            await a.shot('meet-dark');
        });
        await b.keyboard.press('v'); /* camera off by keyboard */
        await playing(a, 1);
        await until('muted is shown', async () => {
            await b.evaluate(() => document.querySelector('#mic').getAttribute('aria-pressed') === 'true' && document.querySelector('#mic').click());
            return a.evaluate(() => [...document.querySelectorAll('figcaption')].some((c) => /Ben.*muted/.test(c.textContent)));
        });
        await a.click('#talk');
        await a.fill('#say input', 'hello there <b>');
        await a.keyboard.press('Enter');
        await until('chat arrives', () => b.evaluate(() => document.querySelector('#lines').textContent.includes('hello there <b>')));
        assert.equal(await b.textContent('#talk'), 'Chat (new)');
        await b.click('#talk');
        await b.shot('meet-light-chat');
        await b.setViewportSize({ width: 320, height: 640 });
        await b.shot('meet-320');
        assert.ok(await b.evaluate(() => document.documentElement.scrollWidth <= 320), 'nothing is wider than 320 px');
        await b.click('#leave');
        await until('Ben is gone', () => a.evaluate(() => document.querySelector('#count').textContent === 'only you'));
        assert.equal(await b.textContent('#why'), 'You left.');
        assert.deepEqual([...a.errors, ...b.errors], []);
        const away = [...a.requests, ...b.requests].filter((u) => !/^(blob:|data:|https?:\/\/(localhost|127\.0\.0\.1)[:/])/.test(u));
        assert.deepEqual(away, [], 'no request leaves the machine');
    } finally {
        await Promise.all([a.leave(), b.leave()]);
        web.close();
    }
});

test('watch: no device is asked for; it starts by itself and comes back by itself', { skip }, async () => {
    const web = await site();
    const room = newRoom('watch');
    const w = await visitor({ permissions: [] });
    const p = new Person(await pageB(), 'pub', 51);
    try {
        await w.addInitScript(() => {
            window.asked = 0;
            navigator.mediaDevices.getUserMedia = async () => {
                window.asked++;
                throw new Error('asked');
            };
        });
        await w.goto(`${web.http}/watch/${room}`);
        await w.waitForSelector('.empty');
        await w.shot('watch-empty');
        await gathering([p], async () => {
            await p.join(room);
            await p.video();
            await p.audio();
            await playing(w, 1);
            assert.equal(await w.textContent('#count'), '1 viewer');
            await w.keyboard.press('m');
            await until('sound is on', () => w.evaluate(() => [...document.querySelectorAll('audio')].some((a) => !a.muted && !a.paused)));
            assert.equal(await w.textContent('#transport'), ORIGINAL ? 'LiveKit' : 'WHEP');
            if (!ORIGINAL) {
                assert.ok(!w.requests.some((u) => u.endsWith('/livekit.js')), 'the picture needs no half megabyte');
                await until('the latency is shown', async () => /^\d+ ms$/.test(await w.textContent('#latency')));
            }
            await w.shot('watch');
            await w.setViewportSize({ width: 320, height: 640 });
            await w.shot('watch-320');
            assert.ok(await w.evaluate(() => document.documentElement.scrollWidth <= 320));
            await p.call('sendText', 20, 1, { topic: 'lk.chat' });
            await until('chat is read', () => w.evaluate(() => document.querySelector('#lines').textContent.includes('line 1')));
        });
        await w.waitForSelector('.empty');
        await gathering([p], async () => {
            await p.join(room);
            await p.video();
            await playing(w, 1);
        });
        assert.equal(await w.evaluate(() => window.asked), 0);
        assert.deepEqual(w.errors, []);
    } finally {
        await w.leave();
        web.close();
    }
});

test('watch: viewers talk, are counted, share; the embedded player is the picture alone', { skip: skip || (ORIGINAL && 'no WHEP there') }, async () => {
    const web = await site();
    const room = newRoom('viewers');
    const [a, b] = [await visitor({ permissions: [] }), await visitor({ permissions: [] })];
    const p = new Person(await pageB(), 'pub', 54);
    try {
        await gathering([p], async () => {
            await p.join(room);
            await p.video();
            await a.goto(`${web.http}/watch/${room}`);
            await b.goto(`${web.http}/watch/${room}?embed=1`);
            await Promise.all([playing(a, 1), playing(b, 1)]);
            await until('two are counted', async () => (await a.textContent('#count')) === '2 viewers');
            assert.equal(await b.isVisible('header'), false);
            await a.keyboard.press('c');
            await a.fill('#say input', 'from a viewer <b>');
            await a.keyboard.press('Enter');
            await until('the other reads it', () => b.evaluate(() => document.querySelector('#lines').textContent === 'A viewerfrom a viewer <b>'));
            await a.focus('#sound');
            await a.keyboard.press('s');
            assert.equal(await a.inputValue('#link'), `${web.http}/watch/${room}`);
            assert.match(await a.inputValue('#embed'), /^<iframe .*embed=1/);
            await a.keyboard.press('Escape');
            await a.selectOption('#quality', 'auto');
        });
        assert.deepEqual([...a.errors, ...b.errors], []);
    } finally {
        await Promise.all([a.leave(), b.leave()]);
        web.close();
    }
});

test('watch: falls back to livekit-client where WHEP does not get through, and says so', { skip }, async () => {
    const web = await site();
    const room = newRoom('fallback');
    const w = await visitor({ permissions: [] });
    const p = new Person(await pageB(), 'pub', 55);
    try {
        await w.route('**/whep/**', (r) => r.fulfill({ status: 502, body: 'bad gateway' }));
        await gathering([p], async () => {
            await p.join(room);
            await p.video();
            await p.audio();
            await w.goto(`${web.http}/watch/${room}`);
            await playing(w, 1);
            assert.equal(await w.textContent('#transport'), 'LiveKit');
            await w.keyboard.press('m');
            await until('sound is on', () => w.evaluate(() => [...document.querySelectorAll('audio')].some((a) => !a.muted && !a.paused)));
        });
        await w.waitForSelector('.empty');
        assert.deepEqual(w.errors, []);
    } finally {
        await w.leave();
        web.close();
    }
});

test('watch: a private room opens with the link alone', { skip: skip || (ORIGINAL && 'nothing is private there') }, async () => {
    const srv = await startServer({ args: ['--watch-private', 'secret'] });
    const http = srv.http.replace('127.0.0.1', 'localhost');
    const w = await visitor({ permissions: [] });
    const p = new Person(await pageB(), 'pub', 56);
    try {
        const link = await token('guest', 'secret', { canPublish: false, ttl: '10m' });
        for (const [bearer, status] of [[null, 401], [await token('guest', 'other'), 403], [`${link}x`, 401]]) {
            const r = await fetch(`${http}/whep/secret`, { method: 'POST', headers: { 'content-type': 'application/sdp', ...(bearer ? { authorization: `Bearer ${bearer}` } : {}) }, body: 'v=0' });
            assert.equal(r.status, status);
        }
        assert.equal((await fetch(`${http}/api/join?room=secret&identity=x&role=watch`)).status, 403);
        await gathering([p], async () => {
            await p.join('secret', { ws: srv.ws });
            await p.video();
            await w.goto(`${http}/watch/secret`);
            await until('it says so', async () => /private/.test(await w.textContent('#status')));
            await w.goto('about:blank');
            await w.goto(`${http}/watch/secret#token=${link}`);
            await playing(w, 1);
        });
    } finally {
        await w.leave();
        assert.equal(await srv.stop(), 0);
    }
});

test('the start page lists what is on air and leads there by keyboard', { skip }, async () => {
    const web = await site();
    const room = newRoom('air');
    const v = await visitor();
    const p = new Person(await pageB(), 'pub', 52);
    try {
        await gathering([p], async () => {
            await p.join(room);
            await p.video({ w: 320, h: 180 });
            await v.goto(web.http);
            await until('the room is listed', () => v.evaluate((r) => document.querySelector('#rooms').textContent.includes(r), room), 12000);
            await v.shot('index');
            await v.focus(`[aria-label="Watch ${room}"]`);
            await v.keyboard.press('Enter');
            await v.waitForURL(`**/watch/${room}`);
            await playing(v, 1);
        });
        assert.deepEqual(v.errors, []);
    } finally {
        await v.leave();
        web.close();
    }
});

test('meet asks for the invitation key where the server wants one; the link carries it', { skip }, async () => {
    const web = await site(KEYED);
    const v = await visitor();
    const room = newRoom('key');
    try {
        await v.goto(`${web.http}/meet/${room}`);
        await v.fill('[name=name]', 'Ann');
        await v.click('#join');
        await until('it asks', () => v.evaluate(() => !document.querySelector('#keyrow').hidden));
        await v.fill('[name=key]', KEYED);
        await v.click('#join');
        await v.waitForSelector('#bar:not([hidden])');
        await v.goto('about:blank');
        await enter(v, `${web.http}/meet/${room}#key=${KEYED}`, 'Ann');
        assert.deepEqual(v.errors, []);
    } finally {
        await v.leave();
        web.close();
    }
});
