// Markdown and TeX to nodes. What a model writes is untrusted: everything passes the sanitiser.
import DOMPurify from '../vendor/purify.js';
import { Marked } from '../vendor/marked.js';
import temml from '../vendor/temml.js';

function texToken(name, pattern, display, level) {
    return {
        name,
        level,
        // (A block that could start inside a paragraph would cut it at every dollar sign.)
        ...(level === 'inline' && { start: (source) => source.match(/\\[([]|\$/)?.index }),
        tokenizer(source) {
            const match = pattern.exec(source);
            return match ? { type: name, raw: match[0], tex: match[1], display } : undefined;
        },
        renderer: ({ tex, display: block }) => temml.renderToString(tex, { displayMode: block, throwOnError: false, strict: false }),
    };
}

const marked = new Marked({ gfm: true, breaks: false });
marked.use({
    extensions: [
        texToken('texBlock', /^(?:\$\$([\s\S]+?)\$\$|\\\[([\s\S]+?)\\\])/, true, 'block'),
        texToken('texDisplay', /^(?:\$\$([\s\S]+?)\$\$|\\\[([\s\S]+?)\\\])/, true, 'inline'),
        texToken('texParen', /^\\\(([\s\S]+?)\\\)/, false, 'inline'),
        // A dollar sign next to a digit or a space is money more often than mathematics.
        texToken('texDollar', /^\$(?![\s\d.,]+(?:\s|$))([^\s$](?:[^$\n]*[^\s$])?)\$(?!\d)/, false, 'inline'),
    ].map((extension) => ({
        ...extension,
        tokenizer(source) {
            const token = extension.tokenizer(source);
            if (token) token.tex ??= token.raw.slice(2, -2);
            return token;
        },
    })),
});

DOMPurify.addHook('afterSanitizeAttributes', (node) => {
    if (node.tagName !== 'A') return;
    node.setAttribute('target', '_blank');
    node.setAttribute('rel', 'noopener noreferrer');
});

const RULES = {
    USE_PROFILES: { html: true, mathMl: true },
    FORBID_TAGS: ['img', 'style', 'form', 'input', 'button', 'iframe', 'video', 'audio'], // nothing is fetched for an answer
    FORBID_ATTR: ['style', 'id', 'name'],
    RETURN_DOM_FRAGMENT: true,
};

export function renderMarkdown(text) {
    return DOMPurify.sanitize(marked.parse(text), RULES);
}
