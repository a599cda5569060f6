// Runs the conformance suite, compiled by emcc, on Dawn for Node:
//   node run_webgpu.mjs <gpu_conformance.mjs> <kernels.gen.mjs> <node_modules>
// Steps are driven by the backend's progress callback, as in a worker; there is no timer.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [program, kernelsPath, modules] = process.argv.slice(2).map((path) => resolve(path));
const require = createRequire(resolve(modules, "package.json"));
const { create } = await import(pathToFileURL(require.resolve("webgpu")).href);
const { default: createModule } = await import(pathToFileURL(program).href);
const { kernels } = await import(pathToFileURL(kernelsPath).href);

globalThis.keptGpu = create([]); // collected, it takes the process with it
const adapter = await globalThis.keptGpu.requestAdapter();
const requiredFeatures = ["subgroups", "shader-f16", "timestamp-query"].filter((name) => adapter.features.has(name));
const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
const device = await adapter.requestDevice({
    requiredFeatures, requiredLimits: { maxBufferSize, maxStorageBufferBindingSize } });

let wake = () => {};
const module = await createModule({
    wasmBinary: readFileSync(program.replace(/\.mjs$/, ".wasm")),
    sxGpuDevice: device,
    sxGpuAdapterInfo: adapter.info,
    sxGpuKernels: kernels,
    sxGpuOnProgress: () => wake(),
    print: console.log,
});
const run = module._conformance_web_start();
if (!run) process.exit(1);
for (;;) {
    const progress = new Promise((resolvePromise) => { wake = resolvePromise; });
    const state = module._conformance_web_step(run);
    if (state === 0) break;
    if (state === 2) await progress;
}
await device.queue.onSubmittedWorkDone(); // late validation messages count too
process.exit(module._conformance_web_end(run) === 0 ? 0 : 1);
