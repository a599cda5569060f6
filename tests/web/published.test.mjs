// A published model on WebGPU in Chromium: its first tokens against transformers over the same file (tests/golden, to
// which published.* hold the native engine). The file is picked and read in place, on a page without the application.
// Environment: SX_SITE, and SX_MODEL, a GGUF file; where there is none the test is skipped.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { serve } from '../../web/serve.mjs';
import { launch, openPage, PATIENCE } from './browser.mjs';

const file = process.env.SX_MODEL;
const name = basename(file, '.gguf');
const { rows } = JSON.parse(readFileSync(join(import.meta.dirname, `../golden/${name}.json`), 'utf8'));
const TOKENS = 3;
const TOLERANCE = 0.05; // of logits, as in tests/engine/test_published.c: what is closer may change places
const missing = !existsSync(file) && `${file} is not there: sh tools/models.sh get ${name}`;

// Loads the picked file and answers; in the page.
async function answer([content, maximumTokens]) {
    const { load } = await import('/specexit.js');
    const model = await load({ target: document.querySelector('input').files[0], context: 256 });
    const tokens = [];
    let stats = null;
    for await (const event of model.chat([{ role: 'user', content }], { policy: 'none', draft: 'none', maximumTokens })) {
        if (event.kind === 'text') tokens.push(...event.tokens);
        if (event.kind === 'done') ({ stats } = event);
    }
    const { info } = model;
    await model.close();
    return { info, tokens, stats };
}

test(`${name} in a page says what it does elsewhere`, { skip: missing, timeout: 4 * PATIENCE }, async (t) => {
    const { server, url } = await serve(process.env.SX_SITE);
    const browser = await launch();
    try {
        const row = rows.find(({ margins }) => margins.slice(0, TOKENS).every((margin) => margin > TOLERANCE));
        const page = await openPage(browser, `${url}specexit.js`); // shown as text
        await page.evaluate(() => document.body.append(Object.assign(document.createElement('input'), { type: 'file' })));
        await page.setInputFiles('input', file);
        const { info, tokens, stats } = await page.evaluate(answer, [row.prompt, TOKENS]);
        t.diagnostic(`loaded in ${info.loadSeconds.toFixed(1)} s, prompt in ${stats.prefillSeconds.toFixed(1)} s, ${(stats.tokens / stats.decodeSeconds).toFixed(1)} tokens/s`);
        assert.equal(stats.promptTokens, row.tokens.length);
        assert.deepEqual(tokens, row.greedy.slice(0, TOKENS));
        assert.ok(info.bitwiseLossless);
        assert.deepEqual(page.problems.filter((problem) => problem.startsWith('error')), []);
    } finally {
        await browser.close();
        server.close();
    }
});
