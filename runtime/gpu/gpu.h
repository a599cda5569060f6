// The GPU layer: buffers, kernels, tapes, submits. One contract, three backends (Vulkan, WebGPU, null).
//
// Contract, the same on every backend and checked by gpu.c, so that what runs on one runs on all:
//  - A kernel's binding 0 is a uniform block of parameters, written once when the tape is built. Bindings 1..7 are
//    storage buffers. There are no push constants; what changes from cycle to cycle lives in storage buffers.
//  - A buffer that a dispatch writes appears nowhere else in that dispatch: not at another offset, not as its indirect
//    arguments. Which bindings a kernel writes is known from reflection of its code.
//  - Indirect arguments (three uint32: x, y, z) live in a buffer created with SX_GPU_INDIRECT.
//  - Binding offsets are multiples of 256 bytes; a bound range is at most `max_binding_size` bytes.
//  - A grid is given as (x, y, z) groups; y, z <= 65,535. An x above 65,535 is folded into y (then the given y must be
//    1): kernels take the linear number from `group_index()` in common.glsl, and must ignore numbers beyond theirs.
//  - Dispatches and copies of a tape run in order, each seeing what those before it wrote; the layer finds the hazards
//    and places the barriers. Submits run in order. sx_gpu_write() is ordered between the submits around it.
//  - A tape is recorded once and submitted any number of times, also again before its last submit has finished.
//
// Errors: creation and submission return sx_status with a message. A lost device makes every later call return
// SX_ERROR_DEVICE_LOST. Breaking the contract is a programmer error that gpu.c reports as SX_ERROR_ARGUMENT with the
// rule's name, so that the test of each rule can see it; callers treat it as a bug.
//
// Threads: a device and everything made from it belong to one thread at a time.
#ifndef SX_GPU_GPU_H
#define SX_GPU_GPU_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct sx_gpu sx_gpu;               // one device with its queue
typedef struct sx_gpu_buffer sx_gpu_buffer; // device memory
typedef struct sx_gpu_tape sx_gpu_tape;     // a recorded list of dispatches and copies

enum {
    SX_GPU_MAX_BINDINGS = 7,       // storage buffers of a kernel
    SX_GPU_MAX_PARAMETERS = 256,   // bytes of a kernel's uniform block
    SX_GPU_OFFSET_ALIGNMENT = 256, // bytes, of a binding's offset
    SX_GPU_MAX_GROUPS = 65535,     // of a grid in one direction
    SX_GPU_TICKETS_IN_FLIGHT = 3   // submits whose readback may be outstanding at once
};

// ---- Devices -------------------------------------------------------------------------------------------------------

typedef enum sx_gpu_backend {
    SX_GPU_BACKEND_DEFAULT = 0, // Vulkan natively, WebGPU in a browser
    SX_GPU_BACKEND_VULKAN,
    SX_GPU_BACKEND_WEBGPU,
    SX_GPU_BACKEND_NULL // records and checks everything, runs nothing; readbacks give zeros
} sx_gpu_backend;

typedef enum sx_gpu_kind { SX_GPU_DISCRETE, SX_GPU_INTEGRATED, SX_GPU_VIRTUAL, SX_GPU_CPU, SX_GPU_OTHER } sx_gpu_kind;

// Features that kernel variants may ask for; a bit set.
enum {
    SX_GPU_FEATURE_SUBGROUP_SHUFFLE = 1u << 0,    // shuffle and basic subgroup operations in compute
    SX_GPU_FEATURE_SUBGROUP_ARITHMETIC = 1u << 1, // subgroupAdd and friends
    SX_GPU_FEATURE_FP16 = 1u << 2,                // fp16 arithmetic
    SX_GPU_FEATURE_INT_DOT = 1u << 3,             // packed 4x8-bit integer dot product
    SX_GPU_FEATURE_COOPERATIVE_MATRIX = 1u << 4,
    SX_GPU_FEATURE_TIMESTAMPS = 1u << 5
};

typedef struct sx_gpu_info {
    char name[128];   // the device, as its driver names it
    char driver[128]; // driver name and version
    sx_gpu_kind kind;
    sx_gpu_backend backend;
    uint32_t features;         // SX_GPU_FEATURE_*
    uint32_t subgroup_size;    // lanes; 1 where unknown
    uint64_t memory_total;     // bytes of device-local memory; 0 where unknown
    uint64_t memory_budget;    // bytes this process can still expect to get; 0 where the driver does not say
    uint64_t max_binding_size; // bytes of one bound range
    uint64_t max_buffer_size;  // bytes of one buffer
    bool unified_memory;       // host and device share the memory
    bool validation;           // the validation layer was asked for and is loaded (an open device only)
    uint32_t spirv_version;    // newest SPIR-V it takes, as in the second word of a module; 0 on WebGPU
    uint64_t identity;         // hash of device, driver and their versions: key for caches of measurements
} sx_gpu_info;

// Fills up to `capacity` entries, best first (discrete, integrated, virtual, CPU), and returns in `*count` how many
// there are. `infos` may be NULL when capacity is 0. SX_ERROR_NO_DEVICE with the remedy when there is no loader or no
// device. On WebGPU there is exactly one.
sx_status sx_gpu_list(sx_gpu_backend backend, sx_gpu_info *infos, uint32_t capacity, uint32_t *count, sx_error *error);

typedef struct sx_gpu_desc {
    sx_gpu_backend backend;
    const char *device;    // NULL: the best; else a number of sx_gpu_list or part of a name, case ignored
    const char *cache_dir; // folder of the pipeline cache; NULL: no cache on disk
    bool validation;       // ask for the validation layer (synchronisation validation too) and count its messages
    void (*log)(void *user, const char *line); // warnings; may be NULL
    void *log_user;
} sx_gpu_desc;

sx_status sx_gpu_open(const sx_gpu_desc *desc, sx_gpu **out, sx_error *error);
void sx_gpu_close(sx_gpu *gpu); // waits for the device; NULL is allowed. Buffers and tapes must be gone.
const sx_gpu_info *sx_gpu_get_info(const sx_gpu *gpu);
// The budget as it is now: the driver's figure for this process less what it has taken already; 0 where unknown.
uint64_t sx_gpu_memory_budget(sx_gpu *gpu);
// Messages of the validation layer so far, 0 where it is not loaded.
uint32_t sx_gpu_validation_messages(const sx_gpu *gpu);
// For tests and for the message shown to users: the next call behaves as if the device had been lost.
void sx_gpu_simulate_loss(sx_gpu *gpu);

// ---- Buffers -------------------------------------------------------------------------------------------------------

enum {
    SX_GPU_STORAGE = 1u << 0, // bound by kernels, copied from and to, written by sx_gpu_write
    SX_GPU_INDIRECT = 1u << 1 // also holds arguments of indirect dispatches
};

// Zero-filled device memory of `size` bytes (rounded up to 4). SX_ERROR_GPU_MEMORY names size and budget.
sx_status sx_gpu_buffer_create(sx_gpu *gpu, uint64_t size, uint32_t usage, const char *label, sx_gpu_buffer **out,
                               sx_error *error);
// The device must not be using it any more; NULL is allowed.
void sx_gpu_buffer_destroy(sx_gpu *gpu, sx_gpu_buffer *buffer);
uint64_t sx_gpu_buffer_size(const sx_gpu_buffer *buffer);

// Copies host bytes into the buffer after everything submitted so far and before everything submitted later. The
// bytes are taken before the call returns. `offset` and `size` are multiples of 4. May block while its staging memory
// (16 MiB natively) is in use by earlier writes.
sx_status sx_gpu_write(sx_gpu *gpu, sx_gpu_buffer *buffer, uint64_t offset, const void *data, uint64_t size,
                       sx_error *error);

// ---- Kernels -------------------------------------------------------------------------------------------------------

// Kernels are numbered by the generated header "kernels.gen.h" (SX_KERNEL_<NAME>); SX_KERNEL_COUNT of them.
typedef uint32_t sx_kernel;

const char *sx_kernel_name(sx_kernel kernel);
// The kernel of that name, or SX_KERNEL_COUNT. For choosing variants by name.
sx_kernel sx_kernel_find(const char *name);
// True when the device has the features the kernel asks for and this build could compile it.
bool sx_gpu_kernel_usable(const sx_gpu *gpu, sx_kernel kernel);
// Starts creating the pipelines of the `count` kernels; then poll until SX_OK. `*done` counts finished ones (may be
// NULL). Native backends create some per poll; WebGPU creates all at once in the background. Kernels that a tape uses
// without having been warmed are created when the tape is finished; on WebGPU the tape's first submit then waits for
// them.
sx_status sx_gpu_warm(sx_gpu *gpu, const sx_kernel *kernels, uint32_t count, sx_error *error);
sx_status sx_gpu_warm_poll(sx_gpu *gpu, uint32_t *done, sx_error *error);
// Writes the pipeline cache to the disk if it grew (atomically). Failure is only a warning in the log.
void sx_gpu_save_cache(sx_gpu *gpu);

// ---- Tapes ---------------------------------------------------------------------------------------------------------

typedef struct sx_gpu_binding {
    sx_gpu_buffer *buffer;
    uint64_t offset; // bytes, multiple of 256
    uint64_t size;   // bytes; 0: to the end of the buffer, at most max_binding_size
} sx_gpu_binding;

sx_status sx_gpu_tape_create(sx_gpu *gpu, const char *label, sx_gpu_tape **out, sx_error *error);

// One dispatch. `parameters` are copied (size must be the kernel's block size); `bindings` are the storage buffers of
// bindings 1..count in order. The first error of a tape sticks and is returned by sx_gpu_tape_finish: callers may
// ignore the result here.
sx_status sx_gpu_tape_dispatch(sx_gpu_tape *tape, sx_kernel kernel, const void *parameters, size_t parameters_size,
                               const sx_gpu_binding *bindings, uint32_t binding_count, uint32_t x, uint32_t y,
                               uint32_t z);
// The same with the grid read from `arguments` at `offset` (multiple of 4) when it runs.
sx_status sx_gpu_tape_dispatch_indirect(sx_gpu_tape *tape, sx_kernel kernel, const void *parameters,
                                        size_t parameters_size, const sx_gpu_binding *bindings, uint32_t binding_count,
                                        sx_gpu_buffer *arguments, uint64_t offset);
// Offsets and size are multiples of 4; source and destination are different buffers.
sx_status sx_gpu_tape_copy(sx_gpu_tape *tape, sx_gpu_buffer *source, uint64_t source_offset, sx_gpu_buffer *destination,
                           uint64_t destination_offset, uint64_t size);
// Ends recording. After an error the tape can only be destroyed.
sx_status sx_gpu_tape_finish(sx_gpu_tape *tape, sx_error *error);
// The kernels dispatched so far, each once: what to give to sx_gpu_warm before the tape is finished. Writes at most
// `capacity` of them and returns how many there are.
uint32_t sx_gpu_tape_kernels(const sx_gpu_tape *tape, sx_kernel *kernels, uint32_t capacity);
// Waits until no submit of it is running; NULL is allowed.
void sx_gpu_tape_destroy(sx_gpu *gpu, sx_gpu_tape *tape);

typedef struct sx_gpu_tape_stats {
    uint32_t dispatches, indirect_dispatches, copies, barriers;
    uint64_t parameter_bytes;
} sx_gpu_tape_stats;
void sx_gpu_tape_get_stats(const sx_gpu_tape *tape, sx_gpu_tape_stats *stats);

// ---- Submits -------------------------------------------------------------------------------------------------------

typedef uint64_t sx_gpu_ticket; // 0 is never a valid ticket

// Submits a finished tape. `readback` (may be NULL) names a range that is copied out after the tape's last command;
// its bytes are delivered by the poll that reports the ticket finished. At most SX_GPU_TICKETS_IN_FLIGHT submits with
// a readback may be outstanding (SX_ERROR_BUSY).
typedef struct sx_gpu_readback {
    sx_gpu_buffer *buffer;
    uint64_t offset; // bytes, multiple of 4
    uint64_t size;   // bytes, multiple of 4
} sx_gpu_readback;
sx_status sx_gpu_submit(sx_gpu *gpu, sx_gpu_tape *tape, const sx_gpu_readback *readback, sx_gpu_ticket *ticket,
                        sx_error *error);

// SX_PENDING while the submit runs; SX_OK once, with the readback's bytes in `destination` (`size` of them; NULL and 0
// when there was none), after which the ticket is spent. Tickets finish in order but may be polled in any.
sx_status sx_gpu_poll(sx_gpu *gpu, sx_gpu_ticket ticket, void *destination, uint64_t size, sx_error *error);
// Waits until the ticket's submit has finished or `milliseconds` went by (SX_PENDING). Native backends only; WebGPU
// returns SX_PENDING at once. Does not spend the ticket.
sx_status sx_gpu_wait(sx_gpu *gpu, sx_gpu_ticket ticket, uint32_t milliseconds, sx_error *error);
// Reads a buffer outside of any cycle (debugging, saving sessions). Natively: waits and copies, any size. WebGPU:
// returns SX_PENDING until the bytes have arrived; call again with the same arguments.
sx_status sx_gpu_read(sx_gpu *gpu, sx_gpu_buffer *buffer, uint64_t offset, void *destination, uint64_t size,
                      sx_error *error);

// What went over the bus since the device was opened: for the benchmark that counts them.
typedef struct sx_gpu_counters {
    uint64_t submits, readbacks, readback_bytes, writes, write_bytes;
    uint64_t memory_used; // bytes in buffers now
} sx_gpu_counters;
void sx_gpu_get_counters(const sx_gpu *gpu, sx_gpu_counters *counters);

// Seconds the device spent in the ticket's tape by its own clock, or a negative number where it cannot tell. Valid
// after the poll that finished the ticket, for the last ticket only.
double sx_gpu_last_seconds(const sx_gpu *gpu);

#endif
