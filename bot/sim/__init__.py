"""The simulator: real core, executor, journal and restart on a virtual clock, against the paper exchange in memory."""
