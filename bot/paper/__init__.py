"""The paper exchange: a separate process that speaks Kalshi's wire. Shares only bot.core.units with the bot."""
