// Opening the GPU: the adapter's highest limits, the features that are there, and what can be said about the device.
import { SpecexitError } from './error.js';

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

// The object that the wasm module gets as Module.specexitGpu. The WebGPU backend counts `pending` up for every promise
// it waits for and down when that settles, and calls wake() then; the host polls the engine on wake().
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
    return {
        adapter,
        device,
        isFallback: Boolean(adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter),
        pending: 0,
        wake() {},
        counters: { submits: 0, maps: 0 },
        lost: false,
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
