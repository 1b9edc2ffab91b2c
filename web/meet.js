/* /meet/ROOM: camera, microphone, screen share, chat. */
import { DisconnectReason, Room, RoomEvent, Track, VideoPresets } from 'livekit-client';
import { $, ask, chat, inviteKey, randomId, roomName, say, shortcuts, Stage } from './common.js';

const name = roomName();
const room = new Room({
    adaptiveStream: true,
    dynacast: true,
    videoCaptureDefaults: { resolution: VideoPresets.h720.resolution },
});
const stage = new Stage($('stage'), room, {
    self: true,
    everybody: true,
    drawn: () => {
        const n = room.remoteParticipants.size + 1;
        $('count').textContent = n === 1 ? 'only you' : `${n} people`;
    },
});

document.title = `${name}: meet`;
$('room').textContent = name;
const form = $('before');
try {
    form.name.value = localStorage.getItem('name') ?? '';
} catch {
    /* storage is off: then the name is typed again */
}
if (!form.elements.name.value) form.elements.name.focus();

form.onsubmit = async (e) => {
    e.preventDefault();
    const f = form.elements;
    $('join').disabled = true;
    $('why').textContent = '';
    try {
        localStorage.setItem('name', f.name.value);
    } catch {
        /* as above */
    }
    try {
        const { url, token } = await ask(name, `${f.name.value.trim().slice(0, 64)}-${randomId().slice(0, 4)}`, 'meet', f.key.value || inviteKey());
        await room.connect(url, token);
        form.hidden = true;
        $('inside').hidden = $('bar').hidden = $('invite').hidden = false;
        stage.draw();
        if (f.mic.checked) await turn('mic', true);
        if (f.cam.checked) await turn('cam', true);
    } catch (err) {
        $('keyrow').hidden = $('keyrow').hidden && err.status !== 403;
        $('why').textContent = err.status === 403 ? 'This room asks for an invitation key.' : err.message;
    }
    $('join').disabled = false;
};

const SOURCES = { mic: Track.Source.Microphone, cam: Track.Source.Camera, share: Track.Source.ScreenShare };
const me = room.localParticipant;
const isOn = (what) => {
    const pub = me.getTrackPublication(SOURCES[what]);
    return !!pub && !pub.isMuted;
};

function buttons() {
    for (const what of Object.keys(SOURCES)) $(what).setAttribute('aria-pressed', isOn(what));
    $('mic').textContent = isOn('mic') ? 'Mic on' : 'Mic off';
    $('cam').textContent = isOn('cam') ? 'Camera on' : 'Camera off';
    $('share').textContent = isOn('share') ? 'Stop share' : 'Share';
}

async function turn(what, on) {
    $(what).disabled = true;
    try {
        if (what === 'mic') await me.setMicrophoneEnabled(on);
        else if (what === 'cam') await me.setCameraEnabled(on);
        else await me.setScreenShareEnabled(on, { audio: true });
        say('');
    } catch (err) {
        /* closing the browser's own picker is an answer, not an error */
        if (!(what === 'share' && err.name === 'NotAllowedError')) say(`${{ mic: 'Microphone', cam: 'Camera', share: 'Screen share' }[what]}: ${err.message}`);
    }
    $(what).disabled = false;
    buttons();
}
for (const what of Object.keys(SOURCES)) $(what).onclick = () => turn(what, !isOn(what));
$('share').hidden = !navigator.mediaDevices?.getDisplayMedia;

for (const ev of [RoomEvent.LocalTrackPublished, RoomEvent.LocalTrackUnpublished, RoomEvent.TrackMuted, RoomEvent.TrackUnmuted]) room.on(ev, buttons);
room.on(RoomEvent.Reconnecting, () => say('Connection lost: reconnecting'));
room.on(RoomEvent.SignalReconnecting, () => say('Connection lost: reconnecting'));
room.on(RoomEvent.Reconnected, () => say(''));
room.on(RoomEvent.Disconnected, (reason) => {
    $('inside').hidden = $('bar').hidden = $('invite').hidden = true;
    form.hidden = false;
    $('count').textContent = '';
    say('');
    $('why').textContent = {
        [DisconnectReason.CLIENT_INITIATED]: 'You left.',
        [DisconnectReason.PARTICIPANT_REMOVED]: 'You were removed from the room.',
        [DisconnectReason.ROOM_DELETED]: 'The room was closed.',
        [DisconnectReason.SERVER_SHUTDOWN]: 'The server was stopped.',
    }[reason] ?? 'The connection ended.';
    $('join').focus();
});
room.on(RoomEvent.AudioPlaybackStatusChanged, () => ($('sound').hidden = room.canPlaybackAudio));
$('sound').onclick = () => room.startAudio();
$('leave').onclick = () => room.disconnect();
addEventListener('pagehide', () => room.disconnect());

$('invite').onclick = async () => {
    const key = inviteKey() || form.elements.key.value;
    await navigator.clipboard?.writeText(`${location.origin}${location.pathname}${key ? `#key=${encodeURIComponent(key)}` : ''}`);
    $('invite').textContent = 'Copied';
    setTimeout(() => ($('invite').textContent = 'Copy link'), 1500);
};

$('set').onclick = async () => {
    const d = $('devices');
    for (const s of d.querySelectorAll('select')) {
        const list = await Room.getLocalDevices(s.name, false).catch(() => []);
        s.replaceChildren(...list.map((x) => new Option(x.label || x.deviceId, x.deviceId, false, x.deviceId === room.getActiveDevice(s.name))));
        s.disabled = !list.length;
        s.onchange = () => room.switchActiveDevice(s.name, s.value).catch((e) => say(e.message));
    }
    $('out').hidden = !('setSinkId' in HTMLMediaElement.prototype);
    d.showModal();
};

chat(room, () => {
    if ($('chat').hidden) $('talk').textContent = 'Chat (new)';
});
shortcuts();
buttons();
