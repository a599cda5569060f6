// Status codes and the error message that travels with them.
//
// Untrusted input (files, arguments, network) never asserts: the function returns a status below and, where an
// `sx_error *` is taken, fills a sentence that names the file, the field and the remedy. `error` may be NULL.
// Programmer errors (NULL where it is forbidden, a session used on two threads) assert.
#ifndef SX_BASE_STATUS_H
#define SX_BASE_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

typedef enum sx_status {
    SX_OK = 0,
    SX_PENDING,           // not an error: nothing to report yet, poll again
    SX_ERROR_ARGUMENT,    // a value given by the caller is out of its range
    SX_ERROR_FILE,        // a file cannot be opened, read or written
    SX_ERROR_FORMAT,      // a file is damaged or is not what its name says
    SX_ERROR_UNSUPPORTED, // a valid file or request that this program cannot serve
    SX_ERROR_MISMATCH,    // files that do not belong together (draft and target, trace and model)
    SX_ERROR_MEMORY,      // host memory is exhausted
    SX_ERROR_GPU_MEMORY,  // device memory is exhausted
    SX_ERROR_DEVICE_LOST, // the device was reset; sessions can be continued on a new engine
    SX_ERROR_NO_DEVICE,   // no usable device
    SX_ERROR_CONTEXT,     // the conversation does not fit the context
    SX_ERROR_CANCELLED,   // the caller asked to stop
    SX_ERROR_BUSY         // the object is in use
} sx_status;

typedef struct sx_error {
    sx_status status;
    char message[508]; // UTF-8, always terminated, no trailing newline
} sx_error;

// Fills `error` (if not NULL) with the formatted sentence and returns `status`.
sx_status sx_fail(sx_error *error, sx_status status, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;

// A short constant name such as "device-lost"; never NULL.
const char *sx_status_name(sx_status status);

#ifdef __cplusplus
}
#endif
#endif
