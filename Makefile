# inval: PostgreSQL invalidates the cache.
#
#   make demo     install what is missing, build, and watch the main job run
#   make test     install what is missing, build, and run every test
#   make bench    install what is missing, build, and measure for an hour
#   make lint     what compilers, analysers and our own checks have to say
#   make install  build and install into the PostgreSQL that pg_config names
#   make dist     a tarball and a zip of what is committed

MODULE_big = inval
EXTENSION = inval
DATA = inval--1.0.sql
PGFILEDESC = "inval - removes cached keys when rows change"

# Every C file below src/ is part of the module.
OBJS = \
	$(WIN32RES) \
	$(patsubst %.c,%.o,$(sort $(wildcard src/*.c src/*/*.c)))

# Those that queue tens of thousands of keys come last: nothing is delivered, so
# the queue that each test reads only grows.
REGRESS = setup settings track track_errors template types value_settings changes delivery \
	variables inheritance foreign_tables via via_bound lookups attempts ties type_names swaps ddl paths partitions ways queue \
	combinations long_keys matviews pending_constraints savepoints truncate permissions strangers pauses \
	target_rights pending peek rule_rows broken guard coverage \
	guard_exempt metrics refresh_all unset_variable drop_extension coverage_ways session_after_dump schema_usage others_commands redefined \
	drop_owned via_errors fence vocabulary refill audit held_cursors via_large teardown

# Server headers are system headers, so that a warning is always about our
# own code.
PG_CONFIG ?= pg_config
PG_CPPFLAGS = -Isrc -isystem $(shell $(PG_CONFIG) --includedir-server 2>/dev/null)
SHLIB_LINK = -lhiredis -lpthread

# TLS (rediss://) where the headers of OpenSSL are; make TLS=no goes without.
TLS ?= $(shell printf '\043include <openssl/ssl.h>\n' | $(CC) -E - >/dev/null 2>&1 && echo yes)
ifeq ($(TLS),yes)
LINT_TLS = -DINVAL_TLS
PG_CPPFLAGS += -DINVAL_TLS
SHLIB_LINK += -lssl -lcrypto
endif

# Compilers note beside each object which headers it was made from.
PG_CFLAGS = -MMD -MP
EXTRA_CLEAN = $(OBJS:.o=.d) src/redis/inval_lua.h

PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
# The two commands for newcomers come before PGXS can be found at all.
ifneq ($(PGXS),)
include $(PGXS)
endif

-include $(OBJS:.o=.d)
# The functions for readers become a string in the module, and their version a
# number.
src/redis/inval_lua.h: src/redis/inval.lua
	sed -n 's/^local VERSION = \([0-9]*\)$$/#define INVAL_LIBRARY_VERSION \1/p' $< > $@.new
	sed -e 's/[\\"]/\\&/g' -e 's/.*/	"&\\n" \\/' -e '1s/^/#define INVAL_LIBRARY \\\n/' $< >> $@.new
	echo >> $@.new
	mv $@.new $@
src/target/library.o: src/redis/inval_lua.h

# LLVM's copy of an object is made anew when the object is.
$(OBJS:.o=.bc): %.bc: %.o

# What all files say of the version, before anything is built
$(OBJS): | versions

# A tarball for packagers and a zip for PGXN, of what is committed: the same bytes whoever
# makes them of one commit.
DIST = inval-$(shell test/versions --print)

dist: versions
	@git diff --quiet HEAD -- || { echo "make dist: there are changes that are not committed" >&2; exit 1; }
	git archive --format=tar --prefix=$(DIST)/ HEAD | gzip -n9 > $(DIST).tar.gz
	TZ=UTC git archive --format=zip -9 --prefix=$(DIST)/ -o $(DIST).zip HEAD

.PHONY: test demo bench lint dist versions print-REGRESS

versions:
	@test/versions

test:
	test/run

demo:
	demo/run

# BENCH has the options of bench/run: make bench BENCH=--quick
bench:
	bench/run $(BENCH)

# Includes that go up, warnings of two compilers and three analysers; quiet when
# all is well.
LINT_SOURCES = $(OBJS:.o=.c)
LINT_FLAGS = -Isrc -D_GNU_SOURCE $(LINT_TLS) \
	-isystem "$$($(PG_CONFIG) --includedir-server)"

# With gcc's own limits its analyser gives up in twice as many places.
GCC_ANALYZER = gcc -fanalyzer -Wall -Wextra -Werror -O2 -c -o /dev/null \
	--param=analyzer-max-enodes-per-program-point=64 \
	--param=analyzer-bb-explosion-factor=40

lint: src/redis/inval_lua.h
	@test/rooms
	@test/documents
	@for compiler in gcc clang; do \
		for file in $(LINT_SOURCES); do \
			$$compiler -Wall -Wextra -Werror -fsyntax-only $(LINT_FLAGS) $$file || exit 1; \
		done; \
	done
	@printf '%s\n' $(LINT_SOURCES) | \
		xargs -n 1 -P "$$(nproc)" $(GCC_ANALYZER) $(LINT_FLAGS)
	@cppcheck --quiet --error-exitcode=1 --enable=warning,performance,portability \
		--suppress=missingIncludeSystem -I src $(LINT_SOURCES)
	@clang-tidy --quiet --warnings-as-errors='*' $(LINT_SOURCES) -- $(LINT_FLAGS) 2>/dev/null

print-REGRESS:
	@echo $(REGRESS)
