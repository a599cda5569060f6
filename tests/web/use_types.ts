// Code against the module's types, each of them in a place where it must fit. Compiled, not run.
import { cache, load, plan, probeDevice, SpecexitError } from '../../web/specexit.js';
import type { CachedModel, ChatCompletionRequest, ChatFunction, DeviceInfo, DeviceNews, EngineOptions, ExitReason, ExitRule, GenerateOptions,
    LoadOptions, LoadProgress, Message, Metrics, Model, ModelInfo, ModelPart, Plan, Profile, Reply, ReplyEvent, Session, SignalName, Signals, Stats } from '../../web/specexit.js';

const file = new File([], 'model.gguf');
const parts: ModelPart[] = ['bundled', new URL('https://example.org/model.gguf'), { url: 'model.gguf', sha256: '00' }, file, [file, file], ['a.gguf', 'b.gguf'] as const];
const { signal } = new AbortController();
const engine: EngineOptions = { context: 4096, kvType: 'q8_0', precision: 'fast', quantizeDraft: true, template: 'qwen3', worker: new URL('https://example.org/worker.js') };
const onProgress = ({ stage, fraction, file: name }: LoadProgress) => console.log(stage, fraction, name?.length);
const options: LoadOptions = { ...engine, target: parts[0], draft: null, onProgress, signal };
const generate: GenerateOptions = { seed: 1n, stop: ['x'], bias: { 5: 1 }, policy: 'signals', smoothing: 'paragraph-mean', draft: 'tree', signal };
const messages: Message[] = [{ role: 'user', content: [{ type: 'text', text: 'x' }] }, { role: 'assistant', content: 'a', reasoning: 'b' }];

function told(event: ReplyEvent): string | number | null | undefined {
    switch (event.kind) {
        case 'prefill': return event.done / event.total;
        case 'text': return event.channel === 'thinking' ? event.text : event.tokens.length;
        case 'signals': return (event.smoothed satisfies Signals | undefined)?.confidence ?? event.margin;
        case 'exit': return (event.reason satisfies ExitReason) + event.sentence;
        case 'withdrawn': return null;
        case 'done': return event.reason + (event.stats satisfies Stats).tokens;
        default: return event satisfies never;
    }
}

async function follow(reply: Reply): Promise<number | undefined> {
    for await (const event of reply) console.log(told(event));
    await reply.answerNow();
    await reply.stop();
    const again: Reply = await reply.keepThinking();
    const metrics: Metrics | null = again.running ? again.metrics : null;
    return metrics?.hostMs;
}

async function complete({ completions }: ChatFunction) {
    const request: ChatCompletionRequest = { messages: [{ role: 'user', content: 'x' }, { role: 'assistant', content: null }], specexit: generate };
    for await (const chunk of await completions.create({ ...request, stream: true })) console.log(chunk.choices[0]?.delta.content);
    console.log((await completions.create({ messages: [{ role: 'user', content: 'x' }], max_tokens: 4 }, { signal })).choices[0].message.content);
    console.log((await completions.create(request)).usage); // streamed or not: only the caller knows
}

export async function use() {
    await load();
    const model: Model = await load(options);
    const info: ModelInfo = model.info;
    const gpu: DeviceInfo = info.gpu;
    const names: SignalName[] = info.signals;
    console.log(gpu.name, names, await follow(model.chat(messages, generate)));
    await complete(model.chat);
    const session: Session = model.createSession({ context: 512, depth: 1 });
    await follow(session.complete('x'));
    await session.tokens();
    await session.close();
    const profile: Profile = await model.readProfile('{}');
    const rule: ExitRule | undefined = profile.levels[0];
    await follow(model.complete('x', { ...rule?.options }));
    model.onDevice = (news: DeviceNews) => console.log(news.state === 'restored' ? news.info.modelName : news.state === 'loading' ? news.progress.fraction : news.message);
    console.log(await model.render(messages, { noThinking: true }), await model.tokenize('x', { special: true }), await model.tokens());
    await model.loseDevice();
    await model.close();
}

export async function look() {
    try {
        const planned: Plan = await plan({ target: 'model.gguf', draft: null, signal });
        const device: DeviceInfo = await probeDevice({ worker: 'worker.js' });
        const kept: CachedModel[] = await cache.list();
        await cache.remove(kept[0]?.key ?? '');
        console.log(planned.fits, device.name, kept[0]?.sha256, (await cache.space()).quota, await cache.persist(), await cache.persisted());
    } catch (error) {
        if (error instanceof SpecexitError) console.log(error.code satisfies string, error.message);
    }
}
