// One reply as it is seen: the thinking that folds, with its signals, progress and buttons; the answer; the facts.
import { announce, formatSeconds, h, perFrame, svg } from './dom.js';
import { renderMarkdown } from './markdown.js';
import { SignalPlot } from './plot.js';

// What is said of a reply that did not end by itself.
const NOTES = {
    __proto__: null,
    maximum: 'The reply reached its largest length.',
    looped: 'The reply repeated itself and was ended.',
    failed: 'The reply failed.', // why is said when it does
    open: 'The page was closed before the reply ended.',
};

function chevron() {
    return svg('svg', { viewBox: '0 0 12 12', 'aria-hidden': 'true' }, svg('path', { d: 'M4 2l4 4-4 4' }));
}

export class ReplyView {
    #message; // { role, content, reasoning, exit, series, stats, ended }: what is kept
    #plot;
    #hasSignals;
    #parts = {};
    #thinking = false; // now
    #atExit = 0; // length of the reasoning at the exit
    #stats = null;
    #thoughtTokens = 0; // the engine's own count comes with the exit
    #began = performance.now();
    #remain = null;
    #render = perFrame(() => this.#renderNow());

    // `actions`: { answerNow(), keepThinking() }, or null for a reply of the past.
    constructor({ message, thresholds, hasSignals, actions }) {
        this.#message = message;
        this.#hasSignals = hasSignals;
        this.#plot = new SignalPlot(thresholds);
        this.#build(actions);
        if (message.content || message.reasoning || message.exit || message.ended) this.#restore();
    }

    get message() {
        return this.#message;
    }

    #build(actions) {
        const p = this.#parts;
        p.title = h('span', {}, 'Thinking');
        p.fold = h('button', { type: 'button', class: 'fold', 'aria-expanded': 'true' }, chevron(), p.title);
        p.fold.onclick = () => this.#setOpen(p.fold.getAttribute('aria-expanded') !== 'true');
        p.count = h('span', { class: 'count' });
        p.answerNow = h('button', { type: 'button', class: 'secondary', title: 'Alt+A', 'aria-keyshortcuts': 'Alt+A', onclick: () => actions?.answerNow() }, 'Answer now');
        p.thinkLonger = h('button', { type: 'button', class: 'secondary', title: 'Alt+T', 'aria-keyshortcuts': 'Alt+T', hidden: true, onclick: () => actions?.keepThinking() }, 'Think longer');
        p.barFill = h('div');
        p.bar = h('div', { class: 'bar', role: 'progressbar', 'aria-label': 'Progress of the thinking', 'aria-valuemin': 0, 'aria-valuemax': 100 }, p.barFill);
        p.thoughts = h('div', { class: 'thoughts', role: 'region', tabindex: 0, 'aria-label': 'Thoughts' });
        p.exit = h('p', { class: 'exit-mark', hidden: true });
        this.#plot.element.hidden = !this.#hasSignals;
        p.thinking = h('section', { class: 'thinking', 'aria-label': 'Thinking', hidden: true },
            h('div', { class: 'thinking-head' }, p.fold, p.count, h('div', { class: 'thinking-actions' }, p.answerNow, p.thinkLonger)),
            p.bar, this.#plot.element, p.thoughts, p.exit);
        if (!actions) p.answerNow.hidden = true;
        p.answer = h('div', { class: 'answer' });
        p.error = h('p', { class: 'reply-error', role: 'alert', hidden: true });
        p.facts = h('div', { class: 'facts' });
        this.element = h('article', { class: 'turn assistant', 'aria-label': 'Reply' }, p.thinking, p.answer, p.error, p.facts);
    }

    #restore() {
        const { reasoning, series, exit, stats, content } = this.#message;
        this.#parts.thinking.hidden = !reasoning;
        this.#parts.thoughts.textContent = reasoning ?? '';
        this.#plot.element.hidden = !series?.length;
        if (series) this.#plot.restore(series, Boolean(exit));
        if (exit) this.#showExit(exit);
        if (stats) this.#stats = stats;
        this.#thoughtTokens = stats?.thinkingTokens ?? 0;
        if (content) this.#setOpen(false);
        this.#settle();
        this.#renderNow();
    }

    #setOpen(open) {
        const p = this.#parts;
        p.fold.setAttribute('aria-expanded', open);
        p.thoughts.hidden = !open;
        this.#plot.element.hidden = !open || !(this.#hasSignals || this.#plot.length);
    }

    // ---- Events --------------------------------------------------------------------------------------------------

    handle(event) {
        if (event.stats) this.#stats = event.stats;
        this['on_' + event.kind]?.(event);
        this.#render();
    }

    on_prefill({ done, total }) {
        this.#parts.count.textContent = total > 256 ? `reading ${done} of ${total} tokens` : '';
    }

    on_text({ channel, text, tokens }) {
        if (channel === 'thinking') {
            if (!this.#message.exit) this.#thoughtTokens += tokens.length;
            if (!this.#thinking && !this.#message.exit) this.#startThinking();
            this.#message.reasoning = (this.#message.reasoning ?? '') + text;
            const pinned = atBottom(this.#parts.thoughts);
            this.#parts.thoughts.append(text);
            if (pinned) this.#parts.thoughts.scrollTop = this.#parts.thoughts.scrollHeight;
        } else {
            this.#message.content += text;
        }
    }

    on_signals(event) {
        if (!this.#thinking) return;
        this.#plot.add(event);
        this.#remain = event.smoothed ?? this.#remain;
    }

    on_exit(event) {
        if (!this.#thinking) return;
        this.#thinking = false;
        this.#atExit = (this.#message.reasoning ?? '').length;
        this.#message.exit = { reason: event.reason, sentence: event.sentence, at: this.#thoughtTokens };
        this.#plot.markExit();
        this.#showExit(this.#message.exit);
        this.#parts.answerNow.hidden = true;
        this.#parts.thinkLonger.hidden = false;
        announce(capital(event.sentence));
    }

    on_withdrawn() {
        this.#thinking = true;
        delete this.#message.exit;
        delete this.#message.ended;
        this.#message.content = '';
        this.#message.reasoning = (this.#message.reasoning ?? '').slice(0, this.#atExit);
        const p = this.#parts;
        p.thoughts.textContent = this.#message.reasoning;
        p.exit.hidden = true;
        p.bar.hidden = false;
        p.bar.classList.remove('closed');
        p.thinking.classList.remove('settled');
        p.answerNow.hidden = false;
        p.thinkLonger.hidden = true;
        p.error.hidden = true;
        p.facts.replaceChildren();
        p.title.textContent = 'Thinking again';
        this.#plot.unmarkExit();
        this.#setOpen(true);
        announce('Thinking goes on.');
    }

    on_done({ reason, stats }) {
        this.#message.stats = stats;
        this.#message.series = this.#plot.series();
        this.#message.ended = reason;
        this.#settle();
        announce(this.#message.content ? `Answer: ${this.#message.content.slice(0, 600)}` : (NOTES[reason] ?? 'Stopped.'));
    }

    fail(error) {
        this.#message.ended = 'failed';
        this.#settle();
        this.#note(error.message);
    }

    // Nothing more comes, as far as is known.
    #settle() {
        const p = this.#parts;
        this.#thinking = false;
        p.answerNow.hidden = true;
        p.bar.hidden = true;
        p.title.textContent = 'Thought';
        if (!this.#message.exit) p.count.textContent = this.#thoughtTokens ? `${this.#thoughtTokens} tokens` : '';
        if (NOTES[this.#message.ended]) this.#note(NOTES[this.#message.ended]);
        this.#showFacts();
    }

    #note(text) {
        this.#parts.error.textContent = text;
        this.#parts.error.hidden = false;
    }

    #startThinking() {
        this.#thinking = true;
        this.#parts.thinking.hidden = false;
        this.#began = performance.now();
        announce('Thinking.');
    }

    #showExit({ reason, sentence, at }) {
        const p = this.#parts;
        p.exit.hidden = false;
        p.exit.dataset.reason = reason;
        p.exit.classList.toggle('natural', reason === 'natural');
        p.exit.textContent = `${capital(sentence)}.`;
        p.bar.classList.add('closed');
        p.thinking.classList.add('settled');
        p.thoughts.scrollTop = p.thoughts.scrollHeight;
        p.title.textContent = 'Thought';
        p.count.textContent = `${at} tokens`;
    }

    // ---- Drawing -------------------------------------------------------------------------------------------------

    #renderNow() {
        this.#parts.answer.replaceChildren(renderMarkdown(this.#message.content));
        if (this.#thinking) this.#showProgress();
    }

    #showProgress() {
        const p = this.#parts;
        const tokens = this.#thoughtTokens;
        const rate = Math.max(1, tokens) / Math.max(0.001, (performance.now() - this.#began) / 1000);
        const left = this.#remain?.remain;
        const share = this.#remain?.progress ?? 0;
        p.barFill.style.width = `${Math.round(share * 100)}%`;
        p.bar.setAttribute('aria-valuenow', Math.round(share * 100));
        const estimate = Number.isFinite(left) ? `, about ${Math.round(left)} left (${formatSeconds(left / rate)})` : '';
        p.count.textContent = `${tokens} tokens${estimate}`;
        p.bar.setAttribute('aria-valuetext', p.count.textContent);
    }

    #showFacts() {
        const s = this.#stats ?? {};
        const rate = s.decodeSeconds > 0 ? s.tokens / s.decodeSeconds : 0;
        const counted = s.tokens > 0 && [
            `${s.tokens} tokens`,
            s.thinkingTokens ? `${s.thinkingTokens} of them thinking` : null,
            rate ? `${rate.toFixed(rate < 10 ? 1 : 0)} tokens/s` : null,
            s.acceptanceLength > 1 ? `${s.acceptanceLength.toFixed(1)} tokens a cycle` : null,
            s.firstTokenSeconds > 0 ? `first token after ${formatSeconds(s.firstTokenSeconds)}` : null,
        ];
        const facts = [this.#message.ended === 'stopped' && 'stopped', ...(counted || [])].filter(Boolean);
        this.#parts.facts.replaceChildren(...facts.map((fact) => h('span', {}, fact)));
    }

    // Whether that is offered.
    get thinkLonger() {
        return !this.#parts.thinkLonger.hidden;
    }

    allowKeepThinking(allowed) {
        this.#parts.thinkLonger.hidden = !(allowed && this.#message.exit);
    }
}

function atBottom(element) {
    return element.scrollHeight - element.scrollTop - element.clientHeight < 24;
}

function capital(text) {
    return text.charAt(0).toUpperCase() + text.slice(1);
}
