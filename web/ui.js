/* What all room pages share that needs no livekit-client: names, tokens, status, the chat's box, keys. */
export const $ = (id) => document.getElementById(id);

/* /meet/ROOM -> ROOM */
export function roomName() {
    try {
        return decodeURIComponent(location.pathname.split('/').slice(2).join('/'));
    } catch {
        return '';
    }
}

/* The invitation's secret: in the fragment, which is not sent with any request, or in the query. */
export function inviteKey() {
    return new URLSearchParams(location.hash.slice(1)).get('key') ?? new URLSearchParams(location.search).get('key') ?? '';
}

export function randomId() {
    return [...crypto.getRandomValues(new Uint8Array(6))].map((b) => b.toString(16).padStart(2, '0')).join('');
}

/* -> {url, token}; the error has `status`. */
export async function ask(room, identity, role, key) {
    const q = new URLSearchParams({ room, identity, role });
    if (key) q.set(role === 'watch' ? 'access_token' : 'key', key);
    const r = await fetch(`/api/join?${q}`, { cache: 'no-store' });
    const body = await r.json().catch(() => ({}));
    if (!r.ok) throw Object.assign(new Error(body.error ?? `The server answered ${r.status}.`), { status: r.status });
    return body;
}

export function say(text) {
    const el = $('status');
    el.hidden = !text;
    el.textContent = text;
}

const LINES_MAX = 300;

/* The chat's lines, form and button.  send(text) -> promise; -> {line(who, text), news()} */
export function chatBox(send) {
    const line = (who, text) => {
        const li = document.createElement('li');
        const b = document.createElement('b');
        b.textContent = who;
        li.append(b, text);
        $('lines').append(li);
        while ($('lines').children.length > LINES_MAX) $('lines').firstChild.remove();
        $('lines').scrollTop = $('lines').scrollHeight;
    };
    $('say').onsubmit = async (e) => {
        e.preventDefault();
        const text = e.target.text.value.trim();
        if (!text) return;
        e.target.text.value = '';
        try {
            await send(text);
            line('You', text);
        } catch (err) {
            line('Not sent', `${text}\n(${err.message})`);
        }
    };
    const b = $('talk');
    b.onclick = () => {
        const open = $('chat').hidden;
        $('chat').hidden = !open;
        b.setAttribute('aria-expanded', open);
        b.setAttribute('aria-pressed', open);
        b.textContent = 'Chat';
        if (open) $('say').text.focus();
    };
    return { line };
}

/* Letters press the button that names them, unless somebody is typing. */
export function shortcuts() {
    addEventListener('keydown', (e) => {
        if (e.ctrlKey || e.metaKey || e.altKey || e.repeat || e.target.closest?.('input, select, textarea, dialog')) return;
        for (const b of document.querySelectorAll('[aria-keyshortcuts]'))
            if (b.getAttribute('aria-keyshortcuts') === e.key.toLowerCase() && b.offsetParent) {
                e.preventDefault();
                b.click();
            }
    });
}
