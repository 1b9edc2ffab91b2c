/* As much of docker compose as our own file needs: the part of YAML that it uses, .env, and ${VAR} with :- and :?. */
import { readFileSync } from 'node:fs';

export function parseYaml(text) {
    const lines = text.split('\n').filter((l) => l.trim() && !l.trim().startsWith('#')).map((l) => ({ in: l.search(/\S/), text: l.trim() }));
    let at = 0;
    const block = (indent) => {
        const list = lines[at]?.text.startsWith('- ');
        const out = list ? [] : {};
        while (at < lines.length && lines[at].in === indent) {
            const { text: t } = lines[at++];
            if (list) {
                out.push(t.slice(2));
                continue;
            }
            const m = /^([^:\s]+):(?:\s+(.*))?$/.exec(t);
            if (!m) throw new Error(`not understood: ${t}`);
            out[m[1]] = m[2] ?? (lines[at]?.in > indent ? block(lines[at].in) : null);
        }
        return out;
    };
    const all = block(0);
    if (at !== lines.length) throw new Error(`not understood: ${lines[at].text}`);
    return all;
}

export const readEnv = (file) =>
    Object.fromEntries(readFileSync(file, 'utf8').split('\n').filter((l) => /^\w+=/.test(l)).map((l) => [l.slice(0, l.indexOf('=')), l.slice(l.indexOf('=') + 1)]));

export const fill = (text, env) =>
    text.replace(/\$\{(\w+)(?::([-?])([^}]*))?\}/g, (_, name, how, rest) => {
        if (env[name]) return env[name];
        if (how === '?') throw new Error(rest);
        return rest && how === '-' ? rest : '';
    });

/* A service's command and environment, with everything filled in. */
export function service(file, name, env) {
    const s = parseYaml(readFileSync(file, 'utf8')).services[name];
    return {
        ...s,
        command: s.command.map((w) => fill(w, env)),
        environment: Object.fromEntries(Object.entries(s.environment).map(([k, v]) => [k, fill(v, env)])),
    };
}
