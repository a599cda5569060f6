// What a backend of the GPU layer implements, and what gpu.c, tape.c and submit.c share with it. Nobody else includes
// this. The front checks the contract of gpu.h; backends trust it: ranges lie inside buffers, sizes are aligned,
// kernels are usable, tapes are finished, tickets exist.
#ifndef SX_GPU_BACKEND_H
#define SX_GPU_BACKEND_H

#include "gpu/gpu.h"
#include "gpu/kernel_table.h"

struct sx_gpu_buffer {
    sx_gpu *gpu;
    uint64_t size;     // bytes, multiple of 4
    uint32_t usage;    // SX_GPU_STORAGE, SX_GPU_INDIRECT
    char label[48];    // for messages
    uint64_t last_use; // serial of the last submit that touched it; 0: none
    void *native;      // the backend's part
};

typedef enum gpu_command_kind { GPU_DISPATCH, GPU_DISPATCH_INDIRECT, GPU_COPY } gpu_command_kind;

typedef struct gpu_command {
    gpu_command_kind kind;
    bool barrier; // this command touches what an earlier one since the last barrier wrote (or writes what it read)
    // Dispatches:
    sx_kernel kernel;
    uint32_t parameter_offset; // bytes into sx_gpu_tape.parameters, multiple of 256
    uint32_t first_binding;    // into sx_gpu_tape.bindings; the kernel's binding_count of them, sizes resolved
    uint32_t x, y, z;          // groups, folded
    // Copies; `source` and `source_offset` also are the arguments of an indirect dispatch:
    sx_gpu_buffer *source, *destination;
    uint64_t source_offset, destination_offset, size;
} gpu_command;

typedef struct gpu_access { // one range touched since the last barrier
    const sx_gpu_buffer *buffer;
    uint64_t begin, end;
    bool write;
} gpu_access;

struct sx_gpu_tape {
    sx_gpu *gpu;
    char label[48];
    gpu_command *commands;
    uint32_t command_count, command_capacity;
    sx_gpu_binding *bindings;
    uint32_t binding_count, binding_capacity;
    uint8_t *parameters; // one 256-byte slot a dispatch; freed once the backend has finished the tape
    uint32_t parameter_size, parameter_capacity; // bytes
    gpu_access *accesses;
    uint32_t access_count, access_capacity;
    sx_gpu_buffer **buffers; // every buffer it touches, once
    uint32_t buffer_count, buffer_capacity;
    sx_gpu_tape_stats stats;
    sx_error error; // the first; SX_OK while there is none
    bool finished;
    uint64_t last_use; // serial of the last submit
    void *native;
};

// Serials count submits from 1; they finish in order. A readback goes to one of SX_GPU_TICKETS_IN_FLIGHT slots, which
// the front hands out and takes back.
typedef struct gpu_backend {
    sx_gpu_backend id;
    sx_status (*list)(sx_gpu_info *infos, uint32_t capacity, uint32_t *count, sx_error *error);
    // Fills `info` whole. `*device` is handed to all other functions.
    sx_status (*open)(const sx_gpu_desc *desc, sx_gpu_info *info, void **device, sx_error *error);
    void (*close)(void *device); // waits for the device
    uint64_t (*memory_budget)(void *device);
    uint32_t (*validation_messages)(void *device);
    sx_status (*buffer_create)(void *device, sx_gpu_buffer *buffer, sx_error *error); // zero-filled
    void (*buffer_destroy)(void *device, sx_gpu_buffer *buffer);
    sx_status (*write)(void *device, sx_gpu_buffer *buffer, uint64_t offset, const void *data, uint64_t size,
                       sx_error *error);
    sx_status (*warm)(void *device, const sx_kernel *kernels, uint32_t count, sx_error *error);
    sx_status (*warm_poll)(void *device, uint32_t *done, sx_error *error);
    void (*save_cache)(void *device);
    sx_status (*tape_finish)(void *device, sx_gpu_tape *tape, sx_error *error);
    void (*tape_destroy)(void *device, sx_gpu_tape *tape); // not in use any more
    sx_status (*submit)(void *device, sx_gpu_tape *tape, const sx_gpu_readback *readback, uint32_t slot,
                        uint64_t serial, sx_error *error);
    // The newest serial that is finished with all before it.
    sx_status (*finished)(void *device, uint64_t *serial, sx_error *error);
    // Copies the slot's bytes out once its submit is finished, and frees the slot. SX_PENDING: not mapped yet.
    sx_status (*take_readback)(void *device, uint32_t slot, void *destination, uint64_t size, sx_error *error);
    sx_status (*wait)(void *device, uint64_t serial, uint32_t milliseconds, sx_error *error);
    sx_status (*read)(void *device, sx_gpu_buffer *buffer, uint64_t offset, void *destination, uint64_t size,
                      sx_error *error);
    double (*seconds)(void *device, uint64_t serial); // negative where unknown
} gpu_backend;

// Fills a backend's table: every backend defines the functions below with its prefix.
// Versions of clang-format disagree about braces in macros.
// clang-format off
#define GPU_BACKEND(backend_id, prefix)                                                                                \
    {                                                                                                                  \
        .id = backend_id, .list = prefix##_list, .open = prefix##_open, .close = prefix##_close,                       \
        .memory_budget = prefix##_memory_budget, .validation_messages = prefix##_validation_messages,                  \
        .buffer_create = prefix##_buffer_create, .buffer_destroy = prefix##_buffer_destroy, .write = prefix##_write,   \
        .warm = prefix##_warm, .warm_poll = prefix##_warm_poll, .save_cache = prefix##_save_cache,                     \
        .tape_finish = prefix##_tape_finish, .tape_destroy = prefix##_tape_destroy, .submit = prefix##_submit,         \
        .finished = prefix##_finished, .take_readback = prefix##_take_readback, .wait = prefix##_wait,                 \
        .read = prefix##_read, .seconds = prefix##_seconds,                                                            \
    }
// clang-format on

extern const gpu_backend gpu_backend_null;
#ifdef SX_GPU_HAVE_VULKAN
extern const gpu_backend gpu_backend_vulkan;
#endif
#ifdef SX_GPU_HAVE_WEBGPU
extern const gpu_backend gpu_backend_webgpu;
#endif

enum { GPU_SPENT_TICKETS = 1024 }; // how far back a ticket without readback can still be polled

struct sx_gpu {
    const gpu_backend *backend;
    void *device;
    sx_gpu_info info;
    bool lost;
    void (*log)(void *user, const char *line);
    void *log_user;
    sx_gpu_counters counters;
    uint32_t buffer_count, tape_count; // alive
    uint64_t last_serial, finished_serial;
    struct {
        uint64_t ticket; // 0: free
        uint64_t size;   // bytes
    } slots[SX_GPU_TICKETS_IN_FLIGHT];
    uint8_t has_readback[GPU_SPENT_TICKETS], spent[GPU_SPENT_TICKETS]; // by serial modulo their number
    double last_seconds;
};

// Returns `status`, after noting that the device is gone if it says so.
sx_status gpu_note(sx_gpu *gpu, sx_status status);
// SX_OK, or SX_ERROR_DEVICE_LOST with the message every later call gives.
sx_status gpu_check_alive(const sx_gpu *gpu, sx_error *error);
// SX_OK when the range lies inside the buffer and is made of whole words; `what` names it in the message.
sx_status gpu_check_range(const sx_gpu_buffer *buffer, uint64_t offset, uint64_t size, const char *what,
                          sx_error *error);

#endif
