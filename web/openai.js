// OpenAI's chat.completions over a model, for code that was written against it. Thinking comes as `reasoning_content`,
// as servers of reasoning models send it.
import { SpecexitError } from './worker/error.js';

const FINISH = { 'end-of-turn': 'stop', 'stop-string': 'stop', stopped: 'stop', maximum: 'length', looped: 'length' };

function optionsOf({ max_tokens, max_completion_tokens, temperature, top_p, top_k, min_p, presence_penalty,
    frequency_penalty, repetition_penalty, seed, stop, logit_bias, reasoning_effort, specexit }) {
    return {
        maximumTokens: max_completion_tokens ?? max_tokens,
        temperature: temperature ?? 1,
        topP: top_p,
        topK: top_k,
        minP: min_p,
        presencePenalty: presence_penalty,
        frequencyPenalty: frequency_penalty,
        repetitionPenalty: repetition_penalty,
        seed: seed ?? Math.floor(Math.random() * 2 ** 32),
        stop: stop === undefined || stop === null ? undefined : [stop].flat(),
        bias: logit_bias,
        noThinking: reasoning_effort === 'none' || undefined,
        ...specexit, // the engine's own options: policy, confidence, draft, ...
    };
}

function usageOf(stats) {
    return {
        prompt_tokens: stats.promptTokens,
        completion_tokens: stats.tokens,
        total_tokens: stats.promptTokens + stats.tokens,
        prompt_tokens_details: { cached_tokens: stats.reusedTokens },
        completion_tokens_details: {
            reasoning_tokens: stats.thinkingTokens,
            accepted_prediction_tokens: stats.accepted,
            rejected_prediction_tokens: stats.drafted - stats.accepted,
        },
    };
}

function deltaOf(event) {
    return event.channel === 'thinking' ? { reasoning_content: event.text } : { content: event.text };
}

async function* chunks(reply, head, includeUsage) {
    const chunk = (delta, finish_reason = null, extra = {}) => ({
        ...head, object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason, logprobs: null }], ...extra,
    });
    yield chunk({ role: 'assistant', content: '' });
    for await (const event of reply) {
        if (event.kind === 'text' && event.text) yield chunk(deltaOf(event));
        else if (event.kind === 'exit') yield chunk({}, null, { specexit: { exit: event } });
        else if (event.kind === 'done') {
            yield chunk({}, FINISH[event.reason] ?? 'stop');
            if (includeUsage) yield { ...head, object: 'chat.completion.chunk', choices: [], usage: usageOf(event.stats) };
        }
    }
}

async function whole(reply, head) {
    const message = { role: 'assistant', content: '', reasoning_content: '', refusal: null };
    let done = null;
    let exit = null;
    for await (const event of reply) {
        if (event.kind === 'text') message[event.channel === 'thinking' ? 'reasoning_content' : 'content'] += event.text;
        else if (event.kind === 'exit') exit = event;
        else if (event.kind === 'done') done = event;
    }
    return {
        ...head,
        object: 'chat.completion',
        choices: [{ index: 0, message, finish_reason: FINISH[done.reason] ?? 'stop', logprobs: null }],
        usage: usageOf(done.stats),
        specexit: { exit },
    };
}

export function completions(model) {
    return {
        async create(request, { signal } = {}) {
            if (!Array.isArray(request.messages)) throw new SpecexitError('argument', 'messages must be a list');
            if ((request.n ?? 1) !== 1) throw new SpecexitError('unsupported', 'n: only one choice is made');
            const reply = model.chat(request.messages.map((message) => ({ ...message, role: message.role === 'developer' ? 'system' : message.role })),
                { ...optionsOf(request), signal });
            const head = { id: `chatcmpl-${crypto.randomUUID()}`, created: Math.floor(Date.now() / 1000), model: model.info.modelName };
            if (!request.stream) return whole(reply, head);
            return chunks(reply, head, request.stream_options?.include_usage);
        },
    };
}
