/* The `sluice` commands, as child processes. */
import { spawn, spawnSync } from 'node:child_process';
import { KEY, ORIGINAL, SECRET, SERVER } from './server.mjs';

/* A reason to skip, or false when this executable has the command. */
export function lacks(command) {
    if (ORIGINAL) return `livekit-server has no \`${command}\``;
    const r = spawnSync(SERVER, ['help', command], { encoding: 'utf8', timeout: 5000 });
    return r.status === 0 && r.stdout.includes(command) ? false : `this build has no \`sluice ${command}\` yet`;
}

const env = (http) => ({ ...process.env, LIVEKIT_URL: http, LIVEKIT_API_KEY: KEY, LIVEKIT_API_SECRET: SECRET });

export function cli(http, ...args) {
    const r = spawnSync(SERVER, args, { encoding: 'utf8', timeout: 20000, env: env(http) });
    if (r.status !== 0) throw new Error(`sluice ${args.join(' ')}: ${r.status}\n${r.stdout}${r.stderr}`);
    return r.stdout;
}

/* `sluice join` with files: a participant like the others, but for what it can see. */
export class FilePerson {
    constructor(identity, id) {
        Object.assign(this, { identity, id });
    }
    join(http, room, ...args) {
        this.child = spawn(SERVER, ['join', '--room', room, '--identity', this.identity, ...args], { env: env(http), stdio: ['ignore', 'pipe', 'pipe'] });
        this.text = '';
        for (const s of [this.child.stdout, this.child.stderr]) s.on('data', (d) => (this.text += d));
        this.ended = new Promise((ok) => this.child.on('exit', (c, sig) => ok(c ?? sig)));
    }
    async leave() {
        if (!this.child) return;
        this.child.kill('SIGINT');
        const t = setTimeout(() => this.child.kill('SIGKILL'), 5000);
        const code = await this.ended;
        clearTimeout(t);
        return code;
    }
}
