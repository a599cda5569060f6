// Small helpers over the DOM.

// h('button', { type: 'button', class: 'quiet', onclick: f, 'aria-label': 'x' }, 'text', node, ...)
export function h(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
        if (value === undefined || value === null || value === false) continue;
        if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
        else element.setAttribute(name, value === true ? '' : value);
    }
    element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
    return element;
}

export function svg(tag, attributes = {}, ...children) {
    const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
}

export const $ = (id) => document.getElementById(id);

// Said by screen readers, seen by nobody.
export function announce(text) {
    $('announcer').textContent = text;
}

export function formatBytes(bytes) {
    if (bytes >= 2 ** 30) return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
    if (bytes >= 2 ** 20) return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
    return `${Math.ceil(bytes / 1024)} KiB`;
}

export function formatCount(count) {
    if (count >= 1e9) return `${(count / 1e9).toFixed(1)} B`;
    if (count >= 1e6) return `${(count / 1e6).toFixed(1)} M`;
    return String(count);
}

export function formatSeconds(seconds) {
    if (seconds >= 90) return `${Math.round(seconds / 60)} min`;
    return seconds >= 10 ? `${Math.round(seconds)} s` : `${seconds.toFixed(1)} s`;
}

// At most one call per frame, with the newest arguments.
export function perFrame(work) {
    let scheduled = false;
    return () => {
        if (scheduled) return;
        scheduled = true;
        requestAnimationFrame(() => {
            scheduled = false;
            work();
        });
    };
}

// A modal dialog with a heading and a close button; removed when it is closed.
export function openDialog(title, body, { onclose } = {}) {
    const close = h('button', { type: 'button', class: 'quiet icon', 'aria-label': 'Close' });
    close.append(svg('svg', { viewBox: '0 0 20 20', 'aria-hidden': 'true' }, svg('path', { d: 'M5 5l10 10M15 5L5 15' })));
    const dialog = h('dialog', { 'aria-label': title }, h('div', { class: 'dialog-head' }, h('h2', {}, title), close),
        h('div', { class: 'dialog-body' }, body));
    close.onclick = () => dialog.close();
    dialog.addEventListener('click', (event) => {
        if (event.target === dialog) dialog.close();
    });
    dialog.addEventListener('close', () => {
        dialog.remove();
        onclose?.();
    });
    document.body.append(dialog);
    dialog.showModal();
    return dialog;
}
