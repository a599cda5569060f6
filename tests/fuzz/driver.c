// Runs a fuzz entry without a fuzzer: over each seed file, and over copies of it with a few bytes changed near its
// ends.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ROUNDS 400
#define REACH 6000 // bytes from either end, where headers and directories are

static uint64_t random_bits(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static uint8_t *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (!file) return NULL;
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = malloc(*size + 1);
    if (bytes && fread(bytes, 1, *size, file) != *size) {
        free(bytes);
        bytes = NULL;
    }
    fclose(file);
    return bytes;
}

static void run_changed(const uint8_t *bytes, size_t size, uint64_t seed)
{
    uint64_t state = seed;
    size_t length = size;
    if (random_bits(&state) % 8 == 0) length = (size_t)(random_bits(&state) % (size + 1));
    uint8_t *copy = malloc(length + 1); // as long as the input, so that the sanitizer sees a read too far
    if (!copy) return;
    memcpy(copy, bytes, length);
    const size_t reach = length < REACH ? length : REACH;
    for (uint64_t n = 1 + random_bits(&state) % 6; n > 0 && reach > 0; n--) {
        const size_t at = (size_t)(random_bits(&state) % reach);
        uint8_t *byte = random_bits(&state) % 2 ? copy + at : copy + length - 1 - at;
        static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff, '"', '[', '{'};
        *byte = random_bits(&state) % 2 ? (uint8_t)random_bits(&state) : values[random_bits(&state) % sizeof values];
    }
    LLVMFuzzerTestOneInput(copy, length);
    free(copy);
}

int main(int argc, char **argv)
{
    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++) {
        size_t size;
        uint8_t *bytes = read_file(argv[i], &size);
        if (!bytes) {
            fprintf(stderr, "cannot read the seed %s\n", argv[i]);
            return 1;
        }
        LLVMFuzzerTestOneInput(bytes, size);
        for (uint64_t round = 0; round < ROUNDS; round++)
            run_changed(bytes, size, round);
        free(bytes);
    }
    return 0;
}
