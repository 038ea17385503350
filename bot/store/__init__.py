"""What outlives the process: the journal (truth for restart), the trade history, and its delivery to Supabase."""
