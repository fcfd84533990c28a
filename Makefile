# make           build/<mode>/bin/{sendqd,sendq,sendmail,sendqctl}
# make install   PREFIX=/usr/local DESTDIR=
# make check     everything that takes under a minute: build, unit tests, lint
# make unit      unit tests; T=src/base/buf_test.c runs one
# make lint      clang-format, tools/tidy, cppcheck, mandoc
# make fuzzers   MODE=fuzz; test/fuzz/run.py runs them
# MODE=          plain (default), asan, clang, fuzz
# DIRS=          limits the library to some of the layers
MODE ?= plain
BUILD ?= build/$(MODE)
DIRS ?= base os conf mail smtp store store/ram store/spool store/mqueue sched trigger role net cmd
PKGS = libevent libevent_pthreads libunbound sqlite3 libconfig libseccomp \
       jansson libssl libcrypto
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS))
PKG_LIBS := $(shell pkg-config --libs $(PKGS)) -lpthread

WARN = -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
       -Wpointer-arith -Wcast-qual -Wwrite-strings -Wformat=2 -Wundef \
       -Wno-unused-parameter -Wno-missing-field-initializers
HARDEN = -fstack-protector-strong -fPIE -fstack-clash-protection -fcf-protection=full
CFLAGS ?= -O2 -g
ifeq ($(MODE),plain)
CC = gcc
HARDEN += -D_FORTIFY_SOURCE=2 -ftrivial-auto-var-init=zero
endif
ifeq ($(MODE),clang)
CC = clang
HARDEN += -D_FORTIFY_SOURCE=2
endif
ifeq ($(MODE),asan)
CC = gcc
CFLAGS = -Og -g1 -fsanitize=address,undefined -fno-sanitize-recover=all \
         -fno-omit-frame-pointer
LDFLAGS += -fsanitize=address,undefined
endif
ifeq ($(MODE),fuzz)
CC = clang
CFLAGS = -O0 -g1 -fsanitize=fuzzer-no-link,address,undefined \
         -fno-sanitize-recover=all -fno-omit-frame-pointer
LDFLAGS += -fsanitize=fuzzer,address,undefined
endif
VERSION = 0.1.0
ALL_CFLAGS = -std=c17 -D_GNU_SOURCE -DSENDQ_VERSION=\"$(VERSION)\" -DSENDQD_PATH=\"$(PREFIX)/sbin/sendqd\" -Isrc -Itest $(PKG_CFLAGS) $(CFLAGS) $(WARN) \
             $(HARDEN) -MMD -MP $(EXTRA_CFLAGS)
ALL_LDFLAGS = -pie -Wl,-z,relro,-z,now,-z,noexecstack $(LDFLAGS)

PROGRAMS = sendqd sendq sendmail sendqctl
MAINS = $(PROGRAMS:%=src/cmd/%.c)
SOURCES := $(filter-out %_test.c $(MAINS),$(foreach d,$(DIRS),$(wildcard src/$(d)/*.c)))
OBJECTS = $(SOURCES:src/%.c=$(BUILD)/obj/%.o)
TESTS := $(if $(T),$(T),$(foreach d,$(DIRS),$(wildcard src/$(d)/*_test.c)))
TEST_BINS = $(TESTS:src/%.c=$(BUILD)/test/%)
LIB = $(BUILD)/libsendq.a

# The names under which sendmail is called.
SENDMAIL_NAMES = mailq newaliases hoststat purgestat rmail
all: $(PROGRAMS:%=$(BUILD)/bin/%) $(SENDMAIL_NAMES:%=$(BUILD)/bin/%) $(BUILD)/man/sendq.conf.5

# Tests gain nothing by full optimisation, and compile in a third of the time.
$(BUILD)/obj/%_test.o: CFLAGS := $(patsubst -O2,-Og,$(CFLAGS))

$(BUILD)/obj/%.o: src/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c -o $@ $<

$(LIB): $(OBJECTS)
	@rm -f $@
	ar rcs $@ $(OBJECTS)

# The settings in the manual page come from the table that the parser uses.
$(BUILD)/man/sendq.conf.5: man/sendq.conf.5.in $(BUILD)/bin/sendqd
	@mkdir -p $(@D)
	$(BUILD)/bin/sendqd --help-settings-mdoc > $@.settings
	sed -e '/^@SETTINGS@$$/{r $@.settings' -e 'd;}' $< > $@

$(SENDMAIL_NAMES:%=$(BUILD)/bin/%): $(BUILD)/bin/sendmail
	ln -sf sendmail $@

$(BUILD)/bin/%: $(BUILD)/obj/cmd/%.o $(LIB)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS)

# Each test can run in a process of its own: test/unit/apart.c.
$(BUILD)/obj/apart.o: test/unit/apart.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c -o $@ $<

# What every store promises, as tests: only test programs have it.
CONTRACT = $(patsubst src/%.c,$(BUILD)/obj/%.o,$(wildcard src/store/contract/*.c))
$(BUILD)/contract.a: $(CONTRACT)
	@rm -f $@
	ar rcs $@ $(CONTRACT)

$(BUILD)/test/%: $(BUILD)/obj/%.o $(BUILD)/obj/apart.o $(BUILD)/contract.a $(LIB)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -Wl,--wrap=_cmocka_run_group_tests -o $@ $^ \
	    $(PKG_LIBS) -lcmocka

test-programs: $(TEST_BINS)

# One program for each target.
FUZZERS = $(patsubst test/fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard test/fuzz/*.c))
$(BUILD)/obj/fuzz/%.o: test/fuzz/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c -o $@ $<

$(BUILD)/fuzz/%: $(BUILD)/obj/fuzz/%.o $(LIB)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS) -lcmocka

fuzzers: $(FUZZERS)

# Runs every unit test binary; each prints cmocka's own lines.
unit: $(TEST_BINS)
	@failed=0; for t in $(TEST_BINS); do $$t || failed=1; done; exit $$failed

format:
	clang-format -i $$(find src -name '*.[ch]')

lint:
	@tools/lint

check: all unit lint

# PREFIX and DESTDIR as usual; the service manager's file is in contrib/.
# With DROP_GROUP sendmail is setgid that group, which is to be the one of the
# drop directory: so any user can leave mail while no daemon runs.
PREFIX ?= /usr/local
install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/sbin
	install $(BUILD)/bin/sendq $(DESTDIR)$(PREFIX)/bin/
	install $(BUILD)/bin/sendqd $(BUILD)/bin/sendqctl $(DESTDIR)$(PREFIX)/sbin/
	install $(if $(DROP_GROUP),-m 2755 -g $(DROP_GROUP)) $(BUILD)/bin/sendmail $(DESTDIR)$(PREFIX)/sbin/
	for name in $(SENDMAIL_NAMES); do \
		ln -sf ../sbin/sendmail $(DESTDIR)$(PREFIX)/bin/$$name; \
	done
	install -D -m 644 contrib/sendqctl.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/sendqctl
	for page in man/*.[1578] $(BUILD)/man/*.[1578]; do \
		install -D -m 644 $$page $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/}; \
	done

clean:
	rm -rf build

-include $(OBJECTS:.o=.d) $(MAINS:src/%.c=$(BUILD)/obj/%.d) $(CONTRACT:.o=.d) $(FUZZERS:$(BUILD)/fuzz/%=$(BUILD)/obj/fuzz/%.d) $(TEST_BINS:$(BUILD)/test/%=$(BUILD)/obj/%.d)
.PHONY: all install test-programs fuzzers unit format lint check clean
.SECONDARY:
