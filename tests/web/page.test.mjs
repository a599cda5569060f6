// The page over the scripted engine (fake_engine.c): everything of it that does not depend on what a GPU computes.
// Run by CTest with SX_SITE (a site built with --fake) and SX_NPM_MODULES; screenshots go to SX_SCREENSHOTS if set.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { readFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { serve } from '../../web/serve.mjs';
import { axePath, idle, launch, openPage, PATIENCE, ready, still } from './browser.mjs';

const site = process.env.SX_SITE;
let server;
let url;
let browser;

before(async () => {
    ({ server, url } = await serve(site));
    browser = await launch({ gpu: false });
});

after(async () => {
    await browser?.close();
    server?.close();
});

// Each test has its own storage. `work` gets a page with the model ready; nothing may have gone wrong when it ends.
function pageTest(name, work, { context: options = {}, expected = [] } = {}) {
    test(name, { timeout: 2 * PATIENCE }, async () => {
        const context = await browser.newContext({ viewport: { width: 1180, height: 820 }, reducedMotion: 'reduce', ...options });
        try {
            const page = await openPage(context, url);
            await ready(page);
            await work(page, context);
            assert.deepEqual(page.problems.filter((problem) => !expected.some((pattern) => pattern.test(problem))), []);
        } finally {
            await context.close();
        }
    });
}

async function shoot(page, name) {
    if (!process.env.SX_SCREENSHOTS) return;
    mkdirSync(process.env.SX_SCREENSHOTS, { recursive: true });
    await page.screenshot({ path: join(process.env.SX_SCREENSHOTS, `${name}.png`) });
}

async function askExample(page) {
    await page.click('.examples button');
    await page.waitForSelector('.thinking:not([hidden])');
}

// Opens the page anew with a policy of the settings.
async function policy(page, value) {
    await page.evaluate((chosen) => localStorage.setItem('specexit-settings', JSON.stringify({ policy: chosen })), value);
    await page.reload();
    await ready(page);
}

pageTest('an early exit is seen, marked and explained', async (page) => {
    await shoot(page, 'welcome');
    await askExample(page);
    await page.waitForSelector('.exit-mark:not([hidden])');
    assert.equal(await page.getAttribute('.exit-mark', 'data-reason'), 'signals');
    assert.match(await page.textContent('.exit-mark'), /^Left early: 8\d % confident, \d+ % done, about \d+ tokens left\.$/);
    await idle(page);
    assert.match(await page.textContent('.answer'), /The answer is 22/);
    assert.equal(await page.locator('.answer strong').textContent(), '22');
    assert.equal(await page.locator('.answer math').count(), 1);
    assert.equal(await page.locator('.plot .exit-line[visibility=visible]').count(), 3);
    assert.match(await page.textContent('.facts'), /114 tokens/);
    await shoot(page, 'answered');
});

pageTest('a question asked while the model is being loaded is answered when it is there', async (page) => {
    await page.addInitScript(() => addEventListener('DOMContentLoaded', () => {
        document.getElementById('question').value = 'What is 2 plus 3?';
        document.getElementById('composer').requestSubmit();
        globalThis.seenWaiting = document.querySelector('.turn.user')?.textContent;
        document.getElementById('question').value = 'And 5 plus 7?'; // one waits already
        document.getElementById('composer').requestSubmit();
    }));
    await page.reload();
    await page.waitForFunction(() => document.querySelector('.answer')?.textContent.includes('The answer is'));
    await idle(page);
    assert.match(await page.evaluate(() => globalThis.seenWaiting), /What is 2 plus 3\?/);
    assert.equal(await page.locator('.turn.user').count(), 1);
    assert.equal(await page.inputValue('#question'), 'And 5 plus 7?');
});

pageTest('a question in a conversation that goes on waits for the next model in sight', async (page) => {
    await askExample(page);
    await idle(page);
    const seen = await page.evaluate(async () => {
        const turns = () => [...document.querySelectorAll('.turn.user')].map(({ textContent }) => textContent);
        document.getElementById('model').click();
        [...document.querySelectorAll('dialog button')].find(({ textContent }) => /bundled|comes with/.test(textContent)).click();
        document.getElementById('question').value = 'What is 2 plus 3?';
        document.getElementById('composer').requestSubmit();
        return { turns: turns(), meters: document.querySelectorAll('.turn.loading .meter').length };
    });
    assert.equal(seen.turns.length, 2);
    assert.match(seen.turns[1], /What is 2 plus 3\?/);
    assert.equal(seen.meters, 1);
    await page.waitForFunction(() => document.querySelectorAll('.answer').length === 2 && document.documentElement.dataset.busy === 'false');
    assert.equal(await page.locator('.turn.user').count(), 2);
    assert.equal(await page.locator('.turn.loading').count(), 0);
});

pageTest('a reply that is cut off by closing the page is there when it is opened again', async (page) => {
    await policy(page, 'none');
    await askExample(page);
    await page.waitForSelector('.conversations li');
    await page.evaluate(async () => {
        const { listConversations } = await import('/page/store.js');
        while (!(await listConversations())[0].messages[1].reasoning) await new Promise((later) => setTimeout(later, 20));
    });
    assert.equal(await page.getAttribute('html', 'data-busy'), 'true');
    const sofar = (await page.textContent('.thoughts')).length;
    await page.reload();
    await ready(page);
    await page.click('.conversations .open');
    assert.match(await page.textContent('.turn.user'), /Tom has 7 apples/);
    assert.match(await page.textContent('.reply-error'), /closed before the reply ended/);
    const kept = (await page.textContent('.thoughts')).length;
    assert.ok(kept > 0 && kept <= sofar, `${kept} of ${sofar}`);
    await page.fill('#question', 'What is 2 plus 3?');
    await page.press('#question', 'Enter');
    await page.waitForFunction(() => document.querySelectorAll('.answer').length === 2);
    await idle(page);
});

pageTest('answer now ends the thinking', async (page) => {
    await page.evaluate(() => localStorage.setItem('specexit-settings', JSON.stringify({ policy: 'none' })));
    await page.reload();
    await ready(page);
    await askExample(page);
    await shoot(page, 'thinking');
    await page.click('text=Answer now');
    await page.waitForSelector('.exit-mark[data-reason=answer-now]');
    await idle(page);
    assert.match(await page.textContent('.answer'), /The answer is 22/);
});

pageTest('think longer goes on after the reply is done, and takes the answer back', async (page) => {
    await askExample(page);
    await idle(page);
    const before = (await page.textContent('.thoughts')).length;
    await page.click('text=Think longer');
    await page.waitForFunction((length) => document.querySelector('.thoughts').textContent.length > length, before);
    await idle(page);
    assert.match(await page.textContent('.exit-mark'), /finished thinking by itself/);
    assert.equal((await page.textContent('.answer')).match(/The answer is/g).length, 1);
});

pageTest('think longer works while the answer is being written', async (page) => {
    await askExample(page);
    await page.waitForFunction(() => document.querySelector('.answer').textContent.length > 3);
    await page.keyboard.press('Alt+t');
    await page.waitForSelector('.exit-mark[data-reason=natural]');
    await idle(page);
    assert.equal((await page.textContent('.answer')).match(/The answer is/g).length, 1);
});

pageTest('everything works from the keyboard', async (page) => {
    await policy(page, 'none');
    await page.keyboard.type('What is 2 plus 3?'); // the question has the focus
    await page.keyboard.press('Enter');
    await page.waitForSelector('.thinking:not([hidden])');
    await page.keyboard.press('Alt+a');
    await page.waitForSelector('.exit-mark[data-reason=answer-now]');
    await idle(page);
    await page.keyboard.type('And again');
    await page.keyboard.press('Enter');
    await page.waitForFunction(() => document.documentElement.dataset.busy === 'true');
    await page.keyboard.press('Escape');
    await idle(page);
    await page.keyboard.press('Alt+n');
    await page.waitForSelector('.welcome');
    const reached = new Set();
    for (let i = 0; i < 20; ++i) {
        await page.keyboard.press('Tab');
        reached.add(await page.evaluate(() => document.activeElement.id || document.activeElement.className));
    }
    for (const id of ['view-race', 'model', 'settings', 'new-chat', 'export', 'import']) assert.ok(reached.has(id), `Tab does not reach #${id}`);
});

pageTest('conversations are kept, exported and imported', async (page) => {
    await askExample(page);
    await idle(page);
    const [download] = await Promise.all([page.waitForEvent('download'), page.click('#export')]);
    const path = await download.path();
    await page.reload();
    await ready(page);
    await page.click('.conversations .open');
    assert.match(await page.textContent('.answer'), /The answer is 22/);
    assert.match(await page.textContent('.exit-mark'), /Left early/);
    await page.click('.conversations .delete');
    await page.click('dialog .primary');
    await page.waitForFunction(() => !document.querySelector('.conversations li'));
    await page.setInputFiles('#import', { name: 'kept.json', mimeType: 'application/json', buffer: readFileSync(path) });
    await page.waitForSelector('.conversations li');
    await page.setInputFiles('#import', { name: 'other.json', mimeType: 'application/json', buffer: Buffer.from('{"a":1}') });
    await page.waitForSelector('#notice:not([hidden])');
    assert.match(await page.textContent('#notice'), /other\.json: this is not a file of exported conversations/);
});

pageTest('contents in parts are imported, and a message without text is named', async (page) => {
    const give = (name, contents) => page.setInputFiles('#import', { name, mimeType: 'application/json', buffer: Buffer.from(JSON.stringify({
        format: 'specexit-conversations-1',
        conversations: [{ title: name, messages: contents.map((content, i) => ({ role: i % 2 ? 'assistant' : 'user', content })) }],
    })) });
    const image = { type: 'image_url', image_url: { url: 'data:' } };
    await give('parts.json', [[{ type: 'text', text: 'Look' }, image, 'at it', { type: 'input_audio', text: 'no' }], [{ type: 'output_text', text: 'A cat' }]]);
    await page.click('.conversations .open');
    assert.match(await page.textContent('.turn.user'), /Look\s+at it$/);
    assert.match(await page.textContent('.answer'), /^\s*A cat\s*$/);
    assert.match(await page.textContent('#notice'), /Left out of parts\.json: 2 parts that are no text\./);
    await give('images.json', ['Look', 'Where?', [image]]);
    await page.waitForFunction(() => document.getElementById('notice').textContent.includes('images.json'));
    assert.match(await page.textContent('#notice'), /images\.json: message 3 of conversation 1 has no text/);
    assert.equal(await page.locator('.conversations li').count(), 1);
});

pageTest('a reply that another conversation cuts off is kept, unless its own was deleted', async (page) => {
    await policy(page, 'none');
    await askExample(page);
    await page.keyboard.press('Alt+n');
    await page.waitForSelector('.conversations .open');
    await page.waitForSelector('.welcome');
    await page.click('.conversations .open');
    assert.match(await page.textContent('.facts'), /^stopped/);
    await page.fill('#question', 'And then?');
    await page.press('#question', 'Enter');
    await page.waitForFunction(() => document.documentElement.dataset.busy === 'true');
    await page.click('.conversations .delete');
    await page.click('dialog .primary');
    await page.waitForSelector('.welcome');
    await idle(page);
    await page.reload();
    await ready(page);
    assert.equal(await page.locator('.conversations li').count(), 0);
});

pageTest('think longer is nothing while the model thinks, and once what is pressed twice', async (page) => {
    await policy(page, 'none');
    await askExample(page);
    await page.keyboard.press('Alt+t');
    await page.keyboard.press('Alt+a');
    await page.waitForSelector('.exit-mark[data-reason=answer-now]');
    await idle(page);
    await page.keyboard.press('Alt+t');
    await page.keyboard.press('Alt+t');
    await page.waitForSelector('.exit-mark[data-reason=natural]');
    await idle(page);
    assert.equal(await page.isVisible('#notice'), false);
    assert.equal(await page.isVisible('.reply-error'), false);
    assert.equal((await page.textContent('.thoughts')).match(/I need to work out/g).length, 1);
    assert.equal((await page.textContent('.answer')).match(/The answer is/g).length, 1);
    assert.doesNotMatch(await page.textContent('.thoughts'), /But wait/); // the scripted engine's further thinking
});

pageTest('how a reply ended is said, also when it is read again', async (page) => {
    await policy(page, 'none');
    await askExample(page);
    await page.keyboard.press('Escape');
    await idle(page);
    await page.click('#settings');
    await page.fill('input[name=maximumTokens]', '150');
    await page.press('input[name=maximumTokens]', 'Tab');
    await page.keyboard.press('Escape');
    await page.fill('#question', 'To its largest length');
    await page.press('#question', 'Enter');
    await page.waitForFunction(() => document.querySelectorAll('.turn.assistant').length === 2);
    await idle(page);
    const check = async () => {
        const [stopped, longest] = [page.locator('.turn.assistant').nth(0), page.locator('.turn.assistant').nth(1)];
        assert.equal(await stopped.locator('.fold').textContent(), 'Thought');
        assert.match(await stopped.locator('.count').textContent(), /^\d+ tokens$/);
        assert.match(await stopped.locator('.facts').textContent(), /^stopped\d+ tokens\d+ of them thinking/);
        assert.equal(await stopped.locator('.reply-error').isVisible(), false);
        assert.equal(await longest.locator('.reply-error').textContent(), 'The reply reached its largest length.');
        assert.match(await longest.locator('.facts').textContent(), /^150 tokens/);
    };
    await check();
    const [download] = await Promise.all([page.waitForEvent('download'), page.click('#export')]);
    await page.reload();
    await ready(page);
    await page.click('.conversations .open');
    await check();
    const { format, conversations } = JSON.parse(readFileSync(await download.path(), 'utf8'));
    conversations[0].messages.push({ role: 'assistant', content: 'x', ended: 'looped' },
        { role: 'assistant', content: '', ended: 'stopped', stats: { tokens: 0, acceptanceLength: 3 } },
        { role: 'assistant', content: 'x', ended: 'constructor' });
    conversations[0].updated += 1000;
    await page.setInputFiles('#import', { name: 'ended.json', mimeType: 'application/json', buffer: Buffer.from(JSON.stringify({ format, conversations })) });
    await page.waitForFunction(() => document.querySelectorAll('.conversations li').length === 2);
    await page.locator('.conversations .open').first().click();
    await page.waitForFunction(() => document.querySelectorAll('.turn.assistant').length === 5);
    await check();
    const last = (part) => page.$$eval(`.turn.assistant ${part}`, (parts) => parts.slice(2).map((one) => (one.hidden ? '' : one.textContent)));
    assert.deepEqual(await last('.reply-error'), ['The reply repeated itself and was ended.', '', '']);
    assert.deepEqual(await last('.facts'), ['', 'stopped', '']);
});

pageTest('a reply that failed says so when it is read again', async (page) => {
    await page.fill('#question', 'x'.repeat(3001)); // more than the scripted engine takes
    await page.press('#question', 'Enter');
    await page.waitForSelector('.conversations .open');
    assert.match(await page.textContent('.reply-error'), /does not fit the context/);
    await page.reload();
    await ready(page);
    await page.click('.conversations .open');
    assert.equal(await page.textContent('.reply-error'), 'The reply failed.');
});

pageTest('a long conversation scrolls by itself, not with the page', async (page) => {
    const messages = Array.from({ length: 80 }, (_, i) => ({ role: i % 2 ? 'assistant' : 'user', content: `Line ${i}` }));
    const file = { format: 'specexit-conversations-1', conversations: [{ title: 'long', messages }] };
    await page.setInputFiles('#import', { name: 'long.json', mimeType: 'application/json', buffer: Buffer.from(JSON.stringify(file)) });
    await page.click('.conversations .open');
    const heights = (selector) => page.$eval(selector, (box) => [box.scrollHeight, box.clientHeight]);
    const [all, seen] = await heights('#transcript');
    assert.ok(all > 2 * seen, `the transcript holds ${all} pixels and shows ${seen}`);
    const [document, shown] = await heights('html');
    assert.equal(document, shown);
});

pageTest('a bad file is refused with its name, and the bundled model comes back', async (page) => {
    await page.click('#model');
    await page.setInputFiles('input[name=model-files]', { name: 'notes.gguf', mimeType: 'application/octet-stream', buffer: Buffer.from('not a model') });
    await page.waitForSelector('#notice:not([hidden])');
    assert.match(await page.textContent('#notice'), /notes\.gguf: this is not a GGUF file/);
    await page.click('#view-race');
    await page.click('.race-form button');
    assert.match(await page.textContent('.race-result'), /There is no model yet/);
    await page.click('#view-chat');
    await page.click('text=Use the bundled model');
    await ready(page);
    await askExample(page);
    await idle(page);
});

pageTest('no address is asked for before there is one', async (page) => {
    await page.click('#model');
    await page.click('text=Check');
    assert.equal(await page.$eval('input[name=target-url]', (input) => input.matches(':focus') && input.validity.valueMissing), true);
    assert.equal(await page.textContent('.plan'), '');
});

pageTest('a GPU without memory is said while the model is being loaded', async (page) => {
    const file = Buffer.alloc(666);
    file.write('GGUF');
    await page.click('#model');
    await page.setInputFiles('input[name=model-files]', { name: 'greedy.gguf', mimeType: 'application/octet-stream', buffer: file });
    await page.waitForSelector('#notice:not([hidden])');
    assert.match(await page.textContent('#notice'), /ran out of memory .* use a smaller model/);
    assert.equal(await page.textContent('#model-name'), 'No model');
    await shoot(page, 'error');
    await page.click('text=Use the bundled model');
    await ready(page);
});

test('without WebGPU the page says what to do, by browser', { timeout: 2 * PATIENCE }, async () => {
    const agents = {
        'Chrome and Chromium': 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36',
        Firefox: 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
        Safari: 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15',
    };
    for (const [name, userAgent] of Object.entries(agents)) {
        const context = await browser.newContext({ userAgent, viewport: { width: 1180, height: 820 }, reducedMotion: 'reduce' });
        // The scripted site has a GPU everywhere; this one worker says what the real one says without WebGPU.
        await context.route('**/worker/gpu.js', (route) => route.fulfill({ contentType: 'text/javascript', headers: { 'Cross-Origin-Embedder-Policy': 'require-corp' }, body:
            `import { SpecexitError } from './error.js';
             export async function openGpu() { throw new SpecexitError('no-device', 'This browser has no WebGPU.'); }
             export const kernelsFor = async () => [], moduleFields = () => ({}), describeGpu = () => ({}), canAllocate = async () => false;` }));
        const page = await openPage(context, url);
        await page.waitForSelector('#no-webgpu');
        assert.match(await page.textContent('#no-webgpu'), /This browser has no WebGPU/);
        assert.equal(await page.locator('#no-webgpu h3').first().textContent(), name);
        assert.equal(await page.isDisabled('#send'), true);
        await shoot(page, `no-webgpu-${name.split(' ')[0].toLowerCase()}`);
        assert.deepEqual(page.problems, []);
        await context.close();
    }
});

pageTest('a dropped file is loaded', async (page) => {
    await page.evaluate(() => {
        const transfer = new DataTransfer();
        transfer.items.add(new File(['GGUF and more'], 'dropped.gguf'));
        dispatchEvent(new DragEvent('dragenter', { dataTransfer: transfer }));
        dispatchEvent(new DragEvent('drop', { dataTransfer: transfer, cancelable: true }));
    });
    await page.waitForFunction(() => globalThis.specexit.model?.info.weightBytes === 13);
    await ready(page);
    assert.equal(await page.isVisible('#drop'), false);
});

pageTest('a lost device is said, replaced, and the reply goes on', async (page) => {
    await policy(page, 'none');
    await askExample(page);
    await page.evaluate(() => globalThis.specexit.model.loseDevice());
    await page.waitForSelector('#notice:not([hidden])');
    assert.match(await page.textContent('#notice'), /The GPU was reset/);
    await page.waitForFunction(() => document.documentElement.dataset.device === 'restored');
    await ready(page);
    await page.click('text=Answer now');
    await idle(page);
    assert.match(await page.textContent('.answer'), /The answer is 22/);
});

pageTest('what is asked while the device comes back waits for it, and fails when it is gone', async (page) => {
    const result = await page.evaluate(async () => {
        const { load } = await import('/specexit.js');
        const model = await load();
        let came;
        model.onDevice = ({ state }) => (state === 'restored' || state === 'gone') && came(state);
        const lose = () => new Promise((resolve) => {
            came = resolve;
            model.loseDevice();
        });
        const ask = async () => {
            try {
                for await (const event of model.chat([{ role: 'user', content: 'x' }], { maximumTokens: 5 })) if (event.kind === 'done') return event.reason;
            } catch (error) {
                return error.message;
            }
        };
        const ends = [];
        for (let i = 0; i < 3; ++i) ends.push(...(await Promise.all([lose(), ask()])));
        ends.push(await lose(), await ask());
        await model.close();
        return ends;
    });
    assert.deepEqual(result, ['restored', 'maximum', 'restored', 'maximum', 'restored', 'maximum', 'gone', 'No model is loaded.']);
});

pageTest('thinking goes on after the device was lost behind the reply', async (page) => {
    await askExample(page);
    await idle(page);
    const before = (await page.textContent('.thoughts')).length;
    await page.evaluate(() => globalThis.specexit.model.loseDevice());
    await page.waitForFunction(() => document.documentElement.dataset.device === 'restored');
    await page.click('text=Think longer');
    await page.waitForSelector('.exit-mark[data-reason=natural]');
    await idle(page);
    assert.ok((await page.textContent('.thoughts')).length > before);
    assert.equal((await page.textContent('.answer')).match(/The answer is/g).length, 1);
});

pageTest('the page works without a network after the first visit', async (page, context) => {
    await page.waitForFunction(() => navigator.serviceWorker.controller);
    await context.setOffline(true);
    await page.reload();
    await ready(page);
    await askExample(page);
    await idle(page);
    assert.match(await page.textContent('.answer'), /The answer is 22/);
});

pageTest('the race runs three lanes and says who won', async (page) => {
    await page.click('#view-race');
    await page.click('.race-form button');
    await page.waitForSelector('.race-result:not(:empty)');
    assert.match(await page.textContent('.race-result'), /SpecExit answered \d\.\d times sooner than plain decoding, with \d+ % fewer tokens/);
    for (const lane of ['plain', 'speculative', 'specexit']) {
        const width = async (part) => parseFloat(await page.locator(`[data-lane=${lane}] .${part}`).evaluate((bar) => bar.style.width));
        assert.ok((await width('think')) > (await width('tell')), `${lane}: most of the time is thinking`);
    }
    await shoot(page, 'race');
});

pageTest('settings reach the engine', async (page) => {
    await page.click('#settings');
    await page.fill('input[name=softBudget]', '20');
    await page.press('input[name=softBudget]', 'Tab');
    await page.selectOption('select[name=policy]', 'none');
    await shoot(page, 'settings');
    await page.keyboard.press('Escape');
    await askExample(page);
    await page.waitForSelector('.exit-mark[data-reason=soft-budget]');
    await idle(page);
});

pageTest('a profile gives a scale of how long to think', async (page) => {
    const rule = (confidence, tokens) => ({ signals: ['confidence'], confidence, accuracy: 0.9 + tokens / 1000, thinking_tokens: tokens });
    const file = (given) => ({ name: 'arithmetic.json', mimeType: 'application/json', buffer: Buffer.from(JSON.stringify(given)) });
    const profile = { model: 'm', full_accuracy: 1, full_thinking_tokens: 200, levels: [rule(0.125, 10), rule(0.875, 60)] };
    const options = () => page.evaluate(async () => {
        const { generateOptions, thresholds } = await import('/page/settings.js');
        return { ...generateOptions(), drawn: thresholds().confidence };
    });
    await page.click('#settings');
    await page.setInputFiles('input[name=profile]', file({ ...profile, model_family: '00000000000000aa' }));
    await page.waitForSelector('.profile [role=alert]');
    assert.match(await page.textContent('.profile [role=alert]'), /another model/);
    assert.equal(await page.locator('input[name=effort]').count(), 0);
    await page.setInputFiles('input[name=profile]', file(profile));
    await page.waitForSelector('input[name=effort]');
    assert.match(await page.textContent('#effort-text'), /^Level 2 of 2: about 60 tokens of thinking, 96 % right$/);
    await page.focus('input[name=effort]');
    await page.keyboard.press('Home');
    assert.match(await page.textContent('#effort-text'), /^Level 1 of 2: about 10 tokens/);
    await shoot(page, 'profile');
    assert.deepEqual((({ policy, signals, confidence, drawn }) => ({ policy, signals, confidence, drawn }))(await options()),
        { policy: 'signals', signals: 1, confidence: 0.125, drawn: 0.125 });
    await page.reload();
    await ready(page);
    assert.equal((await options()).confidence, 0.125);
    await page.click('#settings');
    await page.focus('input[name=effort]');
    await page.keyboard.press('End');
    assert.match(await page.textContent('#effort-text'), /^As long as it wants: about 200 tokens/);
    assert.equal((await options()).policy, 'none');
    await page.click('text=Forget it');
    assert.equal(await page.locator('input[name=effort]').count(), 0);
    assert.equal((await options()).policy, 'auto');
});

pageTest('what a model writes cannot become code', async (page) => {
    const html = await page.evaluate(async () => {
        const { renderMarkdown } = await import('/page/markdown.js');
        const box = document.createElement('div');
        box.append(renderMarkdown('<img src=x onerror="globalThis.bad=1"><script>globalThis.bad=1</script>[a](javascript:alert(1)) <a href="https://x.y" onclick="bad()">b</a> $x^2$ costs $5 and $6'));
        return { html: box.innerHTML, bad: globalThis.bad ?? null, maths: box.querySelectorAll('math').length };
    });
    assert.equal(html.bad, null);
    assert.doesNotMatch(html.html, /<img|<script|javascript:|onclick/);
    assert.match(html.html, /rel="noopener noreferrer"/);
    assert.equal(html.maths, 1);
}, { expected: [/inline event handler/] }); // the policy's own complaint while the sanitiser looks at it

pageTest('OpenAI-style completions, whole and streamed', async (page) => {
    const { whole, streamed } = await page.evaluate(async () => {
        const { model } = globalThis.specexit;
        const messages = [{ role: 'user', content: [{ type: 'text', text: 'What is 2 plus 3?' }] }];
        const whole = await model.chat.completions.create({ messages, temperature: 0 });
        const streamed = [];
        for await (const chunk of await model.chat.completions.create({ messages, stream: true, max_tokens: 5, stream_options: { include_usage: true } })) streamed.push(chunk);
        return { whole, streamed };
    });
    assert.match(whole.choices[0].message.content, /The answer is/);
    assert.match(whole.choices[0].message.reasoning_content, /What is 2 plus 3\?/);
    assert.equal(whole.choices[0].finish_reason, 'stop');
    assert.equal(streamed[0].choices[0].delta.role, 'assistant');
    assert.equal(streamed.at(-2).choices[0].finish_reason, 'length');
    assert.equal(streamed.at(-1).usage.completion_tokens, 5);
});

pageTest('messages that cannot be read are refused by number, and the next are answered', async (page) => {
    const failures = await page.evaluate(async () => {
        const { model } = globalThis.specexit;
        const user = (content) => [{ role: 'user', content: 'Hello' }, { role: 'user', content }];
        const found = [];
        for (const messages of [undefined, [{ role: 'robot', content: 'x' }], [null], user(7), user([{ type: 'image_url', image_url: {} }]), user(null)]) {
            try {
                for await (const event of model.chat(messages)) if (event.kind === 'done') found.push(event.reason);
            } catch ({ name, code, message }) {
                found.push(`${name} ${code}: ${message}`);
            }
        }
        return found;
    });
    assert.deepEqual(failures, [
        'SpecexitError argument: Messages are a list of { role, content }.',
        'SpecexitError argument: messages[0]: the role "robot" is not system, user, assistant or tool.',
        'SpecexitError argument: messages[0]: the role undefined is not system, user, assistant or tool.',
        'SpecexitError argument: messages[1]: the content is a text, or a list of parts.',
        'SpecexitError unsupported: messages[1]: a part of type "image_url" cannot be read; only text can.',
        'end-of-turn',
    ]);
});

pageTest('aborting ends a reply, and a load', async (page) => {
    const result = await page.evaluate(async () => {
        const { model } = globalThis.specexit;
        const controller = new AbortController();
        let reason = null;
        for await (const event of model.chat([{ role: 'user', content: 'x' }], { policy: 'none', signal: controller.signal })) {
            if (event.kind === 'text') controller.abort();
            if (event.kind === 'done') reason = event.reason;
        }
        const { load } = await import('/specexit.js');
        const aborted = new AbortController();
        const failure = await load({ onProgress: () => aborted.abort(), signal: aborted.signal }).then(() => null, (error) => error.name);
        return { reason, failure };
    });
    assert.deepEqual(result, { reason: 'stopped', failure: 'AbortError' });
});

pageTest('closing a session or the model ends what runs, and fails what is asked of it later', async (page) => {
    const result = await page.evaluate(async () => {
        const { load } = await import('/specexit.js');
        const model = await load();
        const messages = [{ role: 'user', content: 'x' }];
        const failure = async (reply, onText = () => {}) => {
            try {
                for await (const event of reply) if (event.kind === 'text') onText();
                return null;
            } catch (error) {
                return error.name;
            }
        };
        const session = model.createSession();
        const failures = [await failure(session.chat(messages, { policy: 'none' }), () => session.close())];
        failures.push(await failure(model.chat(messages, { policy: 'none' }), () => model.close()), await failure(model.chat(messages)),
            await failure(model.createSession().chat(messages)), await model.tokens().then(() => null, (error) => error.name),
            await model.chat.completions.create({ messages }).then(() => null, (error) => error.name));
        return failures;
    });
    assert.deepEqual(result, Array(6).fill('AbortError'));
});

for (const [name, options] of [
    ['light', { colorScheme: 'light' }],
    ['dark', { colorScheme: 'dark' }],
    ['phone', { colorScheme: 'light', viewport: { width: 360, height: 740 } }],
]) {
    pageTest(`accessible and within its width: ${name}`, async (page) => {
        await page.addScriptTag({ path: axePath }).catch(() => {});
        await page.evaluate(readFileSync(axePath, 'utf8'));
        const check = async (state) => {
            const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
            assert.deepEqual(violations.map(({ id, nodes }) => `${id}: ${nodes[0].html.slice(0, 120)} ${nodes[0].any[0]?.message ?? ''}`), [], `axe, ${name}, ${state}`);
            const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
            assert.ok(overflow <= 0, `${state} is ${overflow} pixels too wide`);
            await shoot(page, `${name}-${state}`);
        };
        await check('welcome');
        await askExample(page);
        await idle(page);
        await check('answered');
        await page.click('#view-race');
        await check('race');
        for (const id of ['settings', 'model']) {
            await page.click(`#${id}`);
            await still(page);
            await check(id);
            await page.keyboard.press('Escape');
        }
    }, { context: { ...options, bypassCSP: true }, expected: [/Content Security Policy/] });
}
