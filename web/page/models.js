// The dialog about the model and the device: what is loaded, loading another, what is kept in the browser.
import { cache, plan } from '../specexit.js';
import { formatBytes, formatCount, h, openDialog } from './dom.js';

// The files of a drop or a picker, sorted into target and draft.
export function sortFiles(files) {
    const list = [...files];
    const gguf = list.filter((file) => /\.gguf$/i.test(file.name));
    const isDraft = (file) => /draft|eagle/i.test(file.name);
    const others = list.filter((file) => /\.(safetensors|bin|json)$/i.test(file.name));
    const drafts = gguf.filter(isDraft);
    const byName = (a, b) => (a.name < b.name ? -1 : 1);
    let target = gguf.filter((file) => !isDraft(file)).sort(byName);
    let draft = [...drafts, ...others];
    if (!target.length && drafts.length) [target, draft] = [drafts, others];
    if (!target.length) target = list.filter((file) => !others.includes(file));
    return { target, draft: draft.length ? draft : null };
}

function details(pairs) {
    return h('dl', { class: 'details' }, pairs.filter(([, value]) => value).map(([name, value]) => [h('dt', {}, name), h('dd', {}, String(value))]));
}

function modelDetails(info) {
    return details([
        ['Model', info.modelName],
        ['Architecture', `${info.architecture}, ${info.layers} layers of ${info.hidden}, ${formatCount(info.parameters)} parameters`],
        ['Format', info.format],
        ['Draft', info.draftName || 'none'],
        ['Signals', info.signals.join(', ') || 'none: margin and loop guard are used'],
        ['Acceptance', info.draftAcceptance ? `${info.draftAcceptance.toFixed(2)} tokens a cycle in the self-test` : ''],
        ['Context', `${info.context} tokens`],
        ['Memory', `${formatBytes(info.weightBytes)} weights, ${formatBytes(info.kvBytes)} for a conversation, ${formatBytes(info.scratchBytes)} work space`],
        ['Loaded in', `${info.loadSeconds.toFixed(1)} s`],
        ['Speculation', info.bitwiseLossless ? 'changes no bit of the text on this device (self-test)' : 'may differ from plain decoding in rare ties on this device (self-test)'],
    ]);
}

function deviceDetails(gpu) {
    return details([
        ['GPU', gpu.name],
        ['', gpu.isFallback ? 'A software adapter: correct, but slow' : ''],
        ['Features', gpu.features.join(', ')],
        ['Language', gpu.wgslFeatures.join(', ')],
        ['Largest buffer', formatBytes(gpu.maxBufferSize)],
        ['Largest binding', formatBytes(gpu.maxStorageBufferBindingSize)],
    ]);
}

// `load(what)` loads and resolves when it is done; `info` may be null.
export function openModels({ info, load }) {
    const dialog = openDialog('Model and device', [
        info && h('section', { class: 'group' }, h('h3', {}, 'Loaded'), modelDetails(info)),
        info && h('section', { class: 'group' }, h('h3', {}, 'Device'), deviceDetails(info.gpu)),
        addressSection(start),
        fileSection(start),
        keptSection(start),
    ]);
    function start(what) {
        dialog.close();
        load(what);
    }
}

function addressSection(start) {
    const target = h('input', { type: 'url', placeholder: 'https://…/model.gguf', name: 'target-url', spellcheck: 'false', required: true });
    const draft = h('input', { type: 'url', placeholder: 'https://…/draft.gguf', name: 'draft-url', spellcheck: 'false' });
    const result = h('p', { class: 'plan', role: 'status' });
    const check = h('button', { type: 'submit', class: 'secondary' }, 'Check');
    const go = h('button', { type: 'button', class: 'primary', disabled: true }, 'Download and load');
    const what = () => ({ target: target.value.trim(), draft: draft.value.trim() || null });
    const form = h('form', { class: 'group' }, h('h3', {}, 'From an address'),
        h('div', { class: 'fields' }, h('label', { class: 'field full' }, 'Model (GGUF; of a split one, the first part)', target),
            h('label', { class: 'field full' }, 'EAGLE-3 draft, if there is one', draft)),
        result, h('div', { class: 'row' }, check, go));
    target.oninput = draft.oninput = () => (go.disabled = true);
    form.onsubmit = async (event) => {
        event.preventDefault();
        result.classList.remove('bad');
        result.textContent = 'Asking the server …';
        try {
            const planned = await plan(what());
            const { text, good } = describePlan(planned);
            result.textContent = text;
            result.classList.toggle('bad', !good);
            go.disabled = !good;
        } catch (error) {
            result.classList.add('bad');
            result.textContent = error.message;
        }
    };
    go.onclick = async () => {
        await cache.persist();
        start(what());
    };
    return form;
}

function describePlan({ bytes, missing, fits, stored }) {
    const size = bytes ? `${formatBytes(bytes)}, ${missing ? `${formatBytes(missing)} to download` : 'all of it is here already'}.` : 'The server does not say how large it is.';
    if (!fits) return { good: false, text: `${size} The GPU does not grant that much memory: choose a smaller model or format.` };
    if (!stored) {
        return { good: false, text: `${size} The browser does not grant this page so much storage: delete other models, or pick the file from your disk.` };
    }
    return { good: true, text: `${size} The GPU and the browser’s storage have room for it.` };
}

function fileSection(start) {
    const input = h('input', { type: 'file', multiple: true, class: 'hidden', name: 'model-files' });
    input.onchange = () => input.files.length && start(sortFiles(input.files));
    return h('section', { class: 'group' }, h('h3', {}, 'From this computer'),
        h('p', {}, 'GGUF, all parts of a split one, and a draft (GGUF, or safetensors with its config.json). Files can also be dropped anywhere on the page. They are read in place, not copied.'),
        h('div', { class: 'row' }, h('label', { class: 'secondary button' }, 'Choose files', input),
            h('button', { type: 'button', class: 'secondary', onclick: () => start({ target: 'bundled' }) }, 'The model that comes with the page')));
}

function keptSection(start) {
    const list = h('ul', { class: 'models', id: 'kept-models' });
    const room = h('p');
    const persist = h('button', { type: 'button', class: 'secondary' }, 'Ask the browser to keep them');
    const section = h('section', { class: 'group' }, h('h3', {}, 'Kept in this browser'), room, list, h('div', { class: 'row' }, persist));
    persist.onclick = async () => {
        const granted = await cache.persist();
        persist.textContent = granted ? 'The browser keeps them' : 'The browser did not agree';
        persist.disabled = granted;
    };
    cache.persisted().then((persisted) => {
        if (!persisted) return;
        persist.textContent = 'The browser keeps them';
        persist.disabled = true;
    });
    refresh();
    return section;

    async function refresh() {
        try {
            const { usage, quota } = await cache.space();
            room.textContent = quota ? `${formatBytes(usage)} used of ${formatBytes(quota)} that the browser grants.` : '';
            const models = await cache.list();
            list.replaceChildren(...models.map(row));
            if (!models.length) list.append(h('li', {}, 'Nothing yet.'));
        } catch (error) {
            room.textContent = error.message;
        }
    }

    function row(model) {
        const state = model.complete ? formatBytes(model.size) : `${formatBytes(model.have)} of ${model.size ? formatBytes(model.size) : 'an unknown size'}: goes on when it is loaded again`;
        const remove = h('button', { type: 'button', class: 'secondary', 'aria-label': `Delete ${model.name}` }, 'Delete');
        remove.onclick = async () => {
            await cache.remove(model.key);
            await refresh();
        };
        const use = h('button', { type: 'button', class: 'secondary', 'aria-label': `Load ${model.name}`, onclick: () => start({ target: model.url, draft: null }) }, 'Load');
        return h('li', {}, h('span', { class: 'name' }, model.name, h('small', {}, state)), /\.gguf$/.test(model.name) && use, remove);
    }
}
