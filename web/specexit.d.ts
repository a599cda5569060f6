// Reasoning models that know when to stop thinking, in the browser, on WebGPU. Nothing is sent anywhere: models come
// from an address or a file, and the engine runs in a worker of the page.

/** An error with a code such as "format", "gpu-memory", "storage", "no-device", "device-lost", "context" or "argument". */
export class SpecexitError extends Error {
    readonly code: string;
    constructor(code: string, message: string);
}

/** Where a model comes from: the one that ships with this module, an address (split GGUF: that of the first part), or files. */
export type ModelPart = 'bundled' | string | URL | { url: string; sha256?: string } | Blob | readonly (string | URL | Blob)[];

export interface LoadProgress {
    stage: 'downloading' | 'opening' | 'uploading' | 'compiling' | 'testing' | 'ready';
    /** Of the download, then of the load, 0..1. */
    fraction: number;
    bytesLoaded: number;
    bytesTotal: number;
    /** While downloading. */
    file?: string;
}

export interface EngineOptions {
    /** Tokens a conversation may have; default: the model's own, at most 8,192. */
    context?: number;
    kvType?: 'f16' | 'q8_0';
    /**
     * 'fast' rounds activations to 8 bits where weights are quantised, and multiplies them by packed integer dot products.
     * It stays 'full' on GPUs without them (`ModelInfo.precision`). Default: 'full'.
     */
    precision?: 'full' | 'fast';
    /** Turn F16, BF16 and F32 draft matrices into Q8_0 while loading. */
    quantizeDraft?: boolean;
    /** Force a chat template instead of recognising the model's own. */
    template?: string;
    /** Another worker script. */
    worker?: string | URL;
}

export interface LoadOptions extends EngineOptions {
    /** GGUF. Default: 'bundled'. */
    target?: ModelPart;
    /** EAGLE-3 draft: GGUF, or safetensors with its config.json. Default: the bundled one with the bundled target. */
    draft?: ModelPart | null;
    onProgress?: (progress: LoadProgress) => void;
    /** Aborting rejects with an AbortError; a download goes on from there next time. */
    signal?: AbortSignal;
}

export interface DeviceInfo {
    name: string;
    vendor: string;
    architecture: string;
    /** A software adapter: correct but slow. */
    isFallback: boolean;
    features: string[];
    wgslFeatures: string[];
    maxBufferSize: number;
    maxStorageBufferBindingSize: number;
    subgroupMinSize: number;
    subgroupMaxSize: number;
}

export type SignalName = 'confidence' | 'progress' | 'remain';

export interface ModelInfo {
    modelName: string;
    architecture: string;
    format: string;
    /** "" when unknown: then only `complete` works. */
    templateName: string;
    /** "" without a draft. */
    draftName: string;
    device: string;
    layers: number;
    hidden: number;
    vocabulary: number;
    context: number;
    parameters: number;
    weightBytes: number;
    kvBytes: number;
    scratchBytes: number;
    signals: SignalName[];
    thinks: boolean;
    /** Speculation changes no bit on this device (its self-test says so). */
    bitwiseLossless: boolean;
    precision: 'full' | 'fast';
    draftAcceptance: number;
    loadSeconds: number;
    /** When thinking is left unless GenerateOptions say otherwise: what the draft was calibrated with, else the defaults named there. */
    thresholds: { confidence: number; progress: number; remain: number; margin: number; entropy: number };
    version: string;
    /** Compute pipelines that were made while loading. */
    pipelines: number;
    gpu: DeviceInfo;
}

export interface Message {
    role: 'system' | 'user' | 'assistant' | 'tool';
    content: string | readonly { type: string; text?: string }[];
    /** Of an assistant: its thinking. */
    reasoning?: string;
}

export interface GenerateOptions {
    /** Aborting ends the reply: a `done` event with the reason "stopped" follows. */
    signal?: AbortSignal;
    noThinking?: boolean;
    /** Start the reply with the think marker, for models that do not think by themselves. */
    prefillThinking?: boolean;
    maximumTokens?: number;
    /** At most 16. */
    stop?: string[];
    /** 0 (default): greedy. */
    temperature?: number;
    topK?: number;
    topP?: number;
    minP?: number;
    presencePenalty?: number;
    frequencyPenalty?: number;
    repetitionPenalty?: number;
    /** The same seed, settings and prompt give the same text, with any draft. */
    seed?: number | bigint;
    /** Added to the logits, by token; at most 64. */
    bias?: Record<number, number>;
    /** When thinking ends. Default "auto": signals where the model has them, else margin. */
    policy?: 'auto' | 'none' | 'signals' | 'margin' | 'entropy';
    /** Bit set of the signals that must agree: confidence 1, progress 2, remain 4; 0: all there are. */
    signals?: number;
    /** Leave above; default 0.8. */
    confidence?: number;
    /** Leave above; default 0.3. */
    progress?: number;
    /** Leave below, in tokens; default 200. */
    remain?: number;
    smoothing?: 'auto' | 'ewma' | 'momentum' | 'mean' | 'paragraph-mean' | 'raw';
    alpha?: number;
    margin?: number;
    entropy?: number;
    referenceMode?: boolean;
    referenceSplits?: boolean;
    noLoopGuard?: boolean;
    minimumThinking?: number;
    /** Leave at the first step that ends after this many thinking tokens. */
    softBudget?: number;
    /** Leave at this many thinking tokens. */
    hardBudget?: number;
    /** Said before the thinking is closed. */
    exitMessage?: string;
    draft?: 'auto' | 'none' | 'ngram' | 'chain' | 'tree';
    depth?: number;
    branch?: number;
    nodes?: number;
}

/** A rule of exit: options to be spread into those of a reply, and what it did on the prompts it was calibrated on. */
export interface ExitRule {
    options: Pick<GenerateOptions, 'policy' | 'signals' | 'confidence' | 'progress' | 'remain' | 'smoothing' | 'alpha'>;
    /** Share of the prompts that were right. */
    accuracy: number;
    /** Mean thinking tokens. */
    tokens: number;
}

/** What `specexit calibrate -o` wrote. */
export interface Profile {
    modelName: string;
    /** It was calibrated on another quantisation of the model. */
    otherFormat: boolean;
    /** Without exit. */
    fullAccuracy: number;
    fullTokens: number;
    /** For what was asked of `calibrate`. */
    chosen?: ExitRule;
    /** From think little to think long. */
    levels: ExitRule[];
}

/** Confidence and progress in 0..1, remain in thinking tokens; null where the engine has no number. */
export interface Signals {
    confidence: number | null;
    progress: number | null;
    remain: number | null;
}

export interface Stats {
    promptTokens: number;
    reusedTokens: number;
    tokens: number;
    thinkingTokens: number;
    answerTokens: number;
    forcedTokens: number;
    cycles: number;
    drafted: number;
    accepted: number;
    /** Tokens per cycle. */
    acceptanceLength: number;
    submits: number;
    readbacks: number;
    readbackBytes: number;
    prefillSeconds: number;
    decodeSeconds: number;
    firstTokenSeconds: number;
}

export type ExitReason = 'natural' | 'signals' | 'margin' | 'entropy' | 'loop' | 'soft-budget' | 'hard-budget' | 'answer-now';

interface SignalFields {
    tokenIndex: number;
    /** The token ends a step. */
    boundary: boolean;
    raw?: Signals;
    smoothed?: Signals;
    margin: number | null;
    entropy: number | null;
}

export type ReplyEvent =
    | { kind: 'prefill'; done: number; total: number; stats: Stats }
    /** `text` is empty for tokens that are not shown, such as the markers around the thinking. */
    | { kind: 'text'; channel: 'thinking' | 'answer'; text: string; firstToken: number; tokens: number[]; stats: Stats }
    | ({ kind: 'signals' } & SignalFields)
    /** Thinking has ended; `sentence` says why in plain words. */
    | ({ kind: 'exit'; reason: ExitReason; sentence: string; stats: Stats } & SignalFields)
    /** Thinking goes on: what came after the last `exit` no longer counts. */
    | { kind: 'withdrawn' }
    | { kind: 'done'; reason: 'end-of-turn' | 'maximum' | 'stop-string' | 'looped' | 'stopped'; stats: Stats };

/** What the reply cost outside the GPU. */
export interface Metrics {
    /** JavaScript and wasm, all cycles together. */
    hostMs: number;
    hostMsMax: number;
    /** Of the polls that brought events; 0 while the reply runs. */
    hostMsMedian: number;
    cycles: number;
    submits: number;
    maps: number;
}

/** The events of one reply. Leaving the loop early stops it; the iteration throws when the reply fails. */
export interface Reply extends AsyncIterable<ReplyEvent> {
    readonly running: boolean;
    readonly metrics: Metrics | null;
    /** End the thinking with the next token. */
    answerNow(): Promise<void>;
    /**
     * Go on thinking from where it was left. While the reply runs, its own events go on (after a `withdrawn`); after it
     * is done, iterate the reply that is returned.
     */
    keepThinking(): Promise<Reply>;
    stop(): Promise<void>;
}

/** One conversation: what a prompt shares with the one before is not computed again. Its replies wait for one another. */
export interface Session {
    chat(messages: readonly Message[], options?: GenerateOptions): Reply;
    complete(prompt: string, options?: GenerateOptions): Reply;
    tokens(): Promise<number[]>;
    /** A reply that is running fails with an AbortError. */
    close(): Promise<void>;
}

export type DeviceNews =
    | { state: 'lost'; message: string }
    | { state: 'loading'; progress: LoadProgress }
    | { state: 'restored'; info: ModelInfo }
    | { state: 'gone'; message: string };

export interface ChatFunction {
    (messages: readonly Message[], options?: GenerateOptions): Reply;
    /** As in OpenAI's client; thinking comes as `reasoning_content`, engine options go into `specexit`. */
    readonly completions: {
        create(request: ChatCompletionRequest & { stream: true }, options?: { signal?: AbortSignal }): Promise<AsyncIterable<any>>;
        create(request: ChatCompletionRequest, options?: { signal?: AbortSignal }): Promise<any>;
    };
}

export interface ChatCompletionRequest {
    messages: readonly { role: string; content?: Message['content'] | null }[];
    model?: string;
    stream?: boolean;
    stream_options?: { include_usage?: boolean };
    max_tokens?: number;
    max_completion_tokens?: number;
    temperature?: number;
    top_p?: number;
    top_k?: number;
    min_p?: number;
    presence_penalty?: number;
    frequency_penalty?: number;
    repetition_penalty?: number;
    seed?: number;
    stop?: string | string[];
    logit_bias?: Record<number, number>;
    reasoning_effort?: string;
    n?: 1;
    specexit?: GenerateOptions;
}

export interface Model {
    readonly info: ModelInfo;
    /** In the model's own conversation. */
    readonly chat: ChatFunction;
    /** A raw prompt, without the chat template. */
    complete(prompt: string, options?: GenerateOptions): Reply;
    createSession(options?: { context?: number; depth?: 1 | 2 }): Session;
    /** Tokens of the model's own conversation: the prompt and the reply so far. */
    tokens(): Promise<number[]>;
    render(messages: readonly Message[], options?: { noThinking?: boolean }): Promise<string>;
    tokenize(text: string, options?: { special?: boolean }): Promise<number[]>;
    /** The text of a profile; rejects with the code "format" or, for another model's, "mismatch". */
    readProfile(text: string): Promise<Profile>;
    /** Told when the GPU was reset. The engine comes back by itself and a running reply goes on. */
    onDevice: (news: DeviceNews) => void;
    /** Destroys the GPU device, to try that. */
    loseDevice(): Promise<void>;
    /** What is running, and every call from then on, fails with an AbortError. */
    close(): Promise<void>;
}

export function load(options?: LoadOptions): Promise<Model>;

export interface Plan {
    files: { url: string; name: string; size: number; have: number }[];
    bytes: number;
    /** Still to be downloaded. */
    missing: number;
    usage: number;
    quota: number;
    /** The GPU grants that much memory. */
    fits: boolean;
    /** The browser's storage takes what is missing. */
    stored: boolean;
}

/** What loading would take, before anything is downloaded. */
export function plan(options: { target: ModelPart; draft?: ModelPart | null; signal?: AbortSignal; worker?: string | URL }): Promise<Plan>;

/** The GPU that would be used; rejects with the code "no-device" where there is none. */
export function probeDevice(options?: { worker?: string | URL }): Promise<DeviceInfo>;

export interface CachedModel {
    key: string;
    url: string;
    name: string;
    size: number;
    have: number;
    complete: boolean;
    sha256?: string;
}

/** Models kept in the browser. */
export const cache: {
    list(options?: { worker?: string | URL }): Promise<CachedModel[]>;
    remove(key: string, options?: { worker?: string | URL }): Promise<void>;
    space(options?: { worker?: string | URL }): Promise<{ usage: number; quota: number }>;
    /** Asks the browser not to clear them when space runs short. */
    persist(): Promise<boolean>;
    persisted(): Promise<boolean>;
};
