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

function translate(job) {
    const module = naga.parseSpirv(withoutWriteOnly(readFileSync(job.spirv)));
    try {
        const info = naga.validate(module);
        try {
            const text = restoreAccess(naga.writeWgsl(module, info), job.readOnly);
            for (const line of text.split("\n")) {
                if (/var<storage/.test(line) && !/@binding|var<storage(, read_write)?> \w+:/.test(line)) {
                    throw new Error("a storage buffer's declaration is not of the form known here: " + line);
                }
            }
            return withDirectives(text);
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
