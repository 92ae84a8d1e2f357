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
    word name(const word *tables, word check, const void *data, size_t count) {                        \
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

SLICED(karri_crc32_sliced, uint32_t)
SLICED(karri_crc64_sliced, uint64_t)

#if defined(__x86_64__)

int karri_has_crc32c_instruction(void) { return __builtin_cpu_supports("sse4.2") != 0; }

__attribute__((target("sse4.2")))
uint32_t karri_crc32c_instruction(uint32_t check, const void *data, size_t count) {
    const uint8_t *bytes = data;
    uint64_t wide = check;
    for (; count >= 8; count -= 8, bytes += 8) wide = __builtin_ia32_crc32di(wide, eight(bytes));
    check = (uint32_t)wide;
    while (count--) check = __builtin_ia32_crc32qi(check, *bytes++);
    return check;
}

int karri_has_carryless_multiplication(void) {
    return __builtin_cpu_supports("pclmul") != 0 && __builtin_cpu_supports("sse4.1") != 0;
}

__attribute__((target("pclmul,sse4.1")))
uint64_t karri_crc64_folded(
    const uint64_t *tables, uint64_t far, uint64_t near, uint64_t check, const void *data, size_t count) {
    const uint8_t *bytes = data;
    if (count >= 32) {
        const __m128i powers = _mm_set_epi64x((long long)near, (long long)far);
        __m128i sum = _mm_xor_si128(_mm_loadu_si128((const __m128i *)bytes), _mm_set_epi64x(0, (long long)check));
        for (bytes += 16, count -= 16; count >= 16; bytes += 16, count -= 16) {
            const __m128i moved = _mm_xor_si128(
                _mm_clmulepi64_si128(sum, powers, 0x00), _mm_clmulepi64_si128(sum, powers, 0x11));
            sum = _mm_xor_si128(moved, _mm_loadu_si128((const __m128i *)bytes));
        }
        uint8_t left[16];
        _mm_storeu_si128((__m128i *)left, sum);
        check = karri_crc64_sliced(tables, 0, left, sizeof left);
    }
    return karri_crc64_sliced(tables, check, bytes, count);
}

#else

int karri_has_crc32c_instruction(void) { return 0; }
int karri_has_carryless_multiplication(void) { return 0; }

uint64_t karri_crc64_folded(
    const uint64_t *tables, uint64_t far, uint64_t near, uint64_t check, const void *data, size_t count) {
    (void)far;
    (void)near;
    return karri_crc64_sliced(tables, check, data, count);
}

uint32_t karri_crc32c_instruction(uint32_t check, const void *data, size_t count) {
    (void)data;
    (void)count;
    return check;
}

#endif
