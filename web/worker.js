// The worker that the engine lives in: requests from specexit.js come in as { id, method, parameters }, results go
// back as { id, result } or { id, error }; progress, replies and news of the device come by themselves.
import * as cache from './worker/cache.js';
import { packError } from './worker/error.js';
import { Host } from './worker/host.js';
import factory from './wasm/specexit.mjs';

const aborts = new Map(); // request id -> AbortController
const host = new Host({ factory, notify: (message) => postMessage(message) });

const methods = {
    async openDevice() {
        await host.openDevice();
        return host.describeDevice();
    },
    async plan(what, { signal }) {
        return host.plan(what, signal);
    },
    async load(what, { signal, id }) {
        return host.load(what, (progress) => postMessage({ type: 'progress', id, progress }), signal);
    },
    unload: () => host.unload(),
    createSession: (desc) => host.createSession(desc),
    destroySession: ({ session }) => host.destroySession(session),
    begin: ({ session, options }) => host.begin(session, options),
    answerNow: ({ session }) => host.answerNow(session),
    keepThinking: ({ session }) => host.keepThinking(session),
    stop: ({ session }) => host.stop(session),
    tokens: ({ session }) => host.tokens(session),
    render: ({ options }) => host.render(options),
    tokenize: ({ text, special }) => host.tokenize(text, special),
    readProfile: ({ text }) => host.readProfile(text),
    loseDevice: () => host.loseDevice(),
    cacheList: () => cache.list(),
    cacheRemove: ({ key }) => cache.remove(key),
    cacheSpace: () => cache.space(),
};

onmessage = async ({ data }) => {
    const { id, method, abort } = data;
    if (abort) {
        aborts.get(abort)?.abort();
        return;
    }
    const controller = new AbortController();
    aborts.set(id, controller);
    try {
        if (host.recovery) await host.recovery;
        postMessage({ id, result: await methods[method](data.parameters, { signal: controller.signal, id }) });
    } catch (error) {
        postMessage({ id, error: packError(error) });
    } finally {
        aborts.delete(id);
    }
};
