# A thin face over meson and npm: `make help`.
BUILD ?= build
JOBS ?= $(shell nproc)
PREFIX ?= /usr/local
DESTDIR ?=

.PHONY: all build run test web bench bench-latency fuzz soak install clean help

all: build ## build into build/

build: web
	@[ -f $(BUILD)/build.ninja ] || meson setup $(BUILD) -Dtests=false >/dev/null
	@ninja -C $(BUILD) -j$(JOBS)

web: ## the pages, into web/dist
	@tools/setup build
	@if [ -f web/package.json ]; then \
	  if [ -z "$$(find web -path web/node_modules -prune -o -type f -newer web/dist/.built -print 2>/dev/null | head -1)" ] && [ -f web/dist/.built ]; then :; \
	  else echo 'web: building the pages' && (cd web && npm run --silent build) && touch web/dist/.built; fi; fi

run: build ## install what is missing, build, start
	@exec $(BUILD)/sluice up

test: ## every test, closing with one line of counts
	@tools/setup test
	@$(MAKE) --no-print-directory web
	@tools/test

bench: build ## speed and size, as numbers
	@tools/setup test
	@ninja -C $(BUILD) -j$(JOBS) bench/bench-load bench/bench-floor
	@python3 bench/run.py

bench-latency: build ## from a painted clock to a viewer's browser, in milliseconds
	@tools/setup test
	@ninja -C $(BUILD) -j$(JOBS) bench/bench-clockface
	@SERVER=$(abspath $(BUILD))/sluice CLOCKFACE=$(abspath $(BUILD))/bench/bench-clockface \
	  tests/node_modules/node/bin/node bench/latency.mjs

fuzz: ## every fuzz target, FUZZ_SECONDS (60) each
	@tools/setup test
	@tools/test --only fuzz --fuzz-seconds $${FUZZ_SECONDS:-60}

soak: ## the simulation, 20,000 seeds
	@tools/setup test
	@tools/test --only soak

install: build ## into DESTDIR and PREFIX
	install -D -m 0755 $(BUILD)/sluice $(DESTDIR)$(PREFIX)/bin/sluice
	@[ ! -f $(BUILD)/sluice-media ] || install -D -m 0755 $(BUILD)/sluice-media $(DESTDIR)$(PREFIX)/bin/sluice-media
	mkdir -p $(DESTDIR)$(PREFIX)/lib/sluice/bin
	@for n in livekit-server livekit-cli ingress egress lightspeed-webrtc itg-webrtc lightspeed-ingest; do \
	  ln -sf ../../../bin/sluice $(DESTDIR)$(PREFIX)/lib/sluice/bin/$$n; done

clean:
	rm -rf build build-asan build-fuzz build-tsan web/dist

help:
	@sed -n 's/^\([a-z-]*\):.*## /  make \1 \t/p' Makefile
