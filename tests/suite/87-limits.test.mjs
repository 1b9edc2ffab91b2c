/* What the server lacks, or is told wrongly, it says in one line that names the remedy. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import dgram from 'node:dgram';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { assert, sleep, test, token, until } from '../lib/kit.mjs';
import { startPair } from '../lib/pair.mjs';
import { bytes, signal, statuses } from '../lib/raw.mjs';
import { ORIGINAL, SERVER, startServer } from '../lib/server.mjs';

const skip = ORIGINAL ? 'reads sluice\'s own words' : false;

test('limits: without descriptors newcomers are told, and the rest goes on', { skip, timeout: 40000 }, async () => {
    const srv = await startServer({ under: ['prlimit', '--nofile=64:64'] });
    const pair = await startPair(srv.http, 'few');
    const crowd = [];
    for (let i = 0; i < 100; i++) {
        const s = net.connect(srv.port, '127.0.0.1');
        s.on('error', () => {});
        crowd.push(s);
    }
    await sleep(300);
    pair.reset();
    const r = await bytes(srv.port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.deepEqual(statuses(r.text), [503]);
    assert.match(r.text, /as many connections as it can take/);
    assert.match(r.text, /retry-after/i);
    const refused = await signal(srv.ws, await token('late', 'few'));
    assert.deepEqual([refused.status, /as many connections/.test(refused.body)], [503, true]);
    await sleep(1000);
    assert.ok(pair.gap() < 1000, `media stood still for ${pair.gap()} ms`);
    for (const s of crowd) s.destroy();
    await until('there is room again', async () => (await bytes(srv.port, 'GET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')).text.includes(' 404 '));
    const c = await signal(srv.ws, await token('later', 'few'));
    assert.equal(c.status, 101);
    await c.leave();
    assert.deepEqual(await pair.stop(), [0, 0]);
    assert.equal(await srv.stop(), 0, srv.log().slice(-4000));
});

test('limits: one connection too many is told', { skip }, async () => {
    const srv = await startServer({ config: ['limit: { max_connections: 3 }'] });
    const crowd = await Promise.all(Array.from({ length: 3 }, () => new Promise((ok) => {
        const s = net.connect(srv.port, '127.0.0.1', () => ok(s)).on('error', () => {});
    })));
    await sleep(200);
    assert.deepEqual(statuses((await bytes(srv.port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')).text), [503]);
    for (const s of crowd) s.destroy();
    await until('there is room again', async () => (await fetch(`${srv.http}/`).catch(() => ({}))).status === 200);
    assert.equal(await srv.stop(), 0);
});

test('limits: a room that nobody may create is refused with the original\'s words', { skip }, async () => {
    const srv = await startServer({ config: ['room: { auto_create: false }'] });
    for (const path of ['/rtc/validate', '/rtc']) {
        const t = await token('ann', 'nowhere');
        const r = path === '/rtc' ? await signal(srv.ws, t) : await fetch(`${srv.http}${path}?access_token=${t}`).then(async (x) => ({ status: x.status, body: await x.text() }));
        assert.deepEqual([r.status, r.body], [404, 'requested room does not exist']);
    }
    assert.equal(await srv.stop(), 0);
});

/* Beside the event loop: a port's owner may be this very process. */
function run(args, env = {}) {
    return new Promise((ok) => {
        const c = spawn(SERVER, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { PATH: process.env.PATH, HOME: '/nowhere', ...env } });
        let [out, err] = ['', ''];
        c.stdout.on('data', (d) => (out += d));
        c.stderr.on('data', (d) => (err += d));
        const t = setTimeout(() => c.kill('SIGKILL'), 8000);
        c.on('close', (code, sig) => { /* after the last of its output */
            clearTimeout(t);
            ok({ code: code ?? sig, out, err, lines: err.trim().split('\n').filter((l) => !l.startsWith('development mode')) });
        });
    });
}

test('limits: a port in use is named, and who has it', { skip }, async () => {
    const tcp = net.createServer();
    await new Promise((ok) => tcp.listen(0, '127.0.0.1', ok));
    const udp = dgram.createSocket('udp4');
    await new Promise((ok) => udp.bind(0, '0.0.0.0', ok));
    const owner = new RegExp(`by .*\\(pid ${process.pid}\\)`);
    const base = ['server', '--dev', '--bind', '127.0.0.1', '--node-ip', '127.0.0.1'];
    for (const [args, what, flag] of [
        [['--port', String(tcp.address().port), '--udp-port', '0'], `TCP port ${tcp.address().port} is in use`, '--port'],
        [['--port', '0', '--udp-port', String(udp.address().port)], `UDP port ${udp.address().port} is in use`, '--udp-port'],
        [['--port', '0', '--udp-port', '0', '--prometheus-port', String(tcp.address().port)], `TCP port ${tcp.address().port} is in use`, '--prometheus-port'],
    ]) {
        const r = await run([...base, ...args]);
        assert.deepEqual([r.code, r.lines.length], [2, 1], r.err);
        assert.ok(r.lines[0].includes(what) && r.lines[0].endsWith(`choose another with ${flag}`), r.err);
        assert.match(r.lines[0], owner);
    }
    tcp.close();
    udp.close();
});

test('limits: flags and YAML that are wrong', { skip, timeout: 40000 }, async () => {
    const dir = mkdtempSync(join(tmpdir(), 'e2e-conf-'));
    const file = join(dir, 'sluice.yaml');
    const open_file = join(dir, 'keys');
    writeFileSync(open_file, 'devkey: secret\n', { mode: 0o644 });
    const dev = (...a) => ['server', '--dev', '--port', '0', '--udp-port', '0', ...a];
    const flags = [
        [['nonsense'], /unknown command 'nonsense'.*sluice help/],
        [['server', '--prot', '7880'], /'--prot'.*did you mean '--port'/],
        [['server', '--port'], /--port: needs a value/],
        [['server', '--port', 'abc'], /--port: 'abc'.*from 0 to 65535/],
        [['server', '--port', '70000'], /--port: 70000.*from 0 to 65535/],
        [['server', '--port=-1'], /--port: -1.*from 0 to 65535/],
        [dev('--bind', 'nowhere'), /--bind: 'nowhere'.*127\.0\.0\.1/],
        [dev('--bind', '203.0.113.7'), /--bind: 203\.0\.113\.7 is no address of this machine/],
        [dev('--udp-port', '9-5'), /--udp-port: .*lower port first/],
        [dev('--udp-port', 'x'), /--udp-port: 'x'.*7882/],
        [dev('--workers', '100'), /--workers: 100.*0 to 64/],
        [dev('--node-ip', '1.2.3'), /--node-ip: '1\.2\.3'.*203\.0\.113\.9/],
        [dev('--announce', '1.2.3.4'), /--announce: '1\.2\.3\.4'.*203\.0\.113\.9:7882/],
        [dev('--log-level', 'loud'), /--log-level: 'loud'.*error, warn, info or debug/],
        [dev('--ready-fd', 'x'), /--ready-fd: 'x'/],
        [dev('extra'), /'extra'.*sluice help server/],
        [['server', '--config', '/nowhere.yaml'], /--config: cannot read \/nowhere\.yaml/],
        [['server', '--config', dir], /--config: cannot read /],
        [['server', '--key-file', '/nowhere'], /--key-file: cannot read \/nowhere/],
        [['server', '--key-file', open_file], /--key-file: .*chmod o-rwx/],
        [['server', '--keys', 'nocolon'], /--keys: .*'key: secret'/],
        [['server'], /key.*sluice generate-keys.*--dev/],
        [['token', 'create'], /API key.*--api-key/],
        [['token', 'nothing'], /'nothing'.*sluice token create/],
        [['join', '--dev'], /--room NAME/],
        [['join', '--dev', '--room', 'x', '--duration', 'abc'], /--duration: 'abc'.*30s/],
        [['room', 'list', '--nope'], /'--nope'.*sluice help room/],
        [['create-room', '--nope'], /'--nope'/],
    ];
    const yaml = [
        ['prot: 1\n', 1, /'prot'; did you mean 'port'.*--disable-strict-config/],
        ['# first\nport: x\n', 2, /port: 'x'.*from 0 to 65535/],
        ['port: [1]\n', 1, /'port' takes a single value/],
        ['port: 1\nport: 2\n', 2, /twice; remove one/],
        ['rtc:\n  udp_prt: 7\n', 2, /'rtc\.udp_prt'; did you mean 'rtc\.udp_port'/],
        ['rtc: 5\n', 1, /'rtc' is a section; indent/],
        ['rtc:\n  udp_port: 9-3\n', 2, /rtc\.udp_port: .*lower port first/],
        ['rtc: {node_ip: nowhere}\n', 1, /rtc\.node_ip: 'nowhere'/],
        ['keys: 7\n', 1, /keys: .*'key: secret'/],
        ['keys:\n  a: ""\n', 2, /keys: .*'key: secret'/],
        ['room:\n  empty_timeout: -3\n', 2, /room\.empty_timeout: '-3'.*300 or 5m/],
        ['room: {auto_create: perhaps}\n', 1, /room\.auto_create: 'perhaps'.*true nor false/],
        ['log_level: loud\n', 1, /log_level: 'loud'.*debug/],
        ['a: b: c\n', 1, /YAML; look at/],
        ['port: 1\n\tregion: x\n', 2, /YAML; look at/],
        ['- 1\n', 1, /'key: value'/],
        ['&a [*a]\n', 1, /anchors.*value itself/],
        ['port: 1\n---\nport: 2\n', null, /second document/],
        ['limit: {max_connections: many}\n', 1, /limit\.max_connections: 'many'/],
    ];
    const checks = flags.map(([args, words]) => async () => {
        const r = await run(args);
        assert.deepEqual([r.code, r.lines.length], [2, 1], `${args.join(' ')}: ${r.code} ${r.err}`);
        assert.match(r.lines[0], words);
    });
    for (const [i, [text, line, words]] of yaml.entries())
        checks.push(async () => {
            const name = `${file}.${i}`;
            writeFileSync(name, text);
            const r = await run(['server', '--config', name]);
            assert.deepEqual([r.code, r.lines.length], [2, 1], `${text}: ${r.code} ${r.err}`);
            assert.match(r.lines[0], words);
            if (line) assert.ok(r.lines[0].startsWith(`${name}:${line}: `), r.err);
        });
    while (checks.length) await Promise.all(checks.splice(0, 6).map((f) => f()));
    const gone = await run(['join', '--dev', '--room', 'x', '--video', '/nowhere.ivf']);
    assert.deepEqual([gone.code, gone.lines], [1, ['sluice join: /nowhere.ivf: No such file or directory']]);
    rmSync(dir, { recursive: true });
});
