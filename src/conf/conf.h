/*
 * The configuration: libconfig's syntax in, checked tables out.  Every setting
 * has one row in the table of settings (conf/setting.h), from which the parser,
 * the defaults, --help-settings and the manual page come.
 */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"
#include "mail/address.h"
#include "mail/alias.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CONF_FILE_DEFAULT "/etc/sendq/sendq.conf"
#define CONF_FILE_ENV     "SENDQ_CONFIG"
#define CONF_SITES_MAX    100000
#define CONF_LISTEN_MAX   64
#define CONF_ERRORS_MAX   100 /* mistakes reported of one file */

/* A network address as bytes; family 4 or 6; IPv4-mapped IPv6 is stored as
   IPv4.  port 0 = none given. */
struct conf_address {
	unsigned char bytes[16];
	uint8_t family;
	uint16_t port;
};

struct conf_network {
	struct conf_address address;
	uint8_t prefix; /* bits */
};

struct conf_networks {
	const struct conf_network *list;
	size_t count;
};

enum conf_route_kind {
	CONF_ROUTE_SMTP,
	CONF_ROUTE_MX,
	/* Here, by a helper. */
	CONF_ROUTE_MAILDIR,
	CONF_ROUTE_FILE,   /* of an alias; never in the file */
	CONF_ROUTE_PROGRAM /* likewise */
};

struct conf_route {
	enum conf_route_kind kind;
	struct str host; /* SMTP: a name, or an address without brackets */
	uint16_t port;   /* SMTP, MX */
	struct str path; /* MAILDIR: absolute */
	struct str text; /* as written: the name of the host in the scheduler */
	uint32_t job;    /* MAILDIR: its number in conf.maildirs */
};

/* One domain of a site: "a.test", or "@a.test" for it and all below. */
struct conf_domain {
	struct str key;
	bool is_tree;
};

enum conf_trigger {
	CONF_TRIGGER_ETRN = 1,
	CONF_TRIGGER_QSND = 2
};

struct conf_site {
	struct str name; /* letters, digits, "-", "_", "."; unique */
	const struct conf_domain *domains;
	size_t domain_count;
	bool is_held;
	struct conf_route route;
	struct conf_networks from; /* who may ask */
	unsigned triggers;         /* conf_trigger bits */
	uint64_t expire_ms;
	uint64_t delay_notice_ms; /* 0 = no notices */
	uint64_t quota_bytes;     /* queued for it; 0 = no limit */
	uint64_t quota_messages;  /* likewise */
	uint64_t connections_max; /* that its networks may hold */
};

/* A static route for recipients elsewhere: domain "*", "a.test", "@a.test". */
struct conf_route_rule {
	struct conf_domain domain;
	bool is_any;
	struct conf_route route;
};

struct conf_listen {
	struct conf_address address;
};

struct conf {
	struct arena arena;
	struct str hostname;
	struct str postmaster; /* address that gets mail for Postmaster */
	struct str spool;      /* "/dir" or "ram:" */
	const struct conf_listen *listen;
	size_t listen_count;
	/* Of this machine, where the process looked; never in the file. */
	const struct conf_address *machine;
	size_t machine_count;
	struct conf_networks relay_from;
	const struct conf_route_rule *routes;
	size_t route_count;
	const struct conf_site *sites;
	size_t site_count;
	struct str const *maildirs; /* paths by job number */
	size_t maildir_count;
	struct conf_address resolver; /* family 0 = the system's */
	uint16_t smtp_port;           /* of MX routes */
	struct str control_socket;
	struct str submission_socket; /* empty = none */
	struct str drop_directory;    /* likewise */
	uint32_t control_mode;
	/* Times in milliseconds, sizes in bytes. */
	uint64_t release_time_ms;
	uint64_t retry_min_ms;
	uint64_t retry_max_ms;
	uint64_t expire_ms;
	uint64_t delay_notice_ms; /* 0 = no notices */
	uint64_t size_max;
	uint64_t recipients_max;
	uint64_t transactions_max;
	uint64_t errors_max;
	uint64_t connections_max;
	uint64_t connections_network_max;
	uint64_t connections_site_max;
	uint64_t triggers_minute_max;
	uint64_t deliveries_max;
	uint64_t deliveries_host_max;
	uint64_t destinations_max;
	uint64_t receive_processes;
	uint64_t deliver_processes;
	uint64_t idle_timeout_ms;
	uint64_t greeting_timeout_ms;
	uint64_t data_timeout_ms;
	uint64_t block_timeout_ms;
	uint64_t dot_timeout_ms;
	uint64_t command_max;
	uint64_t line_max;
	uint64_t staging_max;
	uint64_t disk_reserve;
	uint64_t queue_bytes_max;
	uint64_t queue_messages_max;
	uint64_t queue_interval_ms; /* 0 = no runs */
	uint64_t queue_age_ms;      /* 0 = all is tried */
	struct str queue_group;     /* empty = all */
	bool queue_lost;
	uint64_t queue_load;  /* 0 = no limit */
	uint64_t refuse_load; /* likewise */
	struct str pid_file;  /* empty = none */
	struct str log;       /* "stderr", "syslog" */
	struct str log_level;
	struct str log_name; /* before the lines of "syslog" */
	struct str user_receive, user_queue, user_deliver, user_control;
	struct str user_pickup;
	struct str const *alias_files; /* in the order of being looked at */
	size_t alias_file_count;
	const struct conf_domain *alias_domains; /* none: see conf/alias.h */
	size_t alias_domain_count;
	bool alias_programs;    /* are run */
	uint64_t alias_time_ms; /* the longest that one may run */
	struct str alias_user;
	struct str local_domain;     /* of the first local site, or hostname */
	struct alias_table *aliases; /* NULL = none; whoever reads the files
	                                sets it, conf_free() frees it */
	void *lookup; /* hashes of domains and sites; conf/lookup.c */
};

/* Reads all of FILE under the name FILE_NAME.  On mistakes: -EINVAL, and
   ERRORS holds one line for each ("FILE:LINE: SETTING: what is wrong").
   *CONF_OUT is freed with conf_free(). */
int conf_read(FILE *file, const char *file_name, struct buf *errors,
    struct conf **conf_out) __attribute__((warn_unused_result));
/* The same with settings of the top level that take the place of the file's:
   CHANGES has the file's syntax, without groups and full lists; "" = none. */
int conf_read_changed(FILE *file, const char *file_name, const char *changes,
    struct buf *errors, struct conf **conf_out)
    __attribute__((warn_unused_result));
void conf_free(struct conf *conf);

/* The configuration file's name: OPTION if not NULL, else ENV (the value of
   $SENDQ_CONFIG) if not NULL or empty, else the default. */
const char *conf_file_name(const char *option, const char *env);

/* Writes the table of settings for people; 0 or -ENOBUFS. */
int conf_help_put(struct buf *out) __attribute__((warn_unused_result));
/* Writes it as mdoc list items for sendq.conf(5); 0 or -ENOBUFS. */
int conf_manual_put(struct buf *out) __attribute__((warn_unused_result));

/* The site that a recipient domain (a key) belongs to, or NULL.  An exact
   domain wins over a tree, a longer tree over a shorter. */
const struct conf_site *conf_site_of_domain(
    const struct conf *conf, struct str domain);
const struct conf_site *conf_site_named(
    const struct conf *conf, struct str name);
/* The static rule for a domain that is no site's; NULL = none. */
const struct conf_route *conf_route_of_domain(
    const struct conf *conf, struct str domain);

/* "192.0.2.1", "192.0.2.1:25", "[2001:db8::1]:25", "2001:db8::1": 0 or
   -EINVAL. */
int conf_address_parse(struct str text, struct conf_address *address_out)
    __attribute__((warn_unused_result));
/* Writes the address without its port. */
void conf_address_format(const struct conf_address *address, char text[46]);
bool conf_networks_contain(
    const struct conf_networks *networks, const struct conf_address *address);

#endif
