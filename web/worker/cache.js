// Models kept in the browser's private file system (OPFS): downloads that resume where they stopped, are checked, and
// can be deleted. Each model file is two entries of the folder: <key>.bin with its bytes and <key>.json with what is
// known of it; it may be used when the latter says `complete`.
import { SpecexitError } from './error.js';
import { Sha256 } from './sha256.js';
import { BlobSource, HandleSource } from './sources.js';

const FOLDER = 'specexit-models';
const ATTEMPTS = 5;
const NOTE_EVERY = 16 * 2 ** 20; // bytes between two notes of how far a download is
const STORAGE_RESERVE = 64 * 2 ** 20;
const ROOM = 'room'; // a file that is there only while it is asked whether there is room for it

async function folder() {
    if (!navigator.storage?.getDirectory) {
        throw new SpecexitError('unsupported', 'This browser keeps no files for pages here (private window?). Choose a file instead.');
    }
    return (await navigator.storage.getDirectory()).getDirectoryHandle(FOLDER, { create: true });
}

function nameOf(url) {
    return decodeURIComponent(new URL(url).pathname.split('/').pop()) || 'model';
}

async function keyOf(url) {
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(url)));
    return [...digest.subarray(0, 12)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

async function readNote(directory, key) {
    try {
        const handle = await directory.getFileHandle(`${key}.json`);
        return JSON.parse(await (await handle.getFile()).text());
    } catch {
        return null;
    }
}

async function writeNote(directory, key, note) {
    const handle = await directory.getFileHandle(`${key}.json`, { create: true });
    const access = await handle.createSyncAccessHandle();
    try {
        const bytes = new TextEncoder().encode(JSON.stringify(note));
        access.truncate(0);
        access.write(bytes, { at: 0 });
        access.flush();
    } finally {
        access.close();
    }
}

// Size of what is behind an address without loading it; 0 where the server does not say.
async function remoteSize(url, signal) {
    const response = await fetch(url, { headers: { Range: 'bytes=0-0' }, signal }).catch((error) => {
        if (signal?.aborted) throw error;
        throw new SpecexitError('file', `${nameOf(url)}: the server cannot be reached, or does not let this page read the file. Download it and choose it from your disk.`);
    });
    await response.body?.cancel();
    if (!response.ok) throw failedResponse(url, response);
    const range = /\/(\d+)$/.exec(response.headers.get('Content-Range') ?? '');
    return range ? Number(range[1]) : Number(response.headers.get('Content-Length') ?? 0);
}

function failedResponse(url, response) {
    const hint = response.status === 404 ? ' Check the address.' : response.status === 401 || response.status === 403
        ? ' The server asks for a login; download the file and drop it here.' : '';
    return new SpecexitError('file', `${nameOf(url)}: the server answered ${response.status}.${hint}`);
}

// "model-00001-of-00003.gguf" stands for all three; a safetensors draft needs the configuration beside it.
export function expandUrl(url) {
    const split = /-00001-of-(\d{5})\.gguf$/.exec(new URL(url).pathname);
    if (split) {
        const count = Number(split[1]);
        return Array.from({ length: count }, (_, i) => url.replace('-00001-of-', `-${String(i + 1).padStart(5, '0')}-of-`));
    }
    if (/\.(safetensors|bin)$/.test(new URL(url).pathname)) return [url, new URL('config.json', url).href];
    return [url];
}

export async function list() {
    const directory = await folder();
    const models = [];
    for await (const [name] of directory.entries()) {
        if (!name.endsWith('.json')) continue;
        const key = name.slice(0, -5);
        const note = await readNote(directory, key);
        if (note) models.push({ key, ...note });
    }
    return models.sort((a, b) => (a.name < b.name ? -1 : 1));
}

export async function remove(key) {
    const directory = await folder();
    for (const suffix of ['json', 'bin']) await directory.removeEntry(`${key}.${suffix}`).catch(() => {});
}

export const forget = async (url) => remove(await keyOf(url));

// { usage, quota } in bytes, 0 where the browser does not say.
export async function space() {
    const { usage = 0, quota = 0 } = (await navigator.storage?.estimate?.()) ?? {};
    return { usage, quota };
}

// Whether the storage takes `bytes` more. Browsers say more than they grant (Chromium always 10 GiB), so a file of that
// size, which costs nothing while it is empty, is made and deleted.
async function hasRoom(bytes) {
    if (bytes <= 0) return true;
    const { usage, quota } = await space();
    if (quota && bytes + STORAGE_RESERVE > quota - usage) return false;
    const directory = await folder();
    let access;
    try {
        access = await (await directory.getFileHandle(ROOM, { create: true })).createSyncAccessHandle();
        access.truncate(bytes);
        return access.getSize() === bytes; // Chromium throws nothing
    } catch (error) {
        return error.name !== 'QuotaExceededError'; // another tab asks, too: the download will tell
    } finally {
        access?.close();
        await directory.removeEntry(ROOM).catch(() => {});
    }
}

export function noRoom(names, bytes) {
    return new SpecexitError('storage', `${names.join(', ')}: ${Math.ceil(bytes / 2 ** 20)} MiB are to be downloaded, and the browser does not grant this page so much storage. Delete other models, or choose the file from your disk.`);
}

// What loading these addresses would take: { files: [{ url, name, size, have }], bytes, missing, usage, quota, stored },
// the last: whether the storage takes what is missing.
export async function plan(urls, signal) {
    const files = [];
    const directory = await folder();
    for (const url of urls) {
        const key = await keyOf(url);
        const note = await readNote(directory, key);
        const size = note?.complete ? note.size : await remoteSize(url, signal);
        files.push({ url, name: nameOf(url), size, have: note?.complete ? note.size : (note?.have ?? 0) });
    }
    const bytes = files.reduce((sum, file) => sum + file.size, 0);
    const missing = bytes - files.reduce((sum, file) => sum + Math.min(file.have, file.size), 0);
    return { files, bytes, missing, ...(await space()), stored: await hasRoom(missing) };
}

export async function openCached(url) {
    const directory = await folder();
    const key = await keyOf(url);
    const note = await readNote(directory, key);
    if (!note?.complete) return null;
    const handle = await directory.getFileHandle(`${key}.bin`);
    let source;
    try {
        source = new HandleSource(note.name, await handle.createSyncAccessHandle({ mode: 'read-only' }));
    } catch {
        source = new BlobSource(note.name, await handle.getFile()); // another tab holds it
    }
    if (source.size === note.size) return source;
    source.close();
    await remove(key);
    throw new SpecexitError('format', `${note.name}: the stored copy is damaged and was deleted. Load it again.`);
}

// Loads what is missing of the address into the cache and opens it. `sha256` (optional) is what it must be;
// `onBytes(loaded, total)` is called as it goes.
export async function openUrl(url, { sha256, onBytes = () => {}, signal } = {}) {
    return (await openCached(url)) ?? (await download(url, { sha256, onBytes, signal }), await openCached(url));
}

async function download(url, { sha256, onBytes, signal }) {
    const directory = await folder();
    const key = await keyOf(url);
    const handle = await directory.getFileHandle(`${key}.bin`, { create: true });
    let access;
    try {
        access = await handle.createSyncAccessHandle();
    } catch {
        throw new SpecexitError('busy', `${nameOf(url)} is being loaded in another tab.`);
    }
    const note = (await readNote(directory, key)) ?? { url, name: nameOf(url), size: 0, have: 0, validator: '', complete: false };
    const job = { url, key, directory, access, note, onBytes, signal, hash: new Sha256() };
    try {
        note.have = Math.min(note.have, access.getSize());
        rehash(job);
        for (let attempt = 1; !(await fetchRest(job)); ++attempt) {
            if (attempt === ATTEMPTS) throw new SpecexitError('file', `${note.name}: the connection broke off. Try again: it goes on at ${note.have} bytes.`);
            await new Promise((resolve) => setTimeout(resolve, 500 * 2 ** attempt));
            signal?.throwIfAborted();
        }
        note.sha256 = job.hash.hex();
        const expected = sha256 ?? digestInValidator(url, note.validator);
        if (expected && expected.toLowerCase() !== note.sha256) {
            note.have = 0;
            await writeNote(directory, key, note);
            throw new SpecexitError('format', `${note.name}: what arrived is damaged (its SHA-256 is not the expected one). Load it again.`);
        }
        note.complete = true;
        access.flush();
    } finally {
        access.close();
        await writeNote(directory, key, note);
    }
}

// Some hosts give a file's SHA-256 as its validator.
function digestInValidator(url, validator) {
    if (!/(^|\.)(huggingface\.co|hf\.co)$/.test(new URL(url).hostname)) return null;
    return /^"([0-9a-f]{64})"$/.exec(validator)?.[1] ?? null;
}

// The hash continues over what an earlier visit has loaded.
function rehash(job) {
    const buffer = new Uint8Array(2 ** 20);
    for (let at = 0; at < job.note.have; ) {
        const count = job.access.read(buffer.subarray(0, Math.min(buffer.length, job.note.have - at)), { at });
        if (!count) {
            job.note.have = at;
            break;
        }
        job.hash.update(buffer.subarray(0, count));
        at += count;
    }
}

function restart(job) {
    job.note.have = 0;
    job.hash = new Sha256();
    job.access.truncate(0);
}

// One request from where the file ends. True when the file is whole, false when the connection broke off.
async function fetchRest(job) {
    const { url, note, access, signal } = job;
    let response;
    try {
        response = await fetch(url, { headers: note.have ? { Range: `bytes=${note.have}-` } : {}, signal });
    } catch (error) {
        if (signal?.aborted) throw error;
        return false;
    }
    if (response.status === 416) {
        await response.body?.cancel();
        if (note.size && note.have === note.size) return true;
        restart(job);
        return false;
    }
    if (!response.ok) throw failedResponse(url, response);
    await acceptResponse(job, response);
    const reader = response.body.getReader();
    let noted = note.have;
    try {
        for (;;) {
            const { done, value } = await reader.read();
            if (done) break;
            writeAll(access, value, note);
            job.hash.update(value);
            job.onBytes(note.have, note.size);
            if (note.have - noted < NOTE_EVERY) continue;
            access.flush();
            await writeNote(job.directory, job.key, note);
            noted = note.have;
        }
    } catch (error) {
        if (signal?.aborted || error instanceof SpecexitError) throw error;
        return false;
    }
    if (!note.size) note.size = note.have;
    return note.have === note.size;
}

// Compares what the server sends with what is there already; starts over where they do not fit.
async function acceptResponse(job, response) {
    const { note } = job;
    const range = /^bytes (\d+)-\d+\/(\d+)$/.exec(response.headers.get('Content-Range') ?? '');
    const validator = response.headers.get('ETag') ?? response.headers.get('Last-Modified') ?? '';
    const total = range ? Number(range[2]) : Number(response.headers.get('Content-Length') ?? 0);
    const continues = range && Number(range[1]) === note.have && (!note.size || total === note.size) && validator === note.validator;
    if (note.have && !continues) {
        restart(job);
        if (response.status === 206) {
            await response.body?.cancel();
            note.size = 0;
            throw new SpecexitError('file', `${note.name} has changed on the server since loading began. Load it again.`);
        }
    }
    // A compressed transfer counts other bytes than the file has.
    note.size = response.headers.get('Content-Encoding') ? 0 : total;
    note.validator = validator;
}

function writeAll(access, bytes, note) {
    for (let done = 0; done < bytes.length;) {
        let count = 0;
        try {
            count = access.write(bytes.subarray(done), { at: note.have + done });
        } catch {
            // as below
        }
        // Chromium throws nothing and returns a number of its own.
        if (!(count > 0 && count <= bytes.length - done)) {
            throw new SpecexitError('storage', `${note.name}: the browser's storage is full. Delete other models, or choose the file from your disk.`);
        }
        done += count;
    }
    note.have += bytes.length;
}
