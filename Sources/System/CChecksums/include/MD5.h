// The inner loops of MD5 (RFC 1321): of one digest, and of several side by side. A digest's steps wait for one another,
// so that one alone leaves most of a processor unused.
#ifndef KARRI_MD5_H
#define KARRI_MD5_H

#include <stddef.h>
#include <stdint.h>

/// How many digests are made side by side.
#define KARRI_MD5_LANES 16

/// Takes whole blocks of 64 bytes into a digest's four words.
void karri_md5(uint32_t *state, const void *bytes, size_t blocks);

/// The widest instructions that this processor has: 0 those that every one has, 1 AVX2, 2 AVX-512.
int karri_md5_widest(void);

/// Takes as many blocks into each of several digests.
///
/// - instructions: Those to do it by, which the processor must have.
/// - states: The first words of all `KARRI_MD5_LANES` digests, then their second words, and so on.
/// - bytes: A pointer a digest; two may be the same.
void karri_md5_lanes(int instructions, uint32_t *states, const void *const *bytes, size_t blocks);

#endif
