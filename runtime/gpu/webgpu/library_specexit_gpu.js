// The browser's half of the WebGPU backend (webgpu.c is the other): an Emscripten JS library without Asyncify.
//
// Whoever creates the module hands in
//   Module.sxGpuDevice      the GPUDevice, its limits and features requested from the adapter;
//   Module.sxGpuKernels     the array `kernels` of kernels.gen.mjs. Where it lacks those with subgroups, or with
//                           integer dot products, the device counts as one without;
//   Module.sxGpuIsSoftware  true where the device computes on the CPU (web/worker/software.js);
//   Module.sxGpuLanguageFeatures  optional: navigator.gpu.wgslLanguageFeatures;
//   Module.sxGpuOnProgress  optional: called when a submit, a read or a pipeline has finished. A worker polls the
//                           engine then, and needs no timer.
// One device at a time; after a loss, close, set a new sxGpuDevice and open again.
//
// Results of calls: 0 done, 1 pending, 2 device lost, 3 out of memory, 4 failed; sxgpu_message has the text.
const LibrarySpecExitGpu = {
    // For Emscripten 3.1.6: it prints functions of an object as values, so the short form of methods would break; its
    // optimiser does not know `?.` and `??`, and drops declarations that take objects apart.
    $SXGPU: {
        OK: 0, PENDING: 1, LOST: 2, MEMORY: 3, FAILED: 4,
        SLOTS: 3, PARAMETER_SLOT: 256, TIMESTAMP_BYTES: 16,

        open: function (kernelShapes) {
            const device = Module["sxGpuDevice"];
            this.device = device;
            this.kernelShapes = kernelShapes; // [{bindings, written}]
            this.lost = null;
            this.memory = null;
            this.message = "";
            this.errors = 0;
            this.buffers = [null]; // handles are indices; 0 is none
            this.freeHandles = [];
            this.tapes = new Map();
            this.nextTape = 1;
            this.pipelines = [];
            this.pending = new Map(); // kernel -> promise of its pipeline
            this.layouts = new Map();
            this.finished = 0;
            this.seconds = new Map(); // serial -> seconds, of the last few
            this.slots = Array.from({ length: this.SLOTS }, () => ({ buffer: null, size: 0, state: "free" }));
            this.reading = null;
            this.warming = { total: 0, done: 0, failed: null };
            this.hasTimestamps = device.features.has("timestamp-query");
            this.onError = (event) => this.noteError(event.error);
            device.addEventListener("uncapturederror", this.onError);
            device.lost.then((info) => {
                if (this.device !== device) return;
                this.lost = info.message || String(info.reason || "unknown reason");
                this.progress();
            });
        },

        close: function () {
            this.device.removeEventListener("uncapturederror", this.onError);
            for (const slot of this.slots) this.drop(slot.buffer);
            if (this.reading) this.reading.staging.destroy();
            for (const tape of this.tapes.values()) this.drop(tape.parameters);
            for (const buffer of this.buffers) this.drop(buffer);
            this.device = null;
        },

        drop: function (buffer) {
            if (buffer) buffer.destroy();
        },

        noteError: function (error) {
            if (error.constructor.name === "GPUOutOfMemoryError") {
                this.memory = error.message;
            } else {
                this.errors++;
                console.error("WebGPU: " + error.message);
            }
        },

        progress: function () {
            const callback = Module["sxGpuOnProgress"];
            if (callback) callback();
        },

        // What every call answers first.
        state: function () {
            if (this.lost !== null) {
                this.message = this.lost;
                return this.LOST;
            }
            if (this.memory !== null) {
                this.message = this.memory;
                this.memory = null; // told once; what was asked for does not exist
                return this.MEMORY;
            }
            return this.OK;
        },

        fail: function (error) {
            this.message = String(error.message || error);
            return this.FAILED;
        },

        text: function (pointer, length) {
            return new TextDecoder().decode(HEAPU8.slice(pointer, pointer + length));
        },

        // Copies terminated UTF-8; a character is never cut.
        putText: function (text, pointer, capacity) {
            const bytes = HEAPU8.subarray(pointer, pointer + capacity - 1);
            const written = new TextEncoder().encodeInto(text, bytes).written;
            HEAPU8[pointer + written] = 0;
        },

        addBuffer: function (buffer) {
            const handle = this.freeHandles.length ? this.freeHandles.pop() : this.buffers.length;
            this.buffers[handle] = buffer;
            return handle;
        },

        // ---- Pipelines ----------------------------------------------------------------------------------------------

        layout: function (kernel) {
            const bindings = this.kernelShapes[kernel].bindings;
            const written = this.kernelShapes[kernel].written;
            const key = bindings * 256 + written;
            let layout = this.layouts.get(key);
            if (!layout) {
                const visibility = 4; // GPUShaderStage.COMPUTE
                const entries = [{ binding: 0, visibility, buffer: {
                    type: "uniform", hasDynamicOffset: true, minBindingSize: this.PARAMETER_SLOT } }];
                for (let i = 0; i < bindings; i++) {
                    const type = (written >> i) & 1 ? "storage" : "read-only-storage";
                    entries.push({ binding: i + 1, visibility, buffer: { type } });
                }
                const group = this.device.createBindGroupLayout({ entries });
                layout = { group, pipeline: this.device.createPipelineLayout({ bindGroupLayouts: [group] }) };
                this.layouts.set(key, layout);
            }
            return layout;
        },

        pipelineDescriptor: function (kernel) {
            const module = this.device.createShaderModule({ code: Module["sxGpuKernels"][kernel] });
            return { layout: this.layout(kernel).pipeline, compute: { module, entryPoint: "main" } };
        },

        warm: function (kernels) {
            const warming = { total: kernels.length, done: 0, failed: null };
            this.warming = warming;
            const finish = () => {
                warming.done++;
                this.progress();
            };
            // Long code takes long to compile. It begins first, so that not one core works while the others are done.
            const length = (kernel) => Module["sxGpuKernels"][kernel].length;
            for (const kernel of kernels.slice().sort((a, b) => length(b) - length(a))) {
                if (this.pipelines[kernel]) {
                    warming.done++;
                    continue;
                }
                let promise = this.pending.get(kernel);
                if (!promise) {
                    const created = this.device.createComputePipelineAsync(this.pipelineDescriptor(kernel));
                    promise = created.then((pipeline) => {
                        this.pipelines[kernel] = this.pipelines[kernel] || pipeline;
                        this.pending.delete(kernel);
                    });
                    this.pending.set(kernel, promise);
                }
                promise.then(finish, (error) => {
                    this.pending.delete(kernel);
                    warming.failed = warming.failed || error;
                    finish();
                });
            }
        },

        pipeline: function (kernel) {
            // Not warmed: made at once. The first submit that uses it waits for it then.
            if (!this.pipelines[kernel]) {
                this.pipelines[kernel] = this.device.createComputePipeline(this.pipelineDescriptor(kernel));
            }
            return this.pipelines[kernel];
        },

        // ---- Tapes --------------------------------------------------------------------------------------------------

        // `values`: kind, kernel, offset of the parameters, x, y, z, source, its offset, destination, its offset, size,
        // number of bindings; then handle, offset and size of each binding (encode() in webgpu.c).
        // Bind groups that are the same are made once.
        buildTape: function (values, parameters) {
            const tape = { commands: [], parameters: null, dispatches: 0, offsets: new Uint32Array(0) };
            if (parameters.length > 0) {
                const usage = 0x40 | 0x08; // UNIFORM | COPY_DST
                tape.parameters = this.device.createBuffer({ size: parameters.length, usage, label: "parameters" });
                this.device.queue.writeBuffer(tape.parameters, 0, parameters);
            }
            const groups = new Map();
            const offsets = [];
            let at = 0;
            while (at < values.length) {
                const head = values.subarray(at, at + 12);
                const kind = head[0];
                const kernel = head[1];
                const sourceOffset = head[7];
                const count = head[11];
                at += 12;
                if (kind === 2) {
                    tape.commands.push({ kind, source: this.buffers[head[6]], sourceOffset,
                        destination: this.buffers[head[8]], destinationOffset: head[9], size: head[10] });
                    continue;
                }
                const bindings = values.subarray(at, at + 3 * count);
                at += 3 * count;
                const shape = this.kernelShapes[kernel];
                const key = shape.bindings * 256 + shape.written + ":" + bindings.join();
                let group = groups.get(key);
                if (!group) {
                    group = this.bindGroup(kernel, tape.parameters, bindings);
                    groups.set(key, group);
                }
                tape.commands.push({ kind, pipeline: this.pipeline(kernel), group, x: head[3], y: head[4], z: head[5],
                    source: kind === 1 ? this.buffers[head[6]] : null, sourceOffset });
                offsets.push(head[2]);
            }
            tape.offsets = Uint32Array.from(offsets);
            tape.dispatches = offsets.length;
            const handle = this.nextTape++;
            this.tapes.set(handle, tape);
            return handle;
        },

        bindGroup: function (kernel, parameters, bindings) {
            const entries = [{ binding: 0, resource: { buffer: parameters, offset: 0, size: this.PARAMETER_SLOT } }];
            for (let i = 0; i < bindings.length; i += 3) {
                entries.push({ binding: i / 3 + 1, resource: {
                    buffer: this.buffers[bindings[i]], offset: bindings[i + 1], size: bindings[i + 2] } });
            }
            return this.device.createBindGroup({ layout: this.layout(kernel).group, entries });
        },

        encodeTape: function (encoder, tape, timestamps) {
            let pass = null;
            let bound = null;
            let dispatch = 0;
            for (const command of tape.commands) {
                if (command.kind === 2) {
                    if (pass) pass.end();
                    pass = null;
                    encoder.copyBufferToBuffer(command.source, command.sourceOffset, command.destination,
                        command.destinationOffset, command.size);
                    continue;
                }
                if (!pass) {
                    pass = encoder.beginComputePass(timestamps ? { timestampWrites: dispatch === 0
                        ? { querySet: timestamps, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 }
                        : { querySet: timestamps, endOfPassWriteIndex: 1 } } : undefined);
                    bound = null;
                }
                if (command.pipeline !== bound) pass.setPipeline(command.pipeline);
                bound = command.pipeline;
                pass.setBindGroup(0, command.group, tape.offsets, dispatch++, 1);
                if (command.kind === 0) {
                    pass.dispatchWorkgroups(command.x, command.y, command.z);
                } else {
                    pass.dispatchWorkgroupsIndirect(command.source, command.sourceOffset);
                }
            }
            if (pass) pass.end();
        },

        // ---- Submits ------------------------------------------------------------------------------------------------

        finish: function (serial) {
            if (serial > this.finished) this.finished = serial;
            this.progress();
        },

        // Room for `size` bytes and two timestamps behind them.
        prepareSlot: function (slot, size) {
            const needed = Math.ceil(size / 8) * 8 + this.TIMESTAMP_BYTES;
            if (slot.size >= needed) return;
            this.drop(slot.buffer);
            slot.size = Math.max(4096, 2 ** Math.ceil(Math.log2(needed)));
            slot.buffer = this.device.createBuffer({ size: slot.size, usage: 0x01 | 0x08, label: "readback" });
            if (this.hasTimestamps && !slot.queries) {
                slot.queries = this.device.createQuerySet({ type: "timestamp", count: 2 });
                slot.resolved = this.device.createBuffer({ size: this.TIMESTAMP_BYTES, usage: 0x200 | 0x04 });
            }
        },

        submit: function (tape, slotIndex, source, offset, size, serial) {
            const queue = this.device.queue;
            const encoder = this.device.createCommandEncoder();
            if (slotIndex < 0) {
                this.encodeTape(encoder, tape, null);
                queue.submit([encoder.finish()]);
                queue.onSubmittedWorkDone().then(() => this.finish(serial), () => {});
                return;
            }
            const slot = this.slots[slotIndex];
            this.prepareSlot(slot, size);
            const timed = this.hasTimestamps && tape.dispatches > 0;
            this.encodeTape(encoder, tape, timed ? slot.queries : null);
            encoder.copyBufferToBuffer(source, offset, slot.buffer, 0, size);
            slot.clock = Math.ceil(size / 8) * 8;
            if (timed) {
                encoder.resolveQuerySet(slot.queries, 0, 2, slot.resolved, 0);
                encoder.copyBufferToBuffer(slot.resolved, 0, slot.buffer, slot.clock, this.TIMESTAMP_BYTES);
            }
            queue.submit([encoder.finish()]);
            slot.state = "mapping";
            slot.serial = serial;
            slot.timed = timed;
            slot.buffer.mapAsync(1, 0, slot.clock + this.TIMESTAMP_BYTES).then(() => {
                slot.state = "mapped";
                this.finish(serial);
            }, (error) => {
                slot.state = "failed";
                this.message = String(error.message || error);
                // AbortError: the device is going, and says so itself. Anything else ends the ticket here.
                if (error.name === "AbortError") this.progress();
                else this.finish(serial);
            });
        },

        takeReadback: function (slot, pointer, size) {
            if (slot.state === "mapping") return this.PENDING;
            if (slot.state !== "mapped") {
                slot.state = "free";
                const message = this.message;
                const state = this.state();
                if (state === this.OK) this.message = message;
                return state === this.OK ? this.FAILED : state;
            }
            const range = slot.buffer.getMappedRange(0, slot.clock + this.TIMESTAMP_BYTES);
            HEAPU8.set(new Uint8Array(range, 0, size), pointer);
            if (slot.timed) {
                const clock = new BigUint64Array(range, slot.clock, 2);
                this.seconds.set(slot.serial, Number(clock[1] - clock[0]) * 1e-9);
                this.seconds.delete(slot.serial - 64);
            }
            slot.buffer.unmap();
            slot.state = "free";
            return this.OK;
        },

        // ---- Reading outside of a cycle -----------------------------------------------------------------------------

        read: function (source, offset, pointer, size) {
            const reading = this.reading;
            if (reading && reading.source === source && reading.offset === offset && reading.size === size) {
                if (reading.state === "mapping") return this.PENDING;
                this.reading = null;
                const mapped = reading.state === "mapped";
                if (mapped) HEAPU8.set(new Uint8Array(reading.staging.getMappedRange(0, size)), pointer);
                reading.staging.destroy();
                return mapped ? this.OK : this.FAILED;
            }
            if (reading) reading.staging.destroy(); // given up: asked for something else
            const staging = this.device.createBuffer({ size, usage: 0x01 | 0x08, label: "read" });
            const next = { source, offset, size, staging, state: "mapping" };
            const encoder = this.device.createCommandEncoder();
            encoder.copyBufferToBuffer(source, offset, staging, 0, size);
            this.device.queue.submit([encoder.finish()]);
            staging.mapAsync(1).then(() => {
                next.state = "mapped";
                this.progress();
            }, (error) => {
                next.state = "failed";
                this.message = String(error.message || error);
                this.progress();
            });
            this.reading = next;
            return this.PENDING;
        },
    },

    // ---- What webgpu.c calls ----------------------------------------------------------------------------------------

    // `numbers`: features, subgroup size, largest binding, largest buffer. `shapes`: two words a kernel.
    sxgpu_open__deps: ["$SXGPU"],
    sxgpu_open: function (shapes, kernelCount, numbers, name, driver, capacity) {
        const device = Module["sxGpuDevice"];
        const kernels = Module["sxGpuKernels"];
        if (!device || !kernels || kernels.length !== kernelCount) {
            SXGPU.message = !device ? "Module.sxGpuDevice is not set"
                : "Module.sxGpuKernels does not belong to this build";
            return SXGPU.FAILED;
        }
        SXGPU.open(Array.from({ length: kernelCount }, (_, i) => ({
            bindings: HEAPU32[(shapes >> 2) + 2 * i], written: HEAPU32[(shapes >> 2) + 2 * i + 1] })));
        const info = device.adapterInfo || Module["sxGpuAdapterInfo"] || {};
        const has = (feature) => device.features.has(feature);
        const language = Module["sxGpuLanguageFeatures"];
        // Directives stand in front.
        const some = (directive) => kernels.some((code) => code && code.slice(0, 200).indexOf(directive) >= 0);
        const lanes = info.subgroupMinSize === info.subgroupMaxSize ? info.subgroupMinSize : 1;
        const dot = "packed_4x8_integer_dot_product";
        const features = (has("subgroups") && some("enable subgroups;") ? 1 | 2 : 0) | (has("shader-f16") ? 4 : 0) |
            (language && language.has(dot) && some("requires " + dot) ? 8 : 0) | (SXGPU.hasTimestamps ? 32 : 0);
        HEAPF64.set([features, lanes || 1, device.limits.maxStorageBufferBindingSize, device.limits.maxBufferSize,
            Module["sxGpuIsSoftware"] ? 1 : 0], numbers >> 3);
        SXGPU.putText(info.description || info.device || [info.vendor, info.architecture].filter(Boolean).join(" ") ||
            "WebGPU device", name, capacity);
        SXGPU.putText(["WebGPU", info.vendor, info.architecture].filter(Boolean).join(" "), driver, capacity);
        return SXGPU.OK;
    },
    sxgpu_close__deps: ["$SXGPU"],
    sxgpu_close: function () {
        SXGPU.close();
    },
    sxgpu_message__deps: ["$SXGPU"],
    sxgpu_message: function (pointer, capacity) {
        SXGPU.putText(SXGPU.message, pointer, capacity);
    },
    sxgpu_errors__deps: ["$SXGPU"],
    sxgpu_errors: function () {
        return SXGPU.errors;
    },
    sxgpu_state__deps: ["$SXGPU"],
    sxgpu_state: function () {
        return SXGPU.state();
    },

    // Returns the handle, 0 when it failed at once. A failed allocation shows at a later call.
    sxgpu_buffer_create__deps: ["$SXGPU"],
    sxgpu_buffer_create: function (size, indirect, label, labelLength) {
        try {
            const usage = 0x80 | 0x04 | 0x08 | (indirect ? 0x100 : 0); // STORAGE | COPY_SRC | COPY_DST | INDIRECT
            return SXGPU.addBuffer(SXGPU.device.createBuffer({ size, usage, label: SXGPU.text(label, labelLength) }));
        } catch (error) {
            SXGPU.fail(error);
            return 0;
        }
    },
    sxgpu_buffer_destroy__deps: ["$SXGPU"],
    sxgpu_buffer_destroy: function (handle) {
        SXGPU.buffers[handle].destroy();
        SXGPU.buffers[handle] = null;
        SXGPU.freeHandles.push(handle);
    },
    sxgpu_write__deps: ["$SXGPU"],
    sxgpu_write: function (handle, offset, data, size) {
        try {
            SXGPU.device.queue.writeBuffer(SXGPU.buffers[handle], offset, HEAPU8, data, size);
            return SXGPU.state();
        } catch (error) {
            return SXGPU.fail(error);
        }
    },
    sxgpu_warm__deps: ["$SXGPU"],
    sxgpu_warm: function (kernels, count) {
        try {
            SXGPU.warm(Array.from(HEAPU32.subarray(kernels >> 2, (kernels >> 2) + count)));
            return SXGPU.state();
        } catch (error) {
            return SXGPU.fail(error);
        }
    },
    sxgpu_warm_poll__deps: ["$SXGPU"],
    sxgpu_warm_poll: function (done) {
        const warming = SXGPU.warming;
        HEAPU32[done >> 2] = warming.done;
        const state = SXGPU.state();
        if (state !== SXGPU.OK) return state;
        if (warming.done < warming.total) return SXGPU.PENDING;
        return warming.failed ? SXGPU.fail(warming.failed) : SXGPU.OK;
    },

    // Returns the handle of the tape, 0 when it failed.
    sxgpu_tape_finish__deps: ["$SXGPU"],
    sxgpu_tape_finish: function (values, count, parameters, parameterSize) {
        try {
            return SXGPU.buildTape(HEAPF64.slice(values >> 3, (values >> 3) + count),
                HEAPU8.slice(parameters, parameters + parameterSize));
        } catch (error) {
            SXGPU.fail(error);
            return 0;
        }
    },
    sxgpu_tape_destroy__deps: ["$SXGPU"],
    sxgpu_tape_destroy: function (handle) {
        SXGPU.drop(SXGPU.tapes.get(handle).parameters);
        SXGPU.tapes.delete(handle);
    },
    sxgpu_submit__deps: ["$SXGPU"],
    sxgpu_submit: function (tape, slot, buffer, offset, size, serial) {
        try {
            SXGPU.submit(SXGPU.tapes.get(tape), slot, SXGPU.buffers[buffer], offset, size, serial);
            return SXGPU.state();
        } catch (error) {
            return SXGPU.fail(error);
        }
    },
    sxgpu_finished__deps: ["$SXGPU"],
    sxgpu_finished: function () {
        return SXGPU.finished;
    },
    sxgpu_take_readback__deps: ["$SXGPU"],
    sxgpu_take_readback: function (slot, pointer, size) {
        return SXGPU.takeReadback(SXGPU.slots[slot], pointer, size);
    },
    sxgpu_read__deps: ["$SXGPU"],
    sxgpu_read: function (handle, offset, pointer, size) {
        try {
            const state = SXGPU.state();
            return state === SXGPU.OK ? SXGPU.read(SXGPU.buffers[handle], offset, pointer, size) : state;
        } catch (error) {
            return SXGPU.fail(error);
        }
    },
    sxgpu_seconds__deps: ["$SXGPU"],
    sxgpu_seconds: function (serial) {
        return SXGPU.seconds.has(serial) ? SXGPU.seconds.get(serial) : -1;
    },
};

mergeInto(LibraryManager.library, LibrarySpecExitGpu);
