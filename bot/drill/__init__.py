"""Staged disasters: the whole real program against a paper exchange whose markets do what the script says."""
