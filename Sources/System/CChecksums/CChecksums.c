#include "CChecksums.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

// Eight bytes as a little-endian number.
static inline uint64_t eight(const uint8_t *bytes) {
    uint64_t word;
    memcpy(&word, bytes, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

#define SLICED(name, word)                                                                             \
    static word name(const word *tables, word check, const void *data, size_t count) {                        \
        const uint8_t *bytes = data;                                                                   \
        for (; count >= 8; count -= 8, bytes += 8) {                                                   \
            uint64_t next = eight(bytes) ^ check;                                                      \
            check = tables[7 * 256 + (next & 0xff)] ^ tables[6 * 256 + (next >> 8 & 0xff)]             \
                ^ tables[5 * 256 + (next >> 16 & 0xff)] ^ tables[4 * 256 + (next >> 24 & 0xff)]        \
                ^ tables[3 * 256 + (next >> 32 & 0xff)] ^ tables[2 * 256 + (next >> 40 & 0xff)]        \
                ^ tables[1 * 256 + (next >> 48 & 0xff)] ^ tables[next >> 56];                          \
        }                                                                                              \
        while (count--) check = check >> 8 ^ tables[(check ^ *bytes++) & 0xff];                        \
        return check;                                                                                  \
    }

SLICED(sliced32, uint32_t)
SLICED(sliced64, uint64_t)

#if defined(__x86_64__)

int karri_has_carryless_multiplication(void) {
    return __builtin_cpu_supports("pclmul") != 0 && __builtin_cpu_supports("sse4.1") != 0;
}

#define CARRYLESS __attribute__((target("pclmul,sse4.1")))

CARRYLESS static inline __m128i sixteen(const uint8_t *bytes) { return _mm_loadu_si128((const __m128i *)bytes); }

// What lies further ahead by the powers' distance, with the sum taken into it.
CARRYLESS static inline __m128i folded(__m128i sum, __m128i powers, __m128i ahead) {
    const __m128i moved = _mm_xor_si128(
        _mm_clmulepi64_si128(sum, powers, 0x00), _mm_clmulepi64_si128(sum, powers, 0x11));
    return _mm_xor_si128(moved, ahead);
}

// Four sums side by side, as a multiplication takes several cycles to end and one to begin.
#define FOLDED(name, word, sliced)                                                                     \
    CARRYLESS word name(                                                                               \
        const word *tables, const uint64_t *powers, word check, const void *data, size_t count) {      \
        const uint8_t *bytes = data;                                                                   \
        if (!powers || count < 64) return sliced(tables, check, bytes, count);                                    \
        const __m128i four = _mm_set_epi64x((long long)powers[1], (long long)powers[0]);               \
        const __m128i one = _mm_set_epi64x((long long)powers[3], (long long)powers[2]);                \
        __m128i sums[4];                                                                               \
        for (int i = 0; i < 4; i++) sums[i] = sixteen(bytes + 16 * i);                                 \
        sums[0] = _mm_xor_si128(sums[0], _mm_set_epi64x(0, (long long)check));                         \
        for (bytes += 64, count -= 64; count >= 64; bytes += 64, count -= 64)                          \
            for (int i = 0; i < 4; i++) sums[i] = folded(sums[i], four, sixteen(bytes + 16 * i));      \
        __m128i sum = sums[0];                                                                         \
        for (int i = 1; i < 4; i++) sum = folded(sum, one, sums[i]);                                   \
        for (; count >= 16; bytes += 16, count -= 16) sum = folded(sum, one, sixteen(bytes));          \
        uint8_t left[16];                                                                              \
        _mm_storeu_si128((__m128i *)left, sum);                                                        \
        return sliced(tables, sliced(tables, 0, left, sizeof left), bytes, count);                     \
    }

#else

int karri_has_carryless_multiplication(void) { return 0; }

#define FOLDED(name, word, sliced)                                                                     \
    word name(const word *tables, const uint64_t *powers, word check, const void *data, size_t count) { \
        (void)powers;                                                                                  \
        return sliced(tables, check, data, count);                                                     \
    }

#endif

FOLDED(karri_crc32, uint32_t, sliced32)
FOLDED(karri_crc64, uint64_t, sliced64)
