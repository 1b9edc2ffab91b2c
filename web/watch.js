/* /watch/ROOM: a viewer.  By WHEP, which is a picture after one request; by livekit-client when that fails.
 * Asks for no device, comes back by itself, starts without sound where the browser insists on a
 * gesture first.  #token=... is a private link; ?embed=1 is the picture alone. */
import { lines } from './lines.js';
import { $, chatBox, roomName, say, shortcuts } from './ui.js';
import { watchByWhep } from './whep.js';

const RETRY_MS = [500, 1000, 2000, 4000, 8000];
const POLL_MS = 2000;
const name = roomName();
const query = new URLSearchParams(location.search);
const token = new URLSearchParams(location.hash.slice(1)).get('token') ?? query.get('token') ?? '';

document.title = `${name}: watch`;
$('room').textContent = name;
document.body.classList.toggle('embed', query.has('embed'));

const empty = document.createElement('p');
empty.className = 'empty';
empty.textContent = 'Nothing is on air yet. This page starts by itself.';

function live(any, picture) {
    $('live').hidden = !picture;
    if (any) empty.remove();
    else $('stage').append(empty);
    if (!picture) $('latency').textContent = '';
}

const transport = (text, title) => {
    $('transport').textContent = text;
    $('transport').title = title;
};

/* ---- the picture by WHEP ---- */

let player = null; /* {sound(on), quality(id), close()} */
let whep = null;
let tries = 0;
let sound = false;
const figure = document.createElement('figure');
figure.className = 'tile';
const video = Object.assign(document.createElement('video'), { muted: true, autoplay: true, playsInline: true });
const audio = Object.assign(document.createElement('audio'), { muted: true, autoplay: true });
figure.append(video);
document.body.append(audio);

function onTrack(e) {
    const el = e.track.kind === 'video' ? video : audio;
    el.srcObject = new MediaStream([e.track]);
    el.play().catch(() => {});
}

let drawn = '';
function menu(layers, now) {
    const ids = ['auto', ...(layers.length > 1 ? layers.map((l) => l.encodingId) : [])];
    if (drawn !== ids.join()) {
        drawn = ids.join();
        $('quality').replaceChildren(
            ...ids.map((id) => {
                const l = layers.find((x) => x.encodingId === id);
                return new Option(id[0].toUpperCase() + id.slice(1) + (l?.height ? ` (${l.height}p)` : ''), id);
            }),
        );
    }
    if (document.activeElement !== $('quality')) $('quality').value = now;
}

async function poll(mine) {
    if (whep !== mine) return;
    const [info, ms] = await Promise.all([mine.info().catch(() => null), mine.latency().catch(() => null)]);
    if (whep !== mine) return;
    if (info) {
        $('count').textContent = info.viewers === 1 ? '1 viewer' : `${info.viewers} viewers`;
        menu(info.layers, info.layer);
        live(info.live, info.video);
        if (!info.video) figure.remove();
        else if (!figure.isConnected) $('stage').append(figure);
    }
    $('latency').textContent = ms === null || !info?.video ? '' : `${ms} ms`;
    setTimeout(poll, POLL_MS, mine);
}

/* A first frame is on screen before anybody asks the server what is on. */
function onFrame() {
    if (player?.byRoom) return;
    if (!figure.isConnected && whep) {
        $('stage').append(figure);
        live(true, true);
        poll(whep);
    }
}

let box = null;
let channel = null;
function chatByWhep(pc) {
    channel = lines(pc, (from, text) => {
        box.line(from.replace(/-[0-9a-f]{4}$/, '') || 'A viewer', text);
        seen();
    });
}
const seen = () => {
    if ($('chat').hidden) $('talk').textContent = 'Chat (new)';
};

const again = () => setTimeout(connect, RETRY_MS[Math.min(tries++, RETRY_MS.length - 1)]);

async function connect() {
    try {
        const mine = await watchByWhep({
            room: name,
            token,
            prepare: chatByWhep,
            track: onTrack,
            lost() {
                whep = null;
                figure.remove();
                live(false, false);
                say('Connection lost: trying again');
                again();
            },
        });
        whep = mine;
        tries = 0;
        say('');
        transport('WHEP', 'Media over WHEP, UDP');
        poll(mine);
    } catch (err) {
        if (err.status === 401 || err.status === 403) say('This room is private: open it with the link that you were given.');
        else if (err.status === 503 || tries > 0) {
            say(`Not connected (${err.message}): trying again`);
            again();
        } else fallBack();
    }
}

async function fallBack() {
    try {
        const { watchByRoom } = await import('/watch-room.js');
        audio.remove();
        figure.remove();
        player = watchByRoom({ name, token, live, seen });
        player.byRoom = true;
        player.sound(sound);
        menu([{ encodingId: 'high' }, { encodingId: 'medium' }, { encodingId: 'low' }], 'auto');
        transport('LiveKit', 'WHEP did not get through: media over livekit-client');
    } catch (err) {
        say(`Not connected (${err.message}): trying again`);
        again();
    }
}

/* ---- controls ---- */

function sounds(on) {
    sound = on;
    audio.muted = !on;
    if (on) audio.play().catch(() => {});
    player?.sound(on);
    $('sound').textContent = on ? 'Sound off' : 'Sound on';
    $('sound').setAttribute('aria-pressed', on);
    $('sound').classList.toggle('main', !on);
}
$('sound').onclick = () => sounds(!sound);
$('full').onclick = () => (document.fullscreenElement ? document.exitFullscreen() : $('stage').requestFullscreen());
$('quality').onchange = () => {
    const id = $('quality').value;
    if (player) player.quality(id);
    else whep?.layer(id);
};

$('share').onclick = () => {
    const link = `${location.origin}/watch/${encodeURIComponent(name)}`;
    const secret = token ? `#token=${token}` : '';
    $('link').value = link + secret;
    $('embed').value = `<iframe src="${link}?embed=1${secret}" width="640" height="360" allow="autoplay; fullscreen" title="${name.replace(/[&<>"]/g, '')}"></iframe>`;
    $('sharing').showModal();
};
for (const b of document.querySelectorAll('[data-copy]'))
    b.onclick = async () => {
        const field = $(b.dataset.copy);
        field.select();
        await navigator.clipboard?.writeText(field.value).catch(() => {});
        b.textContent = 'Copied';
        setTimeout(() => (b.textContent = 'Copy'), 1500);
    };

addEventListener('pagehide', () => {
    whep?.close();
    player?.close();
});
video.addEventListener('playing', onFrame);
box = chatBox((text) => channel.send(text));
shortcuts();
sounds(false);
live(false, false);
menu([], 'auto');
connect();
