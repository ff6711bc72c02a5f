# inval: PostgreSQL invalidates the cache.
#
#   make demo     install what is missing, build, and watch the main job run
#   make test     install what is missing, build, and run every test
#   make bench    install what is missing, build, and measure for an hour
#   make install  build and install into the PostgreSQL that pg_config names

MODULE_big = inval
EXTENSION = inval
DATA = inval--1.0.sql
PGFILEDESC = "inval - removes cached keys when rows change"

OBJS = \
	$(WIN32RES) \
	src/inval.o \
	src/address.o \
	src/backlog.o \
	src/capture.o \
	src/carrier.o \
	src/carrier_check.o \
	src/carrier_server.o \
	src/catalog.o \
	src/cluster.o \
	src/command.o \
	src/commit.o \
	src/commit_plan.o \
	src/command_guard.o \
	src/ddl.o \
	src/ddl_alter.o \
	src/ddl_drop.o \
	src/ddl_frame.o \
	src/ddl_keep.o \
	src/ddl_refresh.o \
	src/ddl_rename.o \
	src/deferred.o \
	src/definition.o \
	src/coverage.o \
	src/delivery.o \
	src/derive.o \
	src/drain.o \
	src/drain_gather.o \
	src/drain_split.o \
	src/entry.o \
	src/family.o \
	src/guard.o \
	src/guard_set.o \
	src/host_lookup.o \
	src/launcher.o \
	src/ledger.o \
	src/lookup.o \
	src/lookup_cache.o \
	src/lookup_reads.o \
	src/lookup_role.o \
	src/lost_node.o \
	src/operate.o \
	src/outbox.o \
	src/outbox_rotate.o \
	src/pace.o \
	src/passfile.o \
	src/path.o \
	src/pending.o \
	src/prefix.o \
	src/preview.o \
	src/queue.o \
	src/redis.o \
	src/redis_answer.o \
	src/redis_error.o \
	src/redis_group.o \
	src/redis_reply.o \
	src/refusal.o \
	src/removal.o \
	src/render.o \
	src/replay.o \
	src/requeue.o \
	src/resolve.o \
	src/route.o \
	src/rule.o \
	src/rule_view.o \
	src/scan.o \
	src/sentinel.o \
	src/settings.o \
	src/shared.o \
	src/slot.o \
	src/slot_map.o \
	src/stats.o \
	src/stats_view.o \
	src/store.o \
	src/store_secret.o \
	src/store_wrapper.o \
	src/sweep.o \
	src/target.o \
	src/target_set.o \
	src/targets.o \
	src/template.o \
	src/tls.o \
	src/track.o \
	src/track_options.o \
	src/transaction.o \
	src/url.o \
	src/value.o \
	src/via.o \
	src/via_query.o \
	src/variable.o \
	src/variable_set.o \
	src/wire.o \
	src/worker.o

# Those that queue tens of thousands of keys come last: nothing is delivered, so
# the queue that each test reads only grows.
REGRESS = setup settings track track_errors template types changes delivery \
	variables inheritance foreign_tables via lookups ddl paths partitions ways queue \
	matviews savepoints truncate permissions guard coverage teardown

# Server headers are system headers, so that a warning is always about our
# own code.
PG_CONFIG ?= pg_config
PG_CPPFLAGS = -isystem $(shell $(PG_CONFIG) --includedir-server 2>/dev/null)
SHLIB_LINK = -lhiredis -lpthread

# TLS (rediss://) where the headers of OpenSSL are; make TLS=no goes without.
TLS ?= $(shell printf '\043include <openssl/ssl.h>\n' | $(CC) -E - >/dev/null 2>&1 && echo yes)
ifeq ($(TLS),yes)
LINT_TLS = -DINVAL_TLS
PG_CPPFLAGS += -DINVAL_TLS
SHLIB_LINK += -lssl -lcrypto
endif



PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
# The two commands for newcomers come before PGXS can be found at all.
ifneq ($(PGXS),)
include $(PGXS)
endif

# PGXS does not track what includes what.
$(OBJS) $(OBJS:.o=.bc): $(wildcard src/*.h)

.PHONY: test demo bench lint print-REGRESS

test:
	test/run

demo:
	demo/run

# BENCH has the options of bench/run: make bench BENCH=--quick
bench:
	bench/run $(BENCH)

# Warnings of two compilers and two analysers; quiet when all is well.
lint:
	@for file in src/*.c; do \
		for compiler in gcc clang; do \
			$$compiler -Wall -Wextra -Werror -fsyntax-only -D_GNU_SOURCE $(LINT_TLS) \
				-isystem "$$($(PG_CONFIG) --includedir-server)" $$file || exit 1; \
		done; \
	done
	@cppcheck --quiet --error-exitcode=1 --enable=warning,performance,portability \
		--suppress=missingIncludeSystem -I src src/*.c
	@clang-tidy --quiet --warnings-as-errors='*' src/*.c -- -D_GNU_SOURCE $(LINT_TLS) \
		-isystem "$$($(PG_CONFIG) --includedir-server)" 2>/dev/null

print-REGRESS:
	@echo $(REGRESS)
