// The inner loops of cyclic redundancy checks, which Swift compiles several times as slow.
#ifndef KARRI_CCHECKSUMS_H
#define KARRI_CCHECKSUMS_H

#include <stddef.h>
#include <stdint.h>

/// Takes `count` bytes into a check, eight a step, by eight tables of 256 one after the other. The
/// check is as it stands between the inversions before and after.
uint32_t karri_crc32_sliced(const uint32_t *tables, uint32_t check, const void *bytes, size_t count);
uint64_t karri_crc64_sliced(const uint64_t *tables, uint64_t check, const void *bytes, size_t count);

/// The same for Castagnoli's polynomial by the processor's own instruction.
uint32_t karri_crc32c_instruction(uint32_t check, const void *bytes, size_t count);

/// Whether the processor has that instruction.
int karri_has_crc32c_instruction(void);

/// The same for a polynomial of 64 bits, sixteen bytes a step, by multiplication without carries (Gopal and others,
/// "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction").
///
/// - far, near: x to the powers of 191 and 127, modulo the polynomial, reflected.
uint64_t karri_crc64_folded(
    const uint64_t *tables, uint64_t far, uint64_t near, uint64_t check, const void *bytes, size_t count);

/// Whether the processor has such a multiplication.
int karri_has_carryless_multiplication(void);

#endif
