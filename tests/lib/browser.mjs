/*
 * Chromium by playwright-core and Firefox by puppeteer-core (WebDriver BiDi), behind one face:
 * newPage() gives {call(method, ...args), eval(fn, ...args), raw, close()}.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { servePage } from './bundle.mjs';

export const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
export const FIREFOX = process.env.FIREFOX ?? '/usr/bin/firefox-esr';

export const CHROMIUM_ARGS = [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--disable-background-timer-throttling',
    '--disable-renderer-backgrounding',
    '--disable-backgrounding-occluded-windows',
    '--use-fake-device-for-media-stream',
    '--use-fake-ui-for-media-stream',
    '--autoplay-policy=no-user-gesture-required',
    '--allow-loopback-in-peer-connection',
];

function face(page, site, noise) {
    return {
        raw: page,
        noise,
        call: (method, ...args) =>
            page.evaluate(([m, a]) => window.T[m](...a), [method, args]),
        eval: (fn, arg) => page.evaluate(fn, arg),
        close: async () => {
            await page.close();
            site.close();
        },
    };
}

export async function launchChromium(extra = []) {
    const { chromium } = await import('playwright-core');
    const browser = await chromium.launch({
        executablePath: CHROMIUM,
        headless: true,
        args: [...CHROMIUM_ARGS, ...extra],
    });
    return {
        name: 'chromium',
        browser,
        async newPage() {
            const site = await servePage();
            const page = await browser.newPage();
            const noise = [];
            page.on('console', (m) => noise.push(`${m.type()} ${m.text()}`));
            page.on('pageerror', (e) => noise.push(`pageerror ${e.message}`));
            await page.goto(site.url);
            return face(page, site, noise);
        },
        close: () => browser.close(),
    };
}

export async function launchFirefox() {
    const puppeteer = (await import('puppeteer-core')).default;
    const dir = mkdtempSync(join(tmpdir(), 'e2e-ff-'));
    const browser = await puppeteer.launch({
        browser: 'firefox',
        executablePath: FIREFOX,
        headless: true,
        userDataDir: dir,
        extraPrefsFirefox: {
            'media.autoplay.default': 0,
            'media.autoplay.blocking_policy': 0,
            'media.autoplay.block-webaudio': false,
            'media.navigator.streams.fake': true,
            'media.navigator.permission.disabled': true,
            'media.gmp-manager.updateEnabled': false,
            'network.captive-portal-service.enabled': false,
            'network.connectivity-service.enabled': false,
            'app.update.enabled': false,
            'browser.safebrowsing.malware.enabled': false,
            'browser.safebrowsing.phishing.enabled': false,
            'datareporting.policy.dataSubmissionEnabled': false,
            'toolkit.telemetry.enabled': false,
        },
    });
    return {
        name: 'firefox',
        browser,
        async newPage() {
            const site = await servePage();
            const page = await browser.newPage();
            const noise = [];
            page.on('console', (m) => noise.push(`${m.type()} ${m.text()}`));
            page.on('pageerror', (e) => noise.push(`pageerror ${e.message}`));
            await page.goto(site.url);
            return face(page, site, noise);
        },
        close: async () => {
            await browser.close();
            rmSync(dir, { recursive: true, force: true });
        },
    };
}
