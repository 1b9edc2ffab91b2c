/* OBS Studio itself, on a screen that nobody sees: it plays a clip of a sender's marker and tone and streams it. */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from './wait.mjs';

export const OBS = '/usr/bin/obs';
export const installed = () => existsSync(OBS) && existsSync('/usr/bin/Xvfb');
const W = 640, H = 360, FPS = 30;

/* The files that its first start would make after asking; names as OBS 29 has them. */
function settle(home, o) {
    const config = join(home, '.config', 'obs-studio');
    const profile = join(config, 'basic', 'profiles', 'bench');
    const scenes = join(config, 'basic', 'scenes');
    for (const d of [profile, scenes]) mkdirSync(d, { recursive: true });
    writeFileSync(join(config, 'global.ini'), `[General]
FirstRun=true
LastVersion=486539266
EnableAutoUpdates=false
[Basic]
Profile=bench
ProfileDir=bench
SceneCollection=bench
SceneCollectionFile=bench
[BasicWindow]
WarnBeforeStartingStream=false
SysTrayEnabled=false
[Video]
Renderer=OpenGL
`);
    writeFileSync(join(profile, 'basic.ini'), `[General]
Name=bench
[Video]
BaseCX=${W}
BaseCY=${H}
OutputCX=${W}
OutputCY=${H}
FPSCommon=${FPS}
[Audio]
SampleRate=48000
[Output]
Mode=Simple
Reconnect=true
RetryDelay=1
[SimpleOutput]
StreamEncoder=x264
VBitrate=800
ABitrate=128
UseAdvanced=true
Preset=ultrafast
x264Settings=tune=zerolatency keyint=60 bframes=0
`);
    writeFileSync(join(profile, 'service.json'), JSON.stringify({ type: 'rtmp_custom', settings: { server: o.server, key: o.key, use_auth: false } }));
    const source = {
        id: 'ffmpeg_source', versioned_id: 'ffmpeg_source', name: 'clip', enabled: true, volume: 1, mixers: 255,
        settings: { local_file: o.clip, is_local_file: true, looping: true, hw_decode: false, clear_on_media_end: false, restart_on_activate: false },
    };
    const scene = {
        id: 'scene', versioned_id: 'scene', name: 'scene', enabled: true,
        settings: { id_counter: 1, items: [{ name: 'clip', id: 1, visible: true, pos: { x: 0, y: 0 }, scale: { x: 1, y: 1 }, bounds_type: 2, bounds: { x: W, y: H } }] },
    };
    writeFileSync(join(scenes, 'bench.json'), JSON.stringify({
        name: 'bench', current_scene: 'scene', current_program_scene: 'scene', scene_order: [{ name: 'scene' }], sources: [source, scene],
    }));
}

export class ObsStudio {
    /* o: {server, key, clip, identity, id}: what a streamer types into its two fields, and a file to play */
    constructor(o) {
        Object.assign(this, o);
        this.text = '';
    }
    async start() {
        this.home = mkdtempSync(join(tmpdir(), 'e2e-obs-'));
        settle(this.home, this);
        this.screen = spawn('Xvfb', ['-displayfd', '3', '-screen', '0', '800x600x24', '-nolisten', 'tcp'], { stdio: ['ignore', 'ignore', 'ignore', 'pipe'] });
        let number = '';
        this.screen.stdio[3].on('data', (d) => (number += d));
        await until('a screen', async () => number.includes('\n'), 15000);
        this.child = spawn(OBS, ['--startstreaming', '--profile', 'bench', '--collection', 'bench', '--minimize-to-tray', '--multi'], {
            stdio: ['ignore', 'pipe', 'pipe'],
            env: { ...process.env, HOME: this.home, XDG_CONFIG_HOME: join(this.home, '.config'), XDG_RUNTIME_DIR: this.home, DISPLAY: `:${number.trim()}`, LIBGL_ALWAYS_SOFTWARE: '1' },
        });
        for (const s of [this.child.stdout, this.child.stderr]) s.on('data', (d) => (this.text = (this.text + d).slice(-20000)));
        this.ended = new Promise((ok) => this.child.on('exit', (code, sig) => ok((this.code = sig ?? code))));
    }
    async leave() {
        if (this.child && this.code === undefined) {
            this.child.kill('SIGKILL'); /* SIGINT does not end a running stream */
            await this.ended;
        }
        this.screen?.kill();
        if (this.home) rmSync(this.home, { recursive: true, force: true });
    }
}
