// Models from an address: resumed where the connection broke, checked, listed, deleted, refused when they cannot fit.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { serve } from '../../web/serve.mjs';
import { launch, openPage, PATIENCE, ready } from './browser.mjs';

const SIZE = 3 * 2 ** 20;
const bytes = Buffer.alloc(SIZE, 'specexit ');
bytes.write('GGUF');
const digest = createHash('sha256').update(bytes).digest('hex');

let site;
let browser;
let page;
let models; // the server of models
let requests = []; // [path, range]
let cutAfter = 0; // bytes of an answer after which the connection breaks; 0: never
let changed = false; // the file on the server is another one
let down = false; // a page with an excuse comes instead of the file

function answer(request, response) {
    requests.push([request.url, request.headers.range ?? '']);
    const headers = { 'Access-Control-Allow-Origin': '*', 'Access-Control-Expose-Headers': 'Content-Range, ETag', 'Cross-Origin-Resource-Policy': 'cross-origin', ETag: changed ? '"b"' : '"a"' };
    if (request.url === '/huge.gguf') return response.writeHead(206, { ...headers, 'Content-Range': `bytes 0-0/${2 ** 40}`, 'Content-Length': 1 }).end('G');
    if (down) return response.writeHead(200, headers).end('<!doctype html>Back soon');
    if (!/\.gguf$/.test(request.url)) return response.writeHead(404, headers).end();
    const start = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const end = Number(/-(\d+)$/.exec(request.headers.range ?? '')?.[1] ?? SIZE - 1);
    response.writeHead(request.headers.range ? 206 : 200, { ...headers, 'Content-Length': end + 1 - start,
        ...(request.headers.range && { 'Content-Range': `bytes ${start}-${end}/${SIZE}` }) });
    const part = bytes.subarray(start, end + 1);
    if (!cutAfter || part.length <= cutAfter) return response.end(part);
    response.write(part.subarray(0, cutAfter), () => setTimeout(() => response.destroy(), 50));
}

before(async () => {
    models = createServer(answer);
    await new Promise((done) => models.listen(0, '127.0.0.1', done));
    site = await serve(process.env.SX_SITE);
    browser = await launch({ gpu: false });
    page = await openPage(await browser.newContext(), site.url);
    await ready(page);
});

after(async () => {
    await browser?.close();
    site?.server.close();
    models?.close();
});

const address = (name) => `http://127.0.0.1:${models.address().port}/${name}`;

const load = (options) => page.evaluate(async (given) => {
    const { load: open } = await import('/specexit.js');
    try {
        const model = await open(given);
        const { weightBytes } = model.info;
        await model.close();
        return { weightBytes };
    } catch (error) {
        return { code: error.code, message: error.message };
    }
}, options);

const kept = () => page.evaluate(async () => (await import('/specexit.js')).cache.list());

test('a download goes on where the connection broke, and is kept', { timeout: PATIENCE }, async () => {
    requests = [];
    cutAfter = 2 ** 20;
    assert.deepEqual(await load({ target: { url: address('model.gguf'), sha256: digest } }), { weightBytes: SIZE });
    const ranges = requests.filter(([, range]) => range !== 'bytes=0-0').map(([, range]) => range);
    assert.equal(ranges[0], '');
    assert.ok(ranges.length >= 3, ranges.join());
    for (const range of ranges.slice(1)) assert.match(range, /^bytes=[1-9]\d+-\d*$/);
    cutAfter = 0;
    const [model] = await kept();
    assert.equal(model.sha256, digest);
    assert.equal(model.size, SIZE);

    requests = [];
    assert.deepEqual(await load({ target: address('model.gguf') }), { weightBytes: SIZE });
    assert.deepEqual(requests, []);
});

test('a wrong hash is refused and not kept', { timeout: PATIENCE }, async () => {
    const result = await load({ target: { url: address('wrong.gguf'), sha256: '0'.repeat(64) } });
    assert.equal(result.code, 'format');
    assert.match(result.message, /wrong\.gguf: what arrived is damaged/);
    assert.equal((await kept()).find(({ name }) => name === 'wrong.gguf')?.complete ?? false, false);
});

test('a file that changed on the server is not joined with its old part', { timeout: PATIENCE }, async () => {
    // An aborted load leaves a part behind.
    cutAfter = 2 ** 20;
    await page.evaluate(async (url) => {
        const { load: open } = await import('/specexit.js');
        const controller = new AbortController();
        await open({ target: url, signal: controller.signal, onProgress: ({ bytesLoaded }) => bytesLoaded > 2 ** 19 && controller.abort() }).catch(() => {});
    }, address('changing.gguf'));
    const part = (await kept()).find(({ name }) => name === 'changing.gguf');
    assert.ok(part && !part.complete && part.have > 0);
    cutAfter = 0;
    changed = true;
    const first = await load({ target: address('changing.gguf') });
    assert.match(first.message, /has changed on the server/);
    assert.deepEqual(await load({ target: address('changing.gguf') }), { weightBytes: SIZE });
    changed = false;
});

test('what is too large is said before anything is downloaded', { timeout: PATIENCE }, async () => {
    requests = [];
    const plan = await page.evaluate(async (url) => (await import('/specexit.js')).plan({ target: url }), address('huge.gguf'));
    assert.equal(plan.bytes, 2 ** 40);
    assert.equal(plan.fits, false);
    const result = await load({ target: address('huge.gguf') });
    assert.equal(result.code, 'gpu-memory');
    assert.ok(requests.every(([, range]) => range === 'bytes=0-0'));
});

test('what the browser grants no room for is said before anything is downloaded', { timeout: PATIENCE }, async () => {
    const developer = await page.context().newCDPSession(page);
    const { origin } = new URL(site.url);
    const { usage } = await developer.send('Storage.getUsageAndQuota', { origin });
    requests = [];
    await developer.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: usage + 1.5 * SIZE }); // for one of two
    const result = await load({ target: address('one.gguf'), draft: address('two.gguf') });
    assert.equal(result.code, 'storage');
    assert.match(result.message, /one\.gguf, two\.gguf: 6 MiB are to be downloaded, and the browser does not grant .*Delete other models/);
    await page.click('#model');
    await page.fill('[name=target-url]', address('one.gguf'));
    await page.fill('[name=draft-url]', address('two.gguf'));
    await page.click('button:has-text("Check")');
    await page.waitForFunction(() => document.querySelector('.plan').textContent.includes('does not grant'));
    assert.ok(await page.isDisabled('button:has-text("Download and load")'));
    assert.ok(requests.every(([, range]) => range === 'bytes=0-0'));
    await page.keyboard.press('Escape');
    assert.deepEqual(await load({ target: address('one.gguf') }), { weightBytes: SIZE });
    await developer.send('Storage.overrideQuotaForOrigin', { origin });
});

test('a missing file is named', { timeout: PATIENCE }, async () => {
    assert.match((await load({ target: address('missing.txt') })).message, /missing\.txt: the server answered 404\. Check the address\./);
});

test('the dialog lists models and deletes them', { timeout: PATIENCE }, async () => {
    await page.click('#model');
    await page.waitForSelector('#kept-models button');
    for (;;) {
        const count = await page.locator('#kept-models button:has-text("Delete")').count();
        if (!count) break;
        await page.click('#kept-models button:has-text("Delete")');
        await page.waitForFunction((before) => [...document.querySelectorAll('#kept-models button')].filter((b) => b.textContent === 'Delete').length < before, count);
    }
    assert.deepEqual(await kept(), []);
});

test('what is no model is not kept', { timeout: PATIENCE }, async () => {
    down = true;
    const { code, message } = await load({ target: address('late.gguf') });
    assert.equal(code, 'format');
    assert.match(message, /^late\.gguf: this is not a GGUF file/);
    down = false;
    assert.deepEqual((await kept()).filter(({ name }) => name === 'late.gguf'), []);
    assert.deepEqual(await load({ target: address('late.gguf') }), { weightBytes: SIZE });
});

test('addresses that lead nowhere are told as such', { timeout: PATIENCE }, async () => {
    const codes = [];
    for (const target of ['http://[', 5, {}, ['model.gguf', 7], 'http://127.0.0.1:9/model.gguf']) codes.push(await load({ target }));
    assert.deepEqual(codes.map(({ code }) => code), ['argument', 'argument', 'argument', 'argument', 'file']);
    assert.match(codes[0].message, /"http:\/\/\[" is not an address/);
    assert.match(codes[4].message, /^model\.gguf: the server cannot be reached/);
});
