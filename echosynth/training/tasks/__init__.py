"""What each network learns: batches and losses."""
