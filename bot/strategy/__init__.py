"""Strategies: pure functions from a market's facts to a proposal or a reason not to trade. Knows core only."""
