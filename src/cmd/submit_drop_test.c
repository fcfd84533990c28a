/* Mail left in the drop directory: what is said to be taken is there, whole,
   whatever fails and wherever the power goes. */
#include "cmd/submit_drop.h"
#include "base/mem.h"
#include "mail/drop.h"
#include "os/os_sim.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define HEAD "Subject: x\r\n\r\n"
#define BODY "body\r\n"

static void
message_make(struct submit_message *m, size_t count)
{
	submit_message_init(m);
	m->recipients = mem_new(count, sizeof(*m->recipients));
	m->outcomes = mem_new(count, sizeof(*m->outcomes));
	m->recipient_count = count;
	m->envelope.sender = STR("a@b");
	m->envelope.body = MAIL_BODY_8BITMIME;
	m->envelope.ret = MAIL_RET_HDRS;
	m->envelope.envid = STR("id");
	m->envelope.is_smtputf8 = true;
	for (size_t i = 0; i < count; i++)
		m->recipients[i].address = STR("c@d");
	m->recipients[0].notify = MAIL_NOTIFY_SUCCESS | MAIL_NOTIFY_DELAY;
	m->recipients[0].is_expanded = true;
	assert_int_equal(buf_append(&m->head, STR(HEAD)), 0);
	assert_int_equal(submit_message_append(m, STR(BODY)), 0);
}

static struct os *
disk_make(void)
{
	struct os *os = os_sim_new(1);

	assert_int_equal(os_make_directory(os, DROP_DIR_TEMP), 0);
	assert_int_equal(os_make_directory(os, DROP_DIR_NEW), 0);
	assert_int_equal(os_sync_directory(os, ""), 0);
	return os;
}

/* What a disk holds. */
struct disk {
	struct os *os;
	const char *directory;
	size_t file_count;
	size_t whole_count;
	size_t rcpt_count;
	struct buf text; /* of the whole ones */
};

/* Reads a file; true if it is whole. */
static bool
disk_read(struct disk *disk, struct os_file *file)
{
	static char bytes[1 << 18];
	struct drop_reader r;
	struct drop_item item = {.kind = DROP_MORE};
	uint64_t size;
	struct str in;

	assert_int_equal(disk->os->ops->size(disk->os, file, &size), 0);
	assert_true(size <= sizeof(bytes));
	assert_int_equal(
	    os_pread(disk->os, file, bytes, (size_t)size, 0), size);
	in = str_of(bytes, (size_t)size);
	drop_reader_init(&r, size);
	while (item.kind != DROP_END) {
		if (drop_reader_next(&r, &in, &item) < 0 ||
		    item.kind == DROP_MORE)
			return false;
		if (item.kind == DROP_RCPT)
			disk->rcpt_count++;
		assert_int_equal(buf_append(&disk->text, item.text), 0);
		assert_int_equal(buf_append(&disk->text, STR("|")), 0);
	}
	return true;
}

static void
disk_file(void *arg, const char *name)
{
	struct disk *disk = arg;
	struct os_file *file;
	char path[100];

	snprintf(path, sizeof(path), "%s/%s", disk->directory, name);
	assert_int_equal(os_open(disk->os, path, OS_READ, &file), 0);
	disk->file_count++;
	disk->whole_count += disk_read(disk, file);
	assert_int_equal(os_close(disk->os, file), 0);
}

static void
disk_look(struct disk *disk, struct os *os, const char *directory)
{
	*disk = (struct disk){.os = os, .directory = directory};
	buf_init(&disk->text, 1 << 20);
	assert_int_equal(os_list(os, directory, disk_file, disk), 0);
}

static void
test_one(void **state)
{
	struct os *os = disk_make();
	struct submit_message m;
	struct disk disk;

	message_make(&m, 3);
	m.outcomes[1].fate = SUBMIT_REFUSED;
	m.outcomes[2].fate = SUBMIT_LATER;
	assert_int_equal(submit_drop(os, &m), 0);
	assert_int_equal(m.outcomes[0].fate, SUBMIT_TAKEN);
	assert_int_equal(m.outcomes[1].fate, SUBMIT_REFUSED);
	assert_int_equal(m.outcomes[2].fate, SUBMIT_TAKEN);
	disk_look(&disk, os, DROP_DIR_NEW);
	assert_int_equal(disk.file_count, 1);
	assert_int_equal(disk.whole_count, 1);
	assert_true(str_equal(buf_str(&disk.text),
	    STR("FROM:<a@b> BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=id|"
		"TO:<c@d> NOTIFY=SUCCESS,DELAY XFINAL|TO:<c@d>|" HEAD BODY
		"||")));
	buf_fini(&disk.text);
	disk_look(&disk, os, DROP_DIR_TEMP);
	assert_int_equal(disk.file_count, 0);
	buf_fini(&disk.text);
	submit_message_fini(&m);
	os_free(os);
}

static void
test_many(void **state)
{
	struct os *os = disk_make();
	struct submit_message m;
	struct disk disk;

	message_make(&m, 2 * DROP_LINES_MAX + 1);
	assert_int_equal(submit_drop(os, &m), 0);
	disk_look(&disk, os, DROP_DIR_NEW);
	assert_int_equal(disk.file_count, 3);
	assert_int_equal(disk.whole_count, 3);
	assert_int_equal(disk.rcpt_count, 2 * DROP_LINES_MAX + 1);
	buf_fini(&disk.text);
	submit_message_fini(&m);
	os_free(os);
}

/* The first call fails, then the second, until none does. */
static void
test_each_failure(void **state)
{
	static const int errors[] = {-ENOSPC, -EIO, -EACCES};
	uint64_t n = 0;
	int error = -1;

	while (error < 0) {
		struct os *os = disk_make();
		struct submit_message m;
		struct disk disk;

		message_make(&m, 2);
		n++;
		os_sim_fail_at(os, n, errors[n % 3], false);
		error = submit_drop(os, &m);
		os_sim_fail_at(os, 0, 0, false);
		assert_int_equal(
		    submit_message_count(&m, SUBMIT_TAKEN), error == 0 ? 2 : 0);
		disk_look(&disk, os, DROP_DIR_NEW);
		assert_int_equal(disk.file_count, error == 0);
		assert_int_equal(disk.whole_count, error == 0);
		buf_fini(&disk.text);
		disk_look(&disk, os, DROP_DIR_TEMP);
		assert_int_equal(disk.file_count, 0);
		buf_fini(&disk.text);
		submit_message_fini(&m);
		os_free(os);
	}
	assert_true(n > 7);
}

/* Every moment at which the disk changes is one at which the power may go. */
static void
cut(void *arg, struct os *os)
{
	for (int how = 0; how < OS_SIM_CRASHES; how++) {
		struct os *after = os_sim_crash(os, (enum os_sim_crash)how, 1);
		struct disk disk;

		disk_look(&disk, after, DROP_DIR_NEW);
		assert_int_equal(disk.whole_count, disk.file_count);
		buf_fini(&disk.text);
		os_free(after);
	}
	++*(int *)arg;
}

static void
test_power_cuts(void **state)
{
	struct os *os = disk_make();
	struct submit_message m;
	int cuts = 0;

	message_make(&m, 2);
	os_sim_set_hook(os, cut, &cuts);
	assert_int_equal(submit_drop(os, &m), 0);
	os_sim_set_hook(os, NULL, NULL);
	assert_true(cuts > 4);
	for (int how = 0; how < OS_SIM_CRASHES; how++) {
		struct os *after = os_sim_crash(os, (enum os_sim_crash)how, 2);
		struct disk disk;

		disk_look(&disk, after, DROP_DIR_NEW);
		assert_int_equal(disk.whole_count, 1);
		buf_fini(&disk.text);
		os_free(after);
	}
	submit_message_fini(&m);
	os_free(os);
}

/* A body that is partly in memory and partly in the file is read as one. */
static void
test_long_body(void **state)
{
	static char block[SUBMIT_BLOCK], got[3 * SUBMIT_BLOCK];
	size_t count = SUBMIT_MEMORY_MAX / sizeof(block) + 3;
	struct submit_message m;
	uint64_t at = 0;
	int64_t n;

	message_make(&m, 1);
	for (size_t i = 0; i < count; i++) {
		memset(block, 'a' + (int)i % 26, sizeof(block));
		assert_int_equal(
		    submit_message_append(&m, str_of(block, sizeof(block))), 0);
	}
	assert_int_equal(submit_message_size(&m),
	    sizeof(HEAD) + sizeof(BODY) - 2 + count * sizeof(block));
	while ((n = submit_message_read(&m, got, sizeof(got), at)) > 0) {
		for (int64_t i = 0; i < n; i++) {
			uint64_t place = at + (uint64_t)i -
			                 (sizeof(HEAD) + sizeof(BODY) - 2);

			if (place < UINT64_MAX / 2)
				assert_int_equal(
				    got[i], 'a' + place / sizeof(block) % 26);
		}
		at += (uint64_t)n;
	}
	assert_int_equal(at, submit_message_size(&m));
	submit_message_fini(&m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_one),
	    cmocka_unit_test(test_many),
	    cmocka_unit_test(test_each_failure),
	    cmocka_unit_test(test_power_cuts),
	    cmocka_unit_test(test_long_body),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
