#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>

sx_status sx_fail(sx_error *error, sx_status status, const char *format, ...)
{
    if (error) {
        error->status = status;
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(error->message, sizeof error->message, format, arguments);
        va_end(arguments);
    }
    return status;
}

const char *sx_status_name(sx_status status)
{
    switch (status) {
    case SX_OK:
        return "ok";
    case SX_PENDING:
        return "pending";
    case SX_ERROR_ARGUMENT:
        return "argument";
    case SX_ERROR_FILE:
        return "file";
    case SX_ERROR_FORMAT:
        return "format";
    case SX_ERROR_UNSUPPORTED:
        return "unsupported";
    case SX_ERROR_MISMATCH:
        return "mismatch";
    case SX_ERROR_MEMORY:
        return "memory";
    case SX_ERROR_GPU_MEMORY:
        return "gpu-memory";
    case SX_ERROR_DEVICE_LOST:
        return "device-lost";
    case SX_ERROR_NO_DEVICE:
        return "no-device";
    case SX_ERROR_CONTEXT:
        return "context";
    case SX_ERROR_CANCELLED:
        return "cancelled";
    case SX_ERROR_BUSY:
        return "busy";
    }
    return "unknown";
}
