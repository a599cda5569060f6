// Reasoning models that know when to stop thinking, in the browser. See specexit.d.ts for what everything means.
//
//     import { load } from './specexit.js';
//     const model = await load({ target: 'bundled' });
//     for await (const event of model.chat([{ role: 'user', content: 'What is 5 plus 7, times 2?' }])) {
//         if (event.kind === 'text' && event.channel === 'answer') console.log(event.text);
//     }
import { completions } from './openai.js';
import { SpecexitError, unpackError } from './worker/error.js';

export { SpecexitError };

const BUNDLED = { target: './models/demo.gguf', draft: './models/demo-draft.gguf' };

// Calls into the worker, and the news that come from it.
class Connection {
    #worker;
    #calls = new Map(); // id -> { resolve, reject, onProgress }
    #nextId = 1;
    #closed = null; // the error that every call fails with from then on
    replies = new Map(); // session -> Reply
    onDevice = () => {};

    constructor(url) {
        this.#worker = new Worker(url, { type: 'module', name: 'specexit' });
        this.#worker.onmessage = ({ data }) => this.#receive(data);
        this.#worker.onerror = (event) => {
            event.preventDefault?.();
            this.#fail(new SpecexitError('internal', event.message || 'The worker could not be started.'));
        };
    }

    call(method, parameters = {}, { signal, onProgress } = {}) {
        signal?.throwIfAborted();
        if (this.#closed) return Promise.reject(this.#closed);
        const id = this.#nextId++;
        return new Promise((resolve, reject) => {
            const abort = () => this.#worker.postMessage({ abort: id });
            const settle = (how) => (value) => {
                signal?.removeEventListener('abort', abort);
                this.#calls.delete(id);
                how(value);
            };
            // The worker answers an abort when it has put things in order; it may have been finished already.
            const finish = (value) => (signal?.aborted ? reject(signal.reason) : resolve(value));
            this.#calls.set(id, { resolve: settle(finish), reject: settle(reject), onProgress });
            signal?.addEventListener('abort', abort);
            this.#worker.postMessage({ id, method, parameters });
        });
    }

    terminate() {
        this.#worker.terminate();
        this.#closed = new DOMException('The model was closed.', 'AbortError');
        this.#fail(this.#closed);
    }

    #receive(data) {
        if (data.type === 'progress') this.#calls.get(data.id)?.onProgress?.(data.progress);
        else if (data.type === 'reply') this.replies.get(data.session)?.receive(data);
        else if (data.type === 'device') this.onDevice(data);
        else if (data.error) this.#calls.get(data.id)?.reject(unpackError(data.error));
        else this.#calls.get(data.id)?.resolve(data.result);
    }

    #fail(error) {
        for (const call of this.#calls.values()) call.reject(error);
        for (const reply of this.replies.values()) reply.receive({ events: [], error, running: false });
    }
}

// The events of one reply, in order, for `for await`.
class Reply {
    #session;
    #queue = [];
    #wake = null;
    #error = null;
    #finished = false; // by the worker's last word
    #ended = false;
    #started;
    #asked = 0; // calls under way that may let the reply go on
    metrics = null;

    constructor(session, signal, start) {
        this.#session = session;
        this.#started = start.catch((error) => this.receive({ events: [], error, running: false }));
        if (signal?.aborted) this.stop();
        signal?.addEventListener('abort', () => this.stop());
    }

    receive({ events, error, running, metrics }) {
        this.#queue.push(...events);
        if (metrics) this.metrics = metrics;
        if (error) this.#error = error instanceof Error ? error : unpackError({ name: 'SpecexitError', ...error });
        this.#finished = !running;
        this.#settle();
    }

    // A reply that is done has not ended while the worker may still be told to go on with it.
    #settle() {
        if (this.#finished && !this.#asked && !this.#ended) {
            this.#ended = true;
            this.#session.release(this);
        }
        this.#wake?.();
    }

    get running() {
        return !this.#ended;
    }

    async answerNow() {
        await this.#started;
        if (this.running) await this.#session.call('answerNow');
    }

    // While the reply runs it goes on in this object; afterwards in the one that is returned.
    async keepThinking() {
        await this.#started;
        if (!this.running) return this.#session.resume();
        ++this.#asked;
        try {
            await this.#session.call('keepThinking');
            this.receive({ events: [{ kind: 'withdrawn' }], running: true });
            return this;
        } finally {
            --this.#asked;
            this.#settle();
        }
    }

    async stop() {
        await this.#started;
        if (this.running) await this.#session.call('stop').catch(() => {});
    }

    async *[Symbol.asyncIterator]() {
        try {
            for (;;) {
                while (this.#queue.length) yield this.#queue.shift();
                if (this.#error) throw this.#error;
                if (this.#ended) return;
                await new Promise((resolve) => (this.#wake = resolve));
                this.#wake = null;
            }
        } finally {
            if (this.running) this.stop(); // the loop was left early
        }
    }
}

// One conversation: what a prompt shares with the one before is not computed again.
class Session {
    #connection;
    #id;
    #last = Promise.resolve();
    #finished = new Map(); // reply -> what lets the next one start

    constructor(connection, desc = {}) {
        this.#connection = connection;
        this.#id = connection.call('createSession', desc);
        this.#id.catch(() => {});
    }

    async call(method, parameters = {}) {
        return this.#connection.call(method, { session: await this.#id, ...parameters });
    }

    // Replies of a session wait for one another.
    chat(messages, { signal, ...options } = {}) {
        return this.#open(signal, (session) => this.#connection.call('begin', { session, options: { messages: plain(messages), ...options } }));
    }

    complete(prompt, { signal, ...options } = {}) {
        return this.#open(signal, (session) => this.#connection.call('begin', { session, options: { prompt, ...options } }));
    }

    async resume() {
        const id = await this.#id;
        await this.#last;
        const reply = this.#open(undefined, () => this.#connection.call('keepThinking', { session: id }));
        reply.receive({ events: [{ kind: 'withdrawn' }], running: true });
        return reply;
    }

    #open(signal, begin) {
        const before = this.#last;
        let finished;
        this.#last = new Promise((resolve) => (finished = resolve));
        let reply = null;
        const start = (async () => {
            await before;
            const id = await this.#id;
            this.#connection.replies.set(id, reply);
            await begin(id);
        })();
        reply = new Reply(this, signal, start);
        this.#finished.set(reply, finished);
        return reply;
    }

    async release(reply) {
        this.#finished.get(reply)?.();
        this.#finished.delete(reply);
        const id = await this.#id.catch(() => 0);
        if (this.#connection.replies.get(id) === reply) this.#connection.replies.delete(id);
    }

    tokens() {
        return this.call('tokens');
    }

    async close() {
        await this.call('destroySession');
        const error = new DOMException('The session was closed.', 'AbortError');
        this.#connection.replies.get(await this.#id)?.receive({ events: [], error, running: false });
    }
}

const ROLES = ['system', 'user', 'assistant', 'tool'];

function plain(messages) {
    if (!Array.isArray(messages)) throw new SpecexitError('argument', 'Messages are a list of { role, content }.');
    return messages.map((message, i) => {
        const { role, content, reasoning } = message ?? {};
        if (!ROLES.includes(role)) throw new SpecexitError('argument', `messages[${i}]: the role ${JSON.stringify(role)} is not ${ROLES.slice(0, -1).join(', ')} or ${ROLES.at(-1)}.`);
        return { role, content: textOf(content, `messages[${i}]`), reasoning };
    });
}

// OpenAI's content may be a list of parts.
function textOf(content, where) {
    if (content === undefined || content === null) return '';
    if (typeof content === 'string') return content;
    if (!Array.isArray(content)) throw new SpecexitError('argument', `${where}: the content is a text, or a list of parts.`);
    return content.map((part) => {
        if (part?.type === 'text' && typeof part.text === 'string') return part.text;
        throw new SpecexitError('unsupported', `${where}: a part of type ${JSON.stringify(part?.type)} cannot be read; only text can.`);
    }).join('');
}

class Model {
    #connection;
    #session;
    // Called with { state: 'lost' | 'loading' | 'restored' | 'gone', ... } when the GPU was reset.
    onDevice = () => {};
    info;

    constructor(connection, info) {
        this.#connection = connection;
        this.#session = new Session(connection);
        this.info = info;
        connection.onDevice = (news) => {
            if (news.info) this.info = news.info;
            this.onDevice(news);
        };
        this.chat = Object.assign((messages, options) => this.#session.chat(messages, options), {
            completions: completions(this),
        });
    }

    // Without a conversation before it, and without disturbing the one `chat` holds.
    createSession(desc) {
        return new Session(this.#connection, desc);
    }

    complete(prompt, options) {
        return this.#session.complete(prompt, options);
    }

    tokens() {
        return this.#session.tokens();
    }

    render(messages, options = {}) {
        return this.#connection.call('render', { options: { messages: plain(messages), ...options } });
    }

    tokenize(text, { special = false } = {}) {
        return this.#connection.call('tokenize', { text, special });
    }

    readProfile(text) {
        return this.#connection.call('readProfile', { text });
    }

    // For trying what happens when a driver resets.
    loseDevice() {
        return this.#connection.call('loseDevice');
    }

    async close() {
        this.#connection.terminate();
    }
}

function address(what) {
    const given = what?.url ?? what;
    if (typeof given !== 'string' && !(given instanceof URL)) throw new SpecexitError('argument', 'A model is \'bundled\', an address, a File, or a list of addresses or of Files.');
    try {
        return new URL(given, document.baseURI).href;
    } catch {
        throw new SpecexitError('argument', `"${given}" is not an address.`);
    }
}

// 'bundled', an address, { url, sha256 }, a File, or a list of either -> what the worker takes.
function part(what, bundledUrl) {
    if (what === undefined || what === null) return null;
    if (what === 'bundled') return { kind: 'bundled', urls: [new URL(bundledUrl, import.meta.url).href] };
    const list = Array.isArray(what) ? what : [what];
    if (list.every((one) => one instanceof Blob)) return { kind: 'files', files: list };
    return { kind: 'url', urls: list.map(address), sha256: list[0].sha256 };
}

function parts(target, draft) {
    if (target === 'bundled' && draft === undefined) draft = 'bundled';
    return { target: part(target, BUNDLED.target), draft: part(draft, BUNDLED.draft) };
}

function workerUrl(url) {
    return url ?? new URL('./worker.js', import.meta.url);
}

export async function load({ target = 'bundled', draft, onProgress, signal, worker, ...options } = {}) {
    const connection = new Connection(workerUrl(worker));
    try {
        const info = await connection.call('load', { ...parts(target, draft), options }, { signal, onProgress });
        return new Model(connection, info);
    } catch (error) {
        connection.terminate();
        throw error;
    }
}

async function once(method, parameters, { signal, worker } = {}) {
    const connection = new Connection(workerUrl(worker));
    try {
        return await connection.call(method, parameters, { signal });
    } finally {
        connection.terminate();
    }
}

export const plan = async ({ target, draft, ...options }) => once('plan', parts(target, draft), options);
export const probeDevice = (options) => once('openDevice', {}, options);

export const cache = {
    list: (options) => once('cacheList', {}, options),
    remove: (key, options) => once('cacheRemove', { key }, options),
    space: (options) => once('cacheSpace', {}, options),
    persist: () => navigator.storage?.persist?.() ?? Promise.resolve(false),
    persisted: () => navigator.storage?.persisted?.() ?? Promise.resolve(false),
};
