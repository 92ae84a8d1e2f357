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

#endif
