#!/usr/bin/env python3
"""Writes tests/golden/quant.txt: random blocks of every weight format with the hash of what the `gguf` package decodes.

One line a block: FORMAT, the block's bytes in hex, and the 64-bit FNV-1a hash of the decoded float32 bits (little
endian). Lines that begin with "encode" hold float32 inputs in hex, the format, and the encoded bytes.
Needs numpy and gguf 0.19. Usage: golden_quant.py > tests/golden/quant.txt
"""
import numpy as np
from gguf import GGMLQuantizationType as T
from gguf import GGML_QUANT_SIZES, quants

FORMATS = "Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL MXFP4 BF16 F16".split()
HALVES = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108],
          "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0]}


def fnv(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def main():
    rng = np.random.default_rng(20)
    for name in FORMATS:
        size, width = GGML_QUANT_SIZES[T[name]]
        for i in range(10):
            block = rng.integers(0, 256, (1, width if size > 1 else 32), dtype=np.uint8)
            for at in HALVES.get(name, []):
                # ordinary scales, then subnormal ones, then zeros of both signs
                half = np.float16(rng.normal() * 0.01) if i < 5 else np.uint16(rng.integers(1, 1024)).view(np.float16)
                if i >= 8:
                    half = np.float16(-0.0 if i == 9 else 0.0)
                block[0, at:at + 2] = np.frombuffer(half.tobytes(), np.uint8)
            if name in ("BF16", "F16"):
                block[0, 1::2] &= 0xBB  # no infinities, no NaN
            if name == "MXFP4":
                block[0, 0] = [0, 1, 2, 3, 100, 120, 127, 128, 200, 254][i]
            values = quants.dequantize(block, T[name]).astype("<f4")
            print(name, block.tobytes().hex(), f"{fnv(values.tobytes()):016x}")
    for i in range(6):
        values = (rng.normal(size=(1, 32)) * 10.0 ** (i - 4)).astype(np.float32)
        if i == 5:
            values[:] = 0
        print("encode", values.astype("<f4").tobytes().hex(), "Q8_0", quants.quantize(values, T.Q8_0).tobytes().hex())


main()
