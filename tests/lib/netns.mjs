/*
 * Everything runs in a network namespace of its own where that is permitted: ports cannot
 * clash, nothing can leave the machine, and Firefox gets the non-loopback address it insists
 * on (RFC 5737 documentation addresses on a veth pair whose two ends are both in here).
 */
import { spawn, spawnSync } from 'node:child_process';

export const ADDR = '192.0.2.2';

const SETUP = [
    'ip link set lo up',
    'ip link add sl0 type veth peer name sl1',
    `ip addr add ${ADDR}/24 dev sl0`,
    'ip link set sl0 up',
    'ip link set sl1 up',
    'ip route add default dev sl0',
].join(' && ');

export const inside = () => process.env.E2E_NETNS === '1';

/* The address media goes to. */
export const mediaAddr = () => (inside() ? ADDR : '127.0.0.1');

/* Runs this script again inside a namespace; returns only when that is not possible. */
export async function enter() {
    if (inside() || process.env.E2E_NETNS === '0') return;
    const probe = spawnSync('unshare', ['-n', 'sh', '-c', SETUP], { encoding: 'utf8' });
    if (probe.status !== 0) {
        console.log(`# no network namespace (${(probe.stderr ?? '').trim()}): using loopback, Firefox tests skip`);
        return;
    }
    const child = spawn(
        'unshare',
        ['-n', 'sh', '-c', `${SETUP} && exec "$0" "$@"`, process.execPath, ...process.argv.slice(1)],
        { stdio: 'inherit', env: { ...process.env, E2E_NETNS: '1' } },
    );
    for (const sig of ['SIGINT', 'SIGTERM']) process.on(sig, () => child.kill(sig));
    const status = await new Promise((ok) => child.on('exit', (code) => ok(code ?? 1)));
    process.exit(status);
}
