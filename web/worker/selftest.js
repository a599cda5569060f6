// What the engine's self-test found of a model on this GPU, kept so that it need not run with every visit. A test is
// repeated with another browser, another file or another GPU; the service worker forgets all when the site changes.
const NAME = 'selftests';

async function addressOf(gpu, sources, precision = 'full') {
    const { vendor, architecture, device, description } = gpu.adapter?.info ?? {};
    const facts = [precision, navigator.userAgent, vendor, architecture, device, description, ...gpu.device.features ?? [],
        ...sources.flatMap(({ name, size, changed = 0 }) => [name, size, changed])];
    const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(JSON.stringify(facts)));
    return `/selftests/${[...new Uint8Array(digest, 0, 12)].map((byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}

// Options for the engine; nothing where nothing is known, or where the browser keeps nothing.
export async function recallSelftest(gpu, sources, precision) {
    try {
        const kept = await (await caches.open(NAME)).match(await addressOf(gpu, sources, precision));
        if (!kept) return {};
        const { lossless, acceptance } = await kept.json();
        return { selftestKnown: true, selftestLossless: Boolean(lossless), selftestAcceptance: Number(acceptance) || 0 };
    } catch {
        return {};
    }
}

export async function keepSelftest(gpu, sources, precision, { bitwiseLossless, draftAcceptance }) {
    try {
        const text = JSON.stringify({ lossless: bitwiseLossless, acceptance: draftAcceptance });
        await (await caches.open(NAME)).put(await addressOf(gpu, sources, precision), new Response(text));
    } catch {
        // The next visit tests again.
    }
}
