/* libconfig's tree to the tables of struct conf. */
#ifndef CONF_PARSE_H
#define CONF_PARSE_H

#include "conf/reader.h"

/* Fills the reader's configuration from the tree; what is wrong is noted in
   the reader. */
void parse_tree(struct reader *r, const config_setting_t *root);

#endif
