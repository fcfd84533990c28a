/* The roles that are made of handlers, as the carrier starts them. */
#ifndef ROLE_ROLES_H
#define ROLE_ROLES_H

#include "conf/conf.h"
#include "os/os.h"
#include "role/env.h"
#include "store/store.h"

#include <stdint.h>

extern const struct role_ops role_receive_ops;
extern const struct role_ops role_queue_ops;
extern const struct role_ops role_deliver_ops;
extern const struct role_ops role_control_ops;
extern const struct role_ops role_pickup_ops;

/* Each makes the role; the configuration and the carrier outlive it. */
void *role_receive_new(struct role_env *env, const struct conf *conf);
void role_receive_free(void *role);
/* INFO is what the store knew when it was opened. */
void *role_queue_new(struct role_env *env, const struct conf *conf,
    const struct store_info *info, uint64_t now_ms);
/* One that does nothing but the runs that it is asked for. */
void *role_queue_new_run(struct role_env *env, const struct conf *conf,
    const struct store_info *info, uint64_t now_ms);
void role_queue_free(void *role);
void *role_deliver_new(struct role_env *env, const struct conf *conf);
void role_deliver_free(void *role);
void *role_control_new(struct role_env *env, const struct conf *conf);
void role_control_free(void *role);
/* OS is the drop directory; it stays the caller's. */
void *role_pickup_new(struct role_env *env, const struct conf *conf,
    struct os *os, uint64_t now_ms);
void role_pickup_free(void *role);

#endif
