"""The wire to Kalshi: signing, typed messages, reads, order writes, the WebSocket stream. Knows only bot.core."""
