// Tint accepts every WGSL kernel: node check_wgsl.mjs <kernels.gen.mjs> <node_modules>. Pipelines are made where kernels
// run; here they would only cost the driver's compiler minutes.
// Kernels that need a feature the adapter lacks are left out, and counted.
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire(resolve(process.argv[3], "package.json"));
const { create } = await import(pathToFileURL(require.resolve("webgpu")).href);
const { kernels, names } = await import(pathToFileURL(resolve(process.argv[2])).href);
globalThis.keptGpu = create([]); // collected, it takes the process with it
const adapter = await globalThis.keptGpu.requestAdapter();
const wanted = ["subgroups", "shader-f16"].filter((feature) => adapter.features.has(feature));
const device = await adapter.requestDevice({ requiredFeatures: wanted });
let bad = 0;
let left = 0;
let good = 0;
for (let kernel = 0; kernel < kernels.length; kernel++) {
    const code = kernels[kernel];
    const needs = [];
    if (/^enable f16;/m.test(code ?? "")) needs.push("shader-f16");
    if (/^enable subgroups;/m.test(code ?? "")) needs.push("subgroups");
    if (code === null || needs.some((feature) => !wanted.includes(feature))) {
        left++;
        continue;
    }
    device.pushErrorScope("validation");
    const module = device.createShaderModule({ code, label: names[kernel] });
    const messages = (await module.getCompilationInfo()).messages.filter((message) => message.type === "error");
    const error = await device.popErrorScope();
    if (messages.length > 0 || error) {
        bad++;
        console.log(`${names[kernel]}: ${messages[0]?.message ?? error.message}`);
    } else {
        good++;
    }
}
console.log(`${good} kernels compile, ${bad} fail, ${left} left out on ${adapter.info.device || adapter.info.description}`);
process.exit(bad > 0 || good === 0 ? 1 : 0);
