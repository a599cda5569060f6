// The reference for shaders/fit_project.comp and fit_accumulate.comp.
#include "signals/fit.h"

#include <stdlib.h>
#include <string.h>

typedef struct host {
    uint32_t width;
    float *v, *g, *row;
} host;

// Finite halves: the bits in a float's places, and the difference of the exponents' biases by a product, which is exact
// for subnormals as well. In one loop that compilers make vectors of.
static void convert(const host *h, const uint16_t *x)
{
    for (uint32_t j = 0; j < h->width; j++) {
        const uint32_t bits = (uint32_t)(x[j] & 0x7FFF) << 13 | (uint32_t)(x[j] & 0x8000) << 16;
        float value;
        memcpy(&value, &bits, sizeof value);
        h->row[j] = value * 0x1p112f;
    }
}

static sx_status begin(void *user, const float *v, sx_error *error)
{
    host *h = user;
    (void)error;
    memcpy(h->v, v, (size_t)h->width * FIT_COLUMNS * sizeof *v);
    memset(h->g, 0, (size_t)h->width * FIT_SYSTEMS * sizeof *h->g);
    return SX_OK;
}

static sx_status project(void *user, const fit_block *block, float *z, sx_error *error)
{
    host *h = user;
    (void)error;
    for (uint32_t r = 0; r < block->rows; r++) {
        float *out = z + (size_t)r * FIT_COLUMNS;
        memset(out, 0, FIT_COLUMNS * sizeof *out);
        convert(h, block->x + (size_t)r * h->width);
        for (uint32_t j = 0; j < h->width; j++)
            for (uint32_t c = 0; c < FIT_COLUMNS; c++)
                out[c] += h->row[j] * h->v[(size_t)j * FIT_COLUMNS + c];
    }
    return SX_OK;
}

static sx_status accumulate(void *user, const fit_block *block, const float *a, sx_error *error)
{
    host *h = user;
    (void)error;
    for (uint32_t r = 0; r < block->rows; r++) {
        convert(h, block->x + (size_t)r * h->width);
        for (uint32_t j = 0; j < h->width; j++)
            for (uint32_t s = 0; s < FIT_SYSTEMS; s++)
                h->g[(size_t)j * FIT_SYSTEMS + s] += h->row[j] * a[(size_t)r * FIT_SYSTEMS + s];
    }
    return SX_OK;
}

static sx_status sum(void *user, float *g, sx_error *error)
{
    host *h = user;
    (void)error;
    memcpy(g, h->g, (size_t)h->width * FIT_SYSTEMS * sizeof *g);
    return SX_OK;
}

sx_status fit_host_make(uint32_t width, fit_device *out, sx_error *error)
{
    host *h = calloc(1, sizeof *h);
    if (!h) return sx_fail(error, SX_ERROR_MEMORY, "out of memory for a fit");
    *out = (fit_device){h, begin, project, accumulate, sum};
    h->width = width;
    h->v = malloc((size_t)width * FIT_COLUMNS * sizeof *h->v);
    h->g = malloc((size_t)width * FIT_SYSTEMS * sizeof *h->g);
    h->row = malloc(width * sizeof *h->row);
    if (h->v && h->g && h->row) return SX_OK;
    fit_host_free(out);
    return sx_fail(error, SX_ERROR_MEMORY, "out of memory for a fit");
}

void fit_host_free(fit_device *device)
{
    host *h = device->user;
    if (!h) return;
    free(h->v);
    free(h->g);
    free(h->row);
    free(h);
    device->user = NULL;
}
