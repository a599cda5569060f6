// Settings: kept in localStorage, edited in a dialog, turned into the engine's options.
import { h, openDialog } from './dom.js';
import { scale, stopAt, takeProfile, usualPlace } from './profile.js';

const KEY = 'specexit-settings';

const DEFAULTS = {
    theme: 'system',
    system: '',
    policy: 'auto',
    confidence: 0.8,
    progress: 0.3,
    remain: 200,
    overrideThresholds: false,
    profile: '', // text of the file
    profileName: '',
    effort: null, // place on the profile's scale
    minimumThinking: 0,
    softBudget: 0,
    hardBudget: 0,
    loopGuard: true,
    temperature: 0,
    topP: 1,
    topK: 0,
    minP: 0,
    repetitionPenalty: 1,
    seed: 1,
    maximumTokens: 0,
    draft: 'auto',
    nodes: 0,
};

export const settings = { ...DEFAULTS, ...read() };

function read() {
    try {
        return JSON.parse(localStorage.getItem(KEY) ?? '{}');
    } catch {
        return {};
    }
}

export function applyTheme() {
    if (settings.theme === 'system') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = settings.theme;
}

function save() {
    try {
        localStorage.setItem(KEY, JSON.stringify(settings));
    } catch {
        // Private windows may refuse: the settings hold for this visit.
    }
    applyTheme();
}

// What the profile says, where nothing else was asked for.
function profileOptions() {
    const signals = settings.policy === 'auto' || settings.policy === 'signals';
    return (signals && !settings.overrideThresholds && stopAt(settings.effort)?.options) || {};
}

// The thresholds in force, to be drawn: the user's, else the profile's, else the model's own (`calibrated`), else the
// defaults.
export function thresholds(calibrated = {}) {
    const { confidence, progress, remain } = settings.overrideThresholds ? settings : { ...DEFAULTS, ...calibrated, ...profileOptions() };
    return { confidence, progress, remain };
}

export function generateOptions() {
    const s = settings;
    return {
        policy: s.policy,
        ...profileOptions(),
        ...(s.overrideThresholds && { confidence: s.confidence, progress: s.progress, remain: s.remain }),
        minimumThinking: s.minimumThinking || undefined,
        softBudget: s.softBudget || undefined,
        hardBudget: s.hardBudget || undefined,
        noLoopGuard: s.loopGuard ? undefined : true,
        temperature: s.temperature,
        topP: s.topP < 1 ? s.topP : undefined,
        topK: s.topK || undefined,
        minP: s.minP || undefined,
        repetitionPenalty: s.repetitionPenalty === 1 ? undefined : s.repetitionPenalty,
        seed: s.seed,
        maximumTokens: s.maximumTokens || undefined,
        draft: s.draft,
        nodes: s.nodes || undefined,
    };
}

function numberField(name, label, { min, max, step, hint }) {
    const input = h('input', { type: 'number', name, min, max, step, value: settings[name], inputmode: 'decimal' });
    input.onchange = () => {
        const value = Number(input.value);
        if (input.value === '' || !input.validity.valid || !Number.isFinite(value)) {
            input.value = settings[name];
            return;
        }
        settings[name] = value;
        save();
    };
    return h('label', { class: 'field' }, label, input, hint && h('small', {}, hint));
}

function choiceField(name, label, choices, hint) {
    const select = h('select', { name }, choices.map(([value, text]) => h('option', { value, selected: settings[name] === value }, text)));
    select.onchange = () => {
        settings[name] = select.value;
        save();
    };
    return h('label', { class: 'field' }, label, select, hint && h('small', {}, hint));
}

function checkField(name, label) {
    const input = h('input', { type: 'checkbox', name, checked: settings[name] });
    input.onchange = () => {
        settings[name] = input.checked;
        save();
    };
    return h('label', { class: 'field check full' }, input, label);
}

function group(title, ...fields) {
    return h('fieldset', { class: 'group' }, h('legend', {}, title), h('div', { class: 'fields' }, fields));
}

// A profile is chosen for the model that is loaded: `model()`.
function profileFields(model) {
    const fields = h('div', { class: 'field full profile' });
    const say = h('output', { id: 'effort-text' });
    const choose = async (file) => {
        try {
            const text = await file.text();
            await takeProfile(model(), text);
            Object.assign(settings, { profile: text, profileName: file.name, effort: null });
        } catch (error) {
            Object.assign(settings, { profile: '', profileName: '' });
            draw(error.message);
            return;
        } finally {
            save();
        }
        draw();
    };
    const forget = async () => {
        Object.assign(settings, { profile: '', profileName: '', effort: null });
        save();
        await takeProfile(model(), '');
        draw();
    };
    const slider = () => {
        const input = h('input', { type: 'range', name: 'effort', min: 0, max: scale().length - 1, step: 1, 'aria-label': 'How long to think', 'aria-describedby': 'effort-text' });
        input.value = settings.effort ?? usualPlace();
        input.oninput = () => {
            settings.effort = Number(input.value);
            save();
            say.textContent = stopAt(settings.effort).text;
        };
        say.textContent = stopAt(settings.effort).text;
        return [h('div', { class: 'effort' }, h('span', {}, 'Think little'), input, h('span', {}, 'think long')), say];
    };
    function draw(problem) {
        const file = h('input', { type: 'file', name: 'profile', accept: 'application/json,.json', class: 'hidden', disabled: !model() });
        file.onchange = () => file.files[0] && choose(file.files[0]);
        fields.replaceChildren(
            h('div', { class: 'row' }, h('span', { class: 'grow' }, settings.profileName ? `Profile: ${settings.profileName}` : 'Profile'),
                h('label', { class: 'quiet button' }, 'Choose a file', file),
                settings.profileName && h('button', { type: 'button', class: 'quiet', onclick: forget }, 'Forget it')),
            ...(scale().length ? slider() : []),
            h('small', { role: problem ? 'alert' : undefined }, problem ?? (scale().length ? 'Measured on the problems it was calibrated on.' : 'A file that “specexit calibrate” wrote for this model: how long to think, with what it costs.')),
        );
    }
    draw();
    return fields;
}

function thinkingGroup(model) {
    return group(
        'When thinking ends',
        profileFields(model),
        choiceField('policy', 'Policy', [
            ['auto', 'Automatic'], ['signals', 'The three signals'], ['margin', 'Margin of the close marker'],
            ['entropy', 'Entropy after the close marker'], ['none', 'Only when the model says so'],
        ]),
        numberField('minimumThinking', 'At least', { min: 0, max: 100000, step: 1, hint: 'thinking tokens' }),
        numberField('softBudget', 'Soft budget', { min: 0, max: 100000, step: 1, hint: 'tokens, then the next step’s end; 0: none' }),
        numberField('hardBudget', 'Hard budget', { min: 0, max: 100000, step: 1, hint: 'tokens; 0: none' }),
        checkField('overrideThresholds', 'Use these thresholds instead of the ones the model was calibrated with'),
        numberField('confidence', 'Confidence above', { min: 0, max: 1, step: 0.01, hint: 'would the answer be right now' }),
        numberField('progress', 'Progress above', { min: 0, max: 1, step: 0.01, hint: 'share of the reasoning done' }),
        numberField('remain', 'Remaining below', { min: 1, max: 100000, step: 1, hint: 'tokens' }),
        checkField('loopGuard', 'Leave thinking that repeats itself'),
    );
}

function samplingGroup() {
    return group(
        'Sampling',
        numberField('temperature', 'Temperature', { min: 0, max: 5, step: 0.05, hint: '0: always the likeliest token' }),
        numberField('topP', 'Top p', { min: 0, max: 1, step: 0.01 }),
        numberField('topK', 'Top k', { min: 0, max: 1000, step: 1, hint: '0: off' }),
        numberField('minP', 'Min p', { min: 0, max: 1, step: 0.01, hint: '0: off' }),
        numberField('repetitionPenalty', 'Repetition penalty', { min: 0.5, max: 2, step: 0.01, hint: '1: off' }),
        numberField('seed', 'Seed', { min: 0, max: 4294967295, step: 1, hint: 'the same seed, the same text' }),
        numberField('maximumTokens', 'At most', { min: 0, max: 100000, step: 1, hint: 'tokens of a reply; 0: no limit' }),
    );
}

export function openSettings(model) {
    const system = h('textarea', { name: 'system', rows: 3 }, settings.system);
    system.onchange = () => {
        settings.system = system.value;
        save();
    };
    const reset = h('button', { type: 'button', class: 'secondary' }, 'Back to the defaults');
    const dialog = openDialog('Settings', [
        thinkingGroup(model),
        samplingGroup(),
        group(
            'Speculation',
            choiceField('draft', 'Drafting', [['auto', 'Automatic'], ['tree', 'Tree'], ['chain', 'Chain'], ['ngram', 'From the text so far'], ['none', 'None']]),
            numberField('nodes', 'Nodes', { min: 0, max: 31, step: 1, hint: 'drafted per cycle; 0: automatic' }),
        ),
        group('Conversation', h('label', { class: 'field full' }, 'System prompt', system),
            choiceField('theme', 'Appearance', [['system', 'As the system'], ['light', 'Light'], ['dark', 'Dark']])),
        h('div', { class: 'row' }, reset),
    ]);
    reset.onclick = async () => {
        Object.assign(settings, DEFAULTS);
        save();
        await takeProfile(model(), '');
        dialog.close();
        openSettings(model);
    };
}
