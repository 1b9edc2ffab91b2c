/* /admin: channels and their keys, as a person uses the page. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { assert, chromium, test, until } from '../lib/kit.mjs';
import { ORIGINAL, startServer } from '../lib/server.mjs';
import { built } from '../lib/webstub.mjs';

const skip = ORIGINAL ? 'an original has no such page' : built() ? false : 'web/dist is not built (make web)';
const SHOTS = process.env.E2E_SHOTS;

async function visitor(o = {}) {
    const ctx = await (await chromium()).browser.newContext({ viewport: { width: 900, height: 700 }, permissions: ['clipboard-read', 'clipboard-write'], ...o });
    const page = await ctx.newPage();
    page.errors = [];
    page.foreign = [];
    page.on('pageerror', (e) => page.errors.push(e.message));
    page.on('console', (m) => /Content Security Policy/.test(m.text()) && page.errors.push(m.text()));
    page.on('request', (r) => /^https?:\/\/localhost:/.test(r.url()) || page.foreign.push(r.url()));
    page.shot = async (name) => {
        if (!SHOTS) return;
        mkdirSync(SHOTS, { recursive: true });
        await page.screenshot({ path: `${SHOTS}/${name}.png`, fullPage: true });
    };
    return { page, leave: () => ctx.close() };
}

test('admin: channels are made, shown, given new keys, disabled and revoked', { skip }, async () => {
    const dir = mkdtempSync(join(tmpdir(), 'e2e-admin-'));
    const s = await startServer({ args: ['--data-dir', dir] });
    const secret = readFileSync(join(dir, 'admin'), 'utf8').trim();
    assert.equal(statSync(join(dir, 'admin')).mode & 0o777, 0o600);
    const key = readFileSync(join(dir, 'hash'), 'utf8').trim();
    const http = s.http.replace('127.0.0.1', 'localhost');
    const { page, leave } = await visitor({ colorScheme: 'dark' });
    const card = (name) => page.locator('.channels > li', { has: page.locator('h2', { hasText: name }) });
    try {
        const refused = await fetch(`${s.http}/api/admin`, { method: 'POST', body: JSON.stringify({ secret: `${secret}x` }) });
        assert.equal(refused.status, 403);
        assert.equal((await fetch(`${s.http}/api/admin`)).status, 405);

        await page.goto(`${http}/admin`);
        await page.fill('[name=secret]', 'wrong');
        await page.keyboard.press('Enter');
        await page.getByText('This is not the secret.').waitFor();
        await page.fill('[name=secret]', secret);
        await page.keyboard.press('Enter');
        await card('default').waitFor();
        assert.ok(!(await page.content()).includes(key), 'keys are covered');
        await card('default').getByRole('button', { name: 'Show keys' }).click();
        await card('default').getByText(`77-${key}`, { exact: true }).waitFor();
        assert.equal(await card('default').getByRole('button', { name: 'Revoke' }).count(), 0);
        await card('default').getByRole('button', { name: 'Copy FTL stream key' }).click();
        await until('the key is on the clipboard', async () => (await page.evaluate(() => navigator.clipboard.readText())) === `77-${key}`);

        /* by keyboard alone */
        await page.focus('#make [name=name]');
        await page.keyboard.type('Stage two');
        await page.keyboard.press('Tab');
        await page.keyboard.type('stage');
        await page.keyboard.press('Enter');
        await card('Stage two').waitFor();
        const made = await card('Stage two').locator('.field', { hasText: 'RTMP stream key' }).locator('code').textContent();
        assert.match(made, /^[0-9A-Za-z]{12}$/);
        await page.shot('admin-dark');
        await card('Stage two').getByRole('button', { name: 'New key' }).click();
        await page.getByRole('button', { name: 'Cancel' }).click();
        await card('Stage two').getByRole('button', { name: 'New key' }).click();
        await page.getByRole('button', { name: 'Make a new key' }).click();
        await until('another key', async () => {
            const now = await card('Stage two').locator('.field', { hasText: 'RTMP stream key' }).locator('code').textContent();
            return now !== made && /^[0-9A-Za-z]{12}$/.test(now);
        });
        await card('Stage two').getByRole('button', { name: 'Disable' }).click();
        await card('Stage two').getByText('Disabled').waitFor();
        await card('Stage two').getByRole('button', { name: 'Enable' }).click();
        await card('Stage two').getByText('Off air').waitFor();
        await card('Stage two').getByRole('button', { name: 'Revoke' }).click();
        await page.locator('#yes').click();
        await until('it is gone', async () => (await card('Stage two').count()) === 0);

        await page.reload(); /* still signed in */
        await card('default').waitFor();
        await page.click('#out');
        await page.getByLabel('Secret').waitFor();
        await page.reload();
        await page.getByLabel('Secret').waitFor();

        const small = await visitor({ viewport: { width: 320, height: 600 }, colorScheme: 'light' });
        await small.page.goto(`${http}/admin#key=${secret}`);
        await small.page.locator('.channels > li').first().waitFor();
        assert.ok(!small.page.url().includes(secret), 'the secret leaves the address');
        await small.page.getByRole('button', { name: 'Show keys of default' }).click();
        await small.page.shot('admin-320');
        assert.ok(await small.page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'nothing sticks out at 320 px');
        assert.deepEqual([...page.errors, ...small.page.errors], []);
        assert.deepEqual([...page.foreign, ...small.page.foreign], []);
        await small.leave();
        assert.ok(!s.log().includes(secret) && !s.log().includes(key), s.log());
    } finally {
        await leave();
        assert.equal(await s.stop(), 0, s.log());
    }
    rmSync(dir, { recursive: true });
});
