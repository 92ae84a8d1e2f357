#include "MD5.h"

#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words are read as they lie in memory");

typedef uint32_t lanes __attribute__((vector_size(4 * KARRI_MD5_LANES)));

enum { BLOCK_BYTES = 64, BLOCK_WORDS = 16 };

static const uint32_t sines[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
};

// RFC 1321, section 3.4: F, G, H and I, added to `a` so that as little as possible waits for `b`, which comes last.
// `KEEP` has the compiler leave an order that it would undo.
#define F(a, b, c, d) a += d ^ (b & (c ^ d))
#define G(a, b, c, d) a += c & ~d; KEEP(a) a += d & b
#define H(a, b, c, d) a += (c ^ d) ^ b
#define I(a, b, c, d) a += c ^ (b | ~d)

#define STEP(f, a, b, c, d, number, word, turn)                                                        \
    a += (word) + sines[number];                                                                       \
    KEEP(a)                                                                                            \
    f(a, b, c, d);                                                                                     \
    a = (a << turn | a >> (32 - turn)) + b;

// Four steps, whose words lie `stride` apart.
#define FOUR(f, number, first, stride, turn0, turn1, turn2, turn3)                                     \
    STEP(f, a, b, c, d, number, block[(first) & 15], turn0)                                            \
    STEP(f, d, a, b, c, number + 1, block[(first + stride) & 15], turn1)                               \
    STEP(f, c, d, a, b, number + 2, block[(first + 2 * stride) & 15], turn2)                           \
    STEP(f, b, c, d, a, number + 3, block[(first + 3 * stride) & 15], turn3)

#define ROUND(f, number, first, stride, ...)                                                           \
    FOUR(f, number, first, stride, __VA_ARGS__)                                                        \
    FOUR(f, number + 4, first + 4 * stride, stride, __VA_ARGS__)                                       \
    FOUR(f, number + 8, first + 8 * stride, stride, __VA_ARGS__)                                       \
    FOUR(f, number + 12, first + 12 * stride, stride, __VA_ARGS__)

// Takes `block` into a, b, c and d.
#define TAKE_BLOCK(word)                                                                               \
    const word a0 = a, b0 = b, c0 = c, d0 = d;                                                         \
    ROUND(F, 0, 0, 1, 7, 12, 17, 22)                                                                   \
    ROUND(G, 16, 1, 5, 5, 9, 14, 20)                                                                   \
    ROUND(H, 32, 5, 3, 4, 11, 16, 23)                                                                  \
    ROUND(I, 48, 0, 7, 6, 10, 15, 21)                                                                  \
    a += a0, b += b0, c += c0, d += d0;

#define KEEP(a) __asm__("" : "+r"(a));

void karri_md5(uint32_t *state, const void *bytes, size_t blocks) {
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    for (const uint8_t *from = bytes; blocks--; from += BLOCK_BYTES) {
        uint32_t block[BLOCK_WORDS];
        memcpy(block, from, sizeof block);
        TAKE_BLOCK(uint32_t)
    }
    state[0] = a, state[1] = b, state[2] = c, state[3] = d;
}

#undef KEEP
#define KEEP(a)

#define MIXED(x, y, ...) __builtin_shufflevector(x, y, __VA_ARGS__)

// From a block of each lane to a word of all lanes, for each word: first within quarters of a vector, then whole quarters.
__attribute__((always_inline)) static inline void transpose(lanes rows[BLOCK_WORDS]) {
    lanes mixed[BLOCK_WORDS];
    for (int i = 0; i < 16; i += 2) {
        mixed[i] = MIXED(rows[i], rows[i + 1], 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29);
        mixed[i + 1] = MIXED(rows[i], rows[i + 1], 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
    }
    for (int i = 0; i < 16; i += 4) {
        for (int j = 0; j < 2; j++) {
            const lanes x = mixed[i + j], y = mixed[i + j + 2];
            rows[i + 2 * j] = MIXED(x, y, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
            rows[i + 2 * j + 1] = MIXED(x, y, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
        }
    }
    for (int i = 0; i < 4; i++) {
        const lanes even0 = MIXED(rows[i], rows[i + 4], 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27);
        const lanes odd0 = MIXED(rows[i], rows[i + 4], 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31);
        const lanes even1 = MIXED(rows[i + 8], rows[i + 12], 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27);
        const lanes odd1 = MIXED(rows[i + 8], rows[i + 12], 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31);
        mixed[i] = MIXED(even0, even1, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23);
        mixed[i + 4] = MIXED(odd0, odd1, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23);
        mixed[i + 8] = MIXED(even0, even1, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
        mixed[i + 12] = MIXED(odd0, odd1, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
    }
    memcpy(rows, mixed, sizeof mixed);
}

__attribute__((always_inline)) static inline void take(uint32_t *states, const void *const *bytes, size_t blocks) {
    lanes a, b, c, d;
    memcpy(&a, states, sizeof a), memcpy(&b, states + KARRI_MD5_LANES, sizeof b);
    memcpy(&c, states + 2 * KARRI_MD5_LANES, sizeof c), memcpy(&d, states + 3 * KARRI_MD5_LANES, sizeof d);
    for (size_t place = 0; place < blocks * BLOCK_BYTES; place += BLOCK_BYTES) {
        lanes block[BLOCK_WORDS];
        for (int i = 0; i < KARRI_MD5_LANES; i++) memcpy(&block[i], (const uint8_t *)bytes[i] + place, sizeof block[i]);
        transpose(block);
        TAKE_BLOCK(lanes)
    }
    memcpy(states, &a, sizeof a), memcpy(states + KARRI_MD5_LANES, &b, sizeof b);
    memcpy(states + 2 * KARRI_MD5_LANES, &c, sizeof c), memcpy(states + 3 * KARRI_MD5_LANES, &d, sizeof d);
}

#define LANES(name)                                                                                    \
    static void name(uint32_t *states, const void *const *bytes, size_t blocks) {                      \
        take(states, bytes, blocks);                                                                   \
    }

LANES(anywhere)

#if defined(__x86_64__)

__attribute__((target("avx2"))) LANES(avx2)
// Half-width instructions of the wider set, as whole-width ones slow some processors' clocks.
__attribute__((target("avx512f,avx512vl,prefer-256-bit"))) LANES(avx512)

int karri_md5_widest(void) {
    return __builtin_cpu_supports("avx512vl") ? 2 : __builtin_cpu_supports("avx2") ? 1 : 0;
}

void karri_md5_lanes(int instructions, uint32_t *states, const void *const *bytes, size_t blocks) {
    if (instructions == 2) avx512(states, bytes, blocks);
    else if (instructions == 1) avx2(states, bytes, blocks);
    else anywhere(states, bytes, blocks);
}

#else

int karri_md5_widest(void) { return 0; }

void karri_md5_lanes(int instructions, uint32_t *states, const void *const *bytes, size_t blocks) {
    (void)instructions;
    anywhere(states, bytes, blocks);
}

#endif
