/* Publishers over RTMP: ffmpeg, with a clip of a sender's marker and tone, over and over. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { audioClip, videoClip } from './clips.mjs';

const clips = new Map();
let dir;

/* A file with H.264 and AAC; `b`: with B-frames. */
async function clip(id, b) {
    const name = `${id}${b ? '-b' : ''}`;
    if (clips.has(name)) return clips.get(name);
    dir ??= mkdtempSync(join(tmpdir(), 'e2e-rtmp-'));
    const file = join(dir, `${name}.flv`);
    const [video, audio] = await Promise.all([videoClip('h264', id), audioClip(id)]);
    const codec = b ? ['libx264', '-preset', 'veryfast', '-bf', '2', '-g', '30'] : ['copy'];
    const r = spawnSync('ffmpeg', ['-v', 'error', '-y', '-framerate', '15', '-i', video, '-i', audio, '-c:v', ...codec, '-c:a', 'aac', '-b:a', '96k', file]);
    if (r.status !== 0) throw new Error(`ffmpeg: ${r.stderr}`);
    clips.set(name, file);
    return file;
}

export class RtmpPublisher {
    /* o: {url, identity, id, b, args}; `url` with its key */
    constructor(o) {
        Object.assign(this, o);
        this.text = '';
    }
    async start() {
        const file = await clip(this.id, this.b);
        this.child = spawn('ffmpeg', ['-v', 'warning', '-re', '-stream_loop', '-1', '-i', file, '-c', 'copy', ...(this.args ?? []), '-f', 'flv', '-flvflags', 'no_duration_filesize', this.url], {
            stdio: ['ignore', 'ignore', 'pipe'],
        });
        this.child.stderr.on('data', (d) => (this.text += d));
        this.ended = new Promise((ok) => this.child.on('exit', (code, sig) => ok((this.code = sig ?? code))));
    }
    kill = (sig) => this.child.kill(sig);
    async leave() {
        if (!this.child) return;
        if (this.code === undefined) this.child.kill('SIGTERM'); /* it says goodbye */
        return this.ended;
    }
}
