// The modules that need no browser, and the wasm module under Node.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { POLICY, serve } from '../../web/serve.mjs';
import { Sha256 } from '../../web/worker/sha256.js';
import { MemorySource } from '../../web/worker/sources.js';
import { optionPairs, Wasm } from '../../web/worker/wasm.js';
import { npm } from './browser.mjs';

const site = process.env.SX_SITE;

test('SHA-256 equals the platform’s, however the data is cut', () => {
    let seed = 12345;
    const random = (below) => (seed = (seed * 1103515245 + 12345) % 2147483648) % below;
    for (let length = 0; length < 200; ++length) {
        const bytes = Uint8Array.from({ length }, () => random(256));
        const hash = new Sha256();
        for (let at = 0; at < length; ) {
            const count = Math.min(length - at, 1 + random(70));
            hash.update(bytes.subarray(at, at + count));
            at += count;
        }
        assert.equal(hash.hex(), createHash('sha256').update(bytes).digest('hex'), `length ${length}`);
    }
});

test('options become pairs with the engine’s names', () => {
    assert.deepEqual(optionPairs({ messages: [{ role: 'user', content: 'a' }, { role: 'assistant', content: 'b', reasoning: 'c' }],
        topK: 5, stop: ['x', 'y'], bias: { 7: -1 }, tokens: [1, 2], softBudget: undefined, noThinking: true }),
    [['user', 'a'], ['assistant', 'b'], ['reasoning', 'c'], ['tokens', '1,2'], ['bias', '7:-1'], ['top_k', '5'],
        ['stop', 'x'], ['stop', 'y'], ['no_thinking', 'true']]);
});

// The worker finishes a reply just before it reads that its thinking shall go on.
test('a reply whose end and whose keepThinking cross goes on in the same loop', async () => {
    const say = (event) => ({ type: 'reply', session: 1, events: [event], running: event.kind !== 'done' });
    const script = {
        load: () => [{ modelName: 'm' }],
        createSession: () => [1],
        begin: () => [null, say({ kind: 'exit', reason: 'signals' })],
        keepThinking: (count) => count === 1 ? [say({ kind: 'done', reason: 'end-of-turn' }), null, say({ kind: 'exit', reason: 'natural' }), say({ kind: 'done', reason: 'end-of-turn' })]
            : [say({ kind: 'done', reason: 'end-of-turn' }), new Error('no')],
    };
    let count = 0;
    globalThis.Worker = class {
        terminate() {}
        postMessage({ id, method }) {
            if (method === 'keepThinking') ++count;
            for (const [i, one] of script[method](count).entries()) {
                const answer = one instanceof Error ? { id, error: { name: 'Error', message: one.message } } : one?.type ? one : { id, result: one };
                setTimeout(() => this.onmessage({ data: answer }), i);
            }
        }
    };
    const { load } = await import('../../web/specexit.js');
    for (const [expected, refused] of [[['exit', 'done', 'withdrawn', 'exit', 'done'], false], [['exit', 'done'], true]]) {
        const reply = (await load({ target: 'bundled' })).complete('x');
        const kinds = [];
        let failure = null;
        for await (const { kind } of reply) {
            if (!kinds.push(kind) || kinds.length > 1) continue;
            reply.keepThinking().catch((error) => (failure = error.message));
        }
        assert.deepEqual(kinds, expected);
        assert.equal(failure, refused ? 'no' : null);
    }
    delete globalThis.Worker;
});

test('the wasm module runs a reply under Node, woken only by its GPU', async () => {
    // Older Emscripten's loader expects CommonJS's names under Node.
    Object.assign(globalThis, { __dirname: site, require: createRequire(import.meta.url) });
    const { default: factory } = await import(pathToFileURL(join(site, 'wasm/specexit.mjs')));
    const gpu = { pending: 0, wake() {}, counters: { submits: 0, maps: 0 } };
    const sources = new Map();
    const wasm = await Wasm.create(factory, { gpuFields: { specexitGpu: gpu }, sources, wasmBinary: readFileSync(join(site, 'wasm/specexit.wasm')) });
    sources.set(1, new MemorySource('a.gguf', new TextEncoder().encode('GGUF')));
    wasm.addSource(1, sources.get(1), false);
    wasm.open({});
    while (!wasm.pollEngine().ready);
    assert.equal(wasm.info().modelName, 'Scripted model');
    const session = wasm.createSession();
    let text = '';
    const kinds = new Set();
    await new Promise((resolve) => {
        gpu.wake = () => {
            const { events, running } = wasm.poll(session);
            for (const event of events) {
                kinds.add(event.kind);
                if (event.kind === 'text') text += event.text;
            }
            if (!running) resolve();
        };
        wasm.begin(session, { messages: [{ role: 'user', content: 'Grüße 😀 "x" \0 \\' }] });
    });
    assert.match(text, /Grüße 😀 "x" {2}\\\n/);
    assert.deepEqual([...kinds].sort(), ['done', 'exit', 'prefill', 'signals', 'text']);
    assert.throws(() => wasm.begin(session, { policy: 'never' }), { code: 'argument', message: /"never" is not auto, none, signals, margin or entropy/ });
    wasm.destroySession(session);
    wasm.close();
});

test('the types are sound', () => {
    execFileSync(process.execPath, [join(npm, 'typescript/bin/tsc'), '--noEmit', '--strict', '--target', 'es2022', '--module', 'nodenext', '--lib', 'es2022,dom',
        join(import.meta.dirname, '../../web/specexit.d.ts'), join(import.meta.dirname, 'use_types.ts')], { encoding: 'utf8' });
});

test('the page’s own policy is the server’s', () => {
    const html = readFileSync(join(site, 'index.html'), 'utf8');
    const [, own] = /content="(default-src[^"]*)"/.exec(html);
    assert.equal(`${own}; frame-ancestors 'none'`, POLICY); // which a meta element cannot say
    assert.doesNotMatch(html, /<script(?![^>]* src=)|\sstyle=|\son\w+=/);
});

test('the server keeps to its folder and serves ranges', async () => {
    const { server, url } = await serve(site);
    try {
        for (const path of ['..%2fCMakeCache.txt', '%2e%2e/CMakeCache.txt', 'nothing', '%']) {
            const { status } = await fetch(url + path);
            assert.ok(status >= 400, `${path}: ${status}`);
        }
        const response = await fetch(`${url}models/demo.gguf`, { headers: { Range: 'bytes=0-3' } });
        assert.equal(response.status, 206);
        assert.equal(await response.text(), 'GGUF');
        assert.equal((await fetch(`${url}wasm/specexit.wasm`, { method: 'HEAD' })).headers.get('Content-Type'), 'application/wasm');
        assert.equal((await fetch(`${url}models/demo.gguf`, { headers: { Range: 'bytes=999999999-' } })).status, 416);
    } finally {
        server.close();
    }
});
