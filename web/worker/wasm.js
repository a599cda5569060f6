// The exports of the wasm module (web/exports.h) as methods: option blocks in, parsed JSON out.
import { SpecexitError } from './error.js';

// base/status.h
export const OK = 0;
export const PENDING = 1;

const encoder = new TextEncoder();

function snakeCase(name) {
    return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

// { topK: 5, stop: ['a', 'b'] } -> "top_k\0" "5\0" "stop\0a\0" "stop\0b\0"; see web/options.h.
export function optionPairs({ messages = [], tokens, bias, ...rest }) {
    const pairs = [];
    for (const { role, content, reasoning } of messages) {
        pairs.push([role, content ?? '']);
        if (reasoning && role === 'assistant') pairs.push(['reasoning', reasoning]);
    }
    if (tokens) pairs.push(['tokens', Array.from(tokens).join(',')]);
    for (const [token, value] of Object.entries(bias ?? {})) pairs.push(['bias', `${token}:${value}`]);
    for (const [name, value] of Object.entries(rest)) {
        if (value === undefined || value === null) continue;
        for (const one of Array.isArray(value) ? value : [value]) pairs.push([snakeCase(name), String(one)]);
    }
    return pairs;
}

export class Wasm {
    #module;
    #context;

    constructor(module) {
        this.#module = module;
        this.#context = module._web_create();
        if (!this.#context) throw new SpecexitError('memory', 'out of memory');
    }

    // `factory` is the default export of the module that Emscripten wrote.
    static async create(factory, { gpuFields, sources, log = console.warn, wasmBinary }) {
        let failure = null;
        const module = await factory({
            ...gpuFields,
            specexitSources: sources,
            specexitLog: log,
            ...(wasmBinary && { wasmBinary }),
            onAbort(what) {
                failure = what;
            },
        });
        const wasm = new Wasm(module);
        wasm.abortReason = () => failure;
        return wasm;
    }

    get version() {
        return this.#module.UTF8ToString(this.#module._web_version());
    }

    text() {
        return JSON.parse(this.#module.UTF8ToString(this.#module._web_text(this.#context)));
    }

    #check(status) {
        if (status === OK || status === PENDING) return status;
        const { status: code, message } = this.text();
        throw new SpecexitError(code, message);
    }

    // Calls with a block of bytes and its size, which live for the call.
    #withBytes(bytes, call) {
        const pointer = this.#module._malloc(bytes.length + 1);
        if (!pointer) throw new SpecexitError('memory', 'out of memory');
        try {
            this.#module.HEAPU8.set(bytes, pointer);
            this.#module.HEAPU8[pointer + bytes.length] = 0;
            return call(pointer, bytes.length);
        } finally {
            this.#module._free(pointer);
        }
    }

    #withOptions(options, call) {
        const parts = optionPairs(options).flat();
        // A terminator inside a value would shift all that follows.
        const block = parts.map((part) => `${part.replaceAll('\0', '')}\0`).join('');
        return this.#withBytes(encoder.encode(block), call);
    }

    addSource(id, source, isDraft) {
        this.#withBytes(encoder.encode(source.name), (name) =>
            this.#check(this.#module._web_source_add(this.#context, id, name, source.size, isDraft)));
    }

    open(options) {
        this.#withOptions(options, (block, size) => this.#check(this.#module._web_engine_open(this.#context, block, size)));
    }

    // Progress of the load; `ready` when it is over.
    pollEngine() {
        const ready = this.#check(this.#module._web_engine_poll(this.#context)) === OK;
        return { ...this.text(), ready };
    }

    info() {
        this.#check(this.#module._web_engine_info(this.#context));
        return this.text();
    }

    close() {
        this.#module._web_destroy(this.#context);
        this.#context = 0;
    }

    render(options) {
        this.#withOptions(options, (block, size) => this.#check(this.#module._web_render(this.#context, block, size)));
        return this.text().prompt;
    }

    tokenize(text, special) {
        this.#withBytes(encoder.encode(text), (pointer, size) =>
            this.#check(this.#module._web_tokenize(this.#context, pointer, size, special)));
        return this.text().tokens;
    }

    readProfile(text) {
        this.#withBytes(encoder.encode(text), (pointer, size) =>
            this.#check(this.#module._web_profile(this.#context, pointer, size)));
        return this.text();
    }

    createSession({ context = 0, depth = 0 } = {}) {
        const session = this.#module._web_session_create(this.#context, context, depth);
        if (!session) {
            const { status, message } = this.text();
            throw new SpecexitError(status, message);
        }
        return session;
    }

    destroySession(session) {
        this.#module._web_session_destroy(session);
    }

    begin(session, options) {
        this.#withOptions(options, (block, size) =>
            this.#check(this.#module._web_session_begin(this.#context, session, block, size)));
    }

    // { events, error?, running }
    poll(session) {
        const status = this.#module._web_session_poll(this.#context, session);
        return { ...this.text(), running: status === PENDING };
    }

    answerNow(session) {
        this.#module._web_session_answer_now(session);
    }

    keepThinking(session) {
        this.#check(this.#module._web_session_keep_thinking(this.#context, session));
    }

    stop(session) {
        this.#module._web_session_stop(session);
    }

    tokens(session) {
        this.#check(this.#module._web_session_tokens(this.#context, session));
        return this.text().tokens;
    }
}
