// Translates SPIR-V to WGSL for tools/kernels.py: node wgsl.mjs <naga-wasm's node.js> <jobs.json>.
// A job: {spirv, wgsl: paths; readOnly: [bindings]}. What cannot be translated leaves its reason in <wgsl>.error.
//
// naga forgets `readonly`, so every storage buffer comes out read_write. WebGPU's validation and Tint's uniformity
// analysis need the true access, which the caller knows from the SPIR-V.
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const naga = await import(pathToFileURL(process.argv[2]).href);

function restoreAccess(wgsl, readOnly) {
    return wgsl.replace(
        /(@group\(0\)\s*@binding\((\d+)\)\s*)var<storage(?:,\s*read_write)?>/g,
        (_, head, binding) =>
            head + (readOnly.includes(Number(binding)) ? "var<storage>" : "var<storage, read_write>"),
    );
}

// naga writes subgroup operations without the directives they need. Tint proves that all lanes of a subgroup are there
// only where control flow hangs on uniforms; it does not see that a whole workgroup shares its number (a private variable
// here). SPIR-V makes no such demand, and what the native kernels rely on holds here too, so the analysis is off.
function withDirectives(text) {
    if (!/\bsubgroup[A-Z_]/.test(text)) return text;
    const enables = text.match(/^enable \w+;$/gm) ?? [];
    const body = text.replace(/^enable \w+;\n/gm, "");
    return [...enables, "enable subgroups;", "diagnostic(off, subgroup_uniformity);", body].join("\n");
}

// The function dot4I8Packed of packed.glsl becomes WGSL's own: naga numbers its parameters and keeps its name in the
// function's, so the body is what changes.
function withIntegerDots(text) {
    const form = /(fn dot4I8Packed\w*\(\w+: (ptr<function, )?u32>?, \w+: (?:ptr<function, )?u32>?\) -> i32 \{)/;
    const match = form.exec(text);
    if (!match) {
        if (/dot4I8Packed/.test(text)) throw new Error("dot4I8Packed is not of the form known here");
        return text;
    }
    const begin = match.index + match[0].length;
    const [a, b] = [...match[0].matchAll(/(\w+): /g)].map(([, name]) => (match[2] ? `(*${name})` : name));
    const body = `\n    return dot4I8Packed(${a}, ${b});\n`;
    return "requires packed_4x8_integer_dot_product;\n" + text.slice(0, begin) + body + text.slice(closingBrace(text, begin));
}

// WGSL has no buffers that are only written, and naga refuses them; glslc says `writeonly` of a member or, in newer
// versions, of the whole variable.
function withoutWriteOnly(bytes) {
    const words = new Uint32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
    const DECORATE = 71, MEMBER_DECORATE = 72, NON_READABLE = 25;
    const kept = [...words.subarray(0, 5)];
    for (let at = 5; at < words.length; at += words[at] >>> 16) {
        const opcode = words[at] & 0xffff;
        if (opcode === DECORATE && words[at + 2] === NON_READABLE) continue;
        if (opcode === MEMBER_DECORATE && words[at + 3] === NON_READABLE) continue;
        for (let i = 0; i < words[at] >>> 16; ++i) kept.push(words[at + i]);
    }
    return new Uint8Array(Uint32Array.from(kept).buffer);
}

// Tint gives every loop whose end it cannot prove a counter of 64 bits, which CPUs pay for in the innermost loops. What
// it can prove is a `for` that counts by one to a constant. So naga's loops become such, with an end that none of ours
// reaches, and leave by their own condition. naga writes
//
//     loop { ... if (c) { ... continue; } else { break; } continuing { step } }
//
// and becomes for (...) { ... if (c) { ... step } else { break; } }; a loop with another `continue` is left as it is.
function boundLoops(text) {
    const form = /continue;(\s*\} else \{\s*break;\s*\})\s*continuing \{([^{}]*)\}\s*$/;
    const count = (body, pattern) => body.match(pattern)?.length ?? 0;
    let done = "";
    let rest = text;
    for (let at = rest.search(/\bloop \{/); at >= 0; at = rest.search(/\bloop \{/)) {
        const begin = at + "loop {".length;
        const end = closingBrace(rest, begin);
        const body = rest.slice(begin, end);
        // Every loop within has a `continue` of its own.
        const known = form.test(body) && count(body, /\bcontinue;/g) === count(body, /\bloop \{/g) + 1;
        done += rest.slice(0, at) + (known ? "for (var turn = 0u; turn < 4294967295u; turn = turn + 1u) {" : "loop {");
        rest = (known ? body.replace(form, "$2$1") : body) + rest.slice(end);
    }
    return done + rest;
}

// Where the brace is that ends the block whose contents begin at `from`.
function closingBrace(text, from) {
    let at = from;
    for (let depth = 1; ; ++at) {
        if (text[at] === "{") ++depth;
        if (text[at] === "}" && --depth === 0) return at;
    }
}

function translate(job) {
    const module = naga.parseSpirv(withoutWriteOnly(readFileSync(job.spirv)));
    try {
        const info = naga.validate(module);
        try {
            const text = boundLoops(restoreAccess(naga.writeWgsl(module, info), job.readOnly));
            for (const line of text.split("\n")) {
                if (/var<storage/.test(line) && !/@binding|var<storage(, read_write)?> \w+:/.test(line)) {
                    throw new Error("a storage buffer's declaration is not of the form known here: " + line);
                }
            }
            return withIntegerDots(withDirectives(text));
        } finally {
            info.free();
        }
    } finally {
        module.free();
    }
}

for (const job of JSON.parse(readFileSync(process.argv[3], "utf8"))) {
    try {
        const text = translate(job);
        const unfinished = `${job.wgsl}.${process.pid}`; // another build may be writing the same
        writeFileSync(unfinished, text);
        renameSync(unfinished, job.wgsl);
    } catch (error) {
        writeFileSync(job.wgsl + ".error", String(error.formatted ?? error.message ?? error));
    }
}
