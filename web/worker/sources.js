// Where a model's bytes come from. A source is { name, size, readInto(offset, view), close() }; readInto is called by
// the wasm while it loads, fills the whole view or returns false, and cannot wait: hence a worker, where files can be
// read synchronously.

export class MemorySource {
    constructor(name, bytes) {
        this.name = name;
        this.size = bytes.length;
        this.bytes = bytes;
    }

    readInto(offset, view) {
        if (offset + view.length > this.size) return false;
        view.set(this.bytes.subarray(offset, offset + view.length));
        return true;
    }

    close() {}
}

// A File or Blob: dropped, picked, or from storage that gives no access handle.
export class BlobSource {
    #reader = new FileReaderSync();

    constructor(name, blob) {
        this.name = name;
        this.size = blob.size;
        this.changed = blob.lastModified; // of a File
        this.blob = blob;
    }

    readInto(offset, view) {
        if (offset + view.length > this.size) return false;
        const bytes = this.#reader.readAsArrayBuffer(this.blob.slice(offset, offset + view.length));
        if (bytes.byteLength !== view.length) return false;
        view.set(new Uint8Array(bytes));
        return true;
    }

    close() {}
}

// An access handle of the browser's private file system: no copy, no message to another process.
export class HandleSource {
    constructor(name, handle) {
        this.name = name;
        this.size = handle.getSize();
        this.handle = handle;
    }

    readInto(offset, view) {
        if (offset + view.length > this.size) return false;
        let done = 0;
        while (done < view.length) {
            const count = this.handle.read(view.subarray(done), { at: offset + done });
            if (!count) return false;
            done += count;
        }
        return true;
    }

    close() {
        this.handle.close();
    }
}
