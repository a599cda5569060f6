// Runs one op test, compiled by emcc (build_ops.sh), on Dawn for Node:
//   node run_ops.mjs <program.mjs> <kernels.gen.mjs> <node_modules> [--plain] [--groups N] [--skip TEST] [--only TEST]
// --plain: without subgroups, as on GPUs whose subgroup size the kernels' shuffle variants are not made for.
import { openDawn } from "./dawn.mjs";

const options = process.argv.slice(5);
const { newDevice, start } = await openDawn(...process.argv.slice(2, 5));
await start(await newDevice(options.includes("--plain") ? [] : ["subgroups", "shader-f16"]), {
    arguments: options.filter((option) => option !== "--plain"),
    sxTestsDone: (status) => process.exit(status),
});
