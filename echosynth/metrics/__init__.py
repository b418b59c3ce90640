"""Arrays in, numbers out: agreement of EF, intervals, distances of distributions, similarity, motion."""
