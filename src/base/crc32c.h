/* CRC-32C (Castagnoli, RFC 3720 B.4), as iSCSI and ext4 use it. */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include "base/str.h"

#include <stdint.h>

/* The checksum of BYTES continued from CRC (0 to begin). */
uint32_t crc32c(uint32_t crc, struct str bytes);

#endif
