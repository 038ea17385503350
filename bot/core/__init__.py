"""The decisions. No I/O, clock, randomness, logging or gevent in this folder; see DESIGN in docs/architecture.md."""
