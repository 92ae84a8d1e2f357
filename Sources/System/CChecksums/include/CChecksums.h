// The inner loops of cyclic redundancy checks, which Swift compiles several times as slow.
#ifndef KARRI_CCHECKSUMS_H
#define KARRI_CCHECKSUMS_H

#include "MD5.h"

#include <stddef.h>
#include <stdint.h>

/// Takes `count` bytes into a check, which is as it stands between the inversions before and after.
///
/// - tables: Eight of 256, one after the other, for eight bytes a step.
/// - powers: x to the powers of 575, 511, 191 and 127, modulo the polynomial, reflected in 64 bits: 64 bytes a step, by
///   multiplication without carries (Gopal and others, "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ
///   Instruction"). Null: by the tables alone.
uint32_t karri_crc32(const uint32_t *tables, const uint64_t *powers, uint32_t check, const void *bytes, size_t count);
uint64_t karri_crc64(const uint64_t *tables, const uint64_t *powers, uint64_t check, const void *bytes, size_t count);

/// Whether the processor has such a multiplication.
int karri_has_carryless_multiplication(void);

#endif
