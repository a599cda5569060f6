// Puts the site together: our modules, the wasm, the bundled model, the libraries from npm, and the list of all of them
// in the service worker. Fails when the program (all but the model) is larger than the budget once compressed.
//
//     node build.mjs --source <checkout> --wasm <folder> --kernels <kernels.gen.mjs> --npm <node_modules> --out <folder> --version <x.y.z> [--fake]
//
// --fake takes the scripted engine and its GPU (tests/web) instead of the real ones.
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';

const BUDGET = 1.5 * 2 ** 20; // bytes, gzipped
const VENDOR = [
    // file in node_modules, name in vendor/, text put after it
    ['marked/lib/marked.esm.js', 'marked.js', ''],
    ['dompurify/dist/purify.es.mjs', 'purify.js', ''],
    ['temml/dist/temml.min.js', 'temml.js', '\nexport default temml;\n'],
];

const { values: options } = parseArgs({
    options: {
        source: { type: 'string' }, wasm: { type: 'string' }, kernels: { type: 'string' }, npm: { type: 'string' }, out: { type: 'string' },
        version: { type: 'string' }, fake: { type: 'boolean', default: false },
    },
});
const web = join(options.source, 'web');

function fail(message) {
    console.error(`web/build.mjs: ${message}`);
    process.exit(1);
}

function copy(from, to) {
    const target = join(options.out, to);
    mkdirSync(dirname(target), { recursive: true });
    cpSync(from, target, { recursive: true });
}

function copyVendor() {
    for (const [file, name, suffix] of VENDOR) {
        const path = join(options.npm, file);
        if (!existsSync(path)) fail(`${path} is missing: install web/package.json with npm (tools/web.sh does)`);
        const text = readFileSync(path, 'utf8').replace(/\n\/\/# sourceMappingURL=.*\s*$/, '\n');
        mkdirSync(join(options.out, 'vendor'), { recursive: true });
        writeFileSync(join(options.out, 'vendor', name), text + suffix);
        const licence = readdirSync(join(options.npm, file.split('/')[0])).find((entry) => /^licen[cs]e/i.test(entry));
        if (licence) copy(join(options.npm, file.split('/')[0], licence), `vendor/${name}.licence.txt`);
    }
}

function copyWasm() {
    const name = options.fake ? 'specexit_fake' : 'specexit';
    const loader = join(options.wasm, `${name}.mjs`);
    if (!existsSync(loader)) fail(`${loader} is missing: the engine was not built`);
    mkdirSync(join(options.out, 'wasm'), { recursive: true });
    writeFileSync(join(options.out, 'wasm/specexit.mjs'), readFileSync(loader, 'utf8').replaceAll(`${name}.wasm`, 'specexit.wasm'));
    for (const share of options.fake ? [] : ['common', 'subgroups', 'dot']) {
        copy(options.kernels.replace(/\.gen\.mjs$/, `_${share}$&`), `wasm/kernels_${share}.gen.mjs`);
    }
    cpSync(join(options.wasm, `${name}.wasm`), join(options.out, 'wasm/specexit.wasm'));
}

function filesUnder(folder) {
    return readdirSync(folder, { recursive: true })
        .map((name) => name.toString())
        .filter((name) => statSync(join(folder, name)).isFile())
        .sort();
}

function writeServiceWorker() {
    const files = filesUnder(options.out).filter((name) => !/\.(d\.ts|licence\.txt)$/.test(name) && name !== 'sw.js');
    const hash = createHash('sha256');
    for (const name of files) hash.update(name).update(readFileSync(join(options.out, name)));
    const text = readFileSync(join(web, 'sw.js'), 'utf8')
        .replace("'@VERSION@'", `'${options.version}-${hash.digest('hex').slice(0, 16)}'`)
        .replace('[/* @FILES@ */]', JSON.stringify(['./', ...files.map((name) => `./${name}`)], null, 4));
    writeFileSync(join(options.out, 'sw.js'), text);
}

function checkBudget() {
    const sizes = filesUnder(options.out)
        .filter((name) => !name.startsWith('models/') && !/\.(d\.ts|licence\.txt)$/.test(name))
        .map((name) => ({ name, size: gzipSync(readFileSync(join(options.out, name))).length }))
        .sort((a, b) => b.size - a.size);
    const total = sizes.reduce((sum, file) => sum + file.size, 0);
    const kib = (bytes) => `${(bytes / 1024).toFixed(0)} KiB`;
    console.log(`site: ${kib(total)} gzipped of ${kib(BUDGET)} (without the model); largest: ${sizes.slice(0, 4).map((file) => `${file.name} ${kib(file.size)}`).join(', ')}`);
    if (total > BUDGET) fail(`the program is ${kib(total)} gzipped, more than its budget of ${kib(BUDGET)}`);
}

rmSync(options.out, { recursive: true, force: true });
for (const name of ['specexit.js', 'specexit.d.ts', 'openai.js', 'worker.js', 'worker', 'page', 'index.html', 'manifest.webmanifest', 'icon.svg']) {
    copy(join(web, name), name);
}
if (options.fake) copy(join(options.source, 'tests/web/fake_gpu.js'), 'worker/gpu.js');
for (const name of ['demo.gguf', 'demo-draft.gguf']) copy(join(options.source, 'tools/demo_model', name), `models/${name}`);
copy(join(options.source, 'LICENSE'), 'LICENSE.licence.txt');
copyVendor();
copyWasm();
writeServiceWorker();
checkBudget();
console.log(`site: ${relative('.', options.out) || '.'}`);
