/* Who calls sendmail: name, full name and home of the real user id. */
#ifndef CMD_SUBMIT_USER_H
#define CMD_SUBMIT_USER_H

struct submit_user {
	char *name;      /* the number where there is no name */
	char *full_name; /* $NAME, else of the passwd entry; or "" */
	char *home;      /* "/" where there is none */
};

void submit_user_init(struct submit_user *user);
void submit_user_fini(struct submit_user *user);

#endif
