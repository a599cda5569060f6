// What the browser tests share: Chromium with a software GPU, a served site, and a page whose errors are collected.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

// The folder with node_modules is not above this file: SX_NPM_MODULES names it.
export const npm = process.env.SX_NPM_MODULES ?? join(import.meta.dirname, '../../build/npm/node_modules');
const require = createRequire(pathToFileURL(join(npm, 'x.js')));
const { chromium } = require('playwright-core');
export const axePath = require.resolve('axe-core/axe.min.js');

const EXECUTABLES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const FLAGS = ['--no-sandbox', '--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--enable-features=Vulkan',
    '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

// How long a condition may take to come true: only a test that fails waits for it. Machines are busy, GPUs are software.
export const PATIENCE = 300000;

export function launch({ gpu = true, ...options } = {}) {
    const executablePath = process.env.SX_CHROMIUM ?? EXECUTABLES.find(existsSync);
    return chromium.launch({ executablePath, args: gpu ? FLAGS : FLAGS.filter((flag) => !/webgpu|Vulkan/.test(flag)), ...options });
}

// A browser whose caches (files, shaders, offline copies) are kept in `folder` from one launch to the next.
export function launchKept(folder, options = {}) {
    const executablePath = process.env.SX_CHROMIUM ?? EXECUTABLES.find(existsSync);
    return chromium.launchPersistentContext(folder, { executablePath, args: FLAGS, ...options });
}

// A page that notes what must not happen: errors, and requests to other places.
export async function openPage(context, url) {
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE);
    page.problems = [];
    page.on('pageerror', (error) => page.problems.push(`error: ${error.message}`));
    page.on('console', (message) => {
        if (message.type() === 'error') page.problems.push(`console: ${message.text()}`);
    });
    page.on('request', (request) => {
        if (!request.url().startsWith(url) && !/^(data|blob):/.test(request.url())) page.problems.push(`request: ${request.url()}`);
    });
    await page.goto(url);
    return page;
}

export const ready = (page) => page.waitForFunction(() => document.documentElement.dataset.model === 'ready');
export const idle = (page) => page.waitForFunction(() => document.documentElement.dataset.busy === 'false');
// Fades and slides are over.
export const still = (page) => page.evaluate(() => Promise.all(document.getAnimations().map(({ finished }) => finished.catch(() => {}))));
