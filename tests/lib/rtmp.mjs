/* Publishers over RTMP: ffmpeg and GStreamer, with a clip of a sender's marker and tone. */
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

const ffmpeg = (file, o) => ['ffmpeg', '-v', 'warning', '-re', '-stream_loop', '-1', '-i', file, '-c', 'copy', ...(o.args ?? []), '-f', 'flv', '-flvflags', 'no_duration_filesize', o.url];

/* Once, at its own pace; 20 seconds. */
function gstreamer(file, o) {
    const long = file.replace('.flv', '-long.flv');
    const r = spawnSync('ffmpeg', ['-v', 'error', '-y', '-stream_loop', '4', '-i', file, '-c', 'copy', long]);
    if (r.status !== 0) throw new Error(`ffmpeg: ${r.stderr}`);
    return ['gst-launch-1.0', '-q', 'filesrc', `location=${long}`, '!', 'flvdemux', 'name=d', 'flvmux', 'name=m', 'streamable=true', '!', 'rtmp2sink', 'sync=true', `location=${o.url}`,
        'd.video', '!', 'queue', '!', 'h264parse', '!', 'm.', 'd.audio', '!', 'queue', '!', 'aacparse', '!', 'm.'];
}

export class RtmpPublisher {
    /* o: {url, identity, id, b, gst, args}; `url` with its key; gst: GStreamer's rtmp2sink */
    constructor(o) {
        Object.assign(this, o);
        this.text = '';
    }
    async start() {
        const file = await clip(this.id, this.b);
        const [name, ...args] = (this.gst ? gstreamer : ffmpeg)(file, this);
        this.child = spawn(name, args, { stdio: ['ignore', 'ignore', 'pipe'] });
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
