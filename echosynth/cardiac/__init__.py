"""The heart's facts: method of discs, landmarks, EF limits, patient attributes."""
