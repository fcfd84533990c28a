/*
 * The records of the spool's log and their codec.  All numbers are
 * little-endian; "str" is a 32-bit length and that many bytes (base/wire.h).
 * Version 1.
 *
 * A segment file "log/NNNNNNNNNN" (ten digits) begins with a header that has
 * a sector of its own:
 *    0  8  "SENDQLOG"
 *    8  4  version, 1
 *   12  4  CRC-32C of the bytes 16..71
 *   16  8  number of this segment
 *   24  8  number of the segment before it, 0 = none
 *   32  8  where the valid part of that segment ends
 *   40  8  salt: a random number that all records of this segment repeat
 *   48  8  sequence number; that of no record in this segment is lower
 *   56  8  queue time in milliseconds, as last known
 *   64  8  wall clock of the last clock record, 0 = none
 *   72  -  zero up to byte 512, where the first record begins
 *
 * A record begins at a multiple of 8 and is padded with zero bytes to one:
 *    0  4  "SQR1"
 *    4  4  type (enum spool_record_type)
 *    8  8  sequence number, higher than that of every record before it
 *   16  8  all records below this number were on stable storage when this one
 *          was made; what fails its check below it is damage, not a torn tail
 *   24  4  size of the body
 *   28  4  size of the content in bytes, 0 if there is none
 *   32  4  CRC-32C of the body
 *   36  8  salt of the segment, so that content cannot pass for a record
 *   44  4  CRC-32C of the bytes 0..43
 *   48  -  body, then the content as blocks of 65536 bytes (the last one may
 *          be shorter), a CRC-32C behind each
 * The CRC of a block covers the id of its message, the block's number (8
 * bytes) and its bytes.  A staged content file is such blocks and no more.
 *
 * Bodies by type:
 *   MESSAGE  message
 *   SETTLE   u64 key, str destination, u32 count, count of {u32 recipient,
 *            u8 outcome, u64 due time, str status, u64 alarm (0: as it was),
 *            u8 told}, u8 has a DSN, message
 *   CHANGE   u8 change, u32 count, count of {u64 key, str destination,
 *            u32 count, count of u32 recipient}, str reason
 *   REHOLD   str destination
 *   DUE      u64 due time, u64 key, u32 recipient: all rows up to this one, in
 *            this order of (due time, key, recipient), went home
 *   CLOCK    u64 queue time, u64 wall clock
 *   MOVE     u64 key, u8 waiting rows go home too, u32 count, count of {u32
 *            recipient, str destination, u8 home lane, u64 alarm (0: as it
 *            was)}
 *   message  u64 key (0: the sequence number of the record), str id, u64
 *            arrival, u64 arrival by the wall clock, u64 expire, u64 rank, u64
 *            content size, u8 staged, envelope (mail/envelope.h), u32 count,
 *            count of {u32 number, recipient (mail/envelope.h), str
 *            destination, str domain, u8 lane, u8 home lane, u64 place, u32
 *            attempts, str status, u64 alarm, u8 told}, str reason
 * A message with a key was copied from an older segment with what was left of
 * it.  A reason (why it was stopped) that is empty is left out, as all of them
 * were once; it ends the body, so that one without it can be told.
 */
#ifndef STORE_SPOOL_SPOOL_RECORD_H
#define STORE_SPOOL_SPOOL_RECORD_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"
#include "store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPOOL_SEGMENT_HEADER 72
#define SPOOL_SEGMENT_START  512
#define SPOOL_RECORD_HEADER  48
#define SPOOL_BODY_MAX       (8 << 20)
#define SPOOL_BLOCK_STORED   (STORE_BLOCK + 4)

enum spool_record_type {
	SPOOL_MESSAGE = 1,
	SPOOL_SETTLE,
	SPOOL_CHANGE,
	SPOOL_REHOLD,
	SPOOL_DUE,
	SPOOL_CLOCK,
	SPOOL_MOVE,
	SPOOL_TYPES
};

struct spool_segment_header {
	uint64_t number;
	uint64_t previous;
	uint64_t previous_end;
	uint64_t salt;
	uint64_t seq;
	uint64_t queue_ms;
	uint64_t wall_ms;
};

struct spool_record_header {
	enum spool_record_type type;
	uint64_t seq;
	uint64_t synced_seq;
	uint32_t body_size;
	uint32_t content_size;
	uint32_t body_crc;
	uint64_t salt;
};

/* A recipient as it is queued. */
struct spool_row {
	uint32_t index;
	struct mail_recipient recipient;
	struct str destination;
	struct str domain;
	enum store_lane lane;
	enum store_lane home;
	uint64_t place;
	uint32_t attempts;
	struct str status;
	uint64_t alarm_ms;
	bool is_told;
};

/* A message as it is queued, without its content. */
struct spool_message {
	uint64_t key;
	char id[STORE_ID_MAX + 1];
	struct mail_envelope envelope;
	uint64_t arrival_ms;
	uint64_t arrival_wall_ms;
	uint64_t expire_ms;
	uint64_t rank;
	uint64_t content_size;
	bool is_staged;
	struct spool_row *rows;
	size_t row_count;
	struct str reason; /* why rows of it are stopped, or empty */
};

/* The rows of one message at one destination that a change names. */
struct spool_change_group {
	uint64_t key;
	struct str destination;
	uint32_t *indexes;
	size_t count;
};

/* A decoded body; the strings point into the bytes, the arrays belong to the
   arena that was given. */
struct spool_body {
	struct spool_message message; /* MESSAGE, or the DSN of SETTLE */
	bool has_message;
	uint64_t key;                 /* SETTLE, DUE, MOVE */
	struct str destination;       /* SETTLE, REHOLD */
	struct store_result *results; /* SETTLE */
	size_t result_count;
	enum store_change change; /* CHANGE */
	struct spool_change_group *groups;
	size_t group_count;
	struct str reason;        /* CHANGE: of the messages, or empty */
	uint64_t due_ms;          /* DUE */
	uint32_t due_index;       /* DUE */
	uint64_t queue_ms;        /* CLOCK */
	uint64_t wall_ms;         /* CLOCK */
	struct store_move *moves; /* MOVE */
	size_t move_count;
	bool is_now; /* MOVE */
};

void spool_segment_header_put(
    char to[SPOOL_SEGMENT_HEADER], const struct spool_segment_header *header);
/* 0 or -EBADMSG. */
int spool_segment_header_get(const char from[SPOOL_SEGMENT_HEADER],
    struct spool_segment_header *header_out);

void spool_record_header_put(
    char to[SPOOL_RECORD_HEADER], const struct spool_record_header *header);
/* 0 or -EBADMSG; the salt is for the caller to look at. */
int spool_record_header_get(const char from[SPOOL_RECORD_HEADER],
    struct spool_record_header *header_out);

/* Bytes of the whole record with its padding. */
uint64_t spool_record_size(const struct spool_record_header *header);
/* Bytes that SIZE bytes of content take as checked blocks. */
uint64_t spool_content_stored(uint64_t size);
/* The check value of block INDEX of the message ID. */
uint32_t spool_block_crc(const char *id, uint64_t index, struct str block);

/* Encodes BODY as TYPE behind what is in OUT: 0 or -ENOBUFS. */
int spool_body_put(struct buf *out, enum spool_record_type type,
    const struct spool_body *body) __attribute__((warn_unused_result));
/* Decodes: 0, or -EBADMSG.  SEQ is the record's own number. */
int spool_body_get(struct str bytes, const struct spool_record_header *header,
    struct arena *arena, struct spool_body *body_out)
    __attribute__((warn_unused_result));

#endif
