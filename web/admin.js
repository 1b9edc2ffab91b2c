/* /admin: the channels that may stream here: keys, what an encoder asks for, what is on air. */
import { $, inviteKey, say } from './ui.js';

const EVERY_MS = 3000;
const STORED = 'admin';
let secret = '';
let token = '';
let timer = 0;
let shown = '';
const open = new Set(); /* channels whose keys are readable */

const kept = {
    get: () => {
        try {
            return sessionStorage.getItem(STORED) ?? '';
        } catch {
            return '';
        }
    },
    set: (v) => {
        try {
            if (v) sessionStorage.setItem(STORED, v);
            else sessionStorage.removeItem(STORED);
        } catch {
            /* storage is off: it is asked again after a reload */
        }
    },
};

/* ---- the server ---- */

async function post(path, body, bearer) {
    const r = await fetch(path, {
        method: 'POST',
        cache: 'no-store',
        headers: { 'content-type': 'application/json', ...(bearer ? { authorization: `Bearer ${bearer}` } : {}) },
        body: JSON.stringify(body),
    });
    const answer = await r.json().catch(() => ({}));
    const why = (answer.msg ?? answer.error ?? `The server answered ${r.status}.`).replace(/^twirp error unknown: /, '');
    if (!r.ok) throw Object.assign(new Error(why), { status: r.status });
    return answer;
}

async function signIn() {
    token = (await post('/api/admin', { secret })).token;
}

/* Tokens last an hour; the secret gets another one. */
async function call(method, body = {}) {
    try {
        return await post(`/twirp/${method}`, body, token);
    } catch (e) {
        if (e.status !== 401) throw e;
        await signIn();
        return post(`/twirp/${method}`, body, token);
    }
}

/* ---- one channel ---- */

function el(tag, props = {}, ...kids) {
    const e = Object.assign(document.createElement(tag), props);
    e.append(...kids);
    return e;
}

const button = (text, label, act, cls = '') => {
    const b = el('button', { textContent: text, className: cls, type: 'button' });
    b.setAttribute('aria-label', label);
    b.onclick = act;
    return b;
};

async function copy(text, b) {
    try {
        await navigator.clipboard.writeText(text);
    } catch { /* not allowed, or no secure page: the old way */
        const t = el('textarea', { value: text, readOnly: true });
        t.style.cssText = 'position:fixed;opacity:0';
        document.body.append(t);
        t.select();
        document.execCommand('copy');
        t.remove();
        b.focus();
    }
    b.textContent = 'Copied';
    setTimeout(() => (b.textContent = 'Copy'), 1500);
}

/* A field as an encoder names it; keys are dots until they are asked for. */
function field(x, label, text, hidden) {
    const masked = hidden && !open.has(x.ingress_id);
    const b = button('Copy', `Copy ${label} of ${x.name}`, () => copy(text, b));
    return el('div', { className: 'field' }, el('span', { className: 'soft', textContent: label }), el('code', { textContent: masked ? '••••••••••••' : text }), b);
}

function ways(x) {
    const rtmp = x.input_type === 'RTMP_INPUT';
    const whip = x.any_protocol || x.input_type === 'WHIP_INPUT';
    const own = `${location.origin}/whip`;
    return [
        ...(rtmp ? [field(x, 'RTMP server', x.url), field(x, 'RTMP stream key', x.stream_key, true)] : []),
        ...(x.ftl_key ? [field(x, 'FTL server', `ftl://${location.hostname}`), field(x, 'FTL stream key', x.ftl_key, true)] : []),
        ...(whip ? [field(x, 'WHIP server', x.input_type === 'WHIP_INPUT' ? x.url : own), field(x, 'WHIP bearer token', x.stream_key, true)] : []),
    ];
}

const STATES = { ENDPOINT_BUFFERING: 'Starting', ENDPOINT_PUBLISHING: 'On air', ENDPOINT_ERROR: 'Failed', ENDPOINT_COMPLETE: 'Ended' };

function status(x) {
    if (x.enabled === false) return 'Disabled';
    return STATES[x.state.status] ?? 'Off air';
}

function picture(x) {
    const v = x.state.video;
    const a = x.state.audio;
    const kbps = (n) => (n > 0 ? ` ${Math.round(n / 1000)} kb/s` : '');
    if (x.state.status !== 'ENDPOINT_PUBLISHING') return '';
    return [
        ...(v ? [`${v.width}×${v.height} ${v.mime_type.replace('video/', '')}${kbps(v.average_bitrate)}`] : []),
        ...(a ? [`${a.mime_type.replace('audio/', '')}${kbps(a.average_bitrate)}`] : []),
    ].join(', ');
}

const act = (f) => async () => {
    say('');
    try {
        await f();
    } catch (e) {
        say(e.message);
    }
    await refresh();
};

function card(x) {
    const live = x.state.status === 'ENDPOINT_PUBLISHING';
    const li = el('li', { className: 'card' });
    const watch = el('a', { className: 'button', href: `/watch/${encodeURIComponent(x.room_name)}`, textContent: 'Watch' });
    watch.setAttribute('aria-label', `Watch ${x.name}`);
    const show = button(open.has(x.ingress_id) ? 'Hide keys' : 'Show keys', `${open.has(x.ingress_id) ? 'Hide' : 'Show'} keys of ${x.name}`, () => {
        if (!open.delete(x.ingress_id)) open.add(x.ingress_id);
        shown = '';
        refresh();
    });
    const off = x.enabled === false;
    li.append(
        el('div', { className: 'head' }, el('h2', { textContent: x.name || x.ingress_id }), el('span', { className: live ? 'live' : 'soft', textContent: status(x) })),
        el('p', { className: 'soft', textContent: [x.room_name ? `room ${x.room_name}` : 'no room yet', picture(x)].filter(Boolean).join(' · ') }),
    );
    if (x.state.error) li.append(el('p', { className: 'fault', textContent: x.state.error }));
    li.append(el('div', { className: 'fields' }, ...ways(x)));
    li.append(
        el(
            'div',
            { className: 'acts' },
            ...(x.room_name ? [watch] : []),
            show,
            button(off ? 'Enable' : 'Disable', `${off ? 'Enable' : 'Disable'} ${x.name}`, act(() => call('livekit.Ingress/UpdateIngress', { ingress_id: x.ingress_id, enabled: off }))),
            button('New key', `New key for ${x.name}`, act(async () => {
                if (await sure(`A new key for ${x.name}?`, 'The old key stops working at once; whoever streams with it is sent away.', 'Make a new key'))
                    await call('sluice.Channels/RotateKey', { ingress_id: x.ingress_id });
            })),
            ...(x.any_protocol ? [] : [
                button('Revoke', `Revoke ${x.name}`, act(async () => {
                    if (await sure(`Revoke ${x.name}?`, 'The channel and its key are gone for good; its stream ends.', 'Revoke'))
                        await call('livekit.Ingress/DeleteIngress', { ingress_id: x.ingress_id });
                })),
            ]),
        ),
    );
    return li;
}

function sure(title, text, yes) {
    $('h-sure').textContent = title;
    $('what').textContent = text;
    $('yes').textContent = yes;
    $('sure').returnValue = '';
    $('sure').showModal();
    return new Promise((ok) => $('sure').addEventListener('close', () => ok($('sure').returnValue === 'yes'), { once: true }));
}

/* ---- the list ---- */

async function load() {
    const [list, more] = await Promise.all([call('livekit.Ingress/ListIngress'), call('sluice.Channels/ListChannels')]);
    const by = new Map((more.items ?? []).map((c) => [c.ingress_id, c]));
    return (list.items ?? []).map((x) => ({ ...by.get(x.ingress_id), ...x }));
}

function draw(items) {
    const on = items.filter((x) => x.state.status === 'ENDPOINT_PUBLISHING').length;
    const text = JSON.stringify([items, [...open]]);
    $('count').textContent = `${on} of ${items.length} on air`;
    if (text === shown) return;
    shown = text;
    const focused = document.activeElement?.getAttribute('aria-label')?.replace(/^(Show|Hide|Enable|Disable) /, '');
    $('channels').replaceChildren(...items.map(card));
    if (focused)
        [...$('channels').querySelectorAll('[aria-label]')].find((e) => e.getAttribute('aria-label').replace(/^(Show|Hide|Enable|Disable) /, '') === focused)?.focus();
}

async function refresh() {
    clearTimeout(timer);
    try {
        draw(await load());
    } catch (e) {
        if (e.status === 403) return leave('The secret has changed.');
        say(e.status ? e.message : 'The server does not answer.');
    }
    timer = setTimeout(refresh, EVERY_MS);
}

/* ---- in and out ---- */

function leave(why = '') {
    clearTimeout(timer);
    secret = token = '';
    kept.set('');
    $('channels').replaceChildren();
    $('inside').hidden = $('out').hidden = true;
    $('door').hidden = false;
    $('count').textContent = '';
    $('why').textContent = why;
    $('door').secret.focus();
}

async function enter(given) {
    secret = given;
    try {
        await signIn();
    } catch (e) {
        return leave(e.status === 403 ? 'This is not the secret.' : e.message);
    }
    kept.set(secret);
    $('door').hidden = true;
    $('door').reset();
    $('inside').hidden = $('out').hidden = false;
    await refresh();
}

$('door').onsubmit = (e) => {
    e.preventDefault();
    enter(e.target.secret.value);
};
$('out').onclick = () => leave();
$('make').onsubmit = async (e) => {
    e.preventDefault();
    const f = e.target.elements;
    await act(async () => {
        const made = await call('livekit.Ingress/CreateIngress', {
            input_type: f.type.value,
            name: f.name.value.trim(),
            room_name: f.room.value.trim(),
            participant_identity: f.room.value.trim(),
            participant_name: f.name.value.trim(),
            enable_transcoding: false,
        });
        open.add(made.ingress_id);
        e.target.reset();
    })();
};

const linked = inviteKey();
if (linked) history.replaceState(null, '', location.pathname); /* not for the next one at this screen */
if (linked || kept.get()) enter(linked || kept.get());
else leave();
