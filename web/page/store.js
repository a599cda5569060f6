// Conversations in the browser's database, and their export and import as one JSON file.
//
// A conversation: { id, title, created, updated, messages: [{ role, content, reasoning?, exit?, series?, stats?,
// ended? }] }, times in milliseconds; `series` are the smoothed signals, one [confidence, progress, remain] a thinking
// token; `ended` is the reason of the reply's `done` event, or "failed", or "open" while it is being written.
const NAME = 'specexit';
const STORE = 'conversations';
const FORMAT = 'specexit-conversations-1';

let opening = null;

function database() {
    opening ??= new Promise((resolve, reject) => {
        const request = indexedDB.open(NAME, 1);
        request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: 'id' });
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
    });
    return opening;
}

async function run(mode, work) {
    const store = (await database()).transaction(STORE, mode).objectStore(STORE);
    const request = work(store);
    return new Promise((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
    });
}

export function newConversation() {
    const now = Date.now();
    return { id: crypto.randomUUID(), title: 'New conversation', created: now, updated: now, messages: [] };
}

export async function listConversations() {
    const all = await run('readonly', (store) => store.getAll());
    return all.sort((a, b) => b.updated - a.updated);
}

export const saveConversation = (conversation) => run('readwrite', (store) => store.put({ ...conversation, updated: Date.now() }));
export const deleteConversation = (id) => run('readwrite', (store) => store.delete(id));

export async function exportConversations() {
    return new Blob([JSON.stringify({ format: FORMAT, conversations: await listConversations() }, null, 1)], { type: 'application/json' });
}

// The text of a content, which other tools write in parts, too: of those, the texts, a paragraph each. `left` counts the rest.
function contentText(content, left) {
    if (!Array.isArray(content)) return content;
    const isText = (part) => typeof part?.text === 'string' && ['text', 'input_text', 'output_text', undefined].includes(part.type);
    const texts = content.map((part) => (isText(part) ? part.text : part)).filter((part) => typeof part === 'string');
    left.parts += content.length - texts.length;
    return texts.filter(Boolean).join('\n\n') || undefined;
}

function checkedMessage(message, where, left) {
    if (!['system', 'user', 'assistant'].includes(message?.role)) throw new Error(`${where} is of no role that is kept here`);
    const content = contentText(message.content, left);
    if (typeof content !== 'string') throw new Error(`${where} has no text`);
    const text = (value) => (typeof value === 'string' ? value : undefined);
    const { exit, series, stats } = message;
    return {
        role: message.role,
        content,
        reasoning: text(message.reasoning),
        exit: exit && typeof exit === 'object' ? exit : undefined,
        series: Array.isArray(series) ? series.filter((row) => Array.isArray(row) && row.length === 3) : undefined,
        stats: stats && typeof stats === 'object' ? stats : undefined,
        ended: text(message.ended),
    };
}

// Adds the file's conversations to those that are there; returns their `count`, and how many `parts` (images, for example)
// were left out of their messages. Nothing is added when the file is damaged.
export async function importConversations(file) {
    let data;
    try {
        data = JSON.parse(await file.text());
    } catch {
        throw new Error(`${file.name}: this is not a JSON file`);
    }
    if (data?.format !== FORMAT || !Array.isArray(data.conversations)) {
        throw new Error(`${file.name}: this is not a file of exported conversations`);
    }
    const left = { parts: 0 };
    const checked = data.conversations.map((conversation, number) => {
        if (!Array.isArray(conversation?.messages)) throw new Error(`${file.name}: a conversation has no messages`);
        return {
            id: crypto.randomUUID(),
            title: String(conversation.title ?? 'Imported').slice(0, 200),
            created: Number(conversation.created) || Date.now(),
            updated: Number(conversation.updated) || Date.now(),
            messages: conversation.messages.map((message, i) =>
                checkedMessage(message, `${file.name}: message ${i + 1} of conversation ${number + 1}`, left)),
        };
    });
    for (const conversation of checked) await run('readwrite', (store) => store.put(conversation));
    return { count: checked.length, parts: left.parts };
}
