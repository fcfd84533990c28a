/* Values of settings from their texts, one reader for each type. */
#ifndef CONF_VALUE_H
#define CONF_VALUE_H

#include "conf/reader.h"
#include "conf/setting.h"

/* Reads TEXT as ROW's type, which is one of a single value other than a flag,
   into the row's field of OBJECT: 0; -EINVAL if it is not of the type; -ERANGE
   if it is out of the row's limits; -ENOMEM with a mistake noted. */
int value_read(struct reader *r, const struct setting *row, struct str text,
    void *object) __attribute__((warn_unused_result));

/* "a.test" or "@a.test", made a key: the same results. */
int value_domain_read(struct reader *r, struct str text,
    struct conf_domain *domain_out) __attribute__((warn_unused_result));

#endif
