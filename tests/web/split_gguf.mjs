// Cuts a GGUF file in memory into parts as gguf-split writes them: "<name>-00001-of-00003.gguf" and so on. Metadata is
// in the first part; each part has split.no, split.count and split.tensors.count, and its share of the tensors.
const SIZES = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8]; // of the value types; 8 is a string, 9 an array
const STRING = 8;
const ARRAY = 9;
const UINT16 = 2;
const INT32 = 5;
const ALIGNMENT = 32;

class Reader {
    constructor(bytes) {
        this.bytes = bytes;
        this.at = 24;
    }

    u32() {
        this.at += 4;
        return this.bytes.readUInt32LE(this.at - 4);
    }

    u64() {
        this.at += 8;
        return Number(this.bytes.readBigUInt64LE(this.at - 8));
    }

    skip(count) {
        this.at += count;
    }

    skipString() {
        this.skip(this.u64());
    }

    skipValue(type) {
        if (type === STRING) return this.skipString();
        if (type !== ARRAY) return this.skip(SIZES[type]);
        const element = this.u32();
        for (let count = this.u64(); count > 0; --count) this.skipValue(element);
    }
}

const u32 = (value) => Buffer.from(Uint32Array.of(value).buffer);
const u64 = (value) => Buffer.from(BigUint64Array.of(BigInt(value)).buffer);
const text = (value) => Buffer.concat([u64(value.length), Buffer.from(value)]);
const padded = (size) => Math.ceil(size / ALIGNMENT) * ALIGNMENT;

export function splitGguf(bytes, name, count) {
    const reader = new Reader(bytes);
    const tensorCount = Number(bytes.readBigUInt64LE(8));
    const keyCount = Number(bytes.readBigUInt64LE(16));
    const metadataStart = reader.at;
    for (let i = 0; i < keyCount; ++i) {
        reader.skipString();
        reader.skipValue(reader.u32());
    }
    const metadata = bytes.subarray(metadataStart, reader.at);
    const tensors = [];
    for (let i = 0; i < tensorCount; ++i) {
        const start = reader.at;
        reader.skipString();
        reader.skip(8 * reader.u32() + 4); // dimensions and type
        tensors.push({ head: bytes.subarray(start, reader.at), offset: reader.u64() });
    }
    const data = bytes.subarray(padded(reader.at));
    const ends = [...tensors.map(({ offset }) => offset), data.length].sort((a, b) => a - b);
    for (const tensor of tensors) tensor.data = data.subarray(tensor.offset, ends.find((end) => end > tensor.offset));

    return Array.from({ length: count }, (_, part) => {
        const own = tensors.slice(Math.floor((tensorCount * part) / count), Math.floor((tensorCount * (part + 1)) / count));
        const keys = [
            Buffer.concat([text('split.no'), u32(UINT16), Buffer.from(Uint16Array.of(part).buffer)]),
            Buffer.concat([text('split.count'), u32(UINT16), Buffer.from(Uint16Array.of(count).buffer)]),
            Buffer.concat([text('split.tensors.count'), u32(INT32), u32(tensorCount)]),
        ];
        let offset = 0;
        const heads = own.map((tensor) => {
            const head = Buffer.concat([tensor.head, u64(offset)]);
            offset += padded(tensor.data.length);
            return head;
        });
        const head = Buffer.concat([bytes.subarray(0, 8), u64(own.length), u64(keys.length + (part ? 0 : keyCount)), ...keys, ...(part ? [] : [metadata]), ...heads]);
        const body = own.map((tensor) => Buffer.concat([tensor.data, Buffer.alloc(padded(tensor.data.length) - tensor.data.length)]));
        const number = (value) => String(value).padStart(5, '0');
        return {
            name: `${name}-${number(part + 1)}-of-${number(count)}.gguf`,
            bytes: Buffer.concat([head, Buffer.alloc(padded(head.length) - head.length), ...body]),
        };
    });
}
