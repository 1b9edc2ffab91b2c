/* Bundles page/client.js with livekit-client and serves it on a port of its own. */
import http from 'node:http';
import { fileURLToPath } from 'node:url';
import esbuild from 'esbuild';

let bundled;

async function bundle() {
    bundled ??= esbuild
        .build({
            entryPoints: [fileURLToPath(new URL('../page/client.js', import.meta.url))],
            bundle: true,
            write: false,
            format: 'iife',
            minify: true,
            logLevel: 'error',
        })
        .then((r) => r.outputFiles[0].text);
    return bundled;
}

/* -> {url, close()} */
export async function servePage() {
    const js = await bundle();
    const srv = http.createServer((req, res) => {
        if (req.url === '/client.js') {
            res.setHeader('content-type', 'text/javascript; charset=utf-8');
            res.end(js);
        } else if (req.url === '/') {
            res.setHeader('content-type', 'text/html; charset=utf-8');
            res.end('<!doctype html><meta charset="utf-8"><title>e2e</title><script src="/client.js"></script>');
        } else {
            res.statusCode = 404;
            res.end();
        }
    });
    await new Promise((ok) => srv.listen(0, '127.0.0.1', ok));
    return {
        url: `http://localhost:${srv.address().port}/`,
        close: () => {
            srv.closeAllConnections();
            srv.close();
        },
    };
}
