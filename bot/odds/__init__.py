"""Bookmaker odds: reading them, making fair probabilities of them, and finding the game they belong to."""
