/*
 * Who calls sendmail.  The environment is believed for nothing but the name
 * that people read.
 */
#include "cmd/submit_user.h"
#include "base/buf.h"
#include "base/mem.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define USER_NAME_MAX 400

/* A copy of TEXT up to the first comma, with the user's NAME, its first letter
   large, for each "&" (passwd(5)). */
static char *
user_full_name(const char *text, const char *name)
{
	struct buf out;
	char *copy;
	int error = 0;

	buf_init(&out, USER_NAME_MAX);
	for (; *text != '\0' && *text != ',' && error == 0; text++) {
		char first = name[0];

		if (*text != '&') {
			error = buf_append(&out, str_of(text, 1));
			continue;
		}
		if (first >= 'a' && first <= 'z')
			first = (char)(first - 'a' + 'A');
		error = buf_printf(&out, "%c%s", first, name + 1);
	}
	copy = mem_copy_text(
	    buf_size(&out) > 0 ? buf_str(&out).data : "", buf_size(&out));
	buf_fini(&out);
	return copy;
}

static char *
user_copy(const char *text)
{
	return mem_copy_text(text, strlen(text));
}

void
submit_user_init(struct submit_user *user)
{
	/* cppcheck-suppress getpwuidCalled ; there is one thread. */
	const struct passwd *entry = getpwuid(getuid());
	const char *name = secure_getenv("NAME");
	char number[24];

	snprintf(number, sizeof(number), "%lu", (unsigned long)getuid());
	user->name = user_copy(entry != NULL ? entry->pw_name : number);
	user->home = user_copy(entry != NULL ? entry->pw_dir : "/");
	if (name != NULL && name[0] != '\0')
		user->full_name = user_copy(name);
	else
		user->full_name = user_full_name(
		    entry != NULL ? entry->pw_gecos : "", user->name);
}

void
submit_user_fini(struct submit_user *user)
{
	free(user->name);
	free(user->full_name);
	free(user->home);
	*user = (struct submit_user){.name = NULL};
}
