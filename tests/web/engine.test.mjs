// The real engine on WebGPU in Chromium, on the bundled model, against the native command line program: the same
// tokens, early exit seen in the page, answer-now, think-longer, a dropped file, offline use, a lost device.
// Environment: SX_SITE (a site built by web/CMakeLists.txt), SX_CLI (the native program), SX_SWIFTSHADER_ICD.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { serve } from '../../web/serve.mjs';
import { idle, launch, openPage, PATIENCE } from './browser.mjs';
import { splitGguf } from './split_gguf.mjs';

const site = process.env.SX_SITE;
const models = { target: join(site, 'models/demo.gguf'), draft: join(site, 'models/demo-draft.gguf') };
const GOLDEN = join(import.meta.dirname, '../golden');
const QUESTION = 'Tom has 7 apples. Tom finds 5 more. Then there are 3 times as many. Tom gives 4. How many now?';
const SLOW = { timeout: 4 * PATIENCE };

let server;
let url;
let browser;
let context;
let page;
let elsewhere = /^$/; // the one other place that is asked

before(async () => {
    ({ server, url } = await serve(site));
    browser = await launch();
    context = await browser.newContext({ viewport: { width: 1180, height: 820 }, reducedMotion: 'reduce' });
    page = await openPage(context, url);
    await loaded();
}, SLOW);

after(async () => {
    await browser?.close();
    server?.close();
});

// Ready, or the reason why not.
async function loaded(on = page) {
    await on.waitForFunction(() => ['ready', 'failed'].includes(document.documentElement.dataset.model));
    if ((await on.getAttribute('html', 'data-model')) === 'failed') assert.fail(await on.textContent('body'));
}

async function shoot(name) {
    if (!process.env.SX_SCREENSHOTS) return;
    mkdirSync(process.env.SX_SCREENSHOTS, { recursive: true });
    await page.screenshot({ path: join(process.env.SX_SCREENSHOTS, `engine-${name}.png`) });
}

// Loading takes long on a software GPU, so the settings change under the page's feet instead of by a reload.
async function configure(changes) {
    await page.evaluate(async (given) => {
        const { settings } = await import('/page/settings.js');
        Object.assign(settings, { policy: 'auto', softBudget: 0, maximumTokens: 0 }, given);
    }, changes);
}

async function ask(text) {
    await page.keyboard.press('Alt+n');
    await page.waitForSelector('.welcome');
    await page.fill('#question', text);
    await page.press('#question', 'Enter');
}

// The reply's tokens and what ended it, from a session of its own.
function replyInPage(question, options) {
    return page.evaluate(async ([content, given]) => {
        const session = globalThis.specexit.model.createSession();
        const reply = session.chat([{ role: 'user', content }], given);
        const tokens = [];
        let exit = null;
        let stats = null;
        for await (const event of reply) {
            if (event.kind === 'text') tokens.push(...event.tokens);
            if (event.kind === 'exit') exit = event;
            if (event.kind === 'done') ({ stats } = event);
        }
        await session.close();
        return { tokens, reason: exit?.reason, stats, metrics: reply.metrics };
    }, [question, options]);
}

// One folder for all runs, so that pipelines are compiled once.
let nativeCache;
before(() => (nativeCache = mkdtempSync(join(tmpdir(), 'specexit-'))));
after(() => rmSync(nativeCache, { recursive: true, force: true }));

function replyOfProgram(question, parameters) {
    const output = execFileSync(process.env.SX_CLI, ['run', '--json', '--cache', nativeCache, '-m', models.target, '-d', models.draft, ...parameters, question], {
        env: { ...process.env, VK_ICD_FILENAMES: process.env.SX_SWIFTSHADER_ICD, VK_DRIVER_FILES: process.env.SX_SWIFTSHADER_ICD, VK_LOADER_LAYERS_DISABLE: '~implicit~' },
        maxBuffer: 2 ** 26, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'],
    });
    const events = output.trim().split('\n').map((line) => JSON.parse(line));
    return {
        tokens: events.filter(({ event }) => event === 'text').flatMap(({ tokens }) => tokens),
        reason: events.find(({ event }) => event === 'exit')?.reason,
        stats: events.at(-1).stats,
    };
}

test('the same tokens as the native program, greedy, with and without speculation and exit', SLOW, async (t) => {
    for (const [name, options, parameters] of [
        ['plain', { policy: 'none', draft: 'none' }, ['--policy', 'none', '--drafting', 'none']],
        ['speculative', { policy: 'none', draft: 'tree' }, ['--policy', 'none', '--drafting', 'tree']],
        ['default', {}, []],
    ]) {
        const inPage = await replyInPage(QUESTION, options);
        const native = replyOfProgram(QUESTION, parameters);
        assert.ok(native.tokens.length > 20, name);
        assert.deepEqual(inPage.tokens, native.tokens, name);
        assert.equal(inPage.reason, native.reason, name);
        const { metrics, stats } = inPage;
        const perCycle = (seconds, cycles) => ((1000 * seconds) / cycles).toFixed(1);
        t.diagnostic(`${name}: ${stats.tokens} tokens, ${stats.cycles} cycles of ${perCycle(stats.decodeSeconds, stats.cycles)} ms (native ${perCycle(native.stats.decode_seconds, native.stats.cycles)} ms), JavaScript and wasm ${metrics.hostMsMedian.toFixed(2)} ms a cycle (mean ${(metrics.hostMs / stats.cycles).toFixed(2)}), ${metrics.submits} submits, ${metrics.maps} maps`);
        // A cycle is one submit and one map; the prompt's tapes, the snapshot at an exit and a cycle that was submitted
        // ahead come on top.
        assert.ok(metrics.submits <= stats.cycles + 12, `${metrics.submits} submits for ${stats.cycles} cycles`);
        assert.ok(metrics.maps <= stats.cycles + 12, `${metrics.maps} maps for ${stats.cycles} cycles`);
    }
});

test('an early exit is seen in the page', SLOW, async () => {
    await configure({ policy: 'signals' });
    await ask(QUESTION);
    await page.waitForSelector('.exit-mark[data-reason=signals]');
    await idle(page);
    assert.match(await page.textContent('.exit-mark'), /\d+ % confident/);
    assert.equal(await page.locator('.plot .exit-line[visibility=visible]').count(), 3);
    assert.match(await page.textContent('.answer'), /The answer is \d+/);
    await shoot('exit');
});

test('the race is run and won', SLOW, async () => {
    await configure({});
    await page.click('#view-race');
    await page.click('.race-form button');
    await page.waitForSelector('.race-result:not(:empty)');
    assert.match(await page.textContent('.race-result'), /^SpecExit (answered|took)/);
    await page.waitForFunction(() => !document.querySelector('.race-form .primary').textContent.includes('Stop'));
    await shoot('race');
    await page.click('#view-chat');
});

test('answer now, then think longer', SLOW, async () => {
    await configure({ policy: 'none' });
    await ask(QUESTION);
    await page.waitForFunction(() => document.querySelector('.thoughts')?.textContent.length > 10);
    await shoot('thinking');
    await page.click('text=Answer now');
    await page.waitForSelector('.exit-mark[data-reason=answer-now]');
    await idle(page);
    assert.match(await page.textContent('.answer'), /The answer is \d+/);
    const length = (await page.textContent('.thoughts')).length;
    await page.click('text=Think longer');
    await page.waitForSelector('.exit-mark[data-reason=natural]');
    await idle(page);
    assert.ok((await page.textContent('.thoughts')).length > length);
    assert.equal((await page.textContent('.answer')).match(/The answer is/g).length, 1);
});

test('a lost device: the reply goes on with the same text', SLOW, async () => {
    await configure({ policy: 'none', maximumTokens: 90 });
    await ask(QUESTION);
    await idle(page);
    const whole = { thoughts: await page.textContent('.thoughts'), answer: await page.textContent('.answer') };
    await ask(QUESTION);
    await page.waitForFunction(() => document.querySelector('.thoughts')?.textContent.length > 40);
    await page.evaluate(() => globalThis.specexit.model.loseDevice());
    await page.waitForFunction(() => document.documentElement.dataset.device === 'restored');
    await idle(page);
    assert.deepEqual({ thoughts: await page.textContent('.thoughts'), answer: await page.textContent('.answer') }, whole);
});

test('how replies end: by themselves, at their largest length, stopped; and a question that does not fit', SLOW, async () => {
    const result = await page.evaluate(async () => {
        const { model } = globalThis.specexit;
        const messages = [{ role: 'user', content: 'What is 2 plus 3?' }];
        const ends = [];
        for (const options of [{}, { maximumTokens: 5 }]) {
            for await (const event of model.chat(messages, options)) if (event.kind === 'done') ends.push(event.reason);
        }
        const { choices } = await model.chat.completions.create({ messages, max_tokens: 5 });
        ends.push(choices[0].finish_reason);
        const controller = new AbortController();
        let reason = null;
        for await (const event of model.chat(messages, { policy: 'none', signal: controller.signal })) {
            if (event.kind === 'text') controller.abort();
            if (event.kind === 'done') ({ reason } = event);
        }
        let code = null;
        try {
            for await (const event of model.chat([{ role: 'user', content: '12345 '.repeat(4000) }])) void event;
        } catch (error) {
            ({ code } = error);
        }
        return { ends, reason, code };
    });
    assert.deepEqual(result, { ends: ['end-of-turn', 'maximum', 'length'], reason: 'stopped', code: 'context' });
});

test('files: a damaged one is refused by name, a good one is loaded', SLOW, async () => {
    const bytes = readFileSync(models.target);
    await page.click('#model');
    await page.setInputFiles('input[name=model-files]', { name: 'cut.gguf', mimeType: 'application/octet-stream', buffer: bytes.subarray(0, 100000) });
    await page.waitForSelector('#notice:not([hidden])');
    assert.match(await page.textContent('#notice'), /cut\.gguf/);
    await page.click('#model');
    await page.setInputFiles('input[name=model-files]', { name: 'whole.gguf', mimeType: 'application/octet-stream', buffer: bytes });
    await loaded();
    const { tokens } = await replyInPage(QUESTION, { policy: 'none', maximumTokens: 12 });
    assert.equal(tokens.length, 12);
});

test('a split model with a safetensors draft: picked, dropped, and from an address', SLOW, async () => {
    const files = [...splitGguf(readFileSync(join(GOLDEN, 'models/qwen3.gguf')), 'tiny', 3),
        ...['model.safetensors', 'config.json'].map((name) => ({ name, bytes: readFileSync(join(GOLDEN, 'drafts/specexit', name)) }))];
    const told = () => page.evaluate(() => {
        const { layers, hidden, signals, draftName, bitwiseLossless } = globalThis.specexit.model.info;
        return { layers, hidden, signals, draftName, bitwiseLossless };
    });
    const expected = { layers: 4, hidden: 64, signals: ['confidence', 'progress', 'remain'], draftName: 'model.safetensors', bitwiseLossless: true };
    await page.evaluate((list) => {
        const transfer = new DataTransfer();
        for (const { name, base64 } of list) transfer.items.add(new File([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], name));
        dispatchEvent(new DragEvent('drop', { dataTransfer: transfer, cancelable: true }));
    }, files.map(({ name, bytes }) => ({ name, base64: bytes.toString('base64') })));
    await page.waitForFunction(() => globalThis.specexit.model?.info.hidden === 64);
    assert.deepEqual(await told(), expected);
    const tokens = await page.evaluate(async () => {
        const { model } = globalThis.specexit;
        const tokens = [];
        for await (const event of model.complete('abc', { maximumTokens: 6, policy: 'none' })) if (event.kind === 'text') tokens.push(...event.tokens);
        return tokens;
    });
    assert.equal(tokens.length, 6);

    const remote = createServer((request, response) => {
        const file = files.find(({ name }) => request.url === `/${name}`);
        response.writeHead(file ? 200 : 404, { 'Access-Control-Allow-Origin': '*', 'Cross-Origin-Resource-Policy': 'cross-origin', 'Content-Length': file?.bytes.length ?? 0 }).end(file?.bytes);
    });
    await new Promise((done) => remote.listen(0, '127.0.0.1', done));
    const { port } = remote.address();
    const again = await page.evaluate(async (address) => {
        const { cache, load } = await import('/specexit.js');
        const model = await load({ target: `${address}/tiny-00001-of-00003.gguf`, draft: `${address}/model.safetensors` });
        const tokens = [];
        for await (const event of model.complete('abc', { maximumTokens: 6, policy: 'none' })) if (event.kind === 'text') tokens.push(...event.tokens);
        const { info } = model;
        await model.close();
        return { layers: info.layers, draftName: info.draftName, kept: (await cache.list()).map(({ name }) => name), tokens };
    }, `http://127.0.0.1:${port}`);
    remote.close();
    assert.deepEqual(again, { layers: 4, draftName: 'model.safetensors', kept: files.map(({ name }) => name).sort(), tokens });
    elsewhere = new RegExp(`^request: http://127\\.0\\.0\\.1:${port}/`);
});

test('packed activations on request: the native program’s tokens', SLOW, async () => {
    const reply = await page.evaluate(async (content) => {
        const { load } = await import('/specexit.js');
        const model = await load({ precision: 'fast' });
        const tokens = [];
        for await (const event of model.chat([{ role: 'user', content }], { policy: 'none', draft: 'chain', maximumTokens: 24 })) {
            if (event.kind === 'text') tokens.push(...event.tokens);
        }
        const { precision, bitwiseLossless } = model.info;
        await model.close();
        return { precision, bitwiseLossless, tokens };
    }, QUESTION);
    const { tokens } = replyOfProgram(QUESTION, ['--precision', 'fast', '--policy', 'none', '--drafting', 'none', '-n', '24']);
    assert.ok(tokens.length > 20);
    assert.deepEqual(reply, { precision: 'fast', bitwiseLossless: true, tokens });
});

test('a context larger than the GPU’s memory is refused, and the page goes on', SLOW, async () => {
    const failure = await page.evaluate(async () => {
        const { load } = await import('/specexit.js');
        try {
            await (await load({ target: 'bundled', context: 40000000 })).close();
        } catch (error) {
            return { code: error.code, message: error.message };
        }
        return null;
    });
    assert.equal(failure?.code, 'gpu-memory', JSON.stringify(failure));
    assert.match(failure.message, /smaller context/);
    await page.evaluate(() => document.querySelector('#model').click());
    await page.click('text=The model that comes with the page');
    await loaded();
    const { tokens } = await replyInPage(QUESTION, { policy: 'none', maximumTokens: 12 });
    assert.equal(tokens.length, 12);
});

test('offline after the first visit', SLOW, async () => {
    const selftest = () => page.evaluate(() => {
        const { bitwiseLossless, draftAcceptance } = globalThis.specexit.model.info;
        return { ran: performance.getEntriesByName('specexit:testing').length > 0, bitwiseLossless, draftAcceptance };
    });
    await page.waitForFunction(() => navigator.serviceWorker.controller);
    const { draftAcceptance } = await selftest(); // 0 where the machine is so busy that not one cycle is over in time
    await context.setOffline(true);
    await page.reload();
    await loaded();
    assert.deepEqual(await selftest(), { ran: false, bitwiseLossless: true, draftAcceptance });
    await configure({ policy: 'none', softBudget: 10 });
    await ask('What is 2 plus 3, times 2?');
    await idle(page);
    assert.match(await page.textContent('.answer'), /The answer is \d+/);
    await context.setOffline(false);
});

test('nothing went wrong on the way, and nothing was asked of another place', () => {
    assert.deepEqual(page.problems.filter((problem) => !/ERR_INTERNET_DISCONNECTED/.test(problem) && !elsewhere.test(problem)), []);
});
