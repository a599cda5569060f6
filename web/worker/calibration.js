// The thresholds that a draft was calibrated with, for the page to draw: the engine uses them, and does not tell them.
// They are metadata of the draft's GGUF (runtime/model/draft.h), each a key, the type of a 32-bit float, and the value.
const NAMES = ['confidence', 'progress', 'remain'];
const FLOAT32 = 6; // GGUF's number for the type
const HEAD = 2 ** 20; // bytes that are looked through: a draft has no vocabulary, its metadata is short

// { confidence, progress, remain }, each only where a source says it.
export function exitThresholds(sources) {
    const found = {};
    for (const source of sources) {
        const bytes = new Uint8Array(Math.min(source.size, HEAD));
        if (!source.readInto(0, bytes) || String.fromCharCode(...bytes.subarray(0, 4)) !== 'GGUF') continue;
        const view = new DataView(bytes.buffer);
        for (const name of NAMES) {
            const value = findFloat(view, bytes, `specexit.exit.${name}`);
            if (Number.isFinite(value)) found[name] = Number(value.toPrecision(4));
        }
    }
    return found;
}

function findFloat(view, bytes, key) {
    const wanted = new TextEncoder().encode(key);
    const last = bytes.length - wanted.length - 8;
    for (let at = bytes.indexOf(wanted[0], 8); at >= 8 && at <= last; at = bytes.indexOf(wanted[0], at + 1)) {
        if (view.getUint32(at - 8, true) !== wanted.length || view.getUint32(at - 4, true) !== 0) continue;
        if (!wanted.every((byte, i) => bytes[at + i] === byte)) continue;
        const end = at + wanted.length;
        if (view.getUint32(end, true) === FLOAT32) return view.getFloat32(end + 4, true);
    }
    return NaN;
}
