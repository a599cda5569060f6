// The same question three times: plain, with speculation, and with speculation and early exit. One after the other, so
// that none slows another down; drawn over one axis of seconds, and replayed side by side when all are done.
import { announce, formatSeconds, h } from './dom.js';
import { renderMarkdown } from './markdown.js';

const LANES = [
    { key: 'plain', title: 'Plain', note: 'one token at a time, thinks to the end', options: { draft: 'none', policy: 'none' } },
    { key: 'speculative', title: 'Speculative', note: 'drafts several tokens, same text', options: { draft: 'auto', policy: 'none' } },
    { key: 'specexit', title: 'SpecExit', note: 'drafts, and leaves when the signals agree', options: { draft: 'auto' } },
];

export class Race {
    #context; // { model(), options(), example }
    #lanes;
    #running = null; // AbortController
    #button;
    #question;
    #result;
    #replay;

    constructor(root, context) {
        this.#context = context;
        this.#question = h('input', { type: 'text', 'aria-label': 'Question of the race', value: context.example, required: true });
        this.#button = h('button', { type: 'submit', class: 'primary' }, 'Start');
        this.#replay = h('button', { type: 'button', class: 'secondary', hidden: true, onclick: () => this.#playBack() }, 'Replay side by side');
        this.#result = h('p', { class: 'race-result', role: 'status' });
        this.#lanes = LANES.map(makeLane);
        const form = h('form', { class: 'race-form', onsubmit: (event) => this.#submit(event) }, this.#question, this.#button);
        root.append(h('h2', {}, 'The same question, three ways'),
            h('p', { class: 'race-intro' }, 'They run one after the other on your GPU, each from scratch, with the sampling of your settings.'),
            form, h('div', {}, this.#lanes.map((lane) => lane.element)),
            h('div', { class: 'race-legend' }, h('span', { class: 'think' }, 'thinking'), h('span', { class: 'tell' }, 'answering'), this.#replay),
            this.#result);
    }

    async #submit(event) {
        event.preventDefault();
        if (this.#running) {
            this.#running.abort();
            return;
        }
        const model = this.#context.model();
        if (!this.#question.value.trim()) return;
        if (!model) {
            this.#result.textContent = 'There is no model yet: it is being loaded, or could not be.';
            return;
        }
        this.#running = new AbortController();
        this.#button.textContent = 'Stop';
        this.#result.textContent = '';
        this.#replay.hidden = true;
        for (const lane of this.#lanes) lane.reset();
        try {
            for (const lane of this.#lanes) {
                await this.#run(model, lane);
                if (this.#running.signal.aborted) break;
            }
            if (!this.#running.signal.aborted) this.#conclude();
        } catch (error) {
            this.#result.textContent = error.message;
        } finally {
            this.#running = null;
            this.#button.textContent = 'Start';
        }
    }

    async #run(model, lane) {
        const session = model.createSession();
        try {
            const messages = [{ role: 'user', content: this.#question.value }];
            const reply = session.chat(messages, { ...this.#context.options(), ...lane.options, signal: this.#running.signal });
            lane.start();
            for await (const event of reply) {
                lane.handle(event);
                this.#draw();
            }
            lane.finish();
            this.#draw();
        } finally {
            await session.close().catch(() => {});
        }
    }

    // All tracks share the scale of the slowest so far.
    #draw(now = Infinity) {
        const span = Math.max(1, ...this.#lanes.map((lane) => lane.seconds));
        for (const lane of this.#lanes) lane.draw(span, now);
    }

    #conclude() {
        const [plain, speculative, specexit] = this.#lanes;
        const times = plain.seconds / specexit.seconds;
        const fewer = 1 - specexit.tokens / plain.tokens;
        const sentence = times >= 1
            ? `SpecExit answered ${times.toFixed(1)} times sooner than plain decoding, with ${Math.round(fewer * 100)} % fewer tokens.`
            : `SpecExit took ${(1 / times).toFixed(1)} times as long as plain decoding here: the question left nothing to skip.`;
        this.#result.textContent = `${sentence} Speculation alone: ${(plain.seconds / speculative.seconds).toFixed(1)} times.`;
        announce(this.#result.textContent);
        this.#replay.hidden = false;
        if (!matchMedia('(prefers-reduced-motion: reduce)').matches) this.#playBack();
    }

    #playBack() {
        const began = performance.now();
        const span = Math.max(...this.#lanes.map((lane) => lane.seconds));
        const rate = Math.max(1, span / 6); // at most six seconds long
        const step = () => {
            const now = ((performance.now() - began) / 1000) * rate;
            this.#draw(now);
            if (now < span && !this.#running) requestAnimationFrame(step);
            else this.#draw();
        };
        step();
    }
}

function makeLane({ key, title, note, options }) {
    const think = h('div', { class: 'think' });
    const tell = h('div', { class: 'tell' });
    const time = h('span', { class: 'lane-time' });
    const text = h('p', { class: 'lane-text' });
    const element = h('section', { class: 'lane', 'data-lane': key, 'aria-label': title },
        h('div', { class: 'lane-head' }, h('h3', {}, title), h('span', { class: 'lane-note' }, note), time), h('div', { class: 'track' }, think, tell), text);
    const lane = {
        element, options, began: 0, seconds: 0, thinkingSeconds: 0, tokens: 0, answer: '', done: false, answering: false,
        reset() {
            Object.assign(lane, { seconds: 0, thinkingSeconds: 0, tokens: 0, answer: '', done: false, answering: false });
            time.textContent = text.textContent = '';
            think.style.width = tell.style.width = '0';
        },
        start() {
            lane.began = performance.now();
        },
        handle(event) {
            lane.seconds = (performance.now() - lane.began) / 1000;
            if (event.stats) lane.tokens = event.stats.tokens;
            if (event.kind === 'exit') text.textContent = event.sentence;
            if (event.kind === 'text' && event.channel === 'answer') {
                lane.answering ||= event.text.trim() !== ''; // markers are shown as nothing
                lane.answer += event.text;
            }
            if (!lane.answering) lane.thinkingSeconds = lane.seconds;
        },
        finish() {
            lane.done = true;
            text.textContent = renderMarkdown(lane.answer).textContent.trim();
        },
        draw(span, now) {
            const until = Math.min(lane.seconds, now);
            think.style.width = `${(100 * Math.min(lane.thinkingSeconds, until)) / span}%`;
            tell.style.width = `${(100 * Math.max(0, until - lane.thinkingSeconds)) / span}%`;
            if (lane.seconds) time.textContent = `${formatSeconds(until)}, ${Math.round((lane.tokens * until) / lane.seconds)} tokens`;
        },
    };
    return lane;
}
