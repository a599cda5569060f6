// Serves a folder on 127.0.0.1 with the headers that the page wants in production, too: its Content-Security-Policy,
// isolation (for precise clocks), types, and byte ranges.
//
//     node serve.mjs <folder> [port]
import { createReadStream, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize, resolve, sep } from 'node:path';
import { pathToFileURL } from 'node:url';

const TYPES = {
    '.html': 'text/html; charset=utf-8',
    '.js': 'text/javascript; charset=utf-8',
    '.mjs': 'text/javascript; charset=utf-8',
    '.css': 'text/css; charset=utf-8',
    '.svg': 'image/svg+xml',
    '.wasm': 'application/wasm',
    '.webmanifest': 'application/manifest+json',
    '.txt': 'text/plain; charset=utf-8',
};

// Models may be loaded from any https address that the user names, and from this machine; nothing else leaves the page.
export const POLICY = [
    "default-src 'none'",
    "script-src 'self' 'wasm-unsafe-eval'",
    "style-src 'self'",
    "img-src 'self' data: blob:",
    "connect-src 'self' https: http://127.0.0.1:* http://localhost:*",
    "worker-src 'self'",
    "manifest-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
].join('; ');

const HEADERS = {
    'Content-Security-Policy': POLICY,
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Embedder-Policy': 'require-corp',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
    'Cache-Control': 'no-cache',
    'Accept-Ranges': 'bytes',
};

function rangeOf(header, size) {
    const match = /^bytes=(\d+)-(\d*)$/.exec(header ?? '');
    if (!match) return null;
    const start = Number(match[1]);
    const end = match[2] ? Math.min(Number(match[2]), size - 1) : size - 1;
    return { start, end, valid: start <= end };
}

export function serve(folder, port = 0) {
    const root = resolve(folder);
    const server = createServer((request, response) => {
        const answer = (status, headers = {}) => response.writeHead(status, { ...HEADERS, ...headers });
        let path;
        try {
            path = join(root, normalize(decodeURIComponent(new URL(request.url, 'http://localhost').pathname)));
        } catch {
            return answer(400).end();
        }
        if (path !== root && !path.startsWith(root + sep)) return answer(403).end();
        let stat = statSync(path, { throwIfNoEntry: false });
        if (stat?.isDirectory()) {
            path = join(path, 'index.html');
            stat = statSync(path, { throwIfNoEntry: false });
        }
        if (!stat) return answer(404).end('not found');
        if (request.method !== 'GET' && request.method !== 'HEAD') return answer(405).end();
        const headers = { 'Content-Type': TYPES[extname(path)] ?? 'application/octet-stream', ETag: `"${stat.size}-${Math.floor(stat.mtimeMs)}"` };
        const range = rangeOf(request.headers.range, stat.size);
        if (range && !range.valid) return answer(416, { 'Content-Range': `bytes */${stat.size}` }).end();
        const { start, end } = range ?? { start: 0, end: stat.size - 1 };
        answer(range ? 206 : 200, {
            ...headers,
            'Content-Length': end - start + 1,
            ...(range && { 'Content-Range': `bytes ${start}-${end}/${stat.size}` }),
        });
        if (request.method === 'HEAD' || !stat.size) return response.end();
        createReadStream(path, { start, end }).on('error', () => response.destroy()).pipe(response);
    });
    return new Promise((done) => server.listen(port, '127.0.0.1', () => done({ server, url: `http://127.0.0.1:${server.address().port}/` })));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
    const { url } = await serve(process.argv[2] ?? '.', Number(process.argv[3] ?? 8080));
    console.log(`specexit: ${url}`);
}
