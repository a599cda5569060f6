// What to do where there is no WebGPU, by browser.
import { h } from './dom.js';

function browser() {
    const agent = navigator.userAgent;
    if (/Firefox\//.test(agent)) return 'firefox';
    if (/Edg\//.test(agent)) return 'edge';
    if (/Chrome\/|Chromium\//.test(agent)) return /Android/.test(agent) ? 'android' : 'chrome';
    if (/Safari\//.test(agent)) return 'safari';
    return 'other';
}

const STEPS = {
    chrome: ['Chrome and Chromium', [
        'Update to the newest version; WebGPU is there since 113.',
        'Open chrome://gpu and look for “WebGPU: Hardware accelerated”.',
        'If it is disabled: turn on “Use graphics acceleration” under Settings, System, and start the browser again.',
        'On Linux, open chrome://flags/#enable-unsafe-webgpu and chrome://flags/#enable-vulkan, and enable both.',
    ]],
    edge: ['Edge', [
        'Update to the newest version; WebGPU is there since 113.',
        'Turn on “Use graphics acceleration when available” under Settings, System and performance, and start the browser again.',
        'Open edge://gpu and look for “WebGPU: Hardware accelerated”.',
    ]],
    android: ['Chrome on Android', ['Update Chrome and Android: WebGPU needs Chrome 121 and Android 12.', 'Close other tabs: a phone’s GPU memory is small.']],
    firefox: ['Firefox', [
        'Windows since 141, macOS with Apple silicon since 145: update.',
        'Elsewhere use Firefox Nightly, or open about:config and set dom.webgpu.enabled to true.',
    ]],
    safari: ['Safari', ['Since Safari 26 (macOS Tahoe, iOS 26, iPadOS 26): update the system.', 'Before that: Develop, Feature Flags, WebGPU.']],
    other: ['This browser', ['Use a current Chrome, Edge, Safari or Firefox.']],
};

export function noWebGpuHelp(message) {
    const own = browser();
    const others = Object.keys(STEPS).filter((name) => name !== own && name !== 'other');
    const section = (name) => [h('h3', {}, STEPS[name][0]), h('ol', {}, STEPS[name][1].map((step) => h('li', {}, step)))];
    return h('div', { class: 'help', id: 'no-webgpu' },
        h('h2', {}, 'This page needs WebGPU'),
        h('p', {}, message, ' The model runs on your own GPU, and WebGPU is how a page may use it.'),
        section(own),
        h('details', {}, h('summary', {}, 'Other browsers'), others.map(section)),
        h('p', {}, 'Without it, the same model runs from the command line and in the desktop program.'));
}
