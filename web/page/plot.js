// The three signals while the model thinks: one small chart each, over one axis of tokens. The shaded part is where the
// signal agrees to leave; the dashed line is its threshold; a line through all three marks the exit.
import { h, perFrame, svg } from './dom.js';

const WIDTH = 600;
const HEIGHT = 46;
const MAXIMUM_POINTS = 600;

const SIGNALS = [
    { name: 'confidence', label: 'Confidence', format: (value) => `${Math.round(value * 100)} %`, hint: (t) => `exit > ${Math.round(t * 100)} %`, above: true },
    { name: 'progress', label: 'Progress', format: (value) => `${Math.round(value * 100)} %`, hint: (t) => `exit > ${Math.round(t * 100)} %`, above: true },
    { name: 'remain', label: 'Remaining', format: (value) => `≈ ${Math.round(value)}`, hint: (t) => `exit < ${Math.round(t)}`, above: false },
];

export class SignalPlot {
    #rows;
    #raw = { confidence: [], progress: [], remain: [] };
    #smooth = { confidence: [], progress: [], remain: [] };
    #exitAt = -1;
    #thresholds;
    #draw = perFrame(() => this.#drawNow());

    constructor(thresholds) {
        this.#thresholds = thresholds;
        this.#rows = SIGNALS.map((signal) => this.#makeRow(signal));
        this.element = h('figure', { class: 'plot', 'aria-label': 'Signals while thinking' }, this.#rows.map((row) => row.element));
    }

    #makeRow(signal) {
        const parts = {
            zone: svg('rect', { class: 'zone', x: 0, width: WIDTH }),
            threshold: svg('line', { class: 'threshold', x1: 0, x2: WIDTH }),
            raw: svg('polyline', { class: 'raw' }),
            smooth: svg('polyline', { class: 'smooth' }),
            exit: svg('line', { class: 'exit-line', y1: 0, y2: HEIGHT, visibility: 'hidden' }),
        };
        const value = h('div', { class: 'plot-value' }, '–');
        const chart = svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' }, ...Object.values(parts));
        const name = h('div', { class: 'plot-name' }, signal.label, h('small', {}, signal.hint(this.#thresholds[signal.name])));
        return { signal, ...parts, value, element: h('div', { class: `plot-row signal-${signal.name}` }, name, chart, value) };
    }

    get length() {
        return this.#smooth.confidence.length;
    }

    add({ raw, smoothed }) {
        if (!smoothed) return;
        for (const { name } of SIGNALS) {
            this.#raw[name].push(raw?.[name] ?? NaN);
            this.#smooth[name].push(smoothed[name] ?? NaN);
        }
        this.#draw();
    }

    markExit() {
        this.#exitAt = this.length;
        this.#draw();
    }

    // Thinking goes on after an exit.
    unmarkExit() {
        this.#exitAt = -1;
        this.#draw();
    }

    // Rows of [confidence, progress, remain], to be kept and shown again.
    series() {
        const round = (value) => (Number.isFinite(value) ? Number(value.toPrecision(4)) : null);
        return this.#smooth.confidence.map((_, i) => SIGNALS.map(({ name }) => round(this.#smooth[name][i])));
    }

    restore(series, exited) {
        for (const row of series) SIGNALS.forEach(({ name }, i) => this.#smooth[name].push(row[i] ?? NaN));
        if (exited) this.markExit();
        this.#draw();
    }

    #drawNow() {
        const span = Math.max(this.length - 1, 24);
        for (const row of this.#rows) {
            const { name, above, format } = row.signal;
            const values = this.#smooth[name];
            const threshold = this.#thresholds[name];
            const top = name === 'remain' ? Math.max(threshold * 1.25, maximum(values), maximum(this.#raw[name])) : 1;
            const y = (value) => HEIGHT - 3 - (HEIGHT - 6) * Math.min(1, Math.max(0, value / top));
            const at = y(threshold);
            row.threshold.setAttribute('y1', at);
            row.threshold.setAttribute('y2', at);
            row.zone.setAttribute('y', above ? 0 : at);
            row.zone.setAttribute('height', above ? at : HEIGHT - at);
            row.smooth.setAttribute('points', points(values, span, y));
            row.raw.setAttribute('points', points(this.#raw[name], span, y));
            const last = values.at(-1);
            row.value.textContent = Number.isFinite(last) ? format(last) : '–';
            row.exit.setAttribute('visibility', this.#exitAt < 0 ? 'hidden' : 'visible');
            const x = (WIDTH * Math.max(0, this.#exitAt - 1)) / span;
            row.exit.setAttribute('x1', Math.min(x, WIDTH - 1.5));
            row.exit.setAttribute('x2', Math.min(x, WIDTH - 1.5));
        }
    }
}

function maximum(values) {
    let most = 0;
    for (const value of values) if (value > most) most = value;
    return most;
}

function points(values, span, y) {
    const step = Math.max(1, Math.ceil(values.length / MAXIMUM_POINTS));
    let text = '';
    for (let i = 0; i < values.length; i += step) {
        if (Number.isFinite(values[i])) text += `${((WIDTH * i) / span).toFixed(1)},${y(values[i]).toFixed(1)} `;
    }
    return text;
}
