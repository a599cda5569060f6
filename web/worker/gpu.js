// Opening the GPU: the adapter's highest limits, the features that are there, and what can be said about the device.
import { kernels as common } from '../wasm/kernels_common.gen.mjs';
import { SpecexitError } from './error.js';
import { isFallback, isSoftware } from './software.js';

const WANTED_FEATURES = ['subgroups', 'shader-f16', 'timestamp-query'];

const WANTED_LIMITS = [
    'maxBufferSize',
    'maxStorageBufferBindingSize',
    'maxStorageBuffersPerShaderStage',
    'maxComputeWorkgroupStorageSize',
    'maxComputeInvocationsPerWorkgroup',
    'maxComputeWorkgroupSizeX',
    'maxComputeWorkgroupSizeY',
    'maxComputeWorkgroupSizeZ',
    'maxComputeWorkgroupsPerDimension',
];

// Counts what the backend waits for, so that the host knows when nothing will wake it, and what it submits. A method
// of the device (or of its queue and buffers) is replaced by one that counts and calls it.
function countPromises(gpu, owner, name) {
    const original = owner[name];
    owner[name] = function (...parameters) {
        const promise = original.apply(this, parameters);
        ++gpu.pending;
        if (name === 'mapAsync') ++gpu.counters.maps;
        if (name === 'createComputePipelineAsync') ++gpu.counters.pipelines;
        // Handlers that are attached to what is returned run after this one.
        return promise.finally(() => --gpu.pending);
    };
}

function watch(gpu) {
    const { device } = gpu;
    countPromises(gpu, device, 'createComputePipelineAsync');
    countPromises(gpu, device.queue, 'onSubmittedWorkDone');
    const { createBuffer } = device;
    device.createBuffer = (descriptor) => {
        const buffer = createBuffer.call(device, descriptor);
        if (descriptor.usage & GPUBufferUsage.MAP_READ) countPromises(gpu, buffer, 'mapAsync');
        return buffer;
    };
    const { submit } = device.queue;
    device.queue.submit = (commands) => {
        ++gpu.counters.submits;
        submit.call(device.queue, commands);
    };
}

// What the wasm module gets of the GPU is in moduleFields(). `pending` promises stand between the engine and its next
// step; the backend reports each that has settled, and wake() is called then.
export async function openGpu() {
    if (!globalThis.navigator?.gpu) {
        throw new SpecexitError('no-device', 'This browser has no WebGPU.');
    }
    const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' });
    if (!adapter) {
        throw new SpecexitError('no-device', 'The browser found no GPU that WebGPU can use.');
    }
    const requiredLimits = {};
    for (const name of WANTED_LIMITS) {
        if (adapter.limits[name] !== undefined) requiredLimits[name] = adapter.limits[name];
    }
    const requiredFeatures = WANTED_FEATURES.filter((name) => adapter.features.has(name));
    const device = await adapter.requestDevice({ requiredFeatures, requiredLimits, label: 'specexit' });
    const gpu = {
        adapter,
        device,
        isFallback: isFallback(adapter),
        pending: 0,
        wake() {},
        counters: { submits: 0, maps: 0, pipelines: 0 },
        lost: false,
    };
    watch(gpu);
    if (usesSubgroups(gpu)) import('../wasm/kernels_subgroups.gen.mjs').catch(() => {}); // while the model is read
    return gpu;
}

// Kernels with subgroups are for drivers that run on a CPU (runtime/graph/ops.h).
function usesSubgroups({ adapter, device }) {
    return device.features.has('subgroups') && isSoftware(adapter);
}

// WGSL by kernel number. What only some devices run is in files of its own, which the others need not load.
export async function kernelsFor(gpu, precision) {
    const more = await Promise.all([
        usesSubgroups(gpu) && import('../wasm/kernels_subgroups.gen.mjs'),
        precision === 'fast' && import('../wasm/kernels_dot.gen.mjs'),
    ].filter(Boolean));
    return common.map((code, i) => more.reduce((found, { kernels }) => found ?? kernels[i], code));
}

// What the WebGPU backend finds in its Module (runtime/gpu/webgpu). `kernels`: kernelsFor().
export function moduleFields(gpu, kernels) {
    return {
        sxGpuDevice: gpu.device,
        sxGpuAdapterInfo: gpu.adapter.info,
        sxGpuIsSoftware: isSoftware(gpu.adapter),
        sxGpuLanguageFeatures: navigator.gpu.wgslLanguageFeatures,
        sxGpuKernels: kernels,
        sxGpuOnProgress: () => gpu.wake(),
    };
}

// What the page shows.
export function describeGpu(gpu) {
    const { info = {}, limits } = gpu.adapter;
    const name = [info.vendor, info.architecture, info.device].filter(Boolean).join(' ') || 'GPU';
    return {
        name: info.description || name,
        vendor: info.vendor ?? '',
        architecture: info.architecture ?? '',
        isFallback: gpu.isFallback,
        features: [...gpu.device.features].sort(),
        wgslFeatures: [...(navigator.gpu.wgslLanguageFeatures ?? [])].sort(),
        maxBufferSize: limits.maxBufferSize,
        maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
        subgroupMinSize: info.subgroupMinSize ?? 0,
        subgroupMaxSize: info.subgroupMaxSize ?? 0,
    };
}

// WebGPU does not tell how much memory there is, so this asks: buffers of `bytes` together, given back at once.
// Returns whether the device granted them all.
export async function canAllocate(device, bytes) {
    const piece = Math.min(device.limits.maxBufferSize, 256 * 2 ** 20);
    const buffers = [];
    device.pushErrorScope('out-of-memory');
    for (let left = bytes; left > 0; left -= piece) {
        const size = Math.ceil(Math.min(left, piece) / 4) * 4;
        buffers.push(device.createBuffer({ size, usage: GPUBufferUsage.STORAGE, label: 'probe' }));
    }
    const error = await device.popErrorScope();
    for (const buffer of buffers) buffer.destroy();
    return !error;
}
