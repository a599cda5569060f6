// One reply as the worker follows it: which tokens the page has seen, how much time JavaScript and wasm took, and how
// to go on with it on another device.
import { packError } from './error.js';

const SUMMED = ['tokens', 'thinkingTokens', 'answerTokens', 'forcedTokens', 'cycles', 'drafted', 'accepted', 'submits',
    'readbacks', 'readbackBytes', 'prefillSeconds', 'decodeSeconds'];

export class Reply {
    #session;
    #options;
    #tokens = []; // of the reply, as far as their text was delivered
    #promptCount = 0;
    #exitAt = -1; // index of the last token before thinking was left
    #base = null; // statistics of what was written before the device was lost
    #stats = null;
    #counters;
    #start;
    #hostMs = 0;
    #hostMsMax = 0;
    #hostTimes = []; // of the polls that brought something, the newest thousand
    running = true;

    constructor(session, options, counters) {
        this.#session = session;
        this.#options = options;
        this.#watch(counters);
    }

    #watch(counters) {
        this.#counters = counters;
        this.#start = { ...counters };
    }

    // `poll` asks the engine; returns the message for the page.
    poll(poll) {
        const before = performance.now();
        let result;
        try {
            result = poll();
        } catch (error) {
            return this.fail(error);
        }
        const took = performance.now() - before;
        this.#hostMs += took;
        this.#hostMsMax = Math.max(this.#hostMsMax, took);
        if (result.events.length) this.#hostTimes.push(took);
        if (this.#hostTimes.length > 1000) this.#hostTimes.shift();
        for (const event of result.events) this.#follow(event);
        this.running = result.running;
        const error = result.error && { code: result.error.status, message: result.error.message };
        if (error) this.running = error.code === 'device-lost';
        return { type: 'reply', session: this.#session, events: result.events, error, running: this.running, metrics: this.metrics() };
    }

    metrics() {
        return {
            hostMs: this.#hostMs, // JavaScript and wasm, all cycles together
            hostMsMax: this.#hostMsMax,
            hostMsMedian: this.running ? 0 : this.#hostTimes.toSorted((a, b) => a - b)[this.#hostTimes.length >> 1] ?? 0,
            cycles: this.#stats?.cycles ?? 0,
            submits: this.#counters.submits - this.#start.submits,
            maps: this.#counters.maps - this.#start.maps,
        };
    }

    #follow(event) {
        const shift = this.#base ? this.#base.tokens : 0;
        if (event.firstToken !== undefined) event.firstToken += shift;
        if (event.tokenIndex !== undefined) event.tokenIndex += shift;
        if (event.kind === 'text') {
            this.#tokens.length = Math.min(this.#tokens.length, event.firstToken);
            this.#tokens.push(...event.tokens);
        }
        if (event.kind === 'exit') this.#exitAt = event.tokenIndex;
        if (!event.stats) return;
        this.#promptCount ||= event.stats.promptTokens;
        if (this.#base) for (const name of SUMMED) event.stats[name] += this.#base[name];
        if (this.#base) event.stats.promptTokens = this.#promptCount;
        this.#stats = event.stats;
    }

    resume() {
        this.running = true;
        this.#exitAt = -1;
    }

    // Nobody waits for it any more.
    abandon() {
        this.running = false;
    }

    fail(error) {
        this.running = false;
        return { type: 'reply', session: this.#session, events: [], error: packError(error), running: false, metrics: this.metrics() };
    }

    // ---- On another device ---------------------------------------------------------------------------------------

    // The prompt out of all tokens the session held, and what of the reply was delivered.
    replayTokens(all) {
        return [...all.slice(0, this.#promptCount || all.length), ...this.#tokens];
    }

    // Whether the thinking could go on from where it was left.
    get hasLeft() {
        return this.#exitAt >= 0;
    }

    // Back to that place; the answer is taken back. Prompt and thinking, out of all tokens the session held.
    returnToExit(all) {
        this.#tokens.length = Math.min(this.#tokens.length, this.#exitAt + 1);
        if (this.#stats) this.#stats.answerTokens = 0;
        return this.replayTokens(all);
    }

    replayed(counters) {
        this.#base = { ...Object.fromEntries(SUMMED.map((name) => [name, 0])), ...this.#stats, tokens: this.#tokens.length };
        this.#watch(counters);
    }

    replayOptions(tokens) {
        const { messages, prompt, ...options } = this.#options;
        const done = this.#base;
        const less = (limit, used) => (limit ? Math.max(1, limit - used) : undefined);
        return {
            ...options,
            tokens,
            maximumTokens: less(options.maximumTokens, done.tokens),
            softBudget: less(options.softBudget, done.thinkingTokens),
            hardBudget: less(options.hardBudget, done.thinkingTokens),
            minimumThinking: options.minimumThinking ? Math.max(0, options.minimumThinking - done.thinkingTokens) : undefined,
        };
    }
}
