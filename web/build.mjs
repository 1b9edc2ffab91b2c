/* Bundles the pages into dist/, which the build embeds.  livekit-client is one file that both
 * room pages share; what is ours has to stay under 60 KB a page. */
import { copyFileSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import esbuild from 'esbuild';

const here = fileURLToPath(new URL('.', import.meta.url));
const dist = process.argv[2] ?? `${here}dist`;
const PAGE_MAX = 60 << 10;

rmSync(dist, { recursive: true, force: true });
mkdirSync(dist, { recursive: true });
const options = { bundle: true, minify: true, format: 'esm', target: 'es2021', legalComments: 'none', logLevel: 'warning', absWorkingDir: here };

await esbuild.build({ ...options, entryPoints: ['livekit.js'], outfile: `${dist}/livekit.js` });
await esbuild.build({
    ...options,
    entryPoints: ['admin.js', 'index.js', 'meet.js', 'watch.js', 'watch-room.js', 'style.css'],
    outdir: dist,
    alias: { 'livekit-client': '/livekit.js' },
    external: ['/livekit.js', '/watch-room.js'],
});
for (const f of readdirSync(here)) if (/\.(html|svg)$/.test(f)) copyFileSync(here + f, `${dist}/${f}`);

const size = (f) => statSync(`${dist}/${f}`).size;
for (const page of ['admin', 'index', 'meet', 'watch']) {
    const n = size(`${page}.html`) + size(`${page}.js`) + size('style.css') + (page === 'watch' ? size('watch-room.js') : 0);
    console.log(`web: /${page} ${(n / 1024).toFixed(1)} KB`);
    if (n > PAGE_MAX) {
        console.error(`web: ${page} is over ${PAGE_MAX >> 10} KB`);
        process.exit(1);
    }
}
console.log(`web: livekit-client ${(size('livekit.js') / 1024).toFixed(0)} KB`);
