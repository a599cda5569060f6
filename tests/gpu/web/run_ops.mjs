// Runs one op test, compiled by emcc (build_ops.sh), on Dawn for Node:
//   node run_ops.mjs <program.mjs> <kernels.gen.mjs> <node_modules> [--plain] [--groups N] [--skip TEST]
// --plain: without subgroups, as on GPUs whose subgroup size the kernels' shuffle variants are not made for.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [program, kernelsPath, modules] = process.argv.slice(2, 5).map((path) => resolve(path));
const options = process.argv.slice(5);
const plain = options.includes("--plain");
const require = createRequire(resolve(modules, "package.json"));
const { create } = await import(pathToFileURL(require.resolve("webgpu")).href);
const { default: createModule } = await import(pathToFileURL(program).href);
const { kernels } = await import(pathToFileURL(kernelsPath).href);

globalThis.keptGpu = create([]); // collected, it takes the process with it
const adapter = await globalThis.keptGpu.requestAdapter();
const requiredFeatures = (plain ? [] : ["subgroups", "shader-f16"]).filter((name) => adapter.features.has(name));
const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
const device = await adapter.requestDevice({
    requiredFeatures, requiredLimits: { maxBufferSize, maxStorageBufferBindingSize } });
await createModule({
    wasmBinary: readFileSync(program.replace(/\.mjs$/, ".wasm")),
    sxGpuDevice: device,
    sxGpuKernels: kernels,
    arguments: options.filter((option) => option !== "--plain"),
    print: console.log,
    sxTestsDone: (status) => process.exit(status),
});
