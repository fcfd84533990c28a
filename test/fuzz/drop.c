/* Files that any local user may leave: the same items however they are read. */
#include "base/crc32c.h"
#include "fuzz/fuzz.h"
#include "mail/drop.h"

#include <inttypes.h>

/* Reads FILE, STEP bytes more at a time; what was found, as a number. */
static uint64_t
read_all(struct str file, size_t step)
{
	struct drop_reader r;
	struct drop_item item;
	size_t have = step < file.size ? step : file.size, at = 0;
	uint64_t sum = 0, content = 0;

	drop_reader_init(&r, file.size);
	for (;;) {
		struct str in = str_head(str_skip(file, at), have - at);

		if (drop_reader_next(&r, &in, &item) != 0)
			return 1;
		at = have - in.size;
		if (item.kind == DROP_CONTENT)
			content += item.text.size;
		else if (item.kind != DROP_MORE)
			sum = sum * 31 + item.kind * 7 + item.text.size;
		if (item.kind == DROP_END) {
			CHECK(content == drop_reader_content_size(&r));
			return sum * 31 + content;
		}
		if (item.kind == DROP_MORE) {
			if (have == file.size)
				return 2;
			have =
			    file.size - have > step ? have + step : file.size;
		}
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t whole, parts;
	struct buf file;

	buf_init(&file, size + DROP_TRAILER_SIZE);
	CHECK(buf_append(&file, fuzz_rest(data, size)) == 0);
	/* Most with a trailer that is right, as else nothing but it is tried.
	 */
	if (size % 8 != 0)
		CHECK(buf_printf(&file, "\nEND %016zx %08" PRIx32 "\n", size,
			  crc32c(0, fuzz_rest(data, size))) == 0);
	whole = read_all(buf_str(&file), SIZE_MAX);
	parts = read_all(buf_str(&file), 1 + size / 7);
	/* A piece may show a fault before its line is whole, and so earlier. */
	CHECK(whole == parts || (whole < 3 && parts < 3));
	buf_fini(&file);
	return 0;
}
