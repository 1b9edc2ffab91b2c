/* /watch/ROOM: a viewer.  Asks for no device, comes back by itself, starts without sound where the
 * browser insists on a gesture first. */
import { DisconnectReason, Room, RoomEvent, VideoQuality } from 'livekit-client';
import { $, ask, chat, randomId, roomName, say, shortcuts, Stage } from './common.js';

const RETRY_MS = [500, 1000, 2000, 4000, 8000];
const name = roomName();
const me = `viewer-${randomId()}`;
const room = new Room({ adaptiveStream: true });
const empty = document.createElement('p');
empty.className = 'empty';
empty.textContent = 'Nothing is on air yet. This page starts by itself.';

const stage = new Stage($('stage'), room, {
    drawn: (tiles) => {
        $('live').hidden = !tiles.some((t) => t.track);
        if (tiles.length) empty.remove();
        else $('stage').append(empty);
        const all = [...room.remoteParticipants.values()];
        const n = 1 + all.filter((p) => p.trackPublications.size === 0).length;
        $('count').textContent = n === 1 ? '1 viewer' : `${n} viewers`;
        quality();
    },
});

document.title = `${name}: watch`;
$('room').textContent = name;

function quality() {
    const q = $('quality').value;
    for (const p of room.remoteParticipants.values())
        for (const pub of p.videoTrackPublications.values())
            if (q !== '') pub.setVideoQuality(Number(q));
            else if (pub.isSubscribed) pub.setVideoQuality(VideoQuality.HIGH);
}
$('quality').onchange = quality;

let sound = false;
function sounds(on) {
    sound = on;
    stage.mute(!on);
    if (on) room.startAudio().catch(() => {});
    $('sound').textContent = on ? 'Sound off' : 'Sound on';
    $('sound').setAttribute('aria-pressed', on);
    $('sound').classList.toggle('main', !on);
}
$('sound').onclick = () => sounds(!sound);
$('full').onclick = () => (document.fullscreenElement ? document.exitFullscreen() : $('stage').requestFullscreen());

let tries = 0;
async function connect() {
    try {
        const { url, token } = await ask(name, me, 'watch');
        await room.connect(url, token);
        tries = 0;
        say('');
        stage.draw();
    } catch (err) {
        say(`Not connected (${err.message}): trying again`);
        setTimeout(connect, RETRY_MS[Math.min(tries++, RETRY_MS.length - 1)]);
    }
}
room.on(RoomEvent.Reconnecting, () => say('Connection lost: reconnecting'));
room.on(RoomEvent.SignalReconnecting, () => say('Connection lost: reconnecting'));
room.on(RoomEvent.Reconnected, () => say(''));
room.on(RoomEvent.Disconnected, (reason) => {
    stage.draw();
    if (reason === DisconnectReason.CLIENT_INITIATED) return;
    if (reason === DisconnectReason.PARTICIPANT_REMOVED) return say('You were removed from this room.');
    say('Connection lost: trying again');
    setTimeout(connect, RETRY_MS[Math.min(tries++, RETRY_MS.length - 1)]);
});
addEventListener('pagehide', () => room.disconnect());

chat(room, () => {
    if ($('chat').hidden) $('talk').textContent = 'Chat (new)';
});
shortcuts();
sounds(false);
connect();
