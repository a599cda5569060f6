// The page: loads the model, holds the conversation, and connects the parts.
import { load } from '../specexit.js';
import { $, announce, formatBytes, h, openDialog } from './dom.js';
import { noWebGpuHelp } from './help.js';
import { openModels, sortFiles } from './models.js';
import { takeProfile } from './profile.js';
import { Race } from './race.js';
import { ReplyView } from './reply_view.js';
import { applyTheme, generateOptions, openSettings, settings, thresholds } from './settings.js';
import * as store from './store.js';

const EXAMPLES = [
    'Tom has 7 apples. Tom finds 5 more. Then there are 3 times as many. Tom gives 4. How many now?',
    'What is 12 plus 9, times 2, minus 11, plus 6?',
    'Start at 18, subtract 7, times 3, add 8, subtract 12.',
    'Mia has 4 shells. Then there are 4 times as many. Then Mia buys 9. Then Mia sells 3. How many shells does Mia have?',
];

let model = null;
let loading = null; // AbortController of the load in progress
let conversation = store.newConversation();
let view = null; // ReplyView of the running or the last reply
let reply = null; // running
let lastReply = null; // the one whose thinking could go on
let answered = null; // the conversation of the last reply, running or not
const KEEP_EVERY_MS = 1000; // of a reply that is being written
let early = ''; // a question that was asked while the model was being loaded

// ---- Loading -----------------------------------------------------------------------------------------------------

const STAGES = { downloading: 'Downloading', opening: 'Reading the model', uploading: 'Moving weights to the GPU', compiling: 'Preparing the GPU', testing: 'Testing the device', ready: 'Ready' };

function showModel(state, text) {
    document.querySelector('.dot').dataset.state = state;
    $('model-name').textContent = text;
    document.documentElement.dataset.model = state;
    $('send').disabled = state === 'failed' && !reply;
}

let stage = null;

function showProgress(progress) {
    if (progress.stage !== stage) performance.mark(`specexit:${(stage = progress.stage)}`); // seen in the browser's profiler
    const name = STAGES[progress.stage] ?? 'Loading';
    const file = progress.file ? ` ${progress.file}, ${formatBytes(progress.bytesLoaded)}` : '';
    showModel('loading', `${name} ${Math.round(progress.fraction * 100)} %`);
    const box = document.querySelector('.loading');
    if (!box) return;
    box.querySelector('p').textContent = `${name}${file} …`;
    box.querySelector('.meter > div').style.width = `${progress.fraction * 100}%`;
}

async function loadModel(what) {
    loading?.abort();
    const controller = (loading = new AbortController());
    const before = model;
    model = null; // what is asked from now on waits for the next one
    await stopReply();
    lastReply = null;
    view?.allowKeepThinking(false);
    await before?.close();
    hideNotice();
    showModel('loading', 'Loading the model');
    drawBelow();
    try {
        model = await load({ ...what, onProgress: showProgress, signal: controller.signal });
        model.onDevice = onDevice;
        showModel('ready', model.info.modelName);
        announce(`${model.info.modelName} is ready.`);
        await takeProfile(model, settings.profile).catch((error) => showNotice(error.message));
    } catch (error) {
        if (error.name === 'AbortError') {
            if (loading === controller) showModel('failed', 'No model');
            return;
        }
        showModel('failed', 'No model');
        if (error.code === 'no-device') showNoDevice(error);
        else showNotice(error.message, what.target === 'bundled' ? null : ['Use the bundled model', () => loadModel({ target: 'bundled' })]);
    } finally {
        if (loading === controller) loading = null;
        drawBelow();
        if (!loading) answerEarly();
    }
}

// The question that waited for the model, or back into its box with it.
function answerEarly() {
    const text = early;
    early = '';
    if (model) ask(text);
    else if (!$('question').value) $('question').value = text;
}

function showNoDevice(error) {
    $('transcript').replaceChildren(noWebGpuHelp(error.message));
    announce('This page needs WebGPU.');
}

function onDevice(news) {
    document.documentElement.dataset.device = news.state;
    if (news.state === 'lost') {
        showModel('loading', 'GPU lost');
        showNotice('The GPU was reset. The model is being loaded again.');
    } else if (news.state === 'loading') {
        showProgress(news.progress);
    } else if (news.state === 'restored') {
        showNotice('The GPU was reset. The model is loaded again, and the conversation goes on.');
        showModel('ready', model.info.modelName);
        announce('The GPU is back.');
    } else {
        showModel('failed', 'No model');
        showNotice(news.message, ['Load again', () => loadModel({ target: 'bundled' })]);
    }
}

function showNotice(text, action) {
    const box = $('notice');
    box.replaceChildren(h('span', { class: 'grow', role: 'alert' }, text));
    if (action) box.append(h('button', { type: 'button', class: 'secondary', onclick: action[1] }, action[0]));
    box.append(h('button', { type: 'button', class: 'quiet', onclick: hideNotice }, 'Close'));
    box.hidden = false;
}

function hideNotice() {
    $('notice').hidden = true;
}

// ---- Conversation ------------------------------------------------------------------------------------------------

// What the model at hand does about thinking; before it is known, what the bundled one does.
function about(info) {
    if (info && !info.thinks) return ['A model on your own GPU', 'It answers in this page, at once: it was not trained to think before. Early exit is for models that do.'];
    const how = !info || info.signals.length
        ? 'While it thinks, three signals say how sure it is, how far it has come and how much is left; when they agree, it stops and answers.'
        : 'It comes without signals, so it stops thinking when ending the thought is nearly what it would say anyway.';
    return ['A model that knows when to stop thinking', `It reasons on your own GPU, in this page. ${how}`];
}

// What stands below the messages: the question that waits for the model, or the welcome where there are none.
function drawBelow() {
    for (const old of document.querySelectorAll('.waiting')) old.remove();
    if ($('no-webgpu')) return;
    const meter = () => [h('p', {}, 'Loading …'), h('div', { class: 'meter' }, h('div'))];
    const waits = early && loading;
    if (!conversation.messages.length) $('transcript').replaceChildren(...(waits ? [] : [welcome(meter)]));
    if (!waits) return;
    $('transcript').append(h('div', { class: 'waiting' }, questionTurn(early), h('div', { class: 'turn assistant loading' }, meter())));
    scrollDown(true);
}

function welcome(meter) {
    const [title, what] = about(model?.info);
    return h('div', { class: 'welcome' },
        h('h2', {}, title),
        h('p', {}, what),
        loading ? h('div', { class: 'loading' }, meter()) :
            model && h('div', { class: 'examples' }, EXAMPLES.map((text) => h('button', { type: 'button', onclick: () => ask(text) }, text))));
}

function drawConversation() {
    view = null;
    lastReply = null;
    $('transcript').replaceChildren();
    for (const message of conversation.messages) {
        if (message.role === 'user') $('transcript').append(questionTurn(message.content));
        else $('transcript').append(makeView(message, null).element);
    }
    drawBelow();
    scrollDown(true);
}

function questionTurn(text) {
    return h('div', { class: 'turn user' }, h('p', {}, h('span', { class: 'visually-hidden' }, 'You: '), text));
}

function makeView(message, actions) {
    return new ReplyView({ message, thresholds: thresholds(model?.info.thresholds), hasSignals: Boolean(actions && model?.info.signals.length), actions });
}

function scrollDown(force) {
    const box = $('transcript');
    if (force || box.scrollHeight - box.scrollTop - box.clientHeight < 160) box.scrollTop = box.scrollHeight;
}

function promptMessages() {
    const system = settings.system.trim() ? [{ role: 'system', content: settings.system }] : [];
    return [...system, ...conversation.messages.map(({ role, content, reasoning }) => ({ role, content, reasoning }))];
}

async function ask(text) {
    if (!model || reply || !text.trim()) return;
    showView('chat');
    if (!conversation.messages.length) {
        $('transcript').replaceChildren();
        conversation.title = text.trim().slice(0, 80);
    }
    view?.allowKeepThinking(false);
    conversation.messages.push({ role: 'user', content: text.trim() });
    $('transcript').append(questionTurn(text.trim()));
    const messages = promptMessages();
    const message = { role: 'assistant', content: '' };
    conversation.messages.push(message);
    view = makeView(message, { answerNow: () => reply?.answerNow(), keepThinking });
    $('transcript').append(view.element);
    scrollDown(true);
    await follow(model.chat(messages, generateOptions()));
}

// Shows a reply until it ends.
async function follow(next) {
    reply = lastReply = next;
    const shown = view;
    const own = (answered = conversation);
    setBusy(true);
    keep(soFar(own, shown.message));
    let kept = performance.now();
    try {
        for await (const event of next) {
            shown.handle(event);
            scrollDown(false);
            if (performance.now() - kept < KEEP_EVERY_MS || answered !== own) continue;
            store.saveConversation(soFar(own, shown.message)).catch(() => {}); // the end is kept again, and told then
            kept = performance.now();
        }
        shown.allowKeepThinking(shown === view);
        scrollDown(false);
        requestAnimationFrame(() => scrollDown(false));
    } catch (error) {
        shown.fail(error);
        lastReply = null;
    } finally {
        reply = null;
        setBusy(false);
        globalThis.specexitMetrics = next.metrics; // for measuring from outside
        if (answered === own) await keep(own); // it was not deleted
    }
}

async function keepThinking() {
    const target = reply ?? lastReply;
    const shown = view;
    if (!target || !shown?.thinkLonger) return;
    shown.allowKeepThinking(false); // asked once, it is on its way
    try {
        const next = await target.keepThinking();
        if (next === target) return;
        if (shown === view) await follow(next);
        else await next.stop();
    } catch (error) {
        shown.allowKeepThinking(shown === view);
        showNotice(error.message);
    }
}

async function stopReply() {
    await reply?.stop();
}

function setBusy(busy) {
    $('send').textContent = busy ? 'Stop' : 'Send';
    $('send').classList.toggle('primary', !busy);
    $('send').classList.toggle('secondary', busy);
    $('send').disabled = !model && !busy;
    document.documentElement.dataset.busy = busy;
}

// A conversation as it is kept while `message` is being written: the page may be closed at any time.
function soFar(one, message) {
    return { ...one, messages: one.messages.map((each) => (each === message ? { ...each, ended: 'open' } : each)) };
}

async function keep(one) {
    try {
        await store.saveConversation(one);
        await drawSidebar();
    } catch (error) {
        console.warn('specexit: the conversation could not be kept', error);
    }
}

// ---- Sidebar -----------------------------------------------------------------------------------------------------

async function drawSidebar() {
    const all = await store.listConversations();
    $('conversations').replaceChildren(...all.map((one) =>
        h('li', { class: one.id === conversation.id ? 'current' : null },
            h('button', { type: 'button', class: 'open', title: one.title, 'aria-current': one.id === conversation.id ? 'true' : null, onclick: () => openConversation(one) }, one.title),
            h('button', { type: 'button', class: 'delete', 'aria-label': `Delete “${one.title}”`, onclick: () => removeConversation(one) }, '×'))));
}

async function openConversation(one) {
    showView('chat');
    setMenu(false);
    if (one.id === conversation.id) return;
    await stopReply();
    early = '';
    conversation = one.id === answered?.id ? answered : one; // what is stored may lack the end of its last reply
    drawConversation();
    await drawSidebar();
}

async function startConversation() {
    await openConversation(store.newConversation());
    $('question').focus();
}

function removeConversation(one) {
    const dialog = openDialog('Delete this conversation?', [
        h('p', {}, `“${one.title}” is only kept in this browser.`),
        h('div', { class: 'row' },
            h('button', { type: 'button', class: 'primary', onclick: remove }, 'Delete'),
            h('button', { type: 'button', class: 'secondary', onclick: () => dialog.close() }, 'Keep')),
    ]);
    async function remove() {
        dialog.close();
        if (one.id === answered?.id) answered = null;
        await store.deleteConversation(one.id);
        if (one.id === conversation.id) await startConversation();
        else await drawSidebar();
    }
}

async function exportAll() {
    const url = URL.createObjectURL(await store.exportConversations());
    h('a', { href: url, download: 'specexit-conversations.json' }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
}

async function importFile(file) {
    try {
        const { count, parts } = await store.importConversations(file);
        announce(`${count} conversations imported.`);
        if (parts) showNotice(`Left out of ${file.name}: ${parts} ${parts === 1 ? 'part that is' : 'parts that are'} no text.`);
        await drawSidebar();
    } catch (error) {
        showNotice(error.message);
    }
}

// ---- Views and input ---------------------------------------------------------------------------------------------

function showView(name) {
    for (const one of ['chat', 'race']) {
        $(one).hidden = one !== name;
        $(`view-${one}`).setAttribute('aria-pressed', one === name);
    }
}

function setMenu(open) {
    $('sidebar').classList.toggle('open', open);
    $('menu').setAttribute('aria-expanded', open);
}

function growQuestion() {
    const box = $('question');
    box.style.height = 'auto';
    box.style.height = `${box.scrollHeight + 2}px`;
}

function submitQuestion() {
    if (reply) {
        stopReply();
        return;
    }
    const text = $('question').value;
    if (!text.trim() || early || !(model || loading)) return; // one waits: the next stays in the box
    $('question').value = '';
    growQuestion();
    if (model) {
        ask(text);
    } else {
        early = text;
        drawBelow();
    }
}

function onKey(event) {
    if (event.key === 'Escape' && !document.querySelector('dialog[open]')) {
        if ($('sidebar').classList.contains('open')) setMenu(false);
        else stopReply();
    }
    if (!event.altKey || event.ctrlKey || event.metaKey) return;
    const action = { KeyA: () => reply?.answerNow(), KeyT: keepThinking, KeyN: startConversation }[event.code];
    if (!action) return;
    event.preventDefault();
    action();
}

function acceptDrops() {
    let depth = 0;
    const show = (shown) => ($('drop').hidden = !shown);
    addEventListener('dragenter', (event) => {
        if (event.dataTransfer?.types.includes('Files')) show(++depth > 0);
    });
    addEventListener('dragleave', () => show((depth = Math.max(0, depth - 1)) > 0));
    addEventListener('dragover', (event) => event.preventDefault());
    addEventListener('drop', (event) => {
        event.preventDefault();
        show((depth = 0) > 0);
        const files = event.dataTransfer?.files;
        if (files?.length === 1 && /\.json$/i.test(files[0].name)) importFile(files[0]);
        else if (files?.length) loadModel(sortFiles(files));
    });
}

function connect() {
    $('composer').onsubmit = (event) => {
        event.preventDefault();
        submitQuestion();
    };
    $('question').oninput = growQuestion;
    $('question').onkeydown = (event) => {
        if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
        event.preventDefault();
        if (!reply) submitQuestion();
    };
    $('view-chat').onclick = () => showView('chat');
    $('view-race').onclick = () => showView('race');
    $('settings').onclick = () => openSettings(() => model);
    $('model').onclick = () => openModels({ info: model?.info ?? null, load: loadModel });
    $('menu').onclick = () => setMenu(!$('sidebar').classList.contains('open'));
    $('new-chat').onclick = startConversation;
    $('export').onclick = exportAll;
    $('import').onchange = () => {
        if ($('import').files[0]) importFile($('import').files[0]);
        $('import').value = '';
    };
    addEventListener('keydown', onKey);
    acceptDrops();
}

async function start() {
    applyTheme();
    connect();
    new Race($('race'), { model: () => model, options: generateOptions, example: EXAMPLES[0] });
    drawSidebar().catch((error) => console.warn('specexit: no database', error));
    $('question').focus();
    await loadModel({ target: 'bundled' });
    // After the first load, so that both do not compete for the network and the disk.
    navigator.serviceWorker?.register('sw.js').catch((error) => console.warn('specexit: no offline copy', error));
}

globalThis.specexit = { get model() { return model; } };
start();
