/* The start page: what is on air, and the way into a room. */
const $ = (id) => document.getElementById(id);
const EVERY_MS = 4000;

$('url').textContent = `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}`;
$('open').onsubmit = (e) => {
    e.preventDefault();
    const go = e.submitter?.value ?? 'meet';
    location.href = `/${go}/${encodeURIComponent(e.target.room.value.trim())}${location.hash}`;
};

function row(r) {
    const li = document.createElement('li');
    const name = document.createElement('span');
    name.className = 'name';
    name.textContent = r.name;
    const n = document.createElement('span');
    n.className = 'soft';
    n.textContent = `${r.publishers} publishing, ${r.participants} here`;
    const link = (go, text, main) => {
        const a = document.createElement('a');
        a.className = main ? 'button main' : 'button';
        a.href = `/${go}/${encodeURIComponent(r.name)}${location.hash}`;
        a.textContent = text;
        a.setAttribute('aria-label', `${text} ${r.name}`);
        return a;
    };
    li.append(name, n, link('watch', 'Watch', true), link('meet', 'Meet', false));
    return li;
}

let shown = '';
async function refresh() {
    try {
        const { rooms } = await (await fetch('/api/rooms', { cache: 'no-store' })).json();
        rooms.sort((a, b) => b.publishers - a.publishers || a.name.localeCompare(b.name));
        const text = JSON.stringify(rooms.map((r) => [r.name, r.publishers, r.participants]));
        if (text !== shown) {
            shown = text;
            const focused = document.activeElement?.getAttribute('aria-label');
            $('rooms').replaceChildren(...rooms.map(row));
            if (focused) [...$('rooms').querySelectorAll('a')].find((a) => a.getAttribute('aria-label') === focused)?.focus();
        }
        $('none').hidden = rooms.length > 0;
        $('count').textContent = rooms.length === 1 ? '1 room' : `${rooms.length} rooms`;
    } catch {
        $('count').textContent = 'The server does not answer.';
    }
    setTimeout(refresh, EVERY_MS);
}
refresh();
