export const sleep = (ms) => new Promise((ok) => setTimeout(ok, ms));

/* Polls until f() gives something true and returns it; the error says what f last gave or threw. */
export async function until(what, f, ms = 10000, step = 100) {
    const end = Date.now() + ms;
    let last;
    for (;;) {
        try {
            last = await f();
            if (last) return last;
        } catch (e) {
            last = e;
        }
        if (Date.now() > end) {
            const seen = last instanceof Error ? last.stack : JSON.stringify(last);
            throw new Error(`not within ${ms} ms: ${what} (last: ${seen})`);
        }
        await sleep(step);
    }
}
