/* Directories of a queue, made below a temporary one. */
#include "cmd/mqueue_dirs.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* What is made; a name that ends in "/" is a directory. */
static const char *const tree[] = {
    "mq/",
    "mq/q1/",
    "mq/q1/qfA",
    "mq/q2/",
    "mq/q2/qf/",
    "mq/q2/df/",
    "mq/slow1/",
    "mq/slow1/df/",
    "mq/slow1/hfA",
    "mq/notes/",
    "mq/q3",
    "flat/",
    "flat/q1/",
    "flat/QfA",
    "both/",
    "both/qf/",
    "both/df/",
    "none/",
    "fast/",
    "fast/qfast/",
    "fast/qfast/qfA",
    "part/",
    "part/qf/",
    "part/q1/",
    "spool/",
    "spool/lock",
    "spool/log/",
    "false/",
    "false/lock",
};

#define TREE (sizeof(tree) / sizeof(tree[0]))

static char root[64];

static void
tree_path(size_t i, char path[200])
{
	snprintf(path, 200, "%s/%s", root, tree[i]);
}

static int
tree_make(void **state)
{
	char path[200];

	snprintf(root, sizeof(root), "/tmp/mqueue-dirs-test-XXXXXX");
	if (mkdtemp(root) == NULL)
		return -1;
	for (size_t i = 0; i < TREE; i++) {
		FILE *file;

		tree_path(i, path);
		if (path[strlen(path) - 1] == '/') {
			if (mkdir(path, 0700) < 0)
				return -1;
			continue;
		}
		file = fopen(path, "w");
		if (file == NULL || fclose(file) != 0)
			return -1;
	}
	(void)state;
	return 0;
}

static int
tree_remove(void **state)
{
	char path[200];

	for (size_t i = TREE; i > 0; i--) {
		tree_path(i - 1, path);
		if (remove(path) != 0)
			return -1;
	}
	(void)state;
	return rmdir(root);
}

/* All of DIRS as "title qf_path df_path df_name;" without the root. */
static void
show(const struct mqueue_dirs *dirs, char *text, size_t size)
{
	size_t skip = strlen(root) + 1;

	text[0] = '\0';
	for (size_t i = 0; i < dirs->count; i++) {
		const struct mqueue_dir *d = &dirs->list[i];

		assert_string_equal(d->title, d->df_path);
		snprintf(text + strlen(text), size - strlen(text), "%s %s %s;",
		    d->title + skip, d->qf_path + skip, d->df_name);
	}
}

static void
test_directories(void **state)
{
	static const struct {
		const char *directory;
		const char *group;
		const char *expected;
	} cases[] = {
	    {"flat", "", "flat flat ./;"},
	    {"flat/", "", "flat flat ./;"},
	    {"flat", "mqueue", "flat flat ./;"},
	    {"none", "", "none none ./;"},
	    {"both", "", "both/df both/qf ./df/;"},
	    {"mq/q*", "", "mq/q1 mq/q1 q1/;mq/q2/df mq/q2/qf q2/df/;"},
	    {"mq/q2*", "", "mq/q2/df mq/q2/qf q2/df/;"},
	    {"mq/x*", "", "mq mq ./;"},
	    {"fast", "", "fast/qfast fast/qfast qfast/;"},
	    {"part/q*", "", "part/q1 part/q1 q1/;"},
	    {"mq/q*", "slow", "mq/slow1/df mq/slow1 slow1/df/;"},
	    {"mq/q*", "q", "mq/q1 mq/q1 q1/;mq/q2/df mq/q2/qf q2/df/;"},
	    {"mq/q*", "slo", ""},
	    {"mq/q*", "nosuch", ""},
	    {"mq", "",
		"mq/q1 mq/q1 q1/;mq/q2/df mq/q2/qf q2/df/;"
		"mq/slow1/df mq/slow1 slow1/df/;"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct mqueue_dirs dirs;
		char path[200], text[1000];

		snprintf(path, sizeof(path), "%s/%s", root, cases[i].directory);
		assert_int_equal(mqueue_dirs_find(&dirs, str_from(path),
				     str_from(cases[i].group)),
		    0);
		show(&dirs, text, sizeof(text));
		assert_string_equal(text, cases[i].expected);
		mqueue_dirs_fini(&dirs);
	}
	(void)state;
}

static void
test_what_is_not_there(void **state)
{
	struct mqueue_dirs dirs;
	char path[200];

	snprintf(path, sizeof(path), "%s/missing/q*", root);
	assert_int_equal(
	    mqueue_dirs_find(&dirs, str_from(path), STR("")), -ENOENT);
	assert_int_equal(dirs.count, 0);
	assert_string_equal(dirs.base + strlen(root), "/missing");
	mqueue_dirs_fini(&dirs);
	(void)state;
}

static void
test_our_spools(void **state)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/spool", root);
	assert_true(mqueue_dirs_is_spool(path));
	snprintf(path, sizeof(path), "%s/false", root);
	assert_false(mqueue_dirs_is_spool(path));
	snprintf(path, sizeof(path), "%s/flat", root);
	assert_false(mqueue_dirs_is_spool(path));
	(void)state;
}

static void
test_groups(void **state)
{
	assert_true(mqueue_dirs_is_of_group(STR("slow"), "slow"));
	assert_true(mqueue_dirs_is_of_group(STR("slow"), "slow12"));
	assert_false(mqueue_dirs_is_of_group(STR("slow"), "slow1a"));
	assert_false(mqueue_dirs_is_of_group(STR("slow"), "slo"));
	assert_false(mqueue_dirs_is_of_group(STR("slow"), "Slow"));
	(void)state;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_directories),
	    cmocka_unit_test(test_what_is_not_there),
	    cmocka_unit_test(test_our_spools),
	    cmocka_unit_test(test_groups),
	};

	return cmocka_run_group_tests(tests, tree_make, tree_remove);
}
