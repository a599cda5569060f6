// Stands in for web/worker/gpu.js where the engine is scripted: a device that does nothing but can be lost.
export async function openGpu() {
    let lose;
    const lost = new Promise((resolve) => (lose = resolve));
    const device = {
        lost,
        queue: { onSubmittedWorkDone: async () => {} },
        destroy: () => lose({ reason: 'destroyed', message: 'Device was destroyed.' }),
    };
    // Slow enough for a test to press a button while the reply is being written.
    const delay = Number(new URL(self.location.href).searchParams.get('delay') ?? 25);
    return { adapter: null, device, isFallback: false, pending: 0, wake() {}, counters: { submits: 0, maps: 0, pipelines: 0 }, lost: false, delay };
}

export async function kernelsFor() {
    return [];
}

export function moduleFields(gpu) {
    return { specexitGpu: gpu };
}

export function describeGpu() {
    return { name: 'Scripted GPU', vendor: '', architecture: '', isFallback: false, features: [], wgslFeatures: [],
        maxBufferSize: 2 ** 30, maxStorageBufferBindingSize: 2 ** 27, subgroupMinSize: 4, subgroupMaxSize: 4 };
}

export async function canAllocate(device, bytes) {
    return bytes < 2 ** 33;
}
