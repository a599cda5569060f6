// An error with the engine's status name ("format", "gpu-memory", "device-lost", ...; see base/status.h) as its code.
export class SpecexitError extends Error {
    constructor(code, message) {
        super(message);
        this.name = 'SpecexitError';
        this.code = code;
    }
}

// For crossing from the worker to the page, where only plain data may go.
export function packError(error) {
    if (error?.name === 'AbortError') return { name: 'AbortError', message: error.message };
    return { name: 'SpecexitError', code: error?.code?.toString() ?? 'internal', message: error?.message ?? String(error) };
}

export function unpackError(packed) {
    if (packed.name === 'AbortError') return new DOMException(packed.message, 'AbortError');
    return new SpecexitError(packed.code, packed.message);
}
