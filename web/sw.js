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
            const old = (await caches.keys()).filter((name) => name.startsWith('specexit-') && name !== NAME);
            // What was found of the old program (worker/selftest.js) goes with it.
            for (const name of old.length ? [...old, 'selftests'] : []) await caches.delete(name);
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
