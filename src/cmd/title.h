/* What ps(1) shows of a process. */
#ifndef CMD_TITLE_H
#define CMD_TITLE_H

/* A copy of ARGV on the heap, to be used from now on; the room of the old one
   is for titles. */
char **title_init(int argc, char **argv);

/* Shows TEXT, cut to the room that the command line had, instead of it. */
void title_set(const char *text);

#endif
