// Programs compiled by emcc on Dawn for Node: what the runners beside it share.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { isSoftware } from "../../../web/worker/software.js";

// The program <program.mjs> with the kernels <kernels.gen.mjs>, and Dawn out of <node_modules>.
// `kernels` are the program's.
// newDevice(features): a device of the default adapter with those of the features that it has, and its limits.
// start(device, more): the program's module on that device; `more` is added to what Emscripten gets.
export async function openDawn(programPath, kernelsPath, modulesPath) {
    const [program, kernelsFile, modules] = [programPath, kernelsPath, modulesPath].map((path) => resolve(path));
    const require = createRequire(resolve(modules, "package.json"));
    const { create } = await import(pathToFileURL(require.resolve("webgpu")).href);
    const { default: createModule } = await import(pathToFileURL(program).href);
    const { kernels } = await import(pathToFileURL(kernelsFile).href);
    globalThis.keptGpu = create([]); // collected, it takes the process with it
    let adapter;
    return {
        kernels,
        newDevice: async (features) => {
            adapter = await globalThis.keptGpu.requestAdapter();
            const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
            return adapter.requestDevice({
                requiredFeatures: features.filter((name) => adapter.features.has(name)),
                requiredLimits: { maxBufferSize, maxStorageBufferBindingSize },
            });
        },
        start: (device, more) => createModule({
            wasmBinary: readFileSync(program.replace(/\.mjs$/, ".wasm")),
            sxGpuDevice: device,
            sxGpuIsSoftware: isSoftware(adapter),
            sxGpuLanguageFeatures: globalThis.keptGpu.wgslLanguageFeatures,
            sxGpuKernels: kernels,
            print: console.log,
            ...more,
        }),
    };
}
