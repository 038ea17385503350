"""The one caller of Kalshi's market data: markets, books, quotes and their age, published as one immutable snapshot."""
