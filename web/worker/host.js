// The engine and its sessions inside the worker: loading, the poll that each wake-up of the GPU triggers, and going on
// after the device was lost. No timer runs while a reply is written.
import * as cache from './cache.js';
import { SpecexitError } from './error.js';
import { canAllocate, describeGpu, kernelsFor, moduleFields, openGpu } from './gpu.js';
import { Reply } from './reply.js';
import { keepSelftest, recallSelftest } from './selftest.js';
import { BlobSource, MemorySource } from './sources.js';
import { Wasm } from './wasm.js';

// Bytes uploaded before the queue is given time: writes pile up in the browser's memory until it has taken them.
const UPLOAD_SLICE = 64 * 2 ** 20;
// How thinking goes on from where it was left.
const THINK_ON = { policy: 'none', softBudget: undefined, hardBudget: undefined };
const RECOVERIES = 3; // of one load; a GPU that is lost again and again has a reason

export class Host {
    #factory;
    #notify;
    #gpu = null;
    #wasm = null;
    #sources = new Map();
    #model = null; // { target, draft, options } of the last load
    // id -> { pointer, desc, reply, held }; held: the tokens of a done reply that was on a lost device
    #sessions = new Map();
    #nextSession = 1;
    #woken = false;
    #waiting = null; // resolves the loader's wait
    #pumping = false;
    #channel = new MessageChannel();
    #scheduled = false;
    #recoveries = 0;
    #ready = false;
    recovery = null; // settles when the engine is back on another device, or gone; whoever wants it waits for that

    // `factory`: what Emscripten's module exports; `notify(message)` tells the page.
    constructor({ factory, notify }) {
        this.#factory = factory;
        this.#notify = notify;
        this.#channel.port1.onmessage = () => {
            this.#scheduled = false;
            this.#pump();
        };
    }

    // ---- Device --------------------------------------------------------------------------------------------------

    async openDevice() {
        if (this.#gpu && !this.#gpu.lost) return this.#gpu;
        const gpu = await openGpu();
        gpu.wake = () => this.#wake(gpu);
        gpu.device.lost.then((info) => this.#onLost(gpu, info));
        this.#gpu = gpu;
        return gpu;
    }

    describeDevice() {
        return describeGpu(this.#gpu);
    }

    // What happens when a driver resets; for trying it.
    loseDevice() {
        this.#gpu?.device?.destroy();
    }

    // ---- Loading -------------------------------------------------------------------------------------------------

    // What a model would take, before anything is downloaded; `fits` says whether the GPU grants its memory.
    async plan({ target, draft }, signal) {
        const parts = [target, draft].filter((part) => part?.kind === 'url');
        const files = parts.flatMap((part) => part.urls.flatMap(cache.expandUrl));
        const planned = await cache.plan(files, signal);
        const gpu = await this.openDevice();
        return { ...planned, fits: await canAllocate(gpu.device, planned.bytes) };
    }

    async load({ target, draft, options = {} }, onProgress, signal) {
        this.unload();
        this.#recoveries = 0;
        await this.openDevice();
        await this.#checkSize({ target, draft }, signal);
        this.#model = { target: [], draft: [], options };
        try {
            this.#model.target = await this.#openPart(target, onProgress, signal);
            this.#model.draft = await this.#openPart(draft, onProgress, signal);
            await this.#openEngine(onProgress, signal);
        } catch (error) {
            const damaged = this.#damaged(error);
            this.unload();
            // Read again, it would stay damaged for ever.
            for (const url of damaged) await cache.forget(url);
            throw error;
        }
        return this.info();
    }

    info() {
        return {
            ...this.#wasm.info(),
            version: this.#wasm.version,
            pipelines: this.#gpu.counters.pipelines,
            gpu: this.describeDevice(),
        };
    }

    unload() {
        this.#closeEngine();
        for (const source of [...(this.#model?.target ?? []), ...(this.#model?.draft ?? [])]) source.close();
        this.#model = null;
    }

    // Addresses of the kept files that the engine could not make sense of.
    #damaged({ code, message }) {
        const sources = [...this.#model.target, ...this.#model.draft];
        return sources.filter((source) => source.url && code === 'format' && message.startsWith(`${source.name}: `)).map(({ url }) => url);
    }

    async #checkSize(parts, signal) {
        const sized = [parts.target, parts.draft].filter((part) => part?.kind === 'url');
        if (!sized.length) return;
        const planned = await this.plan(parts, signal);
        if (!planned.fits) {
            throw new SpecexitError('gpu-memory', `This model needs ${Math.ceil(planned.bytes / 2 ** 20)} MiB on the GPU, and the GPU does not grant them. Choose a smaller model or a smaller format of it.`);
        }
        if (!planned.stored) throw cache.noRoom(planned.files.map(({ name }) => name), planned.missing);
    }

    async #openPart(part, onProgress, signal) {
        if (!part) return [];
        if (part.kind === 'files') return part.files.map((file) => new BlobSource(file.name, file));
        if (part.kind === 'bundled') return Promise.all(part.urls.map((url) => this.#fetchWhole(url, signal)));
        const sources = [];
        const urls = part.urls.flatMap(cache.expandUrl);
        for (const [index, url] of urls.entries()) {
            const onBytes = (loaded, total) => onProgress({
                stage: 'downloading',
                fraction: total ? (index + loaded / total) / urls.length : 0,
                bytesLoaded: loaded,
                bytesTotal: total,
                file: url.split('/').pop(),
            });
            const source = await cache.openUrl(url, { sha256: urls.length === 1 ? part.sha256 : undefined, onBytes, signal });
            sources.push(Object.assign(source, { url }));
        }
        return sources;
    }

    // The bundled model comes with the page (and its offline copy), small enough for memory.
    async #fetchWhole(url, signal) {
        const name = new URL(url).pathname.split('/').pop();
        const response = await fetch(url, { signal });
        if (!response.ok) throw new SpecexitError('file', `${name}: the server answered ${response.status}.`);
        return new MemorySource(name, new Uint8Array(await response.arrayBuffer()));
    }

    async #openEngine(onProgress, signal) {
        const gpu = this.#gpu;
        const { target, draft, options } = this.#model;
        const gpuFields = moduleFields(gpu, await kernelsFor(gpu, options.precision));
        this.#wasm = await Wasm.create(this.#factory, { gpuFields, sources: this.#sources });
        for (const [list, isDraft] of [[target, false], [draft, true]]) {
            for (const source of list) {
                const id = this.#sources.size + 1;
                this.#sources.set(id, source);
                this.#wasm.addSource(id, source, isDraft);
            }
        }
        const known = await recallSelftest(gpu, [...target, ...draft], options.precision);
        this.#wasm.open({ ...known, ...options });
        for (let synced = 0; ; ) {
            this.#woken = false;
            const progress = this.#wasm.pollEngine();
            onProgress(progress);
            if (progress.ready) {
                this.#ready = true;
                if (!known.selftestKnown) await keepSelftest(gpu, [...target, ...draft], options.precision, this.#wasm.info());
                return;
            }
            signal?.throwIfAborted();
            if (progress.bytesLoaded - synced > UPLOAD_SLICE) {
                synced = progress.bytesLoaded;
                await gpu.device.queue.onSubmittedWorkDone();
            }
            await this.#turn(gpu);
            signal?.throwIfAborted();
        }
    }

    // Until the GPU has something to say; at once when it is not asked anything. Other messages get their turn.
    async #turn(gpu) {
        if (gpu.pending > 0 && !this.#woken && !gpu.lost) {
            await new Promise((resolve) => (this.#waiting = resolve));
            this.#waiting = null;
        } else {
            await new Promise((resolve) => {
                const { port1, port2 } = new MessageChannel();
                port1.onmessage = () => {
                    port1.close();
                    resolve();
                };
                port2.postMessage(0);
            });
        }
    }

    #closeEngine() {
        this.#ready = false;
        for (const session of this.#sessions.values()) session.reply?.abandon();
        this.#sessions.clear();
        this.#sources.clear();
        // The instance goes as a whole with its memory; what it holds on the GPU goes with its buffers' owner.
        if (this.#wasm && !this.#gpu?.lost) this.#wasm.close();
        this.#wasm = null;
    }

    // ---- Sessions ------------------------------------------------------------------------------------------------

    #require() {
        if (!this.#wasm) throw new SpecexitError('argument', 'No model is loaded.');
        return this.#wasm;
    }

    #session(id) {
        this.#require();
        const session = this.#sessions.get(id);
        if (!session) throw new SpecexitError('argument', 'The session is closed.');
        return session;
    }

    createSession(desc) {
        const id = this.#nextSession++;
        this.#sessions.set(id, { pointer: this.#require().createSession(desc), desc, reply: null });
        return id;
    }

    destroySession(id) {
        const session = this.#sessions.get(id);
        if (!session) return;
        this.#sessions.delete(id);
        session.reply?.abandon();
        this.#wasm?.destroySession(session.pointer);
    }

    begin(id, options) {
        const session = this.#session(id);
        session.held = null;
        this.#wasm.begin(session.pointer, options);
        session.reply = new Reply(id, options, this.#gpu.counters);
        this.#schedule();
    }

    answerNow(id) {
        this.#wasm.answerNow(this.#session(id).pointer);
        this.#schedule();
    }

    keepThinking(id) {
        const session = this.#session(id);
        if (!session.reply) throw new SpecexitError('argument', 'There is no reply whose thinking could go on.');
        const { held, reply } = session;
        if (held) {
            session.held = null;
            const tokens = reply.returnToExit(held);
            reply.replayed(this.#gpu.counters);
            this.#wasm.begin(session.pointer, { ...reply.replayOptions(tokens), ...THINK_ON });
        } else {
            this.#wasm.keepThinking(session.pointer);
        }
        reply.resume();
        this.#schedule();
    }

    stop(id) {
        this.#wasm.stop(this.#session(id).pointer);
        this.#schedule();
    }

    render(options) {
        return this.#require().render(options);
    }

    tokenize(text, special) {
        return this.#require().tokenize(text, special);
    }

    readProfile(text) {
        return this.#require().readProfile(text);
    }

    tokens(id) {
        return this.#wasm.tokens(this.#session(id).pointer);
    }

    // ---- The pump ------------------------------------------------------------------------------------------------

    #wake(gpu) {
        if (gpu !== this.#gpu) return;
        this.#woken = true;
        if (this.#waiting) this.#waiting();
        else this.#pump();
    }

    #schedule() {
        if (this.#scheduled) return;
        this.#scheduled = true;
        this.#channel.port2.postMessage(0);
    }

    // Takes every event there is. The engine submits its next cycle in here.
    #pump() {
        if (this.#pumping || !this.#wasm || this.#gpu.lost) return;
        this.#pumping = true;
        let again = false;
        for (const session of this.#sessions.values()) {
            const { reply } = session;
            if (!reply?.running) continue;
            const message = reply.poll(() => this.#wasm.poll(session.pointer));
            if (message.error?.code === 'device-lost') continue; // #onLost goes on with it
            if (message.events.length || message.error || !message.running) this.#notify(message);
            again ||= reply.running && this.#gpu.pending === 0;
        }
        this.#pumping = false;
        if (again) this.#schedule();
    }

    // ---- Device loss ---------------------------------------------------------------------------------------------

    #onLost(gpu, info) {
        gpu.lost = true;
        if (gpu !== this.#gpu) return;
        if (this.#waiting) this.#waiting(); // a load in progress fails with the engine's own message
        if (!this.#ready) return;
        this.#ready = false;
        this.#notify({ type: 'device', state: 'lost', message: info.message || 'The GPU was reset.' });
        this.recovery = this.#recover().finally(() => (this.recovery = null));
    }

    async #recover() {
        const sessions = [...this.#sessions].map(([id, { pointer, desc, reply, held }]) =>
            ({ id, desc, reply, held: held ?? (reply?.running || reply?.hasLeft ? this.#wasm.tokens(pointer) : null) }));
        try {
            if (++this.#recoveries > RECOVERIES) throw new SpecexitError('device-lost', 'The GPU was lost several times. Close other programs that use it, then load the model again.');
            this.#wasm = null;
            this.#sessions.clear();
            this.#sources.clear();
            await this.openDevice();
            await this.#openEngine((progress) => this.#notify({ type: 'device', state: 'loading', progress }));
            for (const session of sessions) this.#revive(session);
            this.#notify({ type: 'device', state: 'restored', info: this.info() });
            this.#schedule();
        } catch (error) {
            this.#notify({ type: 'device', state: 'gone', message: error.message });
            for (const { reply } of sessions) if (reply?.running) this.#notify(reply.fail(error));
            this.unload();
        }
    }

    // A reply that was being written goes on; one that was done keeps what going back into its thinking needs.
    #revive({ id, desc, reply, held }) {
        const pointer = this.#wasm.createSession(desc);
        this.#sessions.set(id, { pointer, desc, reply, held: reply?.running ? null : held });
        if (!reply?.running) return;
        const tokens = reply.replayTokens(held);
        reply.replayed(this.#gpu.counters);
        this.#wasm.begin(pointer, reply.replayOptions(tokens));
    }
}
