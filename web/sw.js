// Keeps the whole site for use without a network. The version changes with any file, so a new site is fetched whole,
// beside the old one, and takes over with the next visit. Models from other places are kept elsewhere (worker/cache.js).
const VERSION = '@VERSION@';
const FILES = [/* @FILES@ */];

const NAME = `specexit-${VERSION}`;

self.addEventListener('install', (event) => {
    event.waitUntil(
        (async () => {
            const cache = await caches.open(NAME);
            await cache.addAll(FILES.map((file) => new Request(file, { cache: 'no-cache' })));
            await self.skipWaiting();
        })(),
    );
});

self.addEventListener('activate', (event) => {
    event.waitUntil(
        (async () => {
            for (const name of await caches.keys()) {
                if (name.startsWith('specexit-') && name !== NAME) await caches.delete(name);
            }
            await self.clients.claim();
        })(),
    );
});

self.addEventListener('fetch', (event) => {
    const { request } = event;
    if (request.method !== 'GET' || new URL(request.url).origin !== location.origin || request.headers.has('Range')) return;
    event.respondWith(
        (async () => {
            const cache = await caches.open(NAME);
            const kept = await cache.match(request, { ignoreSearch: true });
            return kept ?? fetch(request);
        })(),
    );
});
