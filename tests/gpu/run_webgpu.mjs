// Runs the conformance suite, compiled by emcc, on Dawn for Node:
//   node run_webgpu.mjs <gpu_conformance.mjs> <kernels.gen.mjs> <node_modules>
// Steps are driven by the backend's progress callback, as in a worker; there is no timer.
import { openDawn } from "./web/dawn.mjs";

const { kernels, newDevice: newDeviceWith, start } = await openDawn(...process.argv.slice(2));
const newDevice = () => newDeviceWith(["subgroups", "shader-f16", "timestamp-query"]);

let wake = () => {};
const module = await start(await newDevice(), { sxGpuOnProgress: () => wake() });
let failures = 0;

function check(holds, what) {
    console.log(`${holds ? "ok  " : "FAIL"} ${what}`);
    failures += holds ? 0 : 1;
}

// Calls `step` until it returns something else than `waiting`, each time after progress.
async function drive(step, waiting) {
    for (;;) {
        const progress = new Promise((resolvePromise) => { wake = resolvePromise; });
        const state = step();
        if (state !== waiting) return state;
        await progress;
    }
}

async function suite() {
    const run = module._conformance_web_start();
    if (!run) return check(false, "opening the device");
    while (await drive(() => module._conformance_web_step(run), 2) !== 0);
    await module.sxGpuDevice.queue.onSubmittedWorkDone(); // late validation messages count too
    check(module._conformance_web_end(run) === 0, "conformance suite");
}

// A real loss, while a submit is under way; afterwards another device serves the same module.
async function loss() {
    module.sxGpuDevice = await newDevice();
    let trial = module._web_trial_begin();
    module.sxGpuDevice.destroy();
    const status = await drive(() => module._web_trial_poll(trial), 1);
    // The submit itself may have been quicker; then the next call tells.
    const lost = status === 0 ? await drive(() => module._web_trial_poll(trial), 1) : status;
    check(module._web_trial_is(status, 0) || module._web_trial_is(lost, 0) || status === 0, "a lost device is a status");
    module._web_trial_end(trial);
    module.sxGpuDevice = await newDevice();
    trial = module._web_trial_begin();
    check(trial !== 0 && await drive(() => module._web_trial_poll(trial), 1) === 0, "another device goes on");
    module._web_trial_end(trial);
}

// The browser tells of exhausted memory by an event; the next poll must hand it on, once.
async function memory() {
    module.sxGpuDevice = await newDevice();
    const trial = module._web_trial_begin();
    const event = new Event("uncapturederror");
    event.error = new (class GPUOutOfMemoryError { message = "no room"; })();
    module.sxGpuDevice.dispatchEvent(event);
    check(module._web_trial_is(module._web_trial_poll(trial), 1), "exhausted memory is a status");
    check(await drive(() => module._web_trial_poll(trial), 1) === 0, "and told once");
    module._web_trial_end(trial);
}

async function refusals() {
    const device = module.sxGpuDevice;
    module.sxGpuDevice = null;
    check(module._web_trial_begin() === 0, "no device is told");
    module.sxGpuDevice = device;
    module.sxGpuKernels = kernels.slice(1);
    check(module._web_trial_begin() === 0, "kernels of another build are told");
    module.sxGpuKernels = kernels;
}

async function cost() {
    module.sxGpuDevice = await newDevice();
    const seconds = module._web_submit_cost(300);
    console.log(`     a submit of 300 dispatches takes ${(1e3 * seconds).toFixed(2)} ms of JavaScript and Dawn`);
    check(seconds >= 0, "cost of a submit");
    await module.sxGpuDevice.queue.onSubmittedWorkDone();
}

await suite();
await loss();
await memory();
await refusals();
await cost();
process.exit(failures === 0 ? 0 : 1);
