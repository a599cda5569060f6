// The page on WebGPU against the native program, both on SwiftShader, on the same prompt, in one run: the time of a
// cycle, what JavaScript and wasm take of it, submits and maps per cycle, and how long it takes from opening the cached
// page to the first token.
//
//     sh tools/web.sh --build && cmake --build --preset release
//     node tools/bench/page.mjs [--rounds 5] [--prompt TEXT] [--site build/web/site] [--build build/release]
//
// Rounds alternate between the two, so that other work on the machine meets both; the tables give medians.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { launchKept } from '../../tests/web/browser.mjs';
import { serve } from '../../web/serve.mjs';

const root = join(import.meta.dirname, '../..');
const { values: options } = parseArgs({
    options: {
        rounds: { type: 'string', default: '5' },
        prompt: { type: 'string', default: 'Tom has 7 apples. Tom finds 5 more. Then there are 3 times as many. Tom gives 4. How many now?' },
        site: { type: 'string', default: join(root, 'build/web/site') },
        build: { type: 'string', default: join(root, 'build/release') },
        driver: { type: 'string', default: '/usr/lib/chromium/vk_swiftshader_icd.json' },
    },
});
// Drafts have a fixed shape: left to itself, each side tries shapes as it goes, and a cycle of one is not that of the other.
const MODES = [
    { name: 'plain', page: { policy: 'none', draft: 'none' }, native: ['--policy', 'none', '--drafting', 'none'] },
    { name: 'speculative', page: { policy: 'none', draft: 'chain' }, native: ['--policy', 'none', '--drafting', 'chain'] },
    { name: 'specexit', page: { draft: 'chain' }, native: ['--drafting', 'chain'] },
];

const median = (list) => list.toSorted((a, b) => a - b)[list.length >> 1];
const ms = (value, digits = 1) => (Number.isFinite(value) ? value.toFixed(digits) : '-');
const table = (head, rows) => [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');

// ---- The native program ----------------------------------------------------------------------------------------------

function native(mode, cache) {
    const models = join(options.site, 'models');
    const output = execFileSync(join(options.build, 'bin/specexit'), ['run', '--json', '--cache', cache, '-m', join(models, 'demo.gguf'),
        '-d', join(models, 'demo-draft.gguf'), ...mode.native, options.prompt], {
        env: { ...process.env, VK_ICD_FILENAMES: options.driver, VK_DRIVER_FILES: options.driver, VK_LOADER_LAYERS_DISABLE: '~implicit~' },
        encoding: 'utf8', maxBuffer: 2 ** 26, stdio: ['ignore', 'pipe', 'ignore'],
    });
    const { stats } = JSON.parse(output.trim().split('\n').at(-1));
    return { cycle: (1000 * stats.decode_seconds) / stats.cycles, cycles: stats.cycles, tokens: stats.tokens };
}

// ---- The page --------------------------------------------------------------------------------------------------------

const ready = (page) => page.waitForFunction(() => ['ready', 'failed'].includes(document.documentElement.dataset.model), null, { timeout: 600000 });

async function inPage(page, mode) {
    const { stats, metrics } = await page.evaluate(async ([content, given]) => {
        const session = globalThis.specexit.model.createSession();
        const reply = session.chat([{ role: 'user', content }], given);
        let stats = null;
        for await (const event of reply) stats = event.stats ?? stats;
        await session.close();
        return { stats, metrics: reply.metrics };
    }, [options.prompt, mode.page]);
    return {
        cycle: (1000 * stats.decodeSeconds) / stats.cycles, cycles: stats.cycles, tokens: stats.tokens,
        host: metrics.hostMs / stats.cycles, hostMedian: metrics.hostMsMedian,
        submits: metrics.submits / stats.cycles, maps: metrics.maps / stats.cycles,
    };
}

// Milliseconds from the start of the navigation: [stage, when] of the load, the first token, the first of the answer.
async function opening(context, url) {
    const page = await context.newPage();
    await page.addInitScript((question) => {
        addEventListener('DOMContentLoaded', () => {
            const box = document.getElementById('question');
            box.value = question;
            document.getElementById('composer').requestSubmit(); // asked at once: answered when the model is there
            const see = (name, selector) => document.querySelector(selector)?.textContent.trim() && !performance.getEntriesByName(name).length && performance.mark(name);
            new MutationObserver(() => {
                see('first token', '.thoughts');
                see('first of the answer', '.answer');
            }).observe(document.getElementById('transcript'), { subtree: true, childList: true, characterData: true });
        });
    }, options.prompt);
    await page.goto(url);
    await ready(page);
    await page.waitForFunction(() => performance.getEntriesByName('first of the answer').length, null, { timeout: 600000 });
    const marks = await page.evaluate(() => performance.getEntriesByType('mark').map(({ name, startTime }) => [name.replace('specexit:', ''), startTime]));
    const pipelines = await page.evaluate(() => globalThis.specexit.model.info.pipelines);
    await page.close();
    return { marks, pipelines };
}

// ---- All of it -------------------------------------------------------------------------------------------------------

if (!existsSync(options.site) || !existsSync(join(options.build, 'bin/specexit'))) {
    console.error('page.mjs: build both first: sh tools/web.sh --build && cmake --preset release && cmake --build --preset release');
    process.exit(1);
}
const rounds = Number(options.rounds);
const folder = mkdtempSync(join(tmpdir(), 'specexit-page-'));
const { server, url } = await serve(options.site);
const context = await launchKept(join(folder, 'profile'));
try {
    const page = await context.newPage();
    await page.goto(url);
    await ready(page);
    await page.waitForFunction(() => navigator.serviceWorker.controller);
    const gpu = await page.evaluate(() => globalThis.specexit.model.info.gpu.name);
    const processor = /model name\s*:\s*(.*)/.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? 'unknown';
    console.log(`${new Date().toISOString().slice(0, 10)}, ${processor}, ${cpus().length} threads, load ${loadavg()[0].toFixed(1)}; ${gpu} in Chromium ${context.browser()?.version() ?? ''}, ${options.driver} natively; medians of ${rounds} rounds\n`);
    const found = MODES.map((mode) => ({ mode, page: [], native: [] }));
    for (let round = 0; round <= rounds; ++round) {
        for (const one of found) {
            const results = { native: native(one.mode, join(folder, 'cache')), page: await inPage(page, one.mode) };
            if (round) for (const side of ['native', 'page']) one[side].push(results[side]); // the first makes pipelines
        }
    }
    const of = (list, key) => median(list.map((one) => one[key]));
    console.log(table(['mode', 'tokens', 'cycles (native)', 'native ms per cycle', 'page ms per cycle', 'ratio', 'JavaScript and wasm ms per cycle (median poll)', 'submits', 'maps'],
        found.map(({ mode, page: p, native: n }) => [mode.name, of(p, 'tokens'), `${of(p, 'cycles')} (${of(n, 'cycles')})`, ms(of(n, 'cycle')), ms(of(p, 'cycle')),
            median(p.map((one, i) => one.cycle / n[i].cycle)).toFixed(2), `${ms(of(p, 'host'), 2)} (${ms(of(p, 'hostMedian'), 2)})`,
            of(p, 'submits').toFixed(2), of(p, 'maps').toFixed(2)])));
    await page.close();
    const openings = [];
    for (let round = 0; round < rounds; ++round) openings.push(await opening(context, url));
    const names = openings[0].marks.map(([name]) => name);
    console.log(`\nFrom opening the cached page, a question asked at once; ${openings[0].pipelines} pipelines:\n`);
    console.log(table(['stage begins', 'seconds (least)'], names.map((name) => {
        const times = openings.map(({ marks }) => marks.find((mark) => mark[0] === name)?.[1] / 1000);
        return [name, `${ms(median(times), 2)} (${ms(Math.min(...times), 2)})`];
    })));
} finally {
    await context.close();
    server.close();
    rmSync(folder, { recursive: true, force: true });
}
