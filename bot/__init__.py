"""Tickstop: a self-hosted trading bot for Kalshi's event contracts."""

__version__ = "0.1.0"
